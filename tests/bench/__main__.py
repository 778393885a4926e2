"""`make bench`: measures the budgets of the design as ratios within one run, and prints one table.

Writes nothing into the repository. What it finds is never an error: a bar that is missed is marked in the table.
"""

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from deploy.local.errors import LocalStackError
from deploy.local.stack import local_stack
from tests.bench import cluster, cpu, hostile, instances, measuring, scale, sustained, visibility, writes
from tests.bench.load import CONNECTIONS, LoadFailed
from tests.bench.programs import ProgramFailed
from tests.bench.report import Row, conditions, table

Part = Callable[[Path, int], list[Row]]


def _cluster(directory: Path, seconds: int) -> list[Row]:
    with local_stack(directory, nodes=instances.NODES, metrics=True) as stack:
        return asyncio.run(_collect(cluster.measure(stack, seconds)))


def _cpu(directory: Path, seconds: int) -> list[Row]:
    with local_stack(directory, nodes=1) as stack:
        return asyncio.run(_collect(cpu.measure(stack, seconds)))


def _writes(directory: Path, seconds: int) -> list[Row]:
    with local_stack(directory, nodes=writes.NODES, metrics=True) as stack:
        return asyncio.run(_collect(writes.measure(stack, seconds)))


def _hostile(directory: Path, seconds: int) -> list[Row]:
    with local_stack(directory, nodes=1) as stack:
        return asyncio.run(_collect(hostile.measure(stack, seconds)))


def _sustained(directory: Path, _seconds: int) -> list[Row]:
    with local_stack(directory / "stack", nodes=sustained.NODES) as stack:
        rows = asyncio.run(_collect(sustained.measure(stack)))
    with scale.database(directory) as url:
        return rows + asyncio.run(_collect(sustained.measure_fed(directory, url)))


def _scale(directory: Path, seconds: int) -> list[Row]:
    with scale.database(directory) as url:
        return asyncio.run(_collect(scale.measure(directory, url, seconds)))


def _visibility(_directory: Path, _seconds: int) -> list[Row]:
    return visibility.measure()


def _measuring(_directory: Path, _seconds: int) -> list[Row]:
    return measuring.measure()


PARTS: dict[str, Part] = {
    "cpu": _cpu,
    "cluster": _cluster,
    "writes": _writes,
    "hostile": _hostile,
    "sustained": _sustained,
    "scale": _scale,
    "visibility": _visibility,
    "measuring": _measuring,
}


LONG = ("sustained",)
"""Parts that take a quarter of an hour by themselves: they run where they are asked for."""


async def _collect(rows: AsyncIterator[Row]) -> list[Row]:
    found = []
    async for row in rows:
        print(f"  {row.what}: {row.measured} {row.ratio}", file=sys.stderr, flush=True)
        found.append(row)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", choices=PARTS, metavar="PART", help=f"one part of {', '.join(PARTS)}")
    parser.add_argument("--seconds", type=int, default=1, choices=range(1, 11), metavar="N", help="per measurement")
    arguments = parser.parse_args()
    if not shutil.which("wrk"):
        print("wrk, the load generator, is missing: apt-get install wrk", file=sys.stderr)
        return 1
    # Ended from outside, leave nothing behind either.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    load_at_start = os.getloadavg()
    rows: list[Row] = []
    try:
        for name in [arguments.only] if arguments.only else [each for each in PARTS if each not in LONG]:
            print(name, file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory(prefix="bench-") as directory:
                rows += PARTS[name](Path(directory), arguments.seconds)
    except (LocalStackError, LoadFailed, ProgramFailed) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(conditions(load_at_start, CONNECTIONS, arguments.seconds))
    print()
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
