"""What one request costs in CPU time of the service, beside a bare handler that sends the same bytes.

Requests a second depend on what else wants the machine; the time that the process itself had a processor hardly does.
"""

import os
import statistics
from collections.abc import AsyncIterator
from pathlib import Path

from deploy.local.stack import Stack
from tests.bench import population, programs
from tests.bench.load import CONNECTIONS, Target, wrk
from tests.bench.programs import Service, get, serving
from tests.bench.report import Row, compared
from tests.bench.sides import Sides, populate, sides

COUNT, NAMESPACES = 500, 5
MANY = 64
_ROUNDS = 5
_TICKS = os.sysconf("SC_CLK_TCK")
_BARS = {CONNECTIONS: 1.6, MANY: 1.4}
_PATHS = {
    "a page of 50 of all": "/v3/processes?per_page=50",
    "one app's processes": f"/v3/apps/{population.app_guid(0)}/processes",
}


async def measure(stack: Stack, seconds: int) -> AsyncIterator[Row]:
    """Findings, each as soon as it is made."""
    async with sides(stack, seconds) as bench:
        await populate(bench.kube, NAMESPACES, (population.manifest(n, NAMESPACES) for n in range(COUNT)))
        async with serving(stack.directory, bench.environ) as service:
            for what, path in _PATHS.items():
                async for row in _beside_bare(bench, service, what, path):
                    yield row


async def _beside_bare(bench: Sides, service: Service, what: str, path: str) -> AsyncIterator[Row]:
    body = bench.stack.directory / "body"
    body.write_bytes(await get(service.url + path, bench.token))
    async with programs.running(bench.stack.directory, "tests.bench.bare", str(body)) as bare:
        url = await bare.line()
        sides = {
            "ours": (bench.ours(service, path), service.pid),
            "bare": (Target(url, ["/0"], bench.token), bare.process.pid),
        }
        for connections, bar in _BARS.items():
            taken: dict[str, list[float]] = {side: [] for side in sides}
            for _ in range(_ROUNDS):
                for side, (target, pid) in sides.items():
                    taken[side].append(await _cpu_us(target, pid, bench.seconds, connections))
            ours, theirs = (statistics.median(taken[side]) for side in sides)
            yield compared(
                f"{what}, {connections} connections: CPU a request",
                f"{ours:.0f} µs",
                f"bare aiohttp handler, same bytes: {theirs:.0f} µs",
                ours / theirs,
                at_most=bar,
            )


async def _cpu_us(target: Target, pid: int, seconds: int, connections: int) -> float:
    """Microseconds of CPU that a process spends on each request of a target."""
    before = _cpu_s(pid)
    sample = await wrk(target, seconds, connections)
    return (_cpu_s(pid) - before) / sample.requests * 1e6


def _cpu_s(pid: int) -> float:
    """Seconds that a process has had a processor so far, in user and kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
