"""Lists as bytes: rows encoded once, pages put together from them, and the links between pages. For any resource."""

import hashlib
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

import msgspec
import orjson

from service.cache import RecencyCache, memory_of, takes_a_place
from service.model.paging import PageRequest, page_numbers
from service.model.selection import Selection
from service.pacing import Turns

BRIEF = 100
"""Rows that are made in one turn. Those of a larger page are kept only where there is room: each would make way for the
next, and none be found again."""
LARGE = 1 << 18
"""Bytes of a body from which writing it is long work."""
ROW_BYTES, BODY_BYTES, PLACE_BYTES = 250, 400, 8
"""What a row takes beside its bytes and its item, which takes as much as it shows; a body; and a place in a body."""
Pairs = tuple[tuple[str, str], ...]
"""Names and values of a query."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class RowKind(Generic[Item]):
    """How the items of one resource become rows."""

    name: str
    """The resource's; rows of different resources never meet."""
    key: Callable[[Item], str]
    present: Callable[[Item, str], dict[str, Any]]
    """From an item and the base URL to what a list shows of it."""
    encode: Callable[[Item, str], bytes] | None = None
    """The same as JSON, where there is a faster way to it."""
    unshown: Callable[[Item], object] = lambda _: None
    """What of an item its row does not show, and is as large as somebody likes: kept as long as the row, it counts."""
    embed_before: str = ""
    """The key of a row before which more can be embedded; empty: nothing ever is."""

    @cached_property
    def embed_at(self) -> bytes:
        """What stands in a row where more can be embedded, after a comma."""
        return b',"%b":' % self.embed_before.encode()


@dataclass(frozen=True)
class Extras:
    """What a list shows beyond its rows."""

    embedded_as: str = ""
    embedded: Mapping[str, Any] | None = None
    """What each row has embedded, by the key of its item; None: nothing."""
    included: bytes | None = None
    """What comes along after the rows, as JSON; None: nothing."""


NOTHING_MORE = Extras()


class Row(msgspec.Struct, frozen=True, gc=False):
    """An item of a list, encoded; `digest` stands for the bytes in the list's ETag."""

    item: object
    encoded: bytes
    digest: bytes
    embed_at: int
    """The place in the bytes where more can be embedded."""
    unshown_bytes: int
    """What the item takes that is not in the bytes."""


class Body(msgspec.Struct, frozen=True):
    """A list, encoded, with its ETag: good while the same items stand on the page, of the same total."""

    selection: Selection[Any]
    encoded: bytes
    etag: str
    unshown_bytes: int
    """What its items take that is not in the bytes, and its places for them."""


ROWS_BYTES, BODIES_BYTES = 10 << 20, 8 << 20


