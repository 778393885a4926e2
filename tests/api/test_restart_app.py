"""POST /v3/apps/{guid}/actions/restart, and a stop and a start in its place."""

from typing import Any

import pytest

from service.model.actions import RESTARTED_AT
from tests.api.test_start_stop_app import act, runs, said, seen
from tests.support.api import Api, assert_cf_error
from tests.support.apps import MakeApp
from tests.support.kube import KEYS, Kube, eventually

PROCESSES = ("web", "worker")


async def restarted_at(kube: Kube, space: str, app: str, process_type: str = "web") -> str | None:
    found = await kube.get(space, f"{process_type}-{app}")
    annotations: dict[str, str] = found["spec"]["template"]["metadata"].get("annotations") or {}
    return annotations.get(RESTARTED_AT)


async def uids(kube: Kube, space: str, app: str) -> set[str]:
    pods = await kube.pods(space)
    return {pod["metadata"]["uid"] for pod in pods if pod["metadata"]["labels"].get(KEYS.app_guid) == app}


async def test_a_started_app_has_other_pods_afterwards_and_is_never_without(
    api: Api, kube: Kube, space: str, make_app: MakeApp
) -> None:
    app = await make_app("web", replicas=2)
    await runs(api, app, 2)
    before = await uids(kube, space, app)
    assert (await act(api, app, "restart"))["state"] == "STARTED"

    async def renewed() -> bool:
        running = (await seen(api, app))[2].count("RUNNING")
        assert running >= 1
        return running == 2 and not await uids(kube, space, app) & before

    await eventually(renewed)
    assert await said(kube, space, app) == (2, {})


async def test_every_process_is_restarted_at_the_same_moment_and_each_restart_is_another(
    api: Api, kube: Kube, space: str, make_app: MakeApp
) -> None:
    app = await make_app(*PROCESSES, replicas=1)
    moments = []
    for _ in range(3):
        await act(api, app, "restart")
        at, other = [await restarted_at(kube, space, app, each) for each in PROCESSES]
        assert at == other
        moments.append(at)
    assert len(set(moments)) == 3
    assert None not in moments
    assert sorted(map(str, moments)) == moments


async def test_a_stopped_app_is_started(api: Api, kube: Kube, space: str, make_app: MakeApp) -> None:
    app = await make_app("web", replicas=3)
    await runs(api, app, 3)
    await act(api, app, "stop")

    async def has_stopped() -> bool:
        return not (await kube.get(space, f"web-{app}"))["status"].get("replicas")

    await eventually(has_stopped)
    assert (await act(api, app, "restart"))["state"] == "STARTED"
    assert await said(kube, space, app) == (3, {})
    assert await restarted_at(kube, space, app) is None


async def test_stop_and_start_as_the_cf_cli_restarts_end_with_the_former_numbers(
    api: Api, kube: Kube, space: str, make_app: MakeApp
) -> None:
    app = await make_app(*PROCESSES, replicas=2)
    await api.post(f"/v3/apps/{app}/processes/worker/actions/scale", {"instances": 0})
    await act(api, app, "stop")
    await act(api, app, "start")
    assert await said(kube, space, app) == (2, {})
    assert await said(kube, space, app, "worker") == (0, {KEYS.scaled_to_zero: "true"})


@pytest.mark.parametrize("paused", PROCESSES)
async def test_a_paused_deployment_keeps_all_from_being_restarted(
    api: Api, kube: Kube, space: str, make_app: MakeApp, paused: str
) -> None:
    app = await make_app(*PROCESSES, replicas=1)
    await kube.patch(space, f"{paused}-{app}", {"spec": {"paused": True}})
    before: list[Any] = [await kube.intent(space, f"{each}-{app}") for each in PROCESSES]
    refused = await api.post(f"/v3/apps/{app}/actions/restart")
    assert f"{paused}-{app} is paused" in assert_cf_error(refused, 422, 10008, "CF-UnprocessableEntity")
    assert [await kube.intent(space, f"{each}-{app}") for each in PROCESSES] == before
    # It can be stopped and started all the same.
    await act(api, app, "stop")
    await act(api, app, "start")
    assert (await said(kube, space, app, paused))[0] == 1
