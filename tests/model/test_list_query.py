"""The query of a list: what is taken, what is refused and in which words (service.api.queries.ListQuery)."""

import time
from typing import Literal
from urllib.parse import parse_qsl, quote, urlencode

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.api.queries import ParsedList
from service.api.resources.processes.resource import READABLE
from service.errors import BadQueryParameter, CloudFoundryError, InvalidRequest
from service.model.paging import PageRequest
from service.model.selection import CREATED_AT, NO_FILTERS, UPDATED_AT, Filters
from service.model.selectors import Operator, Range, Requirement
from service.model.times import SECOND
from service.operations.questions import ListRequest

Of = Literal["processes", "app"]
BOTH: list[Of] = ["processes", "app"]

on_both = pytest.mark.parametrize("of", BOTH)

ON_BOTH_LISTS = ["embed", "page", "per_page", "order_by", "guids", "types", "label_selector"] + [
    f"{name}{operator}"
    for name in ("created_ats", "updated_ats")
    for operator in ("", "[lt]", "[lte]", "[gt]", "[gte]")
]
ON_ALL_PROCESSES = ["app_guids", "space_guids", "organization_guids"]

T1, T2 = "2024-01-02T03:04:05Z", "2024-01-02T03:04:07Z"
AT1, AT2 = 1_704_164_645 * SECOND, 1_704_164_647 * SECOND


QUERIES = {"processes": READABLE.list_query, "app": READABLE.query_of(READABLE.parents[0])}


def parse_list(query: str, of: Of) -> ParsedList:
    return QUERIES[of].parse(query)


def parse(of: Of = "processes", /, **parameters: str) -> ParsedList:
    return parse_list(urlencode(parameters), of)


def filters(query: str) -> Filters:
    return parse_list(query, "processes").request.filters


def bad_query(query: str, of: Of = "processes") -> str:
    """The complaint about a query that is refused with 400 and 10005."""
    with pytest.raises(BadQueryParameter) as caught:
        parse_list(query, of)
    error = caught.value
    assert (error.status, error.code, error.title) == (400, 10005, "CF-BadQueryParameter")
    prefix = "The query parameter is invalid: "
    assert error.detail.startswith(prefix)
    return error.detail.removeprefix(prefix)


# What is taken


@on_both
def test_an_empty_query_asks_for_the_first_fifty_by_creation(of: Of) -> None:
    parsed = parse_list("", of)
    assert parsed.request == ListRequest(NO_FILTERS, CREATED_AT, False, PageRequest(1, 50))
    assert parsed.kept == ()


@on_both
@pytest.mark.parametrize(("page", "per_page"), [(1, 1), (2, 5000), (10**6, 50), (2**63 - 1, 5000)])
def test_takes_page_numbers_and_sizes(of: Of, page: int, per_page: int) -> None:
    assert parse(of, page=str(page), per_page=str(per_page)).request.page == PageRequest(page, per_page)


@on_both
@pytest.mark.parametrize(
    ("sent", "order", "descending"),
    [
        ("created_at", CREATED_AT, False),
        ("-created_at", CREATED_AT, True),
        ("%2Bcreated_at", CREATED_AT, False),
        ("updated_at", UPDATED_AT, False),
        ("-updated_at", UPDATED_AT, True),
        ("%2Bupdated_at", UPDATED_AT, False),
    ],
)
def test_orders_by_either_time_in_either_direction(of: Of, sent: str, order: str, descending: bool) -> None:
    request = parse_list(f"order_by={sent}", of).request
    assert (request.order, request.descending) == (order, descending)


def test_each_list_of_values_lands_in_its_own_filter() -> None:
    query = "guids=g,h&types=t,u&app_guids=a,b&space_guids=s,r&organization_guids=o,p"
    assert dict(filters(query).facets) == {
        "guids": frozenset("gh"),
        "types": frozenset("tu"),
        "app_guids": frozenset("ab"),
        "space_guids": frozenset("sr"),
        "organization_guids": frozenset("op"),
    }


