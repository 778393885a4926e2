"""Which Deployment is the process, where several of one namespace say they are.

A Deployment claims two things in its namespace: to be the process of its app GUID and type, which it does by claiming
the GUID that this has by itself; and its process GUID, which mostly is the same. It is the process if it is the oldest
claimant of both. Otherwise it has lost, and is served to nobody. One that is being deleted counts as younger
than all that are not: a finalizer, or the Pods it takes with it, may keep it there while its successor runs. The rule
looks at nothing but the Deployments that exist, so that all replicas decide alike, whatever they saw in whichever
order. Namespaces do not meet here: whatever is claimed in one, nothing changes in another.
"""

from bisect import insort
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from service.model.guids import process_guid
from service.model.process import Key, Workload


@dataclass(frozen=True)
class Conflict:
    """A Deployment that claims what an older one of its namespace already is."""

    workload: Workload
    winner: Workload


@dataclass
class Verdict:
    """What one event changed: who is no longer served, who is served (anew or changed), and who has just lost."""

    losers: list[Workload] = field(default_factory=list)
    winners: list[Workload] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)


class Claims:
    """All Deployments by what they claim. An event costs O(log n) of those that claim the same.

    Those that are served are kept by whoever serves them, and not here a second time: each verdict must be done before
    the next event.
    """

    def __init__(self, served: Callable[[str], Workload | None]) -> None:
        """`served` tells a Deployment that is served by its uid, as it was served last."""
        self._served = served
        self._coming: Workload | None = None
        """The one that is being put: it is not served yet."""
        self._claimants: dict[str, dict[str, str | list[str]]] = {}
        """By namespace and GUID, the uid that claims it; several are a list, the oldest first. Mostly there is one."""
        self._losers: dict[str, Workload] = {}

    @property
    def losers(self) -> Mapping[str, Workload]:
        """The Deployments that are no process because of an older one, by uid."""
        return self._losers

    def get(self, uid: str) -> Workload | None:
        if self._coming is not None and self._coming.uid == uid:
            return self._coming
        return self._losers.get(uid) or self._served(uid)

    def _known(self, uid: str) -> Workload:
        """One that claims something. Raises KeyError for any other."""
        workload = self.get(uid)
        if workload is None:
            raise KeyError(uid)
        return workload

    def rival(self, workload: Workload) -> Workload | None:
        """The oldest Deployment that keeps this one from being served; None: it is served."""
        older = (self._known(uid) for uid in self._oldest(workload) if uid != workload.uid)
        return min(older, key=_age, default=None)

    def oldest(self, key: Key) -> str | None:
        """The uid of the oldest Deployment that claims this key. It may have lost, by its GUID, all the same."""
        held = self._claimants.get(key[0], {}).get(process_guid(*key))
        return held if held is None or isinstance(held, str) else held[0]

    def put(self, workload: Workload) -> Verdict:
        """Add a Deployment, or replace what it was before."""
        verdict = Verdict()
        former = self.get(workload.uid)
        if former is not None and _decisive(former) == _decisive(workload):
            if workload.uid in self._losers:
                self._losers[workload.uid] = workload
            else:
                verdict.winners.append(workload)
            return verdict
        oldest = self._oldest(workload)
        if former is None and not oldest:
            # As nearly always: nobody else claims any of it.
            for claim in _claims(workload):
                self._stake(claim, workload)
            verdict.winners.append(workload)
            return verdict
        concerned = {workload.uid, *oldest}
        if former is not None:
            self._withdraw(former)
            # It may keep neither its GUID nor its place in the order: as what it was, it goes.
            verdict.losers.append(former)
            concerned |= self._oldest(former)
        self._coming = workload
        for claim in _claims(workload):
            self._stake(claim, workload)
        self._decide(concerned, verdict)
        self._coming = None
        return verdict

    def remove(self, uid: str) -> Verdict:
        """Forget a Deployment that is known."""
        workload = self._known(uid)
        self._withdraw(workload)
        self._losers.pop(uid, None)
        verdict = Verdict(losers=[workload])
        self._decide(self._oldest(workload), verdict)
        return verdict

    def _oldest(self, workload: Workload) -> set[str]:
        """Uids of the oldest claimant of each thing that the workload claims, whether or not it claims it itself."""
        claimants = self._claimants.get(workload.namespace, {})
        held = (claimants.get(claim) for claim in _claims(workload))
        return {each if isinstance(each, str) else each[0] for each in held if each is not None}

    def _stake(self, claim: str, workload: Workload) -> None:
        claimants = self._claimants.setdefault(workload.namespace, {})
        held = claimants.get(claim)
        if held is None:
            claimants[claim] = workload.uid
            return
        uids = [held] if isinstance(held, str) else held
        insort(uids, workload.uid, key=self._age_of)
        claimants[claim] = uids

    def _withdraw(self, workload: Workload) -> None:
        claimants = self._claimants[workload.namespace]
        for claim in _claims(workload):
            held = claimants[claim]
            if isinstance(held, str):
                del claimants[claim]
                continue
            held.remove(workload.uid)
            if len(held) == 1:
                claimants[claim] = held[0]
        if not claimants:
            del self._claimants[workload.namespace]

    def _age_of(self, uid: str) -> tuple[bool, int, str]:
        return _age(self._known(uid))

    def _decide(self, uids: Iterable[str], verdict: Verdict) -> None:
        for uid in uids:
            workload = self._known(uid)
            rival = self.rival(workload)
            if rival is None:
                verdict.winners.append(workload)
                continue
            verdict.losers.append(workload)
            if uid not in self._losers:
                verdict.conflicts.append(Conflict(workload, rival))
            self._losers[uid] = workload
        for winner in verdict.winners:
            # Only now: each is told by this while the others are decided on.
            self._losers.pop(winner.uid, None)


def _claims(workload: Workload) -> tuple[str, ...]:
    """The GUIDs that a workload claims in its namespace: one, or two where a label gives it another than its own."""
    by_itself = process_guid(*workload.key)
    return (workload.guid,) if workload.guid == by_itself else (by_itself, workload.guid)


def _age(workload: Workload) -> tuple[bool, int, str]:
    """By this the oldest comes first, those that are being deleted last, and no two are alike."""
    return workload.deleting, workload.created_at, workload.uid


def _decisive(workload: Workload) -> tuple[object, ...]:
    """All that decides who wins."""
    return workload.key, workload.guid, _age(workload)
