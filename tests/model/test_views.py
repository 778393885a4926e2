"""SortedView against a sorted list of everything."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.model.views import FEW, KEPT_PASSES, SHORT, Position, SortedView, Visible, in_order

NAMESPACES = [f"n{number}" for number in range(9)]
STRANGERS = [f"stranger-{number}" for number in range(12)]
KEYS = st.integers(-3, 12)


@dataclass(frozen=True)
class Item:
    namespace: str
    key: int
    guid: str

    @property
    def position(self) -> Position:
        return Position(self.key, self.guid, self.namespace, self.guid)


@dataclass
class Case:
    view: SortedView
    items: list[Item]
    """What the view should hold, sorted."""

    def seen(self, visible: Visible) -> list[str]:
        return [item.guid for item in self.items if visible is None or item.namespace in visible]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A view after adds and removes in a random interleaving."""
    namespaces = NAMESPACES[: draw(st.integers(1, len(NAMESPACES)))]
    # Drawn first: lists left to themselves stay too short to have a middle.
    count = draw(st.integers(0, 50))
    placed = draw(
        st.lists(
            st.tuples(st.sampled_from(namespaces), KEYS, st.integers(0, 99), st.integers(0, 3)),
            min_size=count,
            max_size=count,
            unique_by=lambda item: item[2],
        )
    )
    view = SortedView()
    held: list[Item] = []
    with pytest.MonkeyPatch.context() as patch:
        # Of the lists of namespaces some are long then, and some short.
        patch.setattr("service.model.views.SHORT", draw(st.sampled_from([3, SHORT])))
        for namespace, key, number, fate in placed:
            item = Item(namespace, key, f"g{number:02}")
            view.add(item.position)
            held.append(item)
            if fate == 0:
                gone = held.pop(draw(st.integers(0, len(held) - 1)))
                view.remove(gone.position)
    return Case(view, sorted(held, key=lambda item: (item.key, item.guid)))


some = st.frozensets(st.sampled_from(NAMESPACES))
visibles: st.SearchStrategy[Visible] = st.one_of(
    st.none(),
    st.just(frozenset()),
    st.frozensets(st.sampled_from(NAMESPACES), max_size=2),
    some,
    st.sampled_from(NAMESPACES).map(lambda hidden: frozenset(NAMESPACES) - {hidden}),
    st.just(frozenset(NAMESPACES)),
    st.builds(frozenset[str].union, some, st.frozensets(st.sampled_from(STRANGERS))),
    st.frozensets(st.sampled_from(STRANGERS)),
)


@settings(max_examples=400)
@given(
    case=cases(),
    visible=visibles,
    start=st.integers(0, 15) | st.integers(0, 70),
    size=st.sampled_from([0, 1, 2, 7, 50, 5000]),
    descending=st.booleans(),
)
def test_a_page_is_the_slice_of_the_sorted_list(
    case: Case, visible: Visible, start: int, size: int, descending: bool
) -> None:
    seen = case.seen(visible)
    in_order = seen[::-1] if descending else seen
    assert case.view.page(visible, start, size, descending) == in_order[start : start + size]


@settings(max_examples=40)
@given(case=cases(), visible=visibles, descending=st.booleans())
def test_every_single_rank_is_found(case: Case, visible: Visible, descending: bool) -> None:
    seen = case.seen(visible)
    found = [case.view.page(visible, rank, 1, descending) for rank in range(len(seen) + 1)]
    assert found == [[guid] for guid in (seen[::-1] if descending else seen)] + [[]]


@given(case=cases(), visible=visibles)
def test_counts_and_lists_what_is_visible(case: Case, visible: Visible) -> None:
    seen = case.seen(visible)
    assert case.view.count(visible) == len(seen)
    if visible is not None:
        assert case.view.keys(visible) == set(seen)
    assert set(case.view.namespaces()) == {item.namespace for item in case.items}


@given(case=cases(), start=st.none() | KEYS, end=st.none() | KEYS)
def test_between_includes_its_start_and_excludes_its_end(case: Case, start: int | None, end: int | None) -> None:
    positions = case.view.positions()
    assert [positions[rank] for rank in case.view.between(start, end)] == [
        item.position for item in case.items if (start is None or item.key >= start) and (end is None or item.key < end)
    ]


@given(cases())
def test_positions_are_everything_in_order_as_of_now(case: Case) -> None:
    found = case.view.positions()
    assert found == [item.position for item in case.items]
    case.view.add(Position(0, "late", "n0", "late"))
    assert len(found) == len(case.items)


def test_a_page_from_an_astronomic_rank_is_empty() -> None:
    view = SortedView()
    view.add(Position(1, "g", "n", "g"))
    assert view.page(None, 10**30, 5000, False) == []
    assert view.page(frozenset({"n"}), 10**30, 5000, True) == []


