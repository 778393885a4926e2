"""Letting others have the event loop during long work on data that is there already."""

import asyncio
import time
from collections.abc import Awaitable, Generator, Iterable
from itertools import islice
from typing import TypeVar

Result = TypeVar("Result")

SHORT_S = 0.001
"""How long work may take and still count as short."""
BREATH_S = 0.003
"""How long to work in one go. Awaiting something that is ready does not let others run: asyncio.sleep(0) does."""


class Pace:
    """Gives way to others during one piece of long work, such as the reading of a list."""

    def __init__(self) -> None:
        self._since = 0.0

    async def breathe(self) -> None:
        """Let others run if the work has gone on for BREATH_S since they last did. Call it between steps."""
        now = time.monotonic()
        if now - self._since > BREATH_S:
            await asyncio.sleep(0)
            self._since = time.monotonic()

    async def run(self, steps: Iterable[None]) -> None:
        """Do all of the steps, breathing between them."""
        for _ in steps:
            await self.breathe()


class Turns:
    """Lets one piece of long work go on at a time: several at once would hold the loop for BREATH_S each, one after
    the other, before anybody else could run.

    Work counts as long when it is not done after SHORT_S. What is done by then never waits.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def wait(self) -> None:
        """Wait until a round of the event loop in which no other long work goes on."""
        async with self._lock:
            await asyncio.sleep(0)

    async def run(self, work: Generator[None, None, Result]) -> Result:
        """Do all steps of the work, and return its result."""
        until = time.monotonic() + SHORT_S
        try:
            while time.monotonic() < until:
                next(work)
            async with self._lock:
                pace = Pace()
                while True:
                    await pace.breathe()
                    next(work)
        except StopIteration as done:
            result: Result = done.value
            return result


async def in_batches(work: Iterable[Awaitable[None]], size: int) -> None:
    """Await all of it, `size` at a time. Raises the first error once all of its batch is done."""
    remaining = iter(work)
    while batch := list(islice(remaining, size)):
        for outcome in await asyncio.gather(*batch, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
