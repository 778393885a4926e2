"""etcd restored from a backup under running replicas: what was written since the backup has never been."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from deploy.local.stack import Stack, local_stack
from service.settings import Settings
from tests.support.api import Api, running
from tests.support.kube import Kube, deployment, eventually, guid_of

PROMPT_S = 0.7
"""Less than a read waits for a watch that is late."""


@pytest.fixture(scope="module")
def fragile_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of its own: Kubernetes' controllers take their time to get over a restore."""
    with local_stack(tmp_path_factory.mktemp("restored"), nodes=1) as started:
        yield started


@pytest.fixture(scope="module")
async def fragile_kube(fragile_stack: Stack) -> AsyncIterator[Kube]:
    client = await Kube.of(str(fragile_stack.kubeconfig))
    yield client
    await client.close()


@pytest.fixture
async def replicas(fragile_settings: Settings, fragile_kube: Kube) -> AsyncIterator[tuple[Api, Api]]:
    token = await fragile_kube.token_of_new_user(cluster_roles=("processes-operator",))
    async with running(fragile_settings, token=token) as one, running(fragile_settings, token=token) as other:
        yield one, other


async def in_step(replicas: tuple[Api, Api], path: str) -> None:
    async def unmarked() -> bool:
        replies = [await each.get(path) for each in replicas]
        return all(reply.status == 200 and "Warning" not in reply.headers for reply in replies)

    await eventually(unmarked, 30)


async def instances_of(api: Api, app: str) -> int | None:
    """As an answer without a warning has it, which has not waited long; None: there is no such process."""
    began = time.monotonic()
    reply = await api.get(f"/v3/processes/{guid_of(app, 'web')}")
    assert time.monotonic() - began < PROMPT_S
    assert "Warning" not in reply.headers
    assert reply.status in (200, 404), reply.body
    found: int | None = reply.json["instances"] if reply.status == 200 else None
    return found


async def scale(api: Api, app: str, instances: int) -> None:
    reply = await api.post(f"/v3/processes/{guid_of(app, 'web')}/actions/scale", {"instances": instances})
    assert reply.status == 202, reply.body
    assert "Warning" not in reply.headers


# The control plane's own start writes more than a few: then its versions say nothing of what was lost.
@pytest.mark.parametrize("lost", [1, 150])
async def test_what_is_lost_is_shown_as_lost_and_what_is_written_then_at_once(
    lost: int, fragile_stack: Stack, fragile_kube: Kube, replicas: tuple[Api, Api], tmp_path: Path
) -> None:
    one, other = replicas
    space, stays, goes, comes = await fragile_kube.create_namespace(), *(str(uuid4()) for _ in range(3))
    for name, app in (("stays", stays), ("goes", goes)):
        await fragile_kube.create(deployment(name, space, app))
    for app in (stays, goes):

        async def shown(app: str = app) -> bool:
            return (await one.get(f"/v3/apps/{app}/processes/web")).status == 200

        await eventually(shown)
    await scale(one, stays, 1)
    control_plane = fragile_stack.control_plane
    await asyncio.to_thread(control_plane.save_etcd, tmp_path / "backup")
    await fragile_kube.create(deployment("comes", space, comes))
    await fragile_kube.delete(space, "goes")
    for count in range(lost):
        await scale(one, stays, 2 + count % 2)
    both = {"command": "lost", "metadata": {"labels": {"written": "before"}}}
    assert (await one.patch(f"/v3/processes/{guid_of(stays, 'web')}", both)).status == 200
    await asyncio.to_thread(control_plane.restore_etcd, tmp_path / "backup")

    await in_step(replicas, f"/v3/processes/{guid_of(stays, 'web')}")
    for api in replicas:
        found = [await instances_of(api, app) for app in (stays, goes, comes)]
        assert found == [1, 0, None]
        reply = await api.get(f"/v3/processes/{guid_of(stays, 'web')}")
        assert reply.json["command"] == ""
    for count in range(4):
        await scale(one, stays, 4 + count)
        assert [await instances_of(api, stays) for api in replicas] == [4 + count] * 2
        await scale(other, goes, 5 + count)
        assert [await instances_of(api, goes) for api in replicas] == [5 + count] * 2
    both = {"command": "kept", "metadata": {"labels": {"written": "after"}}}
    assert (await one.patch(f"/v3/processes/{guid_of(stays, 'web')}", both)).status == 200
    for api in replicas:
        began = time.monotonic()
        reply = await api.get(f"/v3/processes/{guid_of(stays, 'web')}")
        assert time.monotonic() - began < PROMPT_S
        assert "Warning" not in reply.headers
        assert (reply.json["command"], reply.json["metadata"]["labels"]) == ("kept", {"written": "after"})
