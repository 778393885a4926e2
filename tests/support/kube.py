"""The cluster as its admin sees it: objects made and unmade around the service under test."""

import asyncio
import base64
import json
import re
import ssl
from collections import Counter
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any
from uuid import uuid4

import aiohttp
import orjson

from service.cluster.kubernetes_client import Configuration, load_kube_config
from service.model.guids import process_guid
from service.model.labels import Keys
from service.model.rollouts import ROLLOUT_REVISION

KEYS = Keys()
HOLD = "tests.local/hold"
"""A finalizer that nobody takes away."""


_NAMESPACES: dict[str, str] = {}
"""Where the manifest of each app was last made for: app GUIDs of tests are their own."""


def guid_of(app_guid: str, process_type: str) -> str:
    """The GUID of a process that `deployment` has made, and that nobody has named; one of nobody's where it has not."""
    return process_guid(namespace_of(app_guid), app_guid, process_type)


def namespace_of(app_guid: str) -> str:
    """Where the manifest of an app was last made for."""
    return _NAMESPACES.get(app_guid, "nowhere")


def deployment(
    name: str,
    namespace: str,
    /,
    app_guid: str,
    process_type: str | None = "web",
    *,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    pod_annotations: Mapping[str, str] | None = None,
    replicas: int = 0,
    **container: Any,
) -> dict[str, Any]:
    """A Deployment's manifest; `container` overrides fields of its app container."""
    _NAMESPACES[app_guid] = namespace
    own = {KEYS.app_guid: app_guid, **({KEYS.process_type: process_type} if process_type else {}), **(labels or {})}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": own, "annotations": dict(annotations or {})},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"test": name}},
            "template": {
                "metadata": {"labels": {"test": name, **own}, "annotations": dict(pod_annotations or {})},
                "spec": {"containers": [{"name": "application", "image": "registry.test/app:1", **container}]},
            },
        },
    }


def add_container(name: str, **fields: Any) -> dict[str, Any]:
    """The JSON patch that puts another container into a Deployment's Pods."""
    container = {"name": name, "image": f"registry.test/{name}:1", **fields}
    return {"op": "add", "path": "/spec/template/spec/containers/-", "value": container}


