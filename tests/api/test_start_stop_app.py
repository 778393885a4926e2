"""POST /v3/apps/{guid}/actions/start and …/stop."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from service.settings import Settings
from tests.support.api import Api, Reply, assert_cf_error, running
from tests.support.apps import MakeApp, Users
from tests.support.kube import KEYS, Kube, deployment, eventually
from tests.support.logs import logged

ACTIONS = ("start", "stop", "restart")


async def act(api: Api, app: str, action: str) -> dict[str, Any]:
    reply = await api.post(f"/v3/apps/{app}/actions/{action}")
    assert reply.status == 200, reply.body
    shown: dict[str, Any] = reply.json
    assert shown["guid"] == app
    return shown


async def seen(api: Api, app: str, process_type: str = "web") -> tuple[str, int, list[str]]:
    """The app's state, and a process's number of instances and what their statistics say of each."""
    state = (await api.get(f"/v3/apps/{app}")).json["state"]
    process = f"/v3/apps/{app}/processes/{process_type}"
    stats = (await api.get(f"{process}/stats")).json["resources"]
    return state, (await api.get(process)).json["instances"], [row["state"] for row in stats]


async def said(kube: Kube, space: str, app: str, process_type: str = "web") -> tuple[int, dict[str, str]]:
    """A Deployment's replicas, and what its annotations say of them."""
    found = await kube.get(space, f"{process_type}-{app}")
    annotations = found["metadata"]["annotations"]
    keys = (KEYS.stopped_instances, KEYS.scaled_to_zero)
    return found["spec"]["replicas"], {key: annotations[key] for key in keys if key in annotations}


async def runs(api: Api, app: str, instances: int) -> None:
    async def so() -> bool:
        return await seen(api, app) == ("STARTED", instances, ["RUNNING"] * instances)

    await eventually(so)


async def test_a_stopped_app_keeps_its_number_and_has_it_again(
    api: Api, kube: Kube, space: str, make_app: MakeApp
) -> None:
    app = await make_app("web", replicas=3)
    await runs(api, app, 3)
    assert (await act(api, app, "stop"))["state"] == "STOPPED"
    assert await said(kube, space, app) == (0, {KEYS.stopped_instances: "3"})

    async def down() -> bool:
        return await seen(api, app) == ("STOPPED", 3, ["DOWN"] * 3)

    await eventually(down)
    row = (await api.get(f"/v3/apps/{app}/processes/web/stats")).json["resources"][2]
    assert row.keys() == {"type", "index", "state", "routable", "uptime", "isolation_segment", "details"}
    assert (await act(api, app, "start"))["state"] == "STARTED"
    assert await said(kube, space, app) == (3, {})
    await runs(api, app, 3)


async def test_answers_with_the_app_as_it_reads(api: Api, make_app: MakeApp) -> None:
    app = await make_app("web", replicas=1)
    for action in ("stop", "start"):
        shown = await act(api, app, action)
        assert shown == (await api.get(f"/v3/apps/{app}")).json


async def test_scale_of_a_stopped_app_is_what_it_will_have(api: Api, kube: Kube, space: str, make_app: MakeApp) -> None:
    app = await make_app("web", replicas=1)
    await act(api, app, "stop")
    for instances in (4, 2):
        reply = await api.post(f"/v3/apps/{app}/processes/web/actions/scale", {"instances": instances})
        assert (reply.status, reply.json["instances"]) == (202, instances)
        assert await said(kube, space, app) == (0, {KEYS.stopped_instances: str(instances)})
        assert (await api.get(f"/v3/apps/{app}")).json["state"] == "STOPPED"
    await act(api, app, "start")
    await runs(api, app, 2)


