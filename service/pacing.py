"""Letting others have the event loop during long work on data that is there already."""

import asyncio
import time
from collections.abc import Awaitable, Generator, Iterable
from itertools import islice
from typing import TypeVar

Result = TypeVar("Result")

FIRST_S = 0.001
"""How long work may take and still count as short."""
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


class Turns:
    """Long work waits for its turn: several at once would each take their breath in the same round of the loop.

    Work turns out to be long when it is not done after its first, short while. What is shorter never waits.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def wait(self) -> None:
        """Go on in a round of the loop in which nobody else who waits here does."""
        async with self._lock:
            await asyncio.sleep(0)

    async def take(self, work: Generator[None, None, Result]) -> Result:
        """Do all steps of the work, and return its result."""
        until = time.monotonic() + FIRST_S
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
    """Do all of it, so many at a time. Raises the first error, once those of its batch are done."""
    remaining = iter(work)
    while batch := list(islice(remaining, size)):
        for outcome in await asyncio.gather(*batch, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
