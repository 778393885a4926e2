"""What a replica shows while both stores are late, whoever writes, and whatever comes first.

The oracle is the history itself. Each write of both stores sets its number in both, in one of two fields that both
have: so it leaves the other as the writes before it have. Whatever is shown unmarked must be a state in which both
stores had both, and no older one than a reader may expect.

One gap is left, and not tried: where somebody edits the annotation by hand, and the replica hears of that and of the
write before it in one, by a list or an answer, nothing tells it of that write.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from service.model.claims import Conflict
from service.model.index import Index
from service.model.joins import LARGEST, OVERHEAD, Joins, Need
from service.model.process import Key, MetadataChange, Pending, Process, Workload
from service.model.record import Record, changed, discarded, prepared, reconciled
from tests.model.builders import metadata, workload

KEY: Key = ("space-a", "app", "web")

FIELDS = {"even": "memory_in_mb", "odd": "disk_in_mb"}
"""Label → the field of the Deployment that has the same number."""


@dataclass
class Written:
    """A write of both stores, a step at a time."""

    number: int
    version: int
    """Of the Deployment it has read."""
    step: str = "prepare"
    local: bool = False
    """Whether it is made through the replica that is looked at, which sees its answers at once."""
    attempts: int = 0

    @property
    def label(self) -> str:
        return "odd" if self.number % 2 else "even"

    @property
    def write_id(self) -> str:
        """Another one for each attempt."""
        return f"w{self.number}.{self.attempts}"


@dataclass
class Probe:
    """A question to Postgres that is under way."""

    snapshot: Record | None = None
    """The row as it was when Postgres looked."""


@dataclass
class Reader:
    """Whoever reads after everything that had been written by then."""

    promised: int
    """The place, in the order of commits, of the last write of both that had ended."""
    scaled: int
    """The number of the last write of Kubernetes alone that had ended."""
    joined: bool = False
    """Whether its probe has begun."""
    needs: tuple[Need, int] | None = None


@dataclass
class Replica:
    """Memory, and what is under way to it."""

    index: Index = field(default_factory=Index)
    events: deque[tuple[str, int, Workload | None]] = field(default_factory=deque)
    probe: Probe | None = None
    stamp: int = 0
    """Of the row last put."""
    connected: bool = True
    told: int = 0
    """The version up to which reads wait for the Deployment."""
    reached: int = 1
    satisfied: int = 0

    def __post_init__(self) -> None:
        self.joins = Joins(self.index)
        self.joins.advance(1)
        self.joins.ask()
        list(self.joins.answer())

    def put_row(self, row: Record) -> None:
        if row.stamp >= self.stamp:
            self.stamp = row.stamp
            self.told = max(self.told, row.deployment_version)
            self.joins.put_row(row)


def numbers_of(process: Process) -> list[int]:
    """The numbers that the process shows, which both of its halves must have."""
    ours = [int(process.metadata.labels.get(label, "0")) for label in FIELDS]
    assert ours == [getattr(process.workload, name) for name in FIELDS.values()]
    return ours


class Halves(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.row = Record(metadata=metadata("app"))
        self.version = 1
        self.made = 0
        self.uid, self.made_at = 1, 1
        """Of the Deployment there is, and the version at which it was made."""
        self.now: Workload | None = workload(
            "u1", app_guid="app", name="web", memory_in_mb=0, disk_in_mb=0, instances=0
        )
        self.writers: list[Written] = []
        self.readers: list[Reader] = []
        self.replica = Replica()
        self.replica.joins.put_workload(self.now, 1)
        self.halved = False
        """Whether half may be shown, since Postgres was away, to those who do not wait for what is late."""
        self.edited = 0
        """The version that somebody's last edit of the annotation has made."""
        self.committed = [0]
        """The numbers of writes of both, in order."""
        self.ended = self.scaled = 0
        self.changes = 0
        """By people, and by writes of one store."""

    # What happens in the stores

    def _change_deployment(self, **fields: object) -> None:
        assert self.now is not None
        self.version += 1
        self.now = msgspec.structs.replace(self.now, **fields)
        self.replica.events.append(("put", self.version, self.now))

    def _save(self, row: Record) -> None:
        if row != self.row:
            self.row = msgspec.structs.replace(row, stamp=self.row.stamp + 1)

    @precondition(lambda self: self.now is not None and len(self.writers) < 3)
    @rule(local=st.booleans())
    def a_write_of_both_begins(self, local: bool) -> None:
        self.made += 1
        self.writers.append(Written(self.made, self.version, local=local))

    @precondition(lambda self: self.writers)
    @rule(which=st.integers(0, 5), steps=st.integers(1, 3))
    def a_write_of_both_goes_on(self, which: int, steps: int) -> None:
        writer = self.writers[which % len(self.writers)]
        for _ in range(steps):
            if writer in self.writers:
                getattr(self, f"_{writer.step}")(writer)

    @precondition(lambda self: self.writers)
    @rule()
    def a_writer_dies(self) -> None:
        self.writers.pop()

    def _prepare(self, writer: Written) -> None:
        if self.now is None:
            self.writers.remove(writer)
            return
        writer.version = self.version
        change = MetadataChange({writer.label: str(writer.number)})
        row = reconciled(self.row, self.now.write_id, self.version, 1)
        row = discarded(row, writer.write_id)
        writer.attempts += 1
        self._save(prepared(row, writer.write_id, change, self.version))
        writer.step = "commit"
        self._accept(writer)

    def _commit(self, writer: Written) -> None:
        if self.now is None or writer.version != self.version:
            writer.step = "prepare"
            return
        self._change_deployment(**{FIELDS[writer.label]: writer.number}, write_id=writer.write_id)
        self.committed.append(writer.number)
        writer.version, writer.step = self.version, "fold"
        if writer.local:
            self._answer(self.version, self.version)

    def _fold(self, writer: Written) -> None:
        row = reconciled(self.row, writer.write_id, writer.version, 1)
        self._save(msgspec.structs.replace(row, deployment_version=max(row.deployment_version, writer.version)))
        self.writers.remove(writer)
        self.ended = max(self.ended, self.committed.index(writer.number))
        self._accept(writer)

    def _accept(self, writer: Written) -> None:
        if writer.local and self.replica.connected:
            self.replica.put_row(self.row)

    def _answer(self, version: int, as_of: int) -> None:
        """Kubernetes shows the replica the Deployment as it is now."""
        if as_of > self.replica.reached >= self.edited and self.now is not None:
            if not self.replica.joins.knows(self.now.uid):
                for former in self.replica.joins.namesakes_of(self.now):
                    self.replica.joins.remove_workload(former)
            self.replica.joins.put_workload(self.now, version, as_of=as_of)
            # What the watch brings of it later is old.
            self.replica.events = deque(
                ("skip", each[1], None) if each[1] <= as_of else each for each in self.replica.events
            )

    @precondition(lambda self: self.now is not None)
    @rule(noted=st.booleans())
    def a_write_of_kubernetes_alone(self, noted: bool) -> None:
        self.changes += 1
        self._change_deployment(instances=self.changes)
        if noted:
            self._save(msgspec.structs.replace(self.row, deployment_version=self.version))
            self.scaled = self.changes

    @precondition(lambda self: self.now is not None)
    @rule()
    def a_write_of_metadata_alone(self) -> None:
        assert self.now is not None
        row = reconciled(self.row, self.now.write_id, self.version, 1)
        if not row.metadata.pending:
            self.changes += 1
            self._save(changed(row, MetadataChange({"other": str(self.changes)}), 1))

    @precondition(lambda self: self.now is not None)
    @rule(write_id=st.sampled_from([None, "made-up", "old"]))
    def somebody_edits_the_annotation(self, write_id: str | None) -> None:
        # What is committed and not folded is lost by that, and documented so: the numbers begin anew.
        assert self.now is not None
        self._save(reconciled(self.row, self.now.write_id, self.version, 1))
        self._change_deployment(write_id=write_id)
        self.edited = self.version

    @precondition(lambda self: self.now is not None)
    @rule(keeps_annotation=st.booleans())
    def the_deployment_is_made_anew(self, keeps_annotation: bool) -> None:
        assert self.now is not None
        former = self.now
        heard = not self.replica.events and self.replica.stamp == self.row.stamp and not self.row.metadata.pending
        if not (keeps_annotation and former.write_id) and not heard:
            # It says nothing of what was written before, and is none of those writes' half.
            return
        self._save(reconciled(self.row, former.write_id, self.version, 1))
        self.version += 1
        self.replica.events.append(("delete", self.version, former))
        self.uid += 1
        self.now = former
        self._change_deployment(uid=f"u{self.uid}", write_id=former.write_id if keeps_annotation else None)
        self.made_at = self.version

    # What the replica hears

    @precondition(lambda self: self.replica.events)
    @rule(many=st.integers(1, 4))
    def the_watch_brings_something(self, many: int) -> None:
        for _ in range(min(many, len(self.replica.events))):
            kind, version, shown = self.replica.events.popleft()
            if kind == "put" and shown is not None:
                self.replica.joins.put_workload(shown, version)
            elif kind == "delete" and shown is not None:
                self.replica.joins.remove_workload(shown.uid)
            self.replica.reached = version
            self.replica.joins.advance(version)

    @precondition(lambda self: self.replica.connected and self.replica.reached >= self.edited)
    @rule()
    def the_watch_lists_anew(self) -> None:
        assert self.now is not None
        self.replica.events.clear()
        self.replica.joins.put_workload(self.now, self.version)
        self.replica.reached = self.version
        self.replica.joins.advance(self.version)
        list(self.replica.joins.retain_workloads({self.now.uid}))

    @precondition(lambda self: self.replica.connected and self.replica.probe is None)
    @rule()
    def a_probe_begins(self) -> None:
        self.replica.probe = Probe()
        self.replica.joins.ask()
        for reader in self.readers:
            reader.joined = True

    @precondition(lambda self: self.replica.probe is not None and self.replica.probe.snapshot is None)
    @rule()
    def postgres_looks(self) -> None:
        assert self.replica.probe is not None
        self.replica.probe.snapshot = self.row

    @precondition(lambda self: self.replica.probe is not None)
    @rule()
    def a_probe_is_answered(self) -> None:
        assert self.replica.probe is not None
        row = self.replica.probe.snapshot or self.row
        self.replica.probe = None
        self.replica.put_row(row)
        list(self.replica.joins.answer())
        for reader in self.readers:
            if reader.joined and reader.needs is None:
                reader.needs = self.replica.joins.need(KEY, self.replica.told), self.replica.told

    @rule()
    def postgres_goes_away(self) -> None:
        self.replica.connected, self.replica.probe = False, None
        # Whoever reads now is told so, and promised nothing.
        self.readers.clear()
        list(self.replica.joins.lose())

    @precondition(lambda self: not self.replica.connected)
    @rule()
    def postgres_comes_back(self) -> None:
        self.replica.connected, self.replica.probe = True, None
        self.replica.joins.ask()
        self.replica.put_row(self.row)
        list(self.replica.joins.answer())

    @precondition(lambda self: self.now is not None)
    @rule()
    def kubernetes_is_asked_for_the_app(self) -> None:
        assert self.now is not None
        expected = self.replica.told
        if self.version <= self.replica.reached or self.replica.reached < self.edited:
            return
        self._answer(self.version, self.version)
        for uid in self.replica.joins.uids_of("space-a", "app") - {self.now.uid}:
            self.replica.joins.remove_workload(uid)
        self.replica.satisfied = max(self.replica.satisfied, expected)
        self.replica.joins.satisfy(KEY, self.version)

    # What readers see

    @precondition(lambda self: self.replica.connected and len(self.readers) < 3)
    @rule()
    def a_reader_comes(self) -> None:
        self.readers.append(Reader(self.ended, self.scaled))

    @invariant()
    def nobody_sees_half(self) -> None:
        if not self.replica.connected:
            # Whoever reads now is told that it may be.
            self.halved = True
        elif KEY not in self.replica.joins.behind:
            self.halved = False
        process = self.replica.index.find(KEY)
        if process is not None and not self.halved:
            numbers_of(process)

    @invariant()
    def nobody_misses_what_had_ended_before_they_came(self) -> None:
        for reader in list(self.readers):
            if reader.needs is None:
                continue
            need, told = reader.needs
            if max(self.replica.reached, self.replica.satisfied) < told or not self.replica.joins.shows(KEY, need):
                continue
            self.readers.remove(reader)
            process = self.replica.index.find(KEY)
            if process is None and told < self.made_at:
                # It was made anew, and nobody has written through the API since: between the two there was none.
                continue
            assert process is not None
            assert max(map(self.committed.index, numbers_of(process))) >= reader.promised
            assert process.workload.instances >= reader.scaled

    @precondition(lambda self: self.replica.connected and self.replica.probe is None)
    @rule()
    def nothing_is_held_once_both_have_told_all(self) -> None:
        replica = self.replica
        self.the_watch_brings_something(len(replica.events))
        replica.joins.ask()
        replica.put_row(self.row)
        list(replica.joins.answer())
        assert len(replica.joins) == 0


