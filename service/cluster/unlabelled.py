"""The Deployments that are no process for want of a label, and those whose Pods are no instances for want of one."""

import asyncio
from collections.abc import AsyncIterator

import msgspec

from service.cluster.client import Client
from service.cluster.collection import list_chunks
from service.cluster.feeds import DEPLOYMENTS
from service.cluster.inspection import asking
from service.model.labels import Keys
from service.model.suggestions import Unlabelled
from service.pacing import Pace

SYSTEM = "kube-"
"""What the names of Kubernetes' own Namespaces begin with: nothing there is anybody's app."""


async def unlabelled(client: Client, keys: Keys, listing_s: float) -> AsyncIterator[Unlabelled]:
    """Every Deployment, outside of Kubernetes' own Namespaces, that a label is missing of. Raises Unanswered."""
    pace = Pace()
    with asking(f"GET {DEPLOYMENTS}"):
        async with asyncio.timeout(listing_s):
            async for chunk, _ in list_chunks(client, DEPLOYMENTS, {}):
                for _, _, item in chunk:
                    found = _understood(_decode(item))
                    guid = found.labels.get(keys.app_guid)
                    lacks = not guid or found.pod_labels.get(keys.app_guid) != guid
                    if lacks and not found.namespace.startswith(SYSTEM):
                        yield found
                    await pace.breathe()


class _Labelled(msgspec.Struct):
    name: str = ""
    namespace: str = ""
    labels: dict[str, str] | None = None


class _Deployment(msgspec.Struct):
    class Spec(msgspec.Struct):
        class Template(msgspec.Struct):
            metadata: _Labelled | None = None

        template: Template

    metadata: _Labelled
    spec: Spec


def _understood(deployment: _Deployment) -> Unlabelled:
    meta, template = deployment.metadata, deployment.spec.template.metadata
    return Unlabelled(meta.namespace, meta.name, meta.labels or {}, (template and template.labels) or {})


_decode = msgspec.json.Decoder(_Deployment).decode
