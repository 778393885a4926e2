"""Rows and what writes make of them, rule by rule. The whole protocol: test_record_protocol."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from service.errors import AnnotationLimitExceeded, LabelLimitExceeded, UnprocessableEntity
from service.model.derive import merge
from service.model.process import Metadata, MetadataChange, Pending
from service.model.record import (
    MAXIMUM_ANNOTATIONS,
    MAXIMUM_BYTES,
    MAXIMUM_LABELS,
    Record,
    changed,
    discarded,
    folded,
    prepared,
    reconciled,
)
from service.model.times import SECOND
from tests.model.builders import metadata, workload

START = 1_700_000_000 * SECOND + 123_456


def record(pending: Mapping[str, Pending] | None = None, **fields: Any) -> Record:
    return Record(metadata=metadata(pending=pending or {}, **fields))


def labels(count: int, prefix: str = "k") -> dict[str, str]:
    return {f"{prefix}{number}": "v" for number in range(count)}


SET = MetadataChange({"a": "1", "b": None}, {"note": "n"}, 7)


def test_what_is_prepared_shows_nowhere_until_the_deployment_names_it() -> None:
    row = prepared(record(labels={"b": "2"}), "w1", SET, 5)
    shown = [merge(workload(write_id=write_id), row.metadata, None).metadata for write_id in (None, "w0", "w1")]
    assert [each.labels for each in shown] == [{"b": "2"}, {"b": "2"}, {"a": "1"}]
    assert [each.annotations for each in shown] == [{}, {}, {"note": "n"}]
    assert [each.log_rate_limit_in_bytes_per_second for each in shown] == [-1, -1, 7]


def test_folding_shows_the_same_and_leaves_nothing_pending() -> None:
    row = prepared(record(labels={"b": "2"}), "w1", SET, 5)
    done = reconciled(row, "w1", 6, START + 5).metadata
    assert msgspec.structs.replace(done, updated_at=0) == metadata(
        labels={"a": "1"}, annotations={"note": "n"}, log_rate_limit_in_bytes_per_second=7
    )
    assert done.updated_at == START + 5


def test_what_is_remembered_of_the_deployment_folds_and_drops_nothing() -> None:
    row = prepared(prepared(record(labels={"b": "2"}), "w1", SET, 5), "w2", MetadataChange({"c": "3"}), 5)
    done = folded(row, "w1", 6, START + 5)
    assert done.metadata.labels == {"a": "1"}
    assert set(done.metadata.pending) == {"w2"}
    assert (done.deployment_version, done.metadata.updated_at) == (6, START + 5)
    assert reconciled(row, "w1", 6, START + 5).metadata.pending == {}
    assert folded(row, "w0", 9, START + 5) == folded(row, None, 9, START + 5) == row


def test_who_sees_the_fold_must_see_the_deployment_too() -> None:
    row = prepared(record(), "w1", SET, 5)
    done, undone = reconciled(row, "w1", 6, START), reconciled(row, None, 5, START)
    assert (done.folded_version, done.deployment_version) == (6, 6)
    assert (undone.folded_version, undone.deployment_version) == (0, 0)


@pytest.mark.parametrize("write_id", [None, "w2"])
def test_another_write_id_at_the_version_it_is_for_says_nothing(write_id: str | None) -> None:
    row = prepared(record(), "w1", SET, 5)
    assert reconciled(row, write_id, 5, START + 1) == row
    assert discarded(row, write_id or "") is row


@pytest.mark.parametrize("write_id", [None, "w2"])
def test_what_was_prepared_for_an_earlier_version_is_dropped(write_id: str | None) -> None:
    row = prepared(record(labels={"b": "2"}), "w1", SET, 5)
    assert reconciled(row, write_id, 6, START + 1) == record(labels={"b": "2"})


def test_a_reading_that_is_late_drops_and_undoes_nothing() -> None:
    row = prepared(reconciled(prepared(record(), "w1", SET, 5), "w1", 6, START), "w2", MetadataChange({"a": "2"}), 6)
    assert reconciled(row, "w1", 6, START + 1) == row
    assert reconciled(row, None, 5, START + 1) == row


def test_the_next_writer_folds_what_it_finds_committed() -> None:
    row = prepared(record(), "w1", SET, 5)
    row = prepared(reconciled(row, "w1", 6, START + 1), "w2", MetadataChange({"a": "2"}), 6)
    assert row.metadata.labels == {"a": "1"}
    assert list(row.metadata.pending) == ["w2"]
    row = changed(reconciled(row, "w2", 7, START + 2), MetadataChange({"c": "3"}), START + 2)
    assert (row.metadata.labels, row.metadata.pending) == ({"a": "2", "c": "3"}, {})


def test_a_retry_replaces_its_own_preparation() -> None:
    row = prepared(record(), "w1", MetadataChange(labels(MAXIMUM_LABELS)), 5)
    row = prepared(row, "w1", MetadataChange(labels(MAXIMUM_LABELS)), 6)
    assert row.metadata.pending == {"w1": Pending(MetadataChange(labels(MAXIMUM_LABELS)), 6)}


def test_refused_is_forgotten() -> None:
    row = record(labels={"b": "2"})
    assert discarded(prepared(row, "w1", SET, 5), "w1") == row


FULL = labels(MAXIMUM_LABELS)
NOTES = {f"n{number}": "v" for number in range(MAXIMUM_ANNOTATIONS)}


@pytest.mark.parametrize(
    "change",
    [
        MetadataChange({"k0": "other"}),
        MetadataChange({"k0": None, "new": "v"}),
        MetadataChange({}, {"n0": None, "new": "v"}),
        MetadataChange({"k0": None}, {"n0": None}),
        MetadataChange({}, {}, 5),
    ],
    ids=["another value", "one for one", "one annotation for one", "fewer", "the log rate"],
)
def test_full_is_not_too_much(change: MetadataChange) -> None:
    row = record(labels=FULL, annotations=NOTES)
    changed(row, change, START)
    prepared(row, "w1", change, 5)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (MetadataChange({"new": "v"}), LabelLimitExceeded),
        (MetadataChange({"new": ""}), LabelLimitExceeded),
        (MetadataChange({"k0": None, "new": "v", "newer": "v"}), LabelLimitExceeded),
        (MetadataChange({}, {"new": ""}), AnnotationLimitExceeded),
    ],
)
def test_one_more_is_too_much(change: MetadataChange, error: type[Exception]) -> None:
    row = record(labels=FULL, annotations=NOTES)
    with pytest.raises(error):
        changed(row, change, START)
    with pytest.raises(error):
        prepared(row, "w1", change, 5)


def test_one_for_one_pending_leaves_room_for_nobody_and_stops_nobody_else() -> None:
    swap = MetadataChange({"k0": None, "new": "v"}, {"n0": None, "new": "v"})
    row = prepared(record(labels=FULL, annotations=NOTES), "w1", swap, 5)
    for change in (MetadataChange({}, {}, 5), MetadataChange({"k1": None}, {"n1": None}), MetadataChange({"k1": None})):
        prepared(row, "w2", change, 5)
    for change, error in (
        (MetadataChange({"k0": "kept"}), LabelLimitExceeded),
        (MetadataChange({}, {"n0": "kept"}), AnnotationLimitExceeded),
    ):
        with pytest.raises(error):
            prepared(row, "w2", change, 5)


def test_over_the_limit_there_is_a_way_back() -> None:
    row = record(labels=labels(60), annotations=NOTES)
    assert len(changed(row, MetadataChange({"k0": None}), START).metadata.labels) == 59
    changed(row, MetadataChange({}, {"n0": "other"}), START)
    with pytest.raises(LabelLimitExceeded, match="have 50 labels, and this would make 60"):
        changed(row, MetadataChange({"k0": "other"}), START)


def test_a_clock_turned_back_does_not_turn_updated_at_back() -> None:
    row = changed(record(), SET, START)
    row = changed(row, MetadataChange({"a": "2"}), START - 100 * SECOND)
    row = prepared(row, "w1", SET, 5)
    assert reconciled(row, "w1", 6, START - 99 * SECOND).metadata.updated_at == START


def test_the_rest_of_the_row_stays() -> None:
    row = Record(
        metadata=Metadata(
            namespace="n",
            app_guid="app",
            type="web",
            revision_guid="r",
            registry_credential_guid="c",
            registry_credential_last_synced_at=5,
        ),
        deployment_version=7,
        pod_version=8,
        slots=("uid-1", ""),
        stamp=9,
    )
    after = reconciled(prepared(row, "w1", SET, 5), "w1", 6, START)
    assert msgspec.structs.replace(after, metadata=row.metadata, folded_version=0) == row
    assert (after.metadata.revision_guid, after.metadata.registry_credential_guid) == ("r", "c")
    assert after.key == ("n", "app", "web")


def test_labels_and_annotations_together_have_so_many_bytes() -> None:
    """What is pending counts: it may yet be committed."""
    value = "é" * 2500
    most = MAXIMUM_BYTES // (5 + 5000)
    fitting = {f"k{number:04}": value for number in range(most)}
    row = changed(record(), MetadataChange(annotations=fitting), START)
    waiting = prepared(record(), "w1", MetadataChange(annotations=fitting), 1)
    with pytest.raises(UnprocessableEntity, match=f"can have {MAXIMUM_BYTES} bytes"):
        changed(row, MetadataChange(annotations={"more": value}), START)
    with pytest.raises(UnprocessableEntity, match=f"can have {MAXIMUM_BYTES} bytes"):
        prepared(waiting, "w2", MetadataChange(annotations={"more": value}), 1)
    # In place of another it fits, and what only deletes always does.
    assert changed(row, MetadataChange(annotations={"k0000": None, "more": value[5:]}), START) != row
    full = record(annotations={**fitting, "more": value})
    assert "k0001" not in changed(full, MetadataChange(annotations={"k0001": None}), START).metadata.annotations
