"""How long the service's event loop stands still: the service's own application, with a stopwatch in its loop.

As a program (`python -m tests.bench.stalls`, with the service's environment) it prints its address, and the first
phase, which is the first list; then, for each line on stdin, the phase since the line before. The line `relist` makes
the next event of a Deployment a 410. It ends with its stdin.
"""

import asyncio
import gc
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType
from unittest.mock import patch

import msgspec
import uvloop

from service import settings, telemetry
from service.api.keys import HEALTH
from service.cluster.feeds import DeploymentFeed
from service.cluster.watch import Gone
from tests.bench import programs
from tests.bench.report import Row, limited
from tests.support.api import running

TICK_S = 0.001
_LOOK_S = 0.003
_OVERDUE_S = 0.008
"""A loop that is late by so much is looked at: what is it doing?"""
_SERVICE = str(Path(settings.__file__).parent)


class Phase(msgspec.Struct):
    """The longest stall of a stretch of time."""

    stall_ms: float = 0.0
    cpu_ms: float = 0.0
    """What of it the loop's own thread worked: the rest it was kept from running."""
    where: str = ""
    """Seen at work meanwhile, innermost first."""
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
        self._where = ""
        self._collection_began = 0.0
        self._watched = threading.get_ident()
        gc.callbacks.append(self._collection)
        threading.Thread(target=self._look, daemon=True).start()

    async def run(self) -> None:
        while True:
            self._beat, worked = time.perf_counter(), time.thread_time()
            await asyncio.sleep(TICK_S)
            stall_ms = (time.perf_counter() - self._beat - TICK_S) * 1000
            self._phase.over_bar += stall_ms > BAR_MS
            if stall_ms > self._phase.stall_ms:
                self._phase.stall_ms = stall_ms
                self._phase.cpu_ms = (time.thread_time() - worked) * 1000
                self._phase.where = self._where
            self._where = ""

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
                self._where = _place(sys._current_frames().get(self._watched))


def _place(frame: FrameType | None) -> str:
    """The innermost functions of the service, and the library function that the innermost of them called."""
    names: list[str] = []
    called = ""
    while frame is not None and len(names) < 3:
        code = frame.f_code
        if code.co_filename.startswith(_SERVICE):
            names.append(f"{Path(code.co_filename).stem}.{code.co_qualname}:{frame.f_lineno}")
        elif not names and not called:
            called = f"{Path(code.co_filename).stem}.{code.co_name} < "
        frame = frame.f_back
    return called + " < ".join(names)


async def _serve() -> None:
    stopwatch = Stopwatch()
    ticking = asyncio.create_task(stopwatch.run())
    expire = asyncio.Event()
    put = DeploymentFeed.put

    def put_or_expire(feed: DeploymentFeed, uid: str, raw: bytes | msgspec.Raw) -> None:
        if expire.is_set():
            expire.clear()
            raise Gone
        put(feed, uid, raw)

    configured = settings.load(os.environ)
    telemetry.configure_logging(configured.log_level)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    with patch.object(DeploymentFeed, "put", put_or_expire):
        async with running(configured, ready=False) as api:
            print(api.url, flush=True)
            while not api.application[HEALTH].ready:
                await asyncio.sleep(0.01)
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

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self._process = process
        self.url = url

    async def phase(self) -> Phase:
        """The first phase, as soon as it is over."""
        return msgspec.json.decode(await programs.first_line(self._process), type=Phase)

    async def mark(self, line: str = "next") -> Phase:
        """End a phase."""
        assert self._process.stdin
        self._process.stdin.write(f"{line}\n".encode())
        return await self.phase()


@asynccontextmanager
async def watched(directory: Path, environ: Mapping[str, str]) -> AsyncIterator[Watched]:
    """The program, loading; its first phase is the first list."""
    log = directory / "stalls.log"
    async with programs.running("tests.bench.stalls", environ={**environ, "PORT": "0"}, log=log) as process:
        yield Watched(process, await programs.first_line(process))


def row(what: str, phase: Phase) -> Row:
    """The finding of a phase."""
    measured = f"{phase.stall_ms:.1f} ms ({phase.cpu_ms:.1f} of CPU, gc ≤ {phase.gc_ms:.1f}; {phase.over_bar} over)"
    return limited(f"longest stall: {what}", phase.stall_ms, BAR_MS, "ms", measured=measured, note=phase.where)


if __name__ == "__main__":
    uvloop.run(_serve())
