"""Where rows go: those of the mirror, and before it those that our own writes have left."""

from typing import Any

from service.cluster.versions import Versions
from service.freshness import RowIntake
from service.model.index import Index
from service.model.instances import Numbering
from service.model.joins import Joins
from service.model.process import Key
from service.model.record import Record
from tests.model.builders import metadata, workload

KEY: Key = ("space-a", "app", "web")


class Memory:
    """What a replica holds, with the watch at version 10."""

    def __init__(self) -> None:
        self.index, self.numbering = Index(), Numbering()
        deployments: Versions[Key] = Versions()
        pods: Versions[Key] = Versions()
        joins = Joins(self.index)
        joins.advance(10)
        deployments.advance(10)
        pods.advance(10)
        joins.put_workload(workload("u", app_guid="app"), 10)
        self.intake = RowIntake(joins, self.numbering, deployments, pods)
        self.ask()

    def ask(self) -> None:
        self.intake.ask()
        list(self.intake.answer())

    @property
    def shown(self) -> tuple[str | None, tuple[str, ...]]:
        process = self.index.find(KEY)
        assert process is not None
        return process.metadata.labels.get("of"), self.numbering.of(KEY).slots


def row(stamp: int, **fields: Any) -> Record:
    return Record(metadata=metadata("app", labels={"of": str(stamp)}), slots=(f"pod-{stamp}",), stamp=stamp, **fields)


def test_what_was_asked_for_before_our_write_does_not_undo_it() -> None:
    memory = Memory()
    memory.intake.put_ahead(row(15))
    memory.intake.put(row(12))
    assert memory.shown == ("15", ("pod-15",))
    memory.intake.put(row(15))
    memory.intake.put(row(16))
    assert memory.shown == ("16", ("pod-16",))


def test_of_two_writes_of_ours_the_later_one_counts_in_whatever_order_they_end() -> None:
    memory = Memory()
    memory.intake.put_ahead(row(16))
    memory.intake.put_ahead(row(15))
    assert memory.shown == ("16", ("pod-16",))


def test_an_older_backup_counts_once_postgres_has_been_away() -> None:
    memory = Memory()
    memory.intake.put_ahead(row(15))
    list(memory.intake.lose())
    memory.intake.put(row(3))
    memory.ask()
    assert memory.shown == ("3", ("pod-3",))
