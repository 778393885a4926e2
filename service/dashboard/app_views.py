"""The pages of organizations, spaces and apps that show something and change nothing."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from service.api.resources.organizations import READABLE as ORGANIZATIONS
from service.api.resources.spaces import READABLE as SPACES
from service.dashboard import text
from service.dashboard.app_contents import app_content, apps_content
from service.dashboard.frame import User, render, see
from service.dashboard.keys import OVERVIEW
from service.dashboard.offers import Offers
from service.dashboard.places import choices, names_of, place_of
from service.dashboard.query import (
    APP_LIST,
    ORGANIZATION_LIST,
    SPACE_LIST,
    ListAddress,
    Listing,
    apps_of_space,
    parse_address,
    spaces_of_organization,
    tidied,
)
from service.errors import BadQueryParameter
from service.operations.overview import Sums

Context = Mapping[str, Any]


async def list_apps(request: web.Request, user: User) -> web.StreamResponse:
    """GET /ui/apps"""
    return await _apps(request, user, APP_LIST, {"space": None, "choices": await choices(request.app, user.caller)})


async def get_space(request: web.Request, user: User) -> web.StreamResponse:
    """GET /ui/spaces/{guid}: its apps"""
    meaning, _ = await SPACES.reads(request.app).get(user.caller, SPACES.by_guid(request.match_info["guid"]))
    space = meaning.item
    place = await place_of(request.app, user.caller, space.guid, space.organization_guid)
    return await _apps(request, user, apps_of_space(space.guid), {"space": space, "place": place, "choices": ()})


async def list_spaces(request: web.Request, user: User) -> web.StreamResponse:
    """GET /ui/spaces"""
    return await _places(request, user, SPACE_LIST, {"organization": None})


async def get_organization(request: web.Request, user: User) -> web.StreamResponse:
    """GET /ui/organizations/{guid}: its spaces"""
    address = ORGANIZATIONS.by_guid(request.match_info["guid"])
    meaning, _ = await ORGANIZATIONS.reads(request.app).get(user.caller, address)
    organization = meaning.item
    return await _places(request, user, spaces_of_organization(organization.guid), {"organization": organization})


async def list_organizations(request: web.Request, user: User) -> web.StreamResponse:
    """GET /ui/organizations"""
    return await _places(request, user, ORGANIZATION_LIST, {})


async def get_app(request: web.Request, user: User) -> web.StreamResponse:
    """GET /ui/apps/{guid}"""
    guid = request.match_info["guid"]
    content = await app_content(request.app, user.caller, guid, Offers(request.app, user.caller))
    done = {"done": request.query.get("done", ""), "lagging": "lagging" in request.query}
    return await render(request, "app.html", {**content.context, **done}, user=user)


async def _apps(request: web.Request, user: User, listing: Listing, context: Context) -> web.StreamResponse:
    async def content(address: ListAddress) -> Context:
        return (await apps_content(request.app, user.caller, address)).context

    return await _list(request, user, listing, "apps.html", context, content)


async def _places(request: web.Request, user: User, listing: Listing, context: Context) -> web.StreamResponse:
    """The page of spaces or of organizations, each with what it comes to."""
    app, caller, overview = request.app, user.caller, request.app[OVERVIEW]

    async def content(address: ListAddress) -> Context:
        selection, freshness = await listing.readable.reads(app).page(caller, address.parsed.request)
        guids = {each.guid for each in selection.items}
        names: Mapping[str, str] = {}
        if listing.readable is SPACES:
            sums = await overview.of_spaces(caller, guids)
            names = await names_of(app, caller, ORGANIZATIONS, {each.organization_guid for each in selection.items})
        else:
            sums = await overview.of_organizations(caller, guids)
        return {
            "address": address,
            "numbers": address.numbers(selection.total_results),
            "total": selection.total_results,
            "rows": [(each, sums.get(each.guid) or Sums()) for each in selection.items],
            "organizations": names,
            "warnings": freshness.warnings(),
            "now": text.now(),
        }

    return await _list(request, user, listing, f"{listing.readable.plural}.html", context, content)


async def _list(
    request: web.Request,
    user: User,
    listing: Listing,
    template: str,
    context: Context,
    content: Callable[[ListAddress], Awaitable[Context]],
) -> web.StreamResponse:
    """A page of a list, or one that says what is wrong with its address."""
    query = request.raw_path.partition("?")[2]
    if (shorter := tidied(listing, query)) is not None:
        return see(listing.path + (f"?{shorter}" if shorter else ""))
    try:
        address = parse_address(listing, query)
    except BadQueryParameter as error:
        context = {**context, "address": parse_address(listing, ""), "error": error}
        return await render(request, template, context, user=user, status=error.status)
    return await render(request, template, {**context, **await content(address)}, user=user)
