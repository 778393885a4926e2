"""Writes of apps: of each Deployment of an app, or of what Postgres keeps of the app itself.

An app may have several Deployments, and no transaction spans them. So everything that can be checked is checked before
the first of them is patched; they are patched one after the other, in the same order each time; and where that fails on
the way, the answer says which were and which were not. What a change asks for does not depend on how far an earlier
attempt came, so that the same request made again completes it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from service.access import PATCH_DEPLOYMENTS, Access
from service.cluster.workloads import Denied, Refused, WebhookFailed, Workloads
from service.errors import CloudFoundryError, NotAuthorized, ServiceUnavailable, UnprocessableEntity
from service.freshness import ReadBarrier
from service.model import record as rules
from service.model.changes import Change
from service.model.derive import DEFAULT_TYPE
from service.model.process import Key, MetadataChange, Process
from service.model.record import Record
from service.model.snapshots import Snapshot
from service.operations import ambiguity
from service.operations.audit import Entry, audited
from service.operations.authority import AT_A_TIME, Actor, Authority
from service.operations.one_store import OneStore
from service.operations.outcomes import Written
from service.operations.processes import of_app
from service.operations.reads import Reads
from service.pacing import in_batches
from service.store.records import Records

WRITE_S = 60.0
"""Time for all that one write does."""
MOST_DEPLOYMENTS = 50
"""Of an app that can be changed: one that has more is a mistake in labels, or somebody else's doing."""
NAMED = 10
"""Deployments that are named in one text."""

ChangeOf = Callable[[Sequence[Snapshot]], Change]
"""What is to change of each Deployment of an app, from how all of them are."""


class AppWrites:
    def __init__(
        self,
        *,
        access: Access,
        reads: Reads[Process],
        workloads: Workloads,
        one_store: OneStore,
        records: Records,
        barrier: ReadBarrier,
    ) -> None:
        self._authority = Authority(access)
        self._reads = reads
        self._workloads = workloads
        self._one_store = one_store
        self._records = records
        self._barrier = barrier

    @asynccontextmanager
    async def begin(
        self, actor: Actor, app_guid: str, action: str, *, lead_only: bool = False
    ) -> AsyncIterator["AppWrite"]:
        """Begin a write of an app. The audit log shows it as `action`, with what becomes of it.

        The caller must be one who may patch each Deployment of the app; with `lead_only`, the one that the app has its
        name from. The body is to be parsed inside of the block, so that a caller who may not write learns that first.
        Raises ResourceNotFound, NotAuthorized, UnprocessableEntity, ServiceUnavailable.
        """
        with audited(action, actor.caller.name) as entry:
            meaning, _ = await self._reads.get(actor.caller, (of_app(app_guid),))
            entry.of_app = meaning.items
            await self._require_one(actor, meaning.items)
            processes = sorted(meaning.items, key=lambda each: each.workload.name)
            concerned = [lead(processes)] if lead_only else processes[:MOST_DEPLOYMENTS]
            await self._authority.authorize_all(actor, concerned)
            if not lead_only and len(processes) > MOST_DEPLOYMENTS:
                raise UnprocessableEntity(
                    f"This app has {len(processes)} Deployments, and no more than {MOST_DEPLOYMENTS} can be changed "
                    "at once: nothing was changed"
                )
            try:
                async with asyncio.timeout(WRITE_S):
                    yield AppWrite(self, actor, processes, entry)
            except TimeoutError as error:
                raise ServiceUnavailable("The change took too long; some of it may have been made") from error

    async def read(self, actor: Actor, processes: Sequence[Process]) -> list[Snapshot]:
        """Their Deployments as they are now, read with the caller's token. Raises as Workloads.read does."""
        token, found = actor.require_token(), {}

        async def read_one(process: Process) -> None:
            found[process.key] = await self._workloads.read(token, process.workload)

        await in_batches((read_one(each) for each in processes), AT_A_TIME)
        return [found[each.key] for each in processes]

    async def change(self, actor: Actor, processes: Sequence[Process], change_of: ChangeOf) -> list[Written]:
        """Change the Deployment of each process, those first that have no replicas. Raises as `begin` does."""
        snapshots = await self.read(actor, processes)
        change = change_of(snapshots)
        for snapshot in snapshots:
            # Whatever cannot be done is to be found before anything is.
            change.patch(snapshot)
        order = sorted(zip(processes, snapshots, strict=True), key=lambda each: each[1].workload.started)
        done: list[Written] = []
        for process, snapshot in order:
            try:
                done.append(await self._change_one(actor, process, change, snapshot))
            except CloudFoundryError as error:
                if len(order) == 1:
                    raise
                raise error.saying_more(
                    _how_far([each.workload.name for each, _ in order], len(done), error)
                ) from error
        return done

    async def _change_one(self, actor: Actor, process: Process, change: Change, snapshot: Snapshot) -> Written:
        try:
            return await self._one_store.change_deployment(actor.require_token(), process, change, snapshot)
        except Denied as error:
            raise await self._authority.refusal(
                actor, process, PATCH_DEPLOYMENTS, process.workload.name, error
            ) from error
        except WebhookFailed as error:
            raise Refused(error) from error

    async def change_metadata(self, key: Key, change: MetadataChange) -> Record:
        """Change what is kept of the app itself.

        Raises LabelLimitExceeded, AnnotationLimitExceeded, ServiceUnavailable.
        """
        record = await self._records.change(key, lambda row, now: rules.changed(row, change, now))
        self._barrier.accept_row(record)
        return record

    async def _require_one(self, actor: Actor, processes: Sequence[Process]) -> None:
        """Raises UnprocessableEntity where a GUID means several apps, to whoever may change any of them."""
        of_namespace = {each.workload.namespace: each for each in processes}
        if (reason := ambiguity.of_app_write(of_namespace)) is None:
            return
        for process in of_namespace.values():
            if await self._authority.may(actor, process, PATCH_DEPLOYMENTS, process.workload.name):
                raise UnprocessableEntity(reason)
        raise NotAuthorized


