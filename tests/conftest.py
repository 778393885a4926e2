"""The real parts, started once: a control plane and a Postgres. Each module gets its own service and database."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from deploy.local.stack import Stack, local_stack
from service.settings import Settings
from tests.support.api import Api, running
from tests.support.apps import MakeApp, Users
from tests.support.kube import Kube, deployment, eventually, guid_of


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with local_stack(tmp_path_factory.mktemp("stack"), nodes=2, metrics=True) as started:
        yield started


@pytest.fixture(scope="session")
def fragile_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Another stack, for tests that take parts of it away for a while: each puts back what it took."""
    with local_stack(tmp_path_factory.mktemp("fragile"), nodes=1) as started:
        yield started


@pytest.fixture(scope="session")
async def kube(stack: Stack) -> AsyncIterator[Kube]:
    client = await Kube.of(str(stack.kubeconfig))
    yield client
    await client.close()


@pytest.fixture(scope="session")
async def fragile_kube(fragile_stack: Stack) -> AsyncIterator[Kube]:
    client = await Kube.of(str(fragile_stack.kubeconfig))
    yield client
    await client.close()


@asynccontextmanager
async def new_database(server_url: str) -> AsyncIterator[str]:
    """The URL of an empty database, dropped afterwards."""
    name = f"test_{uuid4().hex[:12]}"
    await _execute(server_url, f"CREATE DATABASE {name}")
    try:
        yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    finally:
        await _execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="module")
async def database_url(stack: Stack) -> AsyncIterator[str]:
    async with new_database(stack.database_url) as url:
        yield url


@pytest.fixture(scope="module")
def settings(stack: Stack, database_url: str) -> Settings:
    """As `make run` serves, but quick to give up on what is away, and forgetful of what RBAC said."""
    return Settings(
        database_url=database_url,
        kubeconfig=str(stack.service_kubeconfig),
        port=0,
        review_ttl_s=0.2,
        usage_interval_s=0.2,
        kube_timeout_s=5,
    )


@pytest.fixture(scope="session")
async def operator_token(kube: Kube) -> str:
    """Of someone who may do everything in every space."""
    return await kube.token_of_new_user(cluster_roles=("processes-operator",))


@pytest.fixture(scope="module")
async def api(settings: Settings, operator_token: str) -> AsyncIterator[Api]:
    async with running(settings, token=operator_token) as served:
        yield served


@pytest.fixture
async def space(kube: Kube) -> AsyncIterator[str]:
    """A namespace of the test's own."""
    name = await kube.create_namespace()
    yield name
    await kube.delete_namespace(name)


@pytest.fixture
async def users(kube: Kube, space: str) -> AsyncIterator[Users]:
    other, api_role = await kube.create_namespace(), ("processes-api",)
    yield Users(
        operator=await kube.token_of_new_user(cluster_roles=api_role, roles_in={space: "processes-operator"}),
        viewer=await kube.token_of_new_user(cluster_roles=api_role, roles_in={space: "processes-reader"}),
        stranger=await kube.token_of_new_user(cluster_roles=api_role, roles_in={other: "processes-reader"}),
        nobody=await kube.token_of_new_user(),
    )
    await kube.delete_namespace(other)


@pytest.fixture
def make_app(api: Api, kube: Kube, space: str) -> MakeApp:
    """Makes an app with a process of each type given; returns its GUID once the service shows it rolled out.

    Until a Deployment is rolled out the controllers still change it, and with it the process's version.
    """

    async def make(*types: str, namespace: str | None = None, **container: Any) -> str:
        app_guid = str(uuid4())
        for process_type in types:
            await kube.create(
                deployment(f"{process_type}-{app_guid}", namespace or space, app_guid, process_type, **container)
            )

        async def shown() -> bool:
            reply = await api.get(f"/v3/apps/{app_guid}/processes")
            return reply.status == 200 and [p["version"] for p in reply.json["resources"]] == ["1"] * len(types)

        await eventually(shown)
        return app_guid

    return make


@pytest.fixture(params=["by guid", "by app and type"])
def path_to(request: pytest.FixtureRequest) -> Callable[[str, str], str]:
    """The path of a process, at either of its addresses."""
    if request.param == "by guid":
        return lambda app_guid, process_type: f"/v3/processes/{guid_of(app_guid, process_type)}"
    return lambda app_guid, process_type: f"/v3/apps/{app_guid}/processes/{process_type}"


@pytest.fixture(params=["all processes", "processes of an app"])
def list_path(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """The path of a list that holds an app's processes, at either address, with the query begun."""
    if request.param == "all processes":
        return lambda app_guid: f"/v3/processes?app_guids={app_guid}"
    return lambda app_guid: f"/v3/apps/{app_guid}/processes?"
