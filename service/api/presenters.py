"""From domain records to the bytes on the wire. Policy of what is shown to whom sits here."""

import hashlib
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from service.kept import Kept
from service.model.index import Selection
from service.model.paging import PageRequest, page_numbers
from service.model.process import HealthCheck, Process, timestamp
from service.pacing import Turns

HIDDEN_COMMAND = "[PRIVATE DATA HIDDEN IN LISTS]"
LARGE = 1 << 18
"""Bytes of a body from which writing it is long work."""
Pairs = tuple[tuple[str, str], ...]
"""Names and values of a query."""
API_VERSION = "3.220.0"
"""Of the Cloud Controller API whose behaviour this is; clients choose their requests by it."""


def present_process(process: Process, base: str, *, command: str) -> dict[str, Any]:
    """A process as the reference page shows it. `base` is the absolute URL before `/v3`; `command` the text to show."""
    workload, metadata = process.workload, process.metadata
    guid, credential, synced_at = (
        workload.guid,
        process.registry_credential_guid,
        process.registry_credential_last_synced_at,
    )
    self_href = f"{base}/v3/processes/{quote(guid, safe='')}"
    links = {
        "self": _link(self_href),
        "scale": _link(f"{self_href}/actions/scale", "POST"),
        "app": _link(f"{base}/v3/apps/{quote(workload.app_guid, safe='')}"),
        "space": _link(f"{base}/v3/spaces/{quote(process.space_guid, safe='')}"),
        "stats": _link(f"{self_href}/stats"),
        "process_instances": _link(f"{self_href}/process_instances"),
    }
    if credential:
        # Absent rather than null: a null link crashes the Python client.
        links["registry_credential"] = _link(f"{base}/v3/registry_credentials/{quote(credential, safe='')}")
    return {
        "guid": guid,
        "created_at": timestamp(workload.created_at),
        "updated_at": timestamp(process.updated_at),
        "version": workload.version,
        "type": workload.type,
        "command": command,
        "user": workload.user,
        "instances": workload.instances,
        "memory_in_mb": workload.memory_in_mb,
        "disk_in_mb": workload.disk_in_mb,
        "log_rate_limit_in_bytes_per_second": metadata.log_rate_limit_in_bytes_per_second,
        "registry_credential_last_synced_at": None if synced_at is None else timestamp(synced_at),
        "health_check": _health_check(workload.health_check),
        "readiness_health_check": _health_check(workload.readiness_health_check),
        "relationships": {
            "app": {"data": {"guid": workload.app_guid}},
            "revision": _relationship(process.revision_guid),
            "registry_credential": _relationship(credential),
        },
        "metadata": {"labels": metadata.labels, "annotations": metadata.annotations},
        "links": links,
    }


def present_root(base: str) -> dict[str, Any]:
    """What clients ask first: where the API is, which version it speaks, and that it takes Kubernetes credentials."""
    return {
        "links": {
            "self": {"href": base},
            "cloud_controller_v2": None,
            "cloud_controller_v3": {"href": f"{base}/v3", "meta": {"version": API_VERSION}},
            "network_policy_v0": None,
            "network_policy_v1": None,
            # The Python client looks up where to log in before it is given a token; nothing answers there.
            "login": {"href": base},
            "uaa": None,
            "credhub": None,
            "routing": None,
            "logging": None,
            "log_cache": None,
            "log_stream": None,
            "app_ssh": None,
        },
        "cf_on_k8s": True,
    }


def _health_check(check: HealthCheck) -> dict[str, Any]:
    return {
        "type": check.type,
        "data": {
            "timeout": check.timeout,
            "invocation_timeout": check.invocation_timeout,
            "interval": check.interval,
            "endpoint": check.endpoint,
        },
    }


def _relationship(guid: str | None) -> dict[str, Any] | None:
    return {"data": {"guid": guid}} if guid else None


def _link(href: str, method: str = "GET") -> dict[str, str]:
    return {"href": href, "method": method}


@dataclass(frozen=True, slots=True)
class Row:
    """A process of a list, encoded; `digest` stands for the bytes in the list's ETag."""

    process: Process
    encoded: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class Body:
    """A list, encoded, with its ETag: good while the same processes stand on the page, of the same total."""

    selection: Selection
    encoded: bytes
    etag: str


class Pages:
    """Lists as bytes. Rows and whole bodies are kept while there is room: what stays the same is encoded once."""

    def __init__(self, rows_bytes: int = 10 << 20, bodies_bytes: int = 8 << 20) -> None:
        self._rows: Kept[tuple[str, str], Row] = Kept(rows_bytes)
        """By base URL and GUID."""
        self._bodies: Kept[tuple[str, PageRequest, Pairs], Body] = Kept(bodies_bytes)
        """By what the links say."""
        self._turns = Turns()

    async def encode(self, selection: Selection, page: PageRequest, base: str, path: str, pairs: Pairs) -> Body:
        """The body of a list at `base` + `path`; `pairs` of the query are repeated in its links."""
        key = (base + path, page, pairs)
        body = self._bodies.get(key)
        if body is None or not (body.selection is selection or body.selection == selection):
            body = await self._turns.take(self._encode(selection, page, base, path, pairs))
            self._bodies.put(key, body, len(body.encoded))
        if len(body.encoded) > LARGE:
            # Handing megabytes to the socket takes milliseconds, and readers wake up in flocks.
            await self._turns.wait()
        return body

    def _encode(
        self, selection: Selection, page: PageRequest, base: str, path: str, pairs: Pairs
    ) -> Generator[None, None, Body]:
        rows = []
        for process in selection.processes:
            row = self._rows.get((base, process.workload.guid))
            if row is None or row.process is not process:
                row = self._encode_row(process, base)
                yield
            rows.append(row)
        head = orjson.dumps(_pagination(selection.total_results, page, base + path, pairs))
        # The same six keys twice: flat as on the reference page, and under `pagination`, where clients look.
        before, after = head[:-1] + b',"resources":[', b'],"pagination":' + head + b"}"
        parts = [row.encoded for row in rows] or [b""]
        parts[0] = before + parts[0]
        parts[-1] += after
        yield
        digest = hashlib.blake2b(head + b"".join([row.digest for row in rows]), digest_size=16)
        return Body(selection, b",".join(parts), digest.hexdigest())

    def _encode_row(self, process: Process, base: str) -> Row:
        encoded = orjson.dumps(present_process(process, base, command=HIDDEN_COMMAND))
        # Copied, for orjson leaves its output in a buffer of several times the size.
        encoded = bytes(memoryview(encoded))
        row = Row(process, encoded, hashlib.blake2b(encoded, digest_size=12).digest())
        self._rows.put((base, process.workload.guid), row, len(encoded))
        return row


def _pagination(total_results: int, page: PageRequest, url: str, pairs: Pairs) -> dict[str, Any]:
    numbers = page_numbers(page, total_results)
    hrefs = _Hrefs(url, pairs, page.per_page)
    return {
        "total_results": total_results,
        "total_pages": numbers.total_pages,
        "first": _link(hrefs.page(1)),
        "last": _link(hrefs.page(numbers.total_pages)),
        "next": None if numbers.next is None else _link(hrefs.page(numbers.next)),
        "previous": None if numbers.previous is None else _link(hrefs.page(numbers.previous)),
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
