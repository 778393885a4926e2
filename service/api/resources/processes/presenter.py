"""What is shown of a process. Policy of what is shown to whom sits here."""

from typing import Any
from urllib.parse import quote

from service.api.pages import link
from service.api.resources.processes.addresses import href_of
from service.model.process import HealthCheck, Process, timestamp

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
        "health_check": _health_check(workload.health_check),
        "readiness_health_check": _health_check(workload.readiness_health_check),
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
        "app": link(f"{base}/v3/apps/{quote(process.workload.app_guid, safe='')}"),
        "space": link(f"{base}/v3/spaces/{quote(process.space_guid, safe='')}"),
        "stats": link(f"{self_href}/stats"),
        "process_instances": link(f"{self_href}/process_instances"),
    }
    if credential := process.registry_credential_guid:
        # Absent rather than null: a null link crashes the Python client.
        links["registry_credential"] = link(f"{base}/v3/registry_credentials/{quote(credential, safe='')}")
    return links


def _health_check(check: HealthCheck) -> dict[str, Any]:
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
