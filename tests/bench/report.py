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


def compared(
    what: str,
    measured: str,
    other: str,
    ratio: float,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Row:
    """A finding that is a ratio."""
    written = f"{ratio:.2f}×"
    if at_least is not None:
        return Row(what, measured, other, written, f"≥ {at_least:g}×", ratio >= at_least)
    if at_most is not None:
        return Row(what, measured, other, written, f"≤ {at_most:g}×", ratio <= at_most)
    return Row(what, measured, other, written)


def limited(what: str, value: float, most: float, unit: str, *, measured: str = "", note: str = "") -> Row:
    """A finding that is one value; `measured` says it where more than the value is to be said."""
    return Row(what, measured or f"{value:.1f} {unit}", note, bar=f"≤ {most:g} {unit}", met=value <= most)


def table(rows: Sequence[Row]) -> str:
    """A table as Markdown has it, its columns aligned for a terminal."""
    head = ("what", "measured", "compared with", "ratio", "bar", "met?")
    lines: list[tuple[str, ...]] = [
        head,
        *((r.what, r.measured, r.compared, r.ratio, r.bar, _verdict(r.met)) for r in rows),
    ]
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
            f"wrk, 1 thread, {connections} connections unless a row says otherwise, {seconds} s a measurement; "
            "everything over loopback; kube-apiserver over https as it is served, the service over http",
            "a stall is how long the loop's thread had a processor and did not come back to the loop; by the clock it "
            "includes waiting for a processor",
            "load average at start "
            + " ".join(f"{value:.2f}" for value in load_at_start)
            + ", at the end "
            + " ".join(f"{value:.2f}" for value in os.getloadavg()),
        )
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
