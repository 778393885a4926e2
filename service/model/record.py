"""What Postgres keeps of one process, and how a write of ours changes it. Pure: service.store makes it lasting.

One request may change Kubernetes and Postgres together, and is all or nothing. No transaction spans both, so Kubernetes
decides, with the one patch it takes or refuses whole:

1. *prepare*: the change of metadata is stored as pending under a new write id. It shows nowhere yet.
2. *commit*: the patch of the Deployment carries the write id in an annotation, and is guarded by the resourceVersion it
   was made for. From here on the pending change counts: `service.model.derive.merge` applies it for all who see the
   annotation.
3. *fold*: the change moves from pending into the metadata.

Whoever dies leaves one of three states: prepared and not committed (shows nowhere, dropped after DEAD_US), committed
and not folded (counts, folded by the next writer), or done. A writer folds what it finds committed before it replaces
the annotation, and the guard makes sure that it found the last one: nothing committed is ever lost, whatever the number
of writers.

The one window that remains: a process dies after its commit, and before the next write through this API somebody takes
the annotation away by hand (`kubectl replace` with a manifest of their own). The metadata half of that one write is
then lost. It heals with the same request made again.
"""

from collections.abc import Mapping

import msgspec

from service.errors import AnnotationLimitExceeded, LabelLimitExceeded
from service.model.instances import Slots
from service.model.process import SECOND, Metadata, MetadataChange, Pending

MAXIMUM_LABELS, MAXIMUM_ANNOTATIONS = 50, 200
DEAD_US = 600 * SECOND
"""Since it was prepared, a change that is not committed by then never will be: no request lives so long."""


class Record(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One row. The versions are resourceVersions: whoever has not reached them has not seen what they stand for."""

    metadata: Metadata
    deployment_version: int = 0
    """Of the Deployment as the last write of ours left it."""
    pod_version: int = 0
    """Of the Pods as the last termination left them, and as `slots` was decided upon."""
    slots: Slots = ()
    stamp: int = 0
    """Grows with each write of the row (migration 0001)."""

    @property
    def key(self) -> tuple[str, str]:
        """(app GUID, type)."""
        return self.metadata.app_guid, self.metadata.type


def prepared(record: Record, write_id: str, change: MetadataChange, committed: str | None, now: int) -> Record:
    """The change pending under the write id, and what the Deployment says is committed folded.

    Raises LabelLimitExceeded, AnnotationLimitExceeded: counted with all that is pending, as it may yet count.
    """
    record = folded(record, committed, now)
    others = {known: each for known, each in _alive(record.metadata.pending, now).items() if known != write_id}
    _check_limits(record.metadata.changed(change), change, others)
    pending = {**others, write_id: Pending(change, now)}
    return _with_metadata(record, msgspec.structs.replace(record.metadata, pending=pending))


def folded(record: Record, write_id: str | None, now: int) -> Record:
    """The pending change made lasting. Nothing pending under the id: the record as it is."""
    pending = dict(record.metadata.pending)
    if write_id is None or (entry := pending.pop(write_id, None)) is None:
        return record
    metadata = record.metadata.changed(entry.change)
    updated_at = max(metadata.updated_at, now)
    return _with_metadata(record, msgspec.structs.replace(metadata, pending=pending, updated_at=updated_at))


def discarded(record: Record, write_id: str) -> Record:
    """The pending change forgotten: Kubernetes has refused its half."""
    pending = {known: entry for known, entry in record.metadata.pending.items() if known != write_id}
    return _with_metadata(record, msgspec.structs.replace(record.metadata, pending=pending))


def changed(record: Record, change: MetadataChange, committed: str | None, now: int) -> Record:
    """The change made lasting at once, as Kubernetes has no part in it. Raises as `prepared` does."""
    record = folded(record, committed, now)
    metadata, pending = record.metadata.changed(change), _alive(record.metadata.pending, now)
    _check_limits(metadata, change, pending)
    updated_at = max(metadata.updated_at, now)
    return _with_metadata(record, msgspec.structs.replace(metadata, pending=pending, updated_at=updated_at))


def _alive(pending: Mapping[str, Pending], now: int) -> dict[str, Pending]:
    """Without what will never be committed; to be asked only when what is committed has been folded."""
    return {write_id: each for write_id, each in pending.items() if now - each.prepared_at < DEAD_US}


def _with_metadata(record: Record, metadata: Metadata) -> Record:
    return record if metadata == record.metadata else msgspec.structs.replace(record, metadata=metadata)


def _check_limits(metadata: Metadata, change: MetadataChange, pending: Mapping[str, Pending]) -> None:
    """What is pending may yet count, and may not: what it would add counts here, what it would delete does not.

    `metadata` has the change, which is held to the limits only of what it sets: deleting and nothing else always helps.
    """
    labels, annotations = set(metadata.labels), set(metadata.annotations)
    for entry in pending.values():
        labels.update(key for key, value in entry.change.labels.items() if value is not None)
        annotations.update(key for key, value in entry.change.annotations.items() if value is not None)
    if _sets(change.labels) and len(labels) > MAXIMUM_LABELS:
        raise LabelLimitExceeded(f"a process can have {MAXIMUM_LABELS} labels, and this would make {len(labels)}")
    if _sets(change.annotations) and len(annotations) > MAXIMUM_ANNOTATIONS:
        raise AnnotationLimitExceeded(
            f"a process can have {MAXIMUM_ANNOTATIONS} annotations, and this would make {len(annotations)}"
        )


def _sets(pairs: Mapping[str, str | None]) -> bool:
    return any(value is not None for value in pairs.values())