@pytest.mark.parametrize(
    ("sent", "values"),
    [
        ("a", {"a"}),
        ("a,b", {"a", "b"}),
        ("a%2Cb", {"a", "b"}),
        ("a%252Cb", {"a,b"}),
        ("a%252Cb,c", {"a,b", "c"}),
        ("a%2525b", {"a%b"}),
        ("a+b", {"a b"}),
        ("a%2Bb", {"a+b"}),
        ("%D0%B0", {"а"}),
        ("%25D0%25B0", {"а"}),
        ("a,a", {"a"}),
    ],
)
def test_a_value_is_decoded_once_more_so_that_it_may_hold_a_comma(sent: str, values: set[str]) -> None:
    assert filters(f"types={sent}") == Filters((("types", frozenset(values)),))


def test_takes_as_many_values_as_a_page_can_hold_and_no_more() -> None:
    ((_, found),) = filters("guids=" + ",".join(map(str, range(5000)))).facets
    assert len(found) == 5000
    assert bad_query("guids=" + ",".join(map(str, range(5001)))) == "'guids' has 5001 values, the most is 5000"


@on_both
def test_takes_label_selectors(of: Of) -> None:
    assert parse(of, label_selector="a.b/c in (x,y),!d,e!=f").request.filters.labels == (
        Requirement("a.b/c", Operator.IN, frozenset("xy")),
        Requirement("d", Operator.NOT_EXISTS),
        Requirement("e", Operator.NOT_IN, frozenset("f")),
    )


@on_both
@pytest.mark.parametrize("name", ["created_ats", "updated_ats"])
@pytest.mark.parametrize(
    ("operator", "value", "ranges"),
    [
        ("", T1, (Range(AT1, AT1 + SECOND),)),
        ("", f"{T1},{T2}", (Range(AT1, AT1 + SECOND), Range(AT2, AT2 + SECOND))),
        ("[lt]", T1, (Range(None, AT1),)),
        ("[lte]", T1, (Range(None, AT1 + SECOND),)),
        ("[gt]", T1, (Range(AT1 + SECOND, None),)),
        ("[gte]", T1, (Range(AT1, None),)),
    ],
)
def test_takes_times_under_every_operator(
    of: Of, name: str, operator: str, value: str, ranges: tuple[Range, ...]
) -> None:
    found = parse_list(f"{name}{operator}={value}", of).request.filters
    expected = Filters(times=((name.removesuffix("s"), ranges),))
    assert found == expected


@pytest.mark.parametrize("name", ["created_ats", "updated_ats"])
def test_takes_a_hundred_times_and_no_more(name: str) -> None:
    times = [f"2024-01-02T03:{number // 60:02}:{number % 60:02}Z" for number in range(101)]
    ((_, ranges),) = filters(f"created_ats={','.join(times[:100])}").times
    assert len(ranges) == 100
    assert bad_query(f"{name}={','.join(times)}") == f"'{name}' has more than 100 values"


def test_brackets_may_come_encoded() -> None:
    assert filters(f"created_ats%5Bgt%5D={quote(T1)}") == filters(f"created_ats[gt]={T1}")


def test_several_operators_must_all_hold() -> None:
    found = filters(f"created_ats[gte]={T1}&created_ats[lt]={T2}&updated_ats[gt]={T1}")
    assert set(found.times) == {
        (CREATED_AT, (Range(AT1, None),)),
        (CREATED_AT, (Range(None, AT2),)),
        (UPDATED_AT, (Range(AT1 + SECOND, None),)),
    }


def test_of_a_parameter_sent_twice_the_last_counts() -> None:
    parsed = parse_list("page=7&types=a&page=2&types=b", "processes")
    assert parsed.request.page.page == 2
    assert parsed.request.filters == Filters((("types", frozenset("b")),))
    assert parsed.kept == (("types", "b"),)


# What the links repeat


