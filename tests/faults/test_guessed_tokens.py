"""Tokens that somebody guesses, each of which kube-apiserver has to be asked about, while it takes its time."""

import asyncio
from dataclasses import replace

import pytest
from aiohttp import web

from service.cluster import reviewer
from service.settings import Settings
from tests.support.api import assert_cf_error, running
from tests.support.kube import eventually
from tests.support.proxy import Relay

AT_A_TIME, WAITING, GUESSES = 2, 8, 30


async def test_few_are_asked_about_at_a_time_and_the_others_wait_or_are_turned_away(
    settings: Settings, relay: Relay, operator_token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reviewer, "MAXIMUM_WAITING", WAITING)
    of_relay = replace(
        settings, kubeconfig=str(relay.kubeconfig), review_concurrency=AT_A_TIME, review_ttl_s=600, kube_timeout_s=30
    )
    answered, at_a_time = asyncio.Event(), [0]

    async def take_time(request: web.Request) -> None:
        if request.path.endswith("/tokenreviews"):
            at_a_time.append(at_a_time[-1] + 1)
            await answered.wait()
            at_a_time.append(at_a_time[-1] - 1)

    async with running(of_relay, token=operator_token) as served:
        assert (await served.get("/v3/processes")).status == 200
        relay.before = take_time
        guesses = [
            asyncio.create_task(served.as_user(f"guess-{number}").get("/v3/processes")) for number in range(GUESSES)
        ]

        async def turned_away() -> bool:
            return sum(guess.done() for guess in guesses) == GUESSES - WAITING

        await eventually(turned_away)
        assert (await served.get("/v3/processes?per_page=1")).status == 200
        answered.set()
        replies = await asyncio.gather(*guesses)
    for reply in replies:
        if reply.status == 503:
            assert reply.headers["Retry-After"] == "1"
        else:
            assert_cf_error(reply, 401, 1000, "CF-InvalidAuthToken", "Invalid Auth Token")
    assert [reply.status for reply in replies].count(401) == WAITING
    assert max(at_a_time) == AT_A_TIME
