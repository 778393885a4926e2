"""Work that changes leave behind, done beside everything else: often for several changes at once."""

import asyncio
from collections.abc import Callable, Iterable

from service.pacing import Pace
from service.telemetry import get_logger

log = get_logger(__name__)


class Upkeep:
    """Does all steps of `work()` whenever that is due. It never ends, and never holds up others for long."""

    def __init__(self, work: Callable[[], Iterable[None]]) -> None:
        self._work = work
        self._wanted = asyncio.Event()

    def due(self) -> None:
        """There is something to do. What is told of during work is done after it, or with it."""
        self._wanted.set()

    async def run(self) -> None:
        """Work until cancelled."""
        pace = Pace()
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await pace.run(self._work())
            except Exception:
                # A defect of ours: what it was about is left as it is, and all else goes on.
                log.exception("upkeep failed")
                self._wanted.set()
            await asyncio.sleep(0)