def test_links_keep_every_pair_but_the_page_sorted_and_as_sent() -> None:
    query = "types=b,a&page=3&order_by=%2Bcreated_at&label_selector=!k&per_page=7&app_guids=a%252Cb&guids="
    assert parse_list(query, "processes").kept == (
        ("app_guids", "a%2Cb"),
        ("guids", ""),
        ("label_selector", "!k"),
        ("order_by", "+created_at"),
        ("types", "b,a"),
    )


values = st.text("abc,%- ", min_size=1, max_size=12)
queries = st.fixed_dictionaries(
    {},
    optional={
        "page": st.integers(1, 99).map(str),
        "per_page": st.integers(1, 5000).map(str),
        "order_by": st.sampled_from(["created_at", "-created_at", "+updated_at"]),
        **dict.fromkeys(["guids", "types", *ON_ALL_PROCESSES], values),
        "label_selector": st.sampled_from(["k", "!k", "k in (a,b)", "k=,j!=v"]),
        "created_ats": st.sampled_from([T1, f"{T1},{T2}"]),
        "created_ats[lt]": st.just(T2),
        "updated_ats[gte]": st.just(T1),
    },
)


@given(queries, st.integers(1, 9))
def test_a_link_made_of_what_is_kept_asks_the_same_of_another_page(query: dict[str, str], page: int) -> None:
    parsed = parse_list(urlencode(query), "processes")
    again = parse_list(urlencode([*parsed.kept, ("page", page), ("per_page", 9)]), "processes")
    assert again.kept == parsed.kept == tuple(sorted(parsed.kept))
    assert again.request == ListRequest(
        parsed.request.filters, parsed.request.order, parsed.request.descending, PageRequest(page, 9)
    )


# What is refused

TOO_LONG = "9" * 5000


@on_both
@pytest.mark.parametrize("name", ["page", "per_page"])
@pytest.mark.parametrize(
    "sent",
    [
        "0",
        "-1",
        "%2B1",
        "+1",
        "1+",
        "1_0",
        "1.0",
        "1e1",
        "0x1",
        "",
        "one",
        "%D9%A3",
        "%EF%BC%91",
        "%C2%B2",
        "1%0A",
        "true",
        "null",
        "1,2",
        str(2**63),
        str(10**30),
        TOO_LONG,
    ],
)
def test_refuses_a_number_that_is_not_plain(of: Of, name: str, sent: str) -> None:
    most = 5000 if name == "per_page" else 2**63 - 1
    assert bad_query(f"{name}={sent}", of) == f"'{name}' must be a whole number from 1 to {most}"


@on_both
def test_refuses_more_than_five_thousand_a_page(of: Of) -> None:
    assert bad_query("per_page=5001", of) == "'per_page' must be a whole number from 1 to 5000"


@on_both
@pytest.mark.parametrize(
    "sent",
    [
        "",
        "name",
        "created_at,updated_at",
        "+created_at",
        "--created_at",
        "%2B-created_at",
        "-",
        "CREATED_AT",
        "created_at%0A",
        "created_at+",
        "created_ats",
        "created-at",
    ],
)
def test_refuses_another_order(of: Of, sent: str) -> None:
    complaint = bad_query(f"order_by={sent}", of)
    assert complaint == "'order_by' must be one of created_at, updated_at, with '-' before it for descending"


@on_both
@pytest.mark.parametrize(
    "name",
    [
        "foo",
        "Page",
        "page ",
        "names",
        "include",
        "created_ats[ne]",
        "created_ats[eq]",
        "created_ats[]",
        "created_ats_lt",
        "guid",
        "page.x",
        "_schema",
        "__class__",
        "",
        "é",
        "label_selector[]",
    ],
)
def test_names_the_unknown_parameter_and_the_valid_ones(of: Of, name: str) -> None:
    valid = ON_BOTH_LISTS + (ON_ALL_PROCESSES if of == "processes" else [])
    head, _, listed = bad_query(urlencode({name: "1"}), of).partition(". Valid parameters are: ")
    assert head == f"Unknown query parameter(s): '{name}'"
    assert sorted(listed.split(", ")) == sorted(f"'{each}'" for each in valid)


