"""Bodies of scale and update: every limit at and past it, and all complaints in one. Pure: no server is asked."""

import json
import time
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import UNSET

from service.api import values
from service.api.bodies import FORM, MAXIMUM_COMPLAINTS, MOST_MEMBERS, MOST_PAIRS, has_too_much
from service.api.resources.processes.bodies import (
    HealthCheckBody,
    HealthCheckData,
    ScaleBody,
    UpdateBody,
    parse_scale,
    parse_update,
)
from service.errors import UnprocessableEntity
from service.model.changes import Scale, Update
from service.model.edits import User
from service.model.probes import CheckChange
from service.model.process import MetadataChange

UIDS = {"vcap": 2000, "app": 1000}
INT32, INT64 = 2**31 - 1, 2**63 - 1
NO_INTEGERS: list[Any] = [True, False, 5.0, 5.5, "5", "", [], {}, [5], {"5": 5}, 10**30, -(10**30)]


def scaled(**document: Any) -> Scale:
    return parse_scale(document)


def updated(**document: Any) -> Update:
    return parse_update(document, UIDS)


def complaint(document: object, *, scale: bool = False) -> str:
    with pytest.raises(UnprocessableEntity) as caught:
        parse_scale(document) if scale else parse_update(document, UIDS)
    assert (caught.value.status, caught.value.code, caught.value.title) == (422, 10008, "CF-UnprocessableEntity")
    return caught.value.detail


def checked(name: str, change: CheckChange) -> Update:
    return Update(health_check=change) if name == "health_check" else Update(readiness_health_check=change)


def check(**body: Any) -> dict[str, Any]:
    return {"health_check": body}


# The whole of it


@pytest.mark.parametrize("scale", [True, False])
def test_nothing_asks_for_nothing(scale: bool) -> None:
    change = parse_scale({}) if scale else parse_update({}, UIDS)
    assert not change.names()
    assert change == (Scale() if scale else Update())


@pytest.mark.parametrize("document", [None, [], "text", 5, 5.5, True, [{}]], ids=repr)
@pytest.mark.parametrize("scale", [True, False])
def test_json_that_is_no_object_is_refused(document: object, scale: bool) -> None:
    assert complaint(document, scale=scale) == "The request body must be a JSON object"


@pytest.mark.parametrize("scale", [True, False])
def test_a_form_is_refused(scale: bool) -> None:
    assert complaint(FORM, scale=scale) == "The request body must be JSON, not a form"


def test_unknown_fields_are_named_in_one_and_first() -> None:
    assert complaint({"b": 1, "instances": "x", "a": None}, scale=True) == (
        f"Unknown field(s): 'b', 'a', 'instances' must be a whole number from 0 to {INT32}"
    )


def test_unknown_fields_are_named_with_their_path() -> None:
    document = {
        "metadata": {"guid": 1, "labels": {}},
        "health_check": {"data": {"path": "/"}, "kind": "http"},
        "readiness_health_check": {"data": {"x": 1}},
        "instances": 5,
    }
    assert complaint(document) == (
        "Unknown field(s): 'metadata.guid', 'health_check.data.path', 'health_check.kind', "
        "'readiness_health_check.data.x', 'instances'"
    )


def test_crowds_are_refused_as_such_and_not_one_by_one() -> None:
    crowd = {f"x{n}": n for n in range(60_000)}
    for scale in (True, False):
        assert complaint(crowd, scale=scale) == f"The request body must have {MOST_MEMBERS} members at most"
    members = f"must have {MOST_MEMBERS} members at most"
    assert complaint({"metadata": crowd}) == f"'metadata' {members}"
    assert complaint({"health_check": {"data": crowd}}) == f"'health_check.data' {members}"
    for pairs in ("labels", "annotations"):
        expected = f"'metadata.{pairs}' must have {MOST_PAIRS} keys at most"
        assert complaint({"metadata": {pairs: dict.fromkeys(crowd, "-")}}) == expected


def test_a_hundred_unknown_fields_are_still_named() -> None:
    document = {f"x{n}": n for n in range(MOST_MEMBERS)}
    assert complaint(document).count("'x") == MAXIMUM_COMPLAINTS


@pytest.mark.parametrize("name", ["", "_schema", "self", "many", "__class__", "instances ", "INSTANCES", "'", "a.b"])
def test_an_unknown_field_is_unknown_whatever_its_name(name: str) -> None:
    assert complaint({name: 1}, scale=True) == f"Unknown field(s): '{name}'"
    expected = f"metadata.{name}"
    assert complaint({"metadata": {name: 1}}) == f"Unknown field(s): '{expected}'"


