"""What a real kube-apiserver will not do on demand, done by a scripted one.

Each script answers the watches of one collection in turn; what the reflector's consumer holds at the end is compared
with what a client that saw everything would hold.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from structlog.testing import capture_logs

from service.cluster.client import Client
from service.cluster.collection import INITIAL_EVENTS_END
from service.cluster.feeds import DeploymentFeed
from service.cluster.kubernetes_client import Configuration
from service.cluster.watch import Reflector
from service.model.index import Index
from service.model.labels import Keys
from service.model.selection import Slice
from tests.cluster.test_reflector import Objects
from tests.support.kube import deployment, eventually

Turn = Callable[[web.Request, "Stream"], Awaitable[web.StreamResponse | None]]


class Stream:
    """One watch response, as the script writes it."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.response = web.StreamResponse()

    async def event(self, kind: str, name: str, version: int, **extra: Any) -> None:
        meta = {"name": name, "uid": f"uid-{name}", "resourceVersion": str(version), **extra}
        await self.line({"type": kind, "object": {"metadata": meta}})

    async def listed(self, version: int) -> None:
        await self.event("BOOKMARK", "", version, annotations={INITIAL_EVENTS_END: "true"})

    async def line(self, value: Any) -> None:
        await self.raw(orjson.dumps(value) + b"\n")

    async def raw(self, data: bytes) -> None:
        if not self.response.prepared:
            await self.response.prepare(self._request)
        await self.response.write(data)


@asynccontextmanager
async def scripted(
    *turns: Turn, inactivity_s: float = 5, consumer: Any = None, latest: int = 1000, last: int | None = 11
) -> AsyncIterator[tuple[Reflector, Any, list[dict[str, str]]]]:
    """A reflector fed by these turns; the last one goes on for ever. Yields it, its consumer, and the queries asked.

    `latest` is the version that the cluster says it is at when it is asked for that alone, between the turns; `last`
    that of object a when it is asked for that alone, None: it has none of that name.
    """
    asked: list[dict[str, str]] = []
    released = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.query.get("limit") == "1":
            return web.json_response({"metadata": {"resourceVersion": str(latest)}, "items": []})
        if "fieldSelector" in request.query:
            found = [] if last is None else [{"metadata": {"name": "a", "uid": "uid-a", "resourceVersion": str(last)}}]
            return web.json_response({"metadata": {"resourceVersion": str(latest)}, "items": found})
        asked.append(dict(request.query))
        stream = Stream(request)
        is_last = len(asked) >= len(turns)
        answer = await turns[min(len(asked), len(turns)) - 1](request, stream)
        if is_last and answer is None:
            await released.wait()
        return answer or stream.response

    app = web.Application()
    app.router.add_get("/apis/apps/v1/deployments", handle)
    server = TestServer(app)
    await server.start_server()
    client = Client(Configuration(host=str(server.make_url("")).rstrip("/")), 2)
    objects = consumer or Objects()
    reflector = Reflector(client, "/apis/apps/v1/deployments", objects, inactivity_s=inactivity_s)
    task = asyncio.create_task(reflector.run())
    try:
        yield reflector, objects, asked
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        released.set()
        await client.close()
        await server.close()


async def first_list(_: web.Request, stream: Stream) -> None:
    await stream.event("ADDED", "a", 1)
    await stream.event("ADDED", "b", 2)
    await stream.listed(10)
    await stream.event("MODIFIED", "a", 11)


async def second_list(_: web.Request, stream: Stream) -> None:
    """Meanwhile b has gone and c has come."""
    await stream.event("ADDED", "a", 11)
    await stream.event("ADDED", "c", 20)
    await stream.listed(21)


async def resumed(_: web.Request, stream: Stream) -> None:
    await stream.event("DELETED", "b", 12)
    await stream.event("ADDED", "c", 13)


async def has(objects: Objects, *names: str) -> None:
    async def same() -> bool:
        return sorted(objects.names.values()) == sorted(names)

    await eventually(same)


