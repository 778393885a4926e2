"""The gate before the index: what comes of both stores passes in pairs that belong together, so that none shows half.

Most of what comes passes at once. What belongs with something that has not come yet is held (service.model.holds), and
the index goes on showing the process as it was. That ends

- for a Deployment that names a write id nobody has heard of, with the next answer of Postgres to a question asked after
  it came, or when Postgres is found to be away: then it is shown with the row as last known, and answers say so;
- for a row that a later Deployment belongs to, when the watch or an answer has brought that.

What may take long is an iterator of steps, as in the index.
"""

from collections.abc import Callable, Iterator, Set

import msgspec

from service.model.claims import Conflict
from service.model.holds import UNHEARD_OF, HeldRow, HeldWorkload, Hold
from service.model.index import Index
from service.model.process import Key, Metadata, Workload
from service.model.record import Record

LARGEST = 4 << 20
"""Bytes of what is held. Beyond, of a process no more than the latest of each kind is held, and shown later."""

OVERHEAD = 1024
"""Bytes of one thing held, beside its text."""

Need = tuple[int, int]
"""What must be shown of a process: the row that came with this ordinal, with the Deployment as of this version."""


class Joins:
    def __init__(self, index: Index, on_conflict: Callable[[Conflict], None] = lambda _: None) -> None:
        """`on_conflict` is called with each conflict that comes into the index."""
        self._index = index
        self._on_conflict = on_conflict
        self._holds: dict[Key, Hold] = {}
        self._held_in: dict[str, Key] = {}
        """Where a Deployment is held, by its uid."""
        self._behind: dict[Key, int] = {}
        """Processes of which a row is held, and the lowest version that one waits for and the watch has not reached."""
        self._size = 0
        self._reached = 0
        self._as_of: dict[Key, int] = {}
        """The version as of which an answer has shown a process, while the watch has not reached that."""
        self._rows = 0
        """How many rows have come."""
        self._asked = self._answered = 0
        """Questions to Postgres."""
        self._away = True
        """Whether Postgres is away: nothing waits for its next answer."""

    @property
    def size(self) -> int:
        """About the bytes that what is held takes."""
        return self._size

    def __len__(self) -> int:
        """The number of processes of which something is held."""
        return len(self._holds)

    # From Kubernetes

    def put_workload(self, workload: Workload, version: int, *, as_of: int = 0) -> None:
        """A Deployment is new or has changed, with this resourceVersion, and was still so as of another."""
        key, as_of = workload.key, max(version, as_of)
        if self._held_in.get(workload.uid, key) != key:
            self._drop(workload.uid)
        hold = self._holds.get(key)
        heard_in = self._heard_in(workload, hold)
        if hold is None and heard_in == UNHEARD_OF:
            hold = self._open(key)
        if hold is None:
            self._index_workload(workload)
        else:
            self._hold_workload(hold, HeldWorkload(workload, version, as_of, self._asked, heard_in))
        if as_of > self._reached > 0:
            self._as_of[key] = max(as_of, self._as_of.get(key, 0))
        if hold is not None:
            self._show(key, hold)

    def remove_workload(self, uid: str) -> None:
        """A Deployment is gone, or is no process any more. An unknown uid is no error."""
        self._drop(uid)
        self._index.remove_workload(uid)

    def retain_workloads(self, uids: Set[str]) -> Iterator[None]:
        """All Deployments but these are gone."""
        for uid in self._held_in.keys() - uids:
            self._drop(uid)
            yield
        yield from self._index.retain_workloads(uids)

    def uids_of(self, namespace: str, app_guid: str) -> set[str]:
        """The Deployments of an app in a namespace, shown or not."""
        held = {uid for uid, key in self._held_in.items() if key[:2] == (namespace, app_guid)}
        return held | {each.uid for each in self._index.workloads_of(namespace, app_guid)}

    def knows(self, uid: str) -> bool:
        """Whether there is such a Deployment, shown or not."""
        return uid in self._held_in or self._index.workload(uid) is not None

    def namesakes_of(self, workload: Workload) -> list[str]:
        """The uids of other Deployments of its name, shown of its app or held of its process: it was made anew."""
        found = self._index.workloads_of(workload.namespace, workload.app_guid)
        if (hold := self._holds.get(workload.key)) is not None:
            found += [held.workload for held in hold.workloads]
        return list({each.uid for each in found if each.name == workload.name} - {workload.uid})

    def advance(self, version: int, *, restored: bool = False) -> None:
        """The watch has brought every change up to this version; `restored`: of another history than all before."""
        self._reached = version
        if restored:
            self._as_of.clear()
            for key in self._behind:
                self._holds[key].forget_versions()
        elif self._as_of:
            self._as_of = {key: each for key, each in self._as_of.items() if each > version}
        for key in [key for key, awaited in self._behind.items() if restored or awaited <= version]:
            self._show(key, self._holds[key])

    def satisfy(self, key: Key, version: int) -> None:
        """An answer has shown all that there is of a process, as of this version or a later one."""
        if version > self._reached:
            self._as_of[key] = max(version, self._as_of.get(key, 0))
        if (hold := self._holds.get(key)) is not None:
            self._show(key, hold)

    # From Postgres

    def put_row(self, record: Record) -> None:
        """A row is new or has changed."""
        key, hold = record.key, self._holds.get(record.key)
        if hold is None and self._reached and record.folded_version > self._known(key):
            # As of the rows that have come before: this one is not shown.
            hold = self._open(key)
        self._rows += 1
        if hold is None:
            self._index.put_metadata(record.metadata)
            return
        row = HeldRow(
            ordinal=self._rows,
            metadata=record.metadata,
            folded_version=record.folded_version,
            deployment_version=record.deployment_version,
            size=_size(record.metadata),
        )
        hold.add_row(row)
        self._make_room(hold, row.size)
        self._show(key, hold)

    def retain_rows(self, keys: Set[Key]) -> Iterator[None]:
        """The rows of all other processes are gone; none may be put meanwhile."""
        for key in list(self._holds):
            if key not in keys and (hold := self._holds.get(key)) is not None:
                self._size -= sum(row.size for row in hold.rows)
                hold.rows.clear()
                self._show(key, hold)
            yield
        yield from self._index.retain_metadata(keys)

    def ask(self) -> None:
        """Postgres is being asked for what is new."""
        self._asked += 1

    def answer(self) -> Iterator[None]:
        """All rows of its answer have been put."""
        self._answered, self._away = self._asked, False
        return self._show_all()

    def lose(self) -> Iterator[None]:
        """Postgres is away."""
        self._away = True
        return self._show_all()

    def holds(self, key: Key) -> bool:
        """Whether something has come of a process that is not shown yet."""
        return key in self._holds

    # For readers

    @property
    def behind(self) -> Set[Key]:
        """The processes that are shown with a row that is not the latest known."""
        return self._behind.keys()

    def need(self, key: Key, version: int) -> Need:
        """What a reader has to see of a process: the rows that have come, and the Deployment as of this version."""
        hold = self._holds.get(key)
        return (hold.rows[-1].ordinal if hold is not None and hold.rows else 0), version

    def shows(self, key: Key, need: Need) -> bool:
        """Whether that is shown, as far as both stores have told."""
        hold = self._holds.get(key)
        return hold is None or (hold.ordinal >= need[0] and hold.as_of >= need[1])

    def _heard_in(self, workload: Workload, hold: Hold | None) -> int:
        """The ordinal of the first row known to have heard of the write id that the Deployment names.

        A row that had heard of its former state has, where the id is the same. One that is gone from the annotation is
        taken as seriously as one that is new: the half that Kubernetes has is still there.
        """
        shown_row, write_id = self._rows if hold is None else hold.ordinal, workload.write_id
        if self._away or not self._reached:
            return shown_row
        former = None if hold is None else hold.last_of(workload.uid)
        if former is not None:
            if former.workload.write_id == write_id:
                return former.heard_in
        else:
            shown = self._index.workload(workload.uid)
            if write_id == (None if shown is None else shown.write_id):
                return shown_row
        metadata = self._index.metadata(workload.key)
        return shown_row if metadata is not None and write_id in metadata.pending else UNHEARD_OF

    def _known(self, key: Key) -> int:
        """The version up to which all changes of a process have come."""
        return max(self._reached, self._as_of.get(key, 0))

    def _open(self, key: Key) -> Hold:
        hold = self._holds[key] = Hold(self._rows, self._known(key))
        return hold

    def _hold_workload(self, hold: Hold, held: HeldWorkload) -> None:
        workload = held.workload
        if hold.workloads and (last := hold.workloads[-1]).workload == workload:
            # Its status has changed.
            last.as_of = max(last.as_of, held.as_of)
            return
        held.size = _size(workload)
        self._held_in[workload.uid] = workload.key
        hold.add_workload(held)
        self._make_room(hold, held.size)

    def _make_room(self, hold: Hold, size: int) -> None:
        """Account for what was just added to a hold."""
        self._size += size
        if self._size > LARGEST:
            before = hold.size
            hold.drop_superseded()
            self._size += hold.size - before

    def _drop(self, uid: str) -> None:
        """Forget what is held of a Deployment, if anything is."""
        key = self._held_in.pop(uid, None)
        if key is not None:
            hold = self._holds[key]
            before = hold.size
            hold.drop_workloads(uid)
            self._size += hold.size - before
            self._show(key, hold)

    def _show_all(self) -> Iterator[None]:
        for key in list(self._holds):
            if (hold := self._holds.get(key)) is not None:
                self._show(key, hold)
            yield

    def _show(self, key: Key, hold: Hold) -> None:
        """Let pass the latest of what is held that belongs together."""
        # While Postgres is away, and before there is anything to be old, nothing is waited for.
        hold.settle(self._asked + 1 if self._away or not self._reached else self._answered)
        before, as_of = hold.size, self._known(key)
        workloads, row = hold.take(*hold.fitting(as_of), as_of)
        self._size += hold.size - before
        for held in workloads:
            self._index_workload(held.workload)
            if hold.last_of(held.workload.uid) is None:
                self._held_in.pop(held.workload.uid, None)
        if row is not None:
            self._index.put_metadata(row.metadata)
        if hold.is_empty:
            del self._holds[key]
        if hold.rows:
            awaited = (each.folded_version for each in hold.rows if each.folded_version > self._reached)
            self._behind[key] = min(awaited, default=UNHEARD_OF)
        else:
            self._behind.pop(key, None)

    def _index_workload(self, workload: Workload) -> None:
        for conflict in self._index.put_workload(workload):
            self._on_conflict(conflict)


def _size(held: Workload | Metadata) -> int:
    """About the bytes that it takes."""
    return OVERHEAD + len(msgspec.json.encode(held))
