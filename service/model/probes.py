"""Health checks as the API shows them, and the probes that make them: both ways.

Reading: httpGet is `http`, tcpSocket and grpc are `port`, all else is `process`; `timeout` is the startup probe's
period × threshold. Writing: liveness and startup probe on the app container's first port, changed in place where there
are some of the kind. What no probe can say (the interval of a check that probes nothing, or that none is set where
Kubernetes fills in a default) is kept in an annotation beside them, which counts as long as the probes agree with it:
whoever changes the probes by hand is believed.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from service.model.process import LARGEST_INTEGER, HealthCheck
from service.model.texts import LONGEST_ENDPOINT, shortened

TYPES = ("port", "process", "http")
DEFAULT_INTERVAL, DEFAULT_INVOCATION_TIMEOUT = 10, 1
"""What Kubernetes fills in, in seconds."""
LONGEST_STARTUP_PERIOD = 5
"""Seconds between two looks at whether an app has started."""
LONGEST_TIMEOUT_S = 180
"""The longest time to start that may be asked for. A startup probe of a manifest may allow more, which then shows."""
LONGEST_ANNOTATION = 2000
"""Characters of an annotation that says what no probe can: ours are shorter, the longest endpoint included."""
LONGEST_S = (1 << 63) - 1
"""What JSON is written with has no larger integers."""


class HTTPGetAction(msgspec.Struct, gc=False):
    path: str | None = None


class PortAction(msgspec.Struct, gc=False):
    """A tcpSocket or grpc action: that it is there is all that matters."""


class Probe(msgspec.Struct, gc=False):
    httpGet: HTTPGetAction | None = None
    tcpSocket: PortAction | None = None
    grpc: PortAction | None = None
    timeoutSeconds: int | None = None
    periodSeconds: int | None = None
    failureThreshold: int | None = None


class CheckChange(msgspec.Struct, frozen=True):
    """The leaves of a health check that a request names. A datum of None is cleared."""

    type: str | None = None
    """None: as it is."""
    data: Mapping[str, int | str | None] = {}


def visible_check(probe: Probe | None, startup: Probe | None) -> HealthCheck:
    """The check a probe makes, be it the startup probe alone; `timeout` is the time allowed to start."""
    lasting = probe or startup
    if lasting is None:
        return _shared_check("process")
    kind = "process"
    if lasting.httpGet is not None:
        kind = "http"
    elif lasting.tcpSocket is not None or lasting.grpc is not None:
        kind = "port"
    endpoint = shortened(lasting.httpGet.path or "/", LONGEST_ENDPOINT) if lasting.httpGet is not None else None
    timeout = None
    if startup is not None and startup.periodSeconds is not None and startup.failureThreshold is not None:
        timeout = min(startup.periodSeconds * startup.failureThreshold, LARGEST_INTEGER)
    return _shared_check(kind, timeout, lasting.timeoutSeconds, lasting.periodSeconds, endpoint)


# Nearly all processes of a platform share a handful of checks.
_shared_check = lru_cache(maxsize=1024)(HealthCheck)


def recorded(annotation: str | None, visible: HealthCheck) -> HealthCheck:
    """The check as it was asked for, while the probes still are what came of it; else as they show it."""
    if annotation is None or len(annotation) > LONGEST_ANNOTATION:
        return visible
    asked = _parse(annotation)
    return asked if asked is not None and _agrees(asked, visible) else visible


@lru_cache(maxsize=512)
def _parse(annotation: str) -> HealthCheck | None:
    try:
        asked = msgspec.json.decode(annotation, type=HealthCheck)
    except (msgspec.DecodeError, RecursionError):
        # Somebody's own: no reason to hide the process, nor, nested 100,000 deep, to end the watch of all of them.
        return None
    times = asked.timeout, asked.invocation_timeout, asked.interval
    return asked if all(each is None or 0 < each <= LONGEST_S for each in times) else None


def _agrees(asked: HealthCheck, visible: HealthCheck) -> bool:
    """Whether writing `asked` leaves probes that show as `visible`."""
    if (asked.type, asked.endpoint) != (visible.type, visible.endpoint):
        return False
    if visible == HealthCheck("process"):
        return True
    return (
        asked.timeout,
        asked.invocation_timeout or DEFAULT_INVOCATION_TIMEOUT,
        asked.interval or DEFAULT_INTERVAL,
    ) == (
        visible.timeout,
        visible.invocation_timeout,
        visible.interval,
    )


def changed_check(check: HealthCheck, change: CheckChange) -> HealthCheck:
    """The check with the leaves of the change; an endpoint only where it means something."""
    changed = msgspec.structs.replace(check, type=change.type or check.type, **change.data)
    return changed if changed.type == "http" else msgspec.structs.replace(changed, endpoint=None)


def liveness_probes(container: Mapping[str, Any], check: HealthCheck) -> tuple[dict[str, Any], str | None]:
    """The container's liveness and startup probe (None: to be removed) that make the check, and its annotation.

    Raises LookupError for a container without a port that the check needs.
    """
    liveness, startup = container.get("livenessProbe"), container.get("startupProbe")
    probe = _probe(container, liveness, startup, check)
    # Without a liveness probe, as of type `process`, a startup probe would be taken for the check itself.
    starting = _starting(container, check) if probe is not None and check.timeout is not None else None
    if starting is not None and check.timeout is not None and _allowed_s(starting) != check.timeout:
        period = next(p for p in range(LONGEST_STARTUP_PERIOD, 0, -1) if check.timeout % p == 0)
        starting |= {"periodSeconds": period, "failureThreshold": check.timeout // period}
    if probe is not None:
        _time(probe, "periodSeconds", check.interval)
        _time(probe, "timeoutSeconds", check.invocation_timeout)
    return {"livenessProbe": probe, "startupProbe": starting}, _annotation(check, _shown(probe, starting))


def readiness_probe(container: Mapping[str, Any], check: HealthCheck) -> tuple[dict[str, Any], str | None]:
    """The container's readiness probe, as `liveness_probes`."""
    probe = _probe(container, container.get("readinessProbe"), None, check)
    if probe is not None:
        _time(probe, "periodSeconds", check.interval)
        _time(probe, "timeoutSeconds", check.invocation_timeout)
    return {"readinessProbe": probe}, _annotation(check, _shown(probe, None))


