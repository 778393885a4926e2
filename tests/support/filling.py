"""Fills every cache of the service beyond what it may hold, as many callers and tenants could who mean harm.

A program of its own, as memory that others have used before would hide what the caches take: `python -m
tests.support.filling` prints how many bytes of memory the process has gained.
"""

import asyncio
import ctypes
import gc
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from service.access import Caller, Unrestricted
from service.api.document import Document
from service.api.pages import Pages
from service.api.resources.instances.bodies import StatsBodies
from service.api.resources.processes.resource import READABLE, RESOURCE
from service.cache import Numbers
from service.cluster import access as of_access
from service.cluster.access import ClusterAccess
from service.cluster.client import Client
from service.cluster.deployment_cache import DeploymentCache
from service.cluster.feeds import DeploymentFeed
from service.cluster.reviews import review_key
from service.cluster.sights import Sight
from service.freshness import Freshness, ReadBarrier
from service.http.rate_limits import CAPACITY, Windows
from service.http.ready_answers import ReadyAnswers
from service.http.work import Work
from service.metrics.numbers import Requests
from service.model.autoscalers import Autoscalers
from service.model.derive import derive_workload
from service.model.index import Index
from service.model.instances import Instance
from service.model.labels import Keys
from service.model.paging import PageRequest
from service.model.pod_index import PodIndex
from service.model.pods import derive_pods
from service.model.selection import Filters, Slice
from service.model.views import Visible
from service.operations.instances import Stats
from service.operations.overview import Overview
from service.operations.problems import Problems
from service.operations.questions import ListRequest
from service.operations.reads import Reads
from service.operations.standing import Standing
from service.store.mirror import MirrorState
from tests.model.builders import decode_pod, deployment, index_of, metadata, pod_dict, workload

NAMESPACES = [f"namespace-{number:050}" for number in range(300)]
PROCESSES = 1_500
KEYS = Keys()


NO_CACHES = ("the service itself", "processes with three Pods", "requests that come in", "in all")
"""What the rows of the table of memory say that are no caches."""


def memory_table() -> dict[str, int]:
    """The table of memory that operators are shown, in MiB."""
    text = (Path(__file__).parents[2] / "deploy/OPERATING.md").read_text()
    rows = text.split("| what | MiB at most |\n|---|---|\n")[1].split("\n\n")[0]
    return {row.split("|")[1].strip(): int(row.split("|")[2]) for row in rows.splitlines()}


class Current:
    """A barrier before which nothing has to be waited for."""

    async def catch_up(self, _concerned: object = None, *, pods: bool = False) -> Freshness:
        return Freshness()

    def as_of_now(self, freshness: Freshness) -> Freshness:
        return freshness


class Seeing(Unrestricted):
    """Everybody sees another part of the namespaces."""

    def __init__(self) -> None:
        self.turn = 0

    async def visible(self, *_: object, **__: object) -> frozenset[str]:
        self.turn += 1
        bits = self.turn * 0x9E3779B97F4A7C15
        return frozenset(name for number, name in enumerate(NAMESPACES) if bits >> (number % 61) & 1)


