"""Pods as the instances they run: one Pod in, one record out; and all of them, by the Deployment they belong to."""

import sys
from collections.abc import Iterator, Mapping, Set
from datetime import datetime
from enum import Enum
from functools import lru_cache

import msgspec

from service.model.derive import app_container
from service.model.manifests import Condition, ContainerState, ContainerStatus, PodMeta, PodObject, Terminated
from service.model.process import SECOND, microseconds
from service.model.quantity import parse_nanos, parse_quantity

TEMPLATE_HASH = "pod-template-hash"
POD_INDEX = "apps.kubernetes.io/pod-index"
BEGINNING = ("", "ContainerCreating", "PodInitializing")
"""Why a container may wait without anything being wrong; all other reasons are failures."""


class State(Enum):
    """Of an instance, in Cloud Foundry's words."""

    RUNNING = "RUNNING"
    STARTING = "STARTING"
    STOPPING = "STOPPING"
    CRASHED = "CRASHED"
    DOWN = "DOWN"


class Pod(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What one Pod says of the instance it runs. Amounts are bytes, times the model's."""

    uid: str
    namespace: str
    name: str
    deployment: str
    """Its name."""
    created_at: int
    index: int | None
    """By label, where a controller that numbers its Pods has made it."""
    state: State
    since: int
    details: str | None
    """Why it is CRASHED or DOWN."""
    ready: bool
    host: str
    ip: str
    container: str
    """The app container's name."""
    memory: int | None
    disk: int | None
    cpu_nanos: int | None
    """The CPU asked for, in billionths of a core."""
    ports: tuple[tuple[int, int], ...]
    """(external, internal) of each port of the app container."""


def derive_pod(pod: PodObject) -> Pod | None:
    """The instance a Pod runs; None for a Pod that is over (it is replaced), or that no Deployment made.

    Raises ValueError for an amount that is none.
    """
    meta = pod.metadata
    deployment = _deployment(meta)
    if deployment is None or pod.status.phase in ("Succeeded", "Failed"):
        return None
    container = app_container(pod.spec.containers, meta.annotations)
    resources = container.resources
    limits, requests = (resources and resources.limits) or {}, (resources and resources.requests) or {}
    conditions = {condition.type: condition for condition in pod.status.conditions or ()}
    created_at = microseconds(meta.creationTimestamp)
    state, since, details = _state(pod, container.name, conditions)
    return Pod(
        uid=meta.uid,
        namespace=sys.intern(meta.namespace),
        name=meta.name,
        deployment=sys.intern(deployment),
        created_at=created_at,
        index=_index((meta.labels or {}).get(POD_INDEX)),
        state=state,
        since=created_at if since is None else max(created_at, since),
        details=details,
        ready="Ready" in conditions and conditions["Ready"].status == "True",
        host=sys.intern(pod.status.hostIP),
        ip=pod.status.podIP,
        container=sys.intern(container.name),
        memory=parse_quantity(str(limits["memory"])) if "memory" in limits else None,
        disk=parse_quantity(str(limits["ephemeral-storage"])) if "ephemeral-storage" in limits else None,
        cpu_nanos=parse_nanos(str(requests["cpu"])) if "cpu" in requests else None,
        ports=_shared_ports(
            *((port.hostPort or port.containerPort, port.containerPort) for port in container.ports or ())
        ),
    )


def _deployment(meta: PodMeta) -> str | None:
    """The Deployment whose ReplicaSet made the Pod. A ReplicaSet is named by the Deployment and the template's hash."""
    suffix = "-" + (meta.labels or {}).get(TEMPLATE_HASH, "")
    for owner in meta.ownerReferences or ():
        if owner.controller and owner.kind == "ReplicaSet" and len(suffix) > 1 and owner.name.endswith(suffix):
            return owner.name.removesuffix(suffix)
    return None


def _index(label: str | None) -> int | None:
    # An index is a place in a tuple: a label that says 999999999 must not cost a gigabyte.
    return int(label) if label and label.isascii() and label.isdigit() and len(label) <= 4 else None


@lru_cache(maxsize=4096)
def _shared_ports(*ports: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    return ports


_Derived = tuple[State, int | None, str | None]
"""State, since when, and why."""


def _state(pod: PodObject, container: str, conditions: Mapping[str, Condition]) -> _Derived:
    meta, status = pod.metadata, pod.status
    if meta.deletionTimestamp is not None:
        # The timestamp is when the grace period ends.
        begun = microseconds(meta.deletionTimestamp) - (meta.deletionGracePeriodSeconds or 0) * SECOND
        return State.STOPPING, begun, None
    scheduled = conditions.get("PodScheduled")
    if not pod.spec.nodeName and scheduled is not None and scheduled.status == "False":
        return State.DOWN, _moment(scheduled.lastTransitionTime), _said(scheduled.reason, scheduled.message)
    placed_at = _moment(scheduled.lastTransitionTime) if scheduled is not None else None
    ready = conditions.get("Ready")
    own = [each for each in status.containerStatuses or () if each.name == container]
    for each in own:
        # Looked at first: while the app runs, what fails among the init containers is a sidecar.
        if each.state is not None and each.state.running is not None:
            return State.RUNNING if each.started else State.STARTING, _moment(each.state.running.startedAt), None
    for each in (*own, *(status.initContainerStatuses or ())):
        failure = _failure(each)
        if failure is not None:
            at, why = failure
            unready_at = _moment(ready.lastTransitionTime) if ready is not None else placed_at
            return State.CRASHED, unready_at if at is None else at, why
    return State.STARTING, placed_at, None


def _failure(status: ContainerStatus) -> tuple[int | None, str | None] | None:
    """When and why the container has failed, if it has."""
    state = status.state or ContainerState()
    if state.terminated is not None and state.terminated.exitCode:
        return _moment(state.terminated.finishedAt), _exit(state.terminated)
    if state.waiting is None or (state.waiting.reason or "") in BEGINNING:
        return None
    why = _said(state.waiting.reason, state.waiting.message)
    last = status.lastState.terminated if status.lastState is not None else None
    if last is None:
        return None, why
    return _moment(last.finishedAt), f"{why}; {_exit(last)}"


def _moment(time: datetime | None) -> int | None:
    return None if time is None else microseconds(time)


def _exit(terminated: Terminated) -> str:
    return _said(f"exited with {terminated.exitCode}", _said(terminated.reason, terminated.message)) or ""


def _said(reason: str | None, message: str | None) -> str | None:
    return ": ".join(part for part in (reason, message) if part) or None


class PodIndex:
    """The Pods there are, by Deployment. `version` of a Deployment is the latest resourceVersion heard of its Pods."""

    def __init__(self) -> None:
        self._pods: dict[str, Pod] = {}
        self._deployments: dict[tuple[str, str], dict[str, Pod]] = {}
        self._versions: dict[tuple[str, str], int] = {}

    def __len__(self) -> int:
        return len(self._pods)

    def of(self, namespace: str, deployment: str) -> list[Pod]:
        """Oldest first."""
        pods = self._deployments.get((namespace, deployment), {})
        return sorted(pods.values(), key=lambda pod: (pod.created_at, pod.uid)) if pods else []

    def version(self, namespace: str, deployment: str) -> int:
        return self._versions.get((namespace, deployment), 0)

    def put(self, pod: Pod, version: int) -> None:
        """Add a Pod or replace its former state."""
        key = pod.namespace, pod.deployment
        former = self._pods.get(pod.uid)
        if former is not None and (former.namespace, former.deployment) != key:
            self._drop(pod.uid)
        self._pods[pod.uid] = pod
        self._deployments.setdefault(key, {})[pod.uid] = pod
        self._versions[key] = max(self._versions.get(key, 0), version)

    def remove(self, uid: str, version: int) -> None:
        """Forget a Pod. An unknown uid is no error."""
        pod = self._drop(uid)
        if pod is not None and (pod.namespace, pod.deployment) in self._deployments:
            key = pod.namespace, pod.deployment
            self._versions[key] = max(self._versions[key], version)

    def retain(self, uids: Set[str]) -> Iterator[None]:
        """Forget all Pods but these, step by step."""
        for uid in list(self._pods):
            if uid not in uids:
                self._drop(uid)
            yield

    def _drop(self, uid: str) -> Pod | None:
        pod = self._pods.pop(uid, None)
        if pod is not None:
            key = pod.namespace, pod.deployment
            del self._deployments[key][uid]
            if not self._deployments[key]:
                del self._deployments[key]
                del self._versions[key]
        return pod
