"""What surrounds every handler, outermost first: measuring, identification, the error envelope, limits."""

import logging
import re
import time
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from service.errors import CloudFoundryError, InvalidRequest, UnknownError, UnknownRequest
from service.http.decoding import check_decodable
from service.http.replies import error_response
from service.http.work import Work
from service.metrics.numbers import Requests, Series
from service.telemetry import get_logger, new_request_id, outline, request_id

log = get_logger(__name__)

REQUEST_ID = "X-Vcap-Request-Id"
SERVER = "cf-processes"

_LOOPBACK_NAME = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?", re.ASCII | re.IGNORECASE)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def measure(requests: Requests) -> Middleware:
    """A middleware that counts requests and times them."""
    known: dict[web.AbstractRoute, Series] = {}

    @web.middleware
    async def measure_request(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        requests.in_flight += 1
        try:
            response = await handler(request)
        finally:
            requests.in_flight -= 1
        route = request.match_info.route
        series = known.get(route)
        if series is None:
            if route.resource is None:
                # aiohttp makes a new one each time; and a method, too, may be anything.
                method = request.method if request.method in hdrs.METH_ALL else "other"
                series = requests.series(method, "unknown")
            else:
                series = known[route] = requests.series(route.method, route.resource.canonical)
        series.observe(response.status, time.perf_counter() - started)
        return response

    return measure_request


def given_id(request: web.BaseRequest) -> str | None:
    """The id that a caller gives their request."""
    return request.headers.get(REQUEST_ID) or request.headers.get("X-Request-Id")


def identify(*, log_all: bool) -> Middleware:
    """A middleware that gives a request its id, in the reply and in each log line, and logs it: all, or what failed."""

    @web.middleware
    async def identify_request(request: web.Request, handler: Handler) -> web.StreamResponse:
        current = new_request_id(given_id(request))
        request_id.set(current)
        started = time.perf_counter()
        response = await handler(request)
        if not request.content.is_eof():
            # Nobody wanted the rest of the body: it is not waited for.
            response.force_close()
        response.headers[REQUEST_ID] = current
        response.headers[hdrs.SERVER] = SERVER
        if log_all or response.status == 500:
            resource = request.match_info.route.resource
            log.log(
                logging.ERROR if response.status == 500 else logging.DEBUG,
                "request",
                method=request.method,
                # The route, not the path: a path may hold what somebody pasted into the wrong place.
                route=resource.canonical if resource else None,
                status=response.status,
                duration_ms=round((time.perf_counter() - started) * 1000, 1),
            )
        return response

    return identify_request


@web.middleware
async def envelop_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every failure leaves in the API's error shape: ours, aiohttp's own, and defects, whose text nobody sees."""
    try:
        check_decodable(request.raw_path.partition("?")[0])
        return await handler(request)
    except CloudFoundryError as error:
        if error.status >= 500:
            log.warning("request failed", detail=error.detail, reason=getattr(error, "reason", None))
        return error_response(error)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
        return error_response(UnknownRequest())
    except web.HTTPException as error:
        log.info("request refused", status=error.status)
        return error_response(InvalidRequest("The request is not one this API understands"))
    except Exception as error:  # noqa: BLE001 - a defect: logged without what was sent, and answered
        log.error("request failed", **outline(error))
        return error_response(UnknownError())


def limit_concurrency(work: Work) -> Middleware:
    """A middleware that turns requests away while as many are being worked on as may be."""

    @web.middleware
    async def limit(request: web.Request, handler: Handler) -> web.StreamResponse:
        # Not as a context manager: every request comes through here.
        work.begin()
        try:
            return await handler(request)
        finally:
            work.end()

    return limit


@web.middleware
async def only_loopback_names(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Where anyone may read: by no other name. A page can have its own name mean this machine, and read as its own."""
    if not _LOOPBACK_NAME.fullmatch(request.headers.get(hdrs.HOST, "")):
        raise InvalidRequest("Without authentication this API is reached as localhost, 127.0.0.1 or [::1] only")
    return await handler(request)
