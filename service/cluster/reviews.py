"""A cache of the answers that kube-apiserver gives to reviews (TokenReview, SubjectAccessReview).

An answer is used for a time to live. Callers who ask the same at the same time share one review. While kube-apiserver
cannot be asked, or is slow, an old answer goes on being used for a grace period, so that reading goes on: an old yes is
what the caller had before, and an old no errs on the safe side.

The cache is bounded in bytes. Keys are hashes: tenants choose the names of namespaces, and whoever guesses tokens
chooses those, and neither should choose what an entry takes.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import Generic, TypeVar

import msgspec

from service.cache import RecencyCache
from service.cluster.under_way import UnderWay
from service.errors import ServiceUnavailable

KEPT_BYTES = 100
"""What is kept beside an answer: its times."""
LARGEST_SHARE = 64
"""An answer that would take more than this part of the capacity (1/64) is not kept: it would push out all others."""
PATIENCE_S = 1.0
"""How long whoever could go on with an old answer waits for a new one."""
RETRY_S = 5.0
"""How long after a failure an old answer is used without asking again."""

_Answer = TypeVar("_Answer")
_Default = TypeVar("_Default")


def review_key(about: bytes, *words: str) -> bytes:
    """The key of a question about somebody: 16 bytes. `about` stands for them, and the words have no NUL in them."""
    return blake2b("\0".join(words).encode(), key=about, digest_size=16).digest()


class _Kept(msgspec.Struct, Generic[_Answer], frozen=True):
    """An answer; times are of the cache's clock, in seconds."""

    answer: _Answer
    fresh_until: float
    usable_until: float


class ReviewCache(Generic[_Answer]):
    """Answers by key, of no more than 40 bytes. False and None are negative answers, all others positive."""

    def __init__(
        self,
        *,
        capacity: int,
        ttl_s: float,
        negative_ttl_s: float,
        grace_s: float,
        size_of: Callable[[_Answer], int] = lambda _: 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`capacity` is in bytes; so is `size_of`, of an answer that is not a constant such as True."""
        self._largest = capacity // LARGEST_SHARE
        self._ttl_s = ttl_s
        self._negative_ttl_s = min(ttl_s, negative_ttl_s)
        self._grace_s = grace_s
        self._size_of = size_of
        self._clock = clock
        self._kept: RecencyCache[bytes, _Kept[_Answer]] = RecencyCache(capacity)
        self._under_way: UnderWay[bytes, _Answer] = UnderWay()
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

    def fresh(self, key: bytes, default: _Default) -> _Answer | _Default:
        """The answer kept if it is fresh, else the default."""
        kept = self._kept.get(key)
        if kept is None or self._clock() >= kept.fresh_until:
            return default
        # Who gets None cannot tell it from a default, and asks on: that is counted then.
        self.hits += kept.answer is not None
        return kept.answer

    def fresh_until(self, key: bytes) -> float:
        """When the answer kept is to be asked for again, by the cache's clock; in the past where none is kept."""
        kept = self._kept.get(key)
        return float("-inf") if kept is None else kept.fresh_until

    def accepted(self, key: bytes) -> bool:
        """Whether the last answer, of whatever age, was a positive one."""
        kept = self._kept.get(key)
        return kept is not None and bool(kept.answer)

    async def get(self, key: bytes, ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """The answer kept, or a new one from `ask`.

        Raises what `ask` raises, but ServiceUnavailable only where there is no answer that is within its grace period.
        """
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
            task = self._under_way.begin(key, self._ask(key, ask))
        if kept is not None and now < kept.usable_until:
            # Slow is as good as away: whoever can go on with the old answer does not wait for long, or again soon.
            await asyncio.wait({task}, timeout=PATIENCE_S)
            if not task.done():
                self._prolong(key, kept)
                return kept.answer
        return await asyncio.shield(task)

    async def _ask(self, key: bytes, ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
        try:
            answer = await ask()
        except ServiceUnavailable:
            kept = self._kept.get(key)
            if kept is None or self._clock() >= kept.usable_until:
                raise
            self._prolong(key, kept)
            return kept.answer
        fresh_until = self._clock() + (self._ttl_s if answer else self._negative_ttl_s)
        self._keep(key, _Kept(answer, fresh_until, fresh_until + self._grace_s))
        return answer

    def _prolong(self, key: bytes, kept: _Kept[_Answer]) -> None:
        """Go on with an old answer for a while, within its grace period."""
        fresh_until = min(self._clock() + RETRY_S, kept.usable_until)
        self._keep(key, _Kept(kept.answer, fresh_until, kept.usable_until))

    def _keep(self, key: bytes, kept: _Kept[_Answer]) -> None:
        size = self._size_of(kept.answer)
        if size <= self._largest:
            self._kept.put(key, kept, KEPT_BYTES + size)

    async def close(self) -> None:
        """Give up what is under way."""
        await self._under_way.close()
