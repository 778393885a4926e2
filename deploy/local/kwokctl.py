"""What kwokctl is told: which programs make up the cluster, on which ports and with which arguments."""

from pathlib import Path
from typing import Any

from .ports import PortBlock

STAGES = Path(__file__).with_name("stages.yaml")
USAGE = Path(__file__).with_name("usage.yaml")

_REGISTRATION = Path(__file__).with_name("metrics-server")
_PROGRAMS = {
    "etcdBinary": "etcd",
    "kubeApiserverBinary": "kube-apiserver",
    "kubeControllerManagerBinary": "kube-controller-manager",
    "kubeSchedulerBinary": "kube-scheduler",
    "kwokControllerBinary": "kwok",
    "kubectlBinary": "kubectl",
    "metricsServerBinary": "metrics-server",
}
_CLIENTS = {"kube-api-qps": "1000", "kube-api-burst": "2000", "leader-elect": "false"}
_ARGUMENTS = {
    # The data does not outlive the stack.
    "etcd": {"unsafe-no-fsync": "true"},
    # NB: bound to loopback, kube-apiserver would ask the routing table for an address to advertise and exit where
    # there is none. Nobody uses it; this one is reserved for documentation.
    "kube-apiserver": {"advertise-address": "192.0.2.254"},
    # NB: with leader election both exit when kube-apiserver is away for 10 s.
    "kube-controller-manager": _CLIENTS,
    "kube-scheduler": _CLIENTS,
}
_METRICS_SERVER = {
    # As often as it can be made to.
    "metric-resolution": "10s",
    "kubelet-request-timeout": "5s",
    # A node's Hostname is where KWOK listens; its InternalIP is nobody's.
    "kubelet-preferred-address-types": "Hostname",
    # NB: kwokctl starts it together with kube-apiserver, and it exits where it cannot look up at once whom to believe.
    "authentication-skip-lookup": "true",
}
# NB: a list, to which a second flag would only add.
_REPLACED = {"kubelet-preferred-address-types"}


def configuration(
    directory: Path,
    programs: Path,
    ports: PortBlock,
    *,
    etcd_port: int,
    apiserver_port: int,
    authority: Path,
    metrics: bool,
) -> dict[str, Any]:
    """The KwokctlConfiguration of the stack in `directory`; `authority` is where kwokctl puts the cluster's CA.

    `metrics` adds metrics-server, registered as metrics.k8s.io.
    """
    # kube-apiserver shows a certificate of the cluster's, and has asked RBAC by then.
    arguments = {**_ARGUMENTS, "metrics-server": {**_METRICS_SERVER, "client-ca-file": str(authority)}}
    return {
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokctlConfiguration",
        "options": {
            "runtime": "binary",
            "bindAddress": "127.0.0.1",
            # NB: kept there until the next start, so that manifests are read anew.
            "cacheDir": str(directory / "kwok" / "cache"),
            **{option: str(programs / name) for option, name in _PROGRAMS.items()},
            "etcdPort": etcd_port,
            "etcdPeerPort": ports.take(),
            "kubeApiserverPort": apiserver_port,
            "kubeControllerManagerPort": ports.take(),
            "kubeSchedulerPort": ports.take(),
            "kwokControllerPort": ports.take(),
            "metricsServerPort": ports.take(),
            "enableMetricsServer": metrics,
            # What port-forward leads to is known only once it listens.
            "enableCRDs": ["ClusterPortForward"],
            # NB: by default a download.
            "metricsServerManifests": [str(_REGISTRATION)],
        },
        "componentsPatches": [
            {
                "name": name,
                "extraArgs": [
                    {"key": key, "value": value, "override": key in _REPLACED} for key, value in extra.items()
                ],
            }
            for name, extra in arguments.items()
        ],
    }