async def test_scaled_to_zero_is_started_and_stays_at_zero_through_stop_and_start(
    api: Api, kube: Kube, space: str, make_app: MakeApp
) -> None:
    app = await make_app("web", replicas=1)
    await api.post(f"/v3/apps/{app}/processes/web/actions/scale", {"instances": 0})
    assert (await seen(api, app), await said(kube, space, app)) == (
        ("STARTED", 0, []),
        (0, {KEYS.scaled_to_zero: "true"}),
    )
    await act(api, app, "stop")
    assert (await seen(api, app), await said(kube, space, app)) == (
        ("STOPPED", 0, []),
        (0, {KEYS.stopped_instances: "0"}),
    )
    await act(api, app, "start")
    assert (await seen(api, app), await said(kube, space, app)) == (
        ("STARTED", 0, []),
        (0, {KEYS.scaled_to_zero: "true"}),
    )


async def test_what_kubectl_has_scaled_to_zero_is_stopped_and_starts_with_one(
    api: Api, kube: Kube, space: str, make_app: MakeApp
) -> None:
    app = await make_app("web")
    assert await seen(api, app) == ("STOPPED", 0, [])
    assert (await act(api, app, "stop"))["state"] == "STOPPED"
    assert await said(kube, space, app) == (0, {})
    await act(api, app, "start")
    assert await said(kube, space, app) == (1, {})


@pytest.mark.parametrize("edited", ["many", "-3", "99999999999999999999", "2147483648", "", "3.0"])
async def test_an_annotation_that_somebody_has_spoilt_is_none(
    api: Api, kube: Kube, space: str, make_app: MakeApp, edited: str
) -> None:
    app = await make_app("web", replicas=2)
    await act(api, app, "stop")
    await kube.patch(space, f"web-{app}", {"metadata": {"annotations": {KEYS.stopped_instances: edited}}})

    async def noticed() -> bool:
        return await seen(api, app) == ("STOPPED", 0, [])

    await eventually(noticed)
    await act(api, app, "start")
    assert await said(kube, space, app) == (1, {})


async def test_what_sets_replicas_again_starts_it_and_the_next_write_tidies_up(
    api: Api, kube: Kube, space: str, make_app: MakeApp
) -> None:
    # As a GitOps tool does, which knows nothing of our annotation.
    app = await make_app("web", replicas=3)
    await act(api, app, "stop")
    await kube.patch(space, f"web-{app}", {"spec": {"replicas": 2}})
    await runs(api, app, 2)
    assert await said(kube, space, app) == (2, {KEYS.stopped_instances: "3"})
    assert (await api.patch(f"/v3/apps/{app}/processes/web", {"user": "2000"})).status == 200
    assert await said(kube, space, app) == (2, {})


async def test_all_processes_stop_and_start_each_with_its_own_number(
    api: Api, kube: Kube, space: str, make_app: MakeApp
) -> None:
    app = await make_app("web", "worker", "clock", replicas=1)
    await api.post(f"/v3/apps/{app}/processes/worker/actions/scale", {"instances": 3})
    await kube.patch(space, f"clock-{app}", {"spec": {"replicas": 0}})

    async def noticed() -> bool:
        return bool((await seen(api, app, "clock"))[1] == 0)

    await eventually(noticed)
    assert (await act(api, app, "stop"))["state"] == "STOPPED"
    numbers = {"web": "1", "worker": "3", "clock": "0"}
    for process_type, number in numbers.items():
        assert await said(kube, space, app, process_type) == (0, {KEYS.stopped_instances: number})
    assert (await act(api, app, "start"))["state"] == "STARTED"
    for process_type, number in numbers.items():
        assert (await said(kube, space, app, process_type))[0] == int(number)


async def test_an_app_is_started_if_any_process_is(api: Api, kube: Kube, space: str, make_app: MakeApp) -> None:
    app = await make_app("web", "worker", replicas=1)
    await act(api, app, "stop")
    await kube.patch(space, f"worker-{app}", {"spec": {"replicas": 1}})

    async def started() -> bool:
        return bool((await api.get(f"/v3/apps/{app}")).json["state"] == "STARTED")

    await eventually(started)
    assert (await act(api, app, "stop"))["state"] == "STOPPED"


