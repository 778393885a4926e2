"""Against a real control plane with 5,000 Deployments: the service beside the API server it stands in front of."""

import random
import statistics
import time
from collections.abc import AsyncIterator

import aiohttp
import orjson

from deploy.local.stack import Stack
from service.model.guids import process_guid
from tests.bench import instances, population, programs, stalls
from tests.bench.load import CONNECTIONS, Target, in_turns, wrk
from tests.bench.programs import Service, get, serving
from tests.bench.report import Row, compared, limited
from tests.bench.sides import DEPLOYMENTS, Sides, deployment_path, populate, sides
from tests.support.kube import KEYS, Kube, eventually

COUNT, NAMESPACES = 5_000, 50
_ROUNDS = 5
_STARTS = 3
_CHANGES = 200
_APPS = 500
"""So many different apps are asked for in turn: neither side answers from having just answered the same."""
_LIST = "/v3/processes?per_page=50"
_EVERYTHING = "/v3/processes?per_page=5000"


async def measure(stack: Stack, seconds: int) -> AsyncIterator[Row]:
    """Findings, each as soon as it is made."""
    async with sides(stack, seconds) as bench:
        yield await _populate(bench.kube)
        yield await _start_to_ready(bench)
        async with serving(stack.directory, bench.environ) as service:
            # First, so that no review expires meanwhile.
            yield await _reviews(bench, service)
            for row in [*await _one_app(bench, service), *await _pages(bench, service)]:
                yield row
            yield await _freshness(bench, service)
        async for row in _stalls(bench):
            yield row
        async for row in instances.measure(bench, COUNT, NAMESPACES):
            yield row


async def _populate(kube: Kube) -> Row:
    started = time.perf_counter()
    await populate(kube, NAMESPACES, (population.manifest(n, NAMESPACES) for n in range(COUNT)))
    return Row(f"creating {COUNT:,} Deployments", f"{time.perf_counter() - started:.0f} s")


async def _start_to_ready(bench: Sides) -> Row:
    starts = []
    for _ in range(_STARTS):
        async with serving(bench.stack.directory, bench.environ) as service:
            starts.append(service)
    ready_s = statistics.median(s.ready_after_s for s in starts)
    total_s = statistics.median(s.listening_after_s + s.ready_after_s for s in starts)
    measured = f"{ready_s:.2f} s; {total_s:.2f} s from the start of the process"
    return limited(f"listening → ready, {COUNT:,} Deployments", ready_s, 2, "s", measured=measured)


async def _reviews(bench: Sides, service: Service) -> Row:
    targets = [bench.ours(service, *_app_paths()), bench.ours(service, _LIST)]
    for target in targets:
        await wrk(target, 1, 1)
    before = await bench.kube.requests_counted()
    reads = sum([(await wrk(target, bench.seconds)).per_s * bench.seconds for target in targets])
    after = await bench.kube.requests_counted()
    asked = sum(after.values()) - sum(before.values())
    measured = f"{asked} reviews, GETs and LISTs in {reads:,.0f} reads"
    return Row("load put on kube-apiserver by reads", measured, bar="0", met=asked == 0)


def _sample() -> list[int]:
    return random.Random(1).sample(range(COUNT), _APPS)


def _app_paths() -> list[str]:
    return [f"/v3/apps/{population.app_guid(n)}/processes" for n in _sample()]


async def _one_app(bench: Sides, service: Service) -> list[Row]:
    by_label = f"{DEPLOYMENTS}?labelSelector={KEYS.app_guid.replace('/', '%2F')}%3D"
    targets = {
        "ours": bench.ours(service, *_app_paths()),
        "label": bench.theirs(*(by_label + population.app_guid(n) for n in _sample())),
        "name": bench.theirs(*(deployment_path(n, NAMESPACES) for n in _sample())),
    }
    what, label, name = "one app's processes", "kube-apiserver, by label", "kube-apiserver, one by name"
    many = await in_turns(targets, bench.seconds, _ROUNDS)
    one = await in_turns(targets, bench.seconds, _ROUNDS, connections=1)
    return [
        _per_s(what, many["ours"].per_s, label, many["label"].per_s, 15),
        _p50(what, many["ours"].p50_ms, label, many["label"].p50_ms, 8),
        _per_s(what, many["ours"].per_s, name, many["name"].per_s, 3),
        _p50(f"{what}, 1 connection", one["ours"].p50_ms, label, one["label"].p50_ms),
        _p50(f"{what}, 1 connection", one["ours"].p50_ms, name, one["name"].p50_ms),
    ]


