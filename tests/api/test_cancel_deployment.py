"""POST /v3/deployments/{guid}/actions/cancel."""

from typing import Any
from uuid import uuid4

import pytest

from service.model.rollouts import ROLLOUT_REVISION
from tests.api.test_create_deployment import rolling
from tests.api.test_start_stop_app import runs
from tests.support.admission import refusing
from tests.support.api import Api, assert_cf_error
from tests.support.apps import MakeApp, Users
from tests.support.kube import Kube, deployment, eventually

NOWHERE = {"spec": {"template": {"spec": {"nodeSelector": {"nowhere": "at-all"}}}}}
"""What makes a rollout that never ends."""
ONE_LESS = {"maxUnavailable": 1, "maxSurge": 0}
"""One Pod goes before the next one comes."""
UPDATES = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["deployments"]}


async def template_of(kube: Kube, space: str, app: str, process_type: str = "web") -> dict[str, Any]:
    template: dict[str, Any] = (await kube.get(space, f"{process_type}-{app}"))["spec"]["template"]
    return template


async def under_way(api: Api, app: str, than: str) -> str:
    """The GUID of the deployment under way, once it is another than that."""

    async def found() -> str | None:
        resources = (await api.get(f"/v3/deployments?app_guids={app}&status_values=ACTIVE")).json["resources"]
        return next((each["guid"] for each in resources if each["guid"] != than), None)

    guid: str = await eventually(found)
    return guid


async def current(api: Api, app: str) -> str:
    (guid,) = await api.guids(f"/v3/deployments?app_guids={app}")
    return guid


async def noticed(kube: Kube, space: str, name: str) -> None:
    """Comes back when Kubernetes has looked at the last change of a Deployment."""

    async def so() -> bool:
        found = await kube.get(space, name)
        return bool(found["status"]["observedGeneration"] == found["metadata"]["generation"])

    await eventually(so)


async def over(api: Api, guid: str) -> str:
    """Why a deployment is over, once it is."""

    async def reason() -> str | None:
        reply = await api.get(f"/v3/deployments/{guid}")
        assert reply.status == 200, reply.body
        return reply.json["status"]["reason"] if reply.json["status"]["value"] == "FINALIZED" else None

    why: str = await eventually(reason)
    return why


async def cancel(api: Api, guid: str, body: Any = None) -> Any:
    return await api.post(f"/v3/deployments/{guid}/actions/cancel", body)


