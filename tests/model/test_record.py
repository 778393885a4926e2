"""Writes that change Kubernetes and Postgres together: any number of writers, each dying anywhere, and an oracle.

The oracle keeps the list of what has been committed, in order; what shows must be that and nothing else, at any moment.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from service.errors import AnnotationLimitExceeded, LabelLimitExceeded
from service.model.derive import merge
from service.model.process import SECOND, Metadata, MetadataChange, Pending, Process
from service.model.record import (
    DEAD_US,
    MAXIMUM_ANNOTATIONS,
    MAXIMUM_LABELS,
    Record,
    changed,
    discarded,
    folded,
    prepared,
)
from tests.model.builders import metadata, workload

START = 1_700_000_000 * SECOND + 123_456
LONGEST_WAIT = 5 * SECOND
"""Of one step. A machine makes 50 at most: no request comes near to DEAD_US, as service.operations promises."""


def record(pending: Mapping[str, Pending] | None = None, **fields: Any) -> Record:
    return Record(metadata=metadata(pending=pending or {}, **fields))


def labels(count: int, prefix: str = "k") -> dict[str, str]:
    return {f"{prefix}{number}": "v" for number in range(count)}


def halves(count: int) -> st.SearchStrategy[dict[str, str | None]]:
    """More than half of what there may be, of one kind or the other, set or deleted: limits are always near."""
    of = {prefix: [f"{prefix}{number}" for number in range(count)] for prefix in "ab"}
    one = st.builds(
        lambda prefix, value: dict.fromkeys(of[prefix], value), st.sampled_from("ab"), st.sampled_from("xy")
    )
    swap = st.sampled_from(["ab", "ba"]).map(
        lambda way: {**dict.fromkeys(of[way[0]]), **dict.fromkeys(of[way[1]], "z")}
    )
    none = st.sampled_from("ab").map(lambda prefix: dict.fromkeys(of[prefix]))
    return one | swap | none


def pairs(*, keys: int) -> st.SearchStrategy[dict[str, str | None]]:
    return st.dictionaries(
        st.integers(0, keys - 1).map("a{}".format), st.sampled_from(["x", "y", None]), min_size=1, max_size=2
    )


changes = (
    halves(30).map(MetadataChange)
    | halves(120).map(lambda annotations: MetadataChange({}, annotations))
    | st.sampled_from([-1, 0, 7]).map(lambda rate: MetadataChange({}, {}, rate))
)
few = st.builds(MetadataChange, pairs(keys=3))


@dataclass(eq=False)
class Writer:
    """One request: `service.operations.writing`, a step at a time."""

    change: MetadataChange
    write_id: str
    step: str
    """What it does next."""
    seen: tuple[int, str | None] | None = None
    """The Deployment's version and write id, as last read."""


@dataclass
class Committed:
    """In order. The oracle."""

    changes: list[MetadataChange] = field(default_factory=list)

    def replayed(self) -> tuple[Mapping[str, str], Mapping[str, str], int]:
        labels: dict[str, str] = {}
        annotations: dict[str, str] = {}
        rate = -1
        for change in self.changes:
            for known, told in ((labels, change.labels), (annotations, change.annotations)):
                for key, value in told.items():
                    known.pop(key, None)
                    if value is not None:
                        known[key] = value
            if change.log_rate_limit_in_bytes_per_second is not None:
                rate = change.log_rate_limit_in_bytes_per_second
        return labels, annotations, rate


