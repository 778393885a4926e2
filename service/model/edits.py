"""How one field of an update changes the app container, and the annotations of its Deployment.

Each function gets what is asked of its field, where None asks for what the app came with. It raises Impossible for what
cannot be done, and returns an edit of nothing for what is so already.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from service.model.containers import command_text
from service.model.originals import Fields, annotated, kept
from service.model.probes import (
    LONGEST_TIMEOUT_S,
    CheckChange,
    Probe,
    changed_check,
    liveness_probes,
    readiness_probe,
    visible_check,
)
from service.model.process import HealthCheck
from service.model.snapshots import Snapshot, replacing

Annotations = Mapping[str, str | None]


class Impossible(Exception):
    """What is asked cannot be done with this Deployment. The message is for the caller, and names the field."""


@dataclass(frozen=True)
class Edit:
    """Fields of the app container, as a strategic merge patch has them, and annotations. None removes one."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    annotations: Annotations = field(default_factory=dict)


NOTHING = Edit()


@dataclass(frozen=True)
class User:
    """Whom a process is to run as: a uid, and the name it was called by, where it was called by one."""

    uid: int
    name: str | None = None

    def __str__(self) -> str:
        return self.name or str(self.uid)


def of_command(snapshot: Snapshot, asked: str | None) -> Edit:
    if asked == snapshot.workload.command:
        return NOTHING
    if asked == "":
        raise Impossible("'command' must be a text of 1 character or more; null goes back to what the app came with")
    key, present = snapshot.keys.original_command, _present(snapshot, "command", "args")
    original = kept(snapshot.annotations.get(key), present)
    if asked is None or (original is not None and asked == _command(original)):
        return NOTHING if original is None else Edit(original, {key: None})
    made = {"command": ["/bin/sh", "-c", asked], "args": None}
    return Edit(made, {key: annotated(original, present, made)})


def of_user(snapshot: Snapshot, asked: User | None) -> Edit:
    if asked is not None and str(asked) == snapshot.workload.user:
        return NOTHING
    keys, uid, of_pod = snapshot.keys, _uid(snapshot.container), _uid(snapshot.pod)
    present = {"runAsUser": uid}
    original = kept(snapshot.annotations.get(keys.original_user), present)
    name = {keys.user: None if asked is None or asked.name is None else f"{asked.name}={asked.uid}"}
    if asked is None or (original is not None and asked.uid == _or(original["runAsUser"], of_pod)):
        return Edit({}, name) if original is None else _as_user(snapshot, original, {**name, keys.original_user: None})
    if asked.uid == _or(uid, of_pod):
        return Edit({}, name)
    made = {"runAsUser": asked.uid}
    return _as_user(snapshot, made, {**name, keys.original_user: annotated(original, present, made)})


@dataclass(frozen=True)
class _Check:
    """One of the two checks: the probes that make it, and how those are made and read."""

    name: str
    probes: tuple[str, ...]
    make: Callable[[Mapping[str, Any], HealthCheck], tuple[dict[str, Any], str | None]]


_LIVENESS = _Check("health_check", ("livenessProbe", "startupProbe"), liveness_probes)
_READINESS = _Check("readiness_health_check", ("readinessProbe",), readiness_probe)


def of_health_check(snapshot: Snapshot, asked: CheckChange | None) -> Edit:
    keys = snapshot.keys
    return _of_check(snapshot, asked, _LIVENESS, keys.health_check, keys.original_health_check)


def of_readiness_health_check(snapshot: Snapshot, asked: CheckChange | None) -> Edit:
    keys = snapshot.keys
    return _of_check(snapshot, asked, _READINESS, keys.readiness_health_check, keys.original_readiness_health_check)


def _of_check(snapshot: Snapshot, asked: CheckChange | None, check: _Check, key: str, original_key: str) -> Edit:
    """`key` is of the annotation that has what no probe can say, `original_key` of the one with the first probes."""
    current: HealthCheck = getattr(snapshot.workload, check.name)
    wanted = current if asked is None else changed_check(current, asked)
    if asked is not None and wanted == current:
        return NOTHING
    present = _present(snapshot, *check.probes)
    original = kept(snapshot.annotations.get(original_key), present)
    if asked is None or (original is not None and wanted == _visible(original)):
        return NOTHING if original is None else Edit(_replacing(present, original), {key: None, original_key: None})
    if wanted.timeout != current.timeout and (wanted.timeout or 0) > LONGEST_TIMEOUT_S:
        raise Impossible(f"'{check.name}.data.timeout' must be a whole number from 1 to {LONGEST_TIMEOUT_S}")
    if wanted.type == "http" and wanted.endpoint is None:
        raise Impossible(f"'{check.name}' of type http needs an endpoint")
    try:
        made, unsayable = check.make(snapshot.container, wanted)
    except LookupError as error:
        raise Impossible(f"'{check.name}' of type {wanted.type} cannot be made: {error.args[0]}") from error
    return Edit(_replacing(present, made), {key: unsayable, original_key: annotated(original, present, made)})


def _present(snapshot: Snapshot, *names: str) -> dict[str, Any]:
    return {name: snapshot.container.get(name) for name in names}


def _replacing(old: Fields, new: Fields) -> dict[str, Any]:
    return {name: replacing(old[name], new[name]) for name in old}


def _command(original: Fields) -> str | None:
    """How the original command would show; None: it is none."""
    try:
        return command_text(*(msgspec.convert(original[name], list[str] | None) for name in ("command", "args")))
    except msgspec.ValidationError:
        return None


def _visible(original: Fields) -> HealthCheck | None:
    """How the original probes would show; None: they are none."""
    try:
        lasting, *starting = (msgspec.convert(probe, Probe | None) for probe in original.values())
    except msgspec.ValidationError:
        return None
    return visible_check(lasting, *starting or (None,))


def _uid(of: Mapping[str, Any]) -> int | None:
    """The user that a container or a Pod names itself."""
    uid: int | None = (of.get("securityContext") or {}).get("runAsUser")
    return uid


def _or(uid: int | None, of_pod: int | None) -> int | None:
    return of_pod if uid is None else uid


def _as_user(snapshot: Snapshot, user: Fields, annotations: Annotations) -> Edit:
    """The edit that leaves the container with this `runAsUser`, and with no securityContext that says nothing."""
    context = (snapshot.container.get("securityContext") or {}).keys() | user.keys()
    is_empty = user["runAsUser"] is None and len(context) == 1
    return Edit({"securityContext": None if is_empty else dict(user)}, annotations)