@pytest.mark.parametrize("action", ["start", "stop"])
async def test_once_more_changes_nothing(api: Api, kube: Kube, space: str, make_app: MakeApp, action: str) -> None:
    app = await make_app("web", "worker", replicas=1)
    first = await act(api, app, action)
    before = [await kube.intent(space, f"{each}-{app}") for each in ("web", "worker")]
    again = await act(api, app, action)
    assert again["state"] == first["state"]
    assert [await kube.intent(space, f"{each}-{app}") for each in ("web", "worker")] == before


async def test_every_replica_shows_it_at_the_next_read(
    api: Api, settings: Settings, operator_token: str, make_app: MakeApp
) -> None:
    app = await make_app("web", "worker", replicas=1)
    async with running(settings, token=operator_token) as other:
        for action, state in (("stop", "STOPPED"), ("start", "STARTED")) * 4:
            await act(api, app, action)
            shown = (await other.get(f"/v3/apps/{app}")).json["state"]
            processes = (await other.get(f"/v3/apps/{app}/processes")).json["resources"]
            assert (shown, [each["instances"] for each in processes]) == (state, [1, 1])


async def test_several_at_once_end_in_one_state_with_the_number_kept(
    api: Api, kube: Kube, space: str, make_app: MakeApp
) -> None:
    app = await make_app("web", "worker", replicas=2)
    replies = await asyncio.gather(
        *(api.post(f"/v3/apps/{app}/actions/{action}") for action in ("stop", "start", "stop", "stop", "start"))
    )
    assert [reply.status for reply in replies] == [200] * 5
    await act(api, app, "start")
    for process_type in ("web", "worker"):
        assert await said(kube, space, app, process_type) == (2, {})


async def test_stop_while_a_rollout_is_under_way(api: Api, kube: Kube, space: str, make_app: MakeApp) -> None:
    app = await make_app("web", replicas=2)
    await runs(api, app, 2)
    stuck = {"spec": {"template": {"spec": {"nodeSelector": {"nowhere": "at-all"}}}}}
    await kube.patch(space, f"web-{app}", stuck)
    await act(api, app, "stop")

    async def down() -> bool:
        return await seen(api, app) == ("STOPPED", 2, ["DOWN"] * 2)

    await eventually(down)
    await act(api, app, "start")
    assert await said(kube, space, app) == (2, {})


@pytest.mark.parametrize("action", ACTIONS)
async def test_who_may_not_changes_nothing(
    api: Api, kube: Kube, space: str, users: Users, make_app: MakeApp, action: str
) -> None:
    app, nowhere = await make_app("web", "worker", replicas=1), str(uuid4())
    before = [await kube.intent(space, f"{each}-{app}") for each in ("web", "worker")]

    async def ask(token: str | None, guid: str) -> Reply:
        return await api.as_user(token).post(f"/v3/apps/{guid}/actions/{action}", {"unknown": 1})

    assert_cf_error(await ask(None, app), 401, 10002, "CF-NotAuthenticated")
    assert_cf_error(await ask(users.nobody, app), 403, 10003, "CF-NotAuthorized")
    assert_cf_error(await ask(users.viewer, app), 403, 10003, "CF-NotAuthorized")
    hidden, missing = await ask(users.stranger, app), await ask(users.stranger, nowhere)
    assert_cf_error(hidden, 404, 10010, "CF-ResourceNotFound", "App not found")
    assert hidden.body == missing.body
    assert "'unknown'" in assert_cf_error(await ask(users.operator, app), 422, 10008, "CF-UnprocessableEntity")
    assert [await kube.intent(space, f"{each}-{app}") for each in ("web", "worker")] == before


