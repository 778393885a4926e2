"""The composition root: makes the catalogue, joins them, starts them in order and stops them in the reverse."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack
from typing import Any

from aiohttp import web

from service import garbage
from service.access import Access, Unrestricted
from service.api.document import Document
from service.api.keys import APP_WRITES, DOCUMENT, INSTANCES, LISTS, PAGES, WRITES
from service.api.not_here import NOT_HERE
from service.api.pages import Pages
from service.api.readable import READS
from service.api.resources.apps.resource import READABLE as APPS
from service.api.resources.instances.bodies import STATS_BODIES, StatsBodies
from service.api.resources.processes.resource import READABLE as PROCESSES
from service.api.resources.spaces import READABLE as SPACES
from service.api.routes import READABLE, lists_of, served_of
from service.cluster.access import ClusterAccess
from service.cluster.client import Client
from service.cluster.workloads import Workloads
from service.dashboard.keys import OVERVIEW, PROBLEMS, STREAMS
from service.dashboard.routes import add_dashboard
from service.freshness import ReadBarrier
from service.health import Health
from service.http import management
from service.http.connections import Traffic
from service.http.keys import ACCESS, HEALTH, METRICS, RATE_LIMITS, SETTINGS, TRAFFIC, WORK
from service.http.middlewares import envelop_errors, identify, limit_concurrency, measure, only_loopback_names
from service.http.rate_limits import RateLimits
from service.http.ready_answers import READY_ANSWERS, ReadyAnswers
from service.http.routing import add_routes
from service.http.work import Work
from service.lost_versions import LostVersions
from service.memory import Memory
from service.metrics import catalogue
from service.metrics.registry import Metrics
from service.model.process import Process
from service.operations.app_writes import AppWrites
from service.operations.instances import Instances
from service.operations.one_store import OneStore
from service.operations.outcomes import Outcomes
from service.operations.overview import Overview
from service.operations.problems import Problems
from service.operations.pruning import Pruning
from service.operations.reads import Reads
from service.operations.two_stores import TwoStores
from service.operations.writes import Writes
from service.settings import Settings
from service.store.orphans import Orphans
from service.store.records import Records
from service.stores import Stores
from service.telemetry import get_logger

log = get_logger(__name__)


def build(settings: Settings) -> web.Application:
    """The API's application. What it is made of starts with it."""
    health, metrics = Health(), Metrics()
    catalogue.measure_process(metrics, health)
    requests, work = catalogue.measure_requests(metrics), Work(settings.max_concurrent_requests)
    log_all = settings.log_level == "debug"
    app = web.Application(
        middlewares=[
            measure(requests),
            identify(log_all=log_all),
            envelop_errors,
            *((only_loopback_names,) if settings.authentication == "none" else ()),
            limit_concurrency(work),
        ],
    )
    app[SETTINGS] = settings
    app[WORK] = work
    traffic = app[TRAFFIC] = Traffic()
    catalogue.measure_traffic(metrics, traffic)
    app[HEALTH] = health
    app[METRICS] = metrics
    app[PAGES] = Pages()
    app[STATS_BODIES] = StatsBodies(settings.fds_quota)
    served = served_of(settings.served)
    app[DOCUMENT] = Document(served, settings.uids)
    app[LISTS] = lists_of(served)
    limits = _rate_limits(app)
    if not log_all:
        by_address = bool(settings.trusted_proxies)
        app[READY_ANSWERS] = ReadyAnswers(work=work, requests=requests, limits=limits, by_address=by_address)
        catalogue.measure_ready_answers(metrics, app[READY_ANSWERS])
    add_dashboard(app)
    catalogue.measure_streams(metrics, app[STREAMS])
    add_routes(app, (operation for resource in served for operation in resource.operations))
    if settings.served == "all":
        # After what is served: a path may be there for one method, and its others be done elsewhere.
        add_routes(app, NOT_HERE)
    app.cleanup_ctx.append(_parts)
    return app


def _rate_limits(app: web.Application) -> RateLimits | None:
    settings = app[SETTINGS]
    if not settings.rate_limit_requests:
        return None
    limits = app[RATE_LIMITS] = RateLimits(
        settings.rate_limit_requests, settings.rate_limit_window_s, trusted_proxies=settings.trusted_proxies
    )
    app.on_response_prepare.append(limits.tell)
    return limits


def build_management(app: web.Application) -> web.Application:
    """The application of probes and metrics that goes with the API's; to be served for longer than that."""
    return management.build(app[HEALTH], app[METRICS], log_all=app[SETTINGS].log_level == "debug")


