"""What is said of objects that could not be understood, of kinds that are followed where they are served."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec

from service.cluster.feeds import decode_name
from service.telemetry import get_logger

log = get_logger(__name__)

Understood = TypeVar("Understood")


class Skips:
    """The objects of one kind that could not be understood: each is logged once, and counted."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._reasons: dict[str, str] = {}
        """By uid."""

    def __len__(self) -> int:
        return len(self._reasons)

    def add(self, uid: str, raw: bytes | msgspec.Raw, reason: str) -> None:
        if self._reasons.get(uid) != reason:
            self._reasons[uid] = reason
            meta = decode_name(raw).metadata
            log.warning("skipped", kind=self._kind, namespace=meta.namespace, name=meta.name, reason=reason)

    def discard(self, uid: str) -> None:
        """It is understood, or gone."""
        self._reasons.pop(uid, None)

    def retain(self, uids: set[str]) -> None:
        for uid in self._reasons.keys() - uids:
            del self._reasons[uid]


class SkippingFeed(ABC, Generic[Understood]):
    """A feed (service.cluster.watch.Consumer) that leaves out what it cannot understand, as if it were not there.

    The service writes nothing of these kinds, so that no read waits for a version of them.
    """

    def __init__(self, kind: str) -> None:
        self.skips = Skips(kind)

    def upsert(self, uid: str, version: int, raw: bytes | msgspec.Raw) -> Iterator[None]:
        try:
            understood = self.understand(raw)
        except (ValueError, OverflowError) as error:
            # Decoding errors are ValueErrors too. An old state of it must not stay.
            self.skips.add(uid, raw, str(error))
            yield from self.remove(uid)
            return
        self.skips.discard(uid)
        yield from self.put(uid, understood)

    def delete(self, uid: str, version: int) -> Iterator[None]:
        self.skips.discard(uid)
        yield from self.remove(uid)

    def retain(self, uids: set[str]) -> Iterator[None]:
        self.skips.retain(uids)
        yield from self.retain_only(uids)

    def advance(self, version: int, *, listed: bool = False) -> None:
        """Nothing to do: see above."""

    @abstractmethod
    def understand(self, raw: bytes | msgspec.Raw) -> Understood:
        """Raises ValueError or OverflowError."""

    @abstractmethod
    def put(self, uid: str, understood: Understood) -> Iterator[None]:
        """Take an object in, in place of what it was before, step by step."""

    @abstractmethod
    def remove(self, uid: str) -> Iterator[None]:
        """Forget an object, step by step. An unknown uid is no error."""

    @abstractmethod
    def retain_only(self, uids: set[str]) -> Iterator[None]:
        """Forget all objects of the kind but these, step by step."""