class Protocol(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.row = record()
        # Of the Deployment.
        self.version, self.changed_at = 1, START // SECOND * SECOND
        self.write_id: str | None = None
        self.writers: list[Writer] = []
        self.sent: list[Writer] = []
        """Whose patch is under way; they themselves may be dead."""
        self.committed = Committed()
        self.made = 0
        self.updated_at = 0

    def shown(self) -> Process:
        return merge(workload(write_id=self.write_id, changed_at=self.changed_at), self.row.metadata, None)

    # Requests

    @rule(change=changes | few)
    def a_request_for_both_stores(self, change: MetadataChange) -> None:
        self.made += 1
        self.writers.append(Writer(change, f"w{self.made}", "read"))

    @rule(change=changes | few)
    def a_request_for_metadata_alone(self, change: MetadataChange) -> None:
        self.made += 1
        self.writers.append(Writer(change, f"m{self.made}", "change"))

    @rule(change=few, steps=st.integers(2, 5))
    def a_request_that_goes_far_and_dies(self, change: MetadataChange, steps: int) -> None:
        self.a_request_for_both_stores(change)
        writer = self.writers[-1]
        self._go_on(writer, steps)
        if writer in self.writers:
            self.writers.remove(writer)

    @rule(change=few)
    def a_whole_request_for_metadata_alone(self, change: MetadataChange) -> None:
        self.a_request_for_metadata_alone(change)
        self._go_on(self.writers[-1], 3)

    @precondition(lambda self: self.writers)
    @rule(which=st.integers(0, 9))
    def a_writer_goes_on(self, which: int) -> None:
        writer = self.writers[which % len(self.writers)]
        getattr(self, f"_{writer.step}")(writer)

    @precondition(lambda self: self.writers)
    @rule(which=st.integers(0, 9), steps=st.integers(2, 6))
    def a_writer_goes_on_undisturbed(self, which: int, steps: int) -> None:
        self._go_on(self.writers[which % len(self.writers)], steps)

    def _go_on(self, writer: Writer, steps: int) -> None:
        for _ in range(steps):
            if writer in self.writers and writer.step != "wait":
                getattr(self, f"_{writer.step}")(writer)
            elif writer in self.sent:
                self._deliver(writer)

    @precondition(lambda self: self.writers)
    @rule(which=st.integers(0, 9))
    def a_writer_dies(self, which: int) -> None:
        self.writers.pop(which % len(self.writers))

    @precondition(lambda self: any(writer.step == "again" for writer in self.writers))
    @rule()
    def a_writer_gives_up_after_conflicts(self) -> None:
        self._discard(next(writer for writer in self.writers if writer.step == "again"))

    @precondition(lambda self: any(writer.step == "again" for writer in self.writers))
    @rule()
    def a_writer_finds_that_kubernetes_has_no_part_in_it_any_more(self) -> None:
        writer = next(writer for writer in self.writers if writer.step == "again")
        writer.step, writer.seen = "change", None

    def _read(self, writer: Writer) -> None:
        writer.seen, writer.step = (self.version, self.write_id), "prepare"

    def _prepare(self, writer: Writer) -> None:
        assert writer.seen is not None
        committed = writer.seen[1]
        if self._change_row(writer, lambda row: prepared(row, writer.write_id, writer.change, committed, self.now)):
            writer.step = "send"

    def _send(self, writer: Writer) -> None:
        self.sent.append(writer)
        writer.step = "wait"

    def _wait(self, writer: Writer) -> None:
        """For the answer, which comes with `a_patch_arrives`."""

    def _again(self, writer: Writer) -> None:
        writer.step = "read"

    def _fold(self, writer: Writer) -> None:
        self.row = folded(self.row, writer.write_id, self.now)
        self.writers.remove(writer)

    def _discard(self, writer: Writer) -> None:
        self.row = discarded(self.row, writer.write_id)
        self.writers.remove(writer)

    def _look(self, writer: Writer) -> None:
        writer.seen, writer.step = (self.version, self.write_id), "change"

    def _change(self, writer: Writer) -> None:
        if self.row.metadata.pending and writer.seen is None:
            writer.step = "look"
            return
        seen = None if writer.seen is None else writer.seen[1]
        # One that has not seen the last commit counts as having come just before it.
        unseen = self.write_id in self.row.metadata.pending and self.write_id != seen
        if self._change_row(writer, lambda row: changed(row, writer.change, seen, self.now)):
            self.committed.changes.insert(len(self.committed.changes) - unseen, writer.change)
            self.writers.remove(writer)

    def _change_row(self, writer: Writer, change: Callable[[Record], Record]) -> bool:
        before = self.row.metadata
        try:
            self.row = change(self.row)
        except (LabelLimitExceeded, AnnotationLimitExceeded) as error:
            pending = [each.change for each in before.pending.values()] + [writer.change]
            kind, most = ("labels", 50) if isinstance(error, LabelLimitExceeded) else ("annotations", 200)
            most_there = set(getattr(before, kind)).union(*(getattr(each, kind) for each in pending))
            assert len(most_there) > most, "refused without need"
            self.writers.remove(writer)
            return False
        alive = {known for known, each in self.row.metadata.pending.items() if self.now - each.prepared_at < DEAD_US}
        assert self.row.metadata.pending.keys() == alive
        return True

    # Kubernetes

    @precondition(lambda self: self.sent)
    @rule(which=st.integers(0, 9))
    def a_patch_arrives(self, which: int) -> None:
        self._deliver(self.sent[which % len(self.sent)])

    def _deliver(self, writer: Writer) -> None:
        assert writer.seen is not None
        self.sent.remove(writer)
        if writer.seen[0] != self.version:
            writer.step = "again"
            return
        self.version, self.write_id = self.version + 1, writer.write_id
        self.changed_at = self.now // SECOND * SECOND
        self.committed.changes.append(writer.change)
        writer.step = "fold"

    @precondition(lambda self: self.sent)
    @rule(which=st.integers(0, 9))
    def a_patch_is_refused(self, which: int) -> None:
        self.sent.pop(which % len(self.sent)).step = "discard"

    @precondition(lambda self: self.sent)
    @rule(which=st.integers(0, 9))
    def a_patch_is_lost_and_nobody_knows(self, which: int) -> None:
        lost = self.sent.pop(which % len(self.sent))
        if lost in self.writers:
            self.writers.remove(lost)

    @rule()
    def somebody_else_changes_the_deployment(self) -> None:
        self.version += 1

    # Time

    @rule(wait=st.integers(0, LONGEST_WAIT))
    def time_passes(self, wait: int) -> None:
        self.now += wait

    @rule()
    def everybody_dies_and_much_time_passes(self) -> None:
        self.writers.clear()
        self.sent.clear()
        self.now += DEAD_US

    @invariant()
    def what_is_committed_shows_and_nothing_else(self) -> None:
        found = self.shown().metadata
        assert (
            found.labels,
            found.annotations,
            found.log_rate_limit_in_bytes_per_second,
        ) == self.committed.replayed()

    @invariant()
    def limits_hold(self) -> None:
        found = self.shown().metadata
        assert len(found.labels) <= 50
        assert len(found.annotations) <= 200

    @invariant()
    def updated_at_never_goes_back(self) -> None:
        found = self.shown().updated_at
        assert found >= self.updated_at
        self.updated_at = found


TestProtocol = Protocol.TestCase
TestProtocol.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)


