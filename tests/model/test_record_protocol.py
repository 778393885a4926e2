"""Writes that change Kubernetes and Postgres together: any number of writers, each dying anywhere, and an oracle.

The oracle keeps the list of what has been committed, in order; what shows must be that and nothing else, at any moment.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from service.errors import AnnotationLimitExceeded, LabelLimitExceeded
from service.model.derive import merge
from service.model.process import MetadataChange, Process
from service.model.record import Record, changed, discarded, folded, prepared, reconciled
from service.model.times import SECOND
from tests.model.builders import metadata, workload

START = 1_700_000_000 * SECOND + 123_456
LONGEST_WAIT = 5 * SECOND
"""Of one step."""


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


large = halves(30).map(MetadataChange) | halves(120).map(lambda annotations: MetadataChange({}, annotations))
changes = large | st.sampled_from([-1, 0, 7]).map(lambda rate: MetadataChange({}, {}, rate))
few = st.builds(MetadataChange, pairs(keys=3))


@dataclass(eq=False)
class Writer:
    """One request: `service.operations.writes`, a step at a time."""

    change: MetadataChange
    write_id: str
    step: str
    """What it does next."""
    seen: tuple[int, str | None] | None = None
    """The Deployment's version and write id, as last read."""
    remembers: bool = False
    """`seen` is what the Deployment once was: a replica's memory may be long behind."""
    committed_at: int = 0
    """The version that its patch has made."""


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
        self.row = Record(metadata=metadata())
        # Of the Deployment.
        self.version, self.changed_at = 1, START // SECOND * SECOND
        self.history: list[tuple[int, str | None]] = []
        self.write_id: str | None = None
        self.writers: list[Writer] = []
        self.sent: list[Writer] = []
        """Whose patch is under way; they themselves may be dead."""
        self.committed = Committed()
        self.made = 0
        self.updated_at = 0
        self.committed_at = 0
        """The version that the last commit has made."""

    def shown(self) -> Process:
        return merge(workload(write_id=self.write_id, changed_at=self.changed_at), self.row.metadata, None)

    # Requests

    @rule(change=changes | few)
    def a_request_for_both_stores(self, change: MetadataChange) -> None:
        self.made += 1
        self.writers.append(Writer(change, f"w{self.made}", "read"))

    @precondition(lambda self: self.history)
    @rule(change=changes | few, back=st.integers(0, 9), steps=st.integers(1, 4))
    def a_request_made_of_what_is_remembered(self, change: MetadataChange, back: int, steps: int) -> None:
        self.made += 1
        known = [*self.history, (self.version, self.write_id)][-1 - back % len(self.history)]
        writer = Writer(change, f"r{self.made}", "prepare", known, remembers=True)
        self.writers.append(writer)
        self._go_on(writer, steps)

    @rule(change=changes | few)
    def a_request_for_metadata_alone(self, change: MetadataChange) -> None:
        self.made += 1
        self.writers.append(Writer(change, f"m{self.made}", "look"))

    @rule(change=changes | few, steps=st.integers(2, 5))
    def a_request_that_goes_far_and_dies(self, change: MetadataChange, steps: int) -> None:
        self.a_request_for_both_stores(change)
        writer = self.writers[-1]
        self._go_on(writer, steps)
        if writer in self.writers:
            self.writers.remove(writer)

    @rule(change=changes | few)
    def a_whole_request_for_metadata_alone(self, change: MetadataChange) -> None:
        self.a_request_for_metadata_alone(change)
        self._go_on(self.writers[-1], 3)

    @rule(first=large, second=large)
    def one_overtakes_another(self, first: MetadataChange, second: MetadataChange) -> None:
        self.a_request_that_goes_far_and_dies(first, 3)
        self.a_whole_request_for_metadata_alone(second)
        if self.sent:
            self._deliver(self.sent[-1])

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
        writer.step = "look"

    def _read(self, writer: Writer) -> None:
        writer.seen, writer.step, writer.remembers = (self.version, self.write_id), "prepare", False

    def _prepare(self, writer: Writer) -> None:
        assert writer.seen is not None
        version, write_id = writer.seen

        reconcile = folded if writer.remembers else reconciled

        def prepare(row: Record) -> Record:
            return prepared(reconcile(row, write_id, version, self.now), writer.write_id, writer.change, version)

        if self._change_row(writer, prepare):
            writer.step = "send"

    def _send(self, writer: Writer) -> None:
        self.sent.append(writer)
        writer.step = "wait"

    def _wait(self, writer: Writer) -> None:
        """For the answer, which comes with `a_patch_arrives`."""

    def _again(self, writer: Writer) -> None:
        writer.step = "read"

    def _fold(self, writer: Writer) -> None:
        self.row = reconciled(self.row, writer.write_id, writer.committed_at, self.now)
        self.writers.remove(writer)

    def _discard(self, writer: Writer) -> None:
        self.row = discarded(self.row, writer.write_id)
        self.writers.remove(writer)

    def _look(self, writer: Writer) -> None:
        writer.seen, writer.step, writer.remembers = (self.version, self.write_id), "change", False

    def _change(self, writer: Writer) -> None:
        assert writer.seen is not None
        version, write_id = writer.seen
        row = reconciled(self.row, write_id, version, self.now)
        if row.metadata.pending:
            writer.step = "prepare"
            return
        if self._change_row(writer, lambda _: changed(row, writer.change, self.now)):
            self.committed.changes.append(writer.change)
            self.writers.remove(writer)

    def _change_row(self, writer: Writer, change: Callable[[Record], Record]) -> bool:
        before = self.row.metadata
        try:
            self.row = change(self.row)
        except (LabelLimitExceeded, AnnotationLimitExceeded) as error:
            if writer.remembers:
                writer.step = "read"
                return False
            pending = [each.change for each in before.pending.values()] + [writer.change]
            kind, most = ("labels", 50) if isinstance(error, LabelLimitExceeded) else ("annotations", 200)
            most_there = set(getattr(before, kind)).union(*(getattr(each, kind) for each in pending))
            assert len(most_there) > most, "refused without need"
            self.writers.remove(writer)
            return False
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
        self._bump()
        self.write_id = writer.write_id
        writer.committed_at = self.committed_at = self.version
        self.changed_at = self.now // SECOND * SECOND
        self.committed.changes.append(writer.change)
        writer.step = "fold"

    def _bump(self) -> None:
        self.history.append((self.version, self.write_id))
        self.version += 1

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
        self._bump()

    @rule()
    def a_write_of_kubernetes_alone_tells_the_row(self) -> None:
        self._bump()
        self.row = reconciled(self.row, self.write_id, self.version, self.now)

    # Time

    @rule(wait=st.integers(0, LONGEST_WAIT))
    def time_passes(self, wait: int) -> None:
        self.now += wait

    @rule()
    def everybody_dies_and_much_time_passes(self) -> None:
        self.writers.clear()
        self.sent.clear()
        self.now += 1000 * SECOND

    @invariant()
    def who_sees_a_fold_sees_the_commit(self) -> None:
        """Where nothing is pending under the Deployment's write id, readers are sent to the version of its commit."""
        if self.committed_at and self.write_id not in self.row.metadata.pending:
            assert self.row.deployment_version >= self.committed_at

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
