"""The demo: apps of two organizations in three spaces, and two people who may see different parts of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from service.model.process import Metadata
from service.store.database import connected
from service.store.records import load as store

from .control_plane import ControlPlane
from .errors import LocalStackError
from .processes import wait_until

ACME = "6f0c1c57-5b1d-4c52-9a3e-0f4b2d9c1a01"
GLOBEX = "b3f6f3de-0a9c-4b0c-8f57-3d8f5b7e2a02"

STOREFRONT = "storefront"
BACK_OFFICE = "back-office"
TELEMETRY = "telemetry"

SHOP = "1cb006ee-fb05-47e1-b541-c34179ddc446"
SEARCH = "7b1c9a3e-2d54-4f0b-9c1e-8a6f0d3b5e11"
INVOICES = "3e8d2f10-6a7b-4c9d-8e0f-1a2b3c4d5e22"
REPORTS = "9f4a6c2b-8d1e-4a3f-b5c7-6d7e8f9a0b33"
COLLECTOR = "c5d7e9f1-3b2a-4d6c-a8e0-2f4b6d8c0e44"

_ORGANIZATIONS = {ACME: "acme", GLOBEX: "globex"}

# Namespace → (space guid, organization guid).
_SPACES = {
    STOREFRONT: ("2f35885d-0c9d-4423-83ad-fd05066f8576", ACME),
    BACK_OFFICE: ("8a1d4e7b-5c3f-4b2a-9d6e-0f1c2b3a4d55", ACME),
    TELEMETRY: ("d4b8f6a2-7e1c-4f9d-b3a5-5c6d7e8f9a66", GLOBEX),
}

METADATA = [
    Metadata(
        namespace=STOREFRONT,
        app_guid=SHOP,
        type="web",
        labels={"tier": "frontend", "environment": "production"},
        annotations={"contact": "shop@acme.example"},
        log_rate_limit_in_bytes_per_second=1_048_576,
    ),
    Metadata(
        namespace=STOREFRONT,
        app_guid=SHOP,
        type="worker",
        labels={"tier": "backend", "environment": "production"},
        annotations={"contact": "shop@acme.example"},
    ),
    Metadata(
        namespace=STOREFRONT, app_guid=SEARCH, type="web", labels={"tier": "backend", "environment": "production"}
    ),
    Metadata(
        namespace=BACK_OFFICE,
        app_guid=INVOICES,
        type="web",
        labels={"tier": "frontend", "environment": "staging"},
        annotations={"runbook": "https://wiki.acme.example/bills"},
    ),
    Metadata(
        namespace=BACK_OFFICE,
        app_guid=REPORTS,
        type="web",
        labels={"tier": "backend", "deprecated": "true"},
        annotations={"contact": "nobody"},
        log_rate_limit_in_bytes_per_second=65_536,
    ),
    Metadata(
        namespace=TELEMETRY,
        app_guid=COLLECTOR,
        type="worker",
        labels={"tier": "backend", "team.globex.example/owner": "ingest"},
    ),
]
"""What Kubernetes does not hold."""

_PODS_S = 60.0
_DEADLINE_S = 30 * 86_400
"""For a rollout that goes on for as long as the demo."""
_DATABASE_S = 10.0


@dataclass(frozen=True)
class _Process:
    """One process, so one Deployment."""

    space: str
    app: str
    app_guid: str
    type: str
    instances: int
    memory: str
    disk: str
    cpu_used: str
    """On average, by each instance."""
    memory_used: str
    command: tuple[str, ...] = ()
    http_path: str | None = None
    """Probed on port 8080; without it `tcp` decides."""
    tcp: bool = False
    user: int | None = None
    registry: str | None = None
    """The pull secret's name."""
    sidecar: str | None = None
    """Image of a container before the app's own."""
    crash_message: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()
    """At which it is reached from outside."""
    autoscaled: tuple[int, int] | None = None
    """The least and the most instances that an autoscaler sets."""
    next_image: str | None = None
    """The version that is being rolled out, and does not get ready."""


