"""Instances of 5,000 processes with some thousand Pods, in the cluster that tests.bench.cluster has filled."""

import asyncio
import random
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import orjson

from service.model.guids import process_guid
from tests.bench import population, programs, stalls
from tests.bench.load import CONNECTIONS, Sample, in_turns
from tests.bench.programs import Service, get, serving
from tests.bench.report import Row, compared
from tests.bench.sides import Sides
from tests.support.kube import KEYS, eventually

NODES = 5
"""A node takes 250 Pods."""
_LARGE = 100
_SMALL, _SMALL_ONES = 2, 350
_SCALERS = 16
_START_S = 300
_ROUNDS = 5
_CALLS = 15
_BAR = 0.2
"""Of a request to the metrics API: however many poll, there is one of these a sampling interval."""
_PAGE = "/v3/processes?per_page=5000"
_EMBED = f"{_PAGE}&embed=process_instances"


async def measure(bench: Sides, count: int, namespaces: int) -> AsyncIterator[Row]:
    """Findings, each as soon as it is made; the processes are the population's first `count`."""
    large, *small = random.Random(4).sample(range(count), 1 + _SMALL_ONES)
    yield await _start_pods(bench, namespaces, {large: _LARGE, **dict.fromkeys(small, _SMALL)})
    # One that has numbered nothing yet.
    database_url = await programs.create_database(bench.stack.database_url)
    fresh = replace(bench, environ={**bench.environ, "DATABASE_URL": database_url})
    async for row in _embedded(fresh):
        yield row
    async with serving(bench.stack.directory, bench.environ) as service:
        for connections in (1, CONNECTIONS):
            for row in await _stats(bench, service, large, namespaces, connections):
                yield row


async def _start_pods(bench: Sides, namespaces: int, replicas: dict[int, int]) -> Row:
    started = time.perf_counter()
    pending = iter(replicas.items())
    usage = {"kwok.x-k8s.io/usage-cpu": "250m", "kwok.x-k8s.io/usage-memory": "96Mi"}

    async def scale() -> None:
        for n, instances in pending:
            meta = population.manifest(n, namespaces)["metadata"]
            spec = {"replicas": instances, "template": {"metadata": {"annotations": usage}}}
            await bench.kube.patch(meta["namespace"], meta["name"], {"spec": spec})

    await asyncio.gather(*(scale() for _ in range(_SCALERS)))

    seen = -1

    async def run() -> int:
        """How many Pods there are, once all of them run and there have been as many before."""
        nonlocal seen
        await asyncio.sleep(1)
        pods = (await bench.kube.request("GET", f"/api/v1/pods?labelSelector={_quoted(KEYS.app_guid)}"))["items"]
        running = sum(
            pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"] for pod in pods
        )
        before, seen = seen, len(pods)
        return running if running == len(pods) == before and running >= sum(replicas.values()) else 0

    pods = await eventually(run, _START_S)
    return Row(f"starting Pods until {pods:,} run", f"{time.perf_counter() - started:.0f} s")


async def _embedded(bench: Sides) -> AsyncIterator[Row]:
    what = "a page of 5,000 with instances"
    async with stalls.watched(bench.stack.directory, bench.environ) as service:
        yield stalls.row("first list, 5,000 and their Pods", await service.phase())
        plain_ms = [took for took, _ in [await _timed(service.url + _PAGE, bench.token) for _ in range(_CALLS)]]
        await service.mark()
        first_ms, body = await _timed(service.url + _EMBED, bench.token)
        phase = await service.mark()
        numbered = sum(instance["state"] == "RUNNING" for instance in _instances(body))
        yield Row(f"{what}, first call: {numbered:,} Pods numbered", f"{first_ms:.0f} ms")
        yield stalls.row(f"{what}, first call", phase)
        took_ms = [took for took, _ in [await _timed(service.url + _EMBED, bench.token) for _ in range(_CALLS)]]
        without = statistics.median(plain_ms)
        p50 = statistics.median(took_ms)
        yield compared(f"{what}: p50", f"{p50:.0f} ms", f"without: {without:.0f} ms", p50 / without)
        yield stalls.row(f"{what}, one after the other", await service.mark())
        await asyncio.gather(*(_timed(service.url + _EMBED, bench.token) for _ in range(CONNECTIONS)))
        yield stalls.row(f"{what}, {CONNECTIONS} at once", await service.mark())


async def _timed(url: str, token: str) -> tuple[float, bytes]:
    """Milliseconds, and the body."""
    started = time.perf_counter()
    body = await get(url, token)
    return (time.perf_counter() - started) * 1000, body


def _instances(body: bytes) -> Iterator[dict[str, object]]:
    for process in orjson.loads(body)["resources"]:
        yield from process["process_instances"]


async def _stats(bench: Sides, service: Service, n: int, namespaces: int, connections: int) -> list[Row]:
    app, space = population.app_guid(n), population.namespace(n, namespaces)
    guid = process_guid(space, app, population.process_type(n))
    selected = f"namespaces/{space}/pods?labelSelector={_quoted(KEYS.app_guid)}%3D{app}"
    targets = {
        "ours": bench.ours(service, f"/v3/processes/{guid}/stats"),
        "pods": bench.theirs(f"/api/v1/{selected}"),
        "usage": bench.theirs(f"/apis/metrics.k8s.io/v1beta1/{selected}"),
    }
    samples = await in_turns(targets, bench.seconds, _ROUNDS, connections)
    what = f"stats of {_LARGE} instances, {connections} connection" + "s" * (connections > 1) + ": p50"
    return [
        _beside(what, samples["ours"], "kube-apiserver, the Pods", samples["pods"]),
        _beside(
            what,
            samples["ours"],
            "kube-apiserver, their usage, which stats ask for",
            samples["usage"],
            at_most=_BAR if connections == CONNECTIONS else None,
        ),
    ]


def _beside(what: str, ours: Sample, other: str, theirs: Sample, *, at_most: float | None = None) -> Row:
    return compared(
        what,
        f"{ours.p50_ms:.1f} ms, p99 {ours.p99_ms:.0f} ms, {ours.per_s:,.0f}/s",
        f"{other}: {theirs.p50_ms:.1f} ms, p99 {theirs.p99_ms:.0f} ms, {theirs.per_s:,.0f}/s",
        ours.p50_ms / theirs.p50_ms,
        at_most=at_most,
    )


def _quoted(key: str) -> str:
    return key.replace("/", "%2F")
