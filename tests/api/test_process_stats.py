"""GET …/stats at both addresses, process_instances, and embed=process_instances."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from deploy.local.stack import Stack
from service.api.keys import INSTANCES
from service.api.resources.processes.resource import READABLE as PROCESSES
from service.http.keys import ACCESS
from service.operations.processes import by_app
from service.settings import Settings
from service.store.database import connected
from tests.support.api import Api, Reply, assert_cf_error, running
from tests.support.apps import MakeApp, PathTo, Users
from tests.support.kube import Kube, deployment, eventually, guid_of
from tests.support.metrics import scrape, start_over

DOWN_KEYS = ["type", "index", "state", "routable", "uptime", "isolation_segment", "details"]
MORE_KEYS = [
    "instance_guid",
    "host",
    "instance_internal_ip",
    "mem_quota",
    "disk_quota",
    "log_rate_limit",
    "fds_quota",
    "instance_ports",
    "usage",
]
LIMITS = {
    "limits": {"memory": "64Mi", "ephemeral-storage": "128Mi"},
    "requests": {"cpu": "100m", "memory": "64Mi", "ephemeral-storage": "128Mi"},
}

Rows = list[dict[str, Any]]


async def rows_of(api: Api, path: str, *states: str) -> Rows:
    """The rows of stats, once they are in these states."""
    found: Rows = []

    async def there() -> bool:
        nonlocal found
        reply = await api.get(f"{path}/stats")
        assert reply.status == 200, reply.body
        found = reply.json["resources"]
        return [row["state"] for row in found] == list(states)

    try:
        await eventually(there, 20)
    except AssertionError:
        raise AssertionError(f"not {states}: {found}") from None
    return found


async def test_a_page_that_was_chosen_before_a_scale_moves_no_instance(
    api: Api, kube: Kube, space: str, make_app: MakeApp
) -> None:
    app = await make_app("web", replicas=2)
    path = f"/v3/apps/{app}/processes/web"
    await rows_of(api, path, *["RUNNING"] * 2)
    caller = await api.application[ACCESS].authenticate(api.token)
    chosen, freshness = await PROCESSES.reads(api.application).get(caller, by_app(app, "web"), pods=True)
    assert (await api.post(f"{path}/actions/scale", {"instances": 4})).status == 202
    first, *others = await rows_of(api, path, *["RUNNING"] * 4)
    # An index is free below others, as a new Pod is not let in.
    quota = {"metadata": {"name": "pods"}, "spec": {"hard": {"pods": "0"}}}
    await kube.request("POST", f"/api/v1/namespaces/{space}/resourcequotas", quota)
    (ended,) = [pod for pod in await kube.pods(space) if pod["metadata"]["uid"] == first["instance_guid"]]
    await kube.delete_pod(space, ended["metadata"]["name"])
    await rows_of(api, path, "DOWN", *["RUNNING"] * 3)
    await api.application[INSTANCES].of([chosen.item], freshness)
    _, *after = await rows_of(api, path, "DOWN", *["RUNNING"] * 3)
    assert [row["instance_guid"] for row in after] == [row["instance_guid"] for row in others]


async def test_running_instances_are_described(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo
) -> None:
    app = await make_app("web", replicas=2, resources=LIMITS, ports=[{"containerPort": 8080}, {"containerPort": 9000}])
    rows = await rows_of(api, path_to(app, "web"), "RUNNING", "RUNNING")
    pods = {pod["metadata"]["uid"]: pod for pod in await kube.pods(space)}
    assert {row["instance_guid"] for row in rows} == pods.keys()
    for index, row in enumerate(rows):
        pod = pods[row["instance_guid"]]
        assert list(row) == DOWN_KEYS + MORE_KEYS
        uptime = row.pop("uptime")
        assert type(uptime) is int
        assert 0 <= uptime < 60
        assert row == {
            "type": "web",
            "index": index,
            "state": "RUNNING",
            "routable": True,
            "isolation_segment": None,
            "details": None,
            "instance_guid": pod["metadata"]["uid"],
            "host": pod["status"]["hostIP"],
            "instance_internal_ip": pod["status"]["podIP"],
            "mem_quota": 64 << 20,
            "disk_quota": 128 << 20,
            "log_rate_limit": -1,
            "fds_quota": 16384,
            "instance_ports": [
                {
                    "external": port,
                    "internal": port,
                    "external_tls_proxy_port": None,
                    "internal_tls_proxy_port": None,
                }
                for port in (8080, 9000)
            ],
            "usage": {},
        }


@pytest.mark.parametrize(
    ("annotations", "state", "routable", "details"),
    [
        ({"local-stack/failing-probe": "startup"}, "STARTING", False, None),
        ({"local-stack/failing-probe": "readiness"}, "RUNNING", False, None),
        (
            {"local-stack/waiting-reason": "ImagePullBackOff", "local-stack/waiting-message": "no such image"},
            "CRASHED",
            False,
            "ImagePullBackOff: no such image",
        ),
        (
            {"local-stack/waiting-reason": "CreateContainerConfigError", "local-stack/waiting-message": "no secret"},
            "CRASHED",
            False,
            "CreateContainerConfigError: no secret",
        ),
        ({"local-stack/waiting-reason": "ContainerCreating"}, "STARTING", False, None),
    ],
)
async def test_states_are_those_of_the_container(
    api: Api,
    make_app: MakeApp,
    path_to: PathTo,
    annotations: dict[str, str],
    state: str,
    routable: bool,
    details: str | None,
) -> None:
    app = await make_app("web", replicas=1, pod_annotations=annotations)

    async def settled() -> bool:
        (row,) = (await api.get(f"{path_to(app, 'web')}/stats")).json["resources"]
        return bool(row.get("host")) and row["state"] == state

    await eventually(settled)
    (row,) = (await api.get(f"{path_to(app, 'web')}/stats")).json["resources"]
    assert (row["routable"], row["details"]) == (routable, details)


async def test_crash_says_why_and_heals(api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo) -> None:
    app = await make_app("web", replicas=1)
    (before,) = await rows_of(api, path_to(app, "web"), "RUNNING")
    (pod,) = await kube.pods(space)
    await kube.annotate_pod(space, pod["metadata"]["name"], {"local-stack/crash-message": "out of cheese"})
    (row,) = await rows_of(api, path_to(app, "web"), "CRASHED")
    assert "CrashLoopBackOff" in row["details"]
    assert "out of cheese" in row["details"]
    assert (row["instance_guid"], row["routable"]) == (before["instance_guid"], False)
    await kube.annotate_pod(space, pod["metadata"]["name"], {"local-stack/crash-message": None})
    (row,) = await rows_of(api, path_to(app, "web"), "RUNNING")
    assert row["details"] is None


async def test_a_pod_no_node_takes_is_down_and_says_why(api: Api, make_app: MakeApp, path_to: PathTo) -> None:
    app = await make_app("web", replicas=1, resources={"requests": {"cpu": "100000"}, "limits": {"cpu": "100000"}})

    async def explained() -> bool:
        (row,) = (await api.get(f"{path_to(app, 'web')}/stats")).json["resources"]
        return row["state"] == "DOWN" and "nsufficient cpu" in (row["details"] or "")

    await eventually(explained)
    (row,) = (await api.get(f"{path_to(app, 'web')}/stats")).json["resources"]
    assert list(row) == DOWN_KEYS
    assert row["routable"] is False


async def test_pods_kubernetes_may_not_make_are_down_and_say_why(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo
) -> None:
    await kube.limit_pods(space, 1)
    app = await make_app("web")
    assert (await api.post(f"{path_to(app, 'web')}/actions/scale", {"instances": 2})).status == 202
    rows = await rows_of(api, path_to(app, "web"), "RUNNING", "DOWN")

    async def explained() -> bool:
        row = (await api.get(f"{path_to(app, 'web')}/stats")).json["resources"][1]
        return "exceeded quota" in (row["details"] or "")

    await eventually(explained)
    assert rows[1]["uptime"] == 0


async def test_no_instances_is_an_empty_list(api: Api, make_app: MakeApp, path_to: PathTo) -> None:
    app = await make_app("web")
    reply = await api.get(f"{path_to(app, 'web')}/stats")
    assert (reply.status, reply.json) == (200, {"resources": []})


async def test_thousands_of_millions_of_instances_are_not_listed_one_by_one(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo
) -> None:
    await kube.limit_pods(space, 0)
    app = await make_app("web")
    assert (await api.post(f"{path_to(app, 'web')}/actions/scale", {"instances": 2**31 - 1})).status == 202
    assert len((await api.get(f"{path_to(app, 'web')}/stats")).json["resources"]) == 5000
    assert (await api.delete(f"{path_to(app, 'web')}/instances/{2**31 - 2}")).status == 204
    assert (await api.delete(f"{path_to(app, 'web')}/instances/{2**31 - 1}")).status == 404
    await api.post(f"{path_to(app, 'web')}/actions/scale", {"instances": 0})


async def test_pods_that_do_not_carry_the_label_cannot_be_known(
    api: Api, kube: Kube, space: str, path_to: PathTo
) -> None:
    app = str(uuid4())
    manifest = deployment("plain", space, app, replicas=1)
    manifest["spec"]["template"]["metadata"]["labels"] = {"test": "plain"}
    await kube.create(manifest)

    async def shown() -> bool:
        return (await api.get(path_to(app, "web"))).status == 200

    await eventually(shown)
    reply = await api.get(f"{path_to(app, 'web')}/stats")
    detail = assert_cf_error(reply, 503, 200002, "CF-StatsUnavailable")
    assert "plain" in detail
    # What is wrong with the request itself is told first.
    odd = await api.delete(f"{path_to(app, 'web')}/instances/abc")
    assert_cf_error(odd, 404, 10010, "CF-ResourceNotFound", "Instance not found")
    asked = await api.get(f"/v3/processes/{guid_of(app, 'web')}/process_instances?x=1")
    assert_cf_error(asked, 400, 10005, "CF-BadQueryParameter")
    # A list is not broken by one of its processes.
    listed = await api.get(f"/v3/apps/{app}/processes?embed=process_instances")
    assert listed.json["resources"][0]["process_instances"] == [{"index": 0, "state": "DOWN", "since": None}]


async def test_usage_is_the_metrics_servers(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo
) -> None:
    app = await make_app(
        "web",
        replicas=1,
        resources=LIMITS,
        pod_annotations={"kwok.x-k8s.io/usage-cpu": "50m", "kwok.x-k8s.io/usage-memory": "32Mi"},
    )
    await rows_of(api, path_to(app, "web"), "RUNNING")

    async def sampled() -> dict[str, Any] | None:
        reply = await api.get(f"{path_to(app, 'web')}/stats")
        assert "X-Cf-Warnings" not in reply.headers
        usage: dict[str, Any] = reply.json["resources"][0]["usage"]
        return usage or None

    usage = await eventually(sampled, 60)
    assert list(usage) == ["time", "cpu", "cpu_entitlement", "mem", "disk", "log_rate"]
    assert usage["cpu"] == pytest.approx(0.05, rel=0.2)
    assert usage["cpu_entitlement"] == pytest.approx(usage["cpu"] / 0.1)
    assert (usage["mem"], usage["disk"], usage["log_rate"]) == (32 << 20, None, None)
    assert usage["time"].endswith("Z")
    metrics = await kube.request("GET", f"/apis/metrics.k8s.io/v1beta1/namespaces/{space}/pods")
    assert usage["time"] <= metrics["items"][0]["timestamp"]


async def test_stats_go_on_without_the_metrics_api(api: Api, stack: Stack, make_app: MakeApp, path_to: PathTo) -> None:
    app = await make_app("web", replicas=1)
    await rows_of(api, path_to(app, "web"), "RUNNING")
    stack.control_plane.stop_metrics_server()
    try:

        async def warned() -> Reply | None:
            """A sample that was taken before is shown for as long as any."""
            reply = await api.get(f"{path_to(app, 'web')}/stats")
            assert reply.status == 200
            return reply if "X-Cf-Warnings" in reply.headers else None

        reply = await eventually(warned, 5)
        assert reply.headers["X-Cf-Warnings"] == "Stats+server+temporarily+unavailable."
        assert reply.json["resources"][0]["usage"] == {}
    finally:
        stack.control_plane.start_metrics_server()


async def test_however_many_poll_stats_the_metrics_api_is_asked_once_of_a_namespace_and_interval(
    settings: Settings, operator_token: str, make_app: MakeApp, users: Users
) -> None:
    apps = [await make_app("web", replicas=2) for _ in range(2)]
    settings = replace(settings, review_ttl_s=600, usage_interval_s=2)
    async with running(settings, token=operator_token) as served:
        paths = [f"/v3/apps/{app}/processes/web" for app in apps]
        for path in paths:
            await rows_of(served, path, "RUNNING", "RUNNING")
        others = [served, served.as_user(users.operator), served.as_user(users.viewer)]

        async def poll() -> None:
            for path in paths:
                for reply in await asyncio.gather(*(who.get(f"{path}/stats") for who in others for _ in range(4))):
                    assert reply.status == 200
                await served.get(f"{path.rpartition('/')[0]}/web?embed=process_instances")

        async def asked() -> float:
            scraped = await scrape(served)
            return scraped.value("cf_processes_kube_requests_total", resource="pods.metrics.k8s.io")

        await poll()
        await start_over()
        reviewed, sampled = (await scrape(served)).asked(), await asked()
        await asyncio.sleep(2)
        for _ in range(3):
            await poll()
        assert await asked() == sampled + 1
        assert (await scrape(served)).asked() == reviewed


async def test_query_parameters_are_passed_over(api: Api, make_app: MakeApp, path_to: PathTo) -> None:
    app = await make_app("web")
    assert (await api.get(f"{path_to(app, 'web')}/stats?page=0&nonsense=1")).status == 200


async def test_instances_are_listed_with_links(api: Api, make_app: MakeApp) -> None:
    guid = guid_of(await make_app("web", replicas=1), "web")
    await rows_of(api, f"/v3/processes/{guid}", "RUNNING")
    reply = await api.get(f"/v3/processes/{guid}/process_instances")
    (instance,) = reply.json["resources"]
    assert list(instance) == ["index", "state", "since"]
    assert (instance["index"], instance["state"], type(instance["since"])) == (0, "RUNNING", int)
    assert reply.json["links"] == {
        "self": {"href": f"{api.url}/v3/processes/{guid}/process_instances", "method": "GET"},
        "process": {"href": f"{api.url}/v3/processes/{guid}", "method": "GET"},
    }
    assert_cf_error(await api.get(f"/v3/processes/{guid}/process_instances?x=1"), 400, 10005, "CF-BadQueryParameter")
    nope = await api.get("/v3/processes/nope/process_instances?x=1")
    assert_cf_error(nope, 404, 10010, "CF-ResourceNotFound", "Process not found")


async def test_embedded_instances_stand_before_the_relationships(
    api: Api, make_app: MakeApp, path_to: PathTo, list_path: Callable[[str], str]
) -> None:
    app = await make_app("web", "worker", replicas=1)
    for process_type in ("web", "worker"):
        await rows_of(api, f"/v3/apps/{app}/processes/{process_type}", "RUNNING")
    single = (await api.get(f"{path_to(app, 'web')}?embed=process_instances")).json
    listed = (await api.get(f"{list_path(app)}&embed=process_instances&per_page=1")).json
    for process in (single, *listed["resources"]):
        keys = list(process)
        assert keys[keys.index("process_instances") + 1] == "relationships"
        assert [instance["state"] for instance in process["process_instances"]] == ["RUNNING"]
    assert "embed=process_instances" in listed["pagination"]["next"]["href"]
    plain = (await api.get(list_path(app))).json["resources"][0]
    assert "process_instances" not in plain


@pytest.mark.parametrize("value", ["", "sidecars", "process_instances,process_instances", "PROCESS_INSTANCES"])
async def test_nothing_else_can_be_embedded(
    api: Api, make_app: MakeApp, path_to: PathTo, list_path: Callable[[str], str], value: str
) -> None:
    app = await make_app("web")
    for path in (f"{path_to(app, 'web')}?embed={value}", f"{list_path(app)}&embed={value}"):
        detail = assert_cf_error(await api.get(path), 400, 10005, "CF-BadQueryParameter")
        assert "'embed'" in detail


async def test_rights_decide(api: Api, make_app: MakeApp, path_to: PathTo, users: Users) -> None:
    app = await make_app("web", replicas=1)
    guid = guid_of(app, "web")
    for path in (f"{path_to(app, 'web')}/stats", f"/v3/processes/{guid}/process_instances"):
        assert (await api.as_user(users.viewer).get(path)).status == 200
        assert_cf_error(await api.as_user(users.stranger).get(path), 404, 10010, "CF-ResourceNotFound")
        assert_cf_error(await api.as_user(users.nobody).get(path), 403, 10003, "CF-NotAuthorized")
        assert_cf_error(await api.as_user(None).get(path), 401, 10002, "CF-NotAuthenticated")


async def test_a_rolling_update_ends_with_the_same_indices(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo
) -> None:
    app = await make_app("web", replicas=3)
    old = await rows_of(api, path_to(app, "web"), "RUNNING", "RUNNING", "RUNNING")
    await api.patch(path_to(app, "web"), {"command": "another"})

    async def replaced() -> bool:
        rows = (await api.get(f"{path_to(app, 'web')}/stats")).json["resources"]
        # At every moment: one row an index, whatever is going on.
        assert [row["index"] for row in rows] == [0, 1, 2]
        guids = {row.get("instance_guid") for row in rows}
        new = len(guids - {None}) == 3 and not guids & {row["instance_guid"] for row in old}
        return new and all(row["state"] == "RUNNING" for row in rows)

    await eventually(replaced, 30)
    settled = await rows_of(api, path_to(app, "web"), "RUNNING", "RUNNING", "RUNNING")

    async def all_others_are_gone() -> bool:
        alive = [pod for pod in await kube.pods(space) if not pod["metadata"].get("deletionTimestamp")]
        return {pod["metadata"]["uid"] for pod in alive} == {row["instance_guid"] for row in settled}

    # The new ones are shown as soon as there are enough of them.
    await eventually(all_others_are_gone)
    after = await rows_of(api, path_to(app, "web"), "RUNNING", "RUNNING", "RUNNING")
    assert [row["instance_guid"] for row in after] == [row["instance_guid"] for row in settled]


async def test_a_dead_pods_index_goes_to_its_successor_and_the_others_keep_theirs(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo
) -> None:
    app = await make_app("web", replicas=3)
    before = await rows_of(api, path_to(app, "web"), "RUNNING", "RUNNING", "RUNNING")
    (name,) = [
        pod["metadata"]["name"]
        for pod in await kube.pods(space)
        if pod["metadata"]["uid"] == before[1]["instance_guid"]
    ]
    await kube.delete_pod(space, name)

    async def succeeded() -> bool:
        rows = (await api.get(f"{path_to(app, 'web')}/stats")).json["resources"]
        for index in (0, 2):
            assert rows[index]["instance_guid"] == before[index]["instance_guid"]
        return (rows[1]["state"], rows[1].get("instance_guid") == before[1]["instance_guid"]) == ("RUNNING", False)

    await eventually(succeeded, 20)


async def test_replicas_asked_at_once_agree(
    api: Api, settings: Settings, operator_token: str, make_app: MakeApp
) -> None:
    async with running(settings, token=operator_token) as other:
        for _ in range(3):
            app = await make_app("web", replicas=4)
            path = f"/v3/apps/{app}/processes/web/stats"

            async def numbered(path: str = path) -> bool:
                replies = await asyncio.gather(*(one.get(path) for one in (api, other) * 4))
                found = [[row.get("instance_guid") for row in reply.json["resources"]] for reply in replies]
                for index in range(4):
                    # A replica may not have heard of the newest Pod, but none may say another.
                    assert len({row[index] for row in found} - {None}) <= 1
                return None not in found[0] and all(row == found[0] for row in found)

            await eventually(numbered, 20)
    async with connected(settings.database_url, 5) as connection:
        slots = await connection.fetchval("SELECT slots FROM process_metadata WHERE app_guid = $1", app)
        assert len(set(slots)) == 4
