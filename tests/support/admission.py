"""Rules of a cluster's own, which refuse what its RBAC allows."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tests.support.kube import Kube

_API = "/apis/admissionregistration.k8s.io/v1"


@asynccontextmanager
async def refusing(
    kube: Kube, namespace: str, rule: Mapping[str, Sequence[str]], *validations: Mapping[str, Any]
) -> AsyncIterator[None]:
    """A ValidatingAdmissionPolicy of one namespace for the length of a block; it takes a moment to take effect."""
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    policy = {"matchConstraints": {"resourceRules": [rule]}, "validations": validations}
    binding = {
        "policyName": namespace,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": selector},
    }
    made = {"validatingadmissionpolicies": policy, "validatingadmissionpolicybindings": binding}
    for kind, spec in made.items():
        await kube.request("POST", f"{_API}/{kind}", {"metadata": {"name": namespace}, "spec": spec})
    try:
        yield
    finally:
        for kind in made:
            await kube.request("DELETE", f"{_API}/{kind}/{namespace}")
