"""A collection against a plain dictionary of its items, whatever is put, replaced and removed. GUIDs repeat."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.model.collection import Collection
from service.model.selection import CREATED_AT, UPDATED_AT, Filters, Selection, Slice
from service.model.selectors import Operator, Range, Requirement
from service.model.shape import GUIDS, Shape
from service.model.views import Visible
from tests.model.builders import finish

NAMESPACES = ["n0", "n1", "n2", "n3"]
UNKNOWN = "unknown"
TAGS, HOMES, MADE = "tags", "homes", "made"
ORDERS = [CREATED_AT, UPDATED_AT]


@dataclass(frozen=True)
class Item:
    key: str
    guid: str
    namespace: str
    created_at: int = 0
    updated_at: int = 0
    tags: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)

    def position(self, order: str) -> tuple[int, str, str, str]:
        moment = self.created_at if order == CREATED_AT else self.updated_at
        return moment, self.guid, self.namespace, self.key


def homes_of(item: Item) -> tuple[str, ...]:
    """Mostly what all items of the namespace have."""
    return (item.namespace, *item.tags[:1])


def made_of(item: Item) -> str:
    return f"{item.guid}/{item.updated_at % 2}"


SHAPE: Shape[Item] = Shape(
    key=lambda item: item.key,
    guid=lambda item: item.guid,
    namespace=lambda item: item.namespace,
    orders={CREATED_AT: lambda item: item.created_at, UPDATED_AT: lambda item: item.updated_at},
    facets={
        GUIDS: lambda item: (item.guid,),
        TAGS: lambda item: item.tags,
        HOMES: lambda item: homes_of(item),
        MADE: lambda item: (made_of(item),),
    },
    placed=(HOMES,),
    hashed={MADE: lambda item: (item.guid, item.updated_at)},
    labels=lambda item: item.labels,
    text=lambda item: item.guid,
)

times = st.integers(0, 4)
tags = st.lists(st.sampled_from("xyz"), unique=True, max_size=3).map(tuple)
items = st.builds(
    Item,
    key=st.integers(0, 40).map("k{}".format),
    guid=st.integers(0, 7).map("g{}".format),
    namespace=st.sampled_from(NAMESPACES),
    created_at=times,
    updated_at=times,
    tags=tags,
    labels=st.dictionaries(st.sampled_from("ab"), st.sampled_from(["", "1", "2"])),
)
visibles: st.SearchStrategy[Visible] = st.none() | st.frozensets(st.sampled_from([*NAMESPACES, UNKNOWN]))


@dataclass
class Case:
    collection: Collection[Item]
    held: dict[str, Item]
    """What it should hold, by key."""

    def expected(self, visible: Visible, order: str, descending: bool, wanted: Any = lambda _: True) -> list[Item]:
        seen = (each for each in self.held.values() if visible is None or each.namespace in visible)
        return sorted(filter(wanted, seen), key=lambda item: item.position(order), reverse=descending)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A collection after any number of changes; what is put twice is replaced."""
    collection, held = Collection(SHAPE), dict[str, Item]()
    # Drawn first: lists left to themselves stay too short.
    count = draw(st.integers(0, 60))
    for item, stays in draw(st.lists(st.tuples(items, st.integers(0, 4)), min_size=count, max_size=count)):
        before = collection.version
        if stays:
            collection.put(item)
            held[item.key] = item
        else:
            collection.remove(item.key)
        assert (collection.version != before) == (bool(stays) or held.pop(item.key, None) is not None)
    return Case(collection, held)


def keys(found: Iterable[Item]) -> set[str]:
    return {item.key for item in found}


@settings(max_examples=150)
@given(cases(), visibles, st.sampled_from(ORDERS), st.booleans(), st.integers(1, 30))
def test_slice_by_slice_each_visible_item_is_visited_once_and_in_order(
    case: Case, visible: Visible, order: str, descending: bool, size: int
) -> None:
    expected = case.expected(visible, order, descending)
    visited: list[Item] = []
    while True:
        page = case.collection.page(visible, Slice(order, descending, len(visited), size))
        assert page.total_results == len(expected)
        if not page.items:
            break
        visited += page.items
    assert visited == expected