_PROCESSES = [
    _Process(
        STOREFRONT,
        "shop",
        SHOP,
        "web",
        instances=3,
        memory="512Mi",
        disk="1Gi",
        cpu_used="62m",
        memory_used="341Mi",
        command=("/bin/sh", "-c", "bundle exec puma -C config/puma.rb"),
        http_path="/healthz",
        user=2000,
        registry="registry-acme",
        environment={"RAILS_ENV": "production"},
        hosts=("shop.acme.example", "www.acme.example"),
    ),
    _Process(
        STOREFRONT,
        "shop",
        SHOP,
        "worker",
        instances=2,
        memory="1Gi",
        disk="1Gi",
        cpu_used="140m",
        memory_used="702Mi",
        command=("/bin/sh", "-c", "bundle exec sidekiq -c 5 -q default,mailers"),
        user=2000,
        registry="registry-acme",
        environment={"RAILS_ENV": "production"},
    ),
    _Process(
        STOREFRONT,
        "search",
        SEARCH,
        "web",
        instances=2,
        memory="2Gi",
        disk="4Gi",
        cpu_used="85m",
        memory_used="1640Mi",
        tcp=True,
        user=1000,
        hosts=("search.acme.example",),
        next_image="1.43.0",
    ),
    _Process(
        BACK_OFFICE,
        "invoices",
        INVOICES,
        "web",
        instances=1,
        memory="384Mi",
        disk="512Mi",
        cpu_used="12m",
        memory_used="212Mi",
        command=("gunicorn", "--bind=0.0.0.0:8080", "--workers=4", "invoices.wsgi"),
        http_path="/ready",
        user=2000,
        hosts=("invoices.acme.example",),
    ),
    _Process(
        BACK_OFFICE,
        "invoices",
        INVOICES,
        "cron",
        instances=1,
        memory="128Mi",
        disk="256Mi",
        cpu_used="2m",
        memory_used="19Mi",
        command=("/bin/sh", "-c", "exec supercronic /app/crontab"),
        user=2000,
    ),
    # Scaled to 0.
    _Process(
        BACK_OFFICE,
        "invoices",
        INVOICES,
        "worker",
        instances=0,
        memory="256Mi",
        disk="256Mi",
        cpu_used="55m",
        memory_used="171Mi",
        command=("celery", "--app=invoices", "worker"),
    ),
    _Process(
        BACK_OFFICE,
        "reports",
        REPORTS,
        "web",
        instances=1,
        memory="768Mi",
        disk="1Gi",
        cpu_used="70m",
        memory_used="518Mi",
        command=("java", "-jar", "/app/reports.jar"),
        tcp=True,
        crash_message="java.sql.SQLException: connection refused",
    ),
    _Process(
        TELEMETRY,
        "collector",
        COLLECTOR,
        "web",
        instances=2,
        memory="256Mi",
        disk="512Mi",
        cpu_used="48m",
        memory_used="88Mi",
        http_path="/-/healthy",
        user=65534,
        sidecar="registry.example/envoy:1.37",
    ),
    _Process(
        TELEMETRY,
        "collector",
        COLLECTOR,
        "worker",
        instances=4,
        memory="1536Mi",
        disk="2Gi",
        cpu_used="230m",
        memory_used="1130Mi",
        command=("/collector", "--consume", "--shards=4"),
        user=65534,
        autoscaled=(4, 8),
    ),
]


def load(control_plane: ControlPlane) -> None:
    """Create spaces, apps and people, wait until every Pod runs, and begin a rollout. Raises LocalStackError."""
    control_plane.apply(_list(_namespaces()))
    control_plane.apply(_list([each for process in _PROCESSES for each in _objects(process)]))
    control_plane.apply(_list(_people()))
    wanted = sum(process.instances for process in _PROCESSES)
    if not wait_until(lambda: _running(control_plane) == wanted, _PODS_S):
        raise LocalStackError("the demo's Pods do not all run: see kubectl get pods -A")
    control_plane.apply(_list([_next(process) for process in _PROCESSES if process.next_image]))


def _running(control_plane: ControlPlane) -> int:
    selector = ("--selector", "cloudfoundry.org/app-guid", "--field-selector", "status.phase=Running")
    return len(control_plane.kubectl("get", "pods", "-A", *selector, "-o", "name").splitlines())