def test_complaints_come_in_the_order_of_the_document() -> None:
    one = {"user": 5, "command": 5, "health_check": {"data": {"interval": 0, "timeout": 0}, "type": "x"}}
    other = {"health_check": {"type": "x", "data": {"timeout": 0, "interval": 0}}, "command": 5, "user": 5}
    parts = {
        "user": "'user' must be a uid from 0 to 2147483647 as a text, or a name that is known here: 'app', 'vcap'",
        "command": "'command' must be a text of 0 to 4096 characters, none of them NUL",
        "interval": "'health_check.data.interval' must be a whole number from 1 to 2147483647",
        "timeout": f"'health_check.data.timeout' must be a whole number from 1 to {INT32}",
        "type": "'health_check.type' must be one of port, process, http",
    }
    assert complaint(one) == ", ".join(parts[name] for name in ("user", "command", "interval", "timeout", "type"))
    assert complaint(other) == ", ".join(parts[name] for name in ("type", "timeout", "interval", "command", "user"))


def test_a_complaint_about_very_much_is_short() -> None:
    many = complaint({f"{number}" * 200: 1 for number in range(1000)})
    assert len(many) < 10_000
    labels = {f"-{number}": "-" for number in range(1000)}
    assert len(complaint({"metadata": {"labels": labels}})) < 20_000


# Scale

NUMBERS = [
    ("instances", 0, INT32),
    ("memory_in_mb", 0, INT32),
    ("disk_in_mb", 0, INT32),
    ("log_rate_limit_in_bytes_per_second", -1, INT64),
]


@pytest.mark.parametrize(("name", "least", "most"), NUMBERS)
def test_numbers_have_limits(name: str, least: int, most: int) -> None:
    for number in (least, most):
        change = scaled(**{name: number})
        found = getattr(change.metadata if name.startswith("log") else change, name)
        assert found == number
        assert type(found) is int
        assert change.names() == [name]
    for wrong in (least - 1, most + 1, *(each for each in NO_INTEGERS if each != "5")):
        assert complaint({name: wrong}, scale=True) == f"'{name}' must be a whole number from {least} to {most}"


@pytest.mark.parametrize(("name", "least", "most"), NUMBERS)
def test_numbers_may_be_texts_of_digits(name: str, least: int, most: int) -> None:
    for text in ("0", "3", "0000000003", str(most)):
        assert scaled(**{name: text}) == scaled(**{name: int(text)})
    for wrong in (
        "3.0",
        "3 ",
        " 3",
        "",
        "+3",
        "-1",
        "-3",
        "3e0",
        "0x3",
        "1_0",
        "٣",
        "³",
        str(most + 1),
        "9" * 5000,
        "3\n",
    ):
        assert complaint({name: wrong}, scale=True) == f"'{name}' must be a whole number from {least} to {most}"


@pytest.mark.parametrize(("name", "least", "most"), NUMBERS)
def test_a_null_keeps_what_is(name: str, least: int, most: int) -> None:
    assert scaled(**{name: None}) == Scale()


def test_all_numbers_at_once() -> None:
    assert scaled(instances=0, memory_in_mb=1, disk_in_mb=2, log_rate_limit_in_bytes_per_second=3) == Scale(
        instances=0, memory_in_mb=1, disk_in_mb=2, metadata=MetadataChange(log_rate_limit_in_bytes_per_second=3)
    )


# Command and user


@pytest.mark.parametrize("command", ["x", " ", "é" * 4096, "x" * 4096, "a\nb", "$(rm -rf /)", "\U0001f600" * 4096])
def test_a_command_is_a_text(command: str) -> None:
    assert updated(command=command) == Update(command=command)


@pytest.mark.parametrize("command", ["x" * 4097, "a\0b", "\0", 5, True, ["x"], {}], ids=lambda each: repr(each)[:9])
def test_what_is_no_command(command: Any) -> None:
    assert complaint({"command": command}) == "'command' must be a text of 0 to 4096 characters, none of them NUL"


def test_null_goes_back_and_absent_is_as_it_was() -> None:
    nulls: dict[str, Any] = dict.fromkeys(("command", "user", "health_check", "readiness_health_check"))
    assert updated(**nulls) == Update(**nulls)
    assert updated() == Update(command=UNSET, user=UNSET, health_check=UNSET, readiness_health_check=UNSET)


def test_what_lists_show_in_place_of_a_command_is_none() -> None:
    assert updated(command="[PRIVATE DATA HIDDEN IN LISTS]") == Update()


@pytest.mark.parametrize(
    ("user", "uid"),
    [("0", 0), ("1000", 1000), (str(INT32), INT32), ("0000000007", 7), ("vcap", 2000), ("app", 1000)],
)
def test_a_user_is_a_uid_or_a_name_that_is_known(user: str, uid: int) -> None:
    assert updated(user=user) == Update(user=User(uid, None if user.isdigit() else user))


