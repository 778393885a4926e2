"""What has come of one process and is not shown yet, and how much of it may be shown together.

A two-store write (service.model.record) reaches us by two ways: the Deployment by a watch, the row by the mirror. Each
way keeps its own order, and either may be late. `Hold` keeps what has come by both in the order in which it came. A
state of the Deployment and a state of the row belong together if

- the row has heard of the write id that the Deployment names, and so of all ids before it. It has if it holds that id
  as pending; if it records a version as late as the Deployment's, since ids are stored before they are committed; or
  if it was known when a question to Postgres was answered that had been asked after the Deployment came. Then an id
  that the row does not hold is history, or never was a write's.
- the Deployment is as late as the last fold in the row, which has the other half of what was folded.

Of the pairs that belong together one is the latest in both: `fitting` finds it.
"""

from collections.abc import Sequence

import msgspec

from service.model.process import Metadata, Workload

UNHEARD_OF = 1 << 62
"""Later than any row."""


class HeldWorkload(msgspec.Struct, gc=False):
    """A state of a Deployment."""

    workload: Workload
    version: int
    """Its resourceVersion."""
    as_of: int
    """The version up to which it is known to be so: `version`, or that of a later answer."""
    arrived: int
    """How many questions to Postgres had been asked when it came."""
    heard_in: int = UNHEARD_OF
    """The ordinal of the first row known to have heard of its write id."""
    size: int = 0


class HeldRow(msgspec.Struct, gc=False, kw_only=True, frozen=True):
    """A state of the row."""

    ordinal: int
    """Counts the rows that have come, of all processes."""
    metadata: Metadata
    folded_version: int
    """The Deployment's version at the last fold; no earlier one goes with the row."""
    deployment_version: int
    """The Deployment's version as the last write recorded it."""
    size: int = 0

    def has_heard_of(self, held: HeldWorkload) -> bool:
        return held.workload.write_id in self.metadata.pending or self.deployment_version >= held.version


class Hold:
    """What is held of one process. Sizes are bytes."""

    __slots__ = ("as_of", "ordinal", "rows", "workloads")

    def __init__(self, ordinal: int, as_of: int) -> None:
        """What is shown: the row of this ordinal or an earlier one, with the Deployment as of this version."""
        self.ordinal = ordinal
        self.as_of = as_of
        self.workloads: list[HeldWorkload] = []
        self.rows: list[HeldRow] = []

    @property
    def is_empty(self) -> bool:
        return not self.workloads and not self.rows

    @property
    def size(self) -> int:
        return sum(each.size for each in self.workloads) + sum(each.size for each in self.rows)

    def last_of(self, uid: str) -> HeldWorkload | None:
        """The latest state of that Deployment."""
        return next((each for each in reversed(self.workloads) if each.workload.uid == uid), None)

    def add_workload(self, held: HeldWorkload) -> None:
        for row in self.rows:
            if row.has_heard_of(held):
                held.heard_in = min(held.heard_in, row.ordinal)
        self.workloads.append(held)

    def add_row(self, row: HeldRow) -> None:
        self.rows.append(row)
        for held in self.workloads:
            if row.has_heard_of(held):
                held.heard_in = min(held.heard_in, row.ordinal)

    def settle(self, asked: int) -> None:
        """As many questions to Postgres have been answered: what had come before the last of them was asked is known
        to the latest row.
        """
        latest = self.rows[-1].ordinal if self.rows else self.ordinal
        for held in self.workloads:
            if held.arrived < asked:
                held.heard_in = min(held.heard_in, latest)

    def drop_workloads(self, uid: str) -> None:
        """Forget what is held of a Deployment."""
        self.workloads = [each for each in self.workloads if each.workload.uid != uid]

    def drop_superseded(self) -> None:
        """Keep no more than the latest row, and the latest state of each Deployment."""
        self.rows = self.rows[-1:]
        latest = {each.workload.uid: each for each in self.workloads}
        self.workloads = [each for each in self.workloads if latest[each.workload.uid] is each]

    def forget_versions(self) -> None:
        """Wait for no version any more: those of the rows are of a history that is lost."""
        self.rows = [msgspec.structs.replace(row, folded_version=0) for row in self.rows]

    def fitting(self, as_of: int) -> tuple[int, int]:
        """How many of the states of Deployments, and how many of the rows, the latest pair that belongs together takes.

        `as_of` is the version up to which all changes of the process have come.
        """
        first, last = len(self.workloads), len(self.rows)
        heard_in, versions = self._heard_in(), self._versions(as_of)
        while first or last:
            if heard_in[first] > (self.rows[last - 1].ordinal if last else self.ordinal):
                first -= 1
            elif last and self.rows[last - 1].folded_version > versions[first]:
                last -= 1
            else:
                break
        return first, last

    def take(self, first: int, last: int, as_of: int) -> tuple[Sequence[HeldWorkload], HeldRow | None]:
        """Take out that many of each: from now on they are shown. Returns the states, and the last of the rows."""
        self.as_of = self._versions(as_of)[first]
        workloads, row = self.workloads[:first], self.rows[last - 1] if last else None
        del self.workloads[:first], self.rows[:last]
        if row is not None:
            self.ordinal = row.ordinal
        return workloads, row

    def _heard_in(self) -> list[int]:
        """For each number of states taken: the first row that has heard of all that they name, each as it is last."""
        latest: dict[str, int] = {}
        found = [0]
        for each in self.workloads:
            latest[each.workload.uid] = each.heard_in
            found.append(max(latest.values()))
        return found

    def _versions(self, as_of: int) -> list[int]:
        """For each number of states taken: the version up to which they tell all changes. All of them: `as_of`."""
        found = [self.as_of]
        for each in self.workloads:
            found.append(max(found[-1], each.as_of))
        found[-1] = max(found[-1], as_of)
        return found