@settings(max_examples=150)
@given(
    cases(),
    visibles,
    st.builds(Slice, st.sampled_from(ORDERS), st.booleans(), st.integers(0, 5), st.sampled_from([0, 1, 7, 100])),
)
def test_what_has_a_value_is_found_by_it_whether_one_item_has_it_or_many(
    case: Case, visible: Visible, part: Slice
) -> None:
    collection = case.collection
    guids, homes = [f"g{number}" for number in range(8)], [*NAMESPACES, *"xyz"]
    made = [*map(made_of, case.held.values()), UNKNOWN]
    for facet, values in ((GUIDS, guids), (TAGS, [*"xyz", UNKNOWN]), (HOMES, [*homes, UNKNOWN]), (MADE, made)):
        for value in values:

            def has(item: Item, facet: str = facet, value: str = value) -> bool:
                return value in SHAPE.facets[facet](item)

            holders = [item for item in case.held.values() if has(item)]
            assert keys(collection.having(facet, value)) == keys(holders)
            assert set(collection.namespaces_having(facet, value)) == {item.namespace for item in holders}
            expected = case.expected(visible, part.order, part.descending, has)
            selection = Selection(len(expected), expected[part.start : part.start + part.size])
            assert collection.page_having(facet, value, visible, part, most=1000) == selection
            wanted = Filters(((facet, frozenset({value})),))
            assert finish(collection.search(wanted, visible, part)) == selection
    for facet in (GUIDS, TAGS):
        assert set(collection.values(facet)) == {
            value for each in case.held.values() for value in SHAPE.facets[facet](each)
        }


@given(cases(), visibles, st.sampled_from("abc"), st.frozensets(st.sampled_from(["", "1", "3"])), times)
def test_labels_and_times_narrow_down_what_is_visible(
    case: Case, visible: Visible, label: str, values: frozenset[str], since: int
) -> None:
    accepted = {
        Operator.EXISTS: lambda item: label in item.labels,
        Operator.NOT_EXISTS: lambda item: label not in item.labels,
        Operator.IN: lambda item: item.labels.get(label) in values,
        Operator.NOT_IN: lambda item: item.labels.get(label) not in values,
    }
    for operator, accepts in accepted.items():
        wanted = Filters(labels=(Requirement(label, operator, values),), times=((UPDATED_AT, (Range(since, None),)),))
        expected = [each for each in case.expected(visible, CREATED_AT, False, accepts) if each.updated_at >= since]
        assert finish(case.collection.search(wanted, visible, Slice(size=100))) == Selection(len(expected), expected)


@given(cases())
def test_items_are_found_by_key_and_by_namespace(case: Case) -> None:
    collection = case.collection
    assert len(collection) == len(case.held)
    assert {f"k{number}": collection.get(f"k{number}") for number in range(41)} == {
        f"k{number}": case.held.get(f"k{number}") for number in range(41)
    }
    assert set(collection.namespaces()) == {each.namespace for each in case.held.values()}
    for namespace in NAMESPACES:
        assert keys(collection.of_namespace(namespace)) == keys(
            each for each in case.held.values() if each.namespace == namespace
        )


def test_two_values_of_one_number_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.model.lookup.LARGEST_NUMBER", 1)
    collection = Collection(SHAPE)
    made = [Item(f"k{number}", f"g{number}", "n") for number in range(40)]
    for item in made:
        collection.put(item)
    for item in made:
        assert collection.having(MADE, made_of(item)) == [item]
        assert list(collection.namespaces_having(MADE, made_of(item))) == ["n"]
        wanted = Filters(((MADE, frozenset({made_of(item), UNKNOWN})),))
        assert finish(collection.search(wanted, None, Slice())) == Selection(1, [item])
        collection.remove(item.key)
        assert not collection.having(MADE, made_of(item))


@given(cases())
def test_when_all_is_removed_nothing_is_left_to_be_found_by(case: Case) -> None:
    for key in list(case.held):
        case.collection.remove(key)
    assert not list(case.collection.values(GUIDS))
    assert not list(case.collection.values(TAGS))
    assert not list(case.collection._found.placed[HOMES])
    assert not case.collection._found.facets[MADE]
    assert not case.collection.namespaces()
    assert not case.collection._labels._values
    assert not list(case.collection._labels._labelled)


def test_one_guid_in_many_namespaces_is_ordered_by_namespace() -> None:
    collection = Collection(SHAPE)
    for number, namespace in enumerate(["b", "c", "a"]):
        collection.put(Item(f"k{number}", "g", namespace))
    for descending, expected in ((False, "abc"), (True, "cba")):
        found = collection.page(None, Slice(descending=descending)).items
        assert [item.namespace for item in found] == list(expected)
        seen = collection.page(frozenset("ac"), Slice(descending=descending)).items
        assert [item.namespace for item in seen] == [each for each in expected if each != "b"]


def test_an_item_that_moves_to_another_namespace_is_seen_there_and_not_where_it_was() -> None:
    collection = Collection(SHAPE)
    item = Item("k", "g", "before", tags=("x",), labels={"a": "1"})
    collection.put(item)
    collection.put(replace(item, namespace="after"))
    wanted = Filters(((TAGS, frozenset("x")),), (Requirement("a", Operator.EXISTS),))
    for namespace, number in (("before", 0), ("after", 1)):
        visible = frozenset({namespace})
        assert collection.page(visible, Slice()).total_results == number
        assert len(collection.having(GUIDS, "g", visible)) == number
        assert finish(collection.search(wanted, visible, Slice())).total_results == number
