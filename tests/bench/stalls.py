"""How long the service's event loop stands still: the service's own application, with a stopwatch in its loop.

As a program (`python -m tests.bench.stalls`, with the service's environment) it prints its addresses (of the API, of
its management), and the first phase, which is the first list; then, for each line on stdin, the phase since the line
before. The line `relist` makes the next event of a Deployment a 410. It ends with its stdin.
"""

import asyncio
import gc
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType
from unittest.mock import patch

import msgspec
import uvloop

from service import environment, telemetry
from service.cluster.collection import Gone
from service.cluster.feeds import DeploymentFeed
from service.http.keys import HEALTH
from tests.bench import programs
from tests.bench.programs import Program
from tests.bench.report import Row, limited
from tests.support.api import running
from tests.support.kube import eventually

TICK_S = 0.001
_START_S = 180.0
_LOOK_S = 0.002
_OVERDUE_S = 0.004
"""A loop that is late by so much is looked at: what is it doing?"""
_SERVICE = str(Path(environment.__file__).parent)


class Phase(msgspec.Struct):
    """The longest stall of a stretch of time."""

    stall_ms: float = 0.0
    """Without the time for which the machine gave the loop's thread no processor."""
    clock_ms: float = 0.0
    """The longest by the clock, that time included."""
    where: str = ""
    """The functions of the service seen at work meanwhile, and in how many looks."""
    gc_ms: float = 0.0
    """The longest collection, be it in this stall or not."""
    over_bar: int = 0
    """How many stalls were longer than 20 ms."""


BAR_MS = 20.0


class Stopwatch:
    """Sleeps for a tick, again and again: what a tick takes too long is the loop's stall."""

    def __init__(self) -> None:
        self._phase = Phase()
        self._beat = time.perf_counter()
        self._seen: Counter[str] = Counter()
        self._collection_began = 0.0
        self._watched = threading.get_ident()
        self._schedstat = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        gc.callbacks.append(self._collection)
        threading.Thread(target=self._look, daemon=True).start()

    async def run(self) -> None:
        while True:
            self._beat, held_up_s = time.perf_counter(), self._held_up_s()
            await asyncio.sleep(TICK_S)
            clock_ms = (time.perf_counter() - self._beat - TICK_S) * 1000
            stall_ms = clock_ms - (self._held_up_s() - held_up_s) * 1000
            self._phase.over_bar += stall_ms > BAR_MS
            self._phase.clock_ms = max(self._phase.clock_ms, clock_ms)
            if stall_ms > self._phase.stall_ms:
                self._phase.stall_ms = stall_ms
                self._phase.where = ", ".join(f"{place} {looks}" for place, looks in self._seen.most_common(3))
            self._seen.clear()

    def _held_up_s(self) -> float:
        """How long this thread has been ready to run while others had the processors: its run delay."""
        return int(os.pread(self._schedstat, 64, 0).split()[1]) / 1e9

    def lap(self) -> Phase:
        done, self._phase = self._phase, Phase()
        return done

    def _collection(self, stage: str, _info: dict[str, int]) -> None:
        if stage == "start":
            self._collection_began = time.perf_counter()
        else:
            self._phase.gc_ms = max(self._phase.gc_ms, (time.perf_counter() - self._collection_began) * 1000)

    def _look(self) -> None:
        """On a thread of its own, so as to see the loop's at work."""
        while True:
            time.sleep(_LOOK_S)
            if time.perf_counter() - self._beat > _OVERDUE_S:
                self._seen.update(_place(sys._current_frames().get(self._watched)))


def _place(frame: FrameType | None) -> list[str]:
    """The innermost function of the service on the stack, if there is one."""
    while frame is not None:
        if frame.f_code.co_filename.startswith(_SERVICE):
            return [f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_qualname}"]
        frame = frame.f_back
    return []


async def _serve() -> None:
    stopwatch = Stopwatch()
    ticking = asyncio.create_task(stopwatch.run())
    expire = asyncio.Event()
    upsert = DeploymentFeed.upsert

    def upsert_or_expire(feed: DeploymentFeed, uid: str, version: int, raw: bytes | msgspec.Raw) -> Iterable[None]:
        if expire.is_set():
            expire.clear()
            raise Gone
        return upsert(feed, uid, version, raw)

    async def is_ready() -> bool:
        return api.application[HEALTH].ready

    configured = environment.load(os.environ)
    telemetry.configure_logging(configured.log_level)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    with patch.object(DeploymentFeed, "upsert", upsert_or_expire):
        async with running(configured, ready=False) as api:
            print(api.url, api.management_url, flush=True)
            # Putting the parts together before anyone could ask is not what the bar is about: the tick it lies in ends.
            await asyncio.sleep(2 * TICK_S)
            stopwatch.lap()
            await eventually(is_ready, _START_S)
            while True:
                # The look at readiness, and what follows on it, belong to the phase.
                await asyncio.sleep(0.05)
                print(msgspec.json.encode(stopwatch.lap()).decode(), flush=True)
                line = await lines.readline()
                if not line:
                    break
                if line.strip() == b"relist":
                    expire.set()
    ticking.cancel()


class Watched:
    """The program, from outside."""

    def __init__(self, program: Program, url: str, management_url: str) -> None:
        self._program = program
        self.url = url
        self.management_url = management_url

    def rss_mib(self) -> float:
        return programs.rss_mib(self._program.process.pid)

    async def phase(self) -> Phase:
        """The first phase, as soon as it is over."""
        return msgspec.json.decode(await self._program.line(), type=Phase)

    async def mark(self, line: str = "next") -> Phase:
        """End a phase."""
        self._program.tell(line)
        return await self.phase()


@asynccontextmanager
async def watched(directory: Path, environ: Mapping[str, str]) -> AsyncIterator[Watched]:
    """The program, loading; its first phase is the first list."""
    async with programs.running(directory, "tests.bench.stalls", environ={**environ, "PORT": "0"}) as program:
        yield Watched(program, *(await program.line()).split())


def row(what: str, phase: Phase) -> Row:
    """The finding of a phase."""
    measured = (
        f"{phase.stall_ms:.1f} ms, {phase.over_bar} over the bar; by the clock {phase.clock_ms:.1f} ms; "
        f"collections ≤ {phase.gc_ms:.1f} ms"
    )
    return limited(f"longest stall: {what}", phase.stall_ms, BAR_MS, "ms", measured=measured, note=phase.where)


if __name__ == "__main__":
    uvloop.run(_serve())
