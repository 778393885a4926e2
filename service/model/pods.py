"""Pods as the instances they run: what one Pod says of itself, and of the container that is the app."""

import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from functools import lru_cache
from itertools import islice

import msgspec

from service.model.derive import app_container, limit
from service.model.manifests import (
    Condition,
    Container,
    ContainerState,
    ContainerStatus,
    PodMeta,
    PodObject,
    Terminated,
)
from service.model.quantity import parse_nanos, parse_quantity
from service.model.texts import LONGEST_REASON, shortened
from service.model.times import SECOND, microseconds

POD_INDEX = "apps.kubernetes.io/pod-index"
MOST_CONTAINERS = 16
MOST_PORTS = 32
"""Ports of a container that are shown. Kubernetes sets no limit."""
BEING_DELETED = "The Pod is being deleted"
BEGINNING = ("", "ContainerCreating", "PodInitializing")
"""Why a container may wait without anything being wrong; all other reasons are failures."""


class State(Enum):
    """The state of an instance, in Cloud Foundry's words."""

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
    replica_set: str
    """The uid of the ReplicaSet that has made it."""
    created_at: int
    index: int | None
    """By label, where a controller that numbers its Pods has made it."""
    state: State
    since: int
    details: str | None
    """Why it is CRASHED or DOWN."""
    deleting: bool = False
    """Whether it is on its way out, however long that takes."""
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


def derive_pods(pod: PodObject, apps: Callable[[str], str | None], stopping: State = State.DOWN) -> tuple[Pod, ...]:
    """The instance a Pod runs; none for a Pod that is over (it is replaced), or that no ReplicaSet made.

    `apps` says how the app container of a ReplicaSet is called. Where it says None, as nothing is known of that yet,
    this is one for each container, as if that were the app, and the likeliest first; for MOST_CONTAINERS of them, as
    what is said of all containers is looked through for each. `stopping` is the state of a Pod that is being deleted.
    Raises ValueError for an amount that is none, and for a Pod without containers.
    """
    replica_set = _replica_set(pod.metadata)
    if replica_set is None or pod.status.phase in ("Succeeded", "Failed"):
        return ()
    containers = pod.spec.containers
    likeliest = app_container(containers, pod.metadata.annotations)
    name = apps(replica_set)
    if name is not None:
        chosen = [next((each for each in containers if each.name == name), likeliest)]
    else:
        others = (each for each in containers if each is not likeliest)
        chosen = [likeliest, *islice(others, MOST_CONTAINERS - 1)]
    return tuple(_pod(pod, replica_set, container, stopping) for container in chosen)


def _pod(pod: PodObject, replica_set: str, container: Container, stopping: State) -> Pod:
    meta = pod.metadata
    memory, disk = (limit(container.resources, pod.spec, each) for each in ("memory", "ephemeral-storage"))
    requests = (container.resources and container.resources.requests) or {}
    conditions = {condition.type: condition for condition in pod.status.conditions or ()}
    ready = "Ready" in conditions and conditions["Ready"].status == "True"
    created_at = microseconds(meta.creationTimestamp)
    deleting = meta.deletionTimestamp is not None
    state, since, details = _going(meta, stopping) if deleting else _state(pod, container.name, conditions)
    return Pod(
        uid=meta.uid,
        namespace=sys.intern(meta.namespace),
        name=meta.name,
        replica_set=sys.intern(replica_set),
        created_at=created_at,
        index=_index((meta.labels or {}).get(POD_INDEX)),
        state=state,
        since=created_at if since is None else max(created_at, since),
        details=None if details is None else shortened(details, LONGEST_REASON),
        deleting=deleting,
        # Kubernetes takes it out of its Services at once, whatever its condition says.
        ready=ready and not deleting,
        host=sys.intern(pod.status.hostIP),
        ip=pod.status.podIP,
        container=sys.intern(container.name),
        memory=None if memory is None else parse_quantity(memory),
        disk=None if disk is None else parse_quantity(disk),
        cpu_nanos=parse_nanos(str(requests["cpu"])) if "cpu" in requests else None,
        ports=_shared_ports(
            *(
                (port.hostPort or port.containerPort, port.containerPort)
                for port in (container.ports or ())[:MOST_PORTS]
            )
        ),
    )


def _replica_set(meta: PodMeta) -> str | None:
    """The uid of the ReplicaSet that made the Pod."""
    for owner in meta.ownerReferences or ():
        if owner.controller and owner.kind == "ReplicaSet" and owner.uid:
            return owner.uid
    return None


def _index(label: str | None) -> int | None:
    # An index is a place in a tuple: a label that says 999999999 must not cost a gigabyte.
    return int(label) if label and label.isascii() and label.isdigit() and len(label) <= 4 else None


@lru_cache(maxsize=512)
def _shared_ports(*ports: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    return ports


_Derived = tuple[State, int | None, str | None]
"""State, since when, and why."""


def _going(meta: PodMeta, stopping: State) -> _Derived:
    """What a Pod that is being deleted shows."""
    begun = None
    if meta.deletionTimestamp is not None:
        # The timestamp is when the grace period ends.
        begun = microseconds(meta.deletionTimestamp) - (meta.deletionGracePeriodSeconds or 0) * SECOND
    return stopping, begun, BEING_DELETED if stopping is State.DOWN else None


def _state(pod: PodObject, container: str, conditions: Mapping[str, Condition]) -> _Derived:
    status = pod.status
    scheduled = conditions.get("PodScheduled")
    if not pod.spec.nodeName and scheduled is not None and scheduled.status == "False":
        return State.DOWN, _moment(scheduled.lastTransitionTime), _said(scheduled.reason, scheduled.message)
    placed_at = _moment(scheduled.lastTransitionTime) if scheduled is not None else None
    ready = conditions.get("Ready")
    own = [each for each in status.containerStatuses or () if each.name == container]
    for each in own:
        # Looked at first: while the app runs, what fails among the init containers is a sidecar.
        if each.state is not None and each.state.running is not None:
            # What is ready has started: not every kubelet says the latter.
            started = each.started or each.ready or (ready is not None and ready.status == "True")
            return State.RUNNING if started else State.STARTING, _moment(each.state.running.startedAt), None
    # An app is not to end, however well it does; an init container is.
    failures = [_ended(each) or _failure(each) for each in own]
    failures += [_failure(each) for each in status.initContainerStatuses or ()]
    for failure in failures:
        if failure is not None:
            at, why = failure
            unready_at = _moment(ready.lastTransitionTime) if ready is not None else placed_at
            return State.CRASHED, unready_at if at is None else at, why
    return State.STARTING, placed_at, None


def _ended(status: ContainerStatus) -> tuple[int | None, str | None] | None:
    """When and with what the container has ended, if it has."""
    if status.state is None or status.state.terminated is None:
        return None
    return _moment(status.state.terminated.finishedAt), _exit(status.state.terminated)


def _failure(status: ContainerStatus) -> tuple[int | None, str | None] | None:
    """When and why the container has failed, if it has."""
    state = status.state or ContainerState()
    if state.terminated is not None and state.terminated.exitCode:
        return _ended(status)
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
