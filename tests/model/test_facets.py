"""Facets against plain sets: few items that have a value are not kept as many are, and are found all the same."""

from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from service.model.facets import FEW, Facet, LabelFacets

VALUES, KEYS = "abc", [f"k{number}" for number in range(2 * FEW)]

pairs = st.tuples(st.sampled_from(VALUES), st.sampled_from(KEYS))
changes = st.lists(st.tuples(st.booleans(), pairs), max_size=150)
dictionaries = st.dictionaries(st.sampled_from(["tier", "team"]), st.sampled_from(["", "x", "y"]))


@settings(max_examples=300)
@given(changes, st.frozensets(st.sampled_from([*VALUES, "unknown"])))
def test_each_value_is_of_those_it_was_given_to_and_not_taken_from(
    changes: list[tuple[bool, tuple[str, str]]], asked: frozenset[str]
) -> None:
    facet, held = Facet(), defaultdict[str, set[str]](set)
    for added, (value, key) in changes:
        if added:
            facet.add(value, key)
            held[value].add(key)
        elif key in held[value]:
            facet.discard(value, key)
            held[value].discard(key)
        for each in VALUES:
            assert facet.having(each) == held[each]
        assert set(facet) == {value for value, keys in held.items() if keys}
    assert facet.having_any(asked) == {key for value in asked for key in held.get(value, ())}
    for value in facet:
        keys = facet._holders[value]
        assert isinstance(keys, str) == (len(held[value]) == 1)
        assert isinstance(keys, set) or len(held[value]) <= FEW


@given(st.lists(st.tuples(st.sampled_from(KEYS), dictionaries), max_size=20))
def test_labels_are_found_by_key_and_by_value_as_they_are_now(labelled: list[tuple[str, dict[str, str]]]) -> None:
    facets, held = LabelFacets(), dict[str, dict[str, str]]()
    for key, labels in labelled:
        facets.discard(held.get(key, {}).items(), key)
        facets.add(labels.items(), key)
        held[key] = labels
        for label in ("tier", "team", "unknown"):
            assert facets.having(label) == {each for each, of in held.items() if label in of}
            for values in ((), ("x",), ("", "y"), ("z",)):
                expected = {each for each, of in held.items() if of.get(label) in values}
                assert facets.having_any(label, values) == expected
    for key, labels in held.items():
        facets.discard(labels.items(), key)
    assert not facets._values
    assert not list(facets._labelled)
