"""The reply to a write, where another writer of both stores is faster between its steps: never half of that write."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from service.settings import Settings
from tests.support.api import Api, assert_cf_error, running
from tests.support.apps import MakeApp
from tests.support.kube import eventually
from tests.support.proxy import Instead, Relay


@pytest.fixture
async def writer(relay: Relay, settings: Settings, operator_token: str) -> AsyncIterator[Api]:
    """A replica whose answers from Kubernetes may be kept back; `api` is another one."""
    async with running(replace(settings, kubeconfig=str(relay.kubeconfig)), token=operator_token) as served:
        yield served


def halves(process: Any) -> tuple[int, int]:
    return process["memory_in_mb"], max(process["log_rate_limit_in_bytes_per_second"], 0)


BOTH = {"memory_in_mb": 7, "log_rate_limit_in_bytes_per_second": 7}
FASTER = {"memory_in_mb": 9, "log_rate_limit_in_bytes_per_second": 9}
WRITES: dict[str, tuple[str, str, object]] = {
    "both": ("POST", "/actions/scale", BOTH),
    "Kubernetes": ("POST", "/actions/scale", {"instances": 0, "disk_in_mb": 5}),
    "Postgres": ("PATCH", "", {"metadata": {"labels": {"own": "1"}}}),
    "nothing": ("POST", "/actions/scale", {"memory_in_mb": 3}),
}


@pytest.mark.parametrize("write", WRITES)
async def test_the_reply_to_a_write_shows_no_half_of_one_that_was_faster(
    api: Api, relay: Relay, writer: Api, make_app: MakeApp, write: str
) -> None:
    app = await make_app("web")
    path = f"/v3/apps/{app}/processes/web"

    async def shown() -> bool:
        return bool((await writer.get(path)).json.get("version") == "1")

    await eventually(shown)
    before = {"memory_in_mb": 3, "log_rate_limit_in_bytes_per_second": 3}
    assert (await api.post(f"{path}/actions/scale", before)).status == 202
    assert halves((await writer.get(path)).json) == (3, 3)
    method, action, body = WRITES[write]
    answered, go_on = asyncio.Event(), asyncio.Event()

    async def keep_back(request: web.Request, status: int) -> None:
        # The answer to the change itself; of what changes nothing of the Deployment, that to reading it.
        of = "GET" if write in ("Postgres", "nothing") else "PATCH"
        if request.method == of and request.path.endswith(f"/web-{app}") and status == 200 and not answered.is_set():
            answered.set()
            await go_on.wait()

    relay.after = keep_back
    send = writer.post if method == "POST" else writer.patch
    slow = asyncio.create_task(send(path + action, body))
    await asyncio.wait_for(answered.wait(), 10)
    assert halves((await api.post(f"{path}/actions/scale", FASTER)).json) == (9, 9)
    go_on.set()
    reply = await slow
    assert reply.status in (200, 202), reply.body
    if write == "both":
        # What it has left is known exactly.
        assert halves(reply.json) == (7, 7)
    elif write == "Postgres":
        assert (halves(reply.json), reply.json["metadata"]["labels"]) == ((9, 9), {"own": "1"})
    else:
        assert halves(reply.json) in ((3, 3), (9, 9))
    for replica in (api, writer):
        assert halves((await replica.get(path)).json) == (9, 9)


@pytest.mark.parametrize("status", [200, 502])
@pytest.mark.parametrize("write", WRITES)
async def test_the_page_of_a_proxy_is_no_answer_of_kubernetes(
    relay: Relay, writer: Api, make_app: MakeApp, write: str, status: int
) -> None:
    path = f"/v3/apps/{await make_app('web')}/processes/web"

    async def shown() -> bool:
        return (await writer.get(path)).status == 200

    await eventually(shown)

    async def answer_instead(request: web.Request) -> None:
        if "/deployments/" in request.path:
            raise Instead(status, b"<html><body>Bad Gateway</body></html>", "text/html")

    relay.before = answer_instead
    method, action, body = WRITES[write]
    reply = await (writer.post if method == "POST" else writer.patch)(path + action, body)
    assert_cf_error(reply, 503, 10015, "CF-ServiceUnavailable")