async def _parts(app: web.Application) -> AsyncIterator[None]:
    settings, health, metrics = app[SETTINGS], app[HEALTH], app[METRICS]
    async with AsyncExitStack() as stack:
        stores = await Stores.connect(stack, settings, metrics)
        access = _access(stack, stores.client, settings, metrics)
        memory = Memory.of(stores.client, settings, health)
        health.follow(memory.watch_states, memory.mirror.state, memory.counts, memory.optional_watches)
        _measure(metrics, memory)
        pruning = _provide(app, stores, access, memory)
        catalogue.measure_pruning(metrics, pruning.done)
        garbage.prepare()
        _start(stack, "loop lag", catalogue.measure_event_loop(metrics).run(), health)
        _start(stack, "mirror", memory.mirror.run(), health)
        for name, watch in memory.every_watch.items():
            _start(stack, name, watch.run(), health)
        _start(stack, "routing", memory.routing.run(), health)
        _start(stack, "pruning", pruning.run(), health)
        lost_versions = LostVersions(stores.client, Records(stores.pool), health)
        memory.deployments.on_list = lost_versions.due
        _start(stack, "lost versions", lost_versions.run(), health)
        yield


def _measure(metrics: Metrics, memory: Memory) -> None:
    catalogue.measure_index(metrics, memory.index, memory.pods, memory.deployments)
    catalogue.measure_skips(metrics, memory.skips)
    catalogue.measure_watches(metrics, {name: watch.state for name, watch in memory.every_watch.items()})
    catalogue.measure_metadata(metrics, memory.mirror.state)


def _provide(app: web.Application, stores: Stores, access: Access, memory: Memory) -> Pruning:
    """Give the handlers their operations. What is returned is to be run."""
    settings, health = app[SETTINGS], app[HEALTH]
    workloads = Workloads(
        client=stores.client,
        callers=stores.callers,
        cache=memory.deployments.cache,
        keys=settings.keys,
        write_timeout_s=settings.kube_write_timeout_s,
    )
    records = Records(stores.pool)
    barrier = _barrier(memory, workloads, health)
    app[READS] = {
        readable.plural: Reads(readable.collection(memory.index), access, barrier, share=1 / len(READABLE))
        for readable in READABLE.values()
    }
    processes = PROCESSES.reads(app)
    instances = _instances(stores, memory, settings, processes, barrier, health)
    app[ACCESS] = access
    app[INSTANCES] = instances
    app[OVERVIEW] = _overview(app, access, memory)
    app[PROBLEMS] = Problems(memory.index, access, memory.deployments, memory.mirror.state)
    _provide_writes(app, access, memory, workloads, barrier, records)
    return Pruning(
        index=memory.index,
        deployments=memory.deployments,
        orphans=Orphans(stores.pool),
        health=health,
        days=settings.orphaned_metadata_days,
    )


def _provide_writes(
    app: web.Application,
    access: Access,
    memory: Memory,
    workloads: Workloads,
    barrier: ReadBarrier,
    records: Records,
) -> None:
    """Give the handlers what changes something."""
    outcomes = Outcomes(memory.index, records, memory.deployments, barrier)
    one_store = OneStore(workloads, records, outcomes)
    app[WRITES] = Writes(
        access=access,
        reads=PROCESSES.reads(app),
        instances=app[INSTANCES],
        workloads=workloads,
        records=records,
        pods=memory.pod_feed,
        one_store=one_store,
        two_stores=TwoStores(workloads, records, outcomes, one_store),
        autoscalers=memory.autoscalers,
        health=app[HEALTH],
    )
    app[APP_WRITES] = AppWrites(
        access=access,
        reads=APPS.reads(app),
        workloads=workloads,
        one_store=one_store,
        records=records,
        barrier=barrier,
    )


def _barrier(memory: Memory, workloads: Workloads, health: Health) -> ReadBarrier:
    return ReadBarrier(
        index=memory.index,
        pods=memory.pods,
        deployment_feed=memory.deployments,
        pod_feed=memory.pod_feed,
        mirror=memory.mirror,
        intake=memory.intake,
        workloads=workloads,
        health=health,
    )


def _overview(app: web.Application, access: Access, memory: Memory) -> Overview:
    return Overview(
        access=access,
        spaces=SPACES.reads(app),
        apps=APPS.reads(app),
        index=memory.index,
        pods=memory.pods,
        autoscalers=memory.autoscalers,
    )


def _instances(
    stores: Stores,
    memory: Memory,
    settings: Settings,
    reads: Reads[Process],
    barrier: ReadBarrier,
    health: Health,
) -> Instances:
    return Instances(
        reads=reads,
        index=memory.index,
        pods=memory.pods,
        deployment_versions=memory.deployments.versions,
        pod_versions=memory.pod_feed.versions,
        numbering=memory.numbering,
        records=Records(stores.pool),
        usage=stores.usage,
        barrier=barrier,
        health=health,
    )


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
