"""What an answer rests on: while all of that stands, whoever asks the same gets the same answer."""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from service.access import UNKNOWN, Access, Caller, Unknown, Verb
from service.cache import Numbers
from service.freshness import ReadBarrier
from service.model.collection import Collection
from service.model.views import Visible

Look = Callable[[Visible], object]

_version_of = attrgetter("version")


@dataclass(slots=True, kw_only=True)
class Standing:
    """The state before a read. If it still stands when the read has looked, the answer rests on it.

    The read may look at any time in between: no version comes twice, and what callers may see is remembered for longer
    than a read takes. What is held of items is counted (`held_bytes`); nothing else here is of a size that callers or
    tenants choose.
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
    """The namespaces that the caller's rights were asked for in."""
    sees_everything: bool
    sight: int
    """The number of what the caller sees."""
    looked_at: Sequence[Collection[Any]]
    versions: Sequence[int]
    """Of what is looked at."""
    look: Look | None
    """Finds out in no time what the answer shows; None: that takes longer, and any change may be one of it."""
    found: object = None
    """What `look` found when the answer was made."""
    held_bytes: int = 0

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
        look: Look | None,
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
            look=look,
        )

    def carries(self, caller: Caller, found: object, held_bytes: int) -> bool:
        """Whether an answer that has just been made rests on this, as nothing has changed since. It shows `found`.

        `held_bytes` are those of the items that it shows: they are held for as long as the answer is.
        """
        if self._versions() != self.versions or self._seen_by(caller) is UNKNOWN:
            return False
        self.found, self.held_bytes = found, held_bytes
        return True

    async def holds(self) -> bool:
        """Whether the same token would get the same answer as of now, with nothing to wait for but the barrier."""
        # What is known already to be another answer is not to wait twice.
        if self._versions() != self.versions and not self._stands():
            return False
        return await self.barrier.in_step() and self._stands()

    def _stands(self) -> bool:
        caller = self.access.recognize(self.token_hash)
        if caller is None or caller.key != self.key:
            return False
        visible = self._seen_by(caller)
        return visible is not UNKNOWN and self._shows_the_same(visible)

    def _seen_by(self, caller: Caller) -> Visible | Unknown:
        """What the caller sees, if it is what they saw."""
        # Who sees everything does so whatever there is.
        namespaces = frozenset[str]() if self.sees_everything else self.there()
        visible = self.access.recall(caller, namespaces, verb=self.verb)
        if visible is UNKNOWN or (visible is None) != self.sees_everything:
            return UNKNOWN
        return visible if visible is None or self.sights.of(visible) == self.sight else UNKNOWN

    def _shows_the_same(self, visible: Visible) -> bool:
        versions = self._versions()
        if versions == self.versions:
            return True
        if self.look is None or self.look(visible) != self.found:
            return False
        self.versions = versions
        return True

    def _versions(self) -> list[int]:
        return list(map(_version_of, self.looked_at))
