"""Label selectors and timestamp ranges, parsed from text."""

import contextlib
import string
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.model.selection import Filters
from service.model.selectors import (
    MAXIMUM_REQUIREMENTS,
    Malformed,
    Operator,
    Range,
    Requirement,
    check_label_key,
    check_label_value,
    parse_label_selector,
    parse_range,
    parse_timestamp,
)
from service.model.times import EPOCH, SECOND
from tests.model.builders import index_of, metadata, select, workload

ALPHANUMERIC = string.ascii_letters + string.digits


@dataclass(frozen=True)
class Written:
    """One requirement as a caller means it. `form` is what stands in the grammar."""

    form: str
    key: str
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        match self.form:
            case "k":
                return self.key
            case "!k":
                return f"!{self.key}"
            case "in" | "notin":
                return f"{self.key} {self.form} ({','.join(self.values)})"
            case _:
                return f"{self.key}{self.form}{self.values[0]}"

    def accepts(self, labels: Mapping[str, str]) -> bool:
        has = self.key in labels
        match self.form:
            case "k":
                return has
            case "!k":
                return not has
            case "=" | "==":
                # `k=` matches nothing, not even an empty value.
                return has and labels[self.key] == self.values[0] != ""
            case "in":
                return has and labels[self.key] in self.values
            case _:
                return not has or labels[self.key] not in self.values


def written(keys: st.SearchStrategy[str], values: st.SearchStrategy[str]) -> st.SearchStrategy[Written]:
    return st.one_of(
        st.builds(Written, st.sampled_from(["k", "!k"]), keys),
        st.builds(Written, st.sampled_from(["=", "==", "!="]), keys, st.tuples(values | st.just(""))),
        st.builds(Written, st.sampled_from(["in", "notin"]), keys, st.lists(values, min_size=1, max_size=4).map(tuple)),
    )


def joined(requirements: list[Written]) -> str:
    return ",".join(map(str, requirements))


