"""How every reply is put together: headers, compression, conditional requests, base of links, error envelope."""

import asyncio
import gzip
import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from urllib.parse import quote_plus

import orjson
from aiohttp import hdrs, web

from service.errors import CloudFoundryError, InvalidRequest
from service.freshness import Freshness
from service.http.keys import SETTINGS
from service.http.proxies import is_trusted

CONTENT_TYPE = "application/json; charset=utf-8"
WORTH_COMPRESSING = 1400
"""Bytes: below, the reply fits in one packet anyway."""
_LEVEL = 1
"""Of gzip: this takes half the time of the usual 6, which makes pages smaller by a tenth only."""
_COMPRESS_ELSEWHERE = 32 * 1024
"""Bytes from which compressing is a thread's work, so as not to hold up the event loop."""

_LARGE = 64 * 1024
"""Bytes from which a body is sent as it is, rather than copied behind the head of its reply."""

# A weight of 0 means "anything but".
_ACCEPTS_GZIP = re.compile(r"(?:^|,)\s*gzip\s*(?:;\s*q=(?!0(?:\.0*)?\s*(?:,|$))|,|$)", re.IGNORECASE)
_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?", re.ASCII)


def base_url(request: web.Request) -> str:
    """`scheme://host` under which the caller reaches us, so that links lead back there. Raises InvalidRequest."""
    settings = request.app[SETTINGS]
    if settings.external_url:
        return settings.external_url.rstrip("/")
    scheme, host = request.scheme, request.headers.get(hdrs.HOST, "")
    if settings.trusted_proxies and is_trusted(request.remote, settings.trusted_proxies):
        scheme = request.headers.get(hdrs.X_FORWARDED_PROTO, scheme).partition(",")[0].strip()
        host = request.headers.get(hdrs.X_FORWARDED_HOST, host).partition(",")[0].strip()
    base = _base(scheme, host)
    if base is None:
        raise InvalidRequest("The Host header is not a host name with an optional port")
    return base


@lru_cache(maxsize=256)
def _base(scheme: str, host: str) -> str | None:
    return f"{scheme}://{host}" if scheme in ("http", "https") and _HOST.fullmatch(host) else None


LONGEST_WARNINGS = 4096
"""Characters of the header that holds warnings, form-encoded: proxies and clients refuse heads of a few KiB."""
STATS_UNAVAILABLE = "Stats server temporarily unavailable."
LAGGING = "The metadata store cannot be reached: other replicas may show this change later"


def written(body: bytes, status: int, *, warnings: Sequence[str | None] = ()) -> web.Response:
    """What a write has made."""
    headers = {hdrs.CONTENT_TYPE: CONTENT_TYPE, **_cf_warnings(warnings)}
    return web.Response(status=status, body=body, headers=headers)


def nothing(*, warnings: Sequence[str | None] = ()) -> web.Response:
    """204: it is done, and there is nothing to show."""
    return web.Response(status=204, headers=_cf_warnings(warnings))


class _Large(web.Response):
    """A reply whose head is sent by itself: aiohttp joins the two, and each client that is slow would hold a copy."""

    async def write_eof(self, data: bytes = b"") -> None:
        if self._payload_writer is not None:
            self._payload_writer.send_headers()
        await super().write_eof(data)


async def answer(
    request: web.Request,
    body: bytes,
    freshness: Freshness,
    *,
    etag: str | None = None,
    warnings: Sequence[str | None] = (),
    content_type: str = CONTENT_TYPE,
) -> web.Response:
    """200 with a body, or 304 when the caller has it already. `etag` is computed from the body unless given.

    `warnings` are for people to read; a None among them stands for one that there is no reason for.
    """
    tag = etag or hashlib.blake2b(body, digest_size=16).hexdigest()
    compress = _is_worth_compressing(request, body)
    headers = _headers(tag, compress, freshness.warnings(), warnings)
    if _matches(request.headers.get(hdrs.IF_NONE_MATCH), tag):
        return web.Response(status=304, headers=headers)
    headers[hdrs.CONTENT_TYPE] = content_type
    kind = _Large if len(body) > _LARGE else web.Response
    if compress:
        headers[hdrs.CONTENT_ENCODING] = "gzip"
        body = await _gzipped(body)
    return kind(body=body, headers=headers)


def _headers(tag: str, compress: bool, stale: Sequence[str], warnings: Sequence[str | None]) -> dict[str, str]:
    headers: dict[str, str] = {
        # A strong ETag names bytes, and the compressed ones are others.
        hdrs.ETAG: f'"{tag}-gzip"' if compress else f'"{tag}"',
        hdrs.VARY: "Accept-Encoding, Authorization",
        hdrs.CACHE_CONTROL: "private, no-cache",
    }
    if stale or any(warnings):
        headers |= _marks(stale, warnings)
    return headers


async def _gzipped(body: bytes) -> bytes:
    """The same bytes each time, as a strong ETag promises."""
    if len(body) < _COMPRESS_ELSEWHERE:
        return gzip.compress(body, _LEVEL, mtime=0)
    return await asyncio.to_thread(gzip.compress, body, _LEVEL, mtime=0)


def page_response(request: web.Request, body: bytes, status: int) -> web.Response:
    """A page, compressed where the browser takes that and it is worth it."""
    headers = {hdrs.CONTENT_TYPE: "text/html; charset=utf-8", hdrs.VARY: "Accept, Accept-Encoding, Cookie"}
    response = web.Response(status=status, body=body, headers=headers, zlib_executor_size=_COMPRESS_ELSEWHERE)
    if _is_worth_compressing(request, body):
        response.enable_compression(web.ContentCoding.gzip)
    return response


def _is_worth_compressing(request: web.Request, body: bytes) -> bool:
    accepted = request.headers.get(hdrs.ACCEPT_ENCODING)
    return accepted is not None and len(body) >= WORTH_COMPRESSING and bool(_ACCEPTS_GZIP.search(accepted))


def _marks(stale: Sequence[str], warnings: Sequence[str | None] = ()) -> dict[str, str]:
    """The headers that say why an answer may be out of date, and what else there is to warn of."""
    headers = _cf_warnings([*stale, *warnings])
    if stale:
        headers[hdrs.WARNING] = ", ".join(f'110 - "{text}"' for text in stale)
    return headers


def _cf_warnings(warnings: Iterable[str | None]) -> dict[str, str]:
    header = ""
    for text in warnings:
        # What has no room is left out as a whole: clients fail on an escape that is cut in two.
        if text is not None and len(longer := f"{header},{quote_plus(text)}".lstrip(",")) <= LONGEST_WARNINGS:
            header = longer
    return {"X-Cf-Warnings": header} if header else {}


def _matches(if_none_match: str | None, tag: str) -> bool:
    if if_none_match is None:
        return False
    given = {part.strip().removeprefix("W/") for part in if_none_match.split(",")}
    return not given.isdisjoint(("*", f'"{tag}"', f'"{tag}-gzip"'))


def error_response(error: CloudFoundryError) -> web.Response:
    """The error envelope."""
    headers = {hdrs.CONTENT_TYPE: CONTENT_TYPE, **_marks(error.stale)}
    if error.retry_after_s is not None:
        headers[hdrs.RETRY_AFTER] = str(error.retry_after_s)
    if error.status == 401:
        headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
    return web.Response(status=error.status, body=orjson.dumps(error.body()), headers=headers)
