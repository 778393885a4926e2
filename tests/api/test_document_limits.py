"""What the API's document says may be sent, and what is taken: the same, on both sides of each border."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.api.operation import JSON
from service.api.queries import SingleQuery
from service.api.resources.instances.resource import INSTANCES_QUERY
from service.api.resources.processes.bodies import parse_scale, parse_update
from service.api.resources.processes.resource import READABLE
from service.errors import BadQueryParameter, UnprocessableEntity
from service.settings import Settings
from tests.support.bodies import KEYS, NAMES, SCALES, UPDATES
from tests.support.contract import Contract

CONTRACT = Contract()
UIDS = Settings().uids
LISTS = {
    "/v3/processes": READABLE.list_query,
    "/v3/apps/{guid}/processes": READABLE.query_of(READABLE.parents[0]),
}


def parameters(path: str) -> dict[str, Any]:
    """The schemas of the parameters of a query, by name."""
    found = map(CONTRACT.resolved, CONTRACT.document["paths"][path]["get"]["parameters"])
    return {each["name"]: each["schema"] for each in found if each["in"] == "query"}


def takes(path: str, name: str, value: str) -> bool:
    query = f"{quote(name)}={quote(value)}"
    try:
        LISTS[path].parse(query)
    except BadQueryParameter:
        return False
    return True


def is_valid(schema: Any, text: str) -> bool:
    """Whether a parameter's text is of the schema, read as its style has it."""
    value: Any = text
    if schema["type"] == "array":
        value = text.split(",")
    elif schema["type"] == "integer":
        if not re.fullmatch("-?[0-9]+", text):
            return False
        value = int(text)
    valid: bool = CONTRACT.validator(schema).is_valid(value)
    return valid


def borders(schema: Any) -> Iterator[str]:
    """Texts within and beyond each limit."""
    for limit in ("minimum", "maximum"):
        if limit in schema:
            yield from (str(schema[limit] + step) for step in (-1, 0, 1))
    if "maxItems" in schema:
        item = "2026-11-06T22:40:00Z" if "pattern" in schema["items"] and "T" in schema["items"]["pattern"] else "a"
        yield from (",".join([item] * count) for count in (1, schema["maxItems"], schema["maxItems"] + 1))
    yield from schema.get("enum", ())
    yield from ("", "x", "-1", "1.0", "+1", "１", "null", "created_at ", "-guid")


@pytest.mark.parametrize("path", LISTS)
def test_parameters_of_lists_are_taken_exactly_as_described(path: str) -> None:
    for name, schema in parameters(path).items():
        for text in borders(schema):
            assert takes(path, name, text) == is_valid(schema, text), (name, text[:80])


@pytest.mark.parametrize("path", LISTS)
def test_defaults_are_what_no_parameter_means(path: str) -> None:
    page = LISTS[path].parse("").request.page
    shown = {name: schema["default"] for name, schema in parameters(path).items() if "default" in schema}
    assert shown == {"page": page.page, "per_page": page.per_page}


def test_parameters_of_single_reads_are_taken_exactly_as_described() -> None:
    for path in ("/v3/processes/{guid}", "/v3/apps/{guid}/processes/{type}"):
        assert parameters(path) == {"embed": {"type": "string", "enum": ["process_instances"]}}
    assert SingleQuery("ProcessQuery", READABLE.extra).parse("embed=process_instances").embed
    assert parameters("/v3/processes/{guid}/process_instances") == {}
    with pytest.raises(BadQueryParameter):
        INSTANCES_QUERY.parse("embed=process_instances")


REQUIREMENTS = st.one_of(
    st.builds("{}{}".format, st.sampled_from(["", "!", "!!", " "]), KEYS),
    st.builds("{}{}{}".format, KEYS, st.sampled_from(["=", "==", "!=", "===", " = "]), NAMES),
    st.builds(
        "{} {} ({})".format,
        KEYS,
        st.sampled_from(["in", "notin", "in ", "IN"]),
        st.lists(NAMES, max_size=3).map(",".join),
    ),
    st.text("a=!(), in", max_size=8),
)


