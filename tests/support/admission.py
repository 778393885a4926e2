"""Rules of a cluster's own, which refuse what its RBAC allows, or change what its people ask for."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson

from tests.support.kube import Kube, eventually

_API = "/apis/admissionregistration.k8s.io/v1"


@asynccontextmanager
async def refusing(
    kube: Kube, namespace: str, rule: Mapping[str, Sequence[str]], *validations: Mapping[str, Any]
) -> AsyncIterator[None]:
    """A ValidatingAdmissionPolicy of one namespace for the length of a block; it takes a moment to take effect."""
    policy = {"matchConstraints": {"resourceRules": [rule]}, "validations": validations}
    async with _in_force(kube, namespace, "validatingadmissionpolicies", policy, validationActions=["Deny"]):
        yield


@asynccontextmanager
async def injecting(kube: Kube, namespace: str, container: Mapping[str, Any]) -> AsyncIterator[None]:
    """Each Pod made in the namespace gets this container as its first, as service meshes do it."""
    expression = f'[JSONPatch{{op: "add", path: "/spec/containers/0", value: {_cel(container)}}}]'
    policy = {
        "matchConstraints": {
            "resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
            ]
        },
        "reinvocationPolicy": "Never",
        "failurePolicy": "Fail",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}],
    }
    async with _in_force(kube, namespace, "mutatingadmissionpolicies", policy):

        async def in_force() -> bool:
            meta = {"generateName": "probe-"}
            spec = {"containers": [{"name": "application", "image": "registry.test/app:1"}]}
            path = f"/api/v1/namespaces/{namespace}/pods?dryRun=All"
            made = await kube.request("POST", path, {"metadata": meta, "spec": spec})
            return len(made["spec"]["containers"]) == 2

        await eventually(in_force)
        yield


def _cel(value: object) -> str:
    """A literal of CEL, which takes values of several types only where they are said to be of any."""
    if isinstance(value, Mapping):
        return "dyn({" + ", ".join(f"{_cel(key)}: {_cel(each)}" for key, each in value.items()) + "})"
    if isinstance(value, list):
        return "dyn([" + ", ".join(map(_cel, value)) + "])"
    return f"dyn({orjson.dumps(value).decode()})"


@asynccontextmanager
async def _in_force(
    kube: Kube, namespace: str, kind: str, policy: Mapping[str, Any], **binding: Any
) -> AsyncIterator[None]:
    selector = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    bound = {"policyName": namespace, "matchResources": selector, **binding}
    made = {kind: policy, f"{kind.removesuffix('ies')}ybindings": bound}
    for each, spec in made.items():
        await kube.request("POST", f"{_API}/{each}", {"metadata": {"name": namespace}, "spec": spec})
    try:
        yield
    finally:
        for each in made:
            await kube.request("DELETE", f"{_API}/{each}/{namespace}")
