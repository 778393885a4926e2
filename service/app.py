"""The composition root: makes the parts, joins them, starts them in order and stops them in the reverse."""

import asyncio
import gc
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack
from typing import Any

from aiohttp import web

from service.api import keys, management
from service.api.middlewares import envelop_errors, identify, limit_concurrency, measure
from service.api.presenters import Pages
from service.api.rate_limits import RateLimits
from service.api.routes import ROUTES, add_routes
from service.cluster.access import Access, ClusterAccess, Unrestricted
from service.cluster.client import Client
from service.cluster.feeds import DeploymentFeed, NamespaceFeed
from service.cluster.watch import Reflector
from service.health import Health
from service.metrics import parts
from service.metrics.registry import Metrics
from service.model.index import Index
from service.operations import Processes
from service.settings import Settings
from service.store.mirror import Mirror
from service.telemetry import get_logger

log = get_logger(__name__)

DEPLOYMENTS, NAMESPACES = "/apis/apps/v1/deployments", "/api/v1/namespaces"


def build(settings: Settings) -> web.Application:
    """The API's application; its parts start with it."""
    health, metrics = Health(), Metrics()
    parts.measure_process(metrics, health)
    app = web.Application(
        middlewares=[
            measure(parts.measure_requests(metrics)),
            identify(log_all=settings.log_level == "debug"),
            envelop_errors,
            limit_concurrency(settings.max_concurrent_requests),
        ],
        client_max_size=settings.max_body_bytes,
    )
    app[keys.SETTINGS] = settings
    app[keys.HEALTH] = health
    app[keys.METRICS] = metrics
    app[keys.PAGES] = Pages()
    if settings.rate_limit_requests:
        limits = app[keys.RATE_LIMITS] = RateLimits(
            settings.rate_limit_requests, settings.rate_limit_window_s, trusted_proxies=settings.trusted_proxies
        )
        app.on_response_prepare.append(limits.tell)
    add_routes(app, ROUTES)
    app.cleanup_ctx.append(_parts)
    return app


def build_management(app: web.Application) -> web.Application:
    """The application of probes and metrics that goes with the API's; to be served for longer than that."""
    return management.build(app[keys.HEALTH], app[keys.METRICS], log_all=app[keys.SETTINGS].log_level == "debug")


async def _parts(app: web.Application) -> AsyncIterator[None]:
    settings, health, metrics = app[keys.SETTINGS], app[keys.HEALTH], app[keys.METRICS]
    async with AsyncExitStack() as stack:
        index = Index()
        client = await Client.connect(
            settings.kubeconfig,
            settings.kube_context,
            timeout_s=settings.kube_timeout_s,
            on_answer=parts.measure_kube_requests(metrics),
        )
        stack.push_async_callback(client.close)

        access: Access = Unrestricted()
        if settings.authentication == "kubernetes":
            access = reviews = ClusterAccess(
                client,
                ttl_s=settings.review_ttl_s,
                grace_s=settings.review_grace_s,
                timeout_s=settings.kube_timeout_s,
                concurrency=settings.review_concurrency,
            )
            stack.push_async_callback(reviews.close)
            parts.measure_reviews(metrics, reviews.reviews)

        mirror = Mirror(settings.database_url, index, timeout_s=settings.database_timeout_s, on_change=health.changed)
        deployments = DeploymentFeed(index, settings.keys)
        watches = {
            "namespaces": Reflector(
                client,
                NAMESPACES,
                NamespaceFeed(index, settings.keys),
                inactivity_s=settings.watch_inactivity_s,
                on_change=health.changed,
            ),
            "deployments": Reflector(
                client,
                DEPLOYMENTS,
                deployments,
                label_selector=settings.keys.app_guid,
                inactivity_s=settings.watch_inactivity_s,
                on_change=health.changed,
            ),
        }
        states = {name: watch.state for name, watch in watches.items()}
        health.follow(
            states,
            mirror.state,
            lambda: {"processes": len(index), "conflicts": len(index.conflicts), "skipped": len(deployments.skipped)},
        )
        parts.measure_index(metrics, index, deployments)
        parts.measure_watches(metrics, states)
        parts.measure_metadata(metrics, mirror.state)
        app[keys.ACCESS] = access
        app[keys.PROCESSES] = Processes(index, access, mirror, health)
        # What is there now stays: without this, each full collection while loading would look through all of it.
        gc.collect()
        gc.freeze()
        # Next to nothing here is held by cycles, and each look for them goes through every large set of a search.
        gc.set_threshold(50_000, 20, 50)
        _start(stack, "loop lag", parts.measure_event_loop(metrics).run(), health)
        for name, work in (("mirror", mirror.run()), *((name, watch.run()) for name, watch in watches.items())):
            _start(stack, name, work, health)
        yield


def _start(stack: AsyncExitStack, name: str, work: Coroutine[Any, Any, None], health: Health) -> None:
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(lambda ended: None if ended.cancelled() else health.break_down(name))

    async def stop() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(stop)
