"""A browser without a window, for tests of what pages say rather than of how they look."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from yarl import URL

from tests.support.api import Api, Reply

HTML = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
SAME = {"Sec-Fetch-Site": "same-origin"}


class Visitor:
    """A browser without a window: it keeps cookies and follows nothing."""

    def __init__(self, api: Api) -> None:
        self.url = api.url
        self.session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))

    async def get(self, path: str, **headers: str) -> Reply:
        return await self._ask("GET", path, None, {**HTML, **headers})

    async def post(self, path: str, fields: dict[str, str], headers: dict[str, str] | None = None) -> Reply:
        return await self._ask("POST", path, fields, {**HTML, **(SAME if headers is None else headers)})

    async def _ask(self, method: str, path: str, fields: Any, headers: dict[str, str]) -> Reply:
        url = URL(self.url + path, encoded=True)
        async with self.session.request(method, url, data=fields, headers=headers, allow_redirects=False) as response:
            return Reply(response.status, response.headers.copy(), await response.read())

    async def sign_in(self, token: str) -> Reply:
        reply = await self.post("/ui/sign-in", {"token": token})
        assert reply.status == 303, reply.body
        return reply

    async def form_token(self) -> str:
        match = re.search(rb'name="form_token" value="([^"]+)"', (await self.get("/")).body)
        assert match is not None
        return match[1].decode()


@asynccontextmanager
async def browsing(user: Api) -> AsyncIterator[Visitor]:
    """Somebody who has signed in."""
    visitor = Visitor(user)
    try:
        assert user.token is not None
        await visitor.sign_in(user.token)
        yield visitor
    finally:
        await visitor.session.close()
