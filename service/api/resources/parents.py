"""What other things belong to: an app, a space, an organization. Whoever asks for what it has must see it."""

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from service.access import Caller
from service.api.readable import Readable
from service.api.resources import organizations, spaces
from service.api.resources.apps import resource as apps
from service.freshness import Freshness


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of parent."""

    noun: str
    """With its article, as the API's document says it."""
    readable: Readable[Any]
    """How it is looked for."""


APP = Kind("an app", apps.READABLE)
SPACE = Kind("a space", spaces.READABLE)
ORGANIZATION = Kind("an organization", organizations.READABLE)


async def require(app: web.Application, caller: Caller, kind: Kind, guid: str) -> Freshness:
    """How fresh it is that this parent is there.

    Raises ResourceNotFound where the caller sees none of this GUID, ServiceUnavailable.
    """
    _, freshness = await kind.readable.reads(app).get(caller, kind.readable.by_guid(guid))
    return freshness
