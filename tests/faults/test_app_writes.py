"""Writes of apps that are broken off in between: what was done is said, and the same request completes it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web

from service.settings import Settings
from tests.support.admission import refusing
from tests.support.api import Api, Reply, assert_cf_error, running
from tests.support.killable import killable
from tests.support.kube import KEYS, Kube, deployment, eventually
from tests.support.proxy import BreakOff, Relay

DEPLOYMENTS = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["deployments"]}
TYPES = ("clock", "web", "worker")
"""In the order in which they are changed."""


@pytest.fixture
async def relayed(relay: Relay, settings: Settings, operator_token: str) -> AsyncIterator[Api]:
    """A replica that reaches Kubernetes through the relay; `api` is another one, which does not."""
    configured = replace(settings, kubeconfig=str(relay.kubeconfig), kube_timeout_s=1.5, kube_write_timeout_s=1.5)
    async with running(configured, token=operator_token) as served:
        yield served


@pytest.fixture
async def app(api: Api, relayed: Api, kube: Kube, space: str) -> str:
    """An app of three processes, of 2 instances each, that both replicas show."""
    guid = str(uuid4())
    for process_type in TYPES:
        await kube.create(deployment(process_type, space, guid, process_type, replicas=2))

    async def shown() -> bool:
        replies = [await each.get(f"/v3/apps/{guid}/processes") for each in (api, relayed)]
        return all(
            reply.status == 200 and [each["version"] for each in reply.json["resources"]] == ["1"] * 3
            for reply in replies
        )

    await eventually(shown)
    return guid


async def replicas(kube: Kube, space: str) -> list[int]:
    return [(await kube.get(space, name))["spec"]["replicas"] for name in TYPES]


async def act(api: Api, app: str, action: str) -> Reply:
    return await api.post(f"/v3/apps/{app}/actions/{action}")


def is_patch_of(name: str) -> Callable[[web.Request], bool]:
    return lambda request: request.method == "PATCH" and request.path.endswith(f"/deployments/{name}")


async def test_kubernetes_goes_away_in_between(
    api: Api, relayed: Api, relay: Relay, kube: Kube, space: str, app: str
) -> None:
    async def before(request: web.Request) -> None:
        if is_patch_of("web")(request):
            raise BreakOff

    relay.before = before
    broken = await act(relayed, app, "stop")
    detail = assert_cf_error(broken, 503, 10015, "CF-ServiceUnavailable")
    assert "Changed: clock. Maybe changed: web. Not changed: worker." in detail
    assert "completes it" in detail
    assert await replicas(kube, space) == [0, 2, 2]
    # What was done is seen everywhere, and what was not is not.
    assert (await api.get(f"/v3/apps/{app}")).json["state"] == "STARTED"
    relay.before = None
    assert (await act(relayed, app, "stop")).json["state"] == "STOPPED"
    assert await replicas(kube, space) == [0, 0, 0]
    assert (await act(api, app, "start")).json["state"] == "STARTED"
    assert await replicas(kube, space) == [2, 2, 2]


@pytest.mark.parametrize("action", ["stop", "start"])
async def test_an_answer_is_lost_in_between(
    api: Api, relayed: Api, relay: Relay, kube: Kube, space: str, app: str, action: str
) -> None:
    if action == "start":
        await act(api, app, "stop")

    async def after(request: web.Request, _: int) -> None:
        if is_patch_of("web")(request):
            raise BreakOff

    relay.after = after
    detail = assert_cf_error(await act(relayed, app, action), 503, 10015, "CF-ServiceUnavailable")
    assert "Changed: clock. Maybe changed: web. Not changed: worker." in detail
    relay.after = None
    assert (await act(relayed, app, action)).status == 200
    assert (await act(relayed, app, "start")).json["state"] == "STARTED"
    assert await replicas(kube, space) == [2, 2, 2]


async def test_another_replica_completes_what_one_that_died_has_begun(
    api: Api, relayed: Api, relay: Relay, kube: Kube, space: str, app: str
) -> None:
    stuck = asyncio.Event()

    async def before(request: web.Request) -> None:
        if is_patch_of("web")(request):
            stuck.set()
            await asyncio.sleep(60)

    relay.before = before
    dying = asyncio.create_task(act(relayed, app, "stop"))
    await asyncio.wait_for(stuck.wait(), 10)
    dying.cancel()
    assert await replicas(kube, space) == [0, 2, 2]
    assert (await act(api, app, "stop")).json["state"] == "STOPPED"
    assert (await act(api, app, "start")).json["state"] == "STARTED"
    assert await replicas(kube, space) == [2, 2, 2]
    await asyncio.gather(dying, return_exceptions=True)


async def test_the_service_is_killed_in_between(
    api: Api, relay: Relay, kube: Kube, space: str, settings: Settings, operator_token: str, app: str, tmp_path: Path
) -> None:
    async with killable(relay.kubeconfig, settings, tmp_path) as service:

        async def before(request: web.Request) -> None:
            if is_patch_of("web")(request):
                service.kill()

        relay.before = before
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {operator_token}"}) as session:
            with pytest.raises(aiohttp.ClientError):
                await session.post(f"{service.url}/v3/apps/{app}/actions/stop")
        await service.killed()
    assert await replicas(kube, space) == [0, 2, 2]
    assert (await act(api, app, "stop")).json["state"] == "STOPPED"
    assert (await act(api, app, "start")).json["state"] == "STARTED"
    assert await replicas(kube, space) == [2, 2, 2]


async def test_a_policy_refuses_one_of_them(api: Api, kube: Kube, space: str, app: str) -> None:
    rule = {"expression": "object.metadata.name != 'web' || object.spec.replicas != 0", "message": "web is to run"}
    async with refusing(kube, space, DEPLOYMENTS, rule):

        async def refused() -> Reply | None:
            reply = await act(api, app, "stop")
            if reply.status == 422:
                return reply
            await act(api, app, "start")
            return None

        reply = await eventually(refused)
        detail = assert_cf_error(reply, 422, 10008, "CF-UnprocessableEntity")
        assert "web is to run" in detail
        assert "Changed: clock. Not changed: web, worker." in detail
        assert await replicas(kube, space) == [0, 2, 2]
    assert (await act(api, app, "start")).json["state"] == "STARTED"
    assert await replicas(kube, space) == [2, 2, 2]


async def test_what_comes_in_between_is_looked_at_anew(
    api: Api, relayed: Api, relay: Relay, kube: Kube, space: str, app: str
) -> None:
    """Each Deployment is scaled after it was read and before it is stopped: the number that it had then is kept."""

    async def before(request: web.Request) -> None:
        name = request.path.rpartition("/")[2]
        if request.method == "PATCH" and name not in seen:
            seen.add(name)
            await kube.patch(space, name, {"spec": {"replicas": 5}})

    seen: set[str] = set()
    relay.before = before
    assert (await act(relayed, app, "stop")).json["state"] == "STOPPED"
    relay.before = None
    for name in TYPES:
        assert (await kube.get(space, name))["metadata"]["annotations"][KEYS.stopped_instances] == "5"
    assert (await act(api, app, "start")).status == 200
    assert await replicas(kube, space) == [5, 5, 5]


async def test_one_is_deleted_in_between(relayed: Api, relay: Relay, kube: Kube, space: str, app: str) -> None:
    async def before(request: web.Request) -> None:
        if is_patch_of("web")(request):
            await kube.delete(space, "web")

    relay.before = before
    reply = await act(relayed, app, "stop")
    relay.before = None
    detail = assert_cf_error(reply, 404, 10010, "CF-ResourceNotFound")
    assert "Changed: clock. Not changed: web, worker." in detail

    async def completed() -> bool:
        return (await act(relayed, app, "stop")).status == 200

    await eventually(completed)
    assert [(await kube.get(space, name))["spec"]["replicas"] for name in ("clock", "worker")] == [0, 0]


async def test_a_scale_and_a_stop_at_once_lose_no_number(api: Api, kube: Kube, space: str, app: str) -> None:
    """Whichever comes first: the app is stopped, and has the number of the scale once it is started."""
    for number in range(3, 9):
        path = f"/v3/apps/{app}/processes/web/actions/scale"
        done: Any = await asyncio.gather(act(api, app, "stop"), api.post(path, {"instances": number}))
        assert [reply.status for reply in done] == [200, 202]
        assert await replicas(kube, space) == [0, 0, 0]
        assert (await api.get(f"/v3/apps/{app}/processes/web")).json["instances"] == number
        assert (await act(api, app, "start")).status == 200
        assert await replicas(kube, space) == [2, number, 2]
