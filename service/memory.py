"""What one replica holds in memory of both stores, and what keeps it up to date. There is no other copy of anything."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from service.cluster.autoscaler_feed import AUTOSCALERS, AutoscalerFeed
from service.cluster.client import Client
from service.cluster.feeds import DEPLOYMENTS, NAMESPACES, PODS, REPLICA_SETS, DeploymentFeed, NamespaceFeed
from service.cluster.optional_watch import OptionalKind, OptionalWatch
from service.cluster.pod_feeds import PodFeed, ReplicaSetFeed
from service.cluster.route_feeds import route_feeds
from service.cluster.skips import SkippingFeed, Skips
from service.cluster.watch import Consumer, Reflector
from service.cluster.watch_state import WatchState
from service.freshness import RowIntake
from service.health import POD_WATCH, REPLICA_SET_WATCH, Health
from service.model.autoscalers import Autoscalers
from service.model.index import Index
from service.model.instances import Numbering
from service.model.pod_index import PodIndex
from service.model.pods import State
from service.settings import Settings
from service.store.mirror import Mirror
from service.upkeep import Upkeep


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What both stores hold, as far as it is known here, and what keeps it up to date."""

    index: Index
    pods: PodIndex
    numbering: Numbering
    autoscalers: Autoscalers
    deployments: DeploymentFeed
    pod_feed: PodFeed
    watches: Mapping[str, Reflector]
    optional_watches: Mapping[str, OptionalWatch]
    skips: Mapping[str, Skips]
    """What could not be understood of what is watched optionally, by the name of the watch."""
    routing: Upkeep
    intake: RowIntake
    mirror: Mirror

    @classmethod
    def of(cls, client: Client, settings: Settings, health: Health) -> "Memory":
        """Empty, to be filled when the watches and the mirror run."""
        index, pods, numbering = Index(settings.default_organization), PodIndex(), Numbering()
        autoscalers = Autoscalers()
        index.await_workloads()
        deployments = DeploymentFeed(index, settings.keys)
        pod_feed = PodFeed(pods, State.STOPPING if settings.instance_stopping_state else State.DOWN)
        labelled = settings.keys.app_guid
        followed = (
            ("namespaces", NAMESPACES, NamespaceFeed(index, settings.keys), ""),
            ("deployments", DEPLOYMENTS, deployments, labelled),
            (REPLICA_SET_WATCH, REPLICA_SETS, ReplicaSetFeed(pods), labelled),
            (POD_WATCH, PODS, pod_feed, labelled),
        )
        on_restored = {"deployments": deployments.versions.forget, POD_WATCH: pod_feed.versions.forget}
        optional: dict[OptionalKind, SkippingFeed[Any]] = {AUTOSCALERS: AutoscalerFeed(autoscalers)}
        if settings.served == "all":
            optional |= route_feeds(index.routing)
        routing = Upkeep(index.routing.settle)
        index.routing.on_stale = routing.due
        intake = RowIntake(deployments.joins, numbering, deployments.versions, pod_feed.versions)
        return cls(
            index=index,
            pods=pods,
            numbering=numbering,
            autoscalers=autoscalers,
            deployments=deployments,
            pod_feed=pod_feed,
            watches=_watches(client, settings, health, followed, on_restored),
            optional_watches=_optional_watches(client, settings, health, optional),
            skips={kind.name: feed.skips for kind, feed in optional.items()},
            routing=routing,
            intake=intake,
            mirror=Mirror(
                settings.database_url, intake, timeout_s=settings.database_timeout_s, on_change=health.changed
            ),
        )

    @property
    def watch_states(self) -> Mapping[str, WatchState]:
        """The states of the watches without which nothing is served."""
        return {name: watch.state for name, watch in self.watches.items()}

    @property
    def every_watch(self) -> Mapping[str, Reflector | OptionalWatch]:
        return {**self.watches, **self.optional_watches}

    def counts(self) -> Mapping[str, int]:
        """What is held."""
        return {
            "processes": len(self.index.processes),
            "pods": len(self.pods),
            "conflicts": len(self.index.conflicts),
            "skipped": len(self.deployments.skipped),
            "routes": len(self.index.routes),
            "autoscalers": len(self.autoscalers),
            **{f"skipped_{name}": len(skips) for name, skips in self.skips.items()},
        }


def _watches(
    client: Client,
    settings: Settings,
    health: Health,
    followed: Iterable[tuple[str, str, Consumer, str]],
    on_restored: Mapping[str, Callable[[], None]],
) -> Mapping[str, Reflector]:
    """The watches without which nothing is served, each as name, path, where it leads, and selector.

    `on_restored`: by name, what is to be done when the cluster has another history.
    """
    return {
        name: Reflector(
            client,
            path,
            consumer,
            label_selector=selector,
            inactivity_s=settings.watch_inactivity_s,
            on_change=health.changed,
            on_restored=on_restored.get(name, lambda: None),
        )
        for name, path, consumer, selector in followed
    }


def _optional_watches(
    client: Client, settings: Settings, health: Health, followed: Mapping[OptionalKind, Consumer]
) -> Mapping[str, OptionalWatch]:
    """The watches that may be missing, by where each kind leads."""
    return {
        kind.name: OptionalWatch(
            client, kind, consumer, inactivity_s=settings.watch_inactivity_s, on_change=health.changed
        )
        for kind, consumer in followed.items()
    }
