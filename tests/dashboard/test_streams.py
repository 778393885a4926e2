"""Pages that stay up to date: how many of them one person may keep open, and what one costs that nobody reads."""

from contextlib import AsyncExitStack
from dataclasses import replace

import aiohttp
import pytest

from service.dashboard.keys import STREAMS
from service.http.keys import TRAFFIC
from service.settings import Settings
from tests.support.api import Api, running
from tests.support.kube import Kube, eventually
from tests.support.sockets import connected, head
from tests.support.visitor import Visitor

EACH = 3


async def test_streams_are_limited_by_person_and_not_by_token(
    api: Api, kube: Kube, operator_token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = api.application[STREAMS]
    monkeypatch.setattr(streams, "_most_each", EACH)
    first = await kube.token_of_new_user(cluster_roles=("processes-operator",))
    tokens = [first, *[await kube.another_token(first) for _ in range(EACH + 1)]]
    assert len(set(tokens)) == EACH + 2
    async with AsyncExitStack() as stack:
        statuses = []
        for token in (*tokens, operator_token):
            visitor = Visitor(api)
            stack.push_async_callback(visitor.session.close)
            await visitor.sign_in(token)
            response = await stack.enter_async_context(visitor.session.get(f"{api.url}/ui/events"))
            statuses.append(response.status)
            if response.status == 200:
                await _first_event(response)
        assert statuses == [200] * EACH + [503] * 2 + [200]

    async def all_closed() -> bool:
        return len(streams) == 0

    await eventually(all_closed, 10)


async def test_a_browser_that_takes_nothing_is_given_up_and_holds_no_more_than_a_few_pages(
    settings: Settings, operator_token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.dashboard.live.TICK_S", 0.001)
    monkeypatch.setattr("service.dashboard.live.AGES_S", 0.0)
    async with running(replace(settings, send_timeout_s=1.0), token=operator_token) as served:
        streams, traffic = served.application[STREAMS], served.application[TRAFFIC]
        visitor = Visitor(served)
        await visitor.sign_in(operator_token)
        cookies = "; ".join(f"{cookie.key}={cookie.value}" for cookie in visitor.session.cookie_jar)
        await visitor.session.close()
        async with connected(served, receive_buffer=4096) as client:
            await client.send(head("GET", "/ui/events", Cookie=cookies))
            held = []

            async def is_given_up() -> bool:
                held.append(traffic.in_flight)
                return len(streams) == 0 and len(held) > 10

            await eventually(is_given_up, 20)
            assert 0 < max(held) < 1 << 20
            assert traffic.given_up["too slow"] == 1


async def _first_event(response: aiohttp.ClientResponse) -> None:
    """It is then open on the other side too."""
    assert await response.content.readline()
