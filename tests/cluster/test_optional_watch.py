"""A watch of what may not be there: it waits, follows, and lets go, and never says more than is true."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from deploy.local.stack import Stack
from service.cluster import optional_watch
from service.cluster.client import Client
from service.cluster.optional_watch import OptionalKind, OptionalWatch
from tests.cluster.test_reflector import Objects, lacks, shows
from tests.support.kinds import gadgets, path_of, served, withdraw
from tests.support.kube import Kube, eventually


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optional_watch, "LOOK_AGAIN_S", 0.2)
    monkeypatch.setattr(optional_watch, "CONFIRM_S", 0.2)


@asynccontextmanager
async def following(kubeconfig: Path | str, path: str, objects: Objects) -> AsyncIterator[OptionalWatch]:
    client = await Client.connect(str(kubeconfig), "", timeout_s=5)
    watch = OptionalWatch(client, OptionalKind("gadgets", path, "gadgets"), objects, inactivity_s=1)
    task = asyncio.create_task(watch.run())
    try:
        yield watch
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.close()


async def until(watch: OptionalWatch, *, synced: bool, failure: str) -> None:
    async def so() -> bool:
        return watch.state.synced is synced and failure in watch.state.failure and bool(failure) is watch.state.absent

    await eventually(so)


async def make(kube: Kube, kind: dict[str, Any], space: str) -> str:
    name = f"gadget-{uuid4().hex[:8]}"
    spec = kind["spec"]
    meta = {"apiVersion": f"{spec['group']}/v1", "kind": "Gadget", "metadata": {"name": name}}
    await kube.request("POST", path_of(kind, space), meta)
    return name


async def test_a_kind_that_is_not_served_is_waited_for_followed_and_let_go(
    stack: Stack, kube: Kube, space: str
) -> None:
    kind, objects = gadgets(), Objects()
    async with following(stack.kubeconfig, path_of(kind), objects) as watch:
        await until(watch, synced=False, failure="does not serve")
        async with served(kube, kind):
            before = await make(kube, kind, space)
            await until(watch, synced=True, failure="")
            await shows(objects, {before})
            after = await make(kube, kind, space)
            await shows(objects, {before, after})
            await kube.request("DELETE", f"{path_of(kind, space)}/{before}")
            await lacks(objects, before)
            await withdraw(kube, kind)
            await until(watch, synced=False, failure="does not serve")
            assert objects.names == {}
        # And all over again.
        async with served(kube, kind):
            again = await make(kube, kind, space)
            await shows(objects, {again})
            assert set(objects.names.values()) == {again}


async def test_what_may_not_be_listed_is_waited_for_and_a_permission_that_goes_takes_all_with_it(
    stack: Stack, kube: Kube, space: str, tmp_path: Path
) -> None:
    kind, objects = gadgets(), Objects()
    role = await kube.create_role({"apiGroups": [kind["spec"]["group"]], "resources": ["gadgets"], "verbs": ["get"]})
    roles = f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{role}"
    kubeconfig = tmp_path / "kubeconfig"
    token = await kube.token_of_new_user(cluster_roles=(role,))
    kubeconfig.write_text(stack.control_plane.kubeconfig_for(token))

    async def allow(*verbs: str) -> None:
        rule = {"apiGroups": [kind["spec"]["group"]], "resources": ["gadgets"], "verbs": list(verbs)}
        await kube.request("PATCH", roles, {"rules": [rule]}, kind="application/merge-patch+json")

    async with served(kube, kind):
        name = await make(kube, kind, space)
        async with following(kubeconfig, path_of(kind), objects) as watch:
            await until(watch, synced=False, failure="may not list")
            assert objects.names == {}
            await allow("list", "watch")
            await shows(objects, {name})
            await until(watch, synced=True, failure="")
            await allow("get")
            # An open watch goes on: that it is refused shows when the next one is opened.
            await until(watch, synced=False, failure="may not list")
            assert objects.names == {}


async def test_a_refusal_that_passes_is_not_believed(stack: Stack, kube: Kube, space: str) -> None:
    kind, objects = gadgets(), Objects()
    async with served(kube, kind), following(stack.kubeconfig, path_of(kind), objects) as watch:
        name = await make(kube, kind, space)
        await shows(objects, {name})
        retained: list[set[str]] = []
        retain = objects.retain
        objects.retain = lambda uids: retained.append(uids) or retain(uids)  # type: ignore[method-assign, func-returns-value]
        # The address of the watch, and not that of the question whether there is something to be watched.
        watch._reflector._path = path_of(kind).replace("gadgets", "nothing")

        async def refused() -> bool:
            return watch.state.failure == "HTTP 404"

        await eventually(refused)
        watch._reflector._path = path_of(kind)
        other = await make(kube, kind, space)
        await shows(objects, {name, other})
        assert set() not in retained


async def test_a_defect_in_what_is_optional_ends_nothing(stack: Stack, kube: Kube, space: str) -> None:
    kind = gadgets()

    class Broken(Objects):
        def retain(self, uids: set[str]) -> msgspec.Raw:  # type: ignore[override]
            raise RuntimeError("broken")

    async with following(stack.kubeconfig, path_of(kind), Broken()) as watch:
        # Nothing is served, so that all is to be dropped, which fails each time.
        await asyncio.sleep(1)
        assert not watch.state.synced