@pytest.mark.parametrize("action", ACTIONS)
async def test_who_may_change_one_deployment_of_two_changes_none(
    api: Api, kube: Kube, space: str, make_app: MakeApp, action: str
) -> None:
    app = await make_app("web", "worker", replicas=1)
    role = await kube.create_role(
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["patch"], "resourceNames": [f"web-{app}"]},
    )
    token = await kube.token_of_new_user(cluster_roles=("processes-api",), roles_in={space: role})
    before = [await kube.intent(space, f"{each}-{app}") for each in ("web", "worker")]
    refused = await api.as_user(token).post(f"/v3/apps/{app}/actions/{action}")
    assert_cf_error(refused, 403, 10003, "CF-NotAuthorized")
    assert [await kube.intent(space, f"{each}-{app}") for each in ("web", "worker")] == before


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_guid_of_two_namespaces_is_refused_to_who_sees_both(
    api: Api, kube: Kube, space: str, users: Users, make_app: MakeApp, action: str
) -> None:
    app, elsewhere = await make_app("web", replicas=1), await kube.create_namespace()
    await kube.create(deployment(f"web-{app}", elsewhere, app, replicas=1, annotations={"any": "one"}))

    async def both() -> bool:
        return "X-Cf-Warnings" in (await api.get(f"/v3/apps/{app}")).headers

    await eventually(both)
    before = await kube.intent(space, f"web-{app}"), await kube.intent(elsewhere, f"web-{app}")
    refused = await api.post(f"/v3/apps/{app}/actions/{action}")
    detail = assert_cf_error(refused, 422, 10008, "CF-UnprocessableEntity")
    assert all(name in detail for name in (space, elsewhere))
    assert (await kube.intent(space, f"web-{app}"), await kube.intent(elsewhere, f"web-{app}")) == before
    # Who sees one of them has the one.
    assert (await api.as_user(users.operator).post(f"/v3/apps/{app}/actions/{action}")).status == 200
    assert await kube.intent(elsewhere, f"web-{app}") == before[1]
    await kube.delete_namespace(elsewhere)


async def test_a_second_deployment_of_a_type_is_not_touched(
    api: Api, kube: Kube, space: str, make_app: MakeApp
) -> None:
    app = await make_app("web", replicas=1)
    await asyncio.sleep(1.1)  # Ages are whole seconds.
    await kube.create(deployment(f"rival-{app}", space, app, "web", replicas=1, annotations={"any": "one"}))
    before = await kube.intent(space, f"rival-{app}")

    async def conflicts() -> bool:
        return bool((await api.manage("/readyz")).json["held"]["conflicts"])

    await eventually(conflicts)
    await act(api, app, "stop")
    assert (await said(kube, space, app), await kube.intent(space, f"rival-{app}")) == (
        (0, {KEYS.stopped_instances: "1"}),
        before,
    )


async def test_an_app_of_too_many_deployments_is_left_as_it_is(
    api: Api, kube: Kube, space: str, monkeypatch: pytest.MonkeyPatch, make_app: MakeApp
) -> None:
    monkeypatch.setattr("service.operations.app_writes.MOST_DEPLOYMENTS", 2)
    app = await make_app("web", "worker", "clock", replicas=1)
    refused = await api.post(f"/v3/apps/{app}/actions/stop")
    assert "more than 2 Deployments" in assert_cf_error(refused, 422, 10008, "CF-UnprocessableEntity")
    assert [(await said(kube, space, app, each))[0] for each in ("web", "worker", "clock")] == [1, 1, 1]


async def test_in_a_namespace_that_is_being_deleted(api: Api, kube: Kube, make_app: MakeApp) -> None:
    namespace = await kube.create_namespace()
    app = await make_app("web", replicas=1, namespace=namespace)
    held = {"metadata": {"finalizers": ["tests.local/hold"]}}
    await kube.patch(namespace, f"web-{app}", held)
    await kube.delete_namespace(namespace)
    # It is there as long as anything is, and can be stopped; afterwards it is not.
    assert (await act(api, app, "stop"))["state"] == "STOPPED"
    await kube.let_go(namespace)

    async def gone() -> bool:
        return (await api.post(f"/v3/apps/{app}/actions/stop")).status == 404

    await eventually(gone)


async def test_the_audit_log_names_every_deployment(
    api: Api, make_app: MakeApp, capfd: pytest.CaptureFixture[str]
) -> None:
    app = await make_app("web", "worker", replicas=1)
    with logged(capfd) as log:
        await act(api, app, "stop")
    (line,) = log.audits
    assert (line["action"], line["outcome"], line["app_guid"]) == ("stop", "done", app)
    assert sorted(line["deployments"]) == [f"web-{app}", f"worker-{app}"]
    assert line["changes"] == ["state"]
