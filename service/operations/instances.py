"""The instances of processes: which Pod is which, and what it uses."""

import asyncio
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from service.access import Caller
from service.cluster.usage import UsageReader, UsageUnavailable
from service.cluster.versions import Versions
from service.errors import StatsUnavailable
from service.freshness import Freshness, ReadBarrier, only
from service.health import Health
from service.model.index import Index
from service.model.instances import (
    NOTHING,
    SHOWN,
    SHOWN_IN_LISTS,
    Instance,
    Numbering,
    Slots,
    assign,
    instances,
)
from service.model.pod_index import PodIndex
from service.model.pods import Pod
from service.model.process import Key, Process
from service.model.record import Record
from service.model.usage import Usage
from service.operations.questions import Address, Meaning
from service.operations.reads import Reads
from service.pacing import Turns
from service.store.database import DatabaseUnavailable
from service.store.records import Records
from service.telemetry import get_logger

log = get_logger(__name__)


@dataclass(frozen=True)
class Stats:
    """A process, its instances in order, and what their app containers use by (Pod, container).

    `usage` None: the metrics API does not answer.
    """

    process: Process
    instances: Sequence[Instance]
    usage: Mapping[tuple[str, str], Usage] | None


class Instances:
    def __init__(
        self,
        *,
        reads: Reads[Process],
        index: Index,
        pods: PodIndex,
        deployment_versions: Versions[Key],
        pod_versions: Versions[Key],
        numbering: Numbering,
        records: Records,
        usage: UsageReader,
        barrier: ReadBarrier,
        health: Health,
    ) -> None:
        """The versions are how far the watches have come."""
        self._reads = reads
        self._index = index
        self._pods = pods
        self._deployment_versions = deployment_versions
        self._pod_versions = pod_versions
        self._numbering = numbering
        self._records = records
        self._usage = usage
        self._barrier = barrier
        self._health = health
        self._agreeing = asyncio.Lock()
        self._turns = Turns()

    async def get(self, caller: Caller, address: Address) -> tuple[Meaning[Process], Sequence[Instance], Freshness]:
        """What an address means, and the instances of that process.

        Raises ResourceNotFound, StatsUnavailable, ServiceUnavailable.
        """
        meaning, freshness = await self._reads.get(caller, address, pods=True)
        return meaning, *await self.of_one(meaning.item, freshness)

    async def of_one(self, process: Process, freshness: Freshness) -> tuple[Sequence[Instance], Freshness]:
        """The instances of a process that has been read with its Pods. Raises StatsUnavailable."""
        self._require_pods(process)
        found, freshness = await self.of([process], freshness)
        return found[process.workload.uid], freshness

    async def stats(self, caller: Caller, address: Address) -> tuple[Meaning[Process], Stats, Freshness]:
        """What an address means, and the instances of that process with what the metrics API last said they use.

        Raises as `get` does.
        """
        meaning, found, freshness = await self.get(caller, address)
        process = meaning.item
        usage: Mapping[tuple[str, str], Usage] | None = {}
        if any(instance.pod is not None for instance in found):
            try:
                usage = await self._usage.of_namespace(process.workload.namespace)
            except UsageUnavailable:
                usage = None
        return meaning, Stats(process, found, usage), freshness

    async def of(
        self, processes: Sequence[Process], freshness: Freshness
    ) -> tuple[Mapping[str, Sequence[Instance]], Freshness]:
        """The instances of each process, by the uid of its Deployment.

        Raises StatsUnavailable until all Pods have been read once.
        """
        if not self._health.pods_loaded:
            raise StatsUnavailable("The service has not finished loading Pods yet", retry_after_s=1)
        shown = SHOWN if len(processes) == 1 else SHOWN_IN_LISTS
        found, unsettled = await self._turns.run(self._as_agreed(processes, shown))
        agreed = await self._agree(unsettled)
        found |= await self._turns.run(self._as_they_are(unsettled, shown, agreed=agreed))
        return found, freshness if agreed else msgspec.structs.replace(freshness, metadata_current=False)

    def _as_agreed(
        self, processes: Sequence[Process], shown: int
    ) -> Generator[None, None, tuple[dict[str, Sequence[Instance]], list[Process]]]:
        """The instances of those that are numbered as they should be, and the others."""
        found: dict[str, Sequence[Instance]] = {}
        unsettled: list[Process] = []
        for process in processes:
            slots, pods = self._numbered(process)
            if self._is_settled(process, slots, pods):
                found[process.workload.uid] = instances(slots, pods, process.workload.instances, shown)
            else:
                unsettled.append(process)
            yield
        return found, unsettled

    def _as_they_are(
        self, processes: Sequence[Process], shown: int, *, agreed: bool
    ) -> Generator[None, None, dict[str, Sequence[Instance]]]:
        """The instances as they are numbered now; if that is not agreed upon, as it would be."""
        found: dict[str, Sequence[Instance]] = {}
        for process in processes:
            slots, pods = self._numbered(process)
            if not agreed or self._is_unreadable(process):
                # Every replica that cannot ask would say the same, as long as it sees the same Pods.
                slots = self._assign(process, slots, pods)
            found[process.workload.uid] = instances(slots, pods, process.workload.instances, shown)
            yield
        return found

    def _require_pods(self, process: Process) -> None:
        workload = process.workload
        if not workload.pods_labelled and workload.replicas:
            raise StatsUnavailable(
                f"The Pods of this process cannot be known: the Pod template of Deployment {workload.name} does not "
                "carry the label of its app GUID"
            )

    def _numbered(self, process: Process) -> tuple[Slots, list[Pod]]:
        """The slots as agreed, and the Pods there are."""
        slots = self._numbering.of(process.key).slots
        return slots, self._pods_of(process, slots)

    def _pods_of(self, process: Process, slots: Slots) -> list[Pod]:
        """The Pods of the process, oldest first.

        Those of which it is not known here yet whose they are, are its own if they have been numbered: whoever did that
        knew. An index is not to be lost to a ReplicaSet that is heard of late, or, after a restart, no more.
        """
        workload = process.workload
        pods = self._pods.of(workload.namespace, workload.uid)
        if self._pods.any_waiting and slots:
            waiting = [pod for uid in slots if (pod := self._pods.waiting(workload.namespace, uid)) is not None]
            if waiting:
                pods = sorted((*pods, *waiting), key=lambda pod: (pod.created_at, pod.uid))
        return pods

    def _assign(self, process: Process, slots: Slots, pods: Sequence[Pod]) -> Slots:
        workload = process.workload
        outdated = self._pods.outdated(workload.uid, workload.rollout) if pods else NOTHING
        return assign(slots, pods, workload.instances, outdated, partial(self._pods.lives, workload.namespace))

    def _is_settled(self, process: Process, slots: Slots, pods: Sequence[Pod]) -> bool:
        """Whether the Pods are numbered as they should be. Most processes of a large page have none."""
        return not (slots or pods) or self._assign(process, slots, pods) == slots

    async def _agree(self, processes: Sequence[Process]) -> bool:
        """Number what is not numbered as it should be, for all replicas; whether they could be asked."""
        if not processes:
            return True
        async with self._agreeing:
            # Whoever was here before may have done it.
            unsettled = await self._turns.run(self._unsettled(processes))
            behind: set[Key] = set()

            def decide(record: Record, _now: int) -> Record:
                """The new slots, unless somebody who has seen a later state than we has decided."""
                late = (
                    self._deployment_versions.expect(record.key, record.deployment_version),
                    self._pod_versions.expect(record.key, record.pod_version),
                )
                if any(late):
                    behind.add(record.key)
                    return record
                # It may have been scaled while the page waited for its turn.
                process = self._index.find(record.key) or unsettled[record.key]
                slots = self._assign(process, record.slots, self._pods_of(process, record.slots))
                version = self._pods.version(process.workload.uid)
                if slots == record.slots:
                    return record
                return msgspec.structs.replace(record, slots=slots, pod_version=max(record.pod_version, version))

            try:
                await self._decide(unsettled, decide)
                if behind:
                    await self._barrier.catch_up(only(*behind), pods=True)
                    await self._decide({key: unsettled[key] for key in behind}, decide)
            except DatabaseUnavailable as error:
                log.warning("instances not agreed upon", processes=len(unsettled), reason=error.reason)
                return False
        return True

    def _is_unreadable(self, process: Process) -> bool:
        """Whether there is no way to agree, as the row of the process cannot be understood."""
        known = self._index.find(process.key)
        return known is not None and known.metadata.unreadable is not None

    def _unsettled(self, processes: Sequence[Process]) -> Generator[None, None, dict[Key, Process]]:
        unsettled = {}
        for process in processes:
            if not self._is_settled(process, *self._numbered(process)):
                unsettled[process.key] = process
            yield
        return unsettled

    async def _decide(self, unsettled: Mapping[Key, Process], decide: Callable[[Record, int], Record]) -> None:
        for record in await self._records.change_all(unsettled.keys(), decide):
            self._barrier.accept_row(record)
