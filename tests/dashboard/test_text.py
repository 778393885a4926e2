"""Numbers, amounts and times as the pages show them, and what they draw."""

from collections import Counter

import pytest

from service.dashboard import text
from service.dashboard.query import (
    APP_LIST,
    PROCESS_LIST,
    ListAddress,
    apps_of_space,
    parse_address,
    spaces_of_organization,
    tidied,
)
from service.dashboard.shapes import bar, strip, strip_of
from service.dashboard.signing_in import _local
from service.dashboard.text import image
from service.errors import BadQueryParameter
from service.model.instances import Instance
from service.model.pods import State
from service.model.times import SECOND
from service.operations.overview import Tally


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
    assert strip([], 0, started=False).summary == "stopped"


def test_instances_that_are_counted_are_drawn_by_state() -> None:
    tally = Tally(4, 2, Counter({State.RUNNING: 3, State.CRASHED: 1}))
    drawn = strip_of(tally, started=True)
    assert drawn.cells == ["running", "running", "crashed", "down"]
    assert (drawn.running, drawn.level) == (2, "bad")
    many = strip_of(Tally(2_000_000_000), started=True)
    assert (len(many.cells), many.more, many.level) == (16, 1_999_999_984, "some")
    assert strip_of(tally, started=False).summary == "stopped"


@pytest.mark.parametrize(
    ("reference", "shown"),
    [
        ("nginx", "nginx"),
        ("registry.example:5000/shop/web:1.2", "shop/web:1.2"),
        ("localhost/web@sha256:0123456789abcdef0123", "web@0123456789ab"),
        ("team/web:1", "team/web:1"),
        ("", ""),
    ],
)
def test_images_are_shown_by_what_tells_them_apart(reference: str, shown: str) -> None:
    assert image(reference) == shown


def address(query: str) -> ListAddress:
    return parse_address(PROCESS_LIST, query)


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


def test_lists_of_apps_are_in_the_order_of_names_and_do_not_say_so() -> None:
    listed = parse_address(APP_LIST, "per_page=20&page=2")
    assert (listed.parsed.request.order, listed.filtered) == ("name", False)
    assert listed.href(3) == "/ui/apps?page=3&per_page=20"
    assert listed.sort_href("name") == "/ui/apps?order_by=-name&per_page=20"
    # The API's own order is another: its address says so.
    assert listed.as_json() == "/apps?order_by=name&page=2&per_page=20"
    assert listed.stream() == "/ui/lists/apps/events?page=2&per_page=20"


def test_a_list_within_another_thing_keeps_to_it() -> None:
    listed = parse_address(apps_of_space("a/b"), "q=shop")
    assert listed.href(2) == "/ui/spaces/a%2Fb?page=2&q=shop"
    assert listed.stream() == "/ui/spaces/a%2Fb/events?q=shop"
    assert ("space_guids", frozenset(("a/b",))) in listed.parsed.request.filters.facets
    assert parse_address(apps_of_space("x"), "").as_json() == "/apps?order_by=name&page=1&per_page=50&space_guids=x"
    for query in ("space_guids=other", "include=space"):
        with pytest.raises(BadQueryParameter):
            parse_address(apps_of_space("x"), query)
    spaces = parse_address(spaces_of_organization("acme"), "")
    assert ("organization_guids", frozenset(("acme",))) in spaces.parsed.request.filters.facets


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
    assert tidied(PROCESS_LIST, query) == tidy


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
