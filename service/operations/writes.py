"""Writes of processes. They go out with the caller's own token: Kubernetes decides, and its audit log names the caller.

A write finds its process, makes sure of who may change it, and carries the change out in one store
(service.operations.one_store) or in both (two_stores), by plans (plans) that Kubernetes takes or refuses.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import orjson

from service.access import DELETE_PODS, PATCH_DEPLOYMENTS, Access, Caller, Permission
from service.cluster.pod_feeds import PodFeed
from service.cluster.versions import version_number
from service.cluster.workloads import Refused, Workloads
from service.errors import NotAuthorized, ResourceNotFound, ServiceUnavailable, UnprocessableEntity
from service.health import Health
from service.model.autoscalers import Autoscalers
from service.model.changes import ProcessChange, Scale
from service.model.process import Process
from service.operations import ambiguity
from service.operations.audit import Entry, audited
from service.operations.authority import Actor, Authority
from service.operations.instances import Instances
from service.operations.one_store import OneStore
from service.operations.outcomes import Written
from service.operations.questions import Address, Meaning
from service.operations.reads import Reads
from service.operations.two_stores import TwoStores
from service.store.database import DatabaseUnavailable
from service.store.records import Records
from service.telemetry import get_logger

log = get_logger(__name__)

WRITE_S = 60.0
"""Time for all that one write does."""
MOST_ASKED = 20
"""Namespaces of an address that means several processes in which it is asked whether the caller may change one."""


class Writes:
    def __init__(
        self,
        *,
        access: Access,
        reads: Reads[Process],
        instances: Instances,
        workloads: Workloads,
        records: Records,
        pods: PodFeed,
        one_store: OneStore,
        two_stores: TwoStores,
        autoscalers: Autoscalers,
        health: Health,
    ) -> None:
        self._authority = Authority(access)
        self._reads = reads
        self._instances = instances
        self._workloads = workloads
        self._records = records
        self._pods = pods
        self._health = health
        self._one_store = one_store
        self._two_stores = two_stores
        self._autoscalers = autoscalers

    @asynccontextmanager
    async def begin(self, actor: Actor, address: Address, action: str) -> AsyncIterator["Write"]:
        """Begin a write of the process at an address. The audit log shows it as `action`, with what becomes of it.

        The body is to be parsed inside of the block, so that a caller who may not write learns that first. Raises
        ResourceNotFound, NotAuthorized, UnprocessableEntity, ServiceUnavailable.
        """
        with audited(action, actor.caller.name) as entry:
            self._health.require_loaded()
            meaning = await self._find(actor.caller, address)
            process = entry.process = meaning.item
            await self._require_one(actor, meaning, PATCH_DEPLOYMENTS)
            try:
                async with asyncio.timeout(WRITE_S):
                    yield Write(self, actor, process, entry)
            except Refused:
                # Kubernetes looks at what is asked for only after it has let the caller ask.
                raise
            except UnprocessableEntity:
                # Who may not write is told so, and nothing else.
                await self._authority.authorize(actor, process, PATCH_DEPLOYMENTS, process.workload.name)
                raise
            except TimeoutError as error:
                raise ServiceUnavailable("The change took too long; it may have been made") from error

    async def _find(self, caller: Caller, address: Address) -> Meaning[Process]:
        """What an address means, without asking the stores unless nothing is known there. Raises as Reads.get does."""
        try:
            return await self._reads.find(caller, address)
        except ResourceNotFound:
            meaning, _ = await self._reads.get(caller, address)
            return meaning

    async def terminate(self, actor: Actor, address: Address, index: str) -> bool:
        """Delete the Pod of an instance, if it has one. Whether other replicas could be told.

        Raises as `begin` does; no such index: ResourceNotFound.
        """
        with audited("terminate", actor.caller.name) as entry:
            meaning, freshness = await self._reads.get(actor.caller, address, pods=True)
            process = entry.process = meaning.item
            await self._require_one(actor, meaning, DELETE_PODS)
            try:
                at = _index(index, process)
            except ResourceNotFound as error:
                error.stale = freshness.warnings()
                raise
            found, _ = await self._instances.of_one(process, freshness)
            pod = found[at].pod if at < len(found) else None
            if pod is None or actor.token is None:
                await self._authority.authorize(actor, process, DELETE_PODS, "" if pod is None else pod.name)
                return True
            entry.pod = pod.name
            async with self._authority.answering(actor, process, DELETE_PODS, pod.name):
                deleted = await self._workloads.delete_pod(actor.token, pod)
            return deleted is None or await self._tell_of_deletion(process, deleted)

    async def _tell_of_deletion(self, process: Process, deleted: bytes) -> bool:
        """Have other replicas look for the Pod as it was deleted; whether they could be told."""
        self._pods.accept_answer(deleted)
        version = version_number(orjson.loads(deleted)["metadata"].get("resourceVersion", ""))
        try:
            await self._records.note(process.key, pod_version=version)
        except DatabaseUnavailable as error:
            log.warning("other replicas not told", reason=error.reason)
            return False
        return True

    async def apply(self, actor: Actor, process: Process, change: ProcessChange) -> Written:
        """Make the change, all or nothing. Raises as `begin` does."""
        token, name = actor.require_token(), process.workload.name
        async with self._authority.answering(actor, process, PATCH_DEPLOYMENTS, name):
            if change.metadata:
                leave = self._authority.leave(actor, process, PATCH_DEPLOYMENTS, name)
                return await self._two_stores.change(token, process, change, leave)
            written = await self._one_store.change_deployment(token, process, change)
            if not written.is_change:
                # Kubernetes was not asked to change anything, and so not whether the caller may.
                await self._authority.authorize(actor, process, PATCH_DEPLOYMENTS, name)
            return written

    def overruled(self, process: Process) -> str | None:
        """What to warn of who has set the number of instances of a process: what else sets it. None: nothing does."""
        workload = process.workload
        autoscaler = self._autoscalers.of(workload.namespace, workload.name)
        # Kubernetes lets an autoscaler rest as long as there are no replicas.
        if autoscaler is None or not workload.replicas:
            return None
        return f"{autoscaler} sets the number of instances of this process too, and may soon change it"

    async def _require_one(self, actor: Actor, meaning: Meaning[Process], permission: Permission) -> None:
        """Raises UnprocessableEntity where an address means several processes, to whoever may change any of them."""
        if (reason := ambiguity.of_write(meaning)) is None:
            return
        asked: set[str] = set()
        for process, namespace in zip(meaning.items, meaning.namespaces, strict=True):
            # Once for each namespace, and for some of them: there may be thousands. Of Pods it is not known yet which.
            if namespace in asked:
                continue
            if len(asked) == MOST_ASKED:
                break
            asked.add(namespace)
            name = "" if permission == DELETE_PODS else process.workload.name
            if await self._authority.may(actor, process, permission, name):
                raise UnprocessableEntity(reason)
        raise NotAuthorized


@dataclass(frozen=True)
class Write:
    """One write under way."""

    _writes: Writes
    _actor: Actor
    _process: Process
    _entry: Entry

    async def apply(self, change: ProcessChange) -> Written:
        """Make the change, all or nothing."""
        self._entry.changes.extend(change.names())
        written = await self._writes.apply(self._actor, self._process, change)
        is_set = isinstance(change, Scale) and change.instances is not None
        warning = self._writes.overruled(written.process) if is_set else None
        return written if warning is None else replace(written, warnings=(*written.warnings, warning))


def _index(text: str, process: Process) -> int:
    """An index as it was written in the path. Raises ResourceNotFound for one the process does not have."""
    # The length is checked first: a number of a million digits takes its time.
    if text.isascii() and text.isdigit() and len(text) <= 10 and int(text) < process.workload.instances:
        return int(text)
    raise ResourceNotFound("Instance not found")
