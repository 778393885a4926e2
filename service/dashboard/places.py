"""Where an app is, by name: its space and its organization, as far as whoever looks may see them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from service.access import Caller
from service.api.readable import Readable
from service.api.resources.organizations import READABLE as ORGANIZATIONS
from service.api.resources.spaces import READABLE as SPACES
from service.model.paging import MAXIMUM_PER_PAGE, PageRequest
from service.model.selection import Filters
from service.model.shape import GUIDS
from service.model.spaces import NAME, SpacePart
from service.operations.questions import ListRequest

MOST_CHOICES = 500
"""Spaces offered in a form."""


@dataclass(frozen=True)
class Place:
    """A space and its organization. What its viewer may not list is called by its GUID."""

    space_guid: str
    space: str
    organization_guid: str
    organization: str


async def place_of(app: web.Application, caller: Caller, space_guid: str, organization_guid: str) -> Place:
    """Raises ServiceUnavailable."""
    spaces = await names_of(app, caller, SPACES, (space_guid,))
    organizations = await names_of(app, caller, ORGANIZATIONS, (organization_guid,))
    return Place(
        space_guid,
        spaces.get(space_guid, space_guid),
        organization_guid,
        organizations.get(organization_guid, organization_guid),
    )


async def names_of(
    app: web.Application, caller: Caller, readable: Readable[Any], guids: Iterable[str]
) -> Mapping[str, str]:
    """What spaces or organizations are called, by GUID, of those that the caller sees. Raises ServiceUnavailable."""
    wanted = Filters(((readable.found_by[GUIDS], frozenset(guids)),))
    request = ListRequest(wanted, page=PageRequest(per_page=MAXIMUM_PER_PAGE))
    selection, _ = await readable.reads(app).page(caller, request)
    return {each.guid: each.name for each in selection.items}


async def choices(app: web.Application, caller: Caller) -> Sequence[SpacePart]:
    """The spaces that the caller sees, by name, for a form to choose from. Raises ServiceUnavailable."""
    request = ListRequest(order=NAME, page=PageRequest(per_page=MOST_CHOICES))
    selection, _ = await SPACES.reads(app).page(caller, request)
    return selection.items
