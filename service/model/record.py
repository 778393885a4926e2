"""The row that Postgres keeps of one process, and the rules by which a write changes it. Pure: service.store saves it.

One request may change both Kubernetes and Postgres, and must change both or neither. No transaction spans the two, so
Kubernetes decides: it takes one patch whole or refuses it. A write has three steps.

1. *Prepare*: store the change of metadata in the row as pending, under a new write id. It does not show yet.
2. *Commit*: patch the Deployment. The patch puts the write id into an annotation, and names the resourceVersion it
   was made for, so that Kubernetes refuses it for any other. From here on the pending change shows:
   `service.model.derive.merge` applies it wherever the Deployment carries its write id.
3. *Fold*: move the change from pending into the metadata.

A writer that dies leaves the row in one of three states: prepared but not committed (does not show), committed but
not folded (shows), or done. The next writer puts it in order with what it has read of the Deployment (`reconciled`).
It folds what is committed. It drops what was prepared for an earlier version, which Kubernetes refuses by now. The
version that the patch names makes sure that each writer has read the last commit, so that no commit is lost, however
many writers there are.

A change of metadata alone goes into the row directly. While others are between their prepare and their fold it takes
the three steps too, with a patch of nothing but the annotation, so as to be ordered among them.

Readers hear of the two stores in any order. Which state of one may be shown with which of the other, so that nobody
sees half, is said in service.model.holds.

One gap remains. If a process dies after its commit, and somebody removes the annotation by hand before the next write
(`kubectl replace` with a manifest of their own, `kubectl rollout undo`), the metadata half of that one write is lost.
The same request made again repairs it.
"""

from collections.abc import Mapping

import msgspec

from service.errors import AnnotationLimitExceeded, LabelLimitExceeded, UnprocessableEntity
from service.model.instances import Slots
from service.model.process import Key, Metadata, MetadataChange, Pending

MAXIMUM_LABELS, MAXIMUM_ANNOTATIONS = 50, 200
MAXIMUM_BYTES = 1 << 18
"""The size of labels and annotations together, keys and values, as UTF-8.

It is what Kubernetes allows the annotations of an object. What every tenant writes is in the memory of each replica."""


class Record(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One row. Its versions are resourceVersions: a replica that has not reached one does not know that change yet."""

    metadata: Metadata
    folded_version: int = 0
    """The Deployment's when a pending change was last folded: with an earlier one the row would show half of it."""
    deployment_version: int = 0
    """The Deployment's, as the last write through this API left it."""
    pod_version: int = 0
    """The latest of two: the Pods' as the last termination left them, and as they were when `slots` was decided."""
    slots: Slots = ()
    stamp: int = 0
    """Grows with each write of the row (migration 0001)."""

    @property
    def key(self) -> Key:
        return self.metadata.key


def reconciled(record: Record, write_id: str | None, version: int, now: int) -> Record:
    """The row in order with a Deployment that was just read, and has this write id and this resourceVersion.

    A pending change that the Deployment has committed is folded, and one prepared for an earlier version is dropped.
    `now` is the time of a fold, in the model's unit.
    """
    record = folded(record, write_id, version, now)
    waiting = {known: each for known, each in record.metadata.pending.items() if each.version >= version}
    return _with_metadata(record, msgspec.structs.replace(record.metadata, pending=waiting))


def folded(record: Record, write_id: str | None, version: int, now: int) -> Record:
    """The row with the pending change of this write id folded, if there is one.

    This much is safe to do by a cached Deployment, which may be behind: nothing is dropped.
    """
    if write_id is None or (committed := record.metadata.pending.get(write_id)) is None:
        return record
    metadata = discarded(record, write_id).metadata.changed(committed.change)
    # Who sees the metadata folded must also see the other half.
    return msgspec.structs.replace(
        record,
        metadata=msgspec.structs.replace(metadata, updated_at=_later(metadata, now)),
        folded_version=max(record.folded_version, version),
        deployment_version=max(record.deployment_version, version),
    )


def prepared(record: Record, write_id: str, change: MetadataChange, version: int) -> Record:
    """The row with the change pending under the write id, to be committed on this version of the Deployment.

    Raises UnprocessableEntity beyond a limit. All that is pending is counted, since it may yet be committed.
    """
    others = {known: each for known, each in record.metadata.pending.items() if known != write_id}
    _check_limits(record.metadata.changed(change), change, others)
    pending = {**others, write_id: Pending(change, version)}
    return _with_metadata(record, msgspec.structs.replace(record.metadata, pending=pending))


def discarded(record: Record, write_id: str) -> Record:
    """The row without the pending change, which will not be committed."""
    pending = {known: entry for known, entry in record.metadata.pending.items() if known != write_id}
    return _with_metadata(record, msgspec.structs.replace(record.metadata, pending=pending))


def changed(record: Record, change: MetadataChange, now: int) -> Record:
    """The row with the change in its metadata, which nothing must be pending for. Raises as `prepared` does.

    A change to what is there already is none: the row stays as it is, its time of change included.
    """
    metadata = record.metadata.changed(change)
    if metadata == record.metadata:
        return record
    _check_limits(metadata, change, {})
    return _with_metadata(record, msgspec.structs.replace(metadata, updated_at=_later(metadata, now)))


def _later(metadata: Metadata, now: int) -> int:
    """The time of a change made now. It is never before the last one, though clocks differ and are set."""
    return max(metadata.updated_at, now)


def _with_metadata(record: Record, metadata: Metadata) -> Record:
    return record if metadata == record.metadata else msgspec.structs.replace(record, metadata=metadata)


def _check_limits(metadata: Metadata, change: MetadataChange, pending: Mapping[str, Pending]) -> None:
    """Raises UnprocessableEntity, two kinds of which count, for `metadata`, which has the change in it already.

    What is pending may be committed or not: what it would add is counted, and what it would delete is not. A change
    that only deletes is never refused.
    """
    whose = "a process" if metadata.type else "an app"
    labels, annotations = set(metadata.labels), set(metadata.annotations)
    for entry in pending.values():
        labels.update(key for key, value in entry.change.labels.items() if value is not None)
        annotations.update(key for key, value in entry.change.annotations.items() if value is not None)
    if _sets(change.labels) and len(labels) > MAXIMUM_LABELS:
        raise LabelLimitExceeded(f"{whose} can have {MAXIMUM_LABELS} labels, and this would make {len(labels)}")
    if _sets(change.annotations) and len(annotations) > MAXIMUM_ANNOTATIONS:
        raise AnnotationLimitExceeded(
            f"{whose} can have {MAXIMUM_ANNOTATIONS} annotations, and this would make {len(annotations)}"
        )

    if _sets(change.labels) or _sets(change.annotations):
        changes = [entry.change for entry in pending.values()]
        size = sum(map(_size, (metadata.labels, metadata.annotations)))
        size += sum(_size(each.labels) + _size(each.annotations) for each in changes)
        if size > MAXIMUM_BYTES:
            raise UnprocessableEntity(
                f"labels and annotations together can have {MAXIMUM_BYTES} bytes, and these would have {size}"
            )


def _size(pairs: Mapping[str, str | None]) -> int:
    return sum(len(key.encode()) + len((value or "").encode()) for key, value in pairs.items())


def _sets(pairs: Mapping[str, str | None]) -> bool:
    return any(value is not None for value in pairs.values())
