"""At 1,000 to 100,000 processes, fed by tests.bench.feed and with a real Postgres: what grows, and what must not."""

import contextlib
import json
import random
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import aiohttp
import orjson

from deploy.local.keeper import keep
from deploy.local.ports import PortBlock
from deploy.local.postgres import Postgres
from service.store.database import connected, migrate
from tests.bench import population, programs, stalls
from tests.bench.load import CONNECTIONS, Target, in_turns, wrk
from tests.bench.programs import Service, get, serving
from tests.bench.report import Row, compared, limited
from tests.support.kube import eventually

COUNTS = (1_000, 5_000, 100_000)
SMALL, LARGE = COUNTS[0], COUNTS[-1]
_ROUNDS = 3
_PER_PAGE = 50
_DIFFERENT_PAGES = 2_000
_HOSTS = 50
_RESOURCES = {"apps": 50, "spaces": 10, "organizations": 1, "routes": 50}
"""Other resources, and rows of a page: as many as there are at the smallest size."""
_APPS_OF_SPACE = 1_000
_TIMES = 7
_READY_S = {5_000: 2.0, 100_000: 4.0}
"""From listening, at most."""
_PATIENCE_S = 180
_ORDERS = ("created_at", "-created_at", "updated_at", "-updated_at")


@contextlib.contextmanager
def database(directory: Path) -> Iterator[str]:
    """The URL of a Postgres for the length of a block."""
    with keep(directory), contextlib.closing(PortBlock()) as ports:
        server = Postgres(directory, ports.take())
        server.create()
        yield server.url


def _namespaces(count: int) -> int:
    return max(10, count // 100)


@dataclass(frozen=True)
class Bench:
    directory: Path
    database_url: str
    feed: str
    seconds: int

    async def environ(self, count: int, namespaces: int | None = None) -> dict[str, str]:
        """Of a service that sees `count` processes and has a database of its own."""
        kubeconfig = self.directory / f"kubeconfig-{count}-{namespaces}"
        kubeconfig.write_text(_kubeconfig(f"{self.feed}/{count}/{namespaces or _namespaces(count)}"))
        return {
            "KUBECONFIG": str(kubeconfig),
            "DATABASE_URL": await programs.create_database(self.database_url),
            "AUTHENTICATION": "none",
        }


def _kubeconfig(server: str) -> str:
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "feed",
            "contexts": [{"name": "feed", "context": {"cluster": "feed", "user": "feed"}}],
            "clusters": [{"name": "feed", "cluster": {"server": server}}],
            "users": [{"name": "feed", "user": {}}],
        }
    )


@contextlib.asynccontextmanager
async def feeding(directory: Path, database_url: str, seconds: int = 1) -> AsyncIterator[Bench]:
    """A feed, for the length of a block."""
    async with programs.running(directory, "tests.bench.feed") as feed:
        yield Bench(directory, database_url, await feed.line(), seconds)


async def change(bench: Bench, per_s: int) -> None:
    """Have so many Deployments a second change from now on."""
    async with aiohttp.ClientSession() as session, session.post(f"{bench.feed}/changes/{per_s}") as response:
        response.raise_for_status()


async def asked(bench: Bench) -> int:
    """How many requests there have been to what stands for kube-apiserver."""
    return int(await get(f"{bench.feed}/requests"))


async def measure(directory: Path, database_url: str, seconds: int) -> AsyncIterator[Row]:
    """Findings, each as soon as it is made."""
    async with feeding(directory, database_url, seconds) as bench:
        async with AsyncExitStack() as stack:
            empty = await stack.enter_async_context(serving(directory, await bench.environ(0)))
            services = {
                count: await stack.enter_async_context(serving(directory, await bench.environ(count)))
                for count in COUNTS
            }
            loaded_mib = {count: service.rss_mib() for count, service in services.items()}
            for count, service in services.items():
                yield _ready(count, service)
            for row in [*await _same_pages(bench, services), *await _different_pages(bench, services)]:
                yield row
            for count, service in services.items():
                for row in _memory(count, empty.rss_mib(), loaded_mib[count], service.rss_mib()):
                    yield row
        async with serving(directory, await bench.environ(_APPS_OF_SPACE * 2, namespaces=1)) as service:
            for row in await _cf_apps(bench, service):
                yield row
        async for row in _filters(bench):
            yield row


