"""What an answer rests on: while all of that stands, whoever asks the same gets the same answer."""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from service.access import UNKNOWN, Access, Caller, Verb
from service.freshness import ReadBarrier
from service.model.collection import Collection
from service.model.views import Visible

_version_of = attrgetter("version")


@dataclass(frozen=True, slots=True)
class Standing:
    """The state that a read has found, taken before it: an answer rests on it if it still holds when that is made.

    A read may look anywhere in between. Whatever it sees has a version, and no version comes twice; and what callers
    may see is remembered, for longer than a read takes.
    """

    access: Access
    barrier: ReadBarrier
    caller: Caller
    verb: Verb
    there: Callable[[], Set[str]]
    """The namespaces that the caller's rights were asked for in: they are others only in another version."""
    visible: Visible
    looked_at: Sequence[Collection[Any]]
    versions: Sequence[int]
    """Of what is looked at."""

    @classmethod
    def take(
        cls,
        access: Access,
        barrier: ReadBarrier,
        caller: Caller,
        verb: Verb,
        there: Callable[[], Set[str]],
        looked_at: Sequence[Collection[Any]],
    ) -> "Standing | None":
        """What stands now; None: somebody would have to be asked for it."""
        visible = access.recall(caller, there(), verb=verb)
        if visible is UNKNOWN:
            return None
        return cls(access, barrier, caller, verb, there, visible, looked_at, list(map(_version_of, looked_at)))

    def holds_now(self) -> bool:
        """Whether nothing has changed, as far as is known here, in what is held and what the caller may."""
        return (
            self._is_unchanged()
            and self.access.vouches_for(self.caller)
            and self.access.recall(self.caller, self.there(), verb=self.verb) == self.visible
        )

    async def holds(self) -> bool:
        """Whether nothing was changed that was written before this call, through whichever replica."""
        return self._is_unchanged() and await self.barrier.in_step() and self.holds_now()

    def _is_unchanged(self) -> bool:
        return list(map(_version_of, self.looked_at)) == self.versions
