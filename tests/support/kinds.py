"""Kinds of objects that the control plane serves only while a test wants it to."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from tests.support.kube import Kube, eventually

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def gadgets() -> dict[str, Any]:
    """The definition of a kind that nobody else has."""
    group = f"g{uuid4().hex[:10]}.test"
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "metadata": {"name": f"gadgets.{group}"},
        "spec": {
            "group": group,
            "names": {"kind": "Gadget", "plural": "gadgets", "singular": "gadget", "listKind": "GadgetList"},
            "scope": "Namespaced",
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}}],
        },
    }


def path_of(definition: Mapping[str, Any], namespace: str = "") -> str:
    """Where the objects of a kind are."""
    spec = definition["spec"]
    within = f"/namespaces/{namespace}" if namespace else ""
    return f"/apis/{spec['group']}/{spec['versions'][-1]['name']}{within}/{spec['names']['plural']}"


@asynccontextmanager
async def served(kube: Kube, definition: Mapping[str, Any]) -> AsyncIterator[None]:
    """While the API server serves the kind."""
    manifest = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", **definition}
    await kube.request("POST", DEFINITIONS, manifest)

    async def answers() -> bool:
        try:
            await kube.request("GET", path_of(definition))
        except AssertionError:
            return False
        return True

    await eventually(answers)
    try:
        yield
    finally:
        await withdraw(kube, definition)


async def withdraw(kube: Kube, definition: Mapping[str, Any]) -> None:
    """Have the kind served no longer, with all of its objects gone."""
    path = f"{DEFINITIONS}/{definition['metadata']['name']}"
    try:
        await kube.request("DELETE", path)
    except AssertionError as error:
        assert "404" in str(error)  # noqa: PT017 - it is gone already
        return

    async def gone() -> bool:
        try:
            await kube.request("GET", path)
        except AssertionError:
            return True
        return False

    await eventually(gone)
