"""THE list of what is measured: each function adds the metrics of one part of the service.

Label values come from what is known beforehand (routes, verbs, kinds of things), never from what callers or the cluster
name: those would be without bound, and some are nobody's business.
"""

import time
from collections.abc import Callable, Mapping, Sized
from typing import Any, Protocol

from service import __version__
from service.cluster.feeds import DeploymentFeed
from service.cluster.reviews import ReviewCache
from service.cluster.watch_state import WatchState
from service.health import Health
from service.metrics.lag import LoopLag
from service.metrics.numbers import Labels, Requests, Timings
from service.metrics.registry import Metrics
from service.model.index import Index
from service.model.pod_index import PodIndex
from service.store.database import Pool
from service.store.mirror import MirrorState
from service.store.orphans import Pruned

REQUEST_BOUNDS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Half a millisecond is what a small answer takes; past ten seconds nobody waits."""
KUBE_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def measure_process(metrics: Metrics, health: Health) -> None:
    metrics.gauge("build_info", "Always 1; the label says what runs.", lambda: {(__version__,): 1.0}, "version")
    metrics.gauge("ready", "1 while /readyz says yes, else 0.", lambda: health.ready)


def measure_requests(metrics: Metrics) -> Requests:
    """Returns the counts, for whoever answers requests of the API to add to."""
    requests = Requests(REQUEST_BOUNDS_S)
    metrics.counter(
        "requests_total",
        "Requests answered by the API, by route: `unknown` where there is none.",
        requests.outcomes,
        "method",
        "route",
        "status",
    )
    metrics.histogram(
        "request_duration_seconds",
        "From a request's head to its answer, not counting the sending.",
        requests.seconds,
        "method",
        "route",
    )
    metrics.gauge("requests_in_flight", "Requests of the API being worked on.", lambda: requests.in_flight)
    return requests


class ReadyAnswers(Protocol):
    """What is measured of answers that are sent again."""

    @property
    def sent(self) -> int: ...


def measure_ready_answers(metrics: Metrics, ready: ReadyAnswers) -> None:
    metrics.counter(
        "ready_answers_total",
        "Requests answered with what the same request was answered with before, as nothing had changed.",
        lambda: ready.sent,
    )


class Traffic(Protocol):
    """What is measured of the connections to the API."""

    @property
    def open(self) -> int: ...

    @property
    def in_flight(self) -> int: ...

    @property
    def given_up(self) -> Mapping[str, int]: ...


def measure_traffic(metrics: Metrics, traffic: Traffic) -> None:
    metrics.gauge("connections", "Connections to the API that are open.", lambda: traffic.open)
    metrics.gauge(
        "bytes_in_flight",
        "Bytes held for clients: of what they have begun to send, and of replies they have not taken.",
        lambda: traffic.in_flight,
    )
    metrics.counter(
        "clients_given_up_total",
        "Clients that were not waited for any longer: they took too long, or others needed the room or the bytes; "
        "`refused`: there was no room for one more.",
        lambda: {(why.replace(" ", "_"),): count for why, count in traffic.given_up.items()},
        "why",
    )


def measure_streams(metrics: Metrics, streams: Sized) -> None:
    metrics.gauge("live_pages", "Pages of the dashboard that are being kept up to date.", lambda: len(streams))


def measure_event_loop(metrics: Metrics) -> LoopLag:
    """Returns what measures it, for the caller to `run`."""
    lag = LoopLag()
    metrics.histogram(
        "event_loop_lag_seconds",
        "How late a timer of the event loop went off; samples are taken ten times a second.",
        lambda: {(): lag.seconds},
    )
    return lag


def measure_kube_requests(metrics: Metrics) -> Callable[[str, str, str, float], None]:
    """Returns an observer of requests to kube-apiserver: see service.cluster.client.Observer."""
    requests = Timings(KUBE_BOUNDS_S)
    metrics.counter(
        "kube_requests_total",
        "Requests to kube-apiserver; the outcome is the HTTP status, or `unreachable`.",
        requests.outcomes,
        "verb",
        "resource",
        "outcome",
    )
    metrics.histogram(
        "kube_request_duration_seconds",
        "Until kube-apiserver began to answer, or it was given up.",
        requests.seconds,
        "verb",
        "resource",
    )
    return lambda verb, resource, outcome, seconds: requests.series(verb, resource).observe(outcome, seconds)


def measure_index(metrics: Metrics, index: Index, pods: PodIndex, deployments: DeploymentFeed) -> None:
    metrics.gauge("index_processes", "Processes in the index.", lambda: len(index.processes))
    metrics.gauge("index_pods", "Pods in the index.", lambda: len(pods))
    metrics.gauge(
        "index_conflicts",
        "Deployments that are no process because an older one claims the same.",
        lambda: len(index.conflicts),
    )
    metrics.gauge(
        "index_shared_guids",
        "GUIDs of processes and of apps that are used in more than one namespace.",
        lambda: len(index.shared_guids) + len(index.shared_app_guids),
    )
    metrics.gauge("index_routes", "Routes in the index.", lambda: len(index.routes))
    metrics.gauge(
        "index_skipped",
        "Deployments that are no process because they could not be understood.",
        lambda: len(deployments.skipped),
    )


def measure_skips(metrics: Metrics, skips: Mapping[str, Sized]) -> None:
    """`skips` is by what is skipped, which becomes a label."""
    metrics.gauge(
        "optional_skipped",
        "Ingresses, HTTPRoutes, Services and autoscalers that could not be understood.",
        lambda: {(name,): float(len(each)) for name, each in skips.items()},
        "kind",
    )


def measure_watches(metrics: Metrics, watches: Mapping[str, WatchState]) -> None:
    """`watches` is by name, which becomes a label."""

    def each(read: Callable[[WatchState], float]) -> Callable[[], dict[Labels, float]]:
        return lambda: {(name,): read(state) for name, state in watches.items()}

    metrics.gauge(
        "watch_age_seconds",
        "By how much what is held may be out of date: 0 while in step, absent before the first list.",
        lambda: {(name,): state.age_s(time.monotonic()) for name, state in watches.items() if state.synced},
        "watch",
    )
    metrics.gauge(
        "watch_connected",
        "1 while the watch is open, else 0; absent for an optional one of which there is nothing to follow.",
        lambda: {(name,): float(state.connected) for name, state in watches.items() if not state.absent},
        "watch",
    )
    metrics.counter(
        "watch_relists_total", "Complete lists after the first.", each(lambda state: state.relists), "watch"
    )
    metrics.counter(
        "watch_restarts_total",
        "Times the watch broke off, other than by the cluster's routine.",
        each(lambda state: state.restarts),
        "watch",
    )


def measure_metadata(metrics: Metrics, mirror: MirrorState) -> None:
    metrics.gauge("metadata_connected", "1 while Postgres answers the mirror, else 0.", lambda: mirror.connected)
    metrics.counter(
        "metadata_probes_total",
        "Times Postgres was asked for rows written since; reads of one moment share one.",
        lambda: mirror.probes,
    )
    metrics.gauge(
        "metadata_unreadable",
        "Rows that somebody has edited in such a way that they cannot be understood, and are skipped.",
        lambda: len(mirror.unreadable),
    )


def measure_pruning(metrics: Metrics, done: Pruned) -> None:
    metrics.gauge(
        "metadata_orphans",
        "Rows of processes that are gone, as of the last look; absent rows are looked for about once an hour.",
        lambda: done.absent,
    )
    metrics.counter(
        "metadata_cleared_total", "Rows of processes gone for long that were cleared.", lambda: done.cleared
    )


def measure_pool(metrics: Metrics, pool: Pool) -> None:
    metrics.gauge(
        "database_connections",
        "Connections to Postgres for writes, `busy` or `idle`.",
        lambda: {("busy",): pool.busy, ("idle",): pool.idle},
        "state",
    )
    metrics.gauge("database_waiting", "Writes that wait for a connection to Postgres.", lambda: pool.waiting)


def measure_reviews(metrics: Metrics, reviews: Mapping[str, ReviewCache[Any]]) -> None:
    """`reviews` is by what is reviewed, which becomes a label."""

    def results() -> dict[Labels, float]:
        found: dict[Labels, float] = {}
        for name, cache in reviews.items():
            found |= {(name, "hit"): cache.hits, (name, "shared"): cache.shared, (name, "miss"): cache.misses}
        return found

    metrics.counter(
        "review_lookups_total",
        "Questions about callers: answered from the cache (hit), by a review under way (shared), by a new one (miss).",
        results,
        "review",
        "result",
    )
    metrics.gauge(
        "reviews_under_way",
        "Reviews asked of kube-apiserver, or waiting to be.",
        lambda: {(name,): cache.under_way for name, cache in reviews.items()},
        "review",
    )
