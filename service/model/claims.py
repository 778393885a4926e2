"""Which Deployment is the process, where several say they are.

A Deployment claims its (app, type) and its GUID. It is the process if it is the oldest claimant of both; otherwise it
has lost, and is served to nobody. One that is being deleted counts as younger than all that are not: a finalizer, or
the Pods it takes with it, may keep it there while its successor runs. The rule looks at nothing but the Deployments
that exist, so that all replicas decide alike whatever they saw in whichever order. An event re-decides only the oldest
claimants of what it touched.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field

from service.model.process import Workload

_Claimants = dict[str, str | tuple[str, ...]]
"""What is claimed → the uid that claims it; a tuple where there are several. Nearly always there is one."""


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
        self._apps: _Claimants = {}
        """By app GUID, whatever the type."""
        self._guids: _Claimants = {}
        """By process GUID."""
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
        return next((workload for workload in self.winners(app_guid) if workload.type == process_type), None)

    def winners(self, app_guid: str) -> Iterator[Workload]:
        """The processes of an app."""
        for uid in _claimants(self._apps, app_guid):
            if uid not in self._losers:
                yield self._workloads[uid]

    def rival(self, workload: Workload) -> Workload | None:
        """The oldest Deployment that claims what this one does, and keeps it from being served; None: it is served."""
        older = (self._workloads[uid] for uid in self._oldest(workload) if uid != workload.uid)
        return min(older, key=_age, default=None)

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
        concerned = {workload.uid, *self._oldest(workload)}
        if former is not None:
            self._drop(former)
            # It may keep neither its GUID nor its namespace: as what it was, it goes.
            verdict.losers.append(former)
            concerned |= self._oldest(former)
        self._workloads[workload.uid] = workload
        _add(self._apps, workload.app_guid, workload.uid)
        _add(self._guids, workload.guid, workload.uid)
        self._decide(concerned, verdict)
        return verdict

    def remove(self, uid: str) -> Verdict:
        """Forget a workload that is known."""
        workload = self._workloads[uid]
        self._drop(workload)
        del self._workloads[uid]
        self._losers.pop(uid, None)
        verdict = Verdict(losers=[workload])
        self._decide(self._oldest(workload), verdict)
        return verdict

    def _oldest(self, workload: Workload) -> set[str]:
        """Uids of the oldest claimant of its (app, type) and of its GUID."""
        of_app = (self._workloads[uid] for uid in _claimants(self._apps, workload.app_guid))
        of_type = [claimant for claimant in of_app if claimant.type == workload.type]
        of_guid = [self._workloads[uid] for uid in _claimants(self._guids, workload.guid)]
        return {min(claimants, key=_age).uid for claimants in (of_type, of_guid) if claimants}

    def _drop(self, workload: Workload) -> None:
        _discard(self._apps, workload.app_guid, workload.uid)
        _discard(self._guids, workload.guid, workload.uid)

    def _decide(self, uids: set[str], verdict: Verdict) -> None:
        for uid in uids:
            workload = self._workloads[uid]
            rival = self.rival(workload)
            if rival is None:
                self._losers.pop(uid, None)
                verdict.winners.append(workload)
                continue
            verdict.losers.append(workload)
            if uid not in self._losers:
                verdict.conflicts.append(Conflict(workload, rival))
            self._losers[uid] = workload


def _age(workload: Workload) -> tuple[bool, int, str]:
    """The oldest first, those that are being deleted last, and no two alike."""
    return workload.deleting, workload.created_at, workload.uid


def _claim(workload: Workload) -> tuple[object, ...]:
    """All that decides who wins, and where the winner is kept."""
    return workload.guid, workload.app_guid, workload.type, workload.namespace, *_age(workload)


def _claimants(claims: _Claimants, claimed: str) -> tuple[str, ...]:
    uids = claims.get(claimed, ())
    return (uids,) if isinstance(uids, str) else uids


def _add(claims: _Claimants, claimed: str, uid: str) -> None:
    others = _claimants(claims, claimed)
    claims[claimed] = (*others, uid) if others else uid


def _discard(claims: _Claimants, claimed: str, uid: str) -> None:
    left = tuple(other for other in _claimants(claims, claimed) if other != uid)
    if left:
        claims[claimed] = left if len(left) > 1 else left[0]
    else:
        del claims[claimed]
