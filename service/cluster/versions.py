"""How far a watch has come, for reads that must see what was written before them.

Kubernetes promises since 1.35 that the resourceVersions of one resource compare as numbers: a watch that has reached
version n has told everything up to n. A write through any replica leaves the version it made (service.model.record);
whoever reads waits until the watch is there, or asks Kubernetes for that one object.

What such an answer says may be ahead of the watch, whose older events must not undo it; nor may an answer that is slow
to come undo what a list has said meanwhile.
"""

import asyncio
from collections.abc import Collection, Mapping, Set
from contextlib import suppress
from typing import Generic, TypeVar

Key = TypeVar("Key")


def version_number(resource_version: str) -> int:
    """A resourceVersion as a number; 0 where it is none. No answer is waited for then."""
    return int(resource_version) if resource_version.isascii() and resource_version.isdigit() else 0


class Versions(Generic[Key]):
    """Of one watched collection. `Key` names what writes are about."""

    def __init__(self) -> None:
        self._reached = 0
        self._ahead: dict[str, int] = {}
        """Object uid → the version at which an answer showed it; only while the watch is behind that."""
        self._told: dict[str, int] = {}
        """The same of what a list under way has said of it. If that is never completed, the next says it again."""
        self._wanted: dict[Key, int] = {}
        """What was written and has not come yet."""
        self._shown: dict[Key, int] = {}
        """What an answer has shown in the watch's place."""
        self._moved = asyncio.Event()

    @property
    def reached(self) -> int:
        return self._reached

    @property
    def wanted(self) -> Mapping[Key, int]:
        """Written, and not here yet: at which version."""
        return self._wanted

    def advance(self, version: int, *, listed: bool = False) -> bool:
        """The watch has told everything up to this version. `listed`: it has begun anew, with a complete list.

        True: of another history. A cluster restored from a backup counts from an earlier version.
        """
        restored = listed and version < self._reached
        if restored:
            self._ahead.clear()
            self._told.clear()
            self._wanted.clear()
            self._shown.clear()
            self._moved.set()
        elif version <= self._reached:
            return False
        self._reached = version
        self._ahead = _beyond(version, self._ahead)
        self._told = _beyond(version, self._told)
        self._shown = _beyond(version, self._shown)
        if self._wanted:
            self._wanted = _beyond(version, self._wanted)
            self._moved.set()
        return restored

    def want(self, key: Key, version: int) -> bool:
        """Something was written at this version. Whether it has yet to come."""
        if version <= self._reached or version <= self._shown.get(key, 0):
            return False
        self._wanted[key] = max(version, self._wanted.get(key, 0))
        return True

    def tell(self, uid: str, version: int, *, gone: bool = False) -> bool:
        """Whether what the watch, or a list, says of the object is later than what an answer has shown.

        `gone`: that it is deleted. The answer to a deletion shows how it last was, at the very version of the deletion.
        """
        ahead = self._ahead.get(uid, -1)
        if version < ahead or (version == ahead and not gone):
            return False
        # A list says it before the version that it is as of; but nobody is answered before the first is complete.
        if version > self._reached > 0:
            self._told[uid] = version
        return True

    def take(self, uid: str, version: int) -> bool:
        """Whether an answer that shows the object at this version is news; the watch is held to it from then on."""
        if version <= self._reached or version < max(self._ahead.get(uid, 0), self._told.get(uid, 0)):
            return False
        self._ahead[uid] = version
        return True

    def settle(self, key: Key, version: int) -> None:
        """An answer, asked for when this version was wanted, has shown it. What was written meanwhile stays wanted."""
        if key not in self._wanted:
            return
        self._shown[key] = max(version, self._shown.get(key, 0))
        if self._wanted[key] <= version:
            del self._wanted[key]
            self._moved.set()

    @property
    def ahead(self) -> Set[str]:
        """Uids of what answers have shown at versions that the watch has not reached."""
        return self._ahead.keys()

    async def wait(self, keys: Collection[Key], timeout_s: float) -> list[Key]:
        """Wait until none of the keys is wanted; those that still are in the end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while any(key in self._wanted for key in keys):
                    self._moved.clear()
                    await self._moved.wait()
        return [key for key in keys if key in self._wanted]


def _beyond(version: int, known: dict[Key, int]) -> dict[Key, int]:
    """What is known of later versions. Mostly there is nothing, at each event of a watch."""
    return {key: each for key, each in known.items() if each > version} if known else known
