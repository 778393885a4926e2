"""Lists as bytes: rows encoded once, pages put together from them, and the links between pages."""

import hashlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import orjson

from service.api.presenters import HIDDEN_COMMAND, link, present_instances, present_process
from service.cache import BoundedCache
from service.model.collection import Selection
from service.model.instances import Instance
from service.model.paging import PageRequest, page_numbers
from service.model.process import Process, microseconds
from service.pacing import Turns

LARGE = 1 << 18
"""Bytes of a body from which writing it is long work."""
Pairs = tuple[tuple[str, str], ...]
"""Names and values of a query."""


@dataclass(frozen=True, slots=True)
class Row:
    """A process of a list, encoded; `digest` stands for the bytes in the list's ETag."""

    process: Process
    encoded: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class Body:
    """A list, encoded, with its ETag: good while the same processes stand on the page, of the same total."""

    selection: Selection[Process]
    encoded: bytes
    etag: str


class Pages:
    """Lists as bytes. Rows and whole bodies are kept while there is room: what stays the same is encoded once."""

    def __init__(self, rows_bytes: int = 10 << 20, bodies_bytes: int = 8 << 20) -> None:
        self._rows: BoundedCache[tuple[str, str], Row] = BoundedCache(rows_bytes)
        """By base URL and uid of the Deployment."""
        self._bodies: BoundedCache[tuple[str, PageRequest, Pairs], Body] = BoundedCache(bodies_bytes)
        """By what the links say."""
        self._turns = Turns()

    async def encode(
        self,
        selection: Selection[Process],
        page: PageRequest,
        base: str,
        path: str,
        pairs: Pairs,
        embedded: Mapping[str, Sequence[Instance]] | None = None,
    ) -> Body:
        """The body of a list at `base` + `path`; `pairs` of the query are repeated in its links.

        `embedded` has the instances to show with each process, by the uid of its Deployment.
        """
        key = (base + path, page, pairs)
        body = self._bodies.get(key) if embedded is None else None
        if body is None or not (body.selection is selection or body.selection == selection):
            body = await self._turns.take(self._encode(selection, page, base, path, pairs, embedded))
            if embedded is None:
                # Instances grow older by the second: with them, no two bodies are alike.
                self._bodies.put(key, body, len(body.encoded))
        if len(body.encoded) > LARGE:
            # Handing megabytes to the socket takes milliseconds, and readers wake up in flocks.
            await self._turns.wait()
        return body

    def _encode(
        self,
        selection: Selection[Process],
        page: PageRequest,
        base: str,
        path: str,
        pairs: Pairs,
        embedded: Mapping[str, Sequence[Instance]] | None,
    ) -> Generator[None, None, Body]:
        now = microseconds(datetime.now(UTC))
        parts, digests = [], []
        for process in selection.items:
            row = self._rows.get((base, process.workload.uid))
            if row is None or row.process is not process:
                row = self._encode_row(process, base)
                yield
            if embedded is not None:
                encoded, row_digest = _with_instances(row, embedded[process.workload.uid], now)
                yield
            else:
                encoded, row_digest = row.encoded, row.digest
            parts.append(encoded)
            digests.append(row_digest)
        head = orjson.dumps(pagination(selection.total_results, page, base + path, pairs))
        # The same six keys twice: flat as on the reference page, and under `pagination`, where clients look.
        before, after = head[:-1] + b',"resources":[', b'],"pagination":' + head + b"}"
        parts = parts or [b""]
        parts[0] = before + parts[0]
        parts[-1] += after
        yield
        digest = hashlib.blake2b(head + b"".join(digests), digest_size=16)
        return Body(selection, b",".join(parts), digest.hexdigest())

    def _encode_row(self, process: Process, base: str) -> Row:
        encoded = orjson.dumps(present_process(process, base, command=HIDDEN_COMMAND))
        # Copied, for orjson leaves its output in a buffer of several times the size.
        encoded = bytes(memoryview(encoded))
        row = Row(process, encoded, hashlib.blake2b(encoded, digest_size=12).digest())
        self._rows.put((base, process.workload.uid), row, len(encoded))
        return row


def _with_instances(row: Row, found: Sequence[Instance], now: int) -> tuple[bytes, bytes]:
    """The row's bytes with instances, and their digest."""
    # Before the relationships: within a JSON string that text could not stand unescaped.
    before, relationships, after = row.encoded.partition(b',"relationships":{')
    shown = orjson.dumps(present_instances(found, now))
    encoded = b"".join((before, b',"process_instances":', shown, relationships, after))
    return encoded, row.digest + shown


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
