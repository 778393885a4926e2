"""What is merged of parts, against merging everything that is visible each time."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.model.merged import Merged
from service.model.selection import CREATED_AT, NO_FILTERS, Filters, Selection, Slice
from service.model.shape import GUIDS
from service.model.spaces import NAME, SPACES, SpacePart, merge_spaces
from service.model.views import Visible
from tests.model.builders import finish

NAMESPACES = [f"n{number}" for number in range(4)]
parts = st.builds(
    SpacePart,
    namespace=st.sampled_from(NAMESPACES),
    guid=st.sampled_from(["s0", "s1", "s2", "s3", "s4", "s5"]),
    name=st.sampled_from(["a", "b", "c"]),
    organization_guid=st.just("o"),
    created_at=st.integers(0, 3),
    updated_at=st.integers(0, 3),
    is_own=st.booleans(),
)
visibles: st.SearchStrategy[Visible] = st.none() | st.frozensets(st.sampled_from(NAMESPACES))


def age(part: SpacePart) -> tuple[int, str]:
    return part.created_at, part.namespace


def merged(held: Mapping[str, SpacePart], visible: Visible) -> dict[str, SpacePart]:
    """By GUID."""
    groups: dict[str, list[SpacePart]] = {}
    for part in sorted(held.values(), key=age):
        if visible is None or part.namespace in visible:
            groups.setdefault(part.guid, []).append(part)
    return {guid: merge_spaces(group) for guid, group in groups.items()}


@settings(max_examples=300)
@given(st.lists(st.tuples(parts, st.integers(0, 3)), max_size=25), visibles, st.sampled_from([CREATED_AT, NAME]))
def test_each_sees_one_item_a_guid_made_of_what_they_see(
    changes: list[tuple[SpacePart, int]], visible: Visible, order: str
) -> None:
    spaces, held = Merged(SPACES, age, merge_spaces), dict[str, SpacePart]()
    for part, fate in changes:
        key = SPACES.key(part)
        if fate:
            spaces.put(part)
            held[key] = part
        else:
            spaces.remove(key)
            held.pop(key, None)
        expected = sorted(
            merged(held, visible).values(), key=lambda each: (SPACES.orders[order](each), each.guid, each.namespace)
        )
        found = finish(spaces.search(NO_FILTERS, visible, Slice(order, size=100)))
        assert found == Selection(len(expected), expected)
        for guid in ("s0", "s5"):
            wanted = Filters(((GUIDS, frozenset((guid,))),))
            of_guid = [each for each in expected if each.guid == guid]
            assert finish(spaces.search(wanted, visible, Slice(order))) == Selection(len(of_guid), of_guid)


def test_nothing_is_merged_for_who_sees_no_guid_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise AssertionError

    spaces = Merged(SPACES, age, merge_spaces)
    for number in range(4):
        spaces.put(
            SpacePart(
                namespace=f"n{number}",
                guid=f"s{number % 3}",
                name="a",
                organization_guid="o",
                created_at=0,
                updated_at=0,
                is_own=True,
            )
        )
    monkeypatch.setattr(spaces, "_whole", fail)
    seen = finish(spaces.search(NO_FILTERS, frozenset(("n0", "n1", "n2")), Slice()))
    assert [part.guid for part in seen.items] == ["s0", "s1", "s2"]
    with pytest.raises(AssertionError):
        finish(spaces.search(NO_FILTERS, frozenset(("n0", "n3")), Slice()))
