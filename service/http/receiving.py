"""Bodies of requests: received only once it is known that they are wanted, in pieces, and never more than is wanted."""

import asyncio
import zlib
from collections.abc import Mapping
from contextlib import nullcontext
from typing import cast
from urllib.parse import parse_qsl

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from service.errors import BodyTooLarge, InvalidRequest, MessageParseError, ServiceUnavailable
from service.http.connection import READ_AHEAD, Connection
from service.http.keys import WORK
from service.pacing import SERVED

LARGEST_FORM = 16 * 1024
"""Bytes: room for the largest token that is taken."""
MOST_FIELDS = 50
_PIECE, _PACKED_PIECE = 32 * 1024, 4 * 1024
"""Bytes that are decompressed at a time, out of so many; then others have their turn."""
_FORM = "application/x-www-form-urlencoded"
_FIELDS: web.RequestKey[Mapping[str, str]] = web.RequestKey("fields", Mapping)


async def receive(request: web.Request, most: int) -> bytes:
    """The body, decompressed, of `most` bytes; to be asked for when it is known that the caller may send one.

    Raises BodyTooLarge; MessageParseError where it is broken off, or not compressed as it says; RequestTimeout where it
    does not come in time; and ServiceUnavailable where too much is being received.
    """
    if (request.content_length or 0) > most:
        raise BodyTooLarge
    try:
        body = await _collect(request, most)
    except (web.RequestPayloadError, HttpProcessingError, ConnectionError) as error:
        # The request's content keeps it, and it would keep the frames it came through, with all that has been received.
        error.__traceback__ = None
        raise MessageParseError from None
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, "").lower()
    return await _inflate(body, encoding, most) if body and encoding in ("gzip", "deflate") else body


async def read_form(request: web.Request) -> Mapping[str, str]:
    """The fields of a form, of each name the last. Raises InvalidRequest for what is no form, and as `receive` does."""
    if _FIELDS in request:
        return request[_FIELDS]
    body = await receive(request, LARGEST_FORM)
    if body and request.content_type != _FORM:
        raise InvalidRequest(f"A form is to be sent as {_FORM}")
    try:
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS))
    except ValueError:
        # NB: its text, and that of what caused it, may quote what was sent: a token.
        raise InvalidRequest("The form is not one of ours, or not UTF-8") from None
    request[_FIELDS] = fields
    return fields


async def _collect(request: web.Request, most: int) -> bytes:
    """The body as it comes."""
    content, connection = request.content, cast(Connection, request.protocol)
    if content.is_eof():
        return await _gather(request, connection, most)
    if request.transport is None:
        # The client went while it was asked who they are. To wait for more is a defect to aiohttp.
        raise MessageParseError
    if connection.full and (request.content_length or most) > READ_AHEAD:
        # What is small is held by then anyway.
        raise ServiceUnavailable("Too much is being received at the moment", retry_after_s=1)
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue" and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # As aiohttp does: of the reply itself nothing is sent yet.
        request.writer.output_size = 0
    work = request.app.get(WORK)
    with work.waiting() if work is not None else nullcontext():
        async with connection.receiving():
            return await _gather(request, connection, most)


async def _gather(request: web.Request, connection: Connection, most: int) -> bytes:
    content, body = request.content, bytearray()
    while piece := await content.readany():
        body += piece
        if len(body) > most:
            raise BodyTooLarge
        connection.collected(len(body))
        if len(body) > READ_AHEAD:
            await connection.hold_back(SERVED.get(), len(piece))
    return bytes(body)


async def _inflate(packed: bytes, encoding: str, most: int) -> bytes:
    """What is compressed, as one whole. Raises BodyTooLarge before there is more, and MessageParseError."""
    # What calls itself deflate is that of zlib, which begins so, or the bare one.
    bare = encoding == "deflate" and packed[0] & 0xF != 8
    inflater = zlib.decompressobj(-zlib.MAX_WBITS if bare else zlib.MAX_WBITS | 32)
    body, rest = bytearray(), memoryview(packed)
    while not inflater.eof:
        # What it has not used of all that is left it would copy each time.
        given: bytes | memoryview = inflater.unconsumed_tail
        if not given:
            given, rest = rest[:_PACKED_PIECE], rest[_PACKED_PIECE:]
        try:
            piece = inflater.decompress(given, _PIECE)
        except zlib.error:
            raise MessageParseError from None
        if not given and not piece:
            # It has no end.
            raise MessageParseError
        body += piece
        if len(body) > most:
            raise BodyTooLarge
        await asyncio.sleep(0)
    # One after the other there might be thousands, each of next to nothing.
    if inflater.unused_data or rest:
        raise MessageParseError
    return bytes(body)
