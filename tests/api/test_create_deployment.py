"""POST /v3/deployments."""

from typing import Any
from uuid import uuid4

import pytest

from tests.api.test_restart_app import restarted_at
from tests.api.test_start_stop_app import act, runs, said
from tests.support.api import Api, Reply, assert_cf_error
from tests.support.apps import MakeApp, Users
from tests.support.kube import KEYS, Kube, deployment, eventually

NO_APP = "Unable to use app. Ensure that the app exists and you have access to it."


def rolling(app: str, **more: Any) -> dict[str, Any]:
    return {"relationships": {"app": {"data": {"guid": app}}}, **more}


async def done(api: Api, guid: str) -> None:
    """Wait, as the cf CLI does, until the deployment is done."""

    async def so() -> bool:
        reply = await api.get(f"/v3/deployments/{guid}")
        assert reply.status == 200, reply.body
        status = reply.json["status"]
        assert (status["value"], status["reason"]) in {("ACTIVE", "DEPLOYING"), ("FINALIZED", "DEPLOYED")}
        return bool(status["value"] == "FINALIZED")

    await eventually(so)


@pytest.mark.parametrize(
    "more",
    [{}, {"strategy": "rolling", "options": {"max_in_flight": 1}}, {"strategy": None, "droplet": None, "metadata": {}}],
)
async def test_rolls_out_every_process_and_can_be_followed_until_it_is_done(
    api: Api, kube: Kube, space: str, make_app: MakeApp, more: dict[str, Any]
) -> None:
    app = await make_app("web", "worker", replicas=2)
    await runs(api, app, 2)
    (before,) = (await api.get(f"/v3/deployments?app_guids={app}")).json["resources"]
    reply = await api.post("/v3/deployments", rolling(app, **more))
    assert reply.status == 201, reply.body
    made = reply.json
    assert made["guid"] != before["guid"]
    assert made["relationships"] == {"app": {"data": {"guid": app}}}
    assert (made["strategy"], made["status"]["value"], made["droplet"]) == ("rolling", "ACTIVE", before["droplet"])
    assert "cancel" in made["links"]
    await done(api, made["guid"])
    assert await api.guids(f"/v3/deployments?app_guids={app}") == [made["guid"]]
    moments = {await restarted_at(kube, space, app, each) for each in ("web", "worker")}
    assert len(moments) == 1
    assert None not in moments


async def test_takes_the_current_droplet_and_no_other(api: Api, kube: Kube, space: str, make_app: MakeApp) -> None:
    app = await make_app("web", replicas=1)
    current = (await api.get(f"/v3/apps/{app}/droplets/current")).json["guid"]
    assert (await api.post("/v3/deployments", rolling(app, droplet={"guid": current}))).status == 201
    before = await kube.intent(space, f"web-{app}")
    refused = await api.post("/v3/deployments", rolling(app, droplet={"guid": str(uuid4())}))
    assert "droplet" in assert_cf_error(refused, 422, 10008, "CF-UnprocessableEntity")
    assert await kube.intent(space, f"web-{app}") == before


async def test_a_stopped_app_is_started(api: Api, kube: Kube, space: str, make_app: MakeApp) -> None:
    app = await make_app("web", replicas=2)
    (before,) = await api.guids(f"/v3/deployments?app_guids={app}")
    await act(api, app, "stop")
    reply = await api.post("/v3/deployments", rolling(app))
    assert reply.status == 201
    assert reply.json["guid"] != before
    assert await said(kube, space, app) == (2, {})
    await done(api, reply.json["guid"])
    await runs(api, app, 2)


async def test_a_process_that_is_stopped_stays_so_where_the_rest_of_the_app_runs(
    api: Api, kube: Kube, space: str, make_app: MakeApp
) -> None:
    app = await make_app("web", "worker", replicas=1)
    await act(api, app, "stop")
    await kube.patch(space, f"web-{app}", {"spec": {"replicas": 1}})
    await runs(api, app, 1)
    reply = await api.post("/v3/deployments", rolling(app))
    await done(api, reply.json["guid"])
    assert await said(kube, space, app, "worker") == (0, {KEYS.stopped_instances: "1"})


