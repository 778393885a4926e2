"""From domain records to what is shown of them. Policy of what is shown to whom sits here."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from service.model.instances import Instance
from service.model.pods import Pod, State
from service.model.process import SECOND, HealthCheck, Process, timestamp
from service.model.usage import Usage
from service.operations.instances import Stats

HIDDEN_COMMAND = "[PRIVATE DATA HIDDEN IN LISTS]"
API_VERSION = "3.220.0"
"""Of the Cloud Controller API whose behaviour this is; clients choose their requests by it."""


def present_process(
    process: Process, base: str, *, command: str, embedded: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """A process as the reference page shows it. `base` is the absolute URL before `/v3`; `command` the text to show.

    `embedded` are its instances as presented, where they were asked for.
    """
    workload, metadata = process.workload, process.metadata
    guid, credential, synced_at = (
        workload.guid,
        process.registry_credential_guid,
        process.registry_credential_last_synced_at,
    )
    self_href = process_href(process, base)
    links = {
        "self": link(self_href),
        "scale": link(f"{self_href}/actions/scale", "POST"),
        "app": link(f"{base}/v3/apps/{quote(workload.app_guid, safe='')}"),
        "space": link(f"{base}/v3/spaces/{quote(process.space_guid, safe='')}"),
        "stats": link(f"{self_href}/stats"),
        "process_instances": link(f"{self_href}/process_instances"),
    }
    if credential:
        # Absent rather than null: a null link crashes the Python client.
        links["registry_credential"] = link(f"{base}/v3/registry_credentials/{quote(credential, safe='')}")
    return {
        "guid": guid,
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
        **({} if embedded is None else {"process_instances": embedded}),
        "relationships": {
            "app": {"data": {"guid": workload.app_guid}},
            "revision": _relationship(process.revision_guid),
            "registry_credential": _relationship(credential),
        },
        "metadata": {"labels": metadata.labels, "annotations": metadata.annotations},
        "links": links,
    }


def present_instances(found: Sequence[Instance], now: int) -> list[dict[str, Any]]:
    """Instances as they stand in a process."""
    return [
        {
            "index": instance.index,
            "state": State.DOWN.value if instance.pod is None else instance.pod.state.value,
            "since": None if instance.pod is None else _seconds(instance.pod, now),
        }
        for instance in found
    ]


def replica_failure(process: Process) -> str | None:
    """What to warn of where Kubernetes cannot make the Pods of a process, though others of it may run; None: it can."""
    reason = process.workload.replica_failure
    return None if reason is None else f"Kubernetes cannot make Pods of this process: {reason}"


def present_process_instances(process: Process, found: Sequence[Instance], base: str, now: int) -> dict[str, Any]:
    """The body of process_instances."""
    self_href = process_href(process, base)
    return {
        "resources": present_instances(found, now),
        "links": {"self": link(f"{self_href}/process_instances"), "process": link(self_href)},
    }


def present_stats(stats: Stats, now: int) -> dict[str, Any]:
    """The body of stats."""
    return {"resources": [_stat(stats, instance, now) for instance in stats.instances]}


def _stat(stats: Stats, instance: Instance, now: int) -> dict[str, Any]:
    workload, pod = stats.process.workload, instance.pod
    row: dict[str, Any] = {
        "type": workload.type,
        "index": instance.index,
        "state": State.DOWN.value if pod is None else pod.state.value,
        "routable": pod is not None and pod.ready,
        "uptime": 0 if pod is None else _seconds(pod, now),
        "isolation_segment": None,
        "details": workload.absence if pod is None else pod.details,
    }
    if pod is None or pod.state is State.DOWN:
        return row
    usage = (stats.usage or {}).get((pod.name, pod.container))
    return row | {
        "instance_guid": pod.uid,
        "host": pod.host,
        "instance_internal_ip": pod.ip,
        "mem_quota": pod.memory,
        "disk_quota": pod.disk,
        "log_rate_limit": stats.process.metadata.log_rate_limit_in_bytes_per_second,
        "fds_quota": None,
        "instance_ports": [
            {
                "external": external,
                "internal": internal,
                "external_tls_proxy_port": None,
                "internal_tls_proxy_port": None,
            }
            for external, internal in pod.ports
        ],
        "usage": {} if usage is None else _usage(usage, pod),
    }


def _usage(usage: Usage, pod: Pod) -> dict[str, Any]:
    return {
        "time": timestamp(usage.sampled_at),
        "cpu": usage.cpu,
        "cpu_entitlement": usage.entitlement(pod.cpu_nanos),
        "mem": usage.memory,
        "disk": None,
        "log_rate": None,
    }


def _seconds(pod: Pod, now: int) -> int:
    # The clocks of nodes and ours may differ: nothing has lasted for less than no time.
    return max(0, now - pod.since) // SECOND


def process_href(process: Process, base: str) -> str:
    """Where a process is, whichever way it was asked for."""
    return f"{base}/v3/processes/{quote(process.guid, safe='')}"


def present_root(base: str) -> dict[str, Any]:
    """What clients ask first: where the API is, which version it speaks, and that it takes Kubernetes credentials."""
    return {
        "links": {
            "self": {"href": base},
            "cloud_controller_v2": None,
            "cloud_controller_v3": {"href": f"{base}/v3", "meta": {"version": API_VERSION}},
            "network_policy_v0": None,
            "network_policy_v1": None,
            # The Python client looks up where to log in before it is given a token; nothing answers there.
            "login": {"href": base},
            "uaa": None,
            "credhub": None,
            "routing": None,
            "logging": None,
            "log_cache": None,
            "log_stream": None,
            "app_ssh": None,
        },
        "cf_on_k8s": True,
    }


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


def link(href: str, method: str = "GET") -> dict[str, str]:
    return {"href": href, "method": method}