@given(st.lists(REQUIREMENTS, min_size=1, max_size=3).map(",".join))
@example(",".join(["a"] * 50))
@example(",".join(["a"] * 51))
@example(",".join(["a in (b,c)"] * 50))
@example(",".join(["a in (b,c)"] * 51))
@example(f"a in ({','.join(['b'] * 500)})")
@example(f"a in ({','.join(['b'] * 501)})")
@example("a\n")
@example("x" * 63)
@example("x" * 64)
@example("k=" + "x" * 63)
@example("k=" + "x" * 64)
@example("CloudFoundry.org/a")
@example(f"{'a.' * 126}b/a")
@example(f"{'a.' * 126}bb/a")
def test_label_selectors_are_taken_exactly_as_described(text: str) -> None:
    schema = parameters("/v3/processes")["label_selector"]
    assert takes("/v3/processes", "label_selector", text) == is_valid(schema, text)


TIMES = st.builds(
    "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}".format,
    st.one_of(st.integers(0, 9999), st.sampled_from([0, 4, 100, 400, 1900, 2000, 2024, 2100])),
    st.integers(0, 13),
    st.integers(0, 32),
    st.integers(0, 25),
    st.integers(0, 61),
    st.integers(0, 61),
    st.sampled_from(["Z", "Z", "Z", "z", "", "+00:00", "Z\n"]),
)
LEAP_DAYS = st.builds("{:04}-02-{:02}T00:00:00Z".format, st.integers(0, 9999), st.integers(28, 30))


@given(st.one_of(TIMES, LEAP_DAYS))
@example("0000-01-01T00:00:00Z")
@example("9999-12-31T23:59:59Z")
@example("1900-02-29T00:00:00Z")
@example("2000-02-29T00:00:00Z")
def test_times_are_taken_exactly_as_described(text: str) -> None:
    known = parameters("/v3/processes")
    for name in ("created_ats", "updated_ats[lte]"):
        assert takes("/v3/processes", name, text) == is_valid(known[name], text)


def body_schema(path: str, method: str) -> Any:
    return CONTRACT.document["paths"][path][method]["requestBody"]["content"][JSON]["schema"]


def endpoint(text: str) -> Any:
    return {"health_check": {"data": {"endpoint": text}}}


@given(UPDATES)
@example({"metadata": {"annotations": {"a": "x" * 5000}}})
@example({"metadata": {"annotations": {"a": "x" * 5001}}})
@example({"metadata": {"labels": {"cloudfoundry.org/a": None}}})
@example({"command": "x" * 4096})
@example({"command": "x" * 4097})
@example({"user": "2147483647"})
@example({"user": "2147483648"})
@example(endpoint("/" + "x" * 254))
@example(endpoint("/" + "x" * 255))
@example(endpoint("/\x85"))
@example(endpoint("/\ufeff"))
@example(endpoint("/\n"))
def test_updates_are_taken_exactly_as_described(document: Any) -> None:
    try:
        parse_update(document, UIDS)
        taken = True
    except UnprocessableEntity:
        taken = False
    schema = body_schema("/v3/processes/{guid}", "patch")
    assert taken == CONTRACT.validator(schema).is_valid(document)


@given(SCALES)
@example({"instances": 2**31 - 1, "log_rate_limit_in_bytes_per_second": 2**63 - 1})
@example({"memory_in_mb": 2**31})
@example({"log_rate_limit_in_bytes_per_second": 2**63})
def test_scales_are_taken_exactly_as_described(document: Any) -> None:
    try:
        parse_scale(document)
        taken = True
    except UnprocessableEntity:
        taken = False
    schema = body_schema("/v3/processes/{guid}/actions/scale", "post")
    assert taken == CONTRACT.validator(schema).is_valid(document)
