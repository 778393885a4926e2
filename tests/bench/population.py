"""The apps everything is measured with: n-th of a number of processes, the same in a real cluster and in the feed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import orjson

from tests.support.kube import KEYS, deployment

FIRST_CREATED = datetime(2024, 1, 1, tzinfo=UTC)
ROUTED = 20
"""A route leads to one process of so many."""
# Coprime to every population: a permutation, so that no order is the one in which objects arrive.
_STRIDE, _OTHER_STRIDE = 7919, 104_729


def app_guid(n: int) -> str:
    """Two processes an app, which is what memory is stated for."""
    return f"{n - n % 2:08x}-5eed-4000-8000-000000000000"


def process_type(n: int) -> str:
    return "worker" if n % 2 else "web"


def namespace(n: int, namespaces: int) -> str:
    """Ten in a row share one, so that an app is in one place."""
    return f"space-{n // 10 % namespaces:04}"


def namespace_labels(name: str) -> dict[str, str]:
    number = int(name.rpartition("-")[2])
    return {
        KEYS.space_guid: space_guid(name),
        KEYS.organization_guid: f"{number // 10:08x}-0000-4000-8000-000000000000",
    }


def space_guid(name: str) -> str:
    return f"{int(name.rpartition('-')[2]):08x}-5bac-4000-8000-000000000000"


def created(n: int, count: int) -> datetime:
    return FIRST_CREATED + timedelta(seconds=n * _STRIDE % count)


def manifest(n: int, namespaces: int) -> dict[str, Any]:
    """What a deployment tool would write of the n-th process; it runs no instance, so it needs no node."""
    return _manifest(f"app-{n:06}-{process_type(n)}", namespace(n, namespaces), app_guid(n), process_type(n))


def _manifest(name: str, space: str, app: str, kind: str) -> dict[str, Any]:
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10, "timeoutSeconds": 2}
    return deployment(
        name,
        space,
        app,
        kind,
        labels={"app.kubernetes.io/name": name, "app.kubernetes.io/managed-by": "platform"},
        annotations={KEYS.version: "5f0c4a0e-9c1b-4d3e-8a53-3f1f0a6c2b77"},
        image="registry.example.org/shop/storefront@sha256:" + "0123456789abcdef" * 4,
        command=["/bin/sh", "-c", "exec bundle exec puma --bind tcp://0.0.0.0:8080 --threads 5:5 --workers 2"],
        ports=[{"containerPort": 8080, "name": "http"}],
        env=[
            {"name": "RAILS_ENV", "value": "production"},
            {"name": "PORT", "value": "8080"},
            {"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": {"name": "database", "key": "url"}}},
        ],
        resources={
            "limits": {"memory": "512Mi", "ephemeral-storage": "1Gi"},
            "requests": {"memory": "512Mi", "cpu": "100m"},
        },
        livenessProbe=probe,
        readinessProbe=probe,
        startupProbe={**probe, "failureThreshold": 30},
    )


def services(count: int, namespaces: int) -> Iterator[dict[str, Any]]:
    """The Services of one app of ten: they select its web process."""
    for n in range(0, count, ROUTED):
        spec = {
            "selector": {KEYS.app_guid: app_guid(n), KEYS.process_type: process_type(n)},
            "ports": [{"port": 80, "targetPort": "http"}],
        }
        yield {"metadata": _meta(n, namespaces, "svc"), "spec": spec}


def ingresses(count: int, namespaces: int) -> Iterator[dict[str, Any]]:
    """What leads to every second of these Services."""
    for n in range(0, count, 2 * ROUTED):
        backend = {"service": {"name": f"app-{n:06}", "port": {"number": 80}}}
        rule = {"host": _host(n), "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
        yield {"metadata": _meta(n, namespaces, "ing"), "spec": {"rules": [rule]}}


def http_routes(count: int, namespaces: int) -> Iterator[dict[str, Any]]:
    """What leads to the others."""
    for n in range(ROUTED, count, 2 * ROUTED):
        rule = {"backendRefs": [{"name": f"app-{n:06}", "port": 80}]}
        yield {"metadata": _meta(n, namespaces, "hr"), "spec": {"hostnames": [_host(n)], "rules": [rule]}}


def _host(n: int) -> str:
    return f"app-{n:06}.apps.example.org"


def _meta(n: int, namespaces: int, kind: str) -> dict[str, Any]:
    return {
        "name": f"app-{n:06}",
        "namespace": namespace(n, namespaces),
        "uid": f"{n:08x}-{kind}",
        "resourceVersion": str(n),
        "creationTimestamp": f"{FIRST_CREATED + timedelta(seconds=n):%Y-%m-%dT%H:%M:%SZ}",
    }


def added(count: int, namespaces: int) -> Iterator[bytes]:
    """The ADDED events of all processes, as a watch of Deployments streams them."""
    template = _event_template("ADDED")
    for n in range(count):
        updated = FIRST_CREATED + timedelta(days=30, seconds=n * _OTHER_STRIDE % count)
        yield template % _values(n, count, namespaces, n, updated)


def modified(n: int, count: int, namespaces: int, version: int) -> bytes:
    """The event of a change of the n-th process that was made now."""
    return _event_template("MODIFIED") % _values(n, count, namespaces, version, datetime.now(UTC))


def _values(n: int, count: int, namespaces: int, version: int, updated: datetime) -> dict[bytes, object]:
    kind, app = process_type(n), app_guid(n)
    return {
        b"number": n,
        b"version": version,
        b"name": f"app-{n:06}-{kind}".encode(),
        b"namespace": namespace(n, namespaces).encode(),
        b"app": app.encode(),
        b"kind": kind.encode(),
        b"created": _zulu(created(n, count)),
        b"updated": _zulu(updated),
    }


def _zulu(moment: datetime) -> bytes:
    return moment.isoformat()[:19].encode() + b"Z"


@cache
def _event_template(what: str) -> bytes:
    """One event as kube-apiserver sends it, defaults and managedFields included, for bytes formatting."""
    body = _manifest("%(name)b", "%(namespace)b", "%(app)b", "%(kind)b")
    (container,) = body["spec"]["template"]["spec"]["containers"]
    container |= {
        "imagePullPolicy": "IfNotPresent",
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }
    body["spec"] |= {"progressDeadlineSeconds": 600, "revisionHistoryLimit": 10, "strategy": {"type": "RollingUpdate"}}
    body["spec"]["template"]["spec"] |= {"dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "schedulerName": "x"}
    body["metadata"] |= {
        "uid": "%(number)08x-de91-4000-8000-000000000000",
        "resourceVersion": "%(version)d",
        "generation": 1,
        "creationTimestamp": "%(created)b",
        "managedFields": [
            {
                "manager": "platform",
                "operation": "Apply",
                "apiVersion": "apps/v1",
                "time": "%(updated)b",
                "fieldsType": "FieldsV1",
                "fieldsV1": _field_names({"metadata": {"labels": {}, "annotations": {}}, "spec": body["spec"]}),
            },
            {
                "manager": "kube-controller-manager",
                "operation": "Update",
                "apiVersion": "apps/v1",
                "time": "%(updated)b",
                "fieldsType": "FieldsV1",
                "fieldsV1": {"f:status": {"f:conditions": {".": {}}, "f:observedGeneration": {}}},
                "subresource": "status",
            },
        ],
    }
    body["status"] = {"observedGeneration": 1}
    return orjson.dumps({"type": what, "object": body}) + b"\n"


def _field_names(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {f"f:{name}": _field_names(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return {f"k:{i}": _field_names(inner) for i, inner in enumerate(value)}
    return {}
