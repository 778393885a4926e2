"""Whole flows of the unmodified cf CLI: what it prints is what a Cloud Foundry user expects."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from tests.clients.cf import USER, Cf, programs, require
from tests.clients.world import World, made
from tests.support.api import Api
from tests.support.kube import Kube, eventually


@pytest.fixture(scope="module", params=programs() or [""], ids=lambda program: Path(program).name or "none")
def program(request: pytest.FixtureRequest) -> str:
    return require(request.param)


@pytest.fixture(scope="module")
async def world(program: str, api: Api, kube: Kube) -> AsyncIterator[World]:
    async with made(api, kube) as there:
        yield there


async def logged_in(program: str, home: Path, who: Api, world: World) -> Cf:
    assert who.token is not None
    cf = Cf(program, home, who.token)
    await cf.ok("api", who.url)
    await cf.ok("auth", USER)
    await cf.ok("target", "-o", world.names["org_name"], "-s", world.names["space_name"])
    return cf


@pytest.fixture(scope="module")
async def cf(program: str, world: World, tmp_path_factory: pytest.TempPathFactory) -> Cf:
    """Logged in as who may do everything, in the world's space."""
    return await logged_in(program, tmp_path_factory.mktemp("home"), world.operator, world)


@pytest.fixture
def name(world: World) -> str:
    """Of the app."""
    return world.names["app_name"]


@pytest.fixture(autouse=True)
async def started(world: World) -> None:
    """Each test finds the app started, with one instance."""
    path = f"/v3/apps/{world.names['app']}"
    assert (await world.operator.post(f"{path}/actions/start")).status == 200
    assert (await world.operator.post(f"{path}/processes/web/actions/scale", {"instances": 1})).status == 202
    await instances(world, "RUNNING")


async def instances(world: World, *states: str) -> None:
    """Comes back when the web process has instances in these states."""

    async def so() -> bool:
        stats = await world.operator.get(f"/v3/processes/{world.names['process']}/stats")
        return stats.status == 200 and [row["state"] for row in stats.json["resources"]] == list(states)

    await eventually(so, 30)


async def running(cf: Cf, name: str, instances: int) -> None:
    """Comes back when `cf app` shows that all of so many instances run."""

    async def so() -> bool:
        return f"\ninstances:      {instances}/{instances}\n" in (await cf.ok("app", name)).out

    await eventually(so, 30)


async def namespace_of(kube: Kube, world: World) -> str:
    """The namespace of the world's space."""
    path = f"/api/v1/namespaces?labelSelector=cloudfoundry.org/space-name={world.names['space_name']}"
    (found,) = (await kube.request("GET", path))["items"]
    name: str = found["metadata"]["name"]
    return name


async def is_rolled_out(world: World) -> bool:
    reply = await world.operator.get(f"/v3/deployments?app_guids={world.names['app']}")
    return [each["status"]["value"] for each in reply.json["resources"]] == ["FINALIZED"]


async def test_a_person_finds_their_way_to_an_app(cf: Cf, world: World, name: str) -> None:
    names = world.names
    target = await cf.ok("target")
    assert (target.field("org"), target.field("space")) == (names["org_name"], names["space_name"])
    assert names["org_name"] in (await cf.ok("orgs")).out.splitlines()
    assert names["space_name"] in (await cf.ok("spaces")).out.splitlines()
    assert (await cf.ok("org", names["org_name"])).field("spaces") == names["space_name"]
    space = await cf.ok("space", names["space_name"])
    assert (space.field("org"), space.field("apps")) == (names["org_name"], name)
    (row,) = [row for row in (await cf.ok("apps")).table if row[0] == name]
    assert [cell.strip() for cell in row[1:]] == ["started", "web:1/1, worker:1/1", names["url"]]


async def test_an_app_is_shown_with_its_image_its_instances_its_sidecars_and_its_route(
    cf: Cf, world: World, name: str
) -> None:
    shown = await cf.ok("app", name)
    assert shown.field("name") == name
    assert shown.field("requested state") == "started"
    assert shown.field("routes") == world.names["url"]
    assert shown.field("docker image") == "registry.test/app:1"
    assert re.search(r"^type:\s+web\nsidecars:\s+proxy\ninstances:\s+1/1\n", shown.out, re.MULTILINE)
    assert re.search(r"^#0\s+running\s", shown.out, re.MULTILINE)
    assert (await cf.ok("app", "--guid", name)).out.strip() == world.names["app"]