@pytest.mark.parametrize(
    "user",
    [str(INT32 + 1), "9" * 5000, "00000000007", "-1", "+1", "1.0", "1_0", "٣", "", " ", "root", "VCAP", "vcap ", "1\n"],
    ids=lambda each: repr(each)[:9],
)
def test_what_is_no_user(user: str) -> None:
    assert complaint({"user": user}).startswith("'user' must be a uid from 0 to 2147483647 as a text, or a name")


@pytest.mark.parametrize("user", [1000, True, [], {}], ids=repr)
def test_a_user_is_a_text(user: Any) -> None:
    assert complaint({"user": user}).startswith("'user' must be a uid from 0 to 2147483647 as a text, or a name")


def test_without_any_known_name_it_says_so() -> None:
    with pytest.raises(UnprocessableEntity, match="known here: none"):
        parse_update({"user": "vcap"}, {})


def test_names_of_one_configuration_are_not_another_s() -> None:
    assert parse_update({"user": "vcap"}, {"vcap": 5}) == Update(user=User(5, "vcap"))
    assert parse_update({"user": "vcap"}, {"vcap": 6}) == Update(user=User(6, "vcap"))


# Health checks

BOTH = pytest.mark.parametrize("name", ["health_check", "readiness_health_check"])


@BOTH
@pytest.mark.parametrize("kind", ["port", "process", "http"])
def test_a_check_has_one_of_three_types(name: str, kind: str) -> None:
    assert updated(**{name: {"type": kind}}) == checked(name, CheckChange(kind, {}))


@BOTH
@pytest.mark.parametrize("kind", [None, "", "HTTP", "grpc", "http ", 5, True, [], ["http"], {}], ids=repr)
def test_other_types_are_refused_and_null_is_too(name: str, kind: Any) -> None:
    assert complaint({name: {"type": kind}}) == f"'{name}.type' must be one of port, process, http"


@BOTH
@pytest.mark.parametrize("value", [5, True, "http", [], [{}]], ids=repr)
def test_a_check_is_an_object_and_so_is_its_data(name: str, value: Any) -> None:
    assert complaint({name: value}) == f"'{name}' must be an object"
    for wrong in (None, value):
        assert complaint({name: {"data": wrong}}) == f"'{name}.data' must be an object"


@BOTH
def test_an_empty_check_asks_for_nothing(name: str) -> None:
    assert not updated(**{name: {}}).names()
    assert updated(**{name: {"data": {}}}) == checked(name, CheckChange(None, {}))


@BOTH
@pytest.mark.parametrize("leaf", ["invocation_timeout", "interval"])
def test_times_of_a_check(name: str, leaf: str) -> None:
    for number in (1, INT32, None):
        assert updated(**{name: {"data": {leaf: number}}}) == checked(name, CheckChange(None, {leaf: number}))
    for wrong in (0, -1, INT32 + 1, *NO_INTEGERS):
        expected = f"'{name}.data.{leaf}' must be a whole number from 1 to {INT32}"
        assert complaint({name: {"data": {leaf: wrong}}}) == expected


def test_the_time_to_start_is_of_the_liveness_check_alone() -> None:
    for number in (1, INT32, None):
        assert updated(**check(data={"timeout": number})) == Update(health_check=CheckChange(None, {"timeout": number}))
    for wrong in (0, INT32 + 1, -1, *NO_INTEGERS):
        expected = f"'health_check.data.timeout' must be a whole number from 1 to {INT32}"
        assert complaint(check(data={"timeout": wrong})) == expected
    for wrong in (0, 1, "x", True, {}):
        expected = "'readiness_health_check.data.timeout' is for liveness only: a readiness check has none"
        assert complaint({"readiness_health_check": {"data": {"timeout": wrong}}}) == expected
    # As it reads, so it may be sent back.
    assert updated(readiness_health_check={"data": {"timeout": None}}).names() == ["readiness_health_check"]


@BOTH
@pytest.mark.parametrize("endpoint", ["/", "/health", "/" + "x" * 254, "/a?b=c&d#e", "/é", "//", "/%20", None])
def test_an_endpoint_begins_with_a_slash(name: str, endpoint: str | None) -> None:
    change = checked(name, CheckChange(None, {"endpoint": endpoint}))
    assert updated(**{name: {"data": {"endpoint": endpoint}}}) == change


@BOTH
@pytest.mark.parametrize("endpoint", ["health", " /", "/a b", "/a\tb", "/\n", "/a\x7f", "/\u00a0", "/\u2028x"])
def test_an_endpoint_holds_no_spaces(name: str, endpoint: str) -> None:
    expected = f"'{name}.data.endpoint' must begin with '/' and hold no spaces"
    assert complaint({name: {"data": {"endpoint": endpoint}}}) == expected