def _list(items: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": list(items)}


def _namespaces() -> Iterator[dict[str, Any]]:
    for name, (space_guid, organization_guid) in _SPACES.items():
        labels = {
            "cloudfoundry.org/space-guid": space_guid,
            "cloudfoundry.org/org-guid": organization_guid,
            "cloudfoundry.org/org-name": _ORGANIZATIONS[organization_guid],
        }
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo-users"}}


def _objects(process: _Process) -> Iterator[dict[str, Any]]:
    """The Deployment of a process, and what leads to it or scales it."""
    yield _deployment(process)
    if process.hosts:
        yield _service(process)
        yield _ingress(process)
    if process.autoscaled:
        yield _autoscaler(process, *process.autoscaled)


def _name(process: _Process) -> str:
    return f"{process.app}-{process.type}"


def _selected(process: _Process) -> dict[str, str]:
    return {"app.kubernetes.io/name": process.app, "app.kubernetes.io/component": process.type}


def _meta(process: _Process) -> dict[str, Any]:
    return {"name": _name(process), "namespace": process.space}


def _service(process: _Process) -> dict[str, Any]:
    spec = {"selector": _selected(process), "ports": [{"port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _meta(process), "spec": spec}


def _ingress(process: _Process) -> dict[str, Any]:
    backend = {"service": {"name": _name(process), "port": {"number": 80}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": _meta(process),
        "spec": {"rules": [{"host": host, "http": {"paths": paths}} for host in process.hosts]},
    }


def _autoscaler(process: _Process, least: int, most: int) -> dict[str, Any]:
    # Far more than an instance uses: the least are enough, until somebody scales it by hand.
    target = {"type": "AverageValue", "averageValue": "1"}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": _meta(process),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": _name(process)},
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    }


def _next(process: _Process) -> dict[str, Any]:
    """The Deployment with its next version."""
    deployment = _deployment(process)
    template = deployment["spec"]["template"]
    template["metadata"]["annotations"]["local-stack/failing-probe"] = "readiness"
    template["spec"]["containers"][-1]["image"] = f"registry.example/{process.app}:{process.next_image}"
    return deployment


def _deployment(process: _Process) -> dict[str, Any]:
    name, selected = _name(process), _selected(process)
    labels = selected | {
        "cloudfoundry.org/app-guid": process.app_guid,
        "cloudfoundry.org/process-type": process.type,
        "cloudfoundry.org/app-name": process.app,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": process.space, "labels": labels},
        "spec": {
            "replicas": process.instances,
            "progressDeadlineSeconds": _DEADLINE_S,
            "selector": {"matchLabels": selected},
            "template": {
                "metadata": {"labels": labels, "annotations": _annotations(process)},
                "spec": _pod(process),
            },
        },
    }


def _annotations(process: _Process) -> dict[str, str]:
    """Of a Pod: what KWOK shall make of it."""
    annotations = {
        "kwok.x-k8s.io/usage-cpu": process.cpu_used,
        "kwok.x-k8s.io/usage-memory": process.memory_used,
        "local-stack/usage-jitter": "0.2",
    }
    if process.sidecar:
        annotations["kubectl.kubernetes.io/default-container"] = "application"
        annotations["local-stack/usage-cpu.proxy"] = "8m"
        annotations["local-stack/usage-memory.proxy"] = "28Mi"
    if process.crash_message:
        annotations["local-stack/crash-message"] = process.crash_message
    return annotations


def _pod(process: _Process) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": "application",
        "image": f"registry.example/{process.app}:1.42.0",
        "resources": {
            "requests": {"cpu": "100m", "memory": process.memory, "ephemeral-storage": process.disk},
            "limits": {"memory": process.memory, "ephemeral-storage": process.disk},
        },
        "env": [{"name": name, "value": value} for name, value in process.environment.items()],
    }
    if process.command:
        container["command"] = list(process.command)
    probe = _probe(process)
    if probe:
        container["ports"] = [{"name": "http", "containerPort": 8080}]
        container["startupProbe"] = probe | {"periodSeconds": 2, "failureThreshold": 30, "timeoutSeconds": 1}
        container["livenessProbe"] = probe | {"periodSeconds": 30, "timeoutSeconds": 1}
        container["readinessProbe"] = probe | {"periodSeconds": 10, "timeoutSeconds": 1}
    if process.user is not None:
        container["securityContext"] = {"runAsUser": process.user, "allowPrivilegeEscalation": False}
    sidecars = [_sidecar(process.sidecar)] if process.sidecar else []
    return {
        "containers": [*sidecars, container],
        "imagePullSecrets": [{"name": process.registry}] if process.registry else [],
    }


def _sidecar(image: str) -> dict[str, Any]:
    return {
        "name": "proxy",
        "image": image,
        "command": ["envoy", "-c", "/etc/envoy.yaml"],
        "resources": {"limits": {"memory": "64Mi"}},
    }


def _probe(process: _Process) -> dict[str, Any]:
    if process.http_path:
        return {"httpGet": {"path": process.http_path, "port": 8080}}
    return {"tcpSocket": {"port": 8080}} if process.tcp else {}


def _people() -> Iterator[dict[str, Any]]:
    """`operator` may do everything; `viewer` reads one space."""
    for name in ("operator", "viewer"):
        yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "demo-users"}}
    yield _binding("ClusterRoleBinding", {"name": "demo-operator"}, "processes-operator", "operator")
    yield _binding("ClusterRoleBinding", {"name": "demo-viewer"}, "processes-api", "viewer")
    yield _binding("RoleBinding", {"name": "demo-viewer", "namespace": STOREFRONT}, "processes-reader", "viewer")


def _binding(kind: str, metadata: dict[str, str], role: str, service_account: str) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": service_account, "namespace": "demo-users"}],
    }


async def load_metadata(database_url: str) -> None:
    """Store METADATA in a migrated database."""
    async with connected(database_url, _DATABASE_S) as connection:
        await store(connection, METADATA)
