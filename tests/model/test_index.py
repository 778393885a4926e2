"""The index against an oracle that recomputes everything from what is known, and its rules one by one."""

from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from service.model.index import NO_FILTERS, Filters, Index, Order
from service.model.process import Metadata, Process, Space, Workload
from service.model.selectors import Operator, Range, Requirement
from service.model.views import Visible
from tests.model.builders import exhaust, finish, index_of, metadata, select, workload

NAMESPACES = ["n0", "n1", "n2", "n3"]
APPS = ["a0", "a1", "a2", "a3"]
TYPES = ["web", "worker"]
GUIDS = [f"g{number}" for number in range(9)]
UIDS = [f"u{number:02}" for number in range(12)]
SPACES = ["s0", "s1", *NAMESPACES[:2]]
ORGANIZATIONS = ["o0", "o1"]
LABEL_KEYS = ["tier", "team"]
LABEL_VALUES = ["", "x", "y"]
UNKNOWN = "unknown"
TIMES = st.integers(0, 6)


@dataclass
class Seen:
    """A process as the oracle has it."""

    workload: Workload
    space_guid: str
    organization_guid: str | None
    updated_at: int
    labels: Mapping[str, str]

    def position(self, order: Order) -> tuple[int, str]:
        return (self.workload.created_at if order is Order.CREATED_AT else self.updated_at), self.workload.guid


@dataclass
class World:
    """All that was told and not taken back; everything else is worked out anew at every question."""

    workloads: dict[str, Workload] = field(default_factory=dict)
    spaces: dict[str, Space] = field(default_factory=dict)
    rows: dict[tuple[str, str], Metadata] = field(default_factory=dict)

    def winner(self, claimant: Workload) -> Workload:
        rivals = [
            w
            for w in self.workloads.values()
            if (w.app_guid, w.type) == (claimant.app_guid, claimant.type) or w.guid == claimant.guid
        ]
        return sorted(rivals, key=lambda w: (w.created_at, w.uid))[0]

    def conflicts(self) -> dict[str, tuple[Workload, Workload]]:
        """Loser and winner by the loser's uid."""
        return {uid: (w, won) for uid, w in self.workloads.items() if (won := self.winner(w)).uid != uid}

    def processes(self) -> list[Seen]:
        found = []
        for w in self.workloads.values():
            if self.winner(w).uid == w.uid:
                row = self.rows.get((w.app_guid, w.type))
                space = self.spaces.get(w.namespace)
                found.append(
                    Seen(
                        w,
                        w.space_guid or (space.guid if space else w.namespace),
                        space.organization_guid if space else None,
                        max(w.changed_at, row.updated_at) if row else w.changed_at,
                        row.labels if row else {},
                    )
                )
        return found