@dataclass(frozen=True)
class AppWrite:
    """One write of an app under way."""

    _writes: AppWrites
    _actor: Actor
    processes: Sequence[Process]
    """All of the app, in the order in which they are changed."""
    _entry: Entry

    async def apply(self, change_of: ChangeOf) -> list[Written]:
        """Change each Deployment of the app."""

        def noted(snapshots: Sequence[Snapshot]) -> Change:
            change = change_of(snapshots)
            self._entry.changes.extend(change.names())
            return change

        return await self._writes.change(self._actor, self.processes, noted)

    async def read(self) -> Snapshot:
        """The Deployment that stands for the app."""
        (found,) = await self._writes.read(self._actor, [lead(self.processes)])
        return found

    async def change_metadata(self, change: MetadataChange) -> Record:
        """Change the app's own metadata, wholly or not at all."""
        self._entry.changes.extend(change.names())
        namespace, app_guid, _ = self.processes[0].key
        return await self._writes.change_metadata((namespace, app_guid, ""), change)


def lead(processes: Sequence[Process]) -> Process:
    """The process that stands for the app: `web`, else the oldest."""
    return min(processes, key=lambda each: (each.workload.type != DEFAULT_TYPE, each.workload.created_at, each.key))


def _how_far(names: Sequence[str], done: int, error: CloudFoundryError) -> str:
    """What has become of the Deployments, of which so many were changed before the error."""
    in_doubt = isinstance(error, ServiceUnavailable)
    parts = {
        "Changed": names[:done],
        "Maybe changed": names[done : done + 1] if in_doubt else (),
        "Not changed": names[done + in_doubt :],
    }
    said = [f"{what}: {_listed(which)}" for what, which in parts.items() if which]
    return f"{'. '.join(said)}. The same request again completes it"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
