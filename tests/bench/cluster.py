"""Against a real control plane with 5,000 Deployments: the service beside the API server it stands in front of."""

import asyncio
import random
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from deploy.local.stack import Stack
from service.model.derive import process_guid
from tests.bench import population, programs, stalls
from tests.bench.load import CONNECTIONS, Target, in_turns, wrk
from tests.bench.programs import Service, get, serving
from tests.bench.report import Row, at_least, at_most, within
from tests.support.kube import KEYS, Kube, eventually

COUNT, NAMESPACES = 5_000, 50
NODES = 2
ROUNDS = 5
_CREATORS = 32
_STARTS = 3
_CHANGES = 200
_APPS = 500
"""So many different apps are asked for in turn: neither side answers from having just answered the same."""
_DEPLOYMENTS = "/apis/apps/v1/deployments"
_LIST = "/v3/processes?per_page=50"


@dataclass(frozen=True)
class _Bench:
    stack: Stack
    kube: Kube
    token: str
    environ: dict[str, str]
    seconds: int

    def ours(self, service: Service, *paths: str) -> Target:
        return Target(service.url, paths, self.token)

    def theirs(self, *paths: str) -> Target:
        return Target(self.stack.control_plane.server, paths, self.token)


async def measure(stack: Stack, seconds: int) -> AsyncIterator[Row]:
    """All findings, each as soon as it is made."""
    kube = await Kube.of(str(stack.kubeconfig))
    try:
        yield await _populate(kube)
        bench = _Bench(
            stack,
            kube,
            await kube.token_of_new_user(cluster_roles=("processes-operator",)),
            {
                "KUBECONFIG": str(stack.service_kubeconfig),
                "DATABASE_URL": await programs.create_database(stack.database_url),
            },
            seconds,
        )
        async with _started(bench) as (service, start):
            yield start
            yield await _reviews(bench, service)
            for comparison in (_one_app, _first_page, _bare):
                for row in await comparison(bench, service):
                    yield row
            yield await _freshness(bench, service)
        async for row in _stalls(bench):
            yield row
    finally:
        await kube.close()


async def _populate(kube: Kube) -> Row:
    started = time.perf_counter()
    for number in range(NAMESPACES):
        name = f"space-{number:04}"
        await kube.create_namespace(population.namespace_labels(name), name)
    pending = iter(range(COUNT))

    async def create() -> None:
        for n in pending:
            await kube.create(population.manifest(n, NAMESPACES))

    await asyncio.gather(*(create() for _ in range(_CREATORS)))
    return Row(f"{COUNT:,} Deployments created", f"{time.perf_counter() - started:.0f} s")


@asynccontextmanager
async def _started(bench: _Bench) -> AsyncIterator[tuple[Service, Row]]:
    """The service, and how long it took to be ready: the median of a few starts, the last of which stays."""
    starts = []
    for _ in range(_STARTS - 1):
        async with serving(bench.stack.directory, bench.environ) as service:
            starts.append(service)
    async with serving(bench.stack.directory, bench.environ) as service:
        starts.append(service)
        ready_s = statistics.median(s.ready_after_s for s in starts)
        total_s = statistics.median(s.listening_after_s + s.ready_after_s for s in starts)
        measured = f"{ready_s:.2f} s; {total_s:.2f} s from the start of the process"
        yield service, Row(f"listening → ready, {COUNT:,} Deployments", measured, **within(ready_s, 2, "s"))


async def _reviews(bench: _Bench, service: Service) -> Row:
    """Right after the start, so that no review kept expires meanwhile."""
    targets = [bench.ours(service, *_app_paths()), bench.ours(service, _LIST)]
    for target in targets:
        await wrk(target, 1, 1)
    before = await bench.kube.requests_counted()
    reads = sum([(await wrk(target, bench.seconds)).per_s * bench.seconds for target in targets])
    after = await bench.kube.requests_counted()
    asked = sum(after.values()) - sum(before.values())
    measured = f"{asked} reviews, GETs and LISTs in {reads:,.0f} reads"
    return Row("load put on kube-apiserver by reads", measured, bar="0", met=asked == 0)


def _app_paths() -> list[str]:
    return [f"/v3/apps/{population.app_guid(n)}/processes" for n in _sample()]


def _sample() -> list[int]:
    return random.Random(1).sample(range(COUNT), _APPS)


async def _one_app(bench: _Bench, service: Service) -> list[Row]:
    selector = f"labelSelector={KEYS.app_guid.replace('/', '%2F')}%3D"
    manifests = [population.manifest(n, NAMESPACES)["metadata"] for n in _sample()]
    targets = {
        "ours": bench.ours(service, *_app_paths()),
        "selector": bench.theirs(*(f"{_DEPLOYMENTS}?{selector}{population.app_guid(n)}" for n in _sample())),
        "name": bench.theirs(
            *(f"/apis/apps/v1/namespaces/{m['namespace']}/deployments/{m['name']}" for m in manifests)
        ),
    }
    rows = []
    what = "GET /v3/apps/{guid}/processes"
    for connections in (CONNECTIONS, 1):
        samples = await in_turns(targets, bench.seconds, ROUNDS, connections)
        ours, selector_, name = samples["ours"], samples["selector"], samples["name"]
        at = "" if connections == CONNECTIONS else ", 1 connection"
        speedup, faster = ours.per_s / selector_.per_s, selector_.p50_ms / ours.p50_ms
        bars = (at_least(speedup, 15), at_least(faster, 8)) if connections == CONNECTIONS else ({}, {})
        rows += [
            Row(f"{what}: requests/s{at}", f"{ours.per_s:,.0f}", f"kube-apiserver, by label {selector_.per_s:,.0f}",
                **(bars[0] or {"ratio": f"{speedup:.2f}×"})),
        ]
    return rows