@pytest.mark.parametrize("name", ON_ALL_PROCESSES)
def test_an_app_s_list_cannot_be_narrowed_by_app_space_or_organization(name: str) -> None:
    assert bad_query(f"{name}=a", "app").startswith(f"Unknown query parameter(s): '{name}'. Valid parameters are: ")
    assert parse_list(f"{name}=a", "processes")


@pytest.mark.parametrize("name", [n for n in ON_BOTH_LISTS if "_ats" in n])
@pytest.mark.parametrize(
    ("sent", "complaint"),
    [
        ("", "is not a time of the form"),
        ("now", "is not a time of the form"),
        ("2024-01-02T03:04:05z", "is not a time of the form"),
        ("2024-01-02t03:04:05Z", "is not a time of the form"),
        ("2024-01-02T03:04:05%2B00:00", "is not a time of the form"),
        ("2024-01-02T03:04:05-01:00", "is not a time of the form"),
        ("2024-01-02T03:04:05.5Z", "is not a time of the form"),
        ("2024-01-02+03:04:05Z", "is not a time of the form"),
        ("2024-01-02", "is not a time of the form"),
        ("1704164645", "is not a time of the form"),
        ("2024-01-02T03:04:05Z%0A", "is not a time of the form"),
        (f"{T1},", "is not a time of the form"),
        (f"{T1},+{T2}", "is not a time of the form"),
        ("%D9%A2024-01-02T03:04:05Z", "is not a time of the form"),
        ("2024-02-30T00:00:00Z", "is not a time that exists"),
        ("2023-02-29T00:00:00Z", "is not a time that exists"),
        ("2024-01-02T24:00:00Z", "is not a time that exists"),
        ("2016-12-31T23:59:60Z", "is not a time that exists"),
        ("0000-01-01T00:00:00Z", "is not a time that exists"),
    ],
)
def test_refuses_times_that_are_malformed_or_impossible(name: str, sent: str, complaint: str) -> None:
    for of in BOTH:
        found = bad_query(f"{name}={sent}", of)
        assert found.startswith(f"'{name}' '")
        assert complaint in found


@pytest.mark.parametrize("operator", ["lt", "lte", "gt", "gte"])
def test_an_operator_takes_one_time_only(operator: str) -> None:
    complaint = bad_query(f"created_ats[{operator}]={T1},{T2}")
    assert complaint.startswith(f"'created_ats[{operator}]' '{T1},")
    assert "is not a time of the form" in complaint


@on_both
@pytest.mark.parametrize(
    ("selector", "complaint"),
    [
        ("", "requirement '' is none of"),
        ("k,", "requirement '' is none of"),
        ("k in (a", "requirement 'k in (a' is none of"),
        ("k in ()", "has an empty value"),
        ("k in (a, b)", "is none of"),
        ("k  in (a)", "is none of"),
        ("k = v", "is none of"),
        ("!k=v", "is none of"),
        ("-k", "key '-k': its name must be"),
        ("a/k", "key 'a/k': its prefix must be"),
        ("cloudfoundry.org/k", "is reserved"),
        (f"k={'v' * 64}", "must be empty or 1 to 63"),
        ("k=é", "must be empty or 1 to 63"),
        (",".join("k" * 51), "has 51 requirements, the most is 50"),
    ],
)
def test_refuses_bad_selectors_of_every_kind(of: Of, selector: str, complaint: str) -> None:
    found = bad_query(urlencode({"label_selector": selector}), of)
    assert found.startswith("'label_selector' ")
    assert complaint in found


@on_both
def test_all_complaints_come_in_one_error(of: Of) -> None:
    complaint = bad_query("page=0&per_page=5001&label_selector=-k&foo=1&created_ats[gt]=now", of)
    assert complaint.startswith("Unknown query parameter(s): 'foo'. ")
    for name in ("page", "per_page", "label_selector", "created_ats[gt]"):
        assert f", '{name}' " in complaint


