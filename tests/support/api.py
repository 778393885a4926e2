"""A client of the API under test."""

import asyncio
import io
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import orjson
from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from yarl import URL

from service import app as composition
from service.http.connections import Limits
from service.http.server import listening
from service.settings import Settings
from tests.support.kube import eventually


@dataclass
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class Api:
    """Requests as one user; `as_user` gives another's view of the same service."""

    url: str
    management_url: str
    token: str | None
    session: aiohttp.ClientSession
    application: web.Application = field(repr=False)

    def as_user(self, token: str | None) -> "Api":
        return replace(self, token=token)

    async def get(self, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None) -> Reply:
        return await self._request(method, path, None, headers or {})

    async def post(self, path: str, body: object = None, *, headers: Mapping[str, str] | None = None) -> Reply:
        return await self._request("POST", path, body, headers or {})

    async def patch(self, path: str, body: object = None, *, headers: Mapping[str, str] | None = None) -> Reply:
        return await self._request("PATCH", path, body, headers or {})

    async def delete(self, path: str) -> Reply:
        return await self._request("DELETE", path, None, {})

    async def _request(self, method: str, path: str, body: object, headers: Mapping[str, str]) -> Reply:
        """`body` goes out as JSON; as it is, if it is bytes."""
        own = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        # The path goes out as it is written: tests are about odd escapes too.
        url = path if path.startswith("http") else self.url + path
        data = None if body is None else io.BytesIO(body if isinstance(body, bytes) else orjson.dumps(body))
        typed = {} if data is None else {"Content-Type": "application/json"}
        async with self.session.request(
            method, URL(url, encoded=True), data=data, headers={**own, **typed, **headers}, allow_redirects=False
        ) as response:
            return Reply(response.status, response.headers.copy(), await response.read())

    async def manage(self, path: str) -> Reply:
        """A GET of the management port, without a token."""
        return await self.as_user(None).get(self.management_url + path)

    async def guids(self, path: str) -> list[str]:
        """The GUIDs of one page that must be there."""
        reply = await self.get(path)
        assert reply.status == 200, reply.body
        return [resource["guid"] for resource in reply.json["resources"]]

    async def all_guids(self, path: str) -> list[str]:
        """The GUIDs of all pages, following `pagination.next`."""
        found: list[str] = []
        following: str | None = path
        while following:
            reply = await self.get(following)
            assert reply.status == 200, reply.body
            found += [resource["guid"] for resource in reply.json["resources"]]
            after = reply.json["pagination"]["next"]
            following = after["href"] if after else None
        return found


def assert_cf_error(reply: Reply, status: int, code: int, title: str, detail: str | None = None) -> str:
    """The reply is exactly one error of this kind, in the API's shape; returns its detail."""
    assert reply.status == status, reply.body
    assert reply.headers["Content-Type"] == "application/json; charset=utf-8"
    assert reply.headers["X-Vcap-Request-Id"]
    assert reply.json.keys() == {"errors"}
    (error,) = reply.json["errors"]
    assert error.keys() == {"code", "detail", "title"}
    assert (error["code"], error["title"]) == (code, title)
    if detail is not None:
        assert error["detail"] == detail
    text: str = error["detail"]
    return text


@asynccontextmanager
async def running(settings: Settings, *, token: str | None = None, ready: bool = True) -> AsyncIterator[Api]:
    """The service in this process, on ports of its own; waits until it is ready unless told not to.

    Fails if the service leaves a task behind.
    """
    before = asyncio.all_tasks()
    application = composition.build(settings)
    management = composition.build_management(application)
    limits = Limits.of(settings)
    async with (
        listening(management, "127.0.0.1", 0, limits=limits, shutdown_timeout_s=1) as ((*_, management_port),),
        listening(application, "127.0.0.1", 0, limits=limits, shutdown_timeout_s=5) as ((*_, port),),
        aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=["Accept-Encoding"]) as session,
    ):
        api = Api(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{management_port}", token, session, application)
        if ready:

            async def is_ready() -> bool:
                return (await api.manage("/readyz")).status == 200

            await eventually(is_ready, 20)
        yield api
    left = {
        task
        for task in asyncio.all_tasks() - before
        if task is not asyncio.current_task() and not task.done() and _serves(task) in (None, port, management_port)
    }
    if left:
        # A connection whose other end has just closed takes a moment to notice.
        _, left = await asyncio.wait(left, timeout=2)
    assert not left, left


def _serves(task: asyncio.Task[Any]) -> int | None:
    """The port of the connection that the task serves, if it does: other services in the test have theirs."""
    frame = getattr(task.get_coro(), "cr_frame", None)
    handler = frame.f_locals.get("self") if frame is not None else None
    if not isinstance(handler, RequestHandler) or handler.transport is None:
        return None
    port: int = handler.transport.get_extra_info("sockname")[1]
    return port
