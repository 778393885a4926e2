"""Labels and annotations in the body of an update: every border of keys and values. Pure, as test_bodies."""

from typing import Any

import pytest

from service.api.resources.processes.bodies import parse_update
from service.errors import UnprocessableEntity
from service.model.changes import Update
from service.model.process import MetadataChange


def updated(**document: Any) -> Update:
    return parse_update(document, {})


def complaint(document: object) -> str:
    with pytest.raises(UnprocessableEntity) as caught:
        parse_update(document, {})
    return caught.value.detail


def pairs(kind: str, change: dict[str, str | None]) -> MetadataChange:
    return MetadataChange(change) if kind == "labels" else MetadataChange({}, change)


KINDS = pytest.mark.parametrize("kind", ["labels", "annotations"])
LONG_PREFIX = ".".join(["a" * 62] * 4) + "." + "b"
assert len(LONG_PREFIX) == 253

GOOD_KEYS = [
    "a",
    "9",
    "A-b_c.9",
    "a" * 63,
    "example.org/a",
    "EXAMPLE.org/" + "a" * 63,
    f"{LONG_PREFIX}/a",
    "a" * 63 + ".b/c",
    "x-9.example.org/a",
    "sub.cloudfoundry.org/a",
    "cloudfoundry.org.example/a",
]
BAD_KEYS = [
    "",
    "-a",
    "a-",
    ".a",
    "_",
    "a b",
    "é",
    "a" * 64,
    "a\n",
    "a\0",
    "/a",
    "example/a",
    "example.org/",
    "example.org/" + "a" * 64,
    "example.org/a/b",
    "example..org/a",
    ".example.org/a",
    "example.org./a",
    "-a.example.org/a",
    "ex_ample.org/a",
    "a" * 64 + ".b/c",
    f"{LONG_PREFIX}b/a",
    "cloudfoundry.org/a",
    "CloudFoundry.ORG/a",
]


@KINDS
@pytest.mark.parametrize("key", GOOD_KEYS, ids=lambda key: key[:30])
def test_keys_that_are_good(kind: str, key: str) -> None:
    assert updated(metadata={kind: {key: "v"}}) == Update(metadata=pairs(kind, {key: "v"}))


@KINDS
@pytest.mark.parametrize("key", BAD_KEYS, ids=lambda key: repr(key)[:30])
def test_keys_that_are_not(kind: str, key: str) -> None:
    for value in ("v", None):
        assert complaint({"metadata": {kind: {key: value}}}).startswith(f"'metadata.{kind}' key '{key[:80]}': ")


@pytest.mark.parametrize("value", ["", "a", "9", "a" * 63, "a-b_c.d", None])
def test_values_of_labels(value: str | None) -> None:
    assert updated(metadata={"labels": {"k": value}}).metadata == MetadataChange({"k": value})


@pytest.mark.parametrize("value", ["-", "a-", "a" * 64, "é", "a b", " ", "a\n", "a/b", "\0"], ids=repr)
def test_labels_have_values_like_names(value: str) -> None:
    assert complaint({"metadata": {"labels": {"k": value}}}).startswith("'metadata.labels' key 'k': value '")


@pytest.mark.parametrize("value", ["", "x" * 5000, "é" * 5000, " a\nb\t", "\U0001f600" * 5000, None])
def test_values_of_annotations(value: str | None) -> None:
    assert updated(metadata={"annotations": {"k": value}}).metadata == MetadataChange({}, {"k": value})


@pytest.mark.parametrize("value", ["x" * 5001, "a\0", "\0"], ids=lambda value: repr(value)[:9])
def test_annotations_have_values_of_5000_characters(value: str) -> None:
    assert complaint({"metadata": {"annotations": {"k": value}}}) == (
        "'metadata.annotations' key 'k': its value must be a text of at most 5000 characters, none of them NUL"
    )


@KINDS
@pytest.mark.parametrize("value", [5, 5.5, True, False, [], {}, ["v"]], ids=repr)
def test_values_are_texts(kind: str, value: Any) -> None:
    assert complaint({"metadata": {kind: {"k": value}}}).startswith(f"'metadata.{kind}' key 'k': its value must be a")


def test_null_changes_nothing_as_clients_send_it_for_what_they_do_not_change() -> None:
    assert updated(metadata={"labels": {"k": "v"}, "annotations": None}).metadata == MetadataChange({"k": "v"})
    assert updated(metadata={"labels": None, "annotations": {"k": None}}).metadata == MetadataChange({}, {"k": None})
    assert complaint({"metadata": None}) == "'metadata' must be an object"


@pytest.mark.parametrize("value", [5, True, "x", [], [{}]], ids=repr)
def test_metadata_is_of_objects(value: Any) -> None:
    assert complaint({"metadata": value}) == "'metadata' must be an object"
    assert complaint({"metadata": {"annotations": value, "labels": value}}) == (
        "'metadata.annotations' must be an object, 'metadata.labels' must be an object"
    )


def test_every_label_is_complained_of_key_and_value() -> None:
    found = complaint({"metadata": {"labels": {"-": "-", "k": 5}, "annotations": {"_": "x" * 5001}}, "user": 5})
    parts = ["'metadata.labels' key '-': its name", "'metadata.labels' key '-': value '-'", "'metadata.labels' key 'k'"]
    parts += ["'metadata.annotations' key '_': its name", "'metadata.annotations' key '_': its value", "'user' must"]
    positions = [found.index(part) for part in parts]
    assert positions == sorted(positions)
