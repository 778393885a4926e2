"""What other things belong to: an app, a space, an organization. Whoever asks for what it has must see it."""

from dataclasses import dataclass

from aiohttp import web

from service.access import Caller
from service.api.readable import READS
from service.freshness import Freshness
from service.model.index import APP_GUIDS, ORGANIZATION_GUIDS, SPACE_GUIDS
from service.operations.processes import APP_NOT_FOUND
from service.operations.reads import Step


@dataclass(frozen=True)
class Kind:
    """A kind of parent, and how it is known that there is one."""

    noun: str
    """With its article, as the API's document says it."""
    known_by: str
    """The plural of the resource whose items show that it is there."""
    facet: str
    """The facet that has its GUID in that resource."""
    missing: str
    """What is said where there is none, or none that the caller sees."""


APP = Kind("an app", "processes", APP_GUIDS, APP_NOT_FOUND)
SPACE = Kind("a space", "processes", SPACE_GUIDS, "Space not found")
ORGANIZATION = Kind("an organization", "processes", ORGANIZATION_GUIDS, "Organization not found")


async def require(app: web.Application, caller: Caller, kind: Kind, guid: str) -> Freshness:
    """How fresh it is that this parent is there.

    Raises ResourceNotFound where the caller sees none of this GUID, ServiceUnavailable.
    """
    _, freshness = await app[READS][kind.known_by].get(caller, (Step(kind.facet, guid, kind.missing),))
    return freshness