def _ready(count: int, service: Service) -> Row:
    what, took_s = f"listening → ready, {count:,}", service.ready_after_s
    measured = f"{took_s:.2f} s"
    if count not in _READY_S:
        return Row(what, measured)
    return limited(what, took_s, _READY_S[count], "s", measured=measured)


def _path(order: str, page: int) -> str:
    return f"/v3/processes?per_page={_PER_PAGE}&order_by={order}&page={page}"


def _pages(count: int) -> dict[str, int]:
    last = count // _PER_PAGE
    return {"first": 1, "middle": last // 2, "last": last}


async def _same_pages(bench: Bench, services: dict[int, Service]) -> list[Row]:
    """One page again and again."""
    rows = []
    for order in _ORDERS:
        for place in _pages(SMALL):
            targets = {count: Target(s.url, [_path(order, _pages(count)[place])]) for count, s in services.items()}
            rows.append(await _compare(f"page by {order}, {place}", bench, targets))
    for resource, per_page in _RESOURCES.items():
        targets = {count: Target(s.url, [f"/v3/{resource}?per_page={per_page}"]) for count, s in services.items()}
        rows.append(await _compare(f"page of {per_page} {resource}", bench, targets))
    return rows


async def _different_pages(bench: Bench, services: dict[int, Service]) -> list[Row]:
    """Another page with each request.

    At 100,000 they are more than the service keeps encoded, at 1,000 they are not: to compare the two would be to
    compare encoding with not encoding. Under many names of the host, which the rows' links repeat, they are more at
    every size.
    """
    rows = []
    for order in _ORDERS:
        target = Target(services[LARGE].url, _random_pages(order, LARGE))
        new = await in_turns({LARGE: target}, bench.seconds, _ROUNDS)
        what = f"page of {_PER_PAGE} of {LARGE:,} by {order} that nobody has asked for before: p50"
        rows.append(limited(what, new[LARGE].p50_ms, 3, "ms", note=f"{CONNECTIONS} connections"))
    for order in _ORDERS:
        targets = {c: Target(s.url, _random_pages(order, c), hosts=_HOSTS) for c, s in services.items()}
        rows.append(await _compare(f"page by {order}, at random, none kept encoded", bench, targets))
    return rows


def _random_pages(order: str, count: int) -> list[str]:
    pages = random.Random(3).choices(range(1, count // _PER_PAGE + 1), k=_DIFFERENT_PAGES)
    return [_path(order, page) for page in pages]


async def _cf_apps(bench: Bench, service: Service) -> list[Row]:
    """What `cf apps` asks, one after the other, of a space of 1,000 apps; the median of some times."""
    space = population.space_guid(population.namespace(0, 1))
    apps = orjson.loads(await get(f"{service.url}/v3/apps?order_by=name&per_page=5000&space_guids={space}"))
    guids = ",".join(app["guid"] for app in apps["resources"])
    paths = [
        "/whoami",
        f"/v3/apps?order_by=name&per_page=5000&space_guids={space}",
        f"/v3/processes?embed=process_instances&per_page=5000&space_guids={space}",
        f"/v3/routes?app_guids={guids}",
    ]
    taken_ms = []
    before = await asked(bench)
    async with aiohttp.ClientSession() as session:
        for _ in range(_TIMES):
            started = time.perf_counter()
            for path in paths:
                async with session.get(f"{service.url}{path}") as response:
                    response.raise_for_status()
                    await response.read()
            taken_ms.append((time.perf_counter() - started) * 1000)
    median = statistics.median(taken_ms)
    measured = f"{median:.0f} ms; the first time {taken_ms[0]:.0f} ms"
    requests = await asked(bench) - before
    what = f"`cf apps` over a space of {len(apps['resources']):,} apps"
    return [
        limited(f"{what}: its {len(paths)} requests", median, 100, "ms", measured=measured),
        limited(f"{what}, {_TIMES} times: requests to kube-apiserver", requests, 0, "", measured=str(requests)),
    ]


async def _compare(what: str, bench: Bench, targets: dict[int, Target]) -> Row:
    samples = await in_turns(targets, bench.seconds, _ROUNDS)
    others = ", ".join(f"at {count:,}: {samples[count].p50_ms:.2f} ms" for count in COUNTS[:-1])
    ours = samples[LARGE].p50_ms
    return compared(f"{what}: p50 at {LARGE:,}", f"{ours:.2f} ms", others, ours / samples[SMALL].p50_ms, at_most=1.3)


def _memory(count: int, empty_mib: float, loaded_mib: float, read_mib: float) -> Iterator[Row]:
    each_kib = (loaded_mib - empty_mib) * 1024 / count
    note = f"empty service: {empty_mib:.0f} MiB"
    measured = f"{each_kib:.2f} KiB; {(read_mib - empty_mib) * 1024 / count:.2f} KiB after reading"
    # Below that, what any service takes for its first page outweighs the processes.
    if count == LARGE:
        yield limited(f"memory a process, {count:,}, two an app", each_kib, 1.5, "KiB", measured=measured, note=note)
        measured = f"{loaded_mib:.0f} MiB; {read_mib:.0f} MiB after reading"
        yield limited(f"RSS, {count:,}", read_mib, 300, "MiB", measured=measured, note=note)
    else:
        yield Row(f"memory a process, {count:,}", measured, note)
        yield Row(f"RSS, {count:,}", f"{loaded_mib:.0f} MiB; {read_mib:.0f} MiB after reading", note)


async def _filters(bench: Bench) -> AsyncIterator[Row]:
    """Filtered lists, first list, and relist at 100,000, with metadata of a tenth of the processes."""
    environ = await bench.environ(LARGE)
    await _store_metadata(environ["DATABASE_URL"])
    async with stalls.watched(bench.directory, environ) as service:
        yield stalls.row(f"first list, {LARGE:,}", await service.phase())
        yield stalls.row(f"relist, {LARGE:,}", await _relist(bench, service))
        for what, query in _queries().items():
            again = Target(service.url, [f"/v3/processes?per_page={_PER_PAGE}{query}"])
            repeated = await wrk(again, bench.seconds, connections=1)
            # What the service remembers of a question must not hide what it costs: no two of these are alike.
            new = [f"/v3/processes?per_page={_PER_PAGE + n % 7}{query}&page={1 + n * 13 % 700}" for n in range(4900)]
            await service.mark()
            asked = await wrk(Target(service.url, new), bench.seconds)
            phase = await service.mark()
            yield Row(
                f"a page of {LARGE:,}, {what}: p50",
                f"{asked.p50_ms:.1f} ms for a new question, {CONNECTIONS} connections; "
                f"{repeated.p50_ms:.2f} ms asked again, 1 connection",
            )
            yield stalls.row(f"{what}, new questions, {CONNECTIONS} connections", phase)


def _queries() -> dict[str, str]:
    middle = population.FIRST_CREATED + timedelta(seconds=LARGE // 2)
    return {
        "no filter": "",
        "types=web (1 of 2)": "&types=web",
        "label_selector=tier=x (1 of 10)": "&label_selector=tier=x",
        "label_selector=!tier (9 of 10)": "&label_selector=!tier",
        "created_ats[gt] (1 of 2)": f"&created_ats[gt]={middle:%Y-%m-%dT%H:%M:%SZ}",
        "space_guids (1 space)": f"&space_guids={population.space_guid('space-0007')}",
    }


async def _relist(bench: Bench, service: stalls.Watched) -> stalls.Phase:
    await service.mark()
    async with aiohttp.ClientSession() as session, session.post(f"{bench.feed}/expire") as response:
        response.raise_for_status()

    async def relisted() -> bool:
        watch = orjson.loads(await get(f"{service.management_url}/readyz"))["watches"]["deployments"]
        return bool(watch["relists"] and watch["connected"])

    await eventually(relisted, _PATIENCE_S)
    return await service.mark()


async def _store_metadata(database_url: str) -> None:
    """Rows of every tenth process, each written by a transaction of its own, as callers do."""
    async with connected(database_url, timeout_s=30) as connection:
        await migrate(connection)
        await connection.executemany(
            "INSERT INTO process_metadata (namespace, app_guid, type, labels, updated_at, stamp)"
            " VALUES ($1, $2, $3, $4, now(), $5)",
            [
                (
                    population.namespace(n, _namespaces(LARGE)),
                    population.app_guid(n),
                    population.process_type(n),
                    {"tier": "x"},
                    stamp,
                )
                for stamp, n in enumerate(range(0, LARGE, 10), 1)
            ],
        )
        await connection.execute("UPDATE metadata_counter SET value = $1", LARGE // 10)
