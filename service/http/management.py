"""What operators' machines ask, on a port of its own: out of callers' reach, and of the limits set for them."""

from aiohttp import hdrs, web

from service.health import Health
from service.http.keys import HEALTH, METRICS
from service.http.middlewares import envelop_errors, identify
from service.http.routing import Route, add_routes
from service.metrics.registry import Metrics


def build(health: Health, metrics: Metrics, *, log_all: bool) -> web.Application:
    """The application. It holds nothing of its own, so that it can answer before the API's starts and after it ends."""
    app = web.Application(middlewares=[identify(log_all=log_all), envelop_errors])
    app[HEALTH] = health
    app[METRICS] = metrics
    add_routes(app, ROUTES)
    return app


async def livez(request: web.Request) -> web.Response:
    """GET /livez: 200 while the event loop turns and all background work goes on."""
    alive = request.app[HEALTH].alive
    return web.json_response({"status": "alive" if alive else "broken"}, status=200 if alive else 503)


async def readyz(request: web.Request) -> web.Response:
    """GET /readyz: 200 when lists are complete and the service is not about to stop; what is missing, otherwise."""
    health = request.app[HEALTH]
    return web.json_response(health.report(), status=200 if health.ready else 503)


async def metrics(request: web.Request) -> web.Response:
    """GET /metrics: for Prometheus, in the format it asks for."""
    body, content_type = request.app[METRICS].exposition(request.headers.get(hdrs.ACCEPT, ""))
    return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})


ROUTES = (
    Route("GET", "/livez", livez),
    Route("GET", "/readyz", readyz),
    Route("GET", "/metrics", metrics),
)
