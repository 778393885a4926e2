"""The composition root: makes the catalogue, joins them, starts them in order and stops them in the reverse."""

import asyncio
import gc
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack
from typing import Any

from aiohttp import web

from service.access import Access, Unrestricted
from service.api.document import Document
from service.api.keys import DOCUMENT, INSTANCES, PAGES, PROCESSES, WRITING
from service.api.pages import Pages
from service.api.routes import ROUTES
from service.cluster.access import ClusterAccess
from service.cluster.client import Client
from service.cluster.feeds import (
    DEPLOYMENTS,
    NAMESPACES,
    PODS,
    REPLICA_SETS,
    DeploymentFeed,
    NamespaceFeed,
    PodFeed,
    ReplicaSetFeed,
)
from service.cluster.usage import UsageReader
from service.cluster.watch import Reflector
from service.cluster.workloads import Workloads
from service.dashboard.keys import OVERVIEW, PROBLEMS, STREAMS
from service.dashboard.routes import add_dashboard
from service.freshness import ReadBarrier, RowIntake
from service.health import POD_WATCH, REPLICA_SET_WATCH, Health
from service.http import management
from service.http.keys import ACCESS, HEALTH, METRICS, RATE_LIMITS, SETTINGS
from service.http.middlewares import envelop_errors, identify, limit_concurrency, measure
from service.http.rate_limits import RateLimits
from service.http.routing import add_routes
from service.metrics import catalogue
from service.metrics.registry import Metrics
from service.model.index import Index
from service.model.instances import Numbering
from service.model.pod_index import PodIndex
from service.model.pods import State
from service.operations.instances import Instances
from service.operations.overview import Overview
from service.operations.problems import Problems
from service.operations.reads import Processes
from service.operations.writes import Writing
from service.settings import Settings
from service.store.database import Pool
from service.store.mirror import Mirror
from service.store.records import Records
from service.telemetry import get_logger

log = get_logger(__name__)


def build(settings: Settings) -> web.Application:
    """The API's application; its catalogue start with it."""
    health, metrics = Health(), Metrics()
    catalogue.measure_process(metrics, health)
    app = web.Application(
        middlewares=[
            measure(catalogue.measure_requests(metrics)),
            identify(log_all=settings.log_level == "debug"),
            envelop_errors,
            limit_concurrency(settings.max_concurrent_requests),
        ],
        client_max_size=settings.max_body_bytes,
    )
    app[SETTINGS] = settings
    app[HEALTH] = health
    app[METRICS] = metrics
    app[PAGES] = Pages()
    app[DOCUMENT] = Document(ROUTES, settings.uids)
    if settings.rate_limit_requests:
        limits = app[RATE_LIMITS] = RateLimits(
            settings.rate_limit_requests, settings.rate_limit_window_s, trusted_proxies=settings.trusted_proxies
        )
        app.on_response_prepare.append(limits.tell)
    add_dashboard(app)
    catalogue.measure_streams(metrics, app[STREAMS])
    add_routes(app, ROUTES)
    app.cleanup_ctx.append(_parts)
    return app


def build_management(app: web.Application) -> web.Application:
    """The application of probes and metrics that goes with the API's; to be served for longer than that."""
    return management.build(app[HEALTH], app[METRICS], log_all=app[SETTINGS].log_level == "debug")


