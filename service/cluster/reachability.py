"""Whether kube-apiserver answers: what all who ask it share, so that none goes on waiting when another has an answer.

While it does not, one watch after the other looks for it, about every second; the others rest for longer. The first
answer to any request wakes them all.

Right after it has come back it may deny what is allowed: it answers before it has read who may do what. So a denial is
asked again before it is believed, until it has said that it is ready, or for a while where it does not tell us.
"""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress

LOOK_S = 1.0
"""The longest pause between looks for a kube-apiserver that is away."""
ABSENCE_S = 1.0
"""A shorter one wakes nobody: a request failed and the next did not, as goes on for long in some trouble."""
SETTLING_S = 3.0
"""How long after its return a denial is not believed yet, where nobody may ask whether it is ready."""
LONGEST_DOUBT_S = 30.0
"""How long it is given to get ready."""


class Reachability:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` is in seconds."""
        self._clock = clock
        self._away_since: float | None = None
        self._returned_at = float("-inf")
        self._is_settled = True
        self._returned = asyncio.Event()
        self._is_looked_for = False

    def failed(self) -> None:
        """It did not answer a watch, or answered that it cannot now.

        What becomes of other requests says less: the metrics API, say, may be away alone.
        """
        if self._away_since is None:
            self._away_since = self._clock()

    def answered(self) -> None:
        """It has answered any request, be it with a refusal."""
        if self._away_since is None:
            return
        # However short it was: it may have been started anew.
        self._returned_at, self._is_settled = self._clock(), False
        if self._clock() - self._away_since >= ABSENCE_S:
            self._returned.set()
            self._returned = asyncio.Event()
        self._away_since = None

    async def pause(self, seconds: float) -> bool:
        """Wait so long, or until it is back; no longer than LOOK_S for one of those who wait. Whether it is back."""
        looks = not self._is_looked_for
        if looks:
            self._is_looked_for, seconds = True, min(seconds, LOOK_S)
        try:
            returned = self._returned
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds * random.uniform(0.5, 1.0)):
                    await returned.wait()
            return returned.is_set()
        finally:
            if looks:
                self._is_looked_for = False

    @property
    def back_for_s(self) -> float:
        """Seconds since its return."""
        return self._clock() - self._returned_at

    @property
    def is_in_doubt(self) -> bool:
        """Whether it may deny what is allowed."""
        return not self._is_settled and self.back_for_s < LONGEST_DOUBT_S

    def settled(self) -> None:
        """It knows by now who may do what."""
        self._is_settled = True
