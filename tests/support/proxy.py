"""A relay between the service and the real kube-apiserver, for faults that neither produces on demand.

It passes everything on as it is. A test may hold the events of watches back, or be called in between a request and its
answer, where it may wait, end a process or break the connection off.
"""

import asyncio
import base64
import json
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web

Before = Callable[[web.Request], Awaitable[None]]
After = Callable[[web.Request, int], Awaitable[None]]


class BreakOff(Exception):
    """Raised by a hook: the caller gets no answer."""


@dataclass(frozen=True)
class Instead(Exception):
    """Raised by the hook before a request: the caller gets this answer, and Kubernetes never hears of it."""

    status: int
    body: bytes
    content_type: str = "application/json"


@dataclass
class Relay:
    kubeconfig: Path
    """Of the service's account, through the relay."""
    before: Before | None = None
    """Called with a request before it is passed on."""
    after: After | None = None
    """Called with a request and the status Kubernetes answered it with, before the answer is passed on."""
    flowing: defaultdict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(_flowing))
    """By the last part of a path (`deployments`, `pods`): cleared, watches of it say nothing."""

    late_s: float = 0.0
    """By how much what watches say is late, at least."""

    def hold(self, kind: str) -> None:
        """Let watches of this kind say nothing."""
        self.flowing[kind].clear()

    def let_go(self) -> None:
        """Let them say what they have to say."""
        for flowing in self.flowing.values():
            flowing.set()


def _flowing() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@asynccontextmanager
async def relaying(
    service_kubeconfig: Path, directory: Path, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Relay]:
    """`tls` is for those who ask the relay; its kubeconfig says nothing of whom they are to believe."""
    config = json.loads(service_kubeconfig.read_text())
    cluster = config["clusters"][0]["cluster"]
    server = cluster["server"]
    context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    relay = Relay(directory / "relayed-kubeconfig")

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await pass_on(request)
        except aiohttp.ClientError:
            # Either end is gone: the other is to see no more of it than without the relay.
            return _broken_off(request)

    async def pass_on(request: web.Request) -> web.StreamResponse:
        if relay.before is not None:
            try:
                await relay.before(request)
            except BreakOff:
                return _broken_off(request)
            except Instead as own:
                return web.Response(status=own.status, body=own.body, content_type=own.content_type)
        headers = {k: v for k, v in request.headers.items() if k.lower() not in ("host", "content-length")}
        async with session.request(
            request.method, server + request.raw_path, headers=headers, data=await request.read()
        ) as answer:
            if "watch=true" in request.raw_path:
                return await _stream(request, answer)
            body = await answer.read()
            if relay.after is not None:
                try:
                    await relay.after(request, answer.status)
                except BreakOff:
                    return _broken_off(request)
            return web.Response(status=answer.status, body=body, content_type=answer.content_type)

    async def _stream(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers={"Content-Type": "application/json"})
        await response.prepare(request)
        kind = request.path.rpartition("/")[2]
        async for piece in answer.content.iter_any():
            await asyncio.sleep(relay.late_s)
            await relay.flowing[kind].wait()
            await response.write(piece)
        return response

    del cluster["certificate-authority-data"]
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context, limit=0), timeout=aiohttp.ClientTimeout()
    ) as session:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
            cluster["server"] = f"{'http' if tls is None else 'https'}://127.0.0.1:{runner.addresses[0][1]}"
            relay.kubeconfig.write_text(json.dumps(config))
            yield relay
        finally:
            await runner.cleanup()


def _broken_off(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
