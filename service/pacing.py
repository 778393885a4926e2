"""Letting others have the event loop during long work on data that is there already."""

import asyncio
import time
from collections.abc import Iterable

BREATH_S = 0.003
"""How long to work in one go. Awaiting something that is ready does not let go of the loop; this does."""


class Pace:
    """Of one piece of long work."""

    def __init__(self) -> None:
        self._since = 0.0

    async def breathe(self) -> None:
        """Call between steps of the work: gives way when it is time to."""
        now = time.monotonic()
        if now - self._since > BREATH_S:
            await asyncio.sleep(0)
            self._since = time.monotonic()

    async def through(self, steps: Iterable[None]) -> None:
        """Do all of the steps, breathing between them."""
        for _ in steps:
            await self.breathe()
