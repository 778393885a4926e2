"""aiohttp's protocol, whose own failures have the API's error shape, and log nothing of what was sent."""

from typing import Any

from aiohttp import hdrs, web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from service.errors import CloudFoundryError, InvalidRequest, UnknownError
from service.http.middlewares import REQUEST_ID, SERVER
from service.http.replies import error_response
from service.telemetry import get_logger, new_request_id, outline

log = get_logger(__name__)

MAXIMUM_LINE = 64 * 1024
"""Bytes of the request line: room for the longest lists of GUIDs clients send."""
MAXIMUM_FIELD = 32 * 1024
"""Bytes of one header: room for a token with many groups."""


class Protocol(RequestHandler):
    """One connection, as far as aiohttp itself answers on it: what is no HTTP, and what no middleware has caught."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer is not None and request.writer.output_size > 0:
            raise ConnectionError("the reply was cut off: its beginning is sent already")
        if isinstance(exc, CloudFoundryError):
            response = error_response(exc)
        elif status >= 500:
            log.error("request failed", **outline(exc))
            response = error_response(UnknownError())
        else:
            response = error_response(InvalidRequest(_complaint(exc)))
        response.headers[REQUEST_ID] = new_request_id(None)
        response.headers[hdrs.SERVER] = SERVER
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """In place of aiohttp's, whose traceback may show what the client sent."""
        log.error("connection failed", **outline(kw.get("exc_info")))


def _complaint(error: BaseException | None) -> str:
    if isinstance(error, LineTooLong):
        return f"The request line is longer than {MAXIMUM_LINE} bytes, or a header longer than {MAXIMUM_FIELD}"
    return "The request is not valid HTTP"