# One by one

SET = MetadataChange({"a": "1", "b": None}, {"note": "n"}, 7)


def test_what_is_prepared_shows_nowhere_until_the_deployment_names_it() -> None:
    row = prepared(record(labels={"b": "2"}), "w1", SET, None, START)
    shown = [merge(workload(write_id=write_id), row.metadata, None).metadata for write_id in (None, "w0", "w1")]
    assert [each.labels for each in shown] == [{"b": "2"}, {"b": "2"}, {"a": "1"}]
    assert [each.annotations for each in shown] == [{}, {}, {"note": "n"}]
    assert [each.log_rate_limit_in_bytes_per_second for each in shown] == [-1, -1, 7]


def test_folding_shows_the_same_and_leaves_nothing_pending() -> None:
    row = prepared(record(labels={"b": "2"}), "w1", SET, None, START)
    done = folded(row, "w1", START + 5).metadata
    assert msgspec.structs.replace(done, updated_at=0) == metadata(
        labels={"a": "1"}, annotations={"note": "n"}, log_rate_limit_in_bytes_per_second=7
    )
    assert done.updated_at == START + 5


@pytest.mark.parametrize("write_id", [None, "w2"])
def test_folding_what_is_not_pending_changes_nothing(write_id: str | None) -> None:
    row = prepared(record(), "w1", SET, None, START)
    assert folded(row, write_id, START + 1) is row
    assert discarded(row, write_id or "") is row


def test_the_next_writer_folds_what_it_finds_committed() -> None:
    row = prepared(record(), "w1", SET, None, START)
    row = prepared(row, "w2", MetadataChange({"a": "2"}), "w1", START + 1)
    assert row.metadata.labels == {"a": "1"}
    assert list(row.metadata.pending) == ["w2"]
    assert changed(row, MetadataChange({"c": "3"}), "w2", START + 2).metadata.labels == {"a": "2", "c": "3"}


def test_committed_counts_however_old_it_is() -> None:
    row = prepared(record(), "w1", SET, None, START)
    late = START + 100 * DEAD_US
    assert merge(workload(write_id="w1"), row.metadata, None).metadata.labels == {"a": "1"}
    for after in (
        prepared(row, "w2", MetadataChange({"c": "3"}), "w1", late),
        changed(row, MetadataChange({"c": "3"}), "w1", late),
    ):
        assert after.metadata.labels.items() >= {"a": "1"}.items()
        assert "w1" not in after.metadata.pending


@pytest.mark.parametrize(("age", "kept"), [(DEAD_US - 1, True), (DEAD_US, False), (DEAD_US + 1, False)])
def test_what_was_never_committed_is_dropped_when_it_is_dead(age: int, kept: bool) -> None:
    row = prepared(record(), "w1", MetadataChange(labels(MAXIMUM_LABELS)), None, START)
    other = MetadataChange({}, {"note": "n"})
    for after in (
        prepared(row, "w2", other, None, START + age),
        changed(row, other, None, START + age),
        changed(row, other, "w0", START + age),
    ):
        assert ("w1" in after.metadata.pending) == kept
        assert after.metadata.labels == {}