names = st.builds(
    lambda first, middle, last: first + middle + last,
    st.sampled_from(ALPHANUMERIC),
    st.text(ALPHANUMERIC + "-_.", max_size=61),
    st.sampled_from(ALPHANUMERIC),
) | st.sampled_from(ALPHANUMERIC)
dns_labels = st.from_regex(r"[a-z0-9](?:[a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
prefixes = (
    st.lists(dns_labels, min_size=2, max_size=5).map(".".join).filter(lambda prefix: prefix != "cloudfoundry.org")
)
keys = names | st.builds("{}/{}".format, prefixes, names)

few_keys = st.sampled_from(["in", "notin", "tier", "a.b/tier"])
few_values = st.sampled_from(["x", "in", "y.z"])


@settings(max_examples=150)
@given(st.lists(written(keys, names), min_size=1, max_size=MAXIMUM_REQUIREMENTS))
def test_reads_back_what_was_written(requirements: list[Written]) -> None:
    operators = {"k": Operator.EXISTS, "!k": Operator.NOT_EXISTS, "!=": Operator.NOT_IN, "notin": Operator.NOT_IN}
    expected = [
        Requirement(
            one.key,
            operators.get(one.form, Operator.IN),
            frozenset() if one.form in ("=", "==") and one.values == ("",) else frozenset(one.values),
        )
        for one in requirements
    ]
    assert parse_label_selector(joined(requirements)) == tuple(dict.fromkeys(expected))


@settings(max_examples=150)
@given(
    requirements=st.lists(written(few_keys, few_values), min_size=1, max_size=4),
    labelled=st.lists(st.dictionaries(few_keys, few_values | st.just("")), max_size=12),
)
def test_selects_the_processes_whose_labels_match(requirements: list[Written], labelled: list[dict[str, str]]) -> None:
    index = index_of(
        [workload(str(number)) for number in range(len(labelled))],
        [metadata(f"app-{number}", labels=labels) for number, labels in enumerate(labelled)],
    )
    found = select(index, Filters(labels=parse_label_selector(joined(requirements))))
    assert {int(process.workload.uid) for process in found.items} == {
        number for number, labels in enumerate(labelled) if all(one.accepts(labels) for one in requirements)
    }


@settings(max_examples=400)
@given(st.one_of(st.text(), st.text("kinot ,=!()./-_A0\n\t\u2003٣é"), st.text("k=,() in", min_size=60)))
@example("((((")
@example("k in (a,b")
@example("k in (a)b)")
@example("),(")
@example("k\n")
@example("k=v\n")
@example("K=v")  # the Kelvin sign, which case-folds to an ASCII letter
def test_any_text_is_a_selector_or_malformed(text: str) -> None:
    try:
        requirements = parse_label_selector(text)
    except Malformed:
        return
    assert 0 < len(requirements) <= MAXIMUM_REQUIREMENTS
    for requirement in requirements:
        check_label_key(requirement.key)
        for value in requirement.values:
            check_label_value(value)


LONGEST = 8190
"""Bytes of a request line that aiohttp takes."""


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "a.",
        "a-",
        "a,",
        "a/",
        "(",
        ")",
        "()",
        "!",
        "=",
        "!=",
        " ",
        " in ",
        "a in (",
        "a in (b),",
        "a notin (a,",
        "é",
    ],
)
def test_the_longest_text_is_judged_at_once(piece: str) -> None:
    text = (piece * LONGEST)[:LONGEST]
    started = time.perf_counter()
    with pytest.raises(Malformed):
        parse_label_selector(text)
    assert time.perf_counter() - started < 0.5


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "k,",
        ",k",
        "k,,j",
        " ",
        " k",
        "k ",
        "k, j",
        "k =v",
        "k= v",
        "k=v ",
        "k = v",
        "!",
        "!!k",
        "! k",
        "!k=v",
        "=v",
        "==v",
        "!=v",
        "k===v",
        "k=!v",
        "k=v=w",
        "k>1",
        "k<1",
        "k in",
        "k in ",
        "k in()",
        "k in(a)",
        "k in ()",
        "k in (a",
        "k in a)",
        "k in a",
        "k in (a,)",
        "k in (,a)",
        "k in (,)",
        "k  in (a)",
        "k in  (a)",
        "k in (a, b)",
        "k in (a b)",
        "k IN (a)",
        "k not in (a)",
        "k notin ()",
        "k in (a)(b)",
        "k in ((a))",
        "!k in (a)",
        "in (a)",
        "k in (a) ",
        "k exists",
        "(k)",
        "k=(v)",
        "-k",
        "k-",
        ".k",
        "k_",
        "k" * 64,
        "k=-v",
        "k=v.",
        f"k={'v' * 64}",
        "k in (-v)",
        "ключ",
        "k=é",
        "k\n",
        "k=v\n",
        "/k",
        "a.b/",
        "a/k",
        "a.b/c/k",
        "a..b/k",
        "-a.b/k",
        "a.b-/k",
        "a_b.c/k",
        f"{'a' * 64}.b/k",
        f"{'ab.' * 84}cd/k",
        "cloudfoundry.org/k",
        "CloudFoundry.ORG/k",
    ],
)
def test_refuses_what_is_no_selector(text: str) -> None:
    with pytest.raises(Malformed):
        parse_label_selector(text)


@pytest.mark.parametrize(
    "key", ["k" * 63, "a.b/k", f"{'ab.' * 84}c/k", "A.B/k", "x.cloudfoundry.org/k", "1/2".join(["a.", ""])]
)
def test_takes_every_key_within_the_limits(key: str) -> None:
    check_label_key(key)
    assert parse_label_selector(key) == (Requirement(key, Operator.EXISTS),)


def test_takes_fifty_requirements_and_no_more() -> None:
    assert len(parse_label_selector(",".join(f"k{number}" for number in range(50)))) == 50
    with pytest.raises(Malformed, match="51 requirements, the most is 50"):
        parse_label_selector(",".join(["k"] * 51))


def test_takes_five_hundred_values_in_a_set_and_no_more() -> None:
    (requirement,) = parse_label_selector(f"k in ({','.join(map(str, range(500)))})")
    assert len(requirement.values) == 500
    with pytest.raises(Malformed, match="more than 500 values"):
        parse_label_selector(f"k notin ({','.join(['v'] * 501)})")