@pytest.mark.parametrize(
    "remove",
    [
        lambda view: view.remove(Position(2, "g", "n", "g")),
        lambda view: view.remove(Position(1, "other", "n", "other")),
        lambda view: view.remove(Position(1, "g", "stranger", "g")),
    ],
)
def test_removing_what_is_not_there_is_an_error_and_not_silence(remove: Callable[[SortedView], None]) -> None:
    view = SortedView()
    view.add(Position(1, "g", "n", "g"))
    with pytest.raises((KeyError, ValueError)):
        remove(view)


@pytest.mark.parametrize("see", [2, 30, 150, 298], ids="through {} of 300 namespaces".format)
@pytest.mark.parametrize("descending", [False, True])
def test_deep_pages_of_a_large_view(see: int, descending: bool) -> None:
    view = SortedView()
    items = [Item(f"n{number % 300}", number * 7919 % 2003, f"g{number:05}") for number in range(6000)]
    for item in items:
        view.add(item.position)
    visible = frozenset(f"n{number}" for number in range(see))
    expected = [
        guid for _, guid in sorted(((i.key, i.guid) for i in items if i.namespace in visible), reverse=descending)
    ]
    for start in (0, 1, len(expected) // 2, len(expected) - 3):
        assert view.page(visible, start, 5, descending) == expected[start : start + 5]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(
    "see", [1, 2, FEW - 1, FEW, FEW + 1, 3 * FEW // 2, 2 * FEW - 1, 2 * FEW, 2 * FEW + 1, 3 * FEW - 1, 3 * FEW]
)
def test_any_share_of_many_namespaces_while_the_view_changes(see: int, descending: bool) -> None:
    random = Random(see)
    spaces = 3 * FEW
    view = SortedView()
    held = [Item(f"n{number % spaces}", random.randrange(50), f"g{number}") for number in range(3 * spaces)]
    for item in held:
        view.add(item.position)
    visible = frozenset(f"n{number}" for number in random.sample(range(spaces), see))
    for turn in range(12):
        expected = [
            each.key for each in sorted((i.position for i in held if i.namespace in visible), reverse=descending)
        ]
        for start in (0, len(expected) // 2, len(expected) - 1):
            assert view.page(visible, start, 100, descending) == expected[start : start + 100]
        if turn % 2:
            held.append(Item(random.choice(sorted(visible)), random.randrange(50), f"new-{turn}"))
            view.add(held[-1].position)
        else:
            gone = random.choice([item for item in held if item.namespace in visible])
            held.remove(gone)
            view.remove(gone.position)


def test_many_callers_of_many_namespaces_each_see_their_own() -> None:
    view = SortedView()
    spaces = 4 * FEW
    for number in range(spaces):
        view.add(Position(number, f"g{number:04}", f"n{number}", f"g{number:04}"))
    for _ in range(2):
        for caller in range(KEPT_PASSES + 2):
            seen = range(caller, caller + spaces // 2)
            visible = frozenset(f"n{number}" for number in seen)
            assert view.page(visible, 90, 3, False) == [f"g{number:04}" for number in seen[90:93]]
            assert len(view._passes) <= KEPT_PASSES


@pytest.mark.parametrize("look_after", [None, 0, 3, 12])
def test_a_view_that_was_filled_at_once_is_in_order_whoever_looks_or_adds_meanwhile(
    monkeypatch: pytest.MonkeyPatch, look_after: int | None
) -> None:
    monkeypatch.setattr("service.model.views.RUN", 7)
    random = Random(1)
    view, held = SortedView(), [Position(random.randrange(50), f"g{n}", "n", f"k{n}") for n in range(100)]
    for position in held:
        view.add(position)
    for step, _ in enumerate(view.settle()):
        held.append(Position(random.randrange(50), f"late-{step}", "n", f"late-{step}"))
        view.add(held[-1])
        if step == look_after:
            assert view.positions() == sorted(held)
            view.remove(held.pop(0))
    assert step > 12
    assert view.positions() == sorted(held)
    assert view.count(None) == view.count(frozenset("n")) == len(held)


@pytest.mark.parametrize("after", [0, 5, 20])
def test_what_is_removed_while_the_view_settles_does_not_come_back(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    monkeypatch.setattr("service.model.views.RUN", 7)
    view, held = SortedView(), [Position(n, f"g{n}", "n", f"k{n}") for n in range(100)]
    for position in held:
        view.add(position)
    for step, _ in enumerate(view.settle()):
        if step == after:
            # The last that was added is taken back without a look at all the others.
            view.remove(held.pop())
    assert view.positions() == held


@pytest.mark.parametrize("count", [0, 1, 999, 1_000, 1_001, 12_345])
def test_what_is_in_order_becomes_a_list_as_it_would_have_sorted_it(count: int) -> None:
    positions = [Position(number, "", "n", "") for number in range(count)]
    made: Any = in_order(positions)
    made._check()
    assert (list(made), len(made)) == (positions, count)
    for at in range(0, count, 333):
        assert (made[at], made.bisect_left(positions[at])) == (positions[at], at)
    for each in positions[::3]:
        made.remove(each)
    for each in positions[::3]:
        made.add(each)
    made._check()
    assert list(made) == positions
