"""Changes of processes, with the caller's own token: Kubernetes decides whether they may, and its audit log names them.

service.model.record says how one request changes Kubernetes and Postgres, or neither.
"""

import asyncio
import random
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import msgspec
import orjson

from service.access import DELETE_PODS, PATCH_DEPLOYMENTS, Access, Caller, Permission
from service.cluster.feeds import DeploymentFeed, PodFeed
from service.cluster.versions import version_number
from service.cluster.workloads import Changed, Conflict, Denied, Workloads
from service.errors import CloudFoundryError, NotAuthorized, ResourceNotFound, ServiceUnavailable, UnprocessableEntity
from service.freshness import ReadBarrier
from service.health import Health
from service.model import record as rules
from service.model.changes import Change, Live, Patch
from service.model.derive import merge
from service.model.index import Index
from service.model.process import Metadata, MetadataChange, Process, Workload
from service.model.record import Record
from service.operations import ambiguity
from service.operations.audit import Entry, audited
from service.operations.instances import Instances
from service.operations.reads import Address, Meaning, Reads
from service.store.database import DatabaseUnavailable
from service.store.records import Records
from service.telemetry import get_logger

log = get_logger(__name__)

ATTEMPTS = 12
"""At a Deployment that changes between our reading and our patch. Its status alone changes a few times in a rollout."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.01, 0.5
WRITE_S = 60.0
"""For everything one write does."""

_REFUSALS = (Conflict, Denied, UnprocessableEntity)
"""Of a change made of the Deployment as it lately was, these say only that it takes a look at it."""


@dataclass(frozen=True)
class Actor:
    """Who writes, and the token they do it with."""

    caller: Caller
    token: str | None = field(repr=False)


@dataclass(frozen=True)
class Written:
    """A process as a write has left it."""

    process: Process
    lagging: bool = False
    """Other replicas could not be told: they show it when their watches do."""


class _UnderWay(Exception):
    """The row has changes of others that are prepared, and maybe committed since the Deployment was read."""


class Writing:
    def __init__(
        self,
        *,
        index: Index,
        access: Access,
        reads: Reads[Process],
        instances: Instances,
        workloads: Workloads,
        records: Records,
        deployments: DeploymentFeed,
        pods: PodFeed,
        barrier: ReadBarrier,
        health: Health,
    ) -> None:
        self._index = index
        self._access = access
        self._reads = reads
        self._instances = instances
        self._workloads = workloads
        self._records = records
        self._deployments = deployments
        self._pods = pods
        self._barrier = barrier
        self._health = health

    @asynccontextmanager
    async def begin(self, actor: Actor, address: Address, action: str) -> AsyncIterator["Write"]:
        """A write of one process, audited as `action`. What is wrong with the body is raised inside of the block.

        Raises ResourceNotFound, NotAuthorized, UnprocessableEntity, ServiceUnavailable.
        """
        with audited(action, actor.caller.name) as entry:
            self._health.require_loaded()
            meaning = await self._reads.find(actor.caller, address)
            process = entry.process = meaning.item
            await self._require_one(actor, meaning, PATCH_DEPLOYMENTS)
            try:
                async with asyncio.timeout(WRITE_S):
                    yield Write(self, actor, process, entry)
            except UnprocessableEntity:
                # Who may not write is told so, and nothing else.
                await self.authorize(actor, process, PATCH_DEPLOYMENTS, process.workload.name)
                raise
            except TimeoutError as error:
                raise ServiceUnavailable("The change took too long; it may have been made") from error

    async def terminate(self, actor: Actor, address: Address, index: str) -> None:
        """Delete the Pod that is the instance, if there is one. Raises as `begin`; no such index: ResourceNotFound."""
        with audited("terminate", actor.caller.name) as entry:
            meaning, freshness = await self._reads.get(actor.caller, address, pods=True)
            process = entry.process = meaning.item
            await self._require_one(actor, meaning, DELETE_PODS)
            at = _index(index, process)
            found, _ = await self._instances.of_one(process, freshness)
            pod = found[at].pod if at < len(found) else None
            if pod is None or actor.token is None:
                await self.authorize(actor, process, DELETE_PODS, "" if pod is None else pod.name)
                return
            entry.pod = pod.name
            try:
                deleted = await self._workloads.delete_pod(actor.token, pod)
            except Denied as error:
                raise await self.refusal(actor, process, DELETE_PODS, pod.name, error) from error
            if deleted is None:
                return
            self._pods.accept_answer(deleted)
            version = version_number(orjson.loads(deleted)["metadata"].get("resourceVersion", ""))
            try:
                await self._records.note(process.key, pod_version=version)
            except DatabaseUnavailable as error:
                log.warning("other replicas not told", reason=error.reason)

    async def apply(self, actor: Actor, process: Process, change: Change) -> Written:
        """Make the change, all or nothing."""
        if actor.token is None:
            raise NotAuthorized
        if change.metadata:
            # Kubernetes would refuse its half, but then the other would have been prepared already.
            await self.authorize(actor, process, PATCH_DEPLOYMENTS, process.workload.name)
        write_id = secrets.token_urlsafe(8)
        prepared, pause = False, FIRST_PAUSE_S
        try:
            if changed := await self._at_once(actor.token, process, change):
                return await self._finish(process, changed, None, change.metadata)
            lately = self._recall(process, change) if change.metadata else None
            for _ in range(ATTEMPTS):
                live, patch = lately or await self._read(actor.token, process, change)
                if not patch and (written := await self._without_kubernetes(actor, process, live, change.metadata)):
                    return written
                try:
                    if change.metadata:
                        await self._prepare(process, write_id, change.metadata, live, looked=lately is None)
                        prepared = True
                    body = live.guarded(patch, write_id if prepared else None)
                    changed = await self._workloads.patch(actor.token, live, body)
                except _REFUSALS as error:
                    if lately is not None:
                        lately = None
                        continue
                    if not isinstance(error, Conflict):
                        raise
                    await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                    pause = min(pause * 2, LONGEST_PAUSE_S)
                    continue
                return await self._finish(process, changed, write_id if prepared else None, change.metadata)
        except Denied as error:
            if prepared:
                await self._discard(process, write_id)
            raise await self.refusal(actor, process, PATCH_DEPLOYMENTS, process.workload.name, error) from error
        except ServiceUnavailable:
            # The patch may yet be carried out: what is prepared counts if it is, and is dropped if it is not.
            raise
        except CloudFoundryError:
            if prepared:
                await self._discard(process, write_id)
            raise
        if prepared:
            await self._discard(process, write_id)
        raise ServiceUnavailable("The process is being changed by others all the time", retry_after_s=1)

    async def _at_once(self, token: str, process: Process, change: Change) -> Changed | None:
        """The change made in one request; None, and nothing is changed, where it takes a look at the Deployment."""
        if change.metadata:
            return None
        with suppress(*_REFUSALS):
            if lately := self._recall(process, change):
                live, patch = lately
                return await self._workloads.patch(token, live, live.guarded(patch, None))
        return await self._workloads.scale_at_once(token, process.workload, change)

    async def _read(self, token: str, process: Process, change: Change) -> tuple[Live, Patch]:
        """The Deployment as it is now, and the patch of it that makes the change."""
        live = await self._workloads.read(token, process.workload)
        return live, change.patch(live)

    def _recall(self, process: Process, change: Change) -> tuple[Live, Patch] | None:
        """The same of the Deployment as it lately was, where that is known and enough. See _REFUSALS."""
        live = self._workloads.recall(process.workload)
        if live is None:
            return None
        with suppress(UnprocessableEntity):
            if patch := change.patch(live):
                return live, patch
        return None

    async def _require_one(self, actor: Actor, meaning: Meaning[Process], permission: Permission) -> None:
        """Raises UnprocessableEntity where an address means several processes, to whoever may change any of them."""
        if (reason := ambiguity.of_write(meaning)) is None:
            return
        for process in meaning.items:
            workload = process.workload
            if await self._access.may_change(actor.caller, permission, workload.namespace, workload.name):
                raise UnprocessableEntity(reason)
        raise NotAuthorized

    async def authorize(self, actor: Actor, process: Process, permission: Permission, name: str) -> None:
        """Raises NotAuthorized unless the caller may do this to the object of this name that runs the process."""
        if not await self._access.may_change(actor.caller, permission, process.workload.namespace, name):
            raise NotAuthorized

    async def refusal(
        self, actor: Actor, process: Process, permission: Permission, name: str, denied: Denied
    ) -> CloudFoundryError:
        """What a 403 of Kubernetes was about: the caller, or, if they may do such things, what they wanted."""
        if await self._access.may_change(actor.caller, permission, process.workload.namespace, name):
            return UnprocessableEntity(f"Kubernetes refuses this: {denied}")
        return NotAuthorized()

    async def _without_kubernetes(
        self, actor: Actor, process: Process, live: Live, change: MetadataChange
    ) -> Written | None:
        """What Kubernetes has no part in; None where others are under way among whom the change must have its place.

        Where nothing is left of a request, to be let in is all that was asked.
        """
        if not change:
            await self.authorize(actor, process, PATCH_DEPLOYMENTS, process.workload.name)
            await self._barrier.catch_up()
            return Written(self._merged(live.workload, (self._index.find(process.key) or process).metadata))

        def decide(row: Record, now: int) -> Record:
            row = rules.seen(row, live.workload.write_id, live.version, now)
            if row.metadata.pending:
                raise _UnderWay
            return rules.changed(row, change, now)

        try:
            row = await self._records.change(process.key, decide)
        except _UnderWay:
            return None
        self._barrier.take(row)
        return Written(self._merged(live.workload, row.metadata))

    async def _prepare(
        self, process: Process, write_id: str, change: MetadataChange, live: Live, *, looked: bool
    ) -> None:
        """`looked`: the Deployment has been read, and not only remembered."""
        take_in = rules.seen if looked else rules.folded

        def decide(row: Record, now: int) -> Record:
            row = take_in(row, live.workload.write_id, live.version, now)
            return rules.prepared(row, write_id, change, live.version)

        await self._records.change(process.key, decide)

    async def _finish(self, process: Process, done: Changed, write_id: str | None, change: MetadataChange) -> Written:
        """Kubernetes has its half: make the other lasting, and tell the other replicas."""
        self._deployments.accept_workload(done.workload, done.version)

        def decide(row: Record, now: int) -> Record:
            row = rules.seen(row, done.workload.write_id, done.version, now)
            return msgspec.structs.replace(row, deployment_version=max(row.deployment_version, done.version))

        try:
            if write_id is None:
                row = await self._records.note(process.key, deployment_version=done.version)
            else:
                row = await self._records.change(process.key, decide)
        except DatabaseUnavailable as error:
            # It is prepared and committed, so it counts; whoever writes next folds it.
            log.warning("other replicas not told", reason=error.reason)
            known = self._index.find(process.key) or process
            metadata = known.metadata if write_id is None else known.metadata.changed(change)
            return Written(self._merged(done.workload, metadata), lagging=True)
        self._barrier.take(row)
        return Written(self._merged(done.workload, row.metadata))

    def _merged(self, workload: Workload, metadata: Metadata) -> Process:
        return merge(workload, metadata, self._index.space(workload.namespace))

    async def _discard(self, process: Process, write_id: str) -> None:
        try:
            await self._records.change(process.key, lambda row, _now: rules.discarded(row, write_id))
        except DatabaseUnavailable as error:
            # It shows nowhere, and the next writer drops it.
            log.warning("prepared change left behind", reason=error.reason)


@dataclass(frozen=True)
class Write:
    """One write under way."""

    _writing: Writing
    _actor: Actor
    _process: Process
    _entry: Entry

    async def apply(self, change: Change) -> Written:
        """Make the change, all or nothing."""
        self._entry.changes.extend(change.names())
        return await self._writing.apply(self._actor, self._process, change)


def _index(text: str, process: Process) -> int:
    """An index as it was written in the path. Raises ResourceNotFound for one the process does not have."""
    # The length is checked first: a number of a million digits takes its time.
    if text.isascii() and text.isdigit() and len(text) <= 10 and int(text) < process.workload.instances:
        return int(text)
    raise ResourceNotFound("Instance not found")
