"""Deployments changed lately, as they are now: the next change of one can be made without a look at it.

What is kept may be behind. Whoever makes a patch of it names its version, and Kubernetes refuses what is for another.
"""

import msgspec

from service.kept import Kept

CAPACITY = 4 << 20
"""Bytes of JSON: about a thousand Deployments."""


class Recent:
    def __init__(self) -> None:
        self._kept: Kept[str, tuple[int, bytes]] = Kept(CAPACITY)

    def get(self, uid: str) -> bytes | None:
        """As Kubernetes' JSON, with all the Deployment holds: for making patches, not for showing."""
        found = self._kept.get(uid)
        return None if found is None else found[1]

    def put(self, uid: str, version: int, raw: bytes) -> None:
        """A Deployment as a change has left it."""
        found = self._kept.get(uid)
        if found is None or version > found[0]:
            self._kept.put(uid, (version, raw), len(raw))

    def refresh(self, uid: str, version: int, raw: bytes | msgspec.Raw) -> None:
        """A Deployment as the watch brings it. It is kept if it was."""
        if self._kept.get(uid) is not None:
            # A copy: what the watch brings is a part of all that has come with it.
            self.put(uid, version, bytes(raw))