TestHalves = Halves.TestCase
TestHalves.settings = settings(max_examples=300, stateful_step_count=60, deadline=None)


def test_a_reply_shows_one_made_anew_twice_where_the_watch_has_brought_the_first_alone() -> None:
    halves = Halves()
    halves.somebody_edits_the_annotation(write_id="made-up")
    halves.the_deployment_is_made_anew(keeps_annotation=True)
    halves.the_deployment_is_made_anew(keeps_annotation=True)
    # All but the end of the first, which is held: nobody has heard of the id it names.
    halves.the_watch_brings_something(many=3)
    assert halves.replica.joins.holds(KEY)
    halves.a_write_of_both_begins(local=True)
    halves.a_write_of_both_goes_on(which=0, steps=3)
    process = halves.replica.index.find(KEY)
    assert process is not None
    assert (process.workload.uid, max(numbers_of(process))) == ("u3", 1)
    assert len(halves.replica.joins) == 0


def joins_of(index: Index) -> Joins:
    """With Postgres there, and the watch at version 10."""
    joins = Joins(index)
    joins.advance(10)
    joins.ask()
    list(joins.answer())
    return joins


def row(stamp: int, text: str = "", **fields: Any) -> Record:
    return Record(
        metadata=metadata("app", labels={"of": str(stamp)}, annotations={"text": text}), stamp=stamp, **fields
    )


