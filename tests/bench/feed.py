"""The part of kube-apiserver the service watches, at any size: `python -m tests.bench.feed`.

http://…/COUNT/NAMESPACES is a cluster of so many processes: as the `server` of a kubeconfig it streams their
Deployments and Namespaces, and what routes lead to them, then bookmarks. POST /expire ends every watch with the 410
that makes its client list anew, and POST /changes/N has N Deployments a second change from now on. GET /requests says
how many requests there were of all clusters. Prints its address and serves until it is ended.
"""

import asyncio
import contextlib
import random
from collections.abc import Iterable, Iterator
from typing import Any

import orjson
import uvloop
from aiohttp import web

from service.cluster.collection import INITIAL_EVENTS_END
from tests.bench import population

_BATCH = 64
"""Events a write: about what one read of the socket gives the client anyway."""
_BOOKMARK_S = 5.0
_TICK_S = 0.02
"""Between changes, of several Deployments at a time."""
_ROUTES = {
    "/services": population.services,
    "/ingresses": population.ingresses,
    "/httproutes": population.http_routes,
}
_EXPIRED = orjson.dumps({"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}) + b"\n"


class Feed:
    def __init__(self) -> None:
        self._expired = asyncio.Event()
        self._requests = 0
        self._changes_per_s = 0

    async def requests(self, _request: web.Request) -> web.Response:
        return web.json_response(self._requests)

    async def watch(self, request: web.Request) -> web.StreamResponse:
        count, namespaces = int(request.match_info["count"]), int(request.match_info["namespaces"])
        self._requests += 1
        if "watch" not in request.query:
            # Whether there is such a collection.
            return web.json_response({"metadata": {"resourceVersion": str(count + 1)}, "items": []})
        stream = web.StreamResponse(headers={"Content-Type": "application/json"})
        await stream.prepare(request)
        if "sendInitialEvents" in request.query:
            for batch in _batches(_initial(request.match_info["path"], count, namespaces)):
                await stream.write(batch)
            await stream.write(_bookmark(count + 1, {INITIAL_EVENTS_END: "true"}))
        expired, version, told = self._expired, count + 1, 0.0
        loop, chance = asyncio.get_running_loop(), random.Random(count)
        while not expired.is_set():
            if changes := round(self._changes_per_s * _TICK_S) if request.path.endswith("/deployments") else 0:
                changed = chance.sample(range(count), changes)
                events = (population.modified(n, count, namespaces, version + i) for i, n in enumerate(changed, 1))
                await stream.write(b"".join(events))
                version += changes
            if loop.time() > told + _BOOKMARK_S:
                told = loop.time()
                await stream.write(_bookmark(version))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(expired.wait(), _TICK_S if changes else _BOOKMARK_S)
        await stream.write(_EXPIRED)
        return stream

    async def change(self, request: web.Request) -> web.Response:
        self._changes_per_s = int(request.match_info["changes"])
        return web.Response(status=204)

    async def expire(self, request: web.Request) -> web.Response:
        self._expired.set()
        self._expired = asyncio.Event()
        return web.Response(status=204)


def _initial(path: str, count: int, namespaces: int) -> Iterator[bytes]:
    if path.endswith("/deployments"):
        yield from population.added(count, namespaces)
    elif path.endswith("/namespaces"):
        for number in range(namespaces):
            name = f"space-{number:04}"
            meta = {
                "name": name,
                "uid": f"uid-{name}",
                "resourceVersion": str(number),
                "creationTimestamp": "2024-01-01T00:00:00Z",
                "labels": population.namespace_labels(name),
            }
            yield _added({"metadata": meta})
    for kind, manifests in _ROUTES.items():
        if path.endswith(kind):
            yield from map(_added, manifests(count, namespaces))


def _added(found: dict[str, Any]) -> bytes:
    return orjson.dumps({"type": "ADDED", "object": found}) + b"\n"


def _batches(events: Iterable[bytes]) -> Iterator[bytes]:
    batch = []
    for event in events:
        batch.append(event)
        if len(batch) == _BATCH:
            yield b"".join(batch)
            batch.clear()
    yield b"".join(batch)


def _bookmark(version: int, annotations: dict[str, str] | None = None) -> bytes:
    meta = {"resourceVersion": str(version), **({"annotations": annotations} if annotations else {})}
    return orjson.dumps({"type": "BOOKMARK", "object": {"metadata": meta}}) + b"\n"


async def _serve() -> None:
    feed = Feed()
    app = web.Application()
    app.router.add_post("/expire", feed.expire)
    app.router.add_post(r"/changes/{changes:\d+}", feed.change)
    app.router.add_get("/requests", feed.requests)
    app.router.add_get(r"/{count:\d+}/{namespaces:\d+}/{path:.*}", feed.watch)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve())