class Pages:
    """Lists as bytes. Rows and whole bodies are kept while there is room: what stays the same is encoded once."""

    def __init__(self, rows_bytes: int = ROWS_BYTES, bodies_bytes: int = BODIES_BYTES) -> None:
        self._rows: RecencyCache[str, Row] = RecencyCache(rows_bytes)
        """By resource, base URL and key of the item, in one text."""
        self._bodies: RecencyCache[tuple[str, PageRequest, Pairs], Body] = RecencyCache(bodies_bytes)
        """By what the links say: no two resources have the same."""
        self._turns = Turns()

    async def encode(
        self,
        kind: RowKind[Item],
        selection: Selection[Item],
        page: PageRequest,
        url: str,
        pairs: Pairs,
        base: str,
        extras: Extras = NOTHING_MORE,
    ) -> Body:
        """The body of the list at `url`; `pairs` of the query are repeated in its links."""
        key = (url, page, pairs)
        body = self._bodies.get(key) if extras is NOTHING_MORE else None
        if body is None or not (body.selection is selection or body.selection == selection):
            work = self._encode(kind, selection, page, url, pairs, base, extras)
            body = await self._turns.run(work, brief=len(selection.items) <= BRIEF)
            if extras is NOTHING_MORE:
                # What is embedded grows older by the second: with it, no two bodies are alike.
                self._bodies.put(key, body, memory_of(body.encoded) + body.unshown_bytes)
        if len(body.encoded) > LARGE:
            # Handing megabytes to the socket takes milliseconds, and readers wake up in flocks. It goes before what has
            # not begun, or all that wait for their turn to be written would be held until the last one is made.
            await self._turns.wait()
        return body

    def _encode(
        self,
        kind: RowKind[Item],
        selection: Selection[Item],
        page: PageRequest,
        url: str,
        pairs: Pairs,
        base: str,
        extras: Extras,
    ) -> Generator[None, None, Body]:
        parts, digests, unshown = [], [], BODY_BYTES
        prefix = f"{kind.name} {base} "
        for place, item in enumerate(selection.items, 1):
            key = kind.key(item)
            row = self._rows.get(prefix + key)
            if row is None or row.item is not item:
                evict = row is not None or (len(selection.items) <= BRIEF and takes_a_place())
                row = self._encode_row(kind, item, base, prefix + key, evict=evict)
                yield
            unshown += PLACE_BYTES + row.unshown_bytes
            if extras.embedded is None:
                parts.append(row.encoded)
                digests.append(row.digest)
            else:
                embedded = b'"%b":%b,' % (extras.embedded_as.encode(), orjson.dumps(extras.embedded[key]))
                parts.append(row.encoded[: row.embed_at] + embedded + row.encoded[row.embed_at :])
                digests += (row.digest, embedded)
            if extras.embedded is not None or not place % BRIEF:
                yield
        head = orjson.dumps(pagination(selection.total_results, page, url, pairs))
        included = b"" if extras.included is None else b',"included":' + extras.included
        # The same six keys twice: flat as on the reference page, and under `pagination`, where clients look.
        before, after = head[:-1] + b',"resources":[', b"]" + included + b',"pagination":' + head + b"}"
        parts = parts or [b""]
        parts[0] = before + parts[0]
        parts[-1] += after
        yield
        digest = hashlib.blake2b(head + b"".join(digests) + included, digest_size=16)
        yield
        return Body(selection, b",".join(parts), digest.hexdigest(), unshown)

    def _encode_row(self, kind: RowKind[Item], item: Item, base: str, key: str, *, evict: bool) -> Row:
        encoded, embed_at = encode_row(kind, item, base)
        unshown = memory_of(kind.unshown(item))
        row = Row(item, encoded, hashlib.blake2b(encoded, digest_size=12).digest(), embed_at, unshown)
        self._rows.put(key, row, ROW_BYTES + 2 * len(encoded) + unshown, evict=evict)
        return row


def encode_row(kind: RowKind[Item], item: Item, base: str) -> tuple[bytes, int]:
    """A row as JSON, and the place in it where more can be embedded."""
    # Copied, for orjson leaves its output in a buffer of several times the size.
    encode = kind.encode
    encoded = bytes(memoryview(orjson.dumps(kind.present(item, base)))) if encode is None else encode(item, base)
    if not kind.embed_before:
        return encoded, 0
    # No text can hold this: in JSON it would have its quotes escaped.
    return encoded, encoded.index(kind.embed_at) + 1


def pagination(total_results: int, page: PageRequest, url: str, pairs: Pairs) -> dict[str, Any]:
    """The six keys that say where a page stands in the list at `url`; its links repeat `pairs` of the query."""
    numbers = page_numbers(page, total_results)
    hrefs = _Hrefs(url, pairs, page.per_page)
    return {
        "total_results": total_results,
        "total_pages": numbers.total_pages,
        "first": link(hrefs.page(1)),
        "last": link(hrefs.page(numbers.total_pages)),
        "next": None if numbers.next is None else link(hrefs.page(numbers.next)),
        "previous": None if numbers.previous is None else link(hrefs.page(numbers.previous)),
    }


def link(href: str, method: str = "GET") -> dict[str, str]:
    return {"href": href, "method": method}


class _Hrefs:
    """Links to the pages of one list: query pairs in alphabetical order, form-encoded."""

    def __init__(self, url: str, pairs: Pairs, per_page: int) -> None:
        all_pairs = [*pairs, ("page", ""), ("per_page", str(per_page))]
        all_pairs.sort(key=lambda pair: pair[0])
        at = [name for name, _ in all_pairs].index("page")
        before, after = urlencode(all_pairs[:at]), urlencode(all_pairs[at + 1 :])
        self._before = f"{url}?{before}&page=" if before else f"{url}?page="
        self._after = f"&{after}"

    def page(self, number: int) -> str:
        return f"{self._before}{number}{self._after}"
