"""PATCH /v3/apps/{guid}."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from service.settings import Settings
from tests.support.api import Api, assert_cf_error, running
from tests.support.apps import MakeApp, Users
from tests.support.kube import Kube, deployment, eventually

METADATA = {"labels": {"tier": "edge"}, "annotations": {"example.org/contact": "ops"}}


async def test_metadata_is_merged_and_is_the_apps_own(api: Api, kube: Kube, space: str, make_app: MakeApp) -> None:
    app = await make_app("web")
    before = await kube.intent(space, f"web-{app}")
    shown = await api.patch(f"/v3/apps/{app}", {"metadata": METADATA})
    assert (shown.status, shown.json["metadata"]) == (200, METADATA)
    assert shown.json == (await api.get(f"/v3/apps/{app}")).json
    more = {"labels": {"tier": None, "color": "red"}}
    merged = {"labels": {"color": "red"}, "annotations": METADATA["annotations"]}
    assert (await api.patch(f"/v3/apps/{app}", {"metadata": more})).json["metadata"] == merged
    assert (await api.get(f"/v3/apps/{app}")).json["metadata"] == merged
    assert await api.guids(f"/v3/apps?label_selector=color=red&guids={app}") == [app]
    assert (await api.get(f"/v3/apps/{app}/processes/web")).json["metadata"] == {"labels": {}, "annotations": {}}
    assert await kube.intent(space, f"web-{app}") == before


async def test_what_is_sent_back_as_it_reads_changes_nothing(api: Api, make_app: MakeApp) -> None:
    app = await make_app("web")
    await api.patch(f"/v3/apps/{app}", {"metadata": METADATA})
    shown = (await api.get(f"/v3/apps/{app}")).json
    sent = {key: shown[key] for key in ("name", "lifecycle", "metadata")}
    assert (await api.patch(f"/v3/apps/{app}", sent)).json == shown
    assert (await api.patch(f"/v3/apps/{app}", {})).json == shown
    assert (await api.patch(f"/v3/apps/{app}")).json == shown


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"name": "other"}, "'name' is changed"),
        ({"name": ""}, "'name' is changed"),
        ({"name": None}, "'name'"),
        ({"name": 5}, "'name'"),
        ({"lifecycle": {"type": "buildpack", "data": {"stack": "cflinuxfs4"}}}, "'lifecycle' is docker"),
        ({"lifecycle": {"type": "docker", "data": {"a": 1}}}, "'lifecycle' is docker"),
        ({"lifecycle": None}, "'lifecycle'"),
        ({"lifecycle": "docker"}, "'lifecycle'"),
        ({"metadata": {"labels": {"tier": 1}}}, "'tier'"),
        ({"metadata": {"labels": {"cloudfoundry.org/tier": "x"}}}, "cloudfoundry.org"),
        ({"environment_variables": {}}, "'environment_variables'"),
        ([], "object"),
    ],
)
async def test_the_rest_is_changed_elsewhere(api: Api, make_app: MakeApp, body: Any, named: str) -> None:
    app = await make_app("web")
    before = (await api.get(f"/v3/apps/{app}")).json
    sent = {**body, "metadata": {"labels": {"a": "b"}}} if isinstance(body, dict) and "metadata" not in body else body
    refused = await api.patch(f"/v3/apps/{app}", sent)
    assert named in assert_cf_error(refused, 422, 10008, "CF-UnprocessableEntity")
    assert (await api.get(f"/v3/apps/{app}")).json == before


async def test_has_limits_of_its_own(api: Api, make_app: MakeApp) -> None:
    app = await make_app("web")
    for kind, most, code, title in (
        ("labels", 50, 390020, "CF-LabelLimitExceeded"),
        ("annotations", 200, 390023, "CF-AnnotationLimitExceeded"),
    ):
        full = {f"k{number}": "v" for number in range(most)}
        assert (await api.patch(f"/v3/apps/{app}", {"metadata": {kind: full}})).status == 200
        refused = await api.patch(f"/v3/apps/{app}", {"metadata": {kind: {"more": "v"}}})
        assert "an app can have" in assert_cf_error(refused, 422, code, title)
        assert (await api.get(f"/v3/apps/{app}")).json["metadata"][kind] == full
    # The process has its own.
    assert (await api.patch(f"/v3/apps/{app}/processes/web", {"metadata": {"labels": {"a": "b"}}})).status == 200


async def test_writers_on_two_replicas_lose_nothing_and_each_shows_it_at_once(
    api: Api, settings: Settings, operator_token: str, make_app: MakeApp
) -> None:
    app = await make_app("web")
    async with running(settings, token=operator_token) as other:
        replicas = (api, other)

        async def write(number: int) -> None:
            body = {"metadata": {"labels": {f"k{number}": "v"}}}
            assert (await replicas[number % 2].patch(f"/v3/apps/{app}", body)).status == 200
            read = (await replicas[1 - number % 2].get(f"/v3/apps/{app}")).json
            assert f"k{number}" in read["metadata"]["labels"]

        await asyncio.gather(*(write(number) for number in range(10)))
        for replica in replicas:
            labels = (await replica.get(f"/v3/apps/{app}")).json["metadata"]["labels"]
            assert labels == {f"k{number}": "v" for number in range(10)}


async def test_one_of_many_processes_stays_what_it_is(
    api: Api, kube: Kube, space: str, monkeypatch: pytest.MonkeyPatch, make_app: MakeApp
) -> None:
    monkeypatch.setattr("service.model.app_index.SHOWN", 2)
    app = await make_app("worker", "clock", "queue")
    await asyncio.sleep(1.1)  # Kubernetes' creation times are whole seconds
    await kube.create(deployment("lead", space, app, "web"))

    async def is_shown() -> bool:
        return bool((await api.get(f"/v3/apps/{app}")).json["name"] == "lead")

    await eventually(is_shown)
    changed = await api.patch(f"/v3/apps/{app}", {"metadata": METADATA})
    assert (changed.status, changed.json["name"]) == (200, "lead")
    assert changed.json == (await api.get(f"/v3/apps/{app}")).json


async def test_only_who_may_patch_the_deployment_that_stands_for_it(
    api: Api, kube: Kube, space: str, users: Users, make_app: MakeApp
) -> None:
    app, nowhere = await make_app("web", "worker"), str(uuid4())
    body = {"metadata": {"labels": {"tier": 1}}}
    assert_cf_error(await api.as_user(None).patch(f"/v3/apps/{app}", body), 401, 10002, "CF-NotAuthenticated")
    assert_cf_error(await api.as_user(users.viewer).patch(f"/v3/apps/{app}", body), 403, 10003, "CF-NotAuthorized")
    hidden, missing = [await api.as_user(users.stranger).patch(f"/v3/apps/{guid}", body) for guid in (app, nowhere)]
    assert_cf_error(hidden, 404, 10010, "CF-ResourceNotFound", "App not found")
    assert hidden.body == missing.body
    for name, status in (("web", 200), ("worker", 403)):
        role = await kube.create_role(
            {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list"]},
            {
                "apiGroups": ["apps"],
                "resources": ["deployments"],
                "verbs": ["patch"],
                "resourceNames": [f"{name}-{app}"],
            },
        )
        token = await kube.token_of_new_user(cluster_roles=("processes-api",), roles_in={space: role})
        assert (await api.as_user(token).patch(f"/v3/apps/{app}", {"metadata": METADATA})).status == status