async def _parts(app: web.Application) -> AsyncIterator[None]:
    settings, health, metrics = app[SETTINGS], app[HEALTH], app[METRICS]
    async with AsyncExitStack() as stack:
        client, callers, pool = await _connect(stack, settings, metrics)
        access = _access(stack, client, settings, metrics)
        index, pods, numbering = Index(), PodIndex(), Numbering()
        deployments = DeploymentFeed(index, settings.keys)
        pod_feed = PodFeed(pods, State.STOPPING if settings.instance_stopping_state else State.DOWN)
        labelled = settings.keys.app_guid
        watches = {
            name: Reflector(
                client,
                path,
                feed,
                label_selector=selector,
                inactivity_s=settings.watch_inactivity_s,
                on_change=health.changed,
            )
            for name, path, feed, selector in (
                ("namespaces", NAMESPACES, NamespaceFeed(index, settings.keys), ""),
                ("deployments", DEPLOYMENTS, deployments, labelled),
                (REPLICA_SET_WATCH, REPLICA_SETS, ReplicaSetFeed(pods), labelled),
                (POD_WATCH, PODS, pod_feed, labelled),
            )
        }
        states = {name: watch.state for name, watch in watches.items()}
        intake = RowIntake(index, numbering, deployments.versions, pod_feed.versions)
        mirror = Mirror(
            settings.database_url,
            intake,
            timeout_s=settings.database_timeout_s,
            on_change=health.changed,
        )
        health.follow(
            states,
            mirror.state,
            lambda: {
                "processes": len(index),
                "pods": len(pods),
                "conflicts": len(index.conflicts),
                "skipped": len(deployments.skipped),
            },
        )
        workloads, records = Workloads(client, callers, deployments.recent, settings.keys), Records(pool)
        currency = ReadBarrier(index, pods, deployments, pod_feed, mirror, intake, workloads, health)
        processes = Processes(index, access, currency)
        instances = Instances(
            processes,
            index,
            pods,
            deployments.versions,
            pod_feed.versions,
            numbering,
            records,
            UsageReader(client, settings.keys),
            currency,
            health,
        )
        catalogue.measure_index(metrics, index, pods, deployments)
        catalogue.measure_watches(metrics, states)
        catalogue.measure_metadata(metrics, mirror.state)
        app[ACCESS] = access
        app[PROCESSES] = processes
        app[INSTANCES] = instances
        app[OVERVIEW] = Overview(index, pods, access, currency)
        app[PROBLEMS] = Problems(index, access, deployments)
        app[WRITING] = Writing(
            index, access, processes, instances, workloads, records, deployments, pod_feed, currency, health
        )
        # What is there now stays: without this, each full collection while loading would look through all of it.
        gc.collect()
        gc.freeze()
        # Next to nothing here is held by cycles, and each look for them goes through every large set of a search.
        gc.set_threshold(50_000, 20, 50)
        _start(stack, "loop lag", catalogue.measure_event_loop(metrics).run(), health)
        for name, work in (("mirror", mirror.run()), *((name, watch.run()) for name, watch in watches.items())):
            _start(stack, name, work, health)
        yield


async def _connect(stack: AsyncExitStack, settings: Settings, metrics: Metrics) -> tuple[Client, Client, Pool]:
    """Clients of the cluster, as ourselves and for callers, and connections to Postgres; none has been asked yet."""
    client = await Client.connect(
        settings.kubeconfig,
        settings.kube_context,
        timeout_s=settings.kube_timeout_s,
        on_answer=catalogue.measure_kube_requests(metrics),
    )
    stack.push_async_callback(client.close)
    callers = client.without_identity()
    stack.push_async_callback(callers.close)
    pool = await Pool.open(
        settings.database_url, size=settings.database_pool_size, timeout_s=settings.database_timeout_s
    )
    stack.push_async_callback(pool.close)
    catalogue.measure_pool(metrics, pool)
    return client, callers, pool


def _access(stack: AsyncExitStack, client: Client, settings: Settings, metrics: Metrics) -> Access:
    if settings.authentication == "none":
        return Unrestricted()
    access = ClusterAccess(
        client,
        ttl_s=settings.review_ttl_s,
        grace_s=settings.review_grace_s,
        timeout_s=settings.kube_timeout_s,
        concurrency=settings.review_concurrency,
    )
    stack.push_async_callback(access.close)
    catalogue.measure_reviews(metrics, access.reviews)
    return access


def _start(stack: AsyncExitStack, name: str, work: Coroutine[Any, Any, None], health: Health) -> None:
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(lambda ended: None if ended.cancelled() else health.break_down(name))

    async def stop() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(stop)
