"""What is shown of the instances of a process."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from service.api.pages import link
from service.api.resources.processes.addresses import href_of
from service.model.instances import Instance
from service.model.pods import Pod, State
from service.model.process import Process
from service.model.times import SECOND, timestamp
from service.model.usage import Usage
from service.operations.instances import Stats

_sampled_at = lru_cache(maxsize=1024)(timestamp)
"""A sample is shown to everyone who polls until the next one comes: its time need not be written out each time."""


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


def present_process_instances(process: Process, found: Sequence[Instance], base: str, now: int) -> dict[str, Any]:
    """The body of process_instances."""
    self_href = href_of(process, base)
    return {
        "resources": present_instances(found, now),
        "links": {"self": link(f"{self_href}/process_instances"), "process": link(self_href)},
    }


def present_stats(stats: Stats, now: int, fds_quota: int) -> dict[str, Any]:
    """The body of stats. `fds_quota` is the setting of that name."""
    return {"resources": [_stat(stats, instance, now, fds_quota) for instance in stats.instances]}


def _stat(stats: Stats, instance: Instance, now: int, fds_quota: int) -> dict[str, Any]:
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
    row |= {
        "instance_guid": pod.uid,
        "host": pod.host,
        "instance_internal_ip": pod.ip,
        "mem_quota": pod.memory,
        "disk_quota": pod.disk,
        "log_rate_limit": stats.process.metadata.log_rate_limit_in_bytes_per_second,
        "fds_quota": fds_quota,
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
    return row


def _usage(usage: Usage, pod: Pod) -> dict[str, Any]:
    return {
        "time": _sampled_at(usage.sampled_at),
        "cpu": usage.cpu,
        "cpu_entitlement": usage.entitlement(pod.cpu_nanos),
        "mem": usage.memory,
        "disk": None,
        "log_rate": None,
    }


def _seconds(pod: Pod, now: int) -> int:
    # The clocks of nodes and ours may differ: nothing has lasted for less than no time.
    return max(0, now - pod.since) // SECOND
