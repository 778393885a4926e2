"""Which resourceVersions a watch has reached, which ones reads expect of it, and what is newer than what.

Kubernetes promises since 1.35 that the resourceVersions of one resource compare as numbers. So a watch that has reached
version n has brought every change up to n.

A write through any replica records in Postgres the version that it made (service.model.record). A read must see it:
that version is *expected* until the watch has reached it, or until an *answer* of kube-apiserver to a request of ours
has shown the object at that version or a later one.

Events and answers come on different connections, in any order. An answer may show an object as it is ahead of the
watch, whose older events must then not undo it. An answer may also come late: it must not undo what a list has shown
meanwhile. So each of the two is accepted only if it is newer than what the other has said of that object.
"""

import asyncio
from collections.abc import Mapping, Set
from contextlib import suppress
from typing import Generic, TypeVar

Key = TypeVar("Key")


def version_number(resource_version: str) -> int:
    """A resourceVersion as a number; 0 where it is none, which every watch has reached from its start."""
    return int(resource_version) if resource_version.isascii() and resource_version.isdigit() else 0


class Versions(Generic[Key]):
    """The versions of one watched collection. `Key` names what writes are about: a process."""

    def __init__(self) -> None:
        self._reached = 0
        self._ahead: dict[str, int] = {}
        """Object uid → the version at which an answer showed it, while the watch has not reached that."""
        self._listed: dict[str, int] = {}
        """Object uid → the version at which a list that is not complete yet has shown it. If it never is, the next
        list shows the object again."""
        self._expected: dict[Key, int] = {}
        """Key → the latest version written, while the watch has not reached it and no answer has shown it."""
        self._satisfied: dict[Key, int] = {}
        """Key → the version that an answer has shown, while the watch has not reached that."""
        self._changed = asyncio.Event()
        self._histories = 0
        """How many have ended."""
        self._is_other_history = False
        """Whether what is listed now is of another history than what came before."""

    def forget(self) -> None:
        """What has come so far is of a history that has ended: what comes now is not to be compared with it."""
        self._is_other_history = True
        self._ahead.clear()
        self._listed.clear()
        self._satisfied.clear()
        self._histories += 1
        self._changed.set()

    @property
    def reached(self) -> int:
        """The watch has brought every change up to this version; 0 before its first list is complete."""
        return self._reached

    @property
    def expected(self) -> Mapping[Key, int]:
        """The versions that reads have to see and cannot yet, by what they were written about."""
        return self._expected

    def advance(self, version: int, *, listed: bool = False) -> bool:
        """The watch has brought every change up to this version. `listed`: by a complete list, and not event by event.

        Returns whether the list is of another history than all before: a cluster that was restored from a backup counts
        on from an earlier version. All that answers have shown is forgotten then. What is expected is not: it may have
        been written since, and what was not is expected no more as soon as the rows say so (service.lost_versions).
        """
        restored = listed and (self._is_other_history or version < self._reached)
        if restored:
            self.forget()
            self._is_other_history = False
        elif version <= self._reached:
            return False
        self._reached = version
        self._ahead = _beyond(version, self._ahead)
        self._listed = _beyond(version, self._listed)
        self._satisfied = _beyond(version, self._satisfied)
        if self._expected:
            self._expected = _beyond(version, self._expected)
            self._changed.set()
        return restored

    def expect(self, key: Key, version: int) -> bool:
        """Something was written at this version: expect it. Returns whether reads have to wait for it."""
        if self._has(key, version):
            return False
        self._expected[key] = max(version, self._expected.get(key, 0))
        return True

    def expect_only(self, key: Key, version: int) -> None:
        """Expect this version as the latest written, be it earlier than what was expected before.

        It is where that turned out to be of a history that has ended.
        """
        if self._expected.get(key, 0) > version:
            del self._expected[key]
            self._changed.set()
        self.expect(key, version)

    def accept_event(self, uid: str, version: int, *, deleted: bool = False) -> bool:
        """Whether an event of the watch, or an item of a list, is newer than what an answer has shown of the object.

        `deleted`: the event says that it is deleted. It is newer than an answer of its own version, as the answer to a
        deletion shows how the object last was, at the version of the deletion.
        """
        ahead = self._ahead.get(uid, -1)
        if version < ahead or (version == ahead and not deleted):
            return False
        # An item of a list, which comes before the version of the whole list. Before the first list is complete no
        # request is answered, so that there are no answers to compare with.
        if version > self._reached > 0:
            self._listed[uid] = version
        return True

    def accept_answer(self, uid: str, version: int) -> bool:
        """Whether an answer is newer than what the watch, a list or another answer has said of the object.

        `version` is the object's, or a later one as of which the answer was given. Older events are refused from now
        on.
        """
        if not self.is_news(uid, version):
            return False
        self._ahead[uid] = version
        return True

    def is_news(self, uid: str, version: int) -> bool:
        """Whether an answer as of this version is newer than all that is known of the object."""
        return version > self._reached and version >= max(self._ahead.get(uid, 0), self._listed.get(uid, 0))

    def is_past(self, uid: str, version: int) -> bool:
        """Whether an answer has shown the object later than this version, which the watch has not reached either.

        Never of an item of a list from another history, whose versions were reached long ago.
        """
        return self._reached < version < self._ahead.get(uid, 0)

    def satisfy(self, key: Key, version: int) -> None:
        """An answer that was asked for when this version was expected has come. Later versions stay expected."""
        if key not in self._expected:
            return
        self._satisfied[key] = max(version, self._satisfied.get(key, 0))
        if self._expected[key] <= version:
            del self._expected[key]
            self._changed.set()

    @property
    def ahead(self) -> Set[str]:
        """The uids of objects that answers have shown at versions that the watch has not reached."""
        return self._ahead.keys()

    async def wait(self, versions: Mapping[Key, int], timeout_s: float) -> list[Key]:
        """Wait until of each key this version has come. Returns those of which it has not in the end.

        It ends as well when the history does in which they were written: nobody knows what is still to come.
        """
        histories = self._histories
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._histories == histories and self.missing(versions):
                    self._changed.clear()
                    await self._changed.wait()
        return self.missing(versions)

    def missing(self, versions: Mapping[Key, int]) -> list[Key]:
        """Those keys of which this version is expected, or an earlier one."""
        return [key for key, each in versions.items() if key in self._expected and not self._has(key, each)]

    def _has(self, key: Key, version: int) -> bool:
        return version <= max(self._reached, self._satisfied.get(key, 0))


def _beyond(version: int, known: dict[Key, int]) -> dict[Key, int]:
    """The entries of later versions. This is called at each event of a watch, mostly with none."""
    return {key: each for key, each in known.items() if each > version} if known else known
