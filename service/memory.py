"""What one replica holds in memory of both stores, and what keeps it up to date. There is no other copy of anything."""

from collections.abc import Mapping
from dataclasses import dataclass

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
from service.cluster.watch import Reflector
from service.cluster.watch_state import WatchState
from service.freshness import RowIntake
from service.health import POD_WATCH, REPLICA_SET_WATCH, Health
from service.model.index import Index
from service.model.instances import Numbering
from service.model.pod_index import PodIndex
from service.model.pods import State
from service.settings import Settings
from service.store.mirror import Mirror


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What both stores hold, as far as it is known here, and what keeps it up to date."""

    index: Index
    pods: PodIndex
    numbering: Numbering
    deployments: DeploymentFeed
    pod_feed: PodFeed
    watches: Mapping[str, Reflector]
    intake: RowIntake
    mirror: Mirror

    @classmethod
    def of(cls, client: Client, settings: Settings, health: Health) -> "Memory":
        """Empty, to be filled when the watches and the mirror run."""
        index, pods, numbering = Index(), PodIndex(), Numbering()
        deployments = DeploymentFeed(index, settings.keys)
        pod_feed = PodFeed(pods, State.STOPPING if settings.instance_stopping_state else State.DOWN)
        labelled = settings.keys.app_guid
        followed = (
            ("namespaces", NAMESPACES, NamespaceFeed(index, settings.keys), ""),
            ("deployments", DEPLOYMENTS, deployments, labelled),
            (REPLICA_SET_WATCH, REPLICA_SETS, ReplicaSetFeed(pods), labelled),
            (POD_WATCH, PODS, pod_feed, labelled),
        )
        watches = {
            name: Reflector(
                client,
                path,
                feed,
                label_selector=selector,
                inactivity_s=settings.watch_inactivity_s,
                on_change=health.changed,
            )
            for name, path, feed, selector in followed
        }
        intake = RowIntake(deployments.joins, numbering, deployments.versions, pod_feed.versions)
        return cls(
            index=index,
            pods=pods,
            numbering=numbering,
            deployments=deployments,
            pod_feed=pod_feed,
            watches=watches,
            intake=intake,
            mirror=Mirror(
                settings.database_url, intake, timeout_s=settings.database_timeout_s, on_change=health.changed
            ),
        )

    @property
    def watch_states(self) -> Mapping[str, WatchState]:
        return {name: watch.state for name, watch in self.watches.items()}

    def counts(self) -> Mapping[str, int]:
        """What is held."""
        return {
            "processes": len(self.index.processes),
            "pods": len(self.pods),
            "conflicts": len(self.index.conflicts),
            "skipped": len(self.deployments.skipped),
        }
