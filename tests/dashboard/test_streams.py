"""Pages that stay up to date: how many of them one person may keep open."""

from contextlib import AsyncExitStack

import aiohttp
import pytest

from service.dashboard.keys import STREAMS
from tests.support.api import Api
from tests.support.kube import Kube, eventually
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


async def _first_event(response: aiohttp.ClientResponse) -> None:
    """It is then open on the other side too."""
    assert await response.content.readline()
