"""A read on one replica right after a write on another shows it, however late the watch is."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import pytest
from aiohttp import web

from service.settings import Settings
from service.store.database import connected
from tests.support.api import Api, running
from tests.support.kube import Kube, deployment, eventually
from tests.support.proxy import BreakOff, Relay


@pytest.fixture
async def reader(relay: Relay, settings: Settings, operator_token: str) -> AsyncIterator[Api]:
    """A replica whose watches may be held back; `api` is the one that writes."""
    async with running(replace(settings, kubeconfig=str(relay.kubeconfig)), token=operator_token) as served:
        yield served


@pytest.fixture
async def app(api: Api, reader: Api, kube: Kube, space: str) -> str:
    guid = str(uuid4())
    manifest = deployment("web", space, guid, replicas=2, pod_annotations={"local-stack/stop-delay-s": "10"})
    await kube.create(manifest)

    async def running_everywhere() -> bool:
        for replica in (api, reader):
            reply = await replica.get(f"/v3/apps/{guid}/processes/web/stats")
            if reply.status != 200 or [row["state"] for row in reply.json["resources"]] != ["RUNNING"] * 2:
                return False
        return True

    await eventually(running_everywhere, 20)
    return guid


async def test_many_writes_are_each_read_on_the_other_replica_at_once(api: Api, reader: Api, app: str) -> None:
    path = f"/v3/apps/{app}/processes/web"
    for turn in range(1, 25):
        writer, other = (api, reader) if turn % 2 else (reader, api)
        if turn % 3 == 0:
            assert (await writer.post(f"{path}/actions/scale", {"memory_in_mb": turn})).status == 202
            assert (await other.get(path)).json["memory_in_mb"] == turn
        elif turn % 3 == 1:
            assert (await writer.patch(path, {"metadata": {"labels": {"turn": str(turn)}}})).status == 200
            assert (await other.get(path)).json["metadata"]["labels"] == {"turn": str(turn)}
            assert await other.guids(f"/v3/processes?label_selector=turn={turn}&app_guids={app}")
        else:
            body = {
                "readiness_health_check": {"data": {"interval": turn}},
                "metadata": {"annotations": {"n": str(turn)}},
            }
            assert (await writer.patch(path, body)).status == 200
            (process,) = (await other.get(f"/v3/apps/{app}/processes")).json["resources"]
            assert process["readiness_health_check"]["data"]["interval"] == turn
            assert process["metadata"]["annotations"] == {"n": str(turn)}


@pytest.mark.parametrize("where", ["one", "list", "list of app"])
async def test_a_late_watch_is_not_waited_for_long(api: Api, relay: Relay, reader: Api, app: str, where: str) -> None:
    relay.hold("deployments")
    await api.post(f"/v3/apps/{app}/processes/web/actions/scale", {"memory_in_mb": 123})
    path = {
        "one": f"/v3/apps/{app}/processes/web",
        "list": f"/v3/processes?app_guids={app}",
        "list of app": f"/v3/apps/{app}/processes",
    }[where]
    started = asyncio.get_running_loop().time()
    reply = await reader.get(path)
    assert asyncio.get_running_loop().time() - started < 5
    assert "Warning" not in reply.headers
    process = reply.json if where == "one" else reply.json["resources"][0]
    assert process["memory_in_mb"] == 123
    # Once it has been asked for nobody waits again; and the late events undo nothing.
    started = asyncio.get_running_loop().time()
    assert (await reader.get(f"/v3/apps/{app}/processes/web")).json["memory_in_mb"] == 123
    assert asyncio.get_running_loop().time() - started < 0.5
    relay.let_go()
    for _ in range(20):
        assert (await reader.get(f"/v3/apps/{app}/processes/web")).json["memory_in_mb"] == 123
        await asyncio.sleep(0.02)


async def test_a_termination_is_read_on_the_other_replica_at_once(
    api: Api, kube: Kube, space: str, relay: Relay, reader: Api, app: str
) -> None:
    path = f"/v3/apps/{app}/processes/web"
    # What is deleted counts until it is gone: nothing takes its place.
    await kube.limit_pods(space, 2)
    assert (await api.delete(f"{path}/instances/0")).status == 204
    assert (await reader.get(f"{path}/stats")).json["resources"][0]["details"] == "The Pod is being deleted"
    relay.hold("pods")
    assert (await api.delete(f"{path}/instances/1")).status == 204
    reply = await reader.get(f"{path}/stats")
    assert [row["details"] for row in reply.json["resources"]] == ["The Pod is being deleted"] * 2
    assert "Warning" not in reply.headers
    relay.let_go()


async def test_a_pod_that_goes_at_once_is_gone_though_the_answer_came_before_the_event(
    kube: Kube, space: str, relay: Relay, reader: Api, settings: Settings
) -> None:
    guid = str(uuid4())
    manifest = deployment("nowhere", space, guid, replicas=1)
    # No kubelet has it, that it could wait for.
    manifest["spec"]["template"]["spec"]["nodeSelector"] = {"there-is": "none"}
    await kube.create(manifest)
    path = f"/v3/apps/{guid}/processes/web"

    async def numbered() -> list[str]:
        """The Pods there are, once they are numbered and nothing else is."""
        there = [pod["metadata"]["uid"] for pod in await kube.pods(space)]
        if (await reader.get(f"{path}/stats")).status != 200:
            return []
        async with connected(settings.database_url, 5) as connection:
            slots = await connection.fetchval("SELECT slots FROM process_metadata WHERE app_guid = $1", guid)
        return there if slots == there else []

    (ended,) = await eventually(numbered)
    relay.hold("pods")
    assert (await reader.delete(f"{path}/instances/0")).status == 204
    relay.let_go()
    (started,) = await eventually(numbered)
    assert started != ended


async def test_indices_of_another_replica_are_kept_while_the_watch_is_late(
    api: Api, kube: Kube, space: str, relay: Relay, reader: Api, app: str
) -> None:
    path = f"/v3/apps/{app}/processes/web/stats"
    relay.hold("pods")
    for pod in await kube.pods(space):
        await kube.annotate_pod(space, pod["metadata"]["name"], {"local-stack/stop-delay-s": None})
        await kube.delete_pod(space, pod["metadata"]["name"])

    async def renumbered() -> bool:
        alive = {p["metadata"]["uid"] for p in await kube.pods(space) if not p["metadata"].get("deletionTimestamp")}
        rows = (await api.get(path)).json["resources"]
        return {row.get("instance_guid") for row in rows} == alive and len(alive) == 2

    await eventually(renumbered, 20)
    wanted = [row["instance_guid"] for row in (await api.get(path)).json["resources"]]
    # It has heard of none of these Pods; it asks rather than calling their indices free.
    assert [row.get("instance_guid") for row in (await reader.get(path)).json["resources"]] == wanted
    assert [row["instance_guid"] for row in (await api.get(path)).json["resources"]] == wanted
    relay.let_go()

    async def caught_up() -> bool:
        found = [row.get("instance_guid") for row in (await reader.get(path)).json["resources"]]
        assert found == wanted
        report = (await reader.manage("/readyz")).json
        return bool(report["watches"]["pods"]["connected"])

    await eventually(caught_up)


@pytest.mark.parametrize("kinds", [("replicasets",), ("deployments",)], ids=str)
async def test_a_rollout_that_the_other_replica_hears_of_late_moves_no_index(
    api: Api, kube: Kube, space: str, relay: Relay, reader: Api, app: str, kinds: tuple[str, ...]
) -> None:
    path = f"/v3/apps/{app}/processes/web"
    old = [row["instance_guid"] for row in (await api.get(f"{path}/stats")).json["resources"]]
    for kind in kinds:
        relay.hold(kind)
    stuck = {"metadata": {"annotations": {"local-stack/failing-probe": "startup"}}}
    await kube.patch(space, "web", {"spec": {"template": stuck}})

    async def one_is_new() -> bool:
        rows = (await api.get(f"{path}/stats")).json["resources"]
        return sorted(row["state"] for row in rows) == ["RUNNING", "STARTING"]

    await eventually(one_is_new)
    agreed = [row["instance_guid"] for row in (await api.get(f"{path}/stats")).json["resources"]]
    # Which of two of one second is the younger, their uids decide. The other is where it was.
    assert [before == after for before, after in zip(old, agreed, strict=True)].count(True) == 1
    for _ in range(5):
        for replica in (reader, api):
            rows = (await replica.get(f"{path}/stats")).json["resources"]
            assert [row["instance_guid"] for row in rows] == agreed
    # Back to what it was: that is the newest again, and the one that is stuck is outdated.
    await kube.patch(
        space, "web", {"spec": {"template": {"metadata": {"annotations": {"local-stack/failing-probe": None}}}}}
    )

    async def back() -> bool:
        rows = (await api.get(f"{path}/stats")).json["resources"]
        return [row["instance_guid"] for row in rows] == old

    await eventually(back)
    for _ in range(5):
        for replica in (reader, api):
            rows = (await replica.get(f"{path}/stats")).json["resources"]
            assert [row["instance_guid"] for row in rows] == old
    relay.let_go()


async def test_when_nothing_helps_the_answer_says_how_old_it_is(api: Api, relay: Relay, reader: Api, app: str) -> None:
    relay.hold("deployments")

    async def refuse(request: web.Request) -> None:
        if "watch=true" not in request.raw_path:
            raise BreakOff

    relay.before = refuse
    await api.post(f"/v3/apps/{app}/processes/web/actions/scale", {"memory_in_mb": 77})
    reply = await reader.get(f"/v3/apps/{app}/processes/web")
    assert reply.status == 200
    assert reply.headers["Warning"].startswith("110 ")
    relay.before = None
    relay.let_go()


@pytest.mark.parametrize("labels", [{}, {"of": "two"}], ids=["Kubernetes alone", "both stores"])
async def test_a_change_made_of_what_the_late_watch_has_missed_is_made_anew(
    kube: Kube, space: str, relay: Relay, reader: Api, app: str, labels: dict[str, str]
) -> None:
    path = f"/v3/apps/{app}/processes/web"
    more = {"metadata": {"labels": labels}} if labels else {}
    assert (await reader.patch(path, {"command": "one"})).status == 200
    relay.hold("deployments")
    proxy = {"name": "proxy", "image": "proxy:1"}
    await kube.patch_json(space, "web", [{"op": "add", "path": "/spec/template/spec/containers/0", "value": proxy}])
    asked: list[str] = []

    async def note(request: web.Request) -> None:
        if request.path.endswith("/deployments/web"):
            asked.append(request.method)

    relay.before = note
    reply = await reader.patch(path, {"user": "1234", **more})
    assert (reply.status, reply.json["user"], reply.json["command"]) == (200, "1234", "one")
    assert reply.json["metadata"]["labels"] == labels
    # What has been added is being rolled out: there may be more turns.
    assert asked[:3] == ["PATCH", "GET", "PATCH"]
    containers = (await kube.get(space, "web"))["spec"]["template"]["spec"]["containers"]
    assert [each["name"] for each in containers] == ["proxy", "application"]
    relay.let_go()
