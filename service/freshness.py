"""That a read sees all that was written before it came, through whichever replica.

Rows of Postgres come through the mirror, which each read brings up to date. A row also says which resourceVersion a
write has left in Kubernetes: where the watch is not there yet, the read waits for it, and then asks Kubernetes for that
app alone. It waits for nothing that its answer does not show, and for all it waits for no longer than LONGEST_S.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Set

import msgspec

from service.cluster.client import ClusterUnreachable
from service.cluster.feeds import DeploymentFeed
from service.cluster.pod_feeds import PodFeed
from service.cluster.versions import Versions
from service.cluster.workloads import Workloads
from service.health import Health
from service.model.index import Index
from service.model.instances import Numbered, Numbering
from service.model.joins import Joins, Need
from service.model.pod_index import PodIndex
from service.model.process import Key
from service.model.record import Record
from service.pacing import in_batches
from service.store.mirror import Mirror
from service.telemetry import get_logger

log = get_logger(__name__)

ARRIVAL_S = 1.0
"""How long a read waits for the watch to bring what was written. It takes milliseconds, or something is wrong."""
LONGEST_S = 2.5
"""How long a read waits in all for what Kubernetes has: for the watch, and then for answers."""
RETRY_S = 5.0
"""How long after Kubernetes could not be asked either nobody waits again."""
AT_A_TIME = 8

Concerned = Callable[[Set[Key]], Awaitable[Set[Key]]]
"""Chooses, of the processes of which something is late, those that an answer may show."""


class Freshness(msgspec.Struct, frozen=True):
    """How far an answer is current. `cluster_age_s` 0 and `metadata_current` True: entirely."""

    cluster_age_s: float = 0.0
    metadata_current: bool = True
    breaks: int = 0
    """How often Postgres had been lost when this was found: once more, and the answer may be a mixture."""

    def warnings(self) -> list[str]:
        """What callers are told of an answer that may be out of date; nothing while all is in step."""
        warnings = []
        if self.cluster_age_s:
            warnings.append(
                f"Kubernetes cannot be reached: processes are shown as of {self.cluster_age_s:.0f} seconds ago"
            )
        if not self.metadata_current:
            warnings.append("The metadata store cannot be reached: metadata is shown as last known")
        return warnings


class RowIntake:
    """Where the mirror's rows go, and those that our own writes have left."""

    def __init__(self, joins: Joins, numbering: Numbering, deployments: Versions[Key], pods: Versions[Key]) -> None:
        self._joins = joins
        self._numbering = numbering
        self._deployments = deployments
        self._pods = pods
        self._ahead: dict[Key, int] = {}
        """The stamps of rows that writes of ours have left, while the mirror has not brought them."""

    def put(self, record: Record) -> None:
        ahead = self._ahead.get(record.key)
        if ahead is not None:
            if record.stamp < ahead:
                # Asked for before our write: the next answer has what the write has left.
                return
            del self._ahead[record.key]
        self._put(record)

    def put_ahead(self, record: Record) -> None:
        """Take in a row that a write of ours has left, before the mirror brings it."""
        if record.stamp >= self._ahead.get(record.key, 0):
            self._ahead[record.key] = record.stamp
            self._put(record)

    def _put(self, record: Record) -> None:
        self._numbering.put(record.key, Numbered(record.slots, record.pod_version))
        self._deployments.expect_only(record.key, record.deployment_version)
        self._pods.expect_only(record.key, record.pod_version)
        self._joins.put_row(record)

    def retain(self, keys: Set[Key]) -> Iterator[None]:
        self._numbering.retain(keys)
        yield from self._joins.retain_rows(keys)

    def ask(self) -> None:
        self._joins.ask()

    def answer(self) -> Iterator[None]:
        return self._joins.answer()

    def lose(self) -> Iterator[None]:
        # What comes back may be another database, or an older backup.
        self._ahead.clear()
        return self._joins.lose()


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
        self._joins = deployment_feed.joins
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
        self._intake.put_ahead(record)
        return True

    async def catch_up(self, concerned: Concerned, *, pods: bool = False) -> Freshness:
        """Bring what was written before this call into the index, and that of the Pods if asked for; how far that went.

        Of processes of which something is late, those that are `concerned` are waited for. Raises ServiceUnavailable
        while not everything has been loaded once.
        """
        self._health.require_loaded()
        breaks = self._mirror.state.breaks
        current = await self._mirror.catch_up()
        age_s = self._health.cluster_age_s()
        if age_s == 0.0 and (late := self._late(pods=pods)):
            # What is looked for is what is known now: what is written from here on is not waited for.
            needs = {key: self._joins.need(key, self._deployment_feed.versions.expected.get(key, 0)) for key in late}
            pod_needs = dict(self._pod_feed.versions.expected) if pods else {}
            if keys := await concerned(late):
                age_s = await self._arrive(
                    {key: needs[key] for key in keys}, {key: pod_needs[key] for key in keys if key in pod_needs}
                )
        return Freshness(age_s, current, breaks)

    async def in_step(self) -> bool:
        """Catch up where there is nothing to wait for. Whether memory has all that was written before this call."""
        breaks = self._mirror.state.breaks
        return (
            self._health.loaded
            and await self._mirror.catch_up()
            and self._mirror.state.breaks == breaks
            and self._health.cluster_age_s() == 0.0
            and not self._late(pods=False)
        )

    def as_of_now(self, freshness: Freshness) -> Freshness:
        """How far an answer is current whose items have just been looked up, some time after catching up."""
        if freshness.breaks == self._mirror.state.breaks:
            return freshness
        return msgspec.structs.replace(freshness, metadata_current=False)

    def knows(self, key: Key) -> bool:
        """Whether there is such a process, as far as is known here."""
        return self._index.find(key) is not None

    def _late(self, *, pods: bool) -> Set[Key]:
        expected, behind = self._deployment_feed.versions.expected.keys(), self._joins.behind
        late = expected | behind if behind else expected
        return late | self._pod_feed.versions.expected.keys() if pods else late

    async def _arrive(self, needs: Mapping[Key, Need], pods: Mapping[Key, int]) -> float:
        """Wait for what is needed, or ask for it. Seconds by which an answer may be behind, if neither helped."""
        if time.monotonic() < self._ask_again_at:
            return ARRIVAL_S
        try:
            async with asyncio.timeout(LONGEST_S):
                versions = {key: version for key, (_, version) in needs.items()}
                await self._come(self._deployment_feed.versions, versions, self._show_deployments)
                # What has come may name writes that our row has not heard of.
                while any(not self._joins.shows(key, need) for key, need in needs.items()):
                    if not await self._mirror.catch_up():
                        break
                await self._come(self._pod_feed.versions, pods, self._show_pods)
        except (ClusterUnreachable, TimeoutError) as error:
            reason = error.reason if isinstance(error, ClusterUnreachable) else "not in time"
            log.warning("what was written cannot be asked for", reason=reason)
            self._ask_again_at = time.monotonic() + RETRY_S
            return ARRIVAL_S
        return 0.0

    async def _come(
        self, versions: Versions[Key], needed: Mapping[Key, int], show: Callable[[Key], Awaitable[None]]
    ) -> None:
        """Wait until these versions have come, or have answers show them. Raises ClusterUnreachable."""
        missing = await versions.wait(needed, ARRIVAL_S)
        if not missing:
            return
        async with self._asking:
            still = versions.missing({key: needed[key] for key in missing})
            if still:
                log.warning("watch behind a write, asking for it", apps=len(still))
                await in_batches((show(key) for key in still), AT_A_TIME)

    async def _show_deployments(self, key: Key) -> None:
        feed, app = self._deployment_feed, key[:2]
        expected = feed.versions.expected.get(key, 0)
        deployments, as_of = await self._workloads.deployments_of(*app)
        there = {feed.accept_answer(raw, as_of=as_of) for raw in deployments}
        for uid in self._joins.uids_of(*app) - there:
            feed.accept_absence(uid, app, as_of)
        feed.versions.satisfy(key, expected)
        # What is expected may be of a history that a restore of etcd has ended, and come never: this is all there is.
        self._joins.satisfy(key, max(expected, as_of))

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


def only(*keys: Key) -> Concerned:
    """These processes are concerned, and no other."""

    async def concerned(late: Set[Key]) -> Set[Key]:
        return late & set(keys)

    return concerned
