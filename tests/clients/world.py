"""A small world for clients: an organization, a space, and an app with two processes, a sidecar and a route in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from tests.support.api import Api
from tests.support.kube import KEYS, Kube, deployment, eventually, guid_of

PREFIX = "cloudfoundry.org"
COMMAND = "exec serve --port $PORT"


@dataclass(frozen=True)
class World:
    """What is in it, by the names that requests are written with; and who asks."""

    names: dict[str, str]
    operator: Api
    viewer: Api
    stranger: Api


def _web(namespace: str, app: str, name: str) -> dict[str, Any]:
    manifest = deployment(
        name,
        namespace,
        app,
        "web",
        labels={f"{PREFIX}/app-name": name},
        replicas=1,
        command=["/bin/sh", "-c", COMMAND],
        env=[{"name": "GREETING", "value": "hello"}],
        resources={"limits": {"memory": "64Mi", "ephemeral-storage": "256Mi"}},
        ports=[{"containerPort": 8080}],
    )
    proxy = {"name": "proxy", "image": "registry.test/proxy:1", "command": ["envoy", "-c", "/etc/envoy.yaml"]}
    manifest["spec"]["template"]["spec"]["containers"].append(proxy)
    return manifest


async def _add_route(kube: Kube, namespace: str, name: str, host: str) -> None:
    port = {"port": 80, "targetPort": 8080}
    service = {"metadata": {"name": name}, "spec": {"selector": {"test": name}, "ports": [port]}}
    await kube.request("POST", f"/api/v1/namespaces/{namespace}/services", service)
    backend = {"service": {"name": name, "port": {"number": 80}}}
    rule = {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    ingress = {"metadata": {"name": name}, "spec": {"rules": [rule]}}
    await kube.request("POST", f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses", ingress)


@asynccontextmanager
async def made(api: Api, kube: Kube) -> AsyncIterator[World]:
    """Everything is there and runs; all of it goes afterwards."""
    org, space, app = (str(uuid4()) for _ in range(3))
    org_name, space_name, app_name = f"org-{org[:8]}", f"dev-{space[:8]}", f"shop-{app[:8]}"
    labels = {
        KEYS.organization_guid: org,
        KEYS.space_guid: space,
        f"{PREFIX}/org-name": org_name,
        f"{PREFIX}/space-name": space_name,
    }
    namespace, elsewhere = await kube.create_namespace(labels), await kube.create_namespace()

    async def person(place: str, role: str) -> Api:
        return api.as_user(await kube.token_of_new_user(cluster_roles=("processes-api",), roles_in={place: role}))

    await kube.create(_web(namespace, app, app_name))
    await kube.create(deployment("worker", namespace, app, "worker", replicas=1))
    await _add_route(kube, namespace, app_name, f"{app_name}.apps.test")
    world = World(
        names={
            "org": org,
            "org_name": org_name,
            "space": space,
            "space_name": space_name,
            "app": app,
            "app_name": app_name,
            "process": guid_of(app, "web"),
            "command": COMMAND,
            "url": f"{app_name}.apps.test",
            "route": "",
        },
        operator=await person(namespace, "processes-operator"),
        viewer=await person(namespace, "processes-reader"),
        stranger=await person(elsewhere, "processes-reader"),
    )

    async def running() -> bool:
        stats = await world.operator.get(f"/v3/processes/{world.names['process']}/stats")
        return stats.status == 200 and [row["state"] for row in stats.json["resources"]] == ["RUNNING"]

    await eventually(running)
    (world.names["route"],) = await world.operator.guids(f"/v3/routes?app_guids={app}")
    yield world
    for each in (namespace, elsewhere):
        await kube.delete_namespace(each)