def rss() -> int:
    """Bytes of memory that the process has, once what is free has been given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def _index() -> Index:
    return index_of(
        (
            workload(
                f"u{number}",
                guid=f"shared-{number % 500}",
                app_guid=f"app-{number % 700}",
                type=f"type-{number}",
                namespace=NAMESPACES[number % len(NAMESPACES)],
                command="\U0001f4a5" * 4000,
            )
            for number in range(PROCESSES)
        ),
        (metadata(NAMESPACES[0], f"app-{number}", annotations={"long": "x" * 500}) for number in range(700)),
    )


async def fill(index: Index) -> object:
    """All of them. What is returned keeps what was filled."""
    filled: list[object] = [await _fill_access(), await _fill_pages(index), await _fill_reads(index)]
    filled += [_fill_queries(), _fill_document(), _fill_deployments(), _fill_windows()]
    filled.append(_fill_ready_answers(index))
    filled.append(_fill_stats())
    _fill_shared()
    return filled


async def _fill_access() -> object:
    access = ClusterAccess(cast(Client, None), ttl_s=600, grace_s=600, timeout_s=1, concurrency=1)

    async def answer() -> bool:
        return True

    for what, size in (("access", of_access.PERMISSIONS_BYTES), ("change", of_access.CHANGES_BYTES)):
        for number in range(size // 300):
            await access.reviews[what].get(review_key(number.to_bytes(32), "list", "any"), answer)
    for number in range(of_access.CALLERS_BYTES // 1500):

        async def caller(number: int = number) -> object:
            groups = tuple(f"group-{number}-{each:040}" for each in range(20))
            return Caller(f"user-{number}", number.to_bytes(32), groups=groups)

        await access.reviews["token"].get(number.to_bytes(32), caller)
    for number in range(1000):
        names = frozenset(f"{number}-{each:050}" for each in range(200))
        access._sights.put(number.to_bytes(32), Sight(names, names | frozenset(NAMESPACES), 0.0))
    return access


async def _fill_pages(index: Index) -> object:
    pages, kind = Pages(), READABLE.row_kind
    for number in range(60):
        base = f"http://{number:0250}"
        for size in (50, 500, PROCESSES):
            request = ListRequest(page=PageRequest(per_page=size))
            selection = index.processes.page(None, request.slice)
            pairs = (("guids", ",".join(f"{number}-{each}" for each in range(3000))),)
            await pages.encode(kind, selection, request.page, f"{base}/v3/processes", pairs, base)
        # What is changed is another item, and the old one lives as long as it is kept.
        for each in range(0, PROCESSES, 10):
            changed = workload(
                f"u{each}",
                guid=f"shared-{each % 500}",
                app_guid=f"app-{each % 700}",
                type=f"type-{each}",
                namespace=NAMESPACES[each % len(NAMESPACES)],
                command=f"{number}" + "\U0001f4a5" * 4000,
            )
            index.put_workload(changed)
    return pages


async def _fill_reads(index: Index) -> object:
    access = Seeing()
    reads = Reads(index.processes, access, cast(ReadBarrier, Current()))
    looked_at: dict[str, Reads[Any]] = {
        name: Reads(collection, access, cast(ReadBarrier, Current()))
        for name, collection in (("apps", index.apps), ("spaces", index.spaces), ("orgs", index.organizations))
    }
    overview = Overview(
        access=access,
        spaces=looked_at["spaces"],
        apps=looked_at["apps"],
        index=index,
        pods=PodIndex(),
        autoscalers=Autoscalers(),
    )
    problems = Problems(index, access, DeploymentFeed(index, KEYS), MirrorState())
    anyone = Caller("anyone", b"")
    for number in range(400):
        guids = frozenset(f"{number}-{each:040}" for each in range(3000))
        await reads.page(anyone, ListRequest(Filters((("guids", guids),))))
        await reads.page(anyone, ListRequest(page=PageRequest(per_page=5000)))
    for number in range(300):
        guids = frozenset(f"{number}-{each:040}" for each in range(1000))
        await overview.of_spaces(anyone, guids | frozenset(NAMESPACES))
        await overview.of_organizations(anyone, guids | {"default"})
        await problems.find(anyone)
        await looked_at["spaces"].page(anyone, ListRequest())
        await looked_at["orgs"].page(anyone, ListRequest())
    return reads, overview, problems, looked_at


def _fill_stats() -> object:
    bodies = StatsBodies(16384)
    many = index_of(workload(f"stats-{number}", app_guid=f"app-{number}") for number in range(300))
    for number, process in enumerate(many.processes.page(None, Slice(size=300)).items):
        bodies.encode(Stats(process, [Instance(index, None) for index in range(number)], {}), 0)
    return bodies


async def _nothing(_: web.Request) -> web.Response:
    return web.Response()


def _fill_ready_answers(index: Index) -> object:
    ready, standings = ReadyAnswers(work=Work(1), requests=Requests((1.0,))), Numbers[Visible](1 << 20)
    router = web.UrlDispatcher()
    route = router.add_get("/", _nothing)
    request = make_mocked_request("GET", "/", match_info=web.UrlMappingMatchInfo({}, route))
    for number in range(4_000):
        groups = tuple(f"group-{number}-{each:040}" for each in range(20))
        caller = Caller(f"user-{number}", number.to_bytes(32), groups=groups, token_hash=number.to_bytes(32))
        there = partial(index.processes.namespaces_having, "guids", f"guid-{number}")
        standing = Standing.take(
            Seeing(), cast(ReadBarrier, Current()), standings, caller, "get", there, (index.processes,), None
        )
        assert standing is not None
        response = web.Response(body=b"x" * (number % 3000), headers={"ETag": f"{number}", "Vary": "Authorization"})
        ready.keep(number.to_bytes(32), request, response, standing, in_place=True)
        ready.remember(number.to_bytes(32), number.to_bytes(32))
    return ready


def _fill_queries() -> object:
    query = READABLE.list_query
    for number in range(5_000):
        query.parse("guids=" + ",".join(f"{number:05x}{each:x}" for each in range(70)))
    return query


def _fill_document() -> object:
    document = Document((RESOURCE,), {})
    for number in range(500):
        document.encode(f"http://{number:0250}")
    return document


def _fill_deployments() -> object:
    cache = DeploymentCache()
    for number in range(3_000):
        raw = b'{"metadata":{},"spec":"%s"}' % (b"x" * (2_000 + number))
        cache.put(workload(f"uid-{number:030}", command=f"{number}" * 500), 1, raw)
    return cache


def _fill_windows() -> object:
    callers, addresses = Windows(100, 3600), Windows(100, 3600)
    for number in range(CAPACITY + 1000):
        callers.take(number.to_bytes(16))
        addresses.take(f"{number:045}")
    return callers, addresses


def _fill_shared() -> None:
    """What derived texts and amounts share."""
    for number in range(6_000):
        path, amount = "/" + chr(0x1F600 + number % 80) * 240 + f"{number}", f"{number}.{number:029}"
        derive_workload(
            deployment(
                annotations={KEYS.health_check: f'{{"type":"http","endpoint":"{path}","pad":"{number:01500}"}}'},
                container={
                    "livenessProbe": {"httpGet": {"path": path}},
                    "resources": {"limits": {"memory": amount, "ephemeral-storage": amount + "0"}},
                },
                pod={"imagePullSecrets": [{"name": f"{number:0250}"}]},
            ),
            KEYS,
        )
        ports = [{"containerPort": 1 + (number * 64 + each) % 65_000} for each in range(64)]
        manifest = pod_dict(container={"ports": ports, "resources": {"requests": {"cpu": amount}}})
        derive_pods(decode_pod(manifest), dict[str, str]().get)


def _grown() -> Iterator[int]:
    index = _index()
    before = rss()
    filled = asyncio.run(fill(index))
    yield rss() - before
    del filled


if __name__ == "__main__":
    print(next(_grown()))
