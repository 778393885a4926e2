"""Apps of a test's own, and the two addresses of a process."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

import pytest

from service.model.derive import process_guid
from tests.support.api import Api
from tests.support.kube import Kube, deployment, eventually

Address = Literal["by guid", "by app and type"]

MakeApp = Callable[..., Awaitable[str]]
PathTo = Callable[[str, str], str]


@dataclass
class Users:
    """Tokens of people with different rights; the `api` fixture's own user may do everything everywhere."""

    operator: str
    """May do everything in the test's own space."""
    viewer: str
    """May read the test's own space."""
    stranger: str
    """May read another space."""
    nobody: str
    """Is known to the cluster and may do nothing."""


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
        return lambda app_guid, process_type: f"/v3/processes/{process_guid(app_guid, process_type)}"
    return lambda app_guid, process_type: f"/v3/apps/{app_guid}/processes/{process_type}"


@pytest.fixture(params=["all processes", "processes of an app"])
def list_path(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """The path of a list that holds an app's processes, at either address, with the query begun."""
    if request.param == "all processes":
        return lambda app_guid: f"/v3/processes?app_guids={app_guid}"
    return lambda app_guid: f"/v3/apps/{app_guid}/processes?"
