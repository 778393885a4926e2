"""The Deployments that are no process for want of a label, and those whose Pods are no instances for want of one."""

import asyncio
from collections.abc import AsyncIterator

from service.cluster.client import Client
from service.cluster.collection import list_chunks
from service.cluster.feeds import DEPLOYMENTS
from service.cluster.inspection import asking, labels_of
from service.model.labels import Keys
from service.model.suggestions import Labels
from service.pacing import Pace

SYSTEM = "kube-"
"""What the names of Kubernetes' own Namespaces begin with: nothing there is anybody's app."""


async def unlabelled(client: Client, keys: Keys, listing_s: float) -> AsyncIterator[Labels]:
    """Every Deployment, outside of Kubernetes' own Namespaces, that a label is missing of. Raises Unanswered."""
    pace = Pace()
    with asking(f"GET {DEPLOYMENTS}"):
        async with asyncio.timeout(listing_s):
            async for chunk, _ in list_chunks(client, DEPLOYMENTS, {}):
                for _, _, item in chunk:
                    found = labels_of(item)
                    guid = found.labels.get(keys.app_guid)
                    lacks = not guid or found.pod_labels.get(keys.app_guid) != guid
                    if lacks and not found.namespace.startswith(SYSTEM):
                        yield found
                    await pace.breathe()
