"""What an answer rests on: while all of that stands, whoever asks the same gets the same answer."""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from service.access import UNKNOWN, Access, Caller, Verb
from service.cache import Numbers
from service.freshness import ReadBarrier
from service.model.collection import Collection
from service.model.views import Visible

_version_of = attrgetter("version")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The state before a read. If it still stands when the read has looked, the answer rests on it.

    The read may look at any time in between: no version comes twice, and what callers may see is remembered for longer
    than a read takes. Nothing is held here that callers or tenants choose the size of.
    """

    access: Access
    barrier: ReadBarrier
    sights: Numbers[Visible]
    token_hash: bytes
    key: bytes
    """The caller's."""
    person: bytes
    verb: Verb
    there: Callable[[], Set[str]]
    """The namespaces that the caller's rights were asked for in: they are others only in another version."""
    sees_everything: bool
    sight: int
    """The number of what the caller sees."""
    looked_at: Sequence[Collection[Any]]
    versions: Sequence[int]
    """Of what is looked at."""

    @classmethod
    def take(
        cls,
        access: Access,
        barrier: ReadBarrier,
        sights: Numbers[Visible],
        caller: Caller,
        verb: Verb,
        there: Callable[[], Set[str]],
        looked_at: Sequence[Collection[Any]],
    ) -> "Standing | None":
        """What stands now; None: somebody would have to be asked for it."""
        visible = access.recall(caller, there(), verb=verb)
        if visible is UNKNOWN:
            return None
        return cls(
            access=access,
            barrier=barrier,
            sights=sights,
            token_hash=caller.token_hash,
            key=caller.key,
            person=caller.person,
            verb=verb,
            there=there,
            sees_everything=visible is None,
            sight=sights.of(visible),
            looked_at=looked_at,
            versions=list(map(_version_of, looked_at)),
        )

    def stands(self, caller: Caller) -> bool:
        """Whether nothing has changed, as far as is known here, in what is held and what the caller may see."""
        return self._is_unchanged() and self._is_seen_by(caller)

    async def holds(self) -> bool:
        """Whether the same token would get the same answer as of now, with nothing to wait for but the barrier."""
        if not (self._is_unchanged() and await self.barrier.in_step() and self._is_unchanged()):
            return False
        caller = self.access.recognize(self.token_hash)
        return caller is not None and caller.key == self.key and self._is_seen_by(caller)

    def _is_seen_by(self, caller: Caller) -> bool:
        # Who sees everything does so whatever there is.
        namespaces = frozenset[str]() if self.sees_everything else self.there()
        visible = self.access.recall(caller, namespaces, verb=self.verb)
        if self.sees_everything or visible is None or visible is UNKNOWN:
            return self.sees_everything and visible is None
        return self.sights.of(visible) == self.sight

    def _is_unchanged(self) -> bool:
        return list(map(_version_of, self.looked_at)) == self.versions