def shown(index: Index) -> tuple[int, str | None]:
    process = index.find(KEY)
    assert process is not None
    return process.workload.instances, process.metadata.labels.get("of")


def test_what_is_held_has_a_bound_in_bytes_and_the_latest_is_shown_in_the_end() -> None:
    index = Index()
    joins = joins_of(index)
    joins.put_workload(workload("u", app_guid="app", instances=0), 11)
    joins.advance(11)
    for number in range(1, 200):
        command = "x" * (LARGEST // 50)
        joins.put_workload(
            workload("u", app_guid="app", instances=number, command=command, write_id=f"w{number}"), 11 + number
        )
        joins.advance(11 + number)
        joins.put_row(row(number, command, folded_version=1000 + number))
        assert joins.size <= LARGEST + 2 * (len(command) + 4 * OVERHEAD)
    assert shown(index) == (0, None)
    joins.put_workload(workload("u", app_guid="app", instances=200, write_id="w199"), 1200)
    joins.advance(1200)
    joins.ask()
    list(joins.answer())
    assert shown(index) == (200, "199")
    assert (len(joins), joins.size) == (0, 0)


def test_a_row_that_is_held_has_heard_of_nothing_for_the_one_that_is_shown() -> None:
    """Else an edit of the annotation takes a half away that only the held row has folded."""
    index = Index()
    joins = joins_of(index)
    change = MetadataChange({"of": "half"})
    prepared_row = metadata("app", labels={"of": "1"}, pending={"w": Pending(change, 10)})
    joins.put_row(Record(metadata=prepared_row, stamp=1))
    joins.put_workload(workload("u", app_guid="app", instances=2, write_id="w"), 11)
    joins.advance(11)
    assert shown(index) == (2, "half")
    # The fold, and a later write, which the watch has not brought; nor the edit between the two.
    joins.put_row(row(2, folded_version=13, deployment_version=13))
    joins.put_workload(workload("u", app_guid="app", instances=2, write_id="by hand"), 12)
    joins.advance(12)
    assert shown(index) == (2, "half")
    joins.put_workload(workload("u", app_guid="app", instances=3, write_id="w2"), 13)
    joins.advance(13)
    assert shown(index) == (3, "2")
    assert len(joins) == 0


def test_the_rows_of_a_lost_history_wait_for_nothing() -> None:
    index = Index()
    joins = joins_of(index)
    joins.put_workload(workload("u", app_guid="app"), 11)
    joins.advance(11)
    joins.put_row(row(1, folded_version=500, deployment_version=500))
    assert shown(index) == (1, None)
    joins.advance(5, restored=True)
    assert shown(index) == (1, "1")
    assert len(joins) == 0
    # One that comes later is waited for until Kubernetes has been asked for all that there is.
    joins.put_row(row(2, folded_version=500, deployment_version=500))
    assert shown(index) == (1, "1")
    joins.satisfy(KEY, 500)
    assert shown(index) == (1, "2")


def test_rows_that_are_gone_are_waited_for_no_more() -> None:
    index = Index()
    joins = joins_of(index)
    joins.put_workload(workload("u", app_guid="app"), 11)
    joins.advance(11)
    joins.put_row(row(1, folded_version=10))
    joins.put_row(row(2, folded_version=500))
    assert shown(index) == (1, "1")
    list(joins.retain_rows(frozenset()))
    assert shown(index) == (1, None)
    assert (len(joins), joins.size) == (0, 0)


def test_deployments_that_are_gone_are_not_shown_when_what_they_waited_for_comes() -> None:
    index = Index()
    joins = joins_of(index)
    joins.put_workload(workload("u", app_guid="app", write_id="w"), 11)
    joins.advance(11)
    assert index.find(KEY) is None
    assert joins.holds(KEY)
    assert joins.uids_of("space-a", "app") == {"u"}
    list(joins.retain_workloads(frozenset()))
    joins.ask()
    list(joins.answer())
    assert index.find(KEY) is None
    assert len(joins) == 0


def test_one_that_becomes_another_process_is_held_as_that_alone() -> None:
    index = Index()
    joins = joins_of(index)
    joins.put_workload(workload("u", app_guid="app", instances=1), 11)
    joins.put_workload(workload("u", app_guid="app", instances=2, write_id="w"), 12)
    joins.put_workload(workload("u", app_guid="other", instances=3, write_id="w2"), 13)
    joins.advance(13)
    assert not joins.holds(KEY)
    joins.ask()
    list(joins.answer())
    assert index.find(KEY) is None
    found = index.find(("space-a", "other", "web"))
    assert found is not None
    assert found.workload.instances == 3


def test_conflicts_are_told_of_when_they_are_shown() -> None:
    index, told = Index(), list[Conflict]()
    joins = Joins(index, told.append)
    joins.advance(10)
    joins.ask()
    list(joins.answer())
    joins.put_workload(workload("old", app_guid="app", created_at=1), 11)
    joins.put_workload(workload("young", app_guid="app", created_at=2, write_id="w"), 12)
    assert told == []
    joins.ask()
    list(joins.answer())
    assert [(each.workload.uid, each.winner.uid) for each in told] == [("young", "old")]
