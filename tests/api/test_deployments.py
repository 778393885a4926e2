"""GET /v3/deployments: the newest rollout of each app, whoever has begun it, under way or done."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from service.model.guids import rollout_guid
from tests.support.api import Api, assert_cf_error
from tests.support.apps import MakeApp, Users
from tests.support.kube import Kube, eventually

Status = tuple[str, str]
Shown = Callable[[Status], Awaitable[dict[str, Any]]]

DONE, UNDER_WAY, PAUSED = ("FINALIZED", "DEPLOYED"), ("ACTIVE", "DEPLOYING"), ("ACTIVE", "PAUSED")


@pytest.fixture
async def app(make_app: MakeApp) -> str:
    return await make_app("web", "worker", replicas=1)


@pytest.fixture
def shown(api: Api, app: str) -> Shown:
    """The app's deployment, once it has that status."""

    async def once(status: Status) -> dict[str, Any]:
        found: list[dict[str, Any]] = []

        async def has_it() -> bool:
            found[:] = (await api.get(f"/v3/deployments?app_guids={app}")).json["resources"]
            return [(each["status"]["value"], each["status"]["reason"]) for each in found] == [status]

        await eventually(has_it, 20)
        return found[0]

    return once


async def test_a_rollout_is_shown_from_its_beginning_to_its_end(
    api: Api, kube: Kube, app: str, shown: Shown, space: str
) -> None:
    first = await shown(DONE)
    deployed = await kube.get(space, f"web-{app}")
    assert first["guid"] == rollout_guid(deployed["metadata"]["uid"], 1)
    assert first["created_at"] == deployed["metadata"]["creationTimestamp"]
    assert {each["type"] for each in first["new_processes"]} == {"web", "worker"}
    assert first["relationships"] == {"app": {"data": {"guid": app}}}
    assert (first["strategy"], first["options"], first["revision"]) == ("rolling", {"max_in_flight": 1}, None)
    assert "cancel" not in first["links"]
    template = {
        "spec": {"template": {"spec": {"containers": [{"name": "application", "image": "nowhere.test/new:2"}]}}}
    }
    await kube.patch(space, f"web-{app}", {"spec": {"paused": True}})
    await kube.patch(space, f"web-{app}", template)
    paused = await shown(PAUSED)
    assert (await api.get(f"/v3/apps/{app}/droplets/current")).json["image"] == "nowhere.test/new:2"
    await kube.patch(space, f"web-{app}", {"spec": {"paused": False}})
    done = await shown(DONE)
    assert done["guid"] == rollout_guid(deployed["metadata"]["uid"], 2) != first["guid"]
    assert done["created_at"] >= paused["created_at"] >= first["created_at"]
    assert (await api.get(f"/v3/deployments/{done['guid']}")).json == done
    reply = await api.get(f"/v3/deployments/{first['guid']}")
    assert_cf_error(reply, 404, 10010, "CF-ResourceNotFound", "Deployment not found")


async def test_a_rollout_that_gets_no_further_says_why(kube: Kube, app: str, shown: Shown, space: str) -> None:
    await shown(DONE)
    await kube.limit_pods(space, 0)
    patch = {"progressDeadlineSeconds": 1, "template": {"metadata": {"annotations": {"try": "again"}}}}
    await kube.patch(space, f"web-{app}", {"spec": patch})
    under_way = await shown(UNDER_WAY)
    assert under_way["links"]["cancel"]["method"] == "POST"

    async def is_stuck() -> bool:
        return "error" in (await shown(UNDER_WAY))["status"]["details"]

    await eventually(is_stuck, 20)


async def test_deployments_are_found_by_app_and_status(api: Api, app: str, shown: Shown) -> None:
    guid = (await shown(DONE))["guid"]
    path = f"/v3/deployments?app_guids={app}&order_by=-created_at&page=1&per_page=1"
    for query, expected in {
        "": [guid],
        "&status_values=ACTIVE": [],
        "&status_values=FINALIZED,ACTIVE": [guid],
        "&status_reasons=DEPLOYED": [guid],
        "&status_reasons=DEPLOYING,PAUSED": [],
        "&states=DEPLOYED": [guid],
        f"&guids={guid}": [guid],
        "&guids=other": [],
        "&label_selector=!anything": [guid],
        "&label_selector=anything": [],
        "&created_ats[gt]=2000-01-01T00:00:00Z": [guid],
        "&created_ats[lt]=2000-01-01T00:00:00Z": [],
    }.items():
        assert await api.guids(path + query) == expected, query
    everything = (await api.get("/v3/deployments?order_by=-created_at&per_page=5000")).json["resources"]
    begun = [each["created_at"] for each in everything]
    assert begun == sorted(begun, reverse=True)


async def test_only_who_sees_the_app_sees_its_deployment(api: Api, app: str, users: Users, shown: Shown) -> None:
    guid = (await shown(DONE))["guid"]
    stranger = api.as_user(users.stranger)
    assert await stranger.guids(f"/v3/deployments?app_guids={app}") == []
    hidden, absent = await stranger.get(f"/v3/deployments/{guid}"), await stranger.get("/v3/deployments/none")
    assert_cf_error(hidden, 404, 10010, "CF-ResourceNotFound", "Deployment not found")
    assert hidden.body == absent.body
    assert await api.as_user(users.viewer).guids(f"/v3/deployments?app_guids={app}") == [guid]
