"""`cloudfoundry-client` from PyPI, unchanged: it reads everything, follows links, and changes processes and apps."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, TypeVar

import pytest
from cloudfoundry_client.client import CloudFoundryClient

from tests.clients.world import COMMAND, World, made
from tests.support.api import Api
from tests.support.apps import MakeApp
from tests.support.kube import Kube, eventually, guid_of

Result = TypeVar("Result")

EMPTY = (
    *("audit_events", "buildpacks", "domains", "isolation_segments", "organization_quotas", "packages"),
    *("security_groups", "service_brokers", "service_credential_bindings", "service_instances"),
    *("service_offerings", "service_plans", "stacks", "tasks"),
)
"""Of what the client knows, what is never here."""


async def apart(work: Callable[[], Result]) -> Result:
    """The client blocks, so it works in threads."""
    return await asyncio.to_thread(work)


def _all(pages: Callable[..., Any], *arguments: str) -> list[Any]:
    return list(pages(*arguments))


async def client_of(who: Api) -> Any:
    """The client, given a token instead of a login."""

    def make() -> Any:
        made = CloudFoundryClient(who.url)
        made._access_token = who.token
        return made

    return await apart(make)


@pytest.fixture(scope="module")
async def world(api: Api, kube: Kube) -> AsyncIterator[World]:
    async with made(api, kube) as there:
        yield there


@pytest.fixture(scope="module")
async def client(world: World) -> Any:
    """As who may do everything in the world's space."""
    return await client_of(world.operator)


async def test_lists_all_pages(api: Api, make_app: MakeApp) -> None:
    client = await client_of(api)
    apps = [await make_app("web", "worker") for _ in range(3)]
    pages = await apart(lambda: [each["guid"] for each in client.v3.processes.list(app_guids=apps, per_page=2)])
    assert sorted(pages) == sorted(guid_of(app, t) for app in apps for t in ("web", "worker"))


async def test_gets_one_of_each(client: Any, world: World) -> None:
    names = world.names
    process = await apart(lambda: client.v3.processes.get(names["process"]))
    assert (process["guid"], process["type"], process["command"]) == (names["process"], "web", COMMAND)
    assert (await apart(lambda: client.v3.apps.get(names["app"])))["name"] == names["app_name"]
    assert (await apart(lambda: client.v3.spaces.get(names["space"])))["name"] == names["space_name"]
    assert (await apart(lambda: client.v3.organizations.get(names["org"])))["name"] == names["org_name"]
    assert (await apart(lambda: client.v3.routes.get(names["route"])))["url"] == names["url"]


async def test_finds_everything_by_name(client: Any, world: World) -> None:
    names = world.names
    for manager, wanted in (
        (client.v3.organizations, "org"),
        (client.v3.spaces, "space"),
        (client.v3.apps, "app"),
    ):
        found = await apart(partial(manager.get_first, names=names[f"{wanted}_name"]))
        assert found["guid"] == names[wanted]


async def test_follows_the_links_of_an_app(client: Any, world: World) -> None:
    app = await apart(lambda: client.v3.apps[world.names["app"]])
    assert (await apart(app.space))["guid"] == world.names["space"]
    assert {each["type"] for each in await apart(lambda: list(app.processes()))} == {"web", "worker"}
    assert (await apart(app.current_droplet))["state"] == "STAGED"
    space = await apart(lambda: client.v3.spaces[world.names["space"]])
    assert (await apart(space.organization))["guid"] == world.names["org"]


async def test_takes_what_comes_along(client: Any, world: World) -> None:
    (app,) = await apart(lambda: list(client.v3.apps.list(guids=world.names["app"], include="space.organization")))
    space = await apart(app.space)
    assert (space["name"], (await apart(space.organization))["name"]) == (
        world.names["space_name"],
        world.names["org_name"],
    )


async def test_reads_what_an_app_has(client: Any, world: World) -> None:
    apps, guid = client.v3.apps, world.names["app"]
    assert (await apart(lambda: apps.get_env(guid)))["environment_variables"] == {"GREETING": "hello"}
    assert world.names["url"] in await apart(lambda: apps.get_manifest(guid))
    assert [route["url"] for route in await apart(lambda: list(apps.list_routes(guid)))] == [world.names["url"]]
    (droplet,) = await apart(lambda: list(apps.list_droplets(guid)))
    assert droplet["image"] == "registry.test/app:1"
    for nothing in (apps.list_packages, apps.list_revisions, apps.list_deployed_revisions):
        assert await apart(partial(_all, nothing, guid)) == []


@pytest.mark.parametrize("manager", EMPTY)
async def test_lists_what_is_not_there(client: Any, manager: str) -> None:
    assert await apart(lambda: list(getattr(client.v3, manager).list())) == []


async def test_stops_starts_and_restarts_an_app(client: Any, world: World) -> None:
    app = await apart(lambda: client.v3.apps[world.names["app"]])
    assert (await apart(app.stop))["state"] == "STOPPED"
    assert (await apart(lambda: client.v3.apps.get(world.names["app"])))["state"] == "STOPPED"
    assert (await apart(app.start))["state"] == "STARTED"
    assert (await apart(lambda: client.v3.apps.restart(world.names["app"])))["state"] == "STARTED"

    async def running() -> bool:
        stats = await apart(lambda: client.v3.processes.get(world.names["process"], "stats"))
        return [row["state"] for row in stats["resources"]] == ["RUNNING"]

    await eventually(running, 30)


async def test_scales_and_updates_a_process(client: Any, world: World) -> None:
    processes, guid = client.v3.processes, world.names["process"]
    url = f"{world.operator.url}/v3/processes/{guid}/actions/scale"
    assert (await apart(lambda: processes._post(url, data={"instances": 2})))["instances"] == 2
    updated = await apart(lambda: processes._update(guid, {"metadata": {"labels": {"tier": "web"}}}))
    assert updated["metadata"]["labels"] == {"tier": "web"}
    assert (await apart(lambda: processes._post(url, data={"instances": 1})))["instances"] == 1


async def test_who_sees_nothing_of_it_finds_nothing(world: World) -> None:
    client = await client_of(world.stranger)
    for manager in ("apps", "processes", "routes", "droplets"):
        assert await apart(partial(_all, getattr(client.v3, manager).list)) == []
