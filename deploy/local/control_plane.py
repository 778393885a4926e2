"""A Kubernetes control plane with simulated nodes, run by kwokctl."""

import base64
import contextlib
import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import kwokctl
from .errors import LocalStackError
from .ports import PortBlock
from .processes import end, environment, recorded, send, spawn, wait_until

_CLUSTER = "stack"
_START_S = 60.0
_CALL_S = 60.0
_CONTROLLERS = ("kwok-controller", "kube-controller-manager", "kube-scheduler")
_ON_ETCD = (*_CONTROLLERS, "kube-apiserver", "etcd")
"""What has to be started anew with etcd, and etcd: the first to be stopped first."""
_PODS_PER_NODE = 250  # one node's Pod addresses are a /24


class ControlPlane:
    """etcd, kube-apiserver, kube-controller-manager, kube-scheduler and KWOK, with RBAC on. Methods block.

    With `metrics` there is a metrics-server too: Pods have figures half a minute after the first one runs, later ones
    after 10 to 20 s.
    """

    def __init__(self, directory: Path, programs: Path, ports: PortBlock, *, metrics: bool = False) -> None:
        self._stack = directory
        self._programs = programs
        self._cluster = _cluster_directory(directory)
        self._authority = self._cluster / "pki" / "ca.crt"
        self._etcd_data = self._cluster / "etcd"
        self._etcd_port = ports.take()
        self._apiserver_port = ports.take()
        self._config = directory / "kwokctl.json"
        configuration = kwokctl.configuration(
            directory,
            programs,
            ports,
            etcd_port=self._etcd_port,
            apiserver_port=self._apiserver_port,
            authority=self._authority,
            metrics=metrics,
        )
        self._config.write_text(json.dumps(configuration))
        self._log = directory / "kwokctl.log"
        self.kubeconfig = directory / "kubeconfig"
        """The cluster admin's."""

    @property
    def server(self) -> str:
        return f"https://127.0.0.1:{self._apiserver_port}"

    def begin(self) -> subprocess.Popen[bytes]:
        """Create and start everything, to be followed by `finish`: other work fits between the two."""
        return self._spawn_kwokctl("create", "cluster", "--kubeconfig", str(self.kubeconfig))

    def finish(self, begun: subprocess.Popen[bytes], *, nodes: int) -> None:
        """Wait until the API server is ready, then add the nodes."""
        self._wait_ready(begun)
        # Without ephemeral-storage a node takes no Pod that limits its disk.
        size = ["--param", f".allocatable.pods={_PODS_PER_NODE}"]
        size += ["--param", '.allocatable["ephemeral-storage"]="4Ti"']
        scaled = self._spawn_kwokctl("scale", "node", "--replicas", str(nodes), *size)
        if scaled.wait(timeout=_CALL_S):
            raise LocalStackError(f"kwokctl could not add nodes, see {self._log}")

    def stop_apiserver(self) -> None:
        """Kill kube-apiserver: connections break, new ones are refused."""
        end(self._pid_file("kube-apiserver"), self._stack)

    def start_apiserver(self) -> None:
        """Start kube-apiserver again, on the same port, certificates and data, and wait until it is ready."""
        self._wait_ready(self._spawn_kwokctl("start", "cluster"))

    def restart_controllers(self) -> None:
        """Start all that acts on objects anew. kube-apiserver must be running.

        Left alone, each of their watches waits for up to a minute after kube-apiserver was away: longer the more often
        it was, and those of a Deployment, of its ReplicaSet and of its Pod one after the other.
        """
        for component in _CONTROLLERS:
            end(self._pid_file(component), self._stack)
        # Another KWOK would wait until the former's leases of the nodes have run out.
        self.kubectl("delete", "leases", "--all", "--namespace", "kube-node-lease")
        self._wait_ready(self._spawn_kwokctl("start", "cluster"))

    def stop_metrics_server(self) -> None:
        """Kill metrics-server: kube-apiserver answers 503 for metrics.k8s.io. A start_apiserver brings it back, too."""
        end(self._pid_file("metrics-server"), self._stack)

    def start_metrics_server(self) -> None:
        """Start metrics-server again, and wait until kube-apiserver passes requests on to it.

        The figures are gone, and there are new ones after 10 to 20 s. kube-apiserver must be running.
        """
        self._wait_ready(self._spawn_kwokctl("start", "cluster"))
        if not wait_until(lambda: self._answers("/apis/metrics.k8s.io/v1beta1"), _START_S):
            raise LocalStackError(f"metrics-server is not ready, see {self._cluster / 'logs'}")

    def pause(self, component: str) -> None:
        """Freeze etcd, kube-apiserver or another component: its connections stay open and nothing is answered."""
        send(self._running(component), signal.SIGSTOP)

    def resume(self, component: str) -> None:
        send(self._running(component), signal.SIGCONT)

    def compact(self) -> int:
        """Drop etcd's history up to now, and return that revision.

        NB: kube-apiserver goes on answering for old versions from its own cache. Only stop_apiserver, compact,
        start_apiserver makes a watch from before, or the continuation of a list, a 410.
        """
        key = base64.b64encode(b"\0").decode()
        _, answer = self._etcd("range", {"key": key, "count_only": True})
        revision = int(answer["header"]["revision"])
        status, answer = self._etcd("compaction", {"revision": revision, "physical": True})
        if status != 200 and "has been compacted" not in answer["message"]:
            raise LocalStackError(f"etcd compaction: {answer['message']}")
        return revision

    def save_etcd(self, to: Path) -> None:
        """Copy what etcd holds, as of now, into a directory that is not there yet: a backup."""
        self.pause("etcd")
        try:
            shutil.copytree(self._etcd_data, to)
        finally:
            self.resume("etcd")

    def restore_etcd(self, saved: Path) -> None:
        """Put etcd back to a backup, and start the whole control plane on it, as Kubernetes says that it is done."""
        for component in _ON_ETCD:
            end(self._pid_file(component), self._stack)
        shutil.rmtree(self._etcd_data)
        shutil.copytree(saved, self._etcd_data)
        self.start_apiserver()

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl prints, as cluster admin. Raises LocalStackError with its complaint."""
        done = subprocess.run(
            [self._programs / "kubectl", "--kubeconfig", self.kubeconfig, *arguments],
            env=self._environment(),
            input=stdin,
            check=False,
            capture_output=True,
            text=True,
            timeout=_CALL_S,
        )
        if done.returncode:
            raise LocalStackError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, manifest: Path | Mapping[str, object]) -> None:
        """Apply a manifest file, or an object (a `List` holds several)."""
        source, stdin = (str(manifest), None) if isinstance(manifest, Path) else ("-", json.dumps(manifest))
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", source, stdin=stdin)

    def forward(self, namespace: str, ports: Mapping[int, int]) -> None:
        """Have `kubectl port-forward` to the namespace's Pods lead to these ports of 127.0.0.1: they run nothing."""
        forwards = [
            {"ports": [port], "target": {"address": "127.0.0.1", "port": target}} for port, target in ports.items()
        ]
        self.apply(
            {
                "apiVersion": "kwok.x-k8s.io/v1alpha1",
                "kind": "ClusterPortForward",
                "metadata": {"name": namespace},
                "spec": {"selector": {"matchNamespaces": [namespace]}, "forwards": forwards},
            }
        )

    def create_token(self, namespace: str, service_account: str) -> str:
        """A token of the ServiceAccount, good for 30 days."""
        return self.kubectl("create", "token", service_account, "--namespace", namespace, "--duration", "720h").strip()

    def kubeconfig_for(self, token: str) -> str:
        """A self-contained kubeconfig that presents the token."""
        return self.kubeconfig_of({_CLUSTER: token})

    def kubeconfig_of(self, tokens: Mapping[str, str]) -> str:
        """The same with several users, each of whom has a token and a context of their name; the first is the one."""
        authority = base64.b64encode(self._authority.read_bytes()).decode()
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": next(iter(tokens)),
                "contexts": [{"name": name, "context": {"cluster": _CLUSTER, "user": name}} for name in tokens],
                "clusters": [
                    {"name": _CLUSTER, "cluster": {"server": self.server, "certificate-authority-data": authority}}
                ],
                "users": [{"name": name, "user": {"token": token}} for name, token in tokens.items()],
            }
        )

    def _spawn_kwokctl(self, *arguments: str) -> subprocess.Popen[bytes]:
        configs = [f"--config={path}" for path in (self._config, kwokctl.STAGES, kwokctl.USAGE)]
        with self._log.open("ab") as log:
            return spawn(
                [self._programs / "kwokctl", *configs, *arguments, "--name", _CLUSTER],
                pid_file=self._stack / "kwokctl.pid",
                env=self._environment(),
                output=log,
            )

    def _environment(self) -> dict[str, str]:
        return environment(
            self._stack,
            KWOK_WORKDIR=str(self._stack / "kwok"),
            KUBECACHEDIR=str(self._cluster / "kubectl-cache"),
            # NB: kwokctl takes the first kubectl of the PATH, and would download one where there is none.
            PATH=f"{self._programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        )

    def _wait_ready(self, run: subprocess.Popen[bytes]) -> None:
        if not wait_until(lambda: run.poll() is not None, _START_S) or run.returncode:
            raise LocalStackError(f"kwokctl failed, see {self._log} and {self._cluster / 'logs'}")
        if not wait_until(lambda: self._answers("/readyz"), _START_S):
            raise LocalStackError(f"kube-apiserver is not ready, see {self._cluster / 'logs'}")

    def _answers(self, path: str) -> bool:
        """Whether kube-apiserver answers a GET with 200."""
        tls = ssl.create_default_context(cafile=self._authority)
        tls.load_cert_chain(self._authority.with_name("admin.crt"), self._authority.with_name("admin.key"))
        connection = http.client.HTTPSConnection("127.0.0.1", self._apiserver_port, timeout=5.0, context=tls)
        with contextlib.closing(connection):
            try:
                connection.request("GET", path)
                return connection.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                return False

    def _etcd(self, call: str, body: Mapping[str, object]) -> tuple[int, Any]:
        """Status and body of a call to etcd's JSON gateway."""
        connection = http.client.HTTPConnection("127.0.0.1", self._etcd_port, timeout=_CALL_S)
        with contextlib.closing(connection):
            connection.request("POST", f"/v3/kv/{call}", json.dumps(body))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def _pid_file(self, component: str) -> Path:
        return self._cluster / "pids" / f"{component}.pid"

    def _running(self, component: str) -> int:
        """The pid of a component. Raises LocalStackError where it is not running."""
        pid = recorded(self._pid_file(component), self._stack)
        if pid is None:
            raise LocalStackError(f"{component} is not running")
        return pid


def remove_recorded(directory: Path) -> None:
    """End every component recorded in the stack's directory, and remove what a next start must not find. Logs stay."""
    # A kwokctl at work forks components before it writes down their pids: let it finish.
    end(directory / "kwokctl.pid", directory, (None, 10.0), (signal.SIGTERM, 5.0))
    cluster = _cluster_directory(directory)
    for pid_file in (cluster / "pids").glob("*.pid"):
        # No grace, as kwokctl itself: the data goes anyway.
        end(pid_file, directory)
    for path in cluster.glob("*"):
        if path.name != "logs":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _cluster_directory(directory: Path) -> Path:
    return directory / "kwok" / "clusters" / _CLUSTER