def test_the_complaint_names_the_requirement_and_is_short() -> None:
    with pytest.raises(Malformed, match="requirement 'b c'"):
        parse_label_selector("a,b c,d")
    with pytest.raises(Malformed) as caught:
        parse_label_selector("(" * LONGEST)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("value", ["", "v", "v" * 63, "V.1-2_3"])
def test_takes_label_values_within_the_limits(value: str) -> None:
    check_label_value(value)


@pytest.mark.parametrize("value", [" ", "v" * 64, "-v", "v-", "v w", "é", "v\n", "v,w", "a/b"])
def test_refuses_label_values_beyond_them(value: str) -> None:
    with pytest.raises(Malformed, match="must be empty or 1 to 63"):
        check_label_value(value)


@given(st.datetimes(max_value=datetime(9999, 12, 31, 23, 59, 59)))
def test_a_written_second_is_its_time(moment: datetime) -> None:
    whole = moment.replace(microsecond=0)
    assert parse_timestamp(f"{whole.isoformat()}Z") == (whole.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2024-01-02",
        "2024-01-02T03:04:05",
        "2024-01-02T03:04:05z",
        "2024-01-02t03:04:05Z",
        "2024-01-02 03:04:05Z",
        "2024-01-02T03:04Z",
        "2024-01-02T03:04:05.0Z",
        "2024-01-02T03:04:05+00:00",
        "2024-01-02T03:04:05+01:00",
        "2024-1-2T03:04:05Z",
        "20240102T030405Z",
        "+2024-01-02T03:04:05Z",
        " 2024-01-02T03:04:05Z",
        "2024-01-02T03:04:05Z\n",
        "٢٠٢٤-01-02T03:04:05Z",
        "02024-01-02T03:04:05Z",
        "1704164645",
    ],
)
def test_refuses_times_of_another_form(text: str) -> None:
    with pytest.raises(Malformed, match="is not a time of the form YYYY-MM-DDThh:mm:ssZ"):
        parse_timestamp(text)


@pytest.mark.parametrize(
    "text",
    [
        "2024-02-30T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-00-01T00:00:00Z",
        "2024-01-00T00:00:00Z",
        "2024-04-31T00:00:00Z",
        "2024-01-01T24:00:00Z",
        "2024-01-01T00:60:00Z",
        "2016-12-31T23:59:60Z",
        "2016-12-31T23:59:61Z",
        "0000-01-01T00:00:00Z",
    ],
)
def test_refuses_times_that_do_not_exist(text: str) -> None:
    with pytest.raises(Malformed, match="is not a time that exists"):
        parse_timestamp(text)


@given(st.text("0123456789-:TZ", max_size=25))
def test_any_text_is_a_time_or_malformed(text: str) -> None:
    with contextlib.suppress(Malformed):
        assert parse_timestamp(text) % SECOND == 0


MOMENT = 1_704_164_645 * SECOND


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        ("eq", Range(MOMENT, MOMENT + SECOND)),
        ("lt", Range(None, MOMENT)),
        ("lte", Range(None, MOMENT + SECOND)),
        ("gt", Range(MOMENT + SECOND, None)),
        ("gte", Range(MOMENT, None)),
    ],
)
def test_a_second_is_a_span(operator: str, expected: Range) -> None:
    """Equality covers the whole second, `gt` begins after it, `lte` includes it."""
    assert parse_range(operator, "2024-01-02T03:04:05Z") == expected


def test_the_last_second_there_is_has_an_end() -> None:
    last = parse_range("eq", "9999-12-31T23:59:59Z")
    assert last.start is not None
    assert last.end == last.start + SECOND


@pytest.mark.parametrize("operator", ["", "ne", "GT", "=", "x" * 1000])
def test_refuses_other_operators(operator: str) -> None:
    with pytest.raises(Malformed, match="is none of lt, lte, gt, gte"):
        parse_range(operator, "2024-01-02T03:04:05Z")
