"""Services, Ingresses and HTTPRoutes of tests, made with the admin's credentials."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from service.model.routes import Origin, Rule
from tests.support.kube import KEYS, Kube, namespace_of

HTTP_ROUTE: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "httproutes.yaml").read_text())
"""The definition of the kind, for a control plane that has no Gateway API."""

_PATHS = {
    "Service": "/api/v1/namespaces/{}/services",
    "Ingress": "/apis/networking.k8s.io/v1/namespaces/{}/ingresses",
    "HTTPRoute": "/apis/gateway.networking.k8s.io/v1/namespaces/{}/httproutes",
}


def service(
    name: str, selector: Mapping[str, str] | None, ports: Sequence[Mapping[str, Any]] = ({"port": 80},), **spec: Any
) -> dict[str, Any]:
    return {
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": selector, "ports": list(ports), **spec},
    }


def backend(name: str, port: int | str = 80) -> dict[str, Any]:
    """Of an Ingress."""
    return {"service": {"name": name, "port": {"name" if isinstance(port, str) else "number": port}}}


def rule(host: str | None, *paths: tuple[str, Mapping[str, Any]], kind: str = "Prefix") -> dict[str, Any]:
    """Of an Ingress: paths, and the backend of each."""
    found = [{"path": path, "pathType": kind, "backend": behind} for path, behind in paths]
    return {**({"host": host} if host else {}), "http": {"paths": found}}


def ingress(name: str, *rules: Mapping[str, Any], **spec: Any) -> dict[str, Any]:
    return {"kind": "Ingress", "metadata": {"name": name}, "spec": {"rules": list(rules), **spec}}


def http_route(name: str, hostnames: Sequence[str], *rules: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name},
        "spec": {"hostnames": list(hostnames), "rules": list(rules)},
    }


def matching(*paths: str, to: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A rule of an HTTPRoute."""
    matches = [{"path": {"type": "PathPrefix", "value": path}} for path in paths]
    return {**({"matches": matches} if matches else {}), "backendRefs": list(to)}


async def create(kube: Kube, namespace: str, *manifests: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [await kube.request("POST", _PATHS[manifest["kind"]].format(namespace), manifest) for manifest in manifests]


async def patch(kube: Kube, namespace: str, kind: str, name: str, change: object) -> None:
    path = f"{_PATHS[kind].format(namespace)}/{name}"
    await kube.request("PATCH", path, change, kind="application/merge-patch+json")


async def delete(kube: Kube, namespace: str, kind: str, name: str) -> None:
    await kube.request("DELETE", f"{_PATHS[kind].format(namespace)}/{name}")


async def route_to(kube: Kube, namespace: str, app_guid: str) -> None:
    """A route to all processes of an app, at no host in particular."""
    selected = service(f"app-{app_guid}", {KEYS.app_guid: app_guid})
    await create(kube, namespace, selected, ingress(f"app-{app_guid}", defaultBackend=backend(f"app-{app_guid}")))


def route_of(app_guid: str) -> str:
    """The GUID of that route."""
    origin = Origin("", "Ingress", namespace_of(app_guid), f"app-{app_guid}", 0, 0)
    return Rule(origin, "", "", ()).guid()
