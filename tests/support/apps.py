"""What tests call apps of their own, people with rights, and the two addresses of a process."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

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


async def an_app(api: Api, kube: Kube, space: str, **options: Any) -> str:
    """The GUID of a new app whose web process the service shows rolled out; `options` are those of `deployment`."""
    guid = str(uuid4())
    await kube.create(deployment("web", space, guid, **options))

    async def shown() -> bool:
        reply = await api.get(f"/v3/apps/{guid}/processes/web")
        return reply.status == 200 and reply.json["version"] == "1"

    await eventually(shown)
    return guid