async def test_orderly_end_resumes_where_it_was() -> None:
    async with scripted(first_list, resumed) as (reflector, objects, asked):
        await has(objects, "a", "c")
        assert asked[1]["resourceVersion"] == "11"
        assert "sendInitialEvents" not in asked[1]
        assert reflector.state.relists == 0


async def test_cut_in_the_middle_of_a_line_resumes_where_it_was() -> None:
    async def cut(request: web.Request, stream: Stream) -> None:
        await first_list(request, stream)
        await stream.raw(b'{"type":"DELETED","object":{"metadata":{"name":"a","uid":"uid-a"')
        assert request.transport is not None
        request.transport.close()

    async with scripted(cut, resumed) as (_, objects, asked):
        await has(objects, "a", "c")
        assert asked[1]["resourceVersion"] == "11"


async def gone_as_status(_: web.Request, __: Stream) -> web.StreamResponse:
    return web.json_response({"kind": "Status", "code": 410, "message": "too old"}, status=410)


async def gone_as_event(_: web.Request, stream: Stream) -> None:
    await stream.line({"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}})


@pytest.mark.parametrize("gone", [gone_as_status, gone_as_event])
async def test_410_lists_anew_and_keeps_no_ghost(gone: Turn) -> None:
    async with scripted(first_list, gone, second_list) as (reflector, objects, asked):
        await has(objects, "a", "c")
        assert "resourceVersion" not in asked[2]
        assert reflector.state.relists == 1


async def html(_: web.Request, __: Stream) -> web.StreamResponse:
    return web.Response(text="<html><body>Bad day</body></html>", content_type="text/html")


async def garbage(_: web.Request, stream: Stream) -> None:
    await stream.raw(b"\x00\xff not json\n")


async def wrong_shape(_: web.Request, stream: Stream) -> None:
    await stream.line(["no", "event"])


# A page without a line break holds no event that could have been missed: the watch goes on where it was.
@pytest.mark.parametrize(("nonsense", "after"), [(html, resumed), (garbage, second_list), (wrong_shape, second_list)])
async def test_nonsense_instead_of_a_watch_is_overcome(nonsense: Turn, after: Turn) -> None:
    async with scripted(first_list, nonsense, after) as (_, objects, __):
        await has(objects, "a", "c")


async def away(_: web.Request, __: Stream) -> web.StreamResponse:
    return web.Response(status=503)


async def empty(_: web.Request, stream: Stream) -> None:
    await stream.raw(b"")


async def one_bookmark(_: web.Request, stream: Stream) -> None:
    await stream.event("BOOKMARK", "", 11)


@pytest.mark.parametrize("trouble", [away, empty, html, one_bookmark])
async def test_trouble_is_met_with_growing_pauses(trouble: Turn) -> None:
    async with scripted(first_list, trouble, trouble, trouble, resumed) as (_, objects, asked):
        loop = asyncio.get_running_loop()
        started = loop.time()
        await has(objects, "a", "c")
        assert loop.time() - started > 0.7
        assert len(asked) == 5


@pytest.mark.parametrize("trouble", [html, garbage, gone_as_event, away])
async def test_lasting_trouble_shows_as_age(trouble: Turn) -> None:
    async with scripted(first_list, *[trouble] * 50) as (reflector, _, __):

        async def aged() -> bool:
            return reflector.state.age_s(time.monotonic()) > 1.0

        await eventually(aged)


async def test_errors_but_for_410_are_answered_with_a_new_list_too() -> None:
    async def error(_: web.Request, stream: Stream) -> None:
        await stream.line({"type": "ERROR", "object": {"kind": "Status", "code": 500, "message": "etcd"}})

    async with scripted(first_list, error, second_list) as (_, objects, asked):
        await has(objects, "a", "c")
        assert "resourceVersion" not in asked[2]


async def nothing(_: web.Request, stream: Stream) -> None:
    await stream.raw(b"")
    await asyncio.sleep(3)


async def dead(request: web.Request, stream: Stream) -> None:
    """A connection on which nothing comes any more, though something happens."""
    await first_list(request, stream)
    await asyncio.sleep(3)


async def test_dead_connection_loses_nothing() -> None:
    async with scripted(dead, resumed, inactivity_s=0.3) as (reflector, objects, asked):
        await has(objects, "a", "c")
        assert asked[1]["resourceVersion"] == "11"
        assert reflector.state.relists == 0


async def test_watch_with_nothing_to_tell_is_no_trouble() -> None:
    """kube-apiserver sends no bookmark for the version at which a watch began, for as long as nothing changes."""
    turns = (dead, nothing, nothing, nothing, resumed)
    with capture_logs() as logged:
        async with scripted(*turns, inactivity_s=0.3) as (reflector, objects, asked):
            await has(objects, "a", "c")
            assert [query.get("resourceVersion") for query in asked[1:]] == ["11"] * 4
            assert (reflector.state.restarts, reflector.state.relists, reflector.state.failure) == (0, 0, "")
    assert {entry["log_level"] for entry in logged} <= {"debug", "info"}


async def test_list_that_stops_midway_is_begun_anew() -> None:
    async def stopped(_: web.Request, stream: Stream) -> None:
        await stream.event("ADDED", "b", 1)
        await asyncio.sleep(3)

    async with scripted(stopped, second_list, inactivity_s=0.3) as (reflector, objects, asked):
        await has(objects, "a", "c")
        assert "resourceVersion" not in asked[1]
        assert reflector.state.restarts == 1


async def cut_off(request: web.Request, stream: Stream) -> None:
    await first_list(request, stream)
    assert request.transport is not None
    request.transport.close()


@pytest.mark.parametrize("last_seen_of_it", [dead, cut_off])
async def test_cluster_behind_what_was_seen_of_it_is_listed_anew(last_seen_of_it: Turn) -> None:
    """One restored from a backup says nothing up to the version we would go on from, not even bookmarks."""
    async with scripted(last_seen_of_it, second_list, inactivity_s=0.3, latest=10) as (reflector, objects, asked):
        await has(objects, "a", "c")
        assert "resourceVersion" not in asked[1]
        assert reflector.state.relists == 1


@pytest.mark.parametrize("last", [None, 9, 15])
async def test_cluster_that_has_come_to_the_version_by_another_history_is_listed_anew(last: int | None) -> None:
    """What the last event was about is not there, is of an earlier version, or was never of the version it had."""
    async with scripted(cut_off, second_list, latest=30, last=last) as (reflector, objects, asked):
        await has(objects, "a", "c")
        assert "resourceVersion" not in asked[1]
        assert reflector.state.relists == 1


async def test_cut_off_after_a_deletion_is_listed_anew_as_nobody_can_tell_whether_it_is_history_still() -> None:
    async def deleted(request: web.Request, stream: Stream) -> None:
        await stream.event("ADDED", "b", 2)
        await stream.listed(10)
        await stream.event("DELETED", "b", 11)
        assert request.transport is not None
        request.transport.close()

    async with scripted(deleted, second_list) as (_, objects, asked):
        await has(objects, "a", "c")
        assert "resourceVersion" not in asked[1]


@pytest.mark.parametrize("kind", ["MODIFIED", "BOOKMARK"])
async def test_event_of_an_earlier_version_is_of_another_history(kind: str) -> None:
    async def goes_back(request: web.Request, stream: Stream) -> None:
        await first_list(request, stream)
        await stream.event(kind, "a", 7)

    async with scripted(goes_back, second_list) as (reflector, objects, asked):
        await has(objects, "a", "c")
        assert "resourceVersion" not in asked[1]
        assert reflector.state.relists == 1


async def test_list_begun_anew_proves_nothing_before_it_is_complete() -> None:
    async def begun(_: web.Request, stream: Stream) -> None:
        await stream.event("ADDED", "a", 11)
        await asyncio.sleep(2)
        await second_list(_, stream)

    async with scripted(first_list, gone_as_event, begun) as (reflector, objects, _):

        async def aged() -> bool:
            return reflector.state.age_s(time.monotonic()) > 0

        await eventually(aged)
        await has(objects, "a", "c")
        assert reflector.state.age_s(time.monotonic()) == 0


async def test_list_that_breaks_off_is_not_taken_for_complete() -> None:
    async def half(_: web.Request, stream: Stream) -> None:
        await stream.event("ADDED", "a", 11)

    async with scripted(first_list, gone_as_event, half, second_list) as (_, objects, asked):
        await has(objects, "a", "c")
        assert len(asked) == 4


async def test_not_synced_before_the_list_is_complete() -> None:
    async def unfinished(_: web.Request, stream: Stream) -> None:
        await stream.event("ADDED", "a", 1)

    async with scripted(unfinished) as (reflector, objects, _):
        await has(objects, "a")
        assert not reflector.state.synced
        assert not reflector.state.connected


async def test_server_without_streamed_lists_is_listed_in_chunks() -> None:
    async def refuse(_: web.Request, __: Stream) -> web.StreamResponse:
        return web.json_response(
            {"kind": "Status", "code": 422, "message": "sendInitialEvents is forbidden"}, status=422
        )

    def chunk(names: list[str], token: str) -> Turn:
        async def answer(_: web.Request, __: Stream) -> web.StreamResponse:
            items = [{"metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": "5"}} for name in names]
            return web.json_response({"metadata": {"resourceVersion": "10", "continue": token}, "items": items})

        return answer

    async def token_expired(_: web.Request, __: Stream) -> web.StreamResponse:
        return web.json_response({"kind": "Status", "code": 410, "message": "expired"}, status=410)

    turns = (refuse, chunk(["a", "x"], "more"), token_expired, chunk(["a"], "more"), chunk(["b"], ""), resumed)
    async with scripted(*turns) as (_, objects, asked):
        await has(objects, "a", "c")
        assert [query.get("continue") for query in asked] == [None, None, "more", None, "more", None]
        assert asked[5]["resourceVersion"] == "10"


async def test_lines_longer_than_any_buffer_come_through() -> None:
    async def long(_: web.Request, stream: Stream) -> None:
        await stream.event("ADDED", "big", 1, annotations={"padding": "x" * 3_000_000})
        await stream.listed(2)

    async with scripted(long) as (_, objects, __):
        await has(objects, "big")


def served(index: Index) -> list[str]:
    return [process.workload.name for process in index.processes.page(None, Slice(size=100)).items]


async def test_deployment_that_cannot_be_understood_is_skipped_and_its_old_state_not_shown() -> None:
    def manifest(name: str, version: int, **fields: Any) -> dict[str, Any]:
        made = deployment(name, "space", f"app-{name}", **fields)
        made["metadata"] |= {
            "uid": f"uid-{name}",
            "resourceVersion": str(version),
            "creationTimestamp": "2026-01-01T00:00:00Z",
        }
        return made

    async def script(_: web.Request, stream: Stream) -> None:
        await stream.line({"type": "ADDED", "object": manifest("good", 1)})
        await stream.line({"type": "ADDED", "object": manifest("turns-bad", 2)})
        negative = manifest("negative", 3, resources={"limits": {"memory": "-5Mi"}})
        await stream.line({"type": "ADDED", "object": negative})
        await stream.line({"type": "ADDED", "object": {**manifest("no-spec", 4), "spec": "nonsense"}})
        await stream.listed(10)
        containerless = manifest("turns-bad", 11)
        containerless["spec"]["template"]["spec"]["containers"] = []
        await stream.line({"type": "MODIFIED", "object": containerless})
        await stream.line({"type": "ADDED", "object": manifest("late", 12)})

    index = Index()
    feed = DeploymentFeed(index, Keys())
    async with scripted(script, consumer=feed) as (_, __, ___):

        async def all_consumed() -> bool:
            return "late" in served(index)

        await eventually(all_consumed)
    assert sorted(served(index)) == ["good", "late"]
    assert sorted(skipped.name for skipped in feed.skipped.values()) == ["negative", "no-spec", "turns-bad"]
    feed.delete("uid-negative", 13)
    for _ in feed.retain({"uid-good"}):
        pass
    assert served(index) == ["good"]
    assert not feed.skipped
