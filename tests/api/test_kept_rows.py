"""Rows and pages that are kept encoded: which of them, where there are more than there is room for."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from service.api.pages import Pages, RowKind
from service.model.paging import PageRequest
from service.model.selection import Selection

ROWS, PER_PAGE = 200, 10
URL, BASE = "http://api.test/v3/things", "http://api.test"


@dataclass(frozen=True, eq=False)
class Thing:
    name: str
    text: str = "x" * 500


@dataclass
class Shown:
    """Pages of things, and how often each was encoded."""

    pages: Pages
    encoded: Counter[str] = field(default_factory=Counter)

    def present(self, thing: Thing, base: str) -> dict[str, Any]:
        self.encoded[thing.name] += 1
        return {"name": thing.name, "text": thing.text}

    async def page(self, things: list[Thing], number: int = 1) -> bytes:
        kind = RowKind("things", lambda thing: thing.name, self.present)
        selection = Selection(ROWS, things)
        body = await self.pages.encode(kind, selection, PageRequest(page=number, per_page=PER_PAGE), URL, (), BASE)
        return body.encoded


THINGS = [Thing(f"t{number:03}") for number in range(ROWS)]


async def read_all(shown: Shown) -> None:
    for number, first in enumerate(range(0, ROWS, PER_PAGE), 1):
        await shown.page(THINGS[first : first + PER_PAGE], number)


async def test_who_goes_through_more_rows_in_turn_than_are_kept_finds_some_of_them() -> None:
    """Where those looked at longest ago made room for each, none would be there when its turn comes."""
    shown = Shown(Pages(rows_bytes=ROWS * 1_000, bodies_bytes=0))
    await read_all(shown)
    assert set(shown.encoded.values()) == {1}
    for _ in range(5):
        await read_all(shown)
    assert shown.encoded.total() < 5 * ROWS


async def test_a_page_that_is_asked_for_more_often_than_others_is_kept_in_the_end() -> None:
    shown = Shown(Pages(rows_bytes=ROWS * 1_000, bodies_bytes=0))
    await read_all(shown)
    late = [Thing(f"late-{number}") for number in range(PER_PAGE)]
    for _ in range(200):
        await shown.page(late)
    before = shown.encoded.total()
    await shown.page(late)
    assert shown.encoded.total() == before


async def test_a_row_that_changes_is_kept_in_place_of_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Shown(Pages(rows_bytes=20_000, bodies_bytes=0))
    await read_all(shown)
    monkeypatch.setattr("service.api.pages.takes_a_place", lambda: False)
    shown.encoded.clear()
    await read_all(shown)
    kept = [thing.name for thing in THINGS if thing.name not in shown.encoded]
    assert 0 < len(kept) < ROWS
    shown.encoded.clear()
    # Larger than it was: others make way for it.
    changed = Thing(kept[-1], "y" * 4_000)
    for _ in range(2):
        assert b"yy" in await shown.page([changed])
    assert shown.encoded == {changed.name: 1}
