"""The index against an oracle that recomputes everything from what is known, and its rules one by one."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from service.model.index import Index
from service.model.process import Key, Metadata, Process, SidecarContainer, Space, Workload
from service.model.selection import CREATED_AT, NO_FILTERS, UPDATED_AT, Filters, Slice
from service.model.selectors import Operator, Range, Requirement
from service.model.views import Visible
from tests.model.builders import exhaust, filters, finish, index_of, metadata, select, workload

NAMESPACES = ["n0", "n1", "n2", "n3"]
APPS = ["a0", "a1", "a2", "a3"]
TYPES = ["web", "worker"]
GUIDS = [f"g{number}" for number in range(9)]
UIDS = [f"u{number:02}" for number in range(12)]
SPACES = ["s0", "s1", *NAMESPACES[:2]]
ORGANIZATIONS = ["o0", "o1", "default"]
FACETS = {
    "guids": GUIDS,
    "types": TYPES,
    "app_guids": APPS,
    "space_guids": SPACES,
    "organization_guids": ORGANIZATIONS,
}
LABEL_KEYS = ["tier", "team"]
LABEL_VALUES = ["", "x", "y"]
UNKNOWN = "unknown"
TIMES = st.integers(0, 6)
PROXY = SidecarContainer("proxy", "envoy", 64)
SIDECARS = [(), (), (PROXY,), (SidecarContainer("proxy", "envoy -v", 64),), (SidecarContainer("logs", "", 0), PROXY)]


@dataclass
class Seen:
    """A process as the oracle has it."""

    workload: Workload
    space_guid: str
    organization_guid: str
    updated_at: int
    labels: Mapping[str, str]

    def position(self, order: str) -> tuple[int, str, str]:
        key = self.workload.created_at if order == CREATED_AT else self.updated_at
        return key, self.workload.guid, self.workload.namespace

    def values(self, facet: str) -> set[str | None]:
        w = self.workload
        known = {
            "guids": w.guid,
            "types": w.type,
            "app_guids": w.app_guid,
            "space_guids": self.space_guid,
            "organization_guids": self.organization_guid,
        }
        return {known[facet]}


@dataclass
class World:
    """All that was told and not taken back; everything else is worked out anew at every question."""

    workloads: dict[str, Workload] = field(default_factory=dict)
    spaces: dict[str, Space] = field(default_factory=dict)
    rows: dict[Key, Metadata] = field(default_factory=dict)

    def winner(self, claimant: Workload) -> Workload:
        rivals = [
            w
            for w in self.workloads.values()
            if w.namespace == claimant.namespace and (w.key == claimant.key or w.guid == claimant.guid)
        ]
        return sorted(rivals, key=lambda w: (w.deleting, w.created_at, w.uid))[0]

    def conflicts(self) -> dict[str, tuple[Workload, Workload]]:
        """Loser and winner by the loser's uid."""
        return {uid: (w, won) for uid, w in self.workloads.items() if (won := self.winner(w)).uid != uid}

    def processes(self) -> list[Seen]:
        found = []
        for w in self.workloads.values():
            if self.winner(w).uid == w.uid:
                row = self.rows.get(w.key)
                space = self.spaces.get(w.namespace)
                found.append(
                    Seen(
                        w,
                        w.space_guid or (space.guid if space else w.namespace),
                        (space and space.organization_guid) or "default",
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


def falls(ranges: Iterable[Range], moment: int) -> bool:
    return any((r.start is None or r.start <= moment) and (r.end is None or moment < r.end) for r in ranges)


def matches(seen: Seen, wanted: Filters, visible: Visible) -> bool:
    w = seen.workload
    times = {CREATED_AT: w.created_at, UPDATED_AT: seen.updated_at}
    return (
        (visible is None or w.namespace in visible)
        and all(seen.values(facet) & values for facet, values in wanted.facets)
        and all(holds(requirement, seen.labels) for requirement in wanted.labels)
        and all(falls(ranges, times[order]) for order, ranges in wanted.times)
        and all(mentions(seen, word) for word in wanted.words)
    )


def mentions(seen: Seen, word: str) -> bool:
    w = seen.workload
    texts = w.app_guid, w.guid, w.type, w.name, w.namespace, seen.space_guid, seen.organization_guid
    return any(word in text.lower() for text in texts)


def check_selection(
    index: Index,
    seen: Iterable[Seen],
    wanted: Filters,
    visible: Visible,
    order: str,
    descending: bool,
    start: int,
    size: int,
) -> None:
    expected = sorted(
        (one for one in seen if matches(one, wanted, visible)),
        key=lambda one: one.position(order),
        reverse=descending,
    )
    part = Slice(order, descending, start, size)
    answers = [select(index, wanted, visible, order, descending=descending, start=start, size=size)]
    if wanted == NO_FILTERS:
        answers.append(index.processes.page(visible, part))
    for facet, values in wanted.facets:
        for value in values:
            if wanted == Filters(((facet, frozenset((value,))),)):
                few = index.processes.page_having(facet, value, visible, part, most=1000)
                assert few is not None
                answers.append(few)
    for found in answers:
        assert found.total_results == len(expected)
        assert [facts(process) for process in found.items] == [
            (one.workload, one.space_guid, one.organization_guid, one.updated_at, dict(one.labels))
            for one in expected[start : start + size]
        ]


def facts(process: Process) -> tuple[Workload, str, str, int, dict[str, str]]:
    return (
        process.workload,
        process.space_guid,
        process.organization_guid,
        process.updated_at,
        dict(process.metadata.labels),
    )


def some_of(values: Iterable[str]) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from([*values, UNKNOWN]), max_size=4)


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
    st.builds(filters, guids=some_of(GUIDS)),
    st.builds(filters, types=some_of(TYPES)),
    st.builds(filters, app_guids=some_of(APPS)),
    st.builds(filters, app_guids=st.sampled_from(APPS).map(lambda app: frozenset({app}))),
    st.builds(filters, space_guids=some_of(SPACES)),
    st.builds(filters, organization_guids=some_of(ORGANIZATIONS)),
    st.builds(filters, labels=label_filters),
    st.builds(filters, created_at=conditions),
    st.builds(filters, updated_at=conditions),
    st.builds(filters, words=words),
    st.builds(
        filters,
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
    filters(guids=frozenset(GUIDS[:5])),
    filters(types=frozenset({"web"})),
    filters(app_guids=frozenset({"a0", "a1", UNKNOWN})),
    filters(space_guids=frozenset({"s0", "n0"})),
    filters(organization_guids=frozenset({"o0"})),
    filters(labels=(Requirement("tier", Operator.EXISTS),)),
    filters(labels=(Requirement("tier", Operator.NOT_EXISTS),)),
    filters(labels=(Requirement("tier", Operator.IN, frozenset({"x", ""})),)),
    filters(labels=(Requirement("tier", Operator.NOT_IN, frozenset({"x"})),)),
    filters(words=("we", "a1")),
    filters(types=frozenset({"web"}), labels=(Requirement("tier", Operator.NOT_EXISTS),)),
    filters(created_at=((Range(2, 5),),)),
    filters(updated_at=((Range(None, 2), Range(4, None)),)),
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
        "sidecars": st.sampled_from(SIDECARS),
        "deleting": st.booleans(),
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
    deleting=st.sampled_from([False, False, False, True]),
    sidecars=st.sampled_from(SIDECARS),
)
labels = st.dictionaries(st.sampled_from(LABEL_KEYS), st.sampled_from(LABEL_VALUES))
rows = st.builds(
    metadata,
    namespace=st.sampled_from(NAMESPACES),
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
        self.alone = 0

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
        self.world.rows[row.key] = row
        self.index.put_metadata(row)

    @rule(
        keys=st.frozensets(
            st.tuples(st.sampled_from(NAMESPACES), st.sampled_from([*APPS, UNKNOWN]), st.sampled_from(TYPES))
        )
    )
    def retain_metadata(self, keys: frozenset[Key]) -> None:
        self.world.rows = {key: row for key, row in self.world.rows.items() if key in keys}
        exhaust(self.index.retain_metadata(keys))

    @rule(
        wanted=filterings,
        visible=visibles,
        order=st.sampled_from([CREATED_AT, UPDATED_AT]),
        descending=st.booleans(),
        start=st.integers(0, 4),
        size=st.sampled_from([0, 1, 2, 50]),
    )
    def select(self, wanted: Filters, visible: Visible, order: str, descending: bool, start: int, size: int) -> None:
        check_selection(self.index, self.world.processes(), wanted, visible, order, descending, start, size)

    @invariant()
    def lists_everything_in_every_order(self) -> None:
        seen = self.world.processes()
        for order in (CREATED_AT, UPDATED_AT):
            check_selection(self.index, seen, NO_FILTERS, None, order, False, 0, 100)
            check_selection(self.index, seen, NO_FILTERS, frozenset(NAMESPACES[1:]), order, True, 0, 100)

    @invariant()
    def answers_the_battery(self) -> None:
        seen = self.world.processes()
        for visible in (None, frozenset({"n0", "n1"}), frozenset({"n2", UNKNOWN})):
            self.turn += 1
            wanted = BATTERY[self.turn % len(BATTERY)]
            check_selection(self.index, seen, wanted, visible, UPDATED_AT, bool(self.turn % 2), 0, 100)

    @invariant()
    def finds_by_every_name(self) -> None:
        seen = self.world.processes()
        processes = self.index.processes
        assert len(processes) == len(seen)
        for facet, values in FACETS.items():
            for value in values:
                assert {p.workload.uid for p in processes.having(facet, value)} == {
                    one.workload.uid for one in seen if value in one.values(facet)
                }
        by_key = {one.workload.key: one.workload for one in seen}
        for key in itertools.product(NAMESPACES, APPS, TYPES):
            found = self.index.find(key)
            assert (found and found.workload) == by_key.get(key)
        assert set(processes.namespaces()) == {one.workload.namespace for one in seen}

    @invariant()
    def has_the_sidecars_of_what_is_served_and_no_others(self) -> None:
        expected = [(self.index.processes.get(one.workload.uid), one) for one in self.world.processes()]
        for facet in ("app_guids", "process_guids"):
            wanted = {(process, each) for process, one in expected for each in one.workload.sidecars}
            values = APPS if facet == "app_guids" else GUIDS
            found = [each for value in values for each in self.index.sidecars.having(facet, value)]
            assert {(sidecar.process, sidecar.container) for sidecar in found} == wanted
            assert len(found) == len(wanted) == len(self.index.sidecars)

    @invariant()
    def nothing_in_one_namespace_changes_what_is_served_of_another(self) -> None:
        self.alone += 1
        namespace = NAMESPACES[self.alone % len(NAMESPACES)]
        alone = index_of(
            (w for w in self.world.workloads.values() if w.namespace == namespace),
            (row for row in self.world.rows.values() if row.namespace == namespace),
        )
        if (space := self.world.spaces.get(namespace)) is not None:
            exhaust(alone.put_space(space))
        visible = frozenset({namespace})
        for order in (CREATED_AT, UPDATED_AT):
            there, here = (each.processes.page(visible, Slice(order, size=100)) for each in (alone, self.index))
            assert [msgspec.structs.asdict(process) for process in there.items] == [
                msgspec.structs.asdict(process) for process in here.items
            ]
        assert conflicts_of(alone, namespace) == conflicts_of(self.index, namespace)

    @invariant()
    def knows_which_guids_several_namespaces_use(self) -> None:
        seen = self.world.processes()
        for facet, sharing in (("guids", self.index.shared_guids), ("app_guids", self.index.shared_app_guids)):
            users = {
                value: {one.workload.namespace for one in seen if value in one.values(facet)} for value in FACETS[facet]
            }
            assert len(sharing) == sum(len(namespaces) > 1 for namespaces in users.values())
            for visible in (None, frozenset({"n0", "n1"}), frozenset({"n1", "n2", "n3", UNKNOWN})):
                looked = {v: namespaces & (visible or namespaces) for v, namespaces in users.items()}
                assert finish(sharing.seen(visible)) == {v: spaces for v, spaces in looked.items() if len(spaces) > 1}

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
                assert name == "_facets" or not list(empties(held)), name

    def teardown(self) -> None:
        for uid in list(self.world.workloads):
            self.remove_workload(uid)
        for namespace in list(self.world.spaces):
            self.remove_space(namespace)
        self.retain_metadata(frozenset())
        assert_empty(self.index)


def conflicts_of(index: Index, namespace: str) -> dict[str, tuple[Workload, Workload | None]]:
    """What lost in a namespace, and to what, by uid."""
    return {uid: (w, index.rival(w)) for uid, w in index.conflicts.items() if w.namespace == namespace}


def owners(index: Index) -> list[object]:
    processes = index.processes
    return [
        index,
        processes,
        index.sidecars,
        *index.sidecars._views.values(),
        *index.sidecars._found.facets.values(),
        index._claims,
        processes._labels,
        processes._labels._labelled,
        *processes._labels._values.values(),
        *processes._views.values(),
        *processes._found.facets.values(),
        *processes._found.placed.values(),
        *processes._found.crowds(),
        index.shared_guids,
        index.shared_app_guids,
    ]


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
            is_kept = isinstance(held, Sized) and not isinstance(held, str)
            assert name in ("_views", "_facets", "_facet") or not is_kept or not held, name


TestIndexMachine = IndexMachine.TestCase
TestIndexMachine.settings = settings(max_examples=150, stateful_step_count=30)


@settings(max_examples=80)
@given(
    random=st.randoms(use_true_random=False),
    count=st.integers(40, 130),
    wanted=st.sampled_from(BATTERY) | filterings,
    step=st.sampled_from([7, 5000]),
    visible=visibles,
    order=st.sampled_from([CREATED_AT, UPDATED_AT]),
    descending=st.booleans(),
    start=st.sampled_from([0, 1, 40, 60, 200]),
)
def test_selects_from_many_as_from_few(
    random: Any, count: int, wanted: Filters, step: int, visible: Visible, order: str, descending: bool, start: int
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
        row = metadata(put.app_guid, put.type, put.namespace, labels={"tier": random.choice(LABEL_VALUES)})
        world.workloads[put.uid] = put
        world.rows[put.key] = row
        index.put_workload(put)
        index.put_metadata(row)
    with pytest.MonkeyPatch.context() as patch:
        for module in ("collection", "lookup"):
            patch.setattr(f"service.model.{module}.STEP", step)
        check_selection(index, world.processes(), wanted, visible, order, descending, start, 30)


@settings(max_examples=100)
@given(
    before=st.lists(workloads, max_size=12),
    events=st.lists(workloads | st.sampled_from(UIDS), max_size=10),
    wanted=filterings,
    visible=visibles,
    order=st.sampled_from([CREATED_AT, UPDATED_AT]),
    descending=st.booleans(),
    pace=st.integers(1, 3),
)
def test_a_search_survives_what_happens_between_its_steps(
    before: list[Workload],
    events: list[Workload | str],
    wanted: Filters,
    visible: Visible,
    order: str,
    descending: bool,
    pace: int,
) -> None:
    index = index_of(before)
    steady = {uid: p for uid in UIDS if (p := index.processes.get(uid))}
    search = index.processes.search(wanted, visible, Slice(order, descending, size=100))
    pending = iter(events)

    def happen() -> None:
        for event in islice(pending, pace):
            if isinstance(event, str):
                index.remove_workload(event)
            else:
                index.put_workload(event)
            for uid in [uid for uid, p in steady.items() if index.processes.get(uid) is not p]:
                del steady[uid]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("service.model.lookup.STEP", 1)
        found = finish(search, happen)
    uids = [process.workload.uid for process in found.items]
    assert found.total_results == len(uids) == len(set(uids))
    assert all(index.processes.get(process.workload.uid) is process for process in found.items)
    matching = {one.workload.uid for one in world_of(steady.values()) if matches(one, wanted, visible)}
    assert {uid for uid in uids if uid in steady} == matching


def test_a_long_search_survives_the_removal_of_what_it_has_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.model.collection.STEP", 10)
    index = index_of(workload(f"u{number:02}", created_at=number) for number in range(90))
    search = index.processes.search(filters(types=["web"]), None, Slice(size=100))
    gone = 0

    def remove_one() -> None:
        nonlocal gone
        index.remove_workload(f"u{gone:02}")
        gone += 1

    found = finish(search, remove_one)
    assert gone > 9
    assert 90 - gone <= found.total_results <= 90
    assert [process.workload.uid for process in found.items] == [f"u{number:02}" for number in range(gone, 90)]


def world_of(processes: Iterable[Process]) -> list[Seen]:
    return [Seen(*facts(process)) for process in processes]


def test_a_search_never_shows_what_entered_a_hidden_namespace_meanwhile() -> None:
    """One app moved, with the GUID that its label gives it."""
    index = index_of([workload("u1", app_guid="app", guid="g", namespace="mine")])
    search = index.processes.search(filters(types=["web"]), frozenset({"mine"}), Slice(size=9))
    steps = 0

    def move_late() -> None:
        nonlocal steps
        steps += 1
        if steps == 3:
            index.remove_workload("u1")
            index.put_workload(workload("u2", app_guid="app", guid="g", namespace="theirs"))

    found = finish(search, move_late)
    assert [process.workload.namespace for process in found.items] in ([], ["mine"])


def test_the_oldest_deployment_is_the_process_and_the_others_are_conflicts() -> None:
    index = Index()
    young = workload("young", app_guid="app", guid="g", created_at=9)
    old = workload("old", app_guid="app", guid="g", created_at=1)
    assert index.put_workload(young) == []
    (conflict,) = index.put_workload(old)
    assert (conflict.workload, conflict.winner) == (young, old)
    assert index.find(("space-a", "app", "web")) is index.processes.get("old")
    assert [process.workload for process in index.processes.having("app_guids", "app")] == [old]
    assert len(index.processes) == 1


def test_of_two_equally_old_the_uid_decides_whichever_comes_first() -> None:
    a, b = (workload(uid, app_guid="app", guid="g", created_at=1) for uid in "ab")
    for pair in ((a, b), (b, a)):
        assert [p.workload.uid for p in index_of(pair).processes.having("app_guids", "app")] == ["a"]


def test_one_guid_claimed_for_two_apps_belongs_to_the_older() -> None:
    index = index_of([workload("old", guid="g", created_at=1), workload("young", guid="g", created_at=2)])
    assert [p.workload.uid for app in ("app-old", "app-young") for p in index.processes.having("app_guids", app)] == [
        "old"
    ]
    assert set(index.conflicts) == {"young"}


def test_a_loser_takes_over_when_the_winner_goes() -> None:
    index = index_of([workload("old", guid="g", created_at=1), workload("young", guid="g", created_at=2)])
    index.remove_workload("old")
    assert [p.workload.uid for p in index.processes.having("app_guids", "app-young")] == ["young"]
    assert not index.conflicts


def test_a_loser_takes_over_when_the_winner_claims_another_guid() -> None:
    old, young = (workload(uid, guid="g", created_at=age) for age, uid in enumerate(["old", "young"]))
    index = index_of([old, young])
    assert index.put_workload(msgspec.structs.replace(old, guid="another")) == []
    served = {guid: [p.workload.uid for p in index.processes.having("guids", guid)] for guid in ("g", "another")}
    assert served == {"g": ["young"], "another": ["old"]}
    assert not index.conflicts


def test_one_that_is_being_deleted_gives_way_to_one_that_is_not_whichever_comes_first() -> None:
    leaving = workload("old", app_guid="app", guid="g", created_at=1, deleting=True)
    successor = workload("young", app_guid="app", guid="g", created_at=2)
    for pair in ((leaving, successor), (successor, leaving)):
        index = index_of(pair)
        assert [p.workload.uid for p in index.processes.having("app_guids", "app")] == ["young"]
        assert set(index.conflicts) == {"old"}


def test_it_gives_way_when_its_deletion_begins_and_is_the_process_again_without_a_successor() -> None:
    old, young = (workload(uid, app_guid="app", guid="g", created_at=age) for age, uid in enumerate(["old", "young"]))
    index = index_of([old, young])
    (conflict,) = index.put_workload(msgspec.structs.replace(old, deleting=True))
    assert (conflict.workload.uid, conflict.winner.uid) == ("old", "young")
    assert [p.workload.uid for p in index.processes.having("app_guids", "app")] == ["young"]
    index.remove_workload("young")
    assert [p.workload.uid for p in index.processes.having("app_guids", "app")] == ["old"]
    assert not index.conflicts


def test_the_same_state_again_keeps_the_process_as_it_is() -> None:
    """Rows are encoded once for each process object: an event that changes nothing must not make another."""
    index = index_of([workload("u", app_guid="app")], [metadata("app", labels={"a": "b"})])
    exhaust(index.put_space(Space("space-a", "s", "o")))
    process = index.find(("space-a", "app", "web"))
    index.put_workload(workload("u", app_guid="app"))
    index.put_metadata(metadata("app", labels={"a": "b"}))
    exhaust(index.put_space(Space("space-a", "s", "o")))
    assert process is not None
    assert index.find(("space-a", "app", "web")) is process


@pytest.mark.parametrize("kind", ["workload", "metadata", "space"])
def test_a_change_makes_another_process(kind: str) -> None:
    index = index_of([workload("u", app_guid="app")])
    process = index.find(("space-a", "app", "web"))
    if kind == "workload":
        index.put_workload(workload("u", app_guid="app", instances=7))
    elif kind == "metadata":
        index.put_metadata(metadata("app", log_rate_limit_in_bytes_per_second=7))
    else:
        exhaust(index.put_space(Space("space-a", "s", "o")))
    assert index.find(("space-a", "app", "web")) is not process


def test_metadata_waits_for_its_deployment_and_outlives_it() -> None:
    index = index_of([], [metadata("app", labels={"a": "b"})])
    for _ in range(2):
        index.put_workload(workload("u", app_guid="app"))
        (process,) = index.processes.having("app_guids", "app")
        assert process.metadata.labels == {"a": "b"}
        index.remove_workload("u")
        assert index.processes.having("app_guids", "app") == []


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
