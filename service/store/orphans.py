"""Rows of processes that are gone: marked, after a long while cleared, and in the end removed.

Clearing sets everything in a row back to its default, which means the same as no row at all. It is a write like any
other, with a stamp, so that every replica notices. Removing the row itself changes nothing that anyone can see, and
waits until no replica can have missed the clearing. Whatever else writes to the row in between takes the mark away.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from asyncpg import Record as Row

from service.model.process import Key
from service.store import statements
from service.store.database import Pool, translated

PRUNE_LOCK = 0x63_66_70_72_75_6E
"""The advisory lock that lets one replica prune at a time ("cfprun")."""

FIRST: Key = ("", "", "")
"""Before all keys."""


@dataclass(frozen=True)
class StoredRow:
    """What pruning needs to know of one row."""

    key: Key
    stamp: int
    is_marked: bool
    """Whether it was noticed before that no Deployment runs the process."""
    is_due: bool
    """Whether that was so long ago that the row is to be cleared."""
    is_cleared: bool
    is_removable: bool
    """Whether it was cleared so long ago that the row is to be removed."""
    absent_since: str
    """For a person to read; empty where it is not marked."""


@dataclass(frozen=True)
class Plan:
    """What is to be done with some rows. Stamps guard what must not be done to a row that was written since."""

    mark: Sequence[Key] = ()
    unmark: Sequence[Key] = ()
    clear: Sequence[StoredRow] = ()
    remove: Sequence[StoredRow] = ()

    @property
    def keys(self) -> list[Key]:
        """The keys of all rows concerned."""
        return [*self.mark, *self.unmark, *(row.key for row in (*self.clear, *self.remove))]


@dataclass(frozen=True)
class Done:
    marked: int
    cleared: Sequence[Key]
    removed: int


@dataclass
class Pruned:
    """What one replica, or one run, has done so far."""

    absent: int = 0
    """Rows whose process is gone, as of the last look."""
    cleared: int = 0
    removed: int = 0


class Orphans:
    """The rows, as pruning sees them. Methods raise DatabaseUnavailable."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def stored_rows(self, after: Key, days: float) -> list[StoredRow]:
        """The next rows in the order of their keys, statements.CHUNK at most; `days` make one due."""
        with translated():
            async with self._pool.connection() as connection:
                rows = await connection.fetch(statements.ORPHANS, *after, days)
        return [
            StoredRow(
                key=_key(row),
                stamp=row["stamp"],
                is_marked=row["is_marked"],
                is_due=row["is_due"],
                is_cleared=row["is_cleared"],
                is_removable=row["is_removable"],
                absent_since=row["absent_since"],
            )
            for row in rows
        ]

    async def carry_out(self, plan: Plan) -> Done | None:
        """Do what is planned, in one transaction. None, and nothing is done: another replica is at it."""
        with translated():
            async with self._pool.connection() as connection, connection.transaction():
                if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", PRUNE_LOCK):
                    return None
                # All of them first, in the order in which everybody locks rows: nobody waits in a circle.
                await connection.execute(statements.LOCK, *_unzipped(plan.keys))
                removed = await connection.fetch(statements.REMOVE, *_guarded(plan.remove))
                await connection.execute(statements.UNMARK, *_unzipped(plan.unmark))
                marked = await connection.fetch(statements.MARK, *_unzipped(plan.mark))
                cleared = await connection.fetch(statements.CLEAR, *_guarded(plan.clear)) if plan.clear else []
        return Done(len(marked), [_key(row) for row in cleared], len(removed))


def _key(row: Row) -> Key:
    return row["namespace"], row["app_guid"], row["type"]


def _unzipped(keys: Sequence[Key]) -> tuple[list[str], ...]:
    return tuple([key[column] for key in keys] for column in range(3))


def _guarded(rows: Sequence[StoredRow]) -> tuple[object, ...]:
    return *_unzipped([row.key for row in rows]), [row.stamp for row in rows]
