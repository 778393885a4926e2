"""What is said of objects that could not be understood, of kinds that are followed where they are served."""

from typing import Protocol

import msgspec

from service.cluster.feeds import decode_name
from service.cluster.watch import Consumer
from service.telemetry import get_logger

log = get_logger(__name__)


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


class SkippingFeed(Consumer, Protocol):
    """A feed that leaves out what it cannot understand."""

    skips: Skips
