"""Writes of both stores, through three replicas whose stores answer late: a reader sees both halves, or neither."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from deploy.local.stack import Stack
from service.settings import Settings
from tests.support.api import Api, Reply, running
from tests.support.kube import Kube, deployment, eventually
from tests.support.links import slow_link
from tests.support.proxy import relaying

LATE_S = 0.03
HIDDEN = "[PRIVATE DATA HIDDEN IN LISTS]"
WRITES = 25
"""Of each writer."""

Process = dict[str, Any]
Pair = tuple[Callable[[int], dict[str, Any]], Callable[[Process], tuple[object, object]]]
"""Makes the body of a write that sets a field in each store to a number; and what a process shows of the two."""


def _number(text: str | None) -> int:
    return int(text or 0)


PATCHES: dict[str, Pair] = {
    "command and label": (
        lambda number: {"command": f"run {number}", "metadata": {"labels": {"n": str(number)}}},
        lambda shown: (
            _number(shown["command"].removeprefix("run ")),
            _number(shown["metadata"]["labels"].get("n")),
        ),
    ),
    "health check and annotation": (
        lambda number: {
            "readiness_health_check": {"type": "process", "data": {"interval": number}},
            "metadata": {"annotations": {"n": str(number)}},
        },
        lambda shown: (
            shown["readiness_health_check"]["data"].get("interval") or 0,
            _number(shown["metadata"]["annotations"].get("n")),
        ),
    ),
}
SCALE: Pair = (
    lambda number: {"memory_in_mb": number, "log_rate_limit_in_bytes_per_second": number},
    lambda shown: (shown["memory_in_mb"], max(shown["log_rate_limit_in_bytes_per_second"], 0)),
)
PAIRS = {**PATCHES, "memory and log rate": SCALE}


@pytest.fixture
async def replicas(
    stack: Stack, settings: Settings, operator_token: str, tmp_path: Path, api: Api
) -> AsyncIterator[list[Api]]:
    """One that nothing is late for, one of a late Postgres, and one of late watches."""
    async with (
        slow_link(settings.database_url, late_s=LATE_S) as late_url,
        relaying(stack.service_kubeconfig, tmp_path) as relay,
        running(replace(settings, database_url=late_url), token=operator_token) as late_rows,
        running(replace(settings, kubeconfig=str(relay.kubeconfig)), token=operator_token) as late_watch,
    ):
        relay.late_s = LATE_S
        yield [api, late_rows, late_watch]


@pytest.fixture
async def app(replicas: list[Api], kube: Kube, space: str) -> str:
    guid = str(uuid4())
    await kube.create(deployment("web", space, guid))

    async def shown() -> bool:
        replies = [await replica.get(f"/v3/apps/{guid}/processes/web") for replica in replicas]
        return all(reply.status == 200 and reply.json["version"] == "1" for reply in replies)

    await eventually(shown)
    return guid


async def write(replica: Api, path: str, pair: str, number: int) -> Reply:
    body = PAIRS[pair][0](number)
    if pair in PATCHES:
        return await replica.patch(path, body)
    return await replica.post(f"{path}/actions/scale", body)


async def observe(replica: Api, app: str, pair: str, writing: list[bool], seen: Counter[str]) -> None:
    """Read at all addresses for as long as somebody writes, and count what is seen."""
    shown_of = PAIRS[pair][1]
    while writing:
        for path in (
            f"/v3/apps/{app}/processes/web",
            f"/v3/apps/{app}/processes",
            f"/v3/processes?app_guids={app}&order_by=-updated_at",
        ):
            reply = await replica.get(path)
            assert reply.status == 200, reply.body
            process = reply.json if path.endswith("/web") else reply.json["resources"][0]
            if pair == "command and label" and process["command"] == HIDDEN:
                continue
            kubernetes, postgres = shown_of(process)
            seen["marked" if "Warning" in reply.headers else "whole" if kubernetes == postgres else "half"] += 1


@pytest.mark.parametrize("pair", PAIRS)
async def test_a_reader_sees_both_halves_of_a_write_or_neither_whatever_is_late(
    replicas: list[Api], app: str, pair: str
) -> None:
    path, seen, writing = f"/v3/apps/{app}/processes/web", Counter[str](), [True]
    readers = [asyncio.create_task(observe(each, app, pair, writing, seen)) for each in replicas for _ in range(2)]
    # Zero of these means that there is no such field, or no limit.
    for number in range(1, WRITES + 1):
        reply = await write(replicas[0], path, pair, number)
        assert reply.status in (200, 202), reply.body
        assert PAIRS[pair][1](reply.json) == (number, number)
        for replica in replicas:
            assert PAIRS[pair][1]((await replica.get(path)).json)[0] == number
    writing.clear()
    await asyncio.gather(*readers)
    print(dict(seen))
    assert seen["half"] == 0, seen
    assert seen["whole"] > WRITES


async def test_writers_of_one_process_through_all_replicas_are_each_shown_what_they_left(
    replicas: list[Api], app: str
) -> None:
    path, seen, writing = f"/v3/apps/{app}/processes/web", Counter[str](), [True]
    pair, replies = "memory and log rate", Counter[str]()
    readers = [asyncio.create_task(observe(each, app, pair, writing, seen)) for each in replicas]

    async def keep_writing(first: int, replica: Api) -> None:
        for number in range(first, first + WRITES):
            reply = await write(replica, path, pair, number)
            if reply.status == 202:
                replies["own" if SCALE[1](reply.json) == (number, number) else "mixed"] += 1
            else:
                # Overtaken by the others too often: nothing was changed.
                assert reply.status == 503, reply.body

    await asyncio.gather(*(keep_writing(1000 * (place + 1), each) for place, each in enumerate(replicas)))
    writing.clear()
    await asyncio.gather(*readers)
    print(dict(seen), dict(replies))
    assert replies["own"] > WRITES
    assert (seen["half"], replies["mixed"]) == (0, 0), (seen, replies)
