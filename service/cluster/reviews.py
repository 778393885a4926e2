"""Answers of reviews, kept for a while.

Callers who ask the same at the same time share one review. While kube-apiserver cannot be asked, a positive answer goes
on being used for a longer, bounded time, so that reading goes on; a negative one does not.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from cachetools import LRUCache

from service.errors import ServiceUnavailable

CAPACITY = 50_000
NEGATIVE_TTL_S = 10.0
PATIENCE_S = 1.0
"""How long whoever could go on with an older answer waits for a new one."""
RETRY_S = 5.0
"""How long after a failure an older answer is used without asking again."""

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class _Kept(Generic[_Answer]):
    answer: _Answer
    fresh_until: float
    usable_until: float


class ReviewCache(Generic[_Answer]):
    """Answers by key, each asked for once at a time."""

    def __init__(
        self, *, ttl_s: float, grace_s: float, positive: Callable[[_Answer], bool], clock: Callable[[], float]
    ) -> None:
        self._ttl_s = ttl_s
        self._grace_s = grace_s
        self._positive = positive
        self._clock = clock
        self._kept: LRUCache[Hashable, _Kept[_Answer]] = LRUCache(CAPACITY)
        self._under_way: dict[Hashable, asyncio.Task[_Answer]] = {}

    async def get(self, key: Hashable, ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """The answer kept or a new one. Raises what `ask` raises; ServiceUnavailable only past the grace period."""
        kept = self._kept.get(key)
        now = self._clock()
        if kept is not None and now < kept.fresh_until:
            return kept.answer
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.create_task(self._ask(key, ask))
            task.add_done_callback(lambda done: self._finish(key, done))
        if kept is not None and now < kept.usable_until:
            # Slow is as good as away: whoever may go on with the old answer does not wait for long.
            await asyncio.wait({task}, timeout=PATIENCE_S)
            if not task.done():
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
            now = self._clock()
            if kept is None or now >= kept.usable_until:
                raise
            self._kept[key] = _Kept(kept.answer, min(now + RETRY_S, kept.usable_until), kept.usable_until)
            return kept.answer
        now = self._clock()
        if self._positive(answer):
            self._kept[key] = _Kept(answer, now + self._ttl_s, now + self._ttl_s + self._grace_s)
        else:
            ttl_s = min(self._ttl_s, NEGATIVE_TTL_S)
            self._kept[key] = _Kept(answer, now + ttl_s, now + ttl_s)
        return answer

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