@pytest.mark.parametrize("stopped", [False, True])
async def test_what_is_paused_is_not_rolled_out(
    api: Api, kube: Kube, space: str, make_app: MakeApp, *, stopped: bool
) -> None:
    app = await make_app("web", "worker", replicas=1)
    if stopped:
        await act(api, app, "stop")
    await kube.patch(space, f"worker-{app}", {"spec": {"paused": True}})
    before = [await kube.intent(space, f"{each}-{app}") for each in ("web", "worker")]
    refused = await api.post("/v3/deployments", rolling(app))
    assert "is paused" in assert_cf_error(refused, 422, 10008, "CF-UnprocessableEntity")
    assert [await kube.intent(space, f"{each}-{app}") for each in ("web", "worker")] == before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"strategy": "canary"}, "'strategy' must be rolling"),
        ({"strategy": 1}, "'strategy' must be rolling"),
        ({"options": {"max_in_flight": 0}}, "'options.max_in_flight'"),
        ({"options": {"canary": {}}}, "'options.canary'"),
        ({"droplet": {}}, "'droplet.guid'"),
        ({"revision": {"guid": "x"}}, "'revision'"),
        ({"metadata": {"labels": {"a": "b"}}}, "'metadata'"),
        ({"relationships": None}, "'relationships'"),
        ({"relationships": {}}, "'relationships.app'"),
        ({"relationships": {"app": {"data": None}}}, "'relationships.app.data'"),
        ({"relationships": {"app": {"data": {"guid": None}}}}, "'relationships.app.data.guid'"),
        ({"relationships": {"app": {"data": {"guid": 5}}}}, "'relationships.app.data.guid'"),
    ],
)
async def test_refuses_what_is_no_deployment(
    api: Api, kube: Kube, space: str, make_app: MakeApp, change: dict[str, Any], named: str
) -> None:
    app = await make_app("web", replicas=1)
    before = await kube.intent(space, f"web-{app}")
    refused = await api.post("/v3/deployments", {**rolling(app), **change})
    assert named in assert_cf_error(refused, 422, 10008, "CF-UnprocessableEntity")
    assert await kube.intent(space, f"web-{app}") == before


async def test_an_app_that_is_not_there_for_the_caller_is_refused_like_one_that_is_not(
    api: Api, kube: Kube, space: str, users: Users, make_app: MakeApp
) -> None:
    app = await make_app("web", replicas=1)
    before = await kube.intent(space, f"web-{app}")

    async def ask(token: str | None, guid: str) -> Reply:
        return await api.as_user(token).post("/v3/deployments", rolling(guid))

    assert_cf_error(await ask(None, app), 401, 10002, "CF-NotAuthenticated")
    assert_cf_error(await ask(users.viewer, app), 403, 10003, "CF-NotAuthorized")
    hidden, missing = await ask(users.stranger, app), await ask(users.stranger, str(uuid4()))
    assert_cf_error(hidden, 422, 10008, "CF-UnprocessableEntity", NO_APP)
    assert hidden.body == missing.body
    assert await kube.intent(space, f"web-{app}") == before


async def test_a_guid_of_two_namespaces_is_refused(api: Api, kube: Kube, space: str, make_app: MakeApp) -> None:
    app, elsewhere = await make_app("web", replicas=1), await kube.create_namespace()
    await kube.create(deployment(f"web-{app}", elsewhere, app, replicas=1))

    async def both() -> bool:
        return "X-Cf-Warnings" in (await api.get(f"/v3/apps/{app}")).headers

    await eventually(both)
    before = await kube.intent(space, f"web-{app}")
    detail = assert_cf_error(await api.post("/v3/deployments", rolling(app)), 422, 10008, "CF-UnprocessableEntity")
    assert all(name in detail for name in (space, elsewhere))
    assert await kube.intent(space, f"web-{app}") == before
    await kube.delete_namespace(elsewhere)
