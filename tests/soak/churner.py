"""Who changes Deployments with kubectl's means, past the service: they come, go, come again and change their labels."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

import aiohttp

from service.model.labels import Keys
from tests.soak.world import World
from tests.support.kube import deployment

NAMES = ("one", "two", "three")
_PAUSE_S = (0.1, 0.6)
_APP_GUID = Keys().app_guid


@asynccontextmanager
async def churning(world: World, namespaces: tuple[str, str]) -> AsyncIterator[None]:
    task = asyncio.create_task(_go_on(world, namespaces))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _go_on(world: World, namespaces: tuple[str, str]) -> None:
    guids = [str(uuid4()) for _ in NAMES]
    while True:
        await asyncio.sleep(world.random.uniform(*_PAUSE_S))
        await world.writing.wait()
        # Kubernetes may be away, and who did the last change may not have heard of it: then there is nothing to do.
        with world.write(), suppress(AssertionError, aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(5):
                await _change(world, world.random.choice(namespaces), guids)
                world.counts["changes by kubectl"] += 1


async def _change(world: World, namespace: str, guids: list[str]) -> None:
    """Create, delete, create again under the same name, or give to another app; moving is deleting and creating."""
    name, guid = f"churn-{world.random.choice(NAMES)}", world.random.choice(guids)
    kind = world.random.choice(("create", "delete", "again", "relabel"))
    if kind in ("delete", "again"):
        await world.kube.delete(namespace, name)
    if kind in ("create", "again"):
        await world.kube.create(deployment(name, namespace, guid, replicas=world.random.randint(0, 2)))
    if kind == "relabel":
        await world.kube.patch(namespace, name, {"metadata": {"labels": {_APP_GUID: guid}}})