async def test_goes_back_to_what_was_before(api: Api, kube: Kube, space: str, make_app: MakeApp) -> None:
    app = await make_app("web", replicas=2, env=[{"name": "A", "value": "1"}], command=["run"])
    await runs(api, app, 2)
    before, first = await template_of(kube, space, app), await current(api, app)
    await kube.limit_pods(space, 2)
    stuck = {"spec": {"strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}}}
    await kube.patch(space, f"web-{app}", stuck)
    changed = await api.patch(f"/v3/apps/{app}/environment_variables", {"var": {"A": None, "B": "3"}})
    assert changed.status == 200
    assert (await cancel(api, await under_way(api, app, first))).status == 200
    assert await template_of(kube, space, app) == before
    assert (await api.get(f"/v3/apps/{app}/environment_variables")).json["var"] == {"A": "1"}


async def test_a_restart_that_does_not_get_on_is_undone_and_the_app_is_whole_again(
    api: Api, kube: Kube, space: str, make_app: MakeApp
) -> None:
    app = await make_app("web", replicas=2)
    await runs(api, app, 2)
    before, first = await template_of(kube, space, app), await current(api, app)
    await kube.patch(space, f"web-{app}", NOWHERE)
    guid = await under_way(api, app, first)
    assert (await api.get(f"/v3/deployments/{guid}")).json["links"]["cancel"]["href"].endswith(f"{guid}/actions/cancel")
    reply = await cancel(api, guid)
    assert (reply.status, reply.body) == (200, b"")
    assert await template_of(kube, space, app) == before
    await runs(api, app, 2)
    assert await over(api, guid) == "CANCELED"
    refused = await cancel(api, guid)
    assert "not under way" in assert_cf_error(refused, 422, 10008, "CF-UnprocessableEntity")
    # The next rollout is another one again, though what was cancelled is still noted.
    made = await api.post("/v3/deployments", rolling(app))
    assert made.json["guid"] != guid
    assert await over(api, made.json["guid"]) == "DEPLOYED"
    assert (await api.get(f"/v3/deployments/{guid}")).status == 404


async def test_the_way_back_is_seen_under_the_guid_of_what_is_cancelled(
    api: Api, kube: Kube, space: str, make_app: MakeApp
) -> None:
    app = await make_app("web", replicas=2)
    await kube.patch(space, f"web-{app}", {"spec": {"strategy": {"rollingUpdate": ONE_LESS}}})
    await runs(api, app, 2)
    first = await current(api, app)
    await kube.patch(space, f"web-{app}", NOWHERE)
    guid = await under_way(api, app, first)

    async def one_is_nowhere() -> bool:
        pods = await kube.pods(space)
        return [bool(each["spec"].get("nodeSelector")) for each in pods].count(True) == 1

    await eventually(one_is_nowhere)
    # The Pod that went cannot come back, and so the way takes as long as this test wishes.
    await kube.limit_pods(space, 0)
    assert (await cancel(api, guid)).status == 200

    async def is_going_back() -> bool:
        found = await kube.get(space, f"web-{app}")
        return bool(found["metadata"]["annotations"][ROLLOUT_REVISION] == "3")

    for _ in range(2):
        shown = (await api.get(f"/v3/deployments/{guid}")).json
        assert (shown["status"]["value"], shown["status"]["reason"]) == ("ACTIVE", "CANCELING")
        assert (await api.get(f"/v3/deployments?app_guids={app}")).json["resources"] == [shown]
        for query, found in {"status_reasons=CANCELING": 1, "states=CANCELING": 1, "states=DEPLOYING": 0}.items():
            assert len(await api.guids(f"/v3/deployments?app_guids={app}&{query}")) == found, query
        # To cancel it once more is to ask for what is being done.
        before = await kube.intent(space, f"web-{app}")
        assert (await cancel(api, guid)).status == 200
        assert await kube.intent(space, f"web-{app}") == before
        await eventually(is_going_back)
    await kube.request("DELETE", f"/api/v1/namespaces/{space}/resourcequotas/pods")
    assert await over(api, guid) == "CANCELED"
    assert await api.guids(f"/v3/deployments?app_guids={app}&status_values=FINALIZED&states=CANCELED") == [guid]


async def test_a_restart_at_once_after_a_cancel_is_another_deployment(
    api: Api, kube: Kube, space: str, make_app: MakeApp
) -> None:
    """Kubernetes may not have begun the way back by then, and what it begins is the restart."""
    app = await make_app("web", replicas=1)
    await runs(api, app, 1)
    first = await current(api, app)
    await kube.patch(space, f"web-{app}", NOWHERE)
    guid = await under_way(api, app, first)
    assert (await cancel(api, guid)).status == 200
    made = await api.post("/v3/deployments", rolling(app))
    assert (made.status, made.json["status"]["reason"]) == (201, "DEPLOYING")
    assert made.json["guid"] not in (first, guid)
    assert await over(api, made.json["guid"]) == "DEPLOYED"


async def test_a_large_template_is_brought_back(api: Api, kube: Kube, space: str, make_app: MakeApp) -> None:
    app = await make_app("web", env=[{"name": f"A{number}", "value": "x" * 100_000} for number in range(12)])
    await api.post(f"/v3/apps/{app}/actions/start")
    await runs(api, app, 1)
    before, first = await template_of(kube, space, app), await current(api, app)
    await kube.patch(space, f"web-{app}", NOWHERE)
    assert (await cancel(api, await under_way(api, app, first))).status == 200
    assert await template_of(kube, space, app) == before


async def test_what_is_done_is_not_cancelled(api: Api, kube: Kube, space: str, make_app: MakeApp) -> None:
    app = await make_app("web", replicas=1)
    made = await api.post("/v3/deployments", rolling(app))
    await runs(api, app, 1)

    async def finalized() -> bool:
        return bool((await api.get(f"/v3/deployments/{made.json['guid']}")).json["status"]["value"] == "FINALIZED")

    await eventually(finalized)
    before = await kube.intent(space, f"web-{app}")
    refused = await cancel(api, made.json["guid"])
    assert "not under way" in assert_cf_error(refused, 422, 10008, "CF-UnprocessableEntity")
    assert await kube.intent(space, f"web-{app}") == before


async def test_a_scale_that_is_under_way_is_no_rollout_to_be_undone(
    api: Api, kube: Kube, space: str, make_app: MakeApp
) -> None:
    app = await make_app("web", replicas=1)
    await api.post("/v3/deployments", rolling(app))
    await runs(api, app, 1)

    async def finalized() -> bool:
        return bool((await api.get(f"/v3/deployments?app_guids={app}&status_values=FINALIZED")).json["total_results"])

    await eventually(finalized)
    await kube.limit_pods(space, 1)
    await api.post(f"/v3/apps/{app}/processes/web/actions/scale", {"instances": 3})

    await noticed(kube, space, f"web-{app}")
    before = await kube.intent(space, f"web-{app}")
    assert_cf_error(await cancel(api, await current(api, app)), 422, 10008, "CF-UnprocessableEntity")
    assert await kube.intent(space, f"web-{app}") == before


async def test_what_was_before_is_not_known_any_more(api: Api, kube: Kube, space: str, make_app: MakeApp) -> None:
    app = await make_app("web", replicas=1)
    await runs(api, app, 1)
    first = await current(api, app)
    await kube.patch(space, f"web-{app}", NOWHERE)
    guid = await under_way(api, app, first)
    for each in await kube.replica_sets(space):
        if each["metadata"]["annotations"][ROLLOUT_REVISION] == "1":
            path = f"/apis/apps/v1/namespaces/{space}/replicasets/{each['metadata']['name']}"
            await kube.request(
                "PATCH",
                path,
                {"metadata": {"annotations": {ROLLOUT_REVISION: None}}},
                kind="application/merge-patch+json",
            )
    before = await kube.intent(space, f"web-{app}")
    refused = await cancel(api, guid)
    assert "nothing to go back to" in assert_cf_error(refused, 422, 10008, "CF-UnprocessableEntity")
    assert await kube.intent(space, f"web-{app}") == before


async def test_only_what_is_under_way_goes_back(api: Api, kube: Kube, space: str, make_app: MakeApp) -> None:
    app = await make_app("web", "worker", replicas=1)
    await runs(api, app, 1)
    before, first = await template_of(kube, space, app), await current(api, app)
    await kube.patch(space, f"worker-{app}", {"spec": {"template": {"metadata": {"annotations": {"a": "b"}}}}})

    async def rolled() -> bool:
        found = await kube.get(space, f"worker-{app}")
        status, meta = found["status"], found["metadata"]
        is_noticed = status["observedGeneration"] == meta["generation"]
        numbers = [status.get(each) for each in ("replicas", "updatedReplicas", "availableReplicas")]
        return is_noticed and meta["annotations"][ROLLOUT_REVISION] == "2" and numbers == [1, 1, 1]

    await eventually(rolled)
    worker = await template_of(kube, space, app, "worker")
    await kube.patch(space, f"web-{app}", NOWHERE)
    reply = await cancel(api, await under_way(api, app, first))
    assert reply.status == 200, reply.body
    assert await template_of(kube, space, app) == before
    assert await template_of(kube, space, app, "worker") == worker


async def test_a_paused_one_waits_for_who_has_paused_it(api: Api, kube: Kube, space: str, make_app: MakeApp) -> None:
    app = await make_app("web", replicas=1)
    await runs(api, app, 1)
    first = await current(api, app)
    await kube.patch(space, f"web-{app}", NOWHERE)
    guid = await under_way(api, app, first)
    await kube.patch(space, f"web-{app}", {"spec": {"paused": True}})

    await noticed(kube, space, f"web-{app}")
    before = await kube.intent(space, f"web-{app}")
    refused = await cancel(api, guid)
    assert "is paused" in assert_cf_error(refused, 422, 10008, "CF-UnprocessableEntity")
    assert await kube.intent(space, f"web-{app}") == before


async def test_who_may_not(api: Api, kube: Kube, space: str, users: Users, make_app: MakeApp) -> None:
    app = await make_app("web", replicas=1)
    await runs(api, app, 1)
    first = await current(api, app)
    await kube.patch(space, f"web-{app}", NOWHERE)
    guid = await under_way(api, app, first)
    before = await kube.intent(space, f"web-{app}")
    assert_cf_error(await cancel(api.as_user(None), guid), 401, 10002, "CF-NotAuthenticated")
    assert_cf_error(await cancel(api.as_user(users.viewer), guid, {"a": 1}), 403, 10003, "CF-NotAuthorized")
    hidden, missing = [await cancel(api.as_user(users.stranger), each) for each in (guid, str(uuid4()))]
    assert_cf_error(hidden, 404, 10010, "CF-ResourceNotFound", "Deployment not found")
    assert hidden.body == missing.body
    assert "'a'" in assert_cf_error(await cancel(api, guid, {"a": 1}), 422, 10008, "CF-UnprocessableEntity")
    # Who may not read ReplicaSets cannot be shown what was before.
    role = await kube.create_role(
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list", "patch"]}
    )
    token = await kube.token_of_new_user(cluster_roles=("processes-api",), roles_in={space: role})
    assert_cf_error(await cancel(api.as_user(token), guid), 403, 10003, "CF-NotAuthorized")
    assert await kube.intent(space, f"web-{app}") == before
    assert (await cancel(api.as_user(users.operator), guid)).status == 200


@pytest.mark.parametrize("kind", ["matchExpressions"])
async def test_finds_replica_sets_by_any_selector(api: Api, kube: Kube, space: str, kind: str) -> None:
    app = str(uuid4())
    manifest = deployment(f"web-{app}", space, app, replicas=1)
    name = manifest["spec"]["selector"].pop("matchLabels")["test"]
    manifest["spec"]["selector"][kind] = [
        {"key": "test", "operator": "In", "values": [name, "other"]},
        {"key": "test", "operator": "Exists"},
        {"key": "never", "operator": "DoesNotExist"},
        {"key": "never", "operator": "NotIn", "values": ["a", "b"]},
    ]
    await kube.create(manifest)
    await eventually(lambda: _is_there(api, app))
    await runs(api, app, 1)
    before, first = await template_of(kube, space, app), await current(api, app)
    await kube.patch(space, f"web-{app}", NOWHERE)
    assert (await cancel(api, await under_way(api, app, first))).status == 200
    assert await template_of(kube, space, app) == before


async def _is_there(api: Api, app: str) -> bool:
    return (await api.get(f"/v3/apps/{app}/processes/web")).status == 200


async def test_what_is_done_is_not_cancelled_where_kubernetes_does_not_say_how_far_it_is(
    api: Api, kube: Kube, space: str, make_app: MakeApp
) -> None:
    """A Deployment without a deadline for its progress has no such condition."""
    app = await make_app("web", replicas=1)
    await kube.patch(space, f"web-{app}", {"spec": {"progressDeadlineSeconds": (1 << 31) - 1}})
    await runs(api, app, 1)
    await api.post("/v3/deployments", rolling(app))

    async def finalized() -> bool:
        return bool((await api.get(f"/v3/deployments?app_guids={app}&status_values=FINALIZED")).json["total_results"])

    await eventually(finalized)
    conditions = (await kube.get(space, f"web-{app}"))["status"]["conditions"]
    assert "Progressing" not in {each["type"] for each in conditions}
    before = await kube.intent(space, f"web-{app}")
    refused = await cancel(api, await current(api, app))
    assert "not under way" in assert_cf_error(refused, 422, 10008, "CF-UnprocessableEntity")
    assert await kube.intent(space, f"web-{app}") == before


@pytest.mark.parametrize("refused", ["web", "worker"])
async def test_one_that_was_broken_off_is_completed_by_the_same_request(
    api: Api, kube: Kube, space: str, make_app: MakeApp, refused: str
) -> None:
    app = await make_app("clock", "web", "worker", replicas=1)
    await runs(api, app, 1)
    types = ("clock", "web", "worker")
    before, first = [await template_of(kube, space, app, each) for each in types], await current(api, app)
    for each in types:
        await kube.patch(space, f"{each}-{app}", NOWHERE)
    guid = await under_way(api, app, first)
    rule = {
        "expression": f"object.metadata.name != '{refused}-{app}' || has(object.spec.template.spec.nodeSelector)",
        "message": "not back",
    }
    async with refusing(kube, space, UPDATES, rule):
        await eventually(lambda: is_refused(kube, space, f"{refused}-{app}"))
        broken = await cancel(api, guid)
        detail = assert_cf_error(broken, 422, 10008, "CF-UnprocessableEntity")
        assert "not back" in detail
        assert "completes it" in detail

    async def done() -> bool:
        return bool((await cancel(api, guid)).status == 200)

    await eventually(done)
    assert [await template_of(kube, space, app, each) for each in types] == before


async def is_refused(kube: Kube, space: str, name: str) -> bool:
    """Whether the policy that keeps a Deployment nowhere is in force."""
    patch = {"spec": {"template": {"spec": {"nodeSelector": None}}}}
    path = f"/apis/apps/v1/namespaces/{space}/deployments/{name}?dryRun=All"
    try:
        await kube.request("PATCH", path, patch, kind="application/merge-patch+json")
    except AssertionError as error:
        return "not back" in str(error)
    return False