async def _pages(bench: Sides, service: Service) -> list[Row]:
    """A page of all processes, and one app's, beside kube-apiserver and beside the least that could send them."""
    bodies = []
    for number, path in enumerate((_LIST, _app_paths()[0])):
        bodies.append(bench.stack.directory / f"body-{number}")
        bodies[-1].write_bytes(await get(service.url + path, bench.token))
    async with programs.running(bench.stack.directory, "tests.bench.bare", *map(str, bodies)) as bare:
        url = await bare.line()
        page, app = await _in_turns_beside_bare(bench, service, url)
    what, of_app = "a page of 50 of all", "one app's processes"
    handler = "bare aiohttp handler, same bytes"
    return [
        _per_s(what, page["ours"], "kube-apiserver, limit=50", page["theirs"], 8),
        _per_s(what, page["ours"], handler, page["bare"], 0.5),
        _per_s(of_app, app["ours"], handler, app["bare"], 0.5),
    ]


async def _in_turns_beside_bare(bench: Sides, service: Service, bare: str) -> tuple[dict[str, float], dict[str, float]]:
    targets = {
        ("page", "ours"): bench.ours(service, _LIST),
        ("page", "bare"): Target(bare, ["/0"], bench.token),
        ("page", "theirs"): bench.theirs(f"{DEPLOYMENTS}?limit=50"),
        ("app", "ours"): bench.ours(service, _app_paths()[0]),
        ("app", "bare"): Target(bare, ["/1"], bench.token),
    }
    samples = await in_turns(targets, bench.seconds, _ROUNDS)
    page, app = ({side: s.per_s for (of, side), s in samples.items() if of == wanted} for wanted in ("page", "app"))
    return page, app


def _per_s(what: str, ours: float, other: str, theirs: float, bar: float) -> Row:
    return compared(f"{what}: requests/s", f"{ours:,.0f}", f"{other}: {theirs:,.0f}", ours / theirs, at_least=bar)


def _p50(what: str, ours: float, other: str, theirs: float, bar: float | None = None) -> Row:
    return compared(
        f"{what}: p50 (ratio: how many times faster)",
        f"{ours:.2f} ms",
        f"{other}: {theirs:.2f} ms",
        theirs / ours,
        at_least=bar,
    )


async def _freshness(bench: Sides, service: Service) -> Row:
    """Scale up one Deployment after the other; from the answer to the PATCH until the API shows it."""
    took_ms = []
    headers = {"Authorization": f"Bearer {bench.token}"}
    async with aiohttp.ClientSession(service.url, headers=headers) as session:
        for n in random.Random(2).sample(range(COUNT), _CHANGES):
            meta = population.manifest(n, NAMESPACES)["metadata"]
            guid = process_guid(meta["namespace"], population.app_guid(n), population.process_type(n))
            await bench.kube.patch(meta["namespace"], meta["name"], {"spec": {"replicas": 1}})
            patched = time.perf_counter()
            while True:
                async with session.get(f"/v3/processes/{guid}") as response:
                    if orjson.loads(await response.read())["instances"] == 1:
                        break
            took_ms.append((time.perf_counter() - patched) * 1000)
    cuts = statistics.quantiles(took_ms, n=100, method="inclusive")
    measured = f"p99 {cuts[98]:.1f} ms, p50 {cuts[49]:.1f} ms, longest {max(took_ms):.1f} ms of {_CHANGES}"
    return limited("change in the cluster → visible", cuts[98], 100, "ms", measured=measured)


async def _stalls(bench: Sides) -> AsyncIterator[Row]:
    async with stalls.watched(bench.stack.directory, bench.environ) as service:
        yield stalls.row(f"first list, {COUNT:,}", await service.phase())

        meta = population.manifest(0, NAMESPACES)["metadata"]
        await service.mark("relist")

        async def relisted() -> bool:
            watch = orjson.loads(await get(f"{service.management_url}/readyz"))["watches"]["deployments"]
            return bool(watch["relists"] and watch["connected"])

        await bench.kube.patch(meta["namespace"], meta["name"], {"metadata": {"annotations": {"touched": "yes"}}})
        await eventually(relisted, 30)
        yield stalls.row(f"relist, {COUNT:,}", await service.mark())

        for what, path in (("of 50", _LIST), ("of 5,000", _EVERYTHING)):
            await wrk(Target(service.url, [path], bench.token), bench.seconds * 2)
            yield stalls.row(f"{CONNECTIONS} connections, pages {what}", await service.mark())
