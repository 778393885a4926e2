"""DELETE …/instances/{index}, at both addresses."""

from dataclasses import replace

import pytest

from service.settings import Settings
from tests.api.test_process_stats import DOWN_KEYS, rows_of
from tests.support.api import Api, assert_cf_error, running
from tests.support.apps import MakeApp, PathTo, Users
from tests.support.kube import Kube, eventually


async def test_exactly_that_pod_is_deleted_and_followed_by_another(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo
) -> None:
    app = await make_app("web", replicas=3)
    path = path_to(app, "web")
    before = await rows_of(api, path, "RUNNING", "RUNNING", "RUNNING")
    reply = await api.delete(f"{path}/instances/1")
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers["X-Vcap-Request-Id"]

    async def gone() -> bool:
        uids = {pod["metadata"]["uid"] for pod in await kube.pods(space)}
        assert {before[0]["instance_guid"], before[2]["instance_guid"]} <= uids
        return before[1]["instance_guid"] not in uids

    await eventually(gone)
    after = await rows_of(api, path, "RUNNING", "RUNNING", "RUNNING")
    assert [after[index] == before[index] for index in (1,)] == [False]
    for index in (0, 2):
        assert after[index]["instance_guid"] == before[index]["instance_guid"]


@pytest.mark.parametrize("state", ["DOWN", "STOPPING"])
async def test_a_pod_that_lingers_is_down_or_stopping_until_it_is_replaced(
    settings: Settings,
    operator_token: str,
    kube: Kube,
    space: str,
    make_app: MakeApp,
    path_to: PathTo,
    state: str,
) -> None:
    app = await make_app("web", replicas=1, pod_annotations={"local-stack/stop-delay-s": "60"})
    path = path_to(app, "web")
    async with running(replace(settings, instance_stopping_state=state == "STOPPING"), token=operator_token) as served:
        (before,) = await rows_of(served, path, "RUNNING")
        # It counts until it is gone: there is no room for another.
        await kube.limit_pods(space, 1)
        await served.delete(f"{path}/instances/0")
        # At once: whoever deletes reads what they did.
        (row,) = (await served.get(f"{path}/stats")).json["resources"]
        assert (row["state"], row["routable"]) == (state, False)
        if state == "STOPPING":
            assert (row["instance_guid"], row["details"]) == (before["instance_guid"], None)
        else:
            assert (list(row), row["details"]) == (DOWN_KEYS, "The Pod is being deleted")
        assert row["uptime"] <= 3
        (instance,) = (await served.get(f"{path}?embed=process_instances")).json["process_instances"]
        assert instance["state"] == state
        # Again: it is going already.
        assert (await served.delete(f"{path}/instances/0")).status == 204
        await kube.request("DELETE", f"/api/v1/namespaces/{space}/resourcequotas/pods")

        async def succeeded() -> bool:
            (row,) = (await served.get(f"{path}/stats")).json["resources"]
            return (row["state"], row.get("instance_guid") == before["instance_guid"]) == ("RUNNING", False)

        await eventually(succeeded, 20)


async def test_an_index_nothing_runs_at_is_gone_already(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo
) -> None:
    await kube.limit_pods(space, 0)
    app = await make_app("web")
    await api.post(f"{path_to(app, 'web')}/actions/scale", {"instances": 1})
    assert (await api.delete(f"{path_to(app, 'web')}/instances/0")).status == 204


@pytest.mark.parametrize(
    "index", ["1", "-1", "+1", "abc", "1.0", "0x0", "1_0", "%20", "%D9%A0", "9" * 400, str(10**30), "00000000000"]
)
async def test_what_is_no_index_is_not_found(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo, index: str
) -> None:
    app = await make_app("web", replicas=1)
    await rows_of(api, path_to(app, "web"), "RUNNING")
    reply = await api.delete(f"{path_to(app, 'web')}/instances/{index}")
    assert_cf_error(reply, 404, 10010, "CF-ResourceNotFound", "Instance not found")
    assert len(await kube.pods(space)) == 1


async def test_unknown_process_is_not_found(api: Api, make_app: MakeApp) -> None:
    app = await make_app("web")
    for path, detail in (
        ("/v3/processes/nope", "Process not found"),
        ("/v3/apps/nope/processes/web", "App not found"),
        (f"/v3/apps/{app}/processes/worker", "Process not found"),
        (f"/v3/apps/{app}/processes/web", "Instance not found"),
    ):
        reply = await api.delete(f"{path}/instances/0")
        assert_cf_error(reply, 404, 10010, "CF-ResourceNotFound", detail)


async def test_rights_decide(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo, users: Users
) -> None:
    app = await make_app("web", replicas=1)
    path = path_to(app, "web")
    await rows_of(api, path, "RUNNING")
    before = [pod["metadata"]["uid"] for pod in await kube.pods(space)]
    assert_cf_error(await api.as_user(users.viewer).delete(f"{path}/instances/0"), 403, 10003, "CF-NotAuthorized")
    not_found = await api.as_user(users.stranger).delete(f"{path}/instances/0")
    assert_cf_error(not_found, 404, 10010, "CF-ResourceNotFound")
    assert_cf_error(await api.as_user(users.nobody).delete(f"{path}/instances/0"), 403, 10003, "CF-NotAuthorized")
    assert_cf_error(await api.as_user(None).delete(f"{path}/instances/0"), 401, 10002, "CF-NotAuthenticated")
    assert [pod["metadata"]["uid"] for pod in await kube.pods(space)] == before
    assert (await api.as_user(users.operator).delete(f"{path}/instances/0")).status == 204


async def test_query_parameters_are_passed_over(api: Api, make_app: MakeApp, path_to: PathTo) -> None:
    app = await make_app("web", replicas=1)
    assert (await api.delete(f"{path_to(app, 'web')}/instances/0?x=y")).status == 204
