"""What is shown of a process. Policy of what is shown to whom sits here."""

from collections.abc import Iterable
from typing import Any

from service.api.links import quoted
from service.api.pages import link
from service.api.resources.processes.addresses import href_of
from service.model.process import HealthCheck, Process
from service.model.texts import LONGEST_COMMAND, LONGEST_ENDPOINT, is_shortened
from service.model.times import timestamp

HIDDEN_COMMAND = "[PRIVATE DATA HIDDEN IN LISTS]"


def present_listed(process: Process, base: str) -> dict[str, Any]:
    """A process as lists show it, without its command."""
    return present_process(process, base, command=HIDDEN_COMMAND)


def present_single(process: Process, base: str) -> dict[str, Any]:
    """A process as it is shown alone: who may read the Deployment may read its command."""
    return present_process(process, base, command=process.workload.command)


def present_process(process: Process, base: str, *, command: str) -> dict[str, Any]:
    """A process as the reference page shows it. `base` is the absolute URL before `/v3`; `command` the text to show."""
    workload, metadata = process.workload, process.metadata
    credential, synced_at = process.registry_credential_guid, process.registry_credential_last_synced_at
    return {
        "guid": workload.guid,
        "created_at": timestamp(workload.created_at),
        "updated_at": timestamp(process.updated_at),
        "version": workload.version,
        "type": workload.type,
        "command": command,
        "user": workload.user,
        "instances": workload.instances,
        "memory_in_mb": workload.memory_in_mb,
        "disk_in_mb": workload.disk_in_mb,
        "log_rate_limit_in_bytes_per_second": metadata.log_rate_limit_in_bytes_per_second,
        "registry_credential_last_synced_at": None if synced_at is None else timestamp(synced_at),
        "health_check": present_check(workload.health_check),
        "readiness_health_check": present_check(workload.readiness_health_check),
        "relationships": {
            "app": {"data": {"guid": workload.app_guid}},
            "revision": _relationship(process.revision_guid),
            "registry_credential": _relationship(credential),
        },
        "metadata": {"labels": metadata.labels, "annotations": metadata.annotations},
        "links": _links(process, base),
    }


def _links(process: Process, base: str) -> dict[str, Any]:
    self_href = href_of(process, base)
    links = {
        "self": link(self_href),
        "scale": link(f"{self_href}/actions/scale", "POST"),
        "app": link(f"{base}/v3/apps/{quoted(process.workload.app_guid)}"),
        "space": link(f"{base}/v3/spaces/{quoted(process.space_guid)}"),
        "stats": link(f"{self_href}/stats"),
        "process_instances": link(f"{self_href}/process_instances"),
    }
    if credential := process.registry_credential_guid:
        # Absent rather than null: a null link crashes the Python client.
        links["registry_credential"] = link(f"{base}/v3/registry_credentials/{quoted(credential)}")
    return links


def unshown(process: Process) -> object:
    """What is held of a process that lists do not show, of those parts that may be large."""
    workload, stored = process.workload, process.stored
    return workload.command, workload.sidecars, workload.named_ports, stored and stored.pending


def all_that_is_large(process: Process) -> object:
    """All parts of a process that may be large: what is made of processes holds them, and shows next to nothing."""
    stored = process.stored
    return unshown(process), stored and (stored.labels, stored.annotations)


def present_check(check: HealthCheck) -> dict[str, Any]:
    return {
        "type": check.type,
        "data": {
            "timeout": check.timeout,
            "invocation_timeout": check.invocation_timeout,
            "interval": check.interval,
            "endpoint": check.endpoint,
        },
    }


def _relationship(guid: str | None) -> dict[str, Any] | None:
    return {"data": {"guid": guid}} if guid else None


def replica_failure(process: Process) -> str | None:
    """What to warn of where Kubernetes cannot make the Pods of a process, though others of it may run; None: it can."""
    reason = process.workload.replica_failure
    return None if reason is None else f"Kubernetes cannot make Pods of this process: {reason}"


def reservations(process: Process) -> list[str]:
    """What to warn of who looks at a process alone: that something is wrong with it, or is not shown whole."""
    failure = replica_failure(process)
    return [*([] if failure is None else [failure]), *omissions(process)]


def omissions(process: Process) -> list[str]:
    """What to warn of wherever a process is shown alone, of what is not shown of it."""
    found = [_unreadable(process), *map(_cut, _texts(process))]
    return [warning for warning in found if warning is not None]


def _unreadable(process: Process) -> str | None:
    reason = process.metadata.unreadable
    return (
        None
        if reason is None
        else f"The metadata stored of this process cannot be understood, so none is shown: {reason}"
    )


def _texts(process: Process) -> Iterable[tuple[str, str | None, int]]:
    """Those that may have been cut: the field's name, the text, and the longest that is shown."""
    workload = process.workload
    yield "command", workload.command, LONGEST_COMMAND
    for name, check in (
        ("health_check", workload.health_check),
        ("readiness_health_check", workload.readiness_health_check),
    ):
        yield f"{name}.data.endpoint", check.endpoint, LONGEST_ENDPOINT


def _cut(shown: tuple[str, str | None, int]) -> str | None:
    name, text, longest = shown
    if text is None or not is_shortened(text, longest):
        return None
    return (
        f"'{name}' is longer than {longest} characters, and only its beginning is shown; sent back, it stays as it is"
    )