class Kube:
    """Requests to the real kube-apiserver with the admin's credentials."""

    def __init__(self, host: str, context: ssl.SSLContext) -> None:
        self._host = host
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))

    @classmethod
    async def of(cls, kubeconfig: str) -> "Kube":
        configuration = Configuration()
        await load_kube_config(kubeconfig, client_configuration=configuration, persist_config=False)
        context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        if configuration.cert_file:
            context.load_cert_chain(configuration.cert_file, configuration.key_file)
        return cls(str(configuration.host), context)

    async def close(self) -> None:
        await self._session.close()

    async def request(self, method: str, path: str, body: object = None, *, kind: str = "application/json") -> Any:
        data = None if body is None else BytesIO(orjson.dumps(body))
        headers = {"Content-Type": kind}
        async with self._session.request(method, self._host + path, data=data, headers=headers) as response:
            answer = await response.read()
            assert response.status < 300, f"{method} {path}: {response.status} {answer[:500]!r}"
            return orjson.loads(answer)

    async def requests_counted(self) -> dict[str, int]:
        """How many reviews and Deployment reads kube-apiserver has answered, by resource: its own count."""
        counted = dict.fromkeys(("tokenreviews", "subjectaccessreviews", "deployments"), 0)
        for (verb, resource), count in (await self.requests_by_verb()).items():
            if resource in counted and verb in ("POST", "GET", "LIST"):
                counted[resource] += count
        return counted

    async def requests_by_verb(self) -> Counter[tuple[str, str]]:
        """What kube-apiserver has answered to everyone, by verb and resource (`pods/status`, `pods.metrics.k8s.io`)."""
        async with self._session.get(self._host + "/metrics") as response:
            lines = (await response.text()).splitlines()
        counted: Counter[tuple[str, str]] = Counter()
        for line in lines:
            if line.startswith("apiserver_request_total{"):
                labels = dict(re.findall(r'(\w+)="([^"]*)"', line))
                resource = "/".join(filter(None, (labels["resource"], labels["subresource"])))
                if labels["group"].endswith(".k8s.io") and labels["resource"] in ("pods", "nodes"):
                    resource += "." + labels["group"]
                counted[labels["verb"], resource] += int(float(line.rpartition(" ")[2]))
        return counted

    async def create_namespace(self, labels: Mapping[str, str] | None = None, name: str | None = None) -> str:
        name = name or f"space-{uuid4().hex[:10]}"
        meta = {"name": name, "labels": dict(labels or {})}
        await self.request("POST", "/api/v1/namespaces", {"metadata": meta})
        return name

    async def label_namespace(self, name: str, labels: Mapping[str, str]) -> None:
        patch = {"metadata": {"labels": dict(labels)}}
        await self.request("PATCH", f"/api/v1/namespaces/{name}", patch, kind="application/merge-patch+json")

    async def delete_namespace(self, name: str) -> None:
        await self.request("DELETE", f"/api/v1/namespaces/{name}")

    async def create(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        namespace = manifest["metadata"]["namespace"]
        created: dict[str, Any] = await self.request(
            "POST", f"/apis/apps/v1/namespaces/{namespace}/deployments", manifest
        )
        return created

    async def controllers_work(self, within_s: float = 90) -> None:
        """Comes back when all of them see to a Deployment, from its own controller to what runs its Pod."""
        namespace = await self.create_namespace()
        await self.create(deployment("seen-to", namespace, str(uuid4()), replicas=1))

        async def seen_to() -> bool:
            found = await self.get(namespace, "seen-to")
            return bool((found.get("status") or {}).get("availableReplicas"))

        try:
            await eventually(seen_to, within_s)
        finally:
            await self.delete_namespace(namespace)

    async def patch(self, namespace: str, name: str, patch: object) -> dict[str, Any]:
        patched: dict[str, Any] = await self.request(
            "PATCH", _deployment(namespace, name), patch, kind="application/merge-patch+json"
        )
        return patched

    async def patch_json(self, namespace: str, name: str, operations: list[dict[str, Any]]) -> None:
        """Change a Deployment by a JSON patch (RFC 6902)."""
        await self.request("PATCH", _deployment(namespace, name), operations, kind="application/json-patch+json")

    async def intent(self, namespace: str, name: str) -> dict[str, Any]:
        """What people and tools have said a Deployment is to be; not what controllers add to it."""
        found = await self.get(namespace, name)
        meta = found["metadata"]
        annotations = {key: value for key, value in meta["annotations"].items() if key != ROLLOUT_REVISION}
        return {"spec": found["spec"], "labels": meta["labels"], "annotations": annotations}

    async def get(self, namespace: str, name: str) -> dict[str, Any]:
        """A Deployment."""
        found: dict[str, Any] = await self.request("GET", _deployment(namespace, name))
        return found

    async def deployments(self, namespace: str) -> list[dict[str, Any]]:
        listed = await self.request("GET", f"/apis/apps/v1/namespaces/{namespace}/deployments")
        found: list[dict[str, Any]] = listed["items"]
        return found

    async def pods(self, namespace: str) -> list[dict[str, Any]]:
        """Oldest first."""
        listed = await self.request("GET", f"/api/v1/namespaces/{namespace}/pods")
        pods: list[dict[str, Any]] = listed["items"]
        return sorted(pods, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["uid"]))

    async def limit_pods(self, namespace: str, most: int) -> None:
        """A quota, in force when this comes back."""
        quotas = f"/api/v1/namespaces/{namespace}/resourcequotas"
        await self.request("POST", quotas, {"metadata": {"name": "pods"}, "spec": {"hard": {"pods": str(most)}}})

        async def in_force() -> bool:
            return "hard" in (await self.request("GET", f"{quotas}/pods")).get("status", {})

        await eventually(in_force)

    async def delete_pod(self, namespace: str, name: str) -> None:
        await self.request("DELETE", _pod(namespace, name))

    async def annotate_pod(self, namespace: str, name: str, annotations: Mapping[str, str | None]) -> None:
        """Adds annotations to a Pod, or takes those of None away."""
        await self.patch_pod(namespace, name, {"metadata": {"annotations": dict(annotations)}})

    async def patch_pod(self, namespace: str, name: str, patch: object) -> None:
        await self.request("PATCH", _pod(namespace, name), patch, kind="application/merge-patch+json")

    async def hold_pods(self, namespace: str, *names: str) -> None:
        """Have Pods hang in their termination, once they are deleted, until they are let go; none named: all."""
        for name in names or [pod["metadata"]["name"] for pod in await self.pods(namespace)]:
            await self.patch_pod(namespace, name, {"metadata": {"finalizers": [HOLD]}})

    async def let_go(self, namespace: str) -> None:
        """Let go of all Pods and Deployments that are held."""
        for kind in ("api/v1/namespaces/{}/pods", "apis/apps/v1/namespaces/{}/deployments"):
            path = "/" + kind.format(namespace)
            for each in (await self.request("GET", path))["items"]:
                if HOLD in each["metadata"].get("finalizers", ()):
                    # Kubernetes may take its own away meanwhile, and none can be put back.
                    patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": [HOLD]}}
                    path_of = f"{path}/{each['metadata']['name']}"
                    await self.request("PATCH", path_of, patch, kind="application/strategic-merge-patch+json")

    async def create_pod(self, namespace: str, meta: Mapping[str, Any]) -> dict[str, Any]:
        """A Pod that nobody but the test has made."""
        spec = {"containers": [{"name": "application", "image": "registry.test/app:1"}]}
        pod: dict[str, Any] = await self.request(
            "POST", f"/api/v1/namespaces/{namespace}/pods", {"metadata": dict(meta), "spec": spec}
        )
        return pod

    async def replica_sets(self, namespace: str) -> list[dict[str, Any]]:
        listed = await self.request("GET", f"/apis/apps/v1/namespaces/{namespace}/replicasets")
        found: list[dict[str, Any]] = listed["items"]
        return found

    async def set_pod_status(self, namespace: str, name: str, status: object) -> None:
        """What a kubelet would say, of a Pod on a node that has none."""
        path = f"{_pod(namespace, name)}/status"
        await self.request("PATCH", path, {"status": status}, kind="application/merge-patch+json")

    async def delete(self, namespace: str, name: str, *, propagation: str = "Background") -> None:
        """Deletes a Deployment; in the background it is gone when this comes back, unless a finalizer holds it."""
        await self.request("DELETE", _deployment(namespace, name), {"propagationPolicy": propagation})

    async def create_role(self, *rules: Mapping[str, Sequence[str]]) -> str:
        """The name of a new ClusterRole."""
        name = f"role-{uuid4().hex[:10]}"
        roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
        await self.request("POST", roles, {"metadata": {"name": name}, "rules": rules})
        return name

    async def token_of_new_user(
        self, *, cluster_roles: tuple[str, ...] = (), roles_in: Mapping[str, str] | None = None
    ) -> str:
        """The token of a ServiceAccount made for the occasion; `roles_in` is namespace → ClusterRole bound there."""
        name = f"user-{uuid4().hex[:10]}"
        await self.request("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": name}})
        subjects = [{"kind": "ServiceAccount", "name": name, "namespace": "default"}]
        rbac = "/apis/rbac.authorization.k8s.io/v1"
        for role in cluster_roles:
            await self.request("POST", f"{rbac}/clusterrolebindings", _binding(f"{name}-{role}", role, subjects))
        for namespace, role in (roles_in or {}).items():
            path = f"{rbac}/namespaces/{namespace}/rolebindings"
            await self.request("POST", path, _binding(name, role, subjects))
        answer = await self.request("POST", f"/api/v1/namespaces/default/serviceaccounts/{name}/token", {"spec": {}})
        token: str = answer["status"]["token"]
        return token

    async def another_token(self, token: str, *, audience: str | None = None) -> str:
        """Another token of the same ServiceAccount; for somebody else than kube-apiserver, if one is given."""
        spec = {"audiences": [audience]} if audience else {}
        other: str = (await self.request("POST", f"{_account_of(token)}/token", {"spec": spec}))["status"]["token"]
        return other

    async def delete_user_of(self, token: str) -> None:
        """Delete the ServiceAccount. NB: kube-apiserver goes on accepting a token for 10 s after it has seen it."""
        await self.request("DELETE", _account_of(token))


def _account_of(token: str) -> str:
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return f"/api/v1/namespaces/default/serviceaccounts/{claims['kubernetes.io']['serviceaccount']['name']}"


def _pod(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods/{name}"


def _deployment(namespace: str, name: str) -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"


def _binding(name: str, role: str, subjects: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": subjects,
    }


async def eventually(check: Any, within_s: float = 30.0) -> Any:
    """The first true value of `check()`, an async function; fails with the last false one after `within_s`."""
    deadline = asyncio.get_running_loop().time() + within_s
    while True:
        value = await check()
        if value:
            return value
        assert asyncio.get_running_loop().time() < deadline, f"still {value!r} after {within_s} s"
        await asyncio.sleep(0.02)
