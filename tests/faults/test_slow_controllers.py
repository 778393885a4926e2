"""Kubernetes' controllers act on a change when they come to it; by then there may have been another one."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from deploy.local.stack import Stack
from service.settings import Settings
from tests.api.test_cancel_deployment import NOWHERE, cancel, current, noticed, over, under_way
from tests.api.test_create_deployment import rolling
from tests.api.test_start_stop_app import act, runs
from tests.support.api import Api, running
from tests.support.apps import an_app
from tests.support.kube import Kube, eventually


@pytest.fixture
async def api(fragile_settings: Settings, fragile_kube: Kube) -> AsyncIterator[Api]:
    token = await fragile_kube.token_of_new_user(cluster_roles=("processes-operator",))
    async with running(fragile_settings, token=token) as served:
        yield served


@contextmanager
def controllers_frozen(stack: Stack) -> Iterator[None]:
    stack.control_plane.pause("kube-controller-manager")
    try:
        yield
    finally:
        stack.control_plane.resume("kube-controller-manager")


@pytest.fixture
async def space(fragile_kube: Kube) -> str:
    return await fragile_kube.create_namespace()


@pytest.fixture
async def app(fragile_kube: Kube, api: Api, space: str) -> str:
    """The GUID of an app whose two instances run."""
    guid = await an_app(api, fragile_kube, space, replicas=2)
    await runs(api, guid, 2)
    return guid


async def names(kube: Kube, space: str) -> set[str]:
    return {each["metadata"]["name"] for each in await kube.pods(space)}


async def test_an_app_that_is_stopped_and_started_at_once_runs_anew(
    fragile_stack: Stack, fragile_kube: Kube, api: Api, space: str, app: str
) -> None:
    """`cf restart` is a stop and a start: the controllers would find that there is nothing to be done."""
    before = await names(fragile_kube, space)
    with controllers_frozen(fragile_stack):
        for action in ("stop", "start"):
            await act(api, app, action)

    async def anew() -> bool:
        now = await names(fragile_kube, space)
        return len(now) == 2 and not now & before

    await eventually(anew, 20)
    await runs(api, app, 2)


async def test_an_app_that_is_started_once_it_has_stopped_is_as_it_was(
    fragile_kube: Kube, api: Api, space: str, app: str
) -> None:
    before = (await fragile_kube.get(space, "web"))["spec"]
    await act(api, app, "stop")

    async def stopped() -> bool:
        return "replicas" not in (await fragile_kube.get(space, "web"))["status"]

    await eventually(stopped)
    await act(api, app, "start")
    assert (await fragile_kube.get(space, "web"))["spec"] == before


async def test_a_restart_before_the_way_back_has_begun_is_a_deployment_of_its_own(
    fragile_stack: Stack, fragile_kube: Kube, api: Api, space: str, app: str
) -> None:
    first = await current(api, app)
    await fragile_kube.patch(space, "web", NOWHERE)
    guid = await under_way(api, app, first)
    await noticed(fragile_kube, space, "web")
    with controllers_frozen(fragile_stack):
        assert (await cancel(api, guid)).status == 200
        shown = (await api.get(f"/v3/deployments/{guid}")).json["status"]
        assert (shown["value"], shown["reason"]) == ("ACTIVE", "CANCELING")
        made = asyncio.create_task(api.post("/v3/deployments", rolling(app)))

        async def restarted() -> bool:
            template = (await fragile_kube.get(space, "web"))["spec"]["template"]
            return bool(template["metadata"].get("annotations"))

        await eventually(restarted)
    assert (await made).json["guid"] not in (first, guid)
    assert await over(api, (await made).json["guid"]) == "DEPLOYED"
