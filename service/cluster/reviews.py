"""Answers of reviews, kept for a while.

Callers who ask the same at the same time share one review. While kube-apiserver cannot be asked, or is slow, an answer
goes on being used for a longer, bounded time, so that reading goes on: a yes is what the caller had before, and a no
that is out of date errs on the safe side.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from cachetools import LRUCache

from service.errors import ServiceUnavailable

CAPACITY = 100_000
PATIENCE_S = 1.0
"""How long whoever could go on with an older answer waits for a new one."""
RETRY_S = 5.0
"""How long after a failure an older answer is used without asking again."""

_Answer = TypeVar("_Answer")
_Default = TypeVar("_Default")


@dataclass(frozen=True, slots=True)
class _Kept(Generic[_Answer]):
    answer: _Answer
    fresh_until: float
    usable_until: float


class ReviewCache(Generic[_Answer]):
    """Answers by key, each asked for once at a time. A false answer is a negative one."""

    def __init__(
        self, *, ttl_s: float, negative_ttl_s: float, grace_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ttl_s = ttl_s
        self._negative_ttl_s = min(ttl_s, negative_ttl_s)
        self._grace_s = grace_s
        self._clock = clock
        self._kept: LRUCache[Hashable, _Kept[_Answer]] = LRUCache(CAPACITY)
        self._under_way: dict[Hashable, asyncio.Task[_Answer]] = {}
        self.hits = 0
        """Questions answered with what was kept."""
        self.shared = 0
        """Questions that joined others in waiting for a review."""
        self.misses = 0
        """Questions that led to a review."""

    @property
    def under_way(self) -> int:
        """Reviews that somebody may be waiting for."""
        return len(self._under_way)

    def peek(self, key: Hashable, default: _Default) -> _Answer | _Default:
        """The answer kept, if it is fresh."""
        kept = self._kept.get(key)
        return default if kept is None or self._clock() >= kept.fresh_until else kept.answer

    def remembers(self, key: Hashable) -> bool:
        """Whether the last answer, of whatever age, was a positive one."""
        kept = self._kept.get(key)
        return kept is not None and bool(kept.answer)

    async def get(self, key: Hashable, ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """The answer kept or a new one. Raises what `ask` raises; ServiceUnavailable only past the grace period."""
        kept = self._kept.get(key)
        now = self._clock()
        if kept is not None and now < kept.fresh_until:
            self.hits += 1
            return kept.answer
        task = self._under_way.get(key)
        if task is not None:
            self.shared += 1
        else:
            self.misses += 1
            task = self._under_way[key] = asyncio.create_task(self._ask(key, ask))
            task.add_done_callback(lambda done: self._finish(key, done))
        if kept is not None and now < kept.usable_until:
            # Slow is as good as away: whoever can go on with the old answer does not wait for long, or again soon.
            await asyncio.wait({task}, timeout=PATIENCE_S)
            if not task.done():
                self._prolong(key, kept)
                return kept.answer
        # The review is everyone's who waits for it: one who goes away must not take it along.
        return await asyncio.shield(task)

    def _finish(self, key: Hashable, task: asyncio.Task[_Answer]) -> None:
        del self._under_way[key]
        if not task.cancelled():
            # Marks an error as seen: those who waited have it, and there may be nobody left who did.
            task.exception()

    async def _ask(self, key: Hashable, ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
        try:
            answer = await ask()
        except ServiceUnavailable:
            kept = self._kept.get(key)
            if kept is None or self._clock() >= kept.usable_until:
                raise
            self._prolong(key, kept)
            return kept.answer
        fresh_until = self._clock() + (self._ttl_s if answer else self._negative_ttl_s)
        self._kept[key] = _Kept(answer, fresh_until, fresh_until + self._grace_s)
        return answer

    def _prolong(self, key: Hashable, kept: _Kept[_Answer]) -> None:
        fresh_until = min(self._clock() + RETRY_S, kept.usable_until)
        self._kept[key] = _Kept(kept.answer, fresh_until, kept.usable_until)

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
