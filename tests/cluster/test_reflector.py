"""The reflector against the real kube-apiserver: what it is fed is what the cluster holds, whatever happens between."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import msgspec
import orjson
import pytest

from deploy.local.stack import Stack
from service.cluster.client import Client
from service.cluster.watch import Reflector
from tests.support.kube import KEYS, Kube, deployment, eventually

DEPLOYMENTS = "/apis/apps/v1/deployments"


class Objects:
    """What a reflector has been told, by uid: each object's name."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.reached = 0

    def upsert(self, uid: str, version: int, raw: bytes | msgspec.Raw) -> Iterable[None]:
        self.names[uid] = orjson.loads(bytes(raw))["metadata"]["name"]
        return ()

    def delete(self, uid: str, version: int) -> Iterable[None]:
        del self.names[uid]
        return ()

    def retain(self, uids: set[str]) -> Iterable[None]:
        self.names = {uid: name for uid, name in self.names.items() if uid in uids}
        return ()

    def advance(self, version: int, *, listed: bool = False) -> None:
        self.reached = version


@asynccontextmanager
async def following(kubeconfig: Path, **options: object) -> AsyncIterator[tuple[Reflector, Objects]]:
    client = await Client.connect(str(kubeconfig), "", timeout_s=5)
    objects = Objects()
    reflector = Reflector(client, DEPLOYMENTS, objects, label_selector=KEYS.app_guid, inactivity_s=90)
    for name, value in options.items():
        setattr(reflector, name, value)
    task = asyncio.create_task(reflector.run())

    async def connected() -> bool:
        return reflector.state.connected

    try:
        await eventually(connected, 20)
        yield reflector, objects
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.close()


async def shows(objects: Objects, expected: set[str]) -> None:
    async def same() -> bool:
        return set(objects.names.values()) >= expected

    await eventually(same, 20)


async def lacks(objects: Objects, name: str) -> None:
    async def gone() -> bool:
        return name not in objects.names.values()

    await eventually(gone)


async def test_lists_then_follows_only_what_the_selector_names(stack: Stack, kube: Kube, space: str) -> None:
    before, after, unlabelled = (f"{word}-{uuid4().hex[:8]}" for word in ("before", "after", "other"))
    await kube.create(deployment(before, space, "app"))
    stray = deployment(unlabelled, space, "app")
    del stray["metadata"]["labels"]
    await kube.create(stray)
    async with following(stack.service_kubeconfig) as (reflector, objects):
        assert before in objects.names.values()
        await kube.create(deployment(after, space, "app"))
        await shows(objects, {after})
        await kube.delete(space, before)
        await lacks(objects, before)
        # Losing the label is leaving, for a watch with a selector.
        await kube.patch(space, after, {"metadata": {"labels": {KEYS.app_guid: None}}})
        await lacks(objects, after)
        assert unlabelled not in objects.names.values()
        assert reflector.state.restarts == 0


async def test_what_an_event_says_and_how_far_it_goes_count_from_one_moment(
    stack: Stack, kube: Kube, space: str
) -> None:
    name = f"moment-{uuid4().hex[:8]}"
    behind: list[tuple[int, int]] = []
    async with following(stack.service_kubeconfig) as (_, objects):
        upsert, delete = objects.upsert, objects.delete

        def look(version: int) -> None:
            """What whoever has the next turn finds: an answer to a write, say."""
            asyncio.get_running_loop().call_soon(lambda: behind.append((objects.reached, version)))

        def upsert_and_look(uid: str, version: int, raw: bytes | msgspec.Raw) -> Iterable[None]:
            look(version)
            return upsert(uid, version, raw)

        def delete_and_look(uid: str, version: int) -> Iterable[None]:
            look(version)
            return delete(uid, version)

        objects.upsert, objects.delete = upsert_and_look, delete_and_look  # type: ignore[method-assign]
        await kube.create(deployment(name, space, "app"))
        await shows(objects, {name})
        await kube.delete(space, name)
        await lacks(objects, name)
    assert len(behind) >= 2
    assert all(reached >= version for reached, version in behind), behind


async def test_chunked_list_does_as_well_where_lists_cannot_be_streamed(
    stack: Stack, kube: Kube, space: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.cluster.collection.LIST_CHUNK", 2)
    names = {f"chunk-{n}-{uuid4().hex[:8]}" for n in range(5)}
    for name in names:
        await kube.create(deployment(name, space, "app"))
    async with following(stack.service_kubeconfig, _streams_lists=False) as (_, objects):
        assert names <= set(objects.names.values())
        await kube.create(deployment("chunk-late", space, "app"))
        await shows(objects, {"chunk-late"})


async def test_apiserver_away_and_back_loses_nothing_and_keeps_no_ghost(
    fragile_stack: Stack, fragile_kube: Kube
) -> None:
    space, suffix = await fragile_kube.create_namespace(), uuid4().hex[:8]
    stays, goes, comes = (f"{word}-{suffix}" for word in ("stays", "goes", "comes"))
    await fragile_kube.create(deployment(stays, space, "app"))
    await fragile_kube.create(deployment(goes, space, "app"))
    async with following(fragile_stack.service_kubeconfig) as (reflector, objects):

        def ours() -> set[str]:
            return {name for name in objects.names.values() if name.endswith(suffix)}

        async with without_apiserver(fragile_stack):

            async def noticed() -> bool:
                return not reflector.state.connected

            await eventually(noticed)
            assert ours() == {stays, goes}
            assert reflector.state.failure

        async def back() -> bool:
            return reflector.state.connected

        await eventually(back, 30)
        await fragile_kube.delete(space, goes)
        await fragile_kube.create(deployment(comes, space, "app"))

        async def settled() -> bool:
            return ours() == {stays, comes}

        await eventually(settled)


async def test_version_compacted_away_means_a_new_list_without_ghosts(fragile_stack: Stack, fragile_kube: Kube) -> None:
    space, suffix = await fragile_kube.create_namespace(), uuid4().hex[:8]
    doomed, lasting = f"doomed-{suffix}", f"lasting-{suffix}"
    await fragile_kube.create(deployment(doomed, space, "app"))
    await fragile_kube.create(deployment(lasting, space, "app"))
    async with following(fragile_stack.service_kubeconfig) as (reflector, objects):
        await shows(objects, {doomed, lasting})
        relists = reflector.state.relists
        async with without_apiserver(fragile_stack):
            # What it would resume from is dropped while nobody can tell it of the deletion that follows.
            reflector.state.resource_version = "1"
            await asyncio.to_thread(fragile_stack.control_plane.compact)
        await fragile_kube.delete(space, doomed)

        async def relisted() -> bool:
            return reflector.state.connected and reflector.state.relists > relists

        await eventually(relisted, 30)

        async def settled() -> bool:
            return doomed not in objects.names.values()

        await eventually(settled)
        assert lasting in objects.names.values()


@asynccontextmanager
async def without_apiserver(stack: Stack) -> AsyncIterator[None]:
    await asyncio.to_thread(stack.control_plane.stop_apiserver)
    try:
        yield
    finally:
        await asyncio.to_thread(stack.control_plane.start_apiserver)
