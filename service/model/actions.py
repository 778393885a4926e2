"""What start, stop and restart of an app change of each of its Deployments."""

from dataclasses import dataclass

from service.errors import UnprocessableEntity
from service.model.desired import Desired, remembered
from service.model.snapshots import NO_PATCH, Patch, Snapshot, to_desired

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
"""The annotation of a Pod template by which `kubectl rollout restart` rolls it out anew."""


@dataclass(frozen=True)
class Start:
    """As many instances as there were; 1 where that is not known. They are new ones."""

    at: str
    """A time, as that of a restart."""

    def names(self) -> list[str]:
        return ["state"]

    def patch(self, snapshot: Snapshot) -> Patch:
        if snapshot.workload.started:
            return NO_PATCH
        patch = _started(snapshot)
        # To stop and start is how clients restart. Where Kubernetes has not come to the one yet, it would find after
        # the other that nothing has changed, and leave what runs.
        is_stopping = bool((snapshot.object.get("status") or {}).get("replicas"))
        if is_stopping and patch.spec and not snapshot.workload.paused:
            return _anew(snapshot, patch, self.at)
        return patch


@dataclass(frozen=True)
class Stop:
    """No instances, and a note of how many there were."""

    app_started: bool
    """Whether anything of the app is to run. If so, a process that has no replicas, and no note of why, is one of 0
    instances, and is to have no more once the app is started again."""

    def names(self) -> list[str]:
        return ["state"]

    def patch(self, snapshot: Snapshot) -> Patch:
        workload = snapshot.workload
        is_noted = remembered(snapshot.annotations, snapshot.keys) is not None
        if not workload.started and (is_noted or not self.app_started):
            return NO_PATCH
        return to_desired(snapshot, Desired(False, workload.instances))


@dataclass(frozen=True)
class Restart:
    """A rolling restart, as `kubectl rollout restart` makes one."""

    at: str
    """A time; another one than that of the last restart."""
    starts: bool = False
    """Whether what is stopped is started, too: of an app that is."""

    def names(self) -> list[str]:
        return ["restart"]

    def patch(self, snapshot: Snapshot) -> Patch:
        if snapshot.workload.paused:
            raise UnprocessableEntity(
                f"Deployment {snapshot.workload.name} is paused, and cannot be restarted until it is resumed"
            )
        is_to_start = self.starts and not snapshot.workload.started
        return _anew(snapshot, _started(snapshot) if is_to_start else NO_PATCH, self.at)


def _started(snapshot: Snapshot) -> Patch:
    """What starts a Deployment that is stopped."""
    kept = remembered(snapshot.annotations, snapshot.keys)
    return to_desired(snapshot, Desired(True, 1 if kept is None else kept))


def _anew(snapshot: Snapshot, patch: Patch, at: str) -> Patch:
    """The patch, with what has every Pod replaced."""
    workload = snapshot.workload
    # Of one that was cancelled Kubernetes may not have begun the way back yet, and what it begins is this.
    is_before_the_way_back = workload.cancelled_rollout and workload.cancelled_rollout == workload.rollout
    forgotten = {snapshot.keys.cancelled_deployment: None} if is_before_the_way_back else {}
    template = {"metadata": {"annotations": {RESTARTED_AT: at}}}
    return Patch({**patch.spec, "template": template}, {**patch.annotations, **forgotten})