@pytest.mark.parametrize("endpoint", ["", "/" + "x" * 255, "/\0", 5, True, [], {}], ids=lambda each: repr(each)[:9])
def test_an_endpoint_is_a_text_of_some_length(endpoint: Any) -> None:
    expected = "'health_check.data.endpoint' must be a text of 1 to 255 characters, none of them NUL"
    assert complaint(check(data={"endpoint": endpoint})) == expected


def test_all_of_an_update_at_once() -> None:
    found = updated(
        command="run",
        user="vcap",
        health_check={"type": "http", "data": {"endpoint": "/", "timeout": 60}},
        readiness_health_check={"data": {"interval": None}},
        metadata={"labels": {"a": "b", "c": None}, "annotations": {"d": ""}},
    )
    assert found == Update(
        command="run",
        user=User(2000, "vcap"),
        health_check=CheckChange("http", {"endpoint": "/", "timeout": 60}),
        readiness_health_check=CheckChange(None, {"interval": None}),
        metadata=MetadataChange({"a": "b", "c": None}, {"d": ""}),
    )


# Whatever is sent

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)
names = st.sampled_from(
    [
        *UpdateBody().fields,
        *ScaleBody().fields,
        *HealthCheckBody().fields,
        *HealthCheckData().fields,
        "labels",
        "_schema",
    ]
)
documents = st.recursive(
    json_values, lambda inner: st.dictionaries(names | st.text(max_size=3), inner, max_size=4), max_leaves=12
)


@given(documents)
@example({"metadata": {"labels": {"a": {"_schema": []}}}})
@example({"_schema": {"_schema": None}})
@example({"health_check": {"_schema": 1, "data": {"_schema": 2}}})
def test_anything_is_a_change_or_one_complaint(document: object) -> None:
    for parse in (parse_scale, lambda sent: parse_update(sent, UIDS)):
        # Anything else that is raised would be a 500.
        with suppress(UnprocessableEntity):
            parse(document)


# How much there may be in a body, before it is parsed

MEGABYTE = 1 << 20


@pytest.mark.parametrize(
    "piece",
    [b"[]", b"{}", b"[[]]", b'{"a":1}', b'""', b"0", b'"\\\\"', b'"[,{"', b'"\\u0000"', b'{"a":{"b":[]}}'],
    ids=bytes.decode,
)
async def test_a_body_of_very_many_values_is_not_parsed(piece: bytes) -> None:
    assert await has_too_much(b"[" + b",".join([piece] * (MEGABYTE // (len(piece) + 1))) + b"]")


@pytest.mark.parametrize("text", [",", "[", "{", '"', "\\", "\\,", '",', "é,", "\x01,"])
async def test_a_long_text_is_one_value_whatever_is_in_it(text: str) -> None:
    value = (text * 5000)[:5000]
    body = orjson.dumps({"metadata": {"annotations": {f"k{n}": value for n in range(100)}}})
    assert not await has_too_much(body)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    ),
    st.integers(1, 20),
)
def test_values_are_counted_wherever_a_text_is_cut(document: object, piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(values, "PIECE", piece)
        for text in (json.dumps(document), json.dumps(document, ensure_ascii=False)):
            counted = sum(values.count_values(text.encode()))
            assert _count(document) - 1 <= counted <= 2 * _count(document)


@pytest.mark.parametrize(
    "body",
    [
        b'"' + b"," * MEGABYTE + b'"',
        b'["' + b',\\"' * (MEGABYTE // 3) + b'"]',
        b'["' + b",\\\\" * (MEGABYTE // 3),
        b',\\"' * (MEGABYTE // 3),
        b'"a' * (MEGABYTE // 2),
        b"\\" * MEGABYTE,
        b"[" * MEGABYTE,
        b'""' * (MEGABYTE // 2),
    ],
    ids=["commas", "quotes", "backslashes", "no string", "unclosed", "escapes", "brackets", "strings"],
)
async def test_nobody_waits_for_an_odd_body_to_be_looked_through(body: bytes) -> None:
    # Texts of a sixteenth the size must not take much less than a sixteenth of the time.
    took = {}
    for part in (body, body[: len(body) // 16]):
        runs = []
        for _ in range(3):
            began = time.process_time()
            for _ in values.count_values(part):
                pass
            runs.append(time.process_time() - began)
        took[len(part)] = min(runs)
    assert max(took.values()) < 64 * min(took.values())


def _count(document: object) -> int:
    """The values of a document, keys aside."""
    if isinstance(document, dict):
        return 1 + sum(map(_count, document.values()))
    return 1 + (sum(map(_count, document)) if isinstance(document, list) else 0)
