"""Lists stay right while Deployments are made, changed and deleted as fast as the control plane takes it."""

import asyncio
import random
from uuid import uuid4

from tests.support.api import Api
from tests.support.kube import Kube, deployment, eventually, guid_of

WRITERS, TURNS = 6, 25


async def test_nothing_is_lost_doubled_or_left_over(api: Api, kube: Kube, space: str) -> None:
    lasting = [str(uuid4()) for _ in range(20)]
    for n, app in enumerate(lasting):
        await kube.create(deployment(f"lasting-{n}", space, app))
    expected = {guid_of(app, "web") for app in lasting}
    query = f"/v3/processes?space_guids={space}&per_page=3"

    async def all_there() -> bool:
        return set(await api.all_guids(query)) == expected

    await eventually(all_there)
    in_order = await api.all_guids(query)
    await asyncio.sleep(1.1)  # creation times are whole seconds: from here on they are later ones
    writing = True
    kept: set[str] = set()

    async def write(writer: int) -> None:
        source = random.Random(writer)
        for turn in range(TURNS):
            app, name = str(uuid4()), f"passing-{writer}-{turn}"
            await kube.create(deployment(name, space, app))
            await kube.patch(space, name, {"spec": {"replicas": source.randint(0, 1)}})
            if source.random() < 0.7:
                await kube.delete(space, name)
            else:
                kept.add(guid_of(app, "web"))

    async def read(order: str) -> int:
        walks = 0
        while writing:
            found = await api.all_guids(f"{query}&order_by={order}")
            if order == "created_at":
                # Newcomers queue up behind those that were there, whose places nothing changes: each is met once.
                assert [guid for guid in found if guid in expected] == in_order
            walks += 1
        return walks

    readers = [asyncio.create_task(read(order)) for order in ("created_at", "-updated_at", "created_at")]
    await asyncio.gather(*map(write, range(WRITERS)))
    await asyncio.sleep(0.2)
    writing = False
    assert all(walks > 3 for walks in await asyncio.gather(*readers))

    async def settled() -> bool:
        return set(await api.all_guids(query)) == expected | kept

    await eventually(settled)
    assert len(await api.all_guids(query)) == len(expected | kept)
