"""That a read sees all that was written before it came, through whichever replica.

Rows of Postgres come through the mirror, which each read brings up to date. A row also says which resourceVersion a
write has left in Kubernetes: where the watch is not there yet, the read waits for it, and then asks Kubernetes for that
app alone.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Set
from dataclasses import dataclass

from service.cluster.client import ClusterUnreachable
from service.cluster.feeds import DeploymentFeed, PodFeed
from service.cluster.versions import Versions
from service.cluster.workloads import Workloads
from service.health import Health
from service.model.index import Index
from service.model.instances import Numbered, Numbering
from service.model.pod_index import PodIndex
from service.model.process import Key
from service.model.record import Record
from service.pacing import in_batches
from service.store.mirror import Mirror
from service.telemetry import get_logger

log = get_logger(__name__)

ARRIVAL_S = 1.0
"""How long a read waits for the watch to bring what was written. It takes milliseconds, or something is wrong."""
RETRY_S = 5.0
"""How long after Kubernetes could not be asked either nobody waits again."""
AT_A_TIME = 8


@dataclass(frozen=True)
class Freshness:
    """How far the answer is current. `cluster_age_s` 0 and `metadata_current` True: entirely."""

    cluster_age_s: float = 0.0
    metadata_current: bool = True


class RowIntake:
    """Where the mirror's rows go."""

    def __init__(self, index: Index, numbering: Numbering, deployments: Versions[Key], pods: Versions[Key]) -> None:
        self._index = index
        self._numbering = numbering
        self._deployments = deployments
        self._pods = pods

    def put(self, record: Record) -> None:
        self._index.put_metadata(record.metadata)
        self._numbering.put(record.key, Numbered(record.slots, record.pod_version))
        self._deployments.expect(record.key, record.deployment_version)
        self._pods.expect(record.key, record.pod_version)

    def retain(self, keys: Set[Key]) -> Iterator[None]:
        self._numbering.retain(keys)
        yield from self._index.retain_metadata(keys)


class ReadBarrier:
    def __init__(
        self,
        *,
        index: Index,
        pods: PodIndex,
        deployment_feed: DeploymentFeed,
        pod_feed: PodFeed,
        mirror: Mirror,
        intake: RowIntake,
        workloads: Workloads,
        health: Health,
    ) -> None:
        self._index = index
        self._pods = pods
        self._deployment_feed = deployment_feed
        self._pod_feed = pod_feed
        self._mirror = mirror
        self._intake = intake
        self._workloads = workloads
        self._health = health
        self._asking = asyncio.Lock()
        self._ask_again_at = 0.0

    def accept_row(self, record: Record) -> bool:
        """Take in a row that a write of ours has left, unless the mirror has brought it, or a later one, already.

        The mirror brings every row, but not while Postgres is away from it. Whether the row was news.
        """
        if record.stamp <= self._mirror.reached:
            return False
        self._intake.put(record)
        return True

    async def catch_up(self, *, pods: bool = False) -> Freshness:
        """Bring what was written before this call into the index, and that of the Pods if asked for; how far that went.

        Raises ServiceUnavailable while not everything has been loaded once.
        """
        self._health.require_loaded()
        current = await self._mirror.catch_up()
        age_s = self._health.cluster_age_s()
        if age_s == 0.0 and self._deployment_feed.versions.expected:
            age_s = await self._arrive(self._deployment_feed.versions, self._show_deployments)
        if pods and age_s == 0.0 and self._pod_feed.versions.expected:
            age_s = await self._arrive(self._pod_feed.versions, self._show_pods)
        return Freshness(age_s, current)

    async def _arrive(self, versions: Versions[Key], show: Callable[[Key], Awaitable[None]]) -> float:
        """Wait for what is expected now, or ask for it. Seconds by which an answer may be behind, if neither helped."""
        if time.monotonic() < self._ask_again_at:
            return ARRIVAL_S
        missing = await versions.wait(list(versions.expected), ARRIVAL_S)
        if not missing:
            return 0.0
        async with self._asking:
            if time.monotonic() < self._ask_again_at:
                return ARRIVAL_S
            still = [key for key in missing if key in versions.expected]
            log.warning("watch behind a write, asking for it", apps=len(still))
            try:
                await in_batches((show(key) for key in still), AT_A_TIME)
            except ClusterUnreachable as error:
                log.warning("what was written cannot be asked for", reason=error.reason)
                self._ask_again_at = time.monotonic() + RETRY_S
                return ARRIVAL_S
        return 0.0

    async def _show_deployments(self, key: Key) -> None:
        expected = self._deployment_feed.versions.expected.get(key, 0)
        deployments, as_of = await self._workloads.deployments_of(*key[:2])
        for raw in deployments:
            self._deployment_feed.accept_answer(raw, as_of=as_of)
        self._deployment_feed.versions.satisfy(key, expected)

    async def _show_pods(self, key: Key) -> None:
        expected = self._pod_feed.versions.expected.get(key, 0)
        process = self._index.find(key)
        if process is not None:
            pods, as_of = await self._workloads.pods_of(*key[:2])
            there = {self._pod_feed.accept_answer(raw, as_of=as_of) for raw in pods}
            for pod in self._pods.of(process.workload.namespace, process.workload.uid):
                if pod.uid not in there:
                    self._pod_feed.accept_absence(pod.uid, as_of)
        self._pod_feed.versions.satisfy(key, expected)
