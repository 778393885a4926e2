"""What Postgres keeps of one process, and how a write of ours changes it. Pure: service.store makes it lasting.

One request may change Kubernetes and Postgres together, and is all or nothing. No transaction spans both, so
Kubernetes decides, with the one patch it takes or refuses whole:

1. *prepare*: the change of metadata is stored as pending under a new write id. It shows nowhere yet.
2. *commit*: the patch of the Deployment carries the write id in an annotation, and is guarded by the resourceVersion it
   was made for. From here on the pending change counts: `service.model.derive.merge` applies it for all who see the
   annotation.
3. *fold*: the change moves from pending into the metadata.

Whoever dies leaves one of three states: prepared and not committed (shows nowhere), committed and not folded (counts),
or done. Every writer first takes into the row what it has read of the Deployment (`seen`): what is committed is
folded, and what was prepared for an earlier version is dropped, for Kubernetes refuses it by now. The guard makes sure
that a writer has read the last commit: nothing committed is ever lost, whatever the number of writers.

A change of metadata alone goes to the row at once, unless others are between their prepare and their fold: then it
takes the same three steps, with a patch of nothing but the annotation, to have its place among them.

The one window that remains: a process dies after its commit, and before the next write through this API somebody takes
the annotation away by hand (`kubectl replace` with a manifest of their own, `kubectl rollout undo`). The metadata half
of that one write is then lost. It heals with the same request made again.
"""

from collections.abc import Mapping

import msgspec

from service.errors import AnnotationLimitExceeded, LabelLimitExceeded
from service.model.instances import Slots
from service.model.process import Key, Metadata, MetadataChange, Pending

MAXIMUM_LABELS, MAXIMUM_ANNOTATIONS = 50, 200


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
    def key(self) -> Key:
        return self.metadata.key


def seen(record: Record, write_id: str | None, version: int, now: int) -> Record:
    """What it means for the row that the Deployment carries this write id at this version."""
    record = folded(record, write_id, version, now)
    waiting = {known: each for known, each in record.metadata.pending.items() if each.version >= version}
    return _with_metadata(record, msgspec.structs.replace(record.metadata, pending=waiting))


def folded(record: Record, write_id: str | None, version: int, now: int) -> Record:
    """The same of a Deployment that is remembered so, and has not been read: nothing is dropped for that."""
    if write_id is None or (committed := record.metadata.pending.get(write_id)) is None:
        return record
    metadata = discarded(record, write_id).metadata.changed(committed.change)
    # Who sees the metadata folded must also see the other half.
    return msgspec.structs.replace(
        record,
        metadata=msgspec.structs.replace(metadata, updated_at=_later(metadata, now)),
        deployment_version=max(record.deployment_version, version),
    )


def prepared(record: Record, write_id: str, change: MetadataChange, version: int) -> Record:
    """The change pending under the write id, to be committed on this version of the Deployment.

    Raises LabelLimitExceeded, AnnotationLimitExceeded: counted with all that is pending, as it may yet count.
    """
    others = {known: each for known, each in record.metadata.pending.items() if known != write_id}
    _check_limits(record.metadata.changed(change), change, others)
    pending = {**others, write_id: Pending(change, version)}
    return _with_metadata(record, msgspec.structs.replace(record.metadata, pending=pending))


def discarded(record: Record, write_id: str) -> Record:
    """The pending change forgotten: it will not be committed."""
    pending = {known: entry for known, entry in record.metadata.pending.items() if known != write_id}
    return _with_metadata(record, msgspec.structs.replace(record.metadata, pending=pending))


def changed(record: Record, change: MetadataChange, now: int) -> Record:
    """The change made lasting at once. Nothing must be pending. Raises as `prepared` does."""
    metadata = record.metadata.changed(change)
    _check_limits(metadata, change, {})
    return _with_metadata(record, msgspec.structs.replace(metadata, updated_at=_later(metadata, now)))


def _later(metadata: Metadata, now: int) -> int:
    """Now, but never before what is there: clocks differ and are set."""
    return max(metadata.updated_at, now)


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
