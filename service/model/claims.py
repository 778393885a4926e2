"""Which Deployment is the process, where several say they are.

A Deployment claims its (app, type) and its GUID. It is the process if it is the oldest claimant of both; otherwise it
has lost, and is served to nobody. The rule looks at nothing but the Deployments that exist, so that all replicas decide
alike whatever they saw in whichever order. An event re-decides only the heads of the claims it touched.
"""

from bisect import insort
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field

from service.model.process import Workload

_Age = tuple[int, str]
"""(created_at, uid): the oldest first, and no two alike."""


@dataclass(frozen=True)
class Conflict:
    """A Deployment that claims what an older one already is."""

    workload: Workload
    winner: Workload


@dataclass
class Verdict:
    """What an event changed: who is no longer served, who is served (anew or changed), and who has just lost."""

    losers: list[Workload] = field(default_factory=list)
    winners: list[Workload] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)


class Claims:
    def __init__(self) -> None:
        self._workloads: dict[str, Workload] = {}
        """By Deployment uid."""
        self._apps: dict[str, dict[str, list[_Age]]] = {}
        """App GUID → type → claimants, oldest first."""
        self._guids: dict[str, list[_Age]] = {}
        """Process GUID → claimants, oldest first."""
        self._losers: dict[str, Workload] = {}

    @property
    def losers(self) -> Mapping[str, Workload]:
        """By uid."""
        return self._losers

    def get(self, uid: str) -> Workload | None:
        return self._workloads.get(uid)

    def uids(self) -> Set[str]:
        return self._workloads.keys()

    def winner(self, app_guid: str, process_type: str) -> Workload | None:
        """The process of an app and type."""
        claimants = self._apps.get(app_guid, {}).get(process_type)
        if not claimants:
            return None
        head = self._workloads[claimants[0][1]]
        # The oldest of its type may have lost its GUID to yet another.
        return None if head.uid in self._losers else head

    def winners(self, app_guid: str) -> Iterator[Workload]:
        """The processes of an app."""
        for process_type in self._apps.get(app_guid, {}):
            if (workload := self.winner(app_guid, process_type)) is not None:
                yield workload

    def put(self, workload: Workload) -> Verdict:
        """Add a workload or replace its former state."""
        verdict = Verdict()
        former = self._workloads.get(workload.uid)
        if former is not None and _claim(former) == _claim(workload):
            self._workloads[workload.uid] = workload
            if workload.uid in self._losers:
                self._losers[workload.uid] = workload
            else:
                verdict.winners.append(workload)
            return verdict
        concerned = {workload.uid, *self._heads(workload)}
        if former is not None:
            self._drop(former)
            # It may keep neither its GUID nor its namespace: as what it was, it goes.
            verdict.losers.append(former)
            concerned |= self._heads(former)
        self._workloads[workload.uid] = workload
        age = _age(workload)
        insort(self._apps.setdefault(workload.app_guid, {}).setdefault(workload.type, []), age)
        insort(self._guids.setdefault(workload.guid, []), age)
        self._decide(concerned, verdict)
        return verdict

    def remove(self, uid: str) -> Verdict:
        """Forget a workload that is known."""
        workload = self._workloads.pop(uid)
        self._losers.pop(uid, None)
        self._drop(workload)
        verdict = Verdict(losers=[workload])
        self._decide(self._heads(workload), verdict)
        return verdict

    def _heads(self, workload: Workload) -> set[str]:
        """Uids of the oldest claimants of what this workload claims."""
        of_type = self._apps.get(workload.app_guid, {}).get(workload.type, ())
        of_guid = self._guids.get(workload.guid, ())
        return {claimants[0][1] for claimants in (of_type, of_guid) if claimants}

    def _drop(self, workload: Workload) -> None:
        age = _age(workload)
        types = self._apps[workload.app_guid]
        types[workload.type].remove(age)
        if not types[workload.type]:
            del types[workload.type]
            if not types:
                del self._apps[workload.app_guid]
        self._guids[workload.guid].remove(age)
        if not self._guids[workload.guid]:
            del self._guids[workload.guid]

    def _decide(self, uids: set[str], verdict: Verdict) -> None:
        for uid in uids:
            workload = self._workloads[uid]
            rivals = [self._workloads[head] for head in self._heads(workload) if head != uid]
            if not rivals:
                self._losers.pop(uid, None)
                verdict.winners.append(workload)
                continue
            verdict.losers.append(workload)
            if uid not in self._losers:
                verdict.conflicts.append(Conflict(workload, min(rivals, key=_age)))
            self._losers[uid] = workload


def _age(workload: Workload) -> _Age:
    return workload.created_at, workload.uid


def _claim(workload: Workload) -> tuple[str, str, str, str, int]:
    """All that decides who wins, and where the winner is kept."""
    return workload.guid, workload.app_guid, workload.type, workload.namespace, workload.created_at