def test_complaints_come_in_the_order_sent() -> None:
    complaint = bad_query("types=a&per_page=0&order_by=x&page=0")
    assert [name for name in complaint.split("'") if name in ON_BOTH_LISTS] == ["per_page", "order_by", "page"]


def test_of_a_thousand_unknown_parameters_it_names_a_few() -> None:
    complaint = bad_query("&".join(f"{'x' * 70}{number}=1" for number in range(900)))
    assert len(complaint) < 3000


def test_unknown_parameters_are_named_as_they_were_sent() -> None:
    names = [f"x{number}" for number in range(12)]
    assert bad_query("&".join(f"{name}=1" for name in names)).startswith(
        f"Unknown query parameter(s): {', '.join(map(repr, names))}. "
    )


@on_both
@pytest.mark.parametrize(
    "query",
    [
        "types=%FF",
        "types=%C3",
        "%FF=1",
        "page=%ED%A0%80",
        "types=%C0%AF",
        "types=%zz",
        "types=%",
        "types=%00",
        "types=é",
        "&".join(["page=1"] * 1001),
    ],
)
def test_refuses_what_cannot_be_decoded(of: Of, query: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_list(query, of)
    assert (caught.value.status, caught.value.code, caught.value.title) == (400, 10004, "CF-InvalidRequest")
    assert any(word in caught.value.detail for word in ("query", "request line"))


def test_the_complaint_repeats_little_of_what_was_sent() -> None:
    for name in [*ON_BOTH_LISTS, "x" * 5000]:
        if name not in ("guids", "types"):
            assert len(bad_query(f"{name}={'(' * 5000}")) < 1000


# Anything at all

any_pairs = st.lists(
    st.tuples(
        st.sampled_from([*ON_BOTH_LISTS, *ON_ALL_PROCESSES, "embed", "foo"]) | st.text(max_size=8),
        st.text(max_size=20)
        | st.text("0123456789-+_,%()!= inotkTZ:", max_size=30)
        | st.sampled_from(["1", T1, "k in (a)", "-updated_at", "a%2Cb"]),
    ),
    max_size=6,
)


def outcome(query: str, of: Of) -> ParsedList | CloudFoundryError:
    try:
        return parse_list(query, of)
    except CloudFoundryError as error:
        return error


@settings(max_examples=400)
@given(
    st.one_of(
        st.text(),
        st.text("pagetyps_=&%;,+[]()012AF", max_size=60),
        any_pairs.map(urlencode),
        any_pairs.map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs)),
    ),
    st.sampled_from(BOTH),
)
@example("=", "processes")
@example("&&;", "app")
@example("%", "processes")
@example("page=1&page", "processes")
@example("created_ats[gt]", "processes")
@example("a" * 8000, "processes")
def test_any_query_is_a_request_or_an_error_of_the_catalogue(query: str, of: Of) -> None:
    parsed = outcome(query, of)
    if isinstance(parsed, CloudFoundryError):
        assert parsed.status == 400
        assert parsed.detail
        return
    sent = parse_qsl(query, keep_blank_values=True)
    assert set(parsed.kept) <= set(sent)
    assert {name for name, _ in sent} - {name for name, _ in parsed.kept} <= {"page", "per_page"}
    assert 1 <= parsed.request.page.per_page <= 5000


@pytest.mark.parametrize("name", [*ON_BOTH_LISTS, *ON_ALL_PROCESSES, "unknown"])
@pytest.mark.parametrize("piece", ["9", "a,", "(", "%25", "k in (a),", "%2525", f"{T1},", "-", "a.", "a&b="])
def test_the_longest_query_is_judged_at_once(name: str, piece: str) -> None:
    query = f"{name}={piece * 8190}"[:8190]
    started = time.perf_counter()
    outcome(query, "processes")
    assert time.perf_counter() - started < 0.5