def holds(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    match requirement.operator:
        case Operator.EXISTS:
            return requirement.key in labels
        case Operator.NOT_EXISTS:
            return requirement.key not in labels
        case Operator.IN:
            return requirement.key in labels and labels[requirement.key] in requirement.values
        case Operator.NOT_IN:
            return requirement.key not in labels or labels[requirement.key] not in requirement.values


def among(values: frozenset[str] | None, value: str | None) -> bool:
    return values is None or value in values


def falls(conditions: Iterable[Iterable[Range]], moment: int) -> bool:
    return all(
        any((r.start is None or r.start <= moment) and (r.end is None or moment < r.end) for r in ranges)
        for ranges in conditions
    )


def matches(seen: Seen, filters: Filters, visible: Visible) -> bool:
    w = seen.workload
    return (
        (visible is None or w.namespace in visible)
        and among(filters.guids, w.guid)
        and among(filters.types, w.type)
        and among(filters.app_guids, w.app_guid)
        and among(filters.space_guids, seen.space_guid)
        and among(filters.organization_guids, seen.organization_guid)
        and all(holds(requirement, seen.labels) for requirement in filters.labels)
        and falls(filters.created_at, w.created_at)
        and falls(filters.updated_at, seen.updated_at)
        and all(mentions(w, word) for word in filters.words)
    )


def mentions(w: Workload, word: str) -> bool:
    return any(word in text.lower() for text in (w.app_guid, w.guid, w.type, w.name, w.namespace))


def check_selection(
    index: Index,
    seen: Iterable[Seen],
    filters: Filters,
    visible: Visible,
    order: Order,
    descending: bool,
    start: int,
    size: int,
) -> None:
    expected = sorted(
        (one for one in seen if matches(one, filters, visible)),
        key=lambda one: one.position(order),
        reverse=descending,
    )
    answers = [select(index, filters, visible, order, descending=descending, start=start, size=size)]
    if filters == NO_FILTERS:
        answers.append(index.page(visible, order, descending=descending, start=start, size=size))
    for app_guid in filters.app_guids or ():
        if filters == Filters(app_guids=frozenset({app_guid})):
            answers.append(index.page_of(app_guid, visible, order, descending=descending, start=start, size=size))
    for found in answers:
        assert found.total_results == len(expected)
        assert [facts(process) for process in found.processes] == [
            (one.workload, one.space_guid, one.organization_guid, one.updated_at, dict(one.labels))
            for one in expected[start : start + size]
        ]


def facts(process: Process) -> tuple[Workload, str, str | None, int, dict[str, str]]:
    return (
        process.workload,
        process.space_guid,
        process.organization_guid,
        process.updated_at,
        dict(process.metadata.labels),
    )


def some_of(values: Iterable[str]) -> st.SearchStrategy[frozenset[str] | None]:
    return st.none() | st.frozensets(st.sampled_from([*values, UNKNOWN]), max_size=4)


ranges = st.builds(Range, st.none() | TIMES, st.none() | TIMES)
conditions = st.lists(st.lists(ranges, min_size=1, max_size=3).map(tuple), max_size=2).map(tuple)
requirements = st.one_of(
    st.builds(
        Requirement,
        st.sampled_from([*LABEL_KEYS, UNKNOWN]),
        st.sampled_from([Operator.IN, Operator.NOT_IN]),
        st.frozensets(st.sampled_from([*LABEL_VALUES, UNKNOWN]), max_size=3),
    ),
    st.builds(
        Requirement,
        st.sampled_from([*LABEL_KEYS, UNKNOWN]),
        st.sampled_from([Operator.EXISTS, Operator.NOT_EXISTS]),
    ),
)
label_filters = st.lists(requirements, max_size=3).map(tuple)
words = st.lists(st.sampled_from(["a", "1", "web", "g2", "n", UNKNOWN]), max_size=2).map(tuple)
filterings = st.one_of(
    st.just(NO_FILTERS),
    # One condition at a time: several at once soon match nothing.
    st.builds(Filters, guids=some_of(GUIDS)),
    st.builds(Filters, types=some_of(TYPES)),
    st.builds(Filters, app_guids=some_of(APPS)),
    st.builds(Filters, app_guids=st.sampled_from(APPS).map(lambda app: frozenset({app}))),
    st.builds(Filters, space_guids=some_of(SPACES)),
    st.builds(Filters, organization_guids=some_of(ORGANIZATIONS)),
    st.builds(Filters, labels=label_filters),
    st.builds(Filters, created_at=conditions),
    st.builds(Filters, updated_at=conditions),
    st.builds(Filters, words=words),
    st.builds(
        Filters,
        guids=some_of(GUIDS),
        types=some_of(TYPES),
        app_guids=some_of(APPS),
        space_guids=some_of(SPACES),
        organization_guids=some_of(ORGANIZATIONS),
        labels=label_filters,
        created_at=conditions,
        updated_at=conditions,
        words=words,
    ),
)
BATTERY = [
    Filters(guids=frozenset(GUIDS[:5])),
    Filters(types=frozenset({"web"})),
    Filters(app_guids=frozenset({"a0", "a1", UNKNOWN})),
    Filters(space_guids=frozenset({"s0", "n0"})),
    Filters(organization_guids=frozenset({"o0"})),
    Filters(labels=(Requirement("tier", Operator.EXISTS),)),
    Filters(labels=(Requirement("tier", Operator.NOT_EXISTS),)),
    Filters(labels=(Requirement("tier", Operator.IN, frozenset({"x", ""})),)),
    Filters(labels=(Requirement("tier", Operator.NOT_IN, frozenset({"x"})),)),
    Filters(words=("we", "a1")),
    Filters(types=frozenset({"web"}), labels=(Requirement("tier", Operator.NOT_EXISTS),)),
    Filters(created_at=((Range(2, 5),),)),
    Filters(updated_at=((Range(None, 2), Range(4, None)),)),
]
"""Asked in turn after every event: what rules draw at random is asked too seldom to be relied upon."""

visibles: st.SearchStrategy[Visible] = st.none() | st.frozensets(st.sampled_from([*NAMESPACES, UNKNOWN]))

changes = st.fixed_dictionaries(
    {},
    optional={
        "namespace": st.sampled_from(NAMESPACES),
        "guid": st.sampled_from(GUIDS),
        "app_guid": st.sampled_from(APPS),
        "type": st.sampled_from(TYPES),
        "space_guid": st.none() | st.sampled_from(SPACES),
        "created_at": TIMES,
        "changed_at": TIMES,
        "instances": st.integers(0, 3),
    },
)
workloads = st.builds(
    workload,
    uid=st.sampled_from(UIDS),
    namespace=st.sampled_from(NAMESPACES),
    guid=st.sampled_from(GUIDS),
    app_guid=st.sampled_from(APPS),
    type=st.sampled_from(TYPES),
    space_guid=st.none() | st.sampled_from(SPACES),
    created_at=TIMES,
    changed_at=TIMES,
)
labels = st.dictionaries(st.sampled_from(LABEL_KEYS), st.sampled_from(LABEL_VALUES))
rows = st.builds(
    metadata,
    app_guid=st.sampled_from(APPS),
    process_type=st.sampled_from(TYPES),
    labels=labels,
    updated_at=TIMES,
)
spaces = st.builds(
    Space, st.sampled_from(NAMESPACES), st.sampled_from(SPACES), st.none() | st.sampled_from(ORGANIZATIONS)
)


class IndexMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.index = Index()
        self.world = World()
        self.turn = 0

    @initialize(some=st.lists(workloads, max_size=10), data=st.lists(rows, max_size=4))
    def begin(self, some: list[Workload], data: list[Metadata]) -> None:
        for row in data:
            self.put_metadata(row)
        for each in some:
            self.put_workload(each)

    @rule(put=workloads)
    def put_workload(self, put: Workload) -> None:
        before = self.world.conflicts()
        self.world.workloads[put.uid] = put
        reported = self.index.put_workload(put)
        after = self.world.conflicts()
        assert {conflict.workload.uid for conflict in reported} == after.keys() - before.keys()
        assert [(c.workload, c.winner) for c in reported] == [after[c.workload.uid] for c in reported]

    @precondition(lambda self: bool(self.world.workloads))
    @rule(data=st.data(), changed=changes)
    def change_workload(self, data: st.DataObject, changed: dict[str, Any]) -> None:
        uid = data.draw(st.sampled_from(sorted(self.world.workloads)))
        self.put_workload(msgspec.structs.replace(self.world.workloads[uid], **changed))

    @rule(uid=st.sampled_from([*UIDS, UNKNOWN]))
    def remove_workload(self, uid: str) -> None:
        self.world.workloads.pop(uid, None)
        self.index.remove_workload(uid)

    @rule(uids=st.frozensets(st.sampled_from([*UIDS, UNKNOWN]), min_size=6))
    def retain_workloads(self, uids: frozenset[str]) -> None:
        self.world.workloads = {uid: w for uid, w in self.world.workloads.items() if uid in uids}
        exhaust(self.index.retain_workloads(uids))

    @rule(space=spaces)
    def put_space(self, space: Space) -> None:
        self.world.spaces[space.namespace] = space
        exhaust(self.index.put_space(space))

    @rule(namespace=st.sampled_from([*NAMESPACES, UNKNOWN]))
    def remove_space(self, namespace: str) -> None:
        self.world.spaces.pop(namespace, None)
        exhaust(self.index.remove_space(namespace))

    @rule(row=rows)
    def put_metadata(self, row: Metadata) -> None:
        self.world.rows[row.app_guid, row.type] = row
        self.index.put_metadata(row)

    @rule(keys=st.frozensets(st.tuples(st.sampled_from([*APPS, UNKNOWN]), st.sampled_from(TYPES))))
    def retain_metadata(self, keys: frozenset[tuple[str, str]]) -> None:
        self.world.rows = {key: row for key, row in self.world.rows.items() if key in keys}
        exhaust(self.index.retain_metadata(keys))

    @rule(
        filters=filterings,
        visible=visibles,
        order=st.sampled_from(Order),
        descending=st.booleans(),
        start=st.integers(0, 4),
        size=st.sampled_from([0, 1, 2, 50]),
    )
    def select(self, filters: Filters, visible: Visible, order: Order, descending: bool, start: int, size: int) -> None:
        check_selection(self.index, self.world.processes(), filters, visible, order, descending, start, size)

    @invariant()
    def lists_everything_in_every_order(self) -> None:
        seen = self.world.processes()
        for order in Order:
            check_selection(self.index, seen, NO_FILTERS, None, order, False, 0, 100)
            check_selection(self.index, seen, NO_FILTERS, frozenset(NAMESPACES[1:]), order, True, 0, 100)

    @invariant()
    def answers_the_battery(self) -> None:
        seen = self.world.processes()
        for visible in (None, frozenset({"n0", "n1"}), frozenset({"n2", UNKNOWN})):
            self.turn += 1
            filters = BATTERY[self.turn % len(BATTERY)]
            check_selection(self.index, seen, filters, visible, Order.UPDATED_AT, bool(self.turn % 2), 0, 100)

    @invariant()
    def finds_by_every_name(self) -> None:
        seen = self.world.processes()
        assert len(self.index) == len(seen)
        assert {guid: p.workload for guid in GUIDS if (p := self.index.get(guid))} == {
            one.workload.guid: one.workload for one in seen
        }
        by_place = {(one.workload.app_guid, one.workload.type): one.workload for one in seen}
        for app in APPS:
            assert sorted(p.workload.type for p in self.index.processes_of(app)) == sorted(
                kind for a, kind in by_place if a == app
            )
            for kind in TYPES:
                found = self.index.find(app, kind)
                assert (found and found.workload) == by_place.get((app, kind))
        assert set(self.index.namespaces()) == {one.workload.namespace for one in seen}

    @invariant()
    def knows_the_conflicts(self) -> None:
        conflicts = self.world.conflicts()
        assert dict(self.index.conflicts) == {uid: loser for uid, (loser, _) in conflicts.items()}
        rivals = {uid: self.index.rival(workload) for uid, workload in self.world.workloads.items()}
        assert rivals == {uid: conflicts[uid][1] if uid in conflicts else None for uid in rivals}

    @invariant()
    def keeps_no_empty_set(self) -> None:
        for owner in owners(self.index):
            for name, held in vars(owner).items():
                assert not list(empties(held)), name

    def teardown(self) -> None:
        for uid in list(self.world.workloads):
            self.remove_workload(uid)
        for namespace in list(self.world.spaces):
            self.remove_space(namespace)
        self.retain_metadata(frozenset())
        assert_empty(self.index)


def owners(index: Index) -> list[object]:
    return [index, index._claims, *index._views.values()]


def empties(held: object) -> Iterator[object]:
    """The keys, at any depth, of what holds nothing any more."""
    if isinstance(held, dict):
        for key, value in held.items():
            if isinstance(value, Sized) and not value:
                yield key
            yield from empties(value)


def assert_empty(index: Index) -> None:
    for owner in owners(index):
        for name, held in vars(owner).items():
            assert name == "_views" or not isinstance(held, Sized) or not held, name


TestIndexMachine = IndexMachine.TestCase
TestIndexMachine.settings = settings(max_examples=150, stateful_step_count=30)


@settings(max_examples=80)
@given(
    random=st.randoms(use_true_random=False),
    count=st.integers(40, 130),
    filters=st.sampled_from(BATTERY) | filterings,
    step=st.sampled_from([7, 5000]),
    visible=visibles,
    order=st.sampled_from(Order),
    descending=st.booleans(),
    start=st.sampled_from([0, 1, 40, 60, 200]),
)
def test_selects_from_many_as_from_few(
    random: Any, count: int, filters: Filters, step: int, visible: Visible, order: Order, descending: bool, start: int
) -> None:
    """More matches than are sorted by themselves: those are picked from the whole in one pass."""
    world = World()
    index = Index()
    for number in range(count):
        created_at = random.randrange(6)
        put = workload(
            f"u{number}",
            namespace=random.choice(NAMESPACES),
            guid=f"g{number}",
            app_guid=random.choice([f"{random.choice(APPS)}", f"own-{number}"]),
            type=random.choice([*TYPES, f"type-{number}"]),
            created_at=created_at,
            changed_at=created_at + random.randrange(3),
        )
        row = metadata(put.app_guid, put.type, labels={"tier": random.choice(LABEL_VALUES)})
        world.workloads[put.uid] = put
        world.rows[put.app_guid, put.type] = row
        index.put_workload(put)
        index.put_metadata(row)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("service.model.index.STEP", step)
        check_selection(index, world.processes(), filters, visible, order, descending, start, 30)


@settings(max_examples=100)
@given(
    before=st.lists(workloads, max_size=12),
    events=st.lists(workloads | st.sampled_from(UIDS), max_size=10),
    filters=filterings,
    visible=visibles,
    order=st.sampled_from(Order),
    descending=st.booleans(),
    pace=st.integers(1, 3),
)
def test_a_search_survives_what_happens_between_its_steps(
    before: list[Workload],
    events: list[Workload | str],
    filters: Filters,
    visible: Visible,
    order: Order,
    descending: bool,
    pace: int,
) -> None:
    index = index_of(before)
    steady = {p.guid: p for guid in GUIDS if (p := index.get(guid))}
    search = index.search(filters, visible, order, descending=descending, start=0, size=100)
    pending = iter(events)

    def happen() -> None:
        for event in islice(pending, pace):
            if isinstance(event, str):
                index.remove_workload(event)
            else:
                index.put_workload(event)
            for guid in [guid for guid, p in steady.items() if index.get(guid) is not p]:
                del steady[guid]

    found = finish(search, happen)
    guids = [process.guid for process in found.processes]
    assert found.total_results == len(guids) == len(set(guids))
    assert all(index.get(process.guid) is process for process in found.processes)
    matching = {one.workload.guid for one in world_of(steady.values()) if matches(one, filters, visible)}
    assert {guid for guid in guids if guid in steady} == matching


def test_a_long_search_survives_the_removal_of_what_it_has_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.model.index.STEP", 10)
    index = index_of(workload(f"u{number:02}", created_at=number) for number in range(90))
    search = index.search(
        Filters(types=frozenset({"web"})), None, Order.CREATED_AT, descending=False, start=0, size=100
    )
    gone = 0

    def remove_one() -> None:
        nonlocal gone
        index.remove_workload(f"u{gone:02}")
        gone += 1

    found = finish(search, remove_one)
    assert gone > 9
    assert 90 - gone <= found.total_results <= 90
    assert [process.workload.uid for process in found.processes] == [f"u{number:02}" for number in range(gone, 90)]


def world_of(processes: Iterable[Process]) -> list[Seen]:
    return [Seen(*facts(process)) for process in processes]


def test_a_search_never_shows_what_entered_a_hidden_namespace_meanwhile() -> None:
    """One app moved: its GUID, derived from app and type, is the same in the namespace it moved to."""
    index = index_of([workload("u1", app_guid="app", guid="g", namespace="mine")])
    search = index.search(
        Filters(types=frozenset({"web"})), frozenset({"mine"}), Order.CREATED_AT, descending=False, start=0, size=9
    )
    steps = 0

    def move_late() -> None:
        nonlocal steps
        steps += 1
        if steps == 3:
            index.remove_workload("u1")
            index.put_workload(workload("u2", app_guid="app", guid="g", namespace="theirs"))

    found = finish(search, move_late)
    assert [process.workload.namespace for process in found.processes] in ([], ["mine"])


def test_the_oldest_deployment_is_the_process_and_the_others_are_conflicts() -> None:
    index = Index()
    young = workload("young", app_guid="app", guid="g", created_at=9)
    old = workload("old", app_guid="app", guid="g", created_at=1)
    assert index.put_workload(young) == []
    (conflict,) = index.put_workload(old)
    assert (conflict.workload, conflict.winner) == (young, old)
    assert index.find("app", "web") is index.get("g")
    assert [process.workload for process in index.processes_of("app")] == [old]
    assert len(index) == 1


def test_of_two_equally_old_the_uid_decides_whichever_comes_first() -> None:
    a, b = (workload(uid, app_guid="app", guid="g", created_at=1) for uid in "ab")
    for pair in ((a, b), (b, a)):
        assert [p.workload.uid for p in index_of(pair).processes_of("app")] == ["a"]


def test_one_guid_claimed_for_two_apps_belongs_to_the_older() -> None:
    index = index_of([workload("old", guid="g", created_at=1), workload("young", guid="g", created_at=2)])
    assert [p.workload.uid for app in ("app-old", "app-young") for p in index.processes_of(app)] == ["old"]
    assert set(index.conflicts) == {"young"}


def test_a_loser_takes_over_when_the_winner_goes() -> None:
    index = index_of([workload("old", guid="g", created_at=1), workload("young", guid="g", created_at=2)])
    index.remove_workload("old")
    assert [p.workload.uid for p in index.processes_of("app-young")] == ["young"]
    assert not index.conflicts


def test_a_loser_takes_over_when_the_winner_claims_another_guid() -> None:
    old, young = (workload(uid, guid="g", created_at=age) for age, uid in enumerate(["old", "young"]))
    index = index_of([old, young])
    assert index.put_workload(msgspec.structs.replace(old, guid="another")) == []
    assert {guid: p.workload.uid for guid in ("g", "another") if (p := index.get(guid))} == {
        "g": "young",
        "another": "old",
    }
    assert not index.conflicts


def test_one_that_is_being_deleted_gives_way_to_one_that_is_not_whichever_comes_first() -> None:
    leaving = workload("old", app_guid="app", guid="g", created_at=1, deleting=True)
    successor = workload("young", app_guid="app", guid="g", created_at=2)
    for pair in ((leaving, successor), (successor, leaving)):
        index = index_of(pair)
        assert [p.workload.uid for p in index.processes_of("app")] == ["young"]
        assert set(index.conflicts) == {"old"}


def test_it_gives_way_when_its_deletion_begins_and_is_the_process_again_without_a_successor() -> None:
    old, young = (workload(uid, app_guid="app", guid="g", created_at=age) for age, uid in enumerate(["old", "young"]))
    index = index_of([old, young])
    (conflict,) = index.put_workload(msgspec.structs.replace(old, deleting=True))
    assert (conflict.workload.uid, conflict.winner.uid) == ("old", "young")
    assert [p.workload.uid for p in index.processes_of("app")] == ["young"]
    index.remove_workload("young")
    assert [p.workload.uid for p in index.processes_of("app")] == ["old"]
    assert not index.conflicts


def test_the_same_state_again_keeps_the_process_as_it_is() -> None:
    """Rows are encoded once for each process object: an event that changes nothing must not make another."""
    index = index_of([workload("u", app_guid="app")], [metadata("app", labels={"a": "b"})])
    exhaust(index.put_space(Space("space-a", "s", "o")))
    process = index.find("app", "web")
    index.put_workload(workload("u", app_guid="app"))
    index.put_metadata(metadata("app", labels={"a": "b"}))
    exhaust(index.put_space(Space("space-a", "s", "o")))
    assert process is not None
    assert index.find("app", "web") is process


@pytest.mark.parametrize("kind", ["workload", "metadata", "space"])
def test_a_change_makes_another_process(kind: str) -> None:
    index = index_of([workload("u", app_guid="app")])
    process = index.find("app", "web")
    if kind == "workload":
        index.put_workload(workload("u", app_guid="app", instances=7))
    elif kind == "metadata":
        index.put_metadata(metadata("app", log_rate_limit_in_bytes_per_second=7))
    else:
        exhaust(index.put_space(Space("space-a", "s", "o")))
    assert index.find("app", "web") is not process


def test_metadata_waits_for_its_deployment_and_outlives_it() -> None:
    index = index_of([], [metadata("app", labels={"a": "b"})])
    for _ in range(2):
        index.put_workload(workload("u", app_guid="app"))
        (process,) = index.processes_of("app")
        assert process.metadata.labels == {"a": "b"}
        index.remove_workload("u")
        assert index.processes_of("app") == []


def test_conflicts_are_told_once_each() -> None:
    """However often the winner changes: scaling it is no news about the loser."""
    old = workload("old", guid="g", created_at=1)
    index = index_of([old])
    assert len(index.put_workload(workload("young", guid="g", created_at=2))) == 1
    assert index.put_workload(msgspec.structs.replace(old, instances=5)) == []
    assert set(index.conflicts) == {"young"}


def test_a_loser_that_changes_is_no_new_conflict() -> None:
    young = workload("young", guid="g", created_at=2)
    index = index_of([workload("old", guid="g", created_at=1), young])
    assert index.put_workload(msgspec.structs.replace(young, instances=5)) == []