async def test_scaling_shows_and_sets_instances_memory_disk_and_log_rate(cf: Cf, world: World, name: str) -> None:
    assert re.search(r"^memory usage:\s+64M", (await cf.ok("scale", name)).out, re.MULTILINE)
    await cf.ok("scale", name, "-i", "3")
    await instances(world, "RUNNING", "RUNNING", "RUNNING")
    shown = await cf.ok("scale", name)
    assert re.search(r"^instances:\s+3/3", shown.out, re.MULTILINE)
    assert "Active deployment" not in shown.out
    scaled = await cf.ok("scale", name, "-m", "96M", "-k", "128M", "-l", "1K", "-f")
    assert re.search(r"^memory usage:\s+96M", scaled.out, re.MULTILINE)
    process = (await world.operator.get(f"/v3/processes/{world.names['process']}")).json
    rate = process["log_rate_limit_in_bytes_per_second"]
    assert (process["instances"], process["memory_in_mb"], process["disk_in_mb"], rate) == (3, 96, 128, 1024)
    await cf.ok("scale", name, "--process", "worker", "-i", "0")


async def test_health_checks_are_shown_and_set(cf: Cf, world: World, name: str) -> None:
    await cf.ok("set-health-check", name, "http", "--endpoint", "/alive")
    shown = (await cf.ok("get-health-check", name)).out
    assert re.search(r"^web\s+http\s+/alive", shown, re.MULTILINE)
    # Neither program has a command that sets it.
    check = {"readiness_health_check": {"type": "http", "data": {"endpoint": "/ready"}}}
    assert (await world.operator.patch(f"/v3/processes/{world.names['process']}", check)).status == 200
    shown = (await cf.ok("get-readiness-health-check", name)).out
    assert re.search(r"^web\s+http\s+/ready", shown, re.MULTILINE)


async def test_an_instance_is_restarted(cf: Cf, kube: Kube, world: World, name: str) -> None:
    async def pods() -> set[str]:
        listed = (await world.operator.get(f"/v3/processes/{world.names['process']}/stats")).json["resources"]
        return {row["instance_guid"] for row in listed if row["state"] == "RUNNING"}

    before = await pods()
    await cf.ok("restart-app-instance", name, "0")

    async def replaced() -> bool:
        return len(after := await pods()) == 1 and after != before

    await eventually(replaced, 30)


async def test_an_app_is_stopped_and_started_with_the_instances_it_had(cf: Cf, world: World, name: str) -> None:
    await cf.ok("scale", name, "-i", "2")
    await cf.ok("stop", name)
    shown = await cf.ok("app", name)
    assert shown.field("requested state") == "stopped"
    (row,) = [row for row in (await cf.ok("apps")).table if row[0] == name]
    assert row[1].strip() == "stopped"
    started = await cf.ok("start", name)
    assert started.field("requested state") == "started"
    # The program waits for the first of them.
    await running(cf, name, 2)


async def test_an_app_is_restarted_at_once_and_rolling(cf: Cf, world: World, name: str) -> None:
    for how in ([], ["--strategy", "rolling"]):
        restarted = await cf.ok("restart", name, *how)
        assert restarted.field("requested state") == "started"
        await running(cf, name, 1)


async def test_a_rollout_under_way_is_shown_and_cancelled(cf: Cf, kube: Kube, world: World, name: str) -> None:
    namespace = await namespace_of(kube, world)
    image = {"name": "application", "image": "registry.test/app:2"}
    hangs = {"metadata": {"annotations": {"local-stack/waiting-reason": "ImagePullBackOff"}}}
    await kube.request(
        "PATCH",
        f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}",
        {"spec": {"template": {**hangs, "spec": {"containers": [image]}}}},
        kind="application/strategic-merge-patch+json",
    )

    async def under_way() -> bool:
        return "Active deployment with status DEPLOYING" in (await cf.ok("app", name)).out

    await eventually(under_way, 30)
    await cf.ok("cancel-deployment", name)

    async def back() -> bool:
        shown = await cf.ok("app", name)
        return shown.field("docker image") == "registry.test/app:1" and "Active deployment" not in shown.out

    await eventually(back, 30)
    said = await cf.fails("cancel-deployment", name)
    assert "No active deployment found" in said


