"""What it costs to measure: for each request, and for each look of Prometheus at the numbers."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from service.api.routes import OPERATIONS
from service.health import Health
from service.http.middlewares import measure as measuring
from service.metrics.catalogue import measure_process, measure_requests
from service.metrics.registry import Metrics
from tests.bench.report import Row, limited

_REQUESTS, _ROUNDS = 20_000, 15
_STATUSES = (200, 304, 400, 401, 404, 503)
_MOST_US, _MOST_MS = 5, 20

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def measure() -> list[Row]:
    return asyncio.run(_measure())


async def _measure() -> list[Row]:
    metrics = Metrics()
    measure_process(metrics, Health())
    requests = measure_requests(metrics)
    request_us = await _request_us(measuring(requests))
    for route in OPERATIONS:
        for status in _STATUSES:
            requests.series(route.method, route.path).observe(status, 0.001)
    took = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        body, _ = metrics.exposition("")
        took.append((time.perf_counter() - began) * 1e3)
    exposition = f"{statistics.median(took):.1f} ms for {len(body) / 1024:.0f} KiB"
    return [
        limited("counting and timing a request", request_us, _MOST_US, "µs"),
        limited("all of /metrics, every route asked", statistics.median(took), _MOST_MS, "ms", measured=exposition),
    ]


async def _request_us(middleware: Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]) -> float:
    """What a request takes with the middleware less what it takes without, in turns."""
    response = web.Response()

    async def answer(_: web.Request) -> web.StreamResponse:
        return response

    app = web.Application()
    app.router.add_get("/v3/apps/{guid}/processes", answer)
    request = make_mocked_request("GET", "/v3/apps/any/processes")
    request._match_info = await app.router.resolve(request)
    costs = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        for _ in range(_REQUESTS):
            await answer(request)
        between = time.perf_counter()
        for _ in range(_REQUESTS):
            await middleware(request, answer)
        costs.append((time.perf_counter() - between - (between - began)) / _REQUESTS * 1e6)
    return statistics.median(costs)