def _probe(
    container: Mapping[str, Any], own: Mapping[str, Any] | None, sibling: Mapping[str, Any] | None, check: HealthCheck
) -> dict[str, Any] | None:
    """A probe of the check's type, as much as can be of what is there: its thresholds, its port, its headers."""
    if own is not None and _type(own) == check.type:
        probe = dict(own)
    elif sibling is not None and _type(sibling) == check.type and (own is None or check.type != "process"):
        # But no command that was meant for the start alone becomes what an app lives by.
        probe = {action: sibling[action] for action in ("httpGet", "tcpSocket", "grpc", "exec") if action in sibling}
    elif check.type == "process":
        return None
    else:
        ports = [port for port in container.get("ports") or () if port.get("protocol", "TCP") == "TCP"]
        if not ports:
            raise LookupError("the app's container has no TCP port")
        action = "httpGet" if check.type == "http" else "tcpSocket"
        probe = {action: {"port": ports[0]["containerPort"]}}
    if check.type == "http":
        action = probe["httpGet"]
        # Of a long path only the beginning shows: what shows as it is asked for stays.
        path = action["path"] if action.get("path") and _path(probe) == check.endpoint else check.endpoint
        probe["httpGet"] = {**action, "path": path}
    return probe


def _starting(container: Mapping[str, Any], check: HealthCheck) -> dict[str, Any] | None:
    """The startup probe: it does as the liveness probe does, but for what somebody has it do otherwise."""
    liveness, startup = container.get("livenessProbe"), container.get("startupProbe")
    if liveness is None or startup is None or _type(liveness) != check.type:
        starting = _probe(container, startup, liveness, check)
        if starting is not None:
            _time(starting, "timeoutSeconds", check.invocation_timeout)
        return starting
    starting = dict(startup)
    if starting.get("timeoutSeconds") == liveness.get("timeoutSeconds"):
        _time(starting, "timeoutSeconds", check.invocation_timeout)
    if _path(startup) not in (None, check.endpoint) and _path(startup) == _path(liveness):
        starting["httpGet"] = {**startup["httpGet"], "path": check.endpoint}
    return starting


def _path(probe: Mapping[str, Any]) -> str | None:
    return visible_check(msgspec.convert(probe, Probe), None).endpoint


def _allowed_s(startup: Mapping[str, Any]) -> int:
    """How long a startup probe gives an app to start, in seconds."""
    return min(int(startup.get("periodSeconds", 0) * startup.get("failureThreshold", 0)), LARGEST_INTEGER)


def _type(probe: Mapping[str, Any]) -> str:
    return visible_check(msgspec.convert(probe, Probe), None).type


def _time(probe: dict[str, Any], field: str, seconds: int | None) -> None:
    if seconds is None:
        probe.pop(field, None)
    else:
        probe[field] = seconds


def _shown(probe: Mapping[str, Any] | None, startup: Mapping[str, Any] | None) -> HealthCheck:
    """What `visible_check` will make of the probes once Kubernetes has filled in what they leave out."""
    defaults = {"periodSeconds": DEFAULT_INTERVAL, "timeoutSeconds": DEFAULT_INVOCATION_TIMEOUT, "failureThreshold": 3}
    lasting, starting = (
        None if each is None else msgspec.convert({**defaults, **each}, Probe) for each in (probe, startup)
    )
    return visible_check(lasting, starting)


def _annotation(check: HealthCheck, shown: HealthCheck) -> str | None:
    return None if check == shown else msgspec.json.encode(check).decode()