async def test_who_waits_for_a_rollout_is_told_that_somebody_has_cancelled_it(
    program: str, cf: Cf, kube: Kube, world: World, name: str, tmp_path: Path
) -> None:
    elsewhere = await logged_in(program, tmp_path, world.operator, world)
    namespace = await namespace_of(kube, world)
    await eventually(lambda: is_rolled_out(world), 30)
    staying = [each for each in await kube.pods(namespace) if "deletionTimestamp" not in each["metadata"]]
    await kube.limit_pods(namespace, len(staying))
    waiting = asyncio.create_task(cf.fails("restart", name, "--strategy", "rolling"))

    async def under_way() -> bool:
        return "Active deployment with status DEPLOYING" in (await elsewhere.ok("app", name)).out

    await eventually(under_way, 30)
    await elsewhere.ok("cancel-deployment", name)
    assert "Deployment has been canceled" in await waiting
    await kube.request("DELETE", f"/api/v1/namespaces/{namespace}/resourcequotas/pods")


async def test_labels_are_set_shown_and_taken_away(cf: Cf, name: str) -> None:
    await cf.ok("set-label", "app", name, "tier=frontend")
    assert re.search(r"^tier\s+frontend", (await cf.ok("labels", "app", name)).out, re.MULTILINE)
    await cf.ok("unset-label", "app", name, "tier")
    assert "No labels found" in (await cf.ok("labels", "app", name)).out


async def test_the_environment_is_shown_set_and_taken_away(cf: Cf, name: str) -> None:
    assert re.search(r"^GREETING:\s+hello", (await cf.ok("env", name)).out, re.MULTILINE)
    await cf.ok("set-env", name, "COLOUR", "blue")
    assert re.search(r"^COLOUR:\s+blue", (await cf.ok("env", name)).out, re.MULTILINE)
    await cf.ok("unset-env", name, "COLOUR")
    assert "COLOUR" not in (await cf.ok("env", name)).out


async def test_lists_of_what_is_not_there_are_empty(cf: Cf, world: World, name: str) -> None:
    for command in ("events", "tasks", "packages"):
        assert re.search(r"No \w+ found", (await cf.ok(command, name)).out), command
    assert "staged" in (await cf.ok("droplets", name)).out
    assert (await cf.run("revisions", name)).status in (0, 1)
    (row,) = [row for row in (await cf.ok("routes")).table if name in row[-1]]
    assert world.names["space_name"] in row[0]


async def test_a_manifest_is_written_that_says_what_the_app_is(cf: Cf, world: World, name: str, tmp_path: Path) -> None:
    await cf.ok("create-app-manifest", name, "-p", str(tmp_path / "manifest.yml"))
    (app,) = yaml.safe_load((tmp_path / "manifest.yml").read_text())["applications"]
    assert (app["name"], app["docker"]["image"]) == (name, "registry.test/app:1")
    assert {process["type"] for process in app["processes"]} == {"web", "worker"}
    assert [route["route"] for route in app["routes"]] == [world.names["url"]]


async def test_what_is_not_there_is_said_clearly(cf: Cf, name: str, tmp_path: Path) -> None:
    for command in (("run-task", name, "--command", "true"), ("ssh", name), ("logs", name, "--recent")):
        assert re.search(r"FAILED|not|Unknown|unsupported", await cf.fails(*command)), command
    (tmp_path / "file").write_text("x")
    assert "FAILED" in await cf.fails("push", "new-app", "-p", str(tmp_path), "--no-route")


async def test_who_may_only_look_is_told_that_they_may_not_change(
    program: str, world: World, name: str, tmp_path: Path
) -> None:
    cf = await logged_in(program, tmp_path, world.viewer, world)
    assert (await cf.ok("app", name)).field("name") == name
    for command in (("stop", name), ("scale", name, "-i", "2"), ("set-env", name, "A", "b"), ("env", name)):
        said = await cf.fails(*command)
        assert "not authorized" in said.lower(), (command, said)


async def test_who_sees_nothing_finds_no_organization(program: str, world: World, tmp_path: Path) -> None:
    assert world.stranger.token is not None
    cf = Cf(program, tmp_path, world.stranger.token)
    await cf.ok("api", world.stranger.url)
    await cf.ok("auth", USER)
    said = await cf.fails("target", "-o", world.names["org_name"])
    assert f"Organization '{world.names['org_name']}' not found" in said
