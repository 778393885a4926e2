"""Five minutes of reads at saturation while the cluster changes: of 10,000 Deployments with Pods, and 100,000 fed."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from deploy.local.stack import Stack
from tests.bench import population, scale, stalls
from tests.bench.load import CONNECTIONS, Target, wrk
from tests.bench.programs import get
from tests.bench.report import Row, limited
from tests.bench.sides import Sides, populate, sides
from tests.bench.stalls import Watched
from tests.support.kube import eventually

COUNT, NAMESPACES = 10_000, 100
FED = 100_000
NODES = 44
"""A node takes 250 Pods, and a few are on their way."""
RUN_S = 300
CHANGES_PER_S = 100
_CHANGERS = 8
_WARM_S, _PODS_S, _SAMPLE_S = 20, 900, 2.0
_APPS = 300
_GROWTH_MIB = 16.0


@dataclass
class _Seen:
    """What has been going on meanwhile."""

    changes: int = 0
    rss_mib: list[float] = field(default_factory=list)


async def measure(stack: Stack) -> AsyncIterator[Row]:
    """Findings, each as soon as it is made."""
    async with sides(stack, RUN_S) as bench:
        await populate(bench.kube, NAMESPACES, map(_running, range(COUNT)))
        async with stalls.watched(stack.directory, bench.environ) as service:
            yield stalls.row(f"first list, {COUNT:,}, while their Pods start", await service.phase())
            await eventually(lambda: _all_run(service), _PODS_S)
            changing = [lambda seen, number=number: _change(bench, seen, number) for number in range(_CHANGERS)]
            asked = partial(_asked, bench)
            what = f"{COUNT:,} Deployments and Pods"
            async for row in _sustained(
                what, service, Target(service.url, _paths(COUNT), bench.token), changing, asked
            ):
                yield row


async def measure_fed(directory: Path, database_url: str) -> AsyncIterator[Row]:
    """The same with a feed in place of a cluster, of a size that no cluster has here."""
    async with (
        scale.feeding(directory, database_url) as bench,
        stalls.watched(directory, await bench.environ(FED)) as service,
    ):
        await service.phase()
        await scale.change(bench, CHANGES_PER_S)
        what, target = f"{FED:,} Deployments, fed", Target(service.url, _paths(FED))
        async for row in _sustained(what, service, target, [], partial(scale.asked, bench)):
            yield row


async def _sustained(
    what: str,
    service: Watched,
    target: Target,
    changing: Sequence[Callable[[_Seen], Coroutine[Any, Any, None]]],
    asked: Callable[[], Awaitable[int]],
) -> AsyncIterator[Row]:
    await wrk(target, _WARM_S)
    await service.mark()
    asked_before = await asked()
    async with _meanwhile(service, changing) as seen:
        sample = await wrk(target, RUN_S)
    phase = await service.mark()
    requests = await asked() - asked_before
    changes = seen.changes / RUN_S if changing else CHANGES_PER_S
    what = f"{what}, {RUN_S} s at {CONNECTIONS} connections, {changes:.0f} changes/s"
    yield Row(what, f"p50 {sample.p50_ms:.1f} ms, p99 {sample.p99_ms:.1f} ms, {sample.per_s:,.0f} requests/s")
    grown = max(seen.rss_mib) - seen.rss_mib[0]
    yield limited(f"{what}: memory gained of {seen.rss_mib[0]:.0f} MiB", grown, _GROWTH_MIB, "MiB")
    yield stalls.row(what, phase)
    yield Row(f"{what}: reviews, GETs and LISTs", f"{requests} for {sample.requests:,} reads")


def _running(n: int) -> dict[str, object]:
    manifest = population.manifest(n, NAMESPACES)
    return {**manifest, "spec": {**manifest["spec"], "replicas": 1}}


async def _all_run(service: Watched) -> bool:
    await asyncio.sleep(1)
    held = orjson.loads(await get(f"{service.management_url}/readyz"))["held"]
    return bool(held["pods"] >= COUNT)


def _paths(count: int) -> list[str]:
    """As dashboards and command lines ask: pages of all, single apps and their processes, each again and again."""
    apps = [population.app_guid(n) for n in random.Random(1).sample(range(count), _APPS)]
    pages = [f"/v3/processes?per_page=50&page={page}" for page in (1, 2, count // 100)]
    return [path for app in apps for path in (*pages, f"/v3/apps/{app}", f"/v3/apps/{app}/processes")]


async def _asked(bench: Sides) -> int:
    return sum((await bench.kube.requests_counted()).values())


@asynccontextmanager
async def _meanwhile(
    service: Watched, changing: Sequence[Callable[[_Seen], Coroutine[Any, Any, None]]]
) -> AsyncIterator[_Seen]:
    """Changes at their rate, as far as kube-apiserver keeps up, and looks at the memory of the service."""
    seen = _Seen()
    tasks = [asyncio.create_task(change(seen)) for change in changing]
    tasks.append(asyncio.create_task(_look(service, seen)))
    try:
        yield seen
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _change(bench: Sides, seen: _Seen, changer: int) -> None:
    chance, loop = random.Random(changer), asyncio.get_running_loop()
    due = loop.time()
    while True:
        due = max(due + _CHANGERS / CHANGES_PER_S, loop.time() - 1)
        await asyncio.sleep(due - loop.time())
        meta = population.manifest(chance.randrange(COUNT), NAMESPACES)["metadata"]
        touched = {"metadata": {"annotations": {"touched": str(seen.changes)}}}
        await bench.kube.patch(meta["namespace"], meta["name"], touched)
        seen.changes += 1


async def _look(service: Watched, seen: _Seen) -> None:
    while True:
        seen.rss_mib.append(service.rss_mib())
        await asyncio.sleep(_SAMPLE_S)
