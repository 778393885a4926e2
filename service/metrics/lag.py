"""How late the event loop is: whatever holds it up holds up every request of that moment."""

import asyncio
import time

from service.metrics.numbers import Histogram

PERIOD_S = 0.1
BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class LoopLag:
    """Sets a timer again and again: how late it goes off is how long a request that came then had to wait."""

    def __init__(self) -> None:
        self.seconds = Histogram(BOUNDS_S)

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            due = time.monotonic() + PERIOD_S
            await asyncio.sleep(PERIOD_S)
            # uvloop's timers are whole milliseconds, and may be early by part of one.
            self.seconds.observe(max(0.0, time.monotonic() - due))