def test_the_dead_take_no_room() -> None:
    row = prepared(record(), "w1", MetadataChange(labels(MAXIMUM_LABELS)), None, START)
    one = MetadataChange({"one": "more"})
    for now, fits in ((START + DEAD_US - 1, False), (START + DEAD_US, True)):
        with (
            nullcontext() if fits else pytest.raises(LabelLimitExceeded, match="have 50 labels, and this would make 51")
        ):
            changed(row, one, None, now)
        with nullcontext() if fits else pytest.raises(LabelLimitExceeded):
            prepared(row, "w2", one, None, now)


def test_a_retry_replaces_its_own_preparation() -> None:
    row = prepared(record(), "w1", MetadataChange(labels(MAXIMUM_LABELS)), None, START)
    row = prepared(row, "w1", MetadataChange(labels(MAXIMUM_LABELS)), None, START + 9)
    assert row.metadata.pending == {"w1": Pending(MetadataChange(labels(MAXIMUM_LABELS)), START + 9)}


def test_refused_is_forgotten() -> None:
    row = record(labels={"b": "2"})
    assert discarded(prepared(row, "w1", SET, None, START), "w1") == row


FULL = labels(MAXIMUM_LABELS)
NOTES = {f"n{number}": "v" for number in range(MAXIMUM_ANNOTATIONS)}


@pytest.mark.parametrize(
    "change",
    [
        MetadataChange({"k0": "other"}),
        MetadataChange({"k0": None, "new": "v"}),
        MetadataChange({}, {"n0": None, "new": "v"}),
        MetadataChange({"k0": None}, {"n0": None}),
        MetadataChange({}, {}, 5),
    ],
    ids=["another value", "one for one", "one annotation for one", "fewer", "the log rate"],
)
def test_full_is_not_too_much(change: MetadataChange) -> None:
    row = record(labels=FULL, annotations=NOTES)
    changed(row, change, None, START)
    prepared(row, "w1", change, None, START)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (MetadataChange({"new": "v"}), LabelLimitExceeded),
        (MetadataChange({"new": ""}), LabelLimitExceeded),
        (MetadataChange({"k0": None, "new": "v", "newer": "v"}), LabelLimitExceeded),
        (MetadataChange({}, {"new": ""}), AnnotationLimitExceeded),
    ],
)
def test_one_more_is_too_much(change: MetadataChange, error: type[Exception]) -> None:
    row = record(labels=FULL, annotations=NOTES)
    with pytest.raises(error):
        changed(row, change, None, START)
    with pytest.raises(error):
        prepared(row, "w1", change, None, START)


def test_one_for_one_pending_leaves_room_for_nobody_and_stops_nobody_else() -> None:
    swap = MetadataChange({"k0": None, "new": "v"}, {"n0": None, "new": "v"})
    row = prepared(record(labels=FULL, annotations=NOTES), "w1", swap, None, START)
    for change in (MetadataChange({}, {}, 5), MetadataChange({"k1": None}, {"n1": None}), MetadataChange({"k1": None})):
        changed(row, change, None, START)
    for change, error in (
        (MetadataChange({"k0": "kept"}), LabelLimitExceeded),
        (MetadataChange({}, {"n0": "kept"}), AnnotationLimitExceeded),
    ):
        with pytest.raises(error):
            changed(row, change, None, START)


def test_over_the_limit_there_is_a_way_back() -> None:
    row = record(labels=labels(60), annotations=NOTES)
    assert len(changed(row, MetadataChange({"k0": None}), None, START).metadata.labels) == 59
    changed(row, MetadataChange({}, {"n0": "other"}), None, START)
    with pytest.raises(LabelLimitExceeded):
        changed(row, MetadataChange({"k0": "other"}), None, START)


def test_a_clock_turned_back_does_not_turn_updated_at_back() -> None:
    row = changed(record(), SET, None, START)
    row = changed(row, MetadataChange({"a": "2"}), None, START - 100 * SECOND)
    row = prepared(row, "w1", SET, None, START - 100 * SECOND)
    assert folded(row, "w1", START - 99 * SECOND).metadata.updated_at == START


def test_the_rest_of_the_row_stays() -> None:
    row = Record(
        metadata=Metadata(
            app_guid="app",
            type="web",
            revision_guid="r",
            registry_credential_guid="c",
            registry_credential_last_synced_at=5,
        ),
        deployment_version=7,
        pod_version=8,
        slots=("uid-1", ""),
        stamp=9,
    )
    after = folded(prepared(row, "w1", SET, None, START), "w1", START)
    assert msgspec.structs.replace(after, metadata=row.metadata) == row
    assert (after.metadata.revision_guid, after.metadata.registry_credential_guid) == ("r", "c")
    assert after.key == ("app", "web")
