"""What Cloud Foundry has and a cluster of Deployments does not: clients ask for it, and find that there is none.

Any query is taken: whatever is asked for, there is none of it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import orjson
from aiohttp import web

from service.api.jsonschema import NULL, obj, page_of
from service.api.operation import Documented, Operation
from service.api.pages import pagination
from service.api.reading import filled
from service.api.requests import caller_of
from service.api.resources.parents import APP, ORGANIZATION, SPACE, Kind, require
from service.errors import ResourceNotFound
from service.freshness import Freshness
from service.http.replies import answer, base_url
from service.model.paging import PageRequest


@dataclass(frozen=True)
class Absent:
    """A path at which nothing is ever found."""

    path: str
    of: Kind | None = None
    """Whose it would be: the `{guid}` of the path. None: nobody's."""


LISTS = (
    Absent("/v3/packages"),
    Absent("/v3/apps/{guid}/packages", APP),
    Absent("/v3/builds"),
    Absent("/v3/apps/{guid}/builds", APP),
    Absent("/v3/tasks"),
    Absent("/v3/apps/{guid}/tasks", APP),
    Absent("/v3/revisions"),
    Absent("/v3/apps/{guid}/revisions", APP),
    Absent("/v3/apps/{guid}/revisions/deployed", APP),
    Absent("/v3/audit_events"),
    Absent("/v3/organization_quotas"),
    Absent("/v3/space_quotas"),
    Absent("/v3/isolation_segments"),
    Absent("/v3/service_instances"),
    Absent("/v3/service_credential_bindings"),
    Absent("/v3/service_route_bindings"),
    Absent("/v3/service_offerings"),
    Absent("/v3/service_plans"),
    Absent("/v3/service_brokers"),
    Absent("/v3/feature_flags"),
    Absent("/v3/security_groups"),
    Absent("/v3/spaces/{guid}/running_security_groups", SPACE),
    Absent("/v3/spaces/{guid}/staging_security_groups", SPACE),
    Absent("/v3/domains"),
    Absent("/v3/organizations/{guid}/domains", ORGANIZATION),
    Absent("/v3/buildpacks"),
    Absent("/v3/stacks"),
)
RELATIONSHIPS = (
    Absent("/v3/organizations/{guid}/relationships/default_isolation_segment", ORGANIZATION),
    Absent("/v3/spaces/{guid}/relationships/isolation_segment", SPACE),
)
"""Each to one thing at most."""

EXAMPLE_GUID = "1cb006ee-fb05-47e1-b541-c34179ddc446"


def empty_list(url: str) -> bytes:
    """The body of a list at `url` that has nothing in it, whichever page is asked for."""
    page = pagination(0, PageRequest(), url, ())
    return orjson.dumps({**page, "resources": [], "pagination": page})


def no_relationship(_: str) -> bytes:
    """The body of a relationship to nothing."""
    return orjson.dumps({"data": None})


async def _find_nothing(absent: Absent, body: Callable[[str], bytes], request: web.Request) -> web.Response:
    caller, freshness = await caller_of(request), Freshness()
    url = base_url(request) + filled(absent.path, request.match_info)
    if absent.of is not None:
        freshness = await require(request.app, caller, absent.of, request.match_info["guid"])
    return await answer(request, body(url), freshness)


def _operation(absent: Absent, verb: str, name: str, body: Callable[[str], bytes]) -> Operation:
    handler: Callable[[web.Request], Awaitable[web.Response]] = partial(_find_nothing, absent, body)
    words = [part for part in absent.path.removeprefix("/v3/").split("/") if part != "{guid}"]
    return Operation(
        "GET",
        absent.path,
        handler,
        id=verb + "".join(word.title().replace("_", "") for word in words),
        summary=_summary(absent, words[-1].replace("_", " ")),
        tag="absent",
        answer=name,
        errors=() if absent.of is None else (ResourceNotFound,),
        example={} if absent.of is None else {"guid": EXAMPLE_GUID},
    )


def _summary(absent: Absent, noun: str) -> str:
    return f"Find no {noun}" + ("" if absent.of is None else f" of {absent.of.noun}")


RESOURCE = Documented(
    operations=(
        *(_operation(absent, "list", "EmptyList", empty_list) for absent in LISTS),
        *(_operation(absent, "get", "NoRelationship", no_relationship) for absent in RELATIONSHIPS),
    ),
    schemas={
        "Nothing": {"not": {}},
        "EmptyList": page_of("Nothing"),
        "NoRelationship": obj({"data": NULL}),
    },
    answers={
        "EmptyList": orjson.loads(empty_list("https://api.example.org/v3/packages")),
        "NoRelationship": orjson.loads(no_relationship("")),
    },
)
