"""Numbers, amounts and times as the pages show them, and what they draw."""

import pytest

from service.dashboard import text
from service.dashboard.query import ListAddress, parse_address, tidied
from service.dashboard.shapes import bar, strip
from service.dashboard.signing_in import _local
from service.errors import BadQueryParameter
from service.model.instances import Instance
from service.model.process import SECOND


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (None, "no limit"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (357_000_000, "340 MiB"),
        (1_073_741_800, "1 GiB"),
        (1 << 60, "1024 PiB"),
    ],
)
def test_amounts(number: int | None, shown: str) -> None:
    assert text.amount(number) == shown


@pytest.mark.parametrize(
    ("nanos", "shown"),
    [(0, "0m"), (400_000, "<1m"), (62_400_000, "62m"), (1_000_000_000, "1"), (2_250_000_000, "2.25")],
)
def test_cores(nanos: int, shown: str) -> None:
    assert text.cores(nanos) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "0 s"), (59, "59 s"), (60, "1 minute"), (7200, "2 hours"), (86400 * 45, "1 month"), (86400 * 800, "2 years")],
)
def test_times_in_one_unit(seconds: int, shown: str) -> None:
    assert text.lasted(0, seconds * SECOND) == shown


def test_long_guids_are_shortened_and_short_ones_are_not() -> None:
    assert text.short("1cb006ee-fb05-47e1-b541-c34179ddc446") == "1cb006ee"
    assert text.short("shop") == "shop"
    assert text.short("x" * 30) == "x" * 23 + "…"


@pytest.mark.parametrize(
    ("used", "limit", "percent", "width", "level"),
    [(0, 100, 0, 0, "well"), (89, 100, 89, 89, "well"), (90, 100, 90, 90, "high"), (250, 100, 250, 100, "over")],
)
def test_bars(used: int, limit: int, percent: int, width: int, level: str) -> None:
    drawn = bar(used, limit, "", "of it")
    assert (drawn.percent, drawn.width, drawn.level) == (percent, width, level)


def test_without_a_limit_there_is_no_bar() -> None:
    assert bar(5, None, "5 B", "").of == ""
    assert bar(5, 0, "5 B", "").of == ""


def test_a_strip_draws_a_few_and_counts_all() -> None:
    many = strip([Instance(index, None) for index in range(20)], 100_000)
    assert len(many.cells) == 16
    assert many.more == 99_984
    assert (many.level, many.summary) == ("some", "100000 wanted: 20 down")
    assert strip([], 0).level == "none"


def address(query: str) -> ListAddress:
    return parse_address(query)


def test_neighbours_of_a_list_keep_its_conditions() -> None:
    listed = address("types=web&q=Shop+Front&per_page=20&page=3&order_by=-updated_at")
    assert listed.parsed.request.filters.words == ("shop", "front")
    assert listed.href(4) == "/?order_by=-updated_at&page=4&per_page=20&q=Shop+Front&types=web"
    assert listed.href(1) == "/?order_by=-updated_at&per_page=20&q=Shop+Front&types=web"
    assert listed.without("types") == "/?order_by=-updated_at&per_page=20&q=Shop+Front"
    assert listed.sort_href("updated_at") == "/?order_by=updated_at&per_page=20&q=Shop+Front&types=web"
    assert listed.as_json() is None
    assert address("types=web").as_json() == "/processes?page=1&per_page=50&types=web"
    assert address("").href(1) == "/"


def test_words_are_bounded() -> None:
    with pytest.raises(BadQueryParameter):
        address("q=" + "x" * 201)


@pytest.mark.parametrize(
    ("query", "tidy"),
    [
        ("", None),
        ("types=web", None),
        ("q=&types=web&space_guids=&label_selector=&per_page=", "types=web"),
        ("q=", ""),
        ("guids=", None),
        ("q=&oops", None),
    ],
)
def test_fields_left_empty_are_left_out(query: str, tidy: str | None) -> None:
    assert tidied(query) == tidy


@pytest.mark.parametrize(
    ("target", "safe"),
    [
        ("/?types=web&page=2", True),
        ("/ui/spaces", True),
        ("", False),
        ("//evil.test/ui/", False),
        ("https://evil.test/ui/", False),
        ("/\\evil.test", False),
        ("/v3/processes", False),
        ("/ui/\r\nSet-Cookie: x", False),
    ],
)
def test_only_pages_of_ours_are_led_to(target: str, safe: bool) -> None:
    assert _local(target) == (target if safe else "/")
