"""What a run found, as one table, and the conditions it was found under."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

_LIBRARIES = ("aiohttp", "uvloop", "asyncpg", "msgspec", "orjson")


@dataclass(frozen=True)
class Row:
    """One finding. `met` is None where the design sets no bar."""

    what: str
    measured: str
    compared: str = ""
    ratio: str = ""
    bar: str = ""
    met: bool | None = None


def at_least(ratio: float, bar: float) -> dict[str, str | bool]:
    """The last columns of a row whose ratio must not be below the bar."""
    return {"ratio": f"{ratio:.2f}×", "bar": f"≥ {bar:g}×", "met": ratio >= bar}


def at_most(ratio: float, bar: float) -> dict[str, str | bool]:
    """The last columns of a row whose ratio must not be above the bar."""
    return {"ratio": f"{ratio:.2f}×", "bar": f"≤ {bar:g}×", "met": ratio <= bar}


def within(value: float, bar: float, unit: str) -> dict[str, str | bool]:
    """The last columns of a row whose measured value must not be above the bar."""
    return {"bar": f"≤ {bar:g} {unit}", "met": value <= bar}


def table(rows: Sequence[Row]) -> str:
    """A table as Markdown has it, its columns aligned for a terminal."""
    head = ("what", "measured", "compared with", "ratio", "bar", "met?")
    lines = [head, *((r.what, r.measured, r.compared, r.ratio, r.bar, _verdict(r.met)) for r in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    lines.insert(1, tuple("-" * width for width in widths))
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def _verdict(met: bool | None) -> str:
    return "" if met is None else "yes" if met else "NO"


def conditions(load_at_start: tuple[float, float, float], connections: int, seconds: int) -> str:
    """Where and when, and what else the machine was doing."""
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    return "\n".join(
        (
            f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {_processor()}, {os.cpu_count()} cores; {platform.platform()}",
            f"Python {platform.python_version()}; {libraries}",
            f"wrk, 1 thread, {connections} connections unless a row says otherwise, {seconds} s a measurement; everything "
            "on this machine, over loopback; kube-apiserver over https as it is served, the service over http",
            "load average at start " + " ".join(f"{value:.2f}" for value in load_at_start)
            + ", at the end " + " ".join(f"{value:.2f}" for value in os.getloadavg()),
        )
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
