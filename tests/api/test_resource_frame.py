"""What any resource gets from saying what it is: shown with one that the service does not have, boxes on shelves."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from openapi_spec_validator import OpenAPIV31SpecValidator

from service.access import Unrestricted
from service.api.document import describe
from service.api.jsonschema import GUID, METADATA, TEXT, TIME, links, obj
from service.api.keys import PAGES
from service.api.pages import Pages, link
from service.api.readable import READS, Include, Parent, Readable
from service.api.reading import documented
from service.freshness import Concerned, Freshness, ReadBarrier
from service.http.keys import ACCESS, SETTINGS
from service.http.middlewares import envelop_errors, identify
from service.http.routing import add_routes
from service.model.collection import Collection
from service.model.index import Index
from service.model.selection import CREATED_AT
from service.model.shape import GUIDS, Shape
from service.model.times import SECOND, timestamp
from service.operations.questions import Step
from service.operations.reads import Reads
from service.settings import Settings

Client = TestClient[web.Request, web.Application]


@dataclass(frozen=True)
class Thing:
    guid: str
    namespace: str = "n"
    created_at: int = 0
    on: str | None = None
    """The GUID of the shelf, of a box."""
    labels: dict[str, str] = field(default_factory=dict)


SHAPE: Shape[Thing] = Shape(
    key=lambda thing: f"{thing.namespace}/{thing.guid}",
    guid=lambda thing: thing.guid,
    namespace=lambda thing: thing.namespace,
    orders={CREATED_AT: lambda thing: thing.created_at, "name": lambda thing: thing.guid},
    facets={GUIDS: lambda thing: (thing.guid,), "shelf_guids": lambda thing: (thing.on,) if thing.on else ()},
    labels=lambda thing: thing.labels,
)


def present(thing: Thing, base: str) -> dict[str, Any]:
    return {
        "guid": thing.guid,
        "created_at": timestamp(thing.created_at),
        "name": thing.guid,
        "metadata": {"labels": thing.labels, "annotations": {}},
        "links": {"self": link(f"{base}/v3/things/{thing.guid}")},
    }


SCHEMA = obj({"guid": GUID, "created_at": TIME, "name": TEXT, "metadata": METADATA, "links": links("self")})


def nowhere(_: Index) -> Collection[Thing]:
    """The tests bring their own."""
    return Collection(SHAPE)


BOXES = Readable(
    collection=nowhere,
    plural="boxes",
    singular="box",
    shape=SHAPE,
    present=present,
    schema=SCHEMA,
    example=Thing("a box", on="a shelf"),
    parents=(
        Parent(
            "/v3/shelves/{guid}/boxes",
            lambda match: Step("shelf_guids", match["guid"], "Shelf not found"),
            of="a shelf",
            id="listShelfBoxes",
            without=("shelf_guids",),
        ),
    ),
    includes={"shelf": (Include("shelves", lambda box: box.on),)},
)
SHELVES = Readable(
    collection=nowhere,
    plural="shelves",
    singular="shelf",
    shape=SHAPE,
    present=present,
    schema=SCHEMA,
    example=Thing("a shelf"),
)
READABLE = {"boxes": BOXES, "shelves": SHELVES}
RESOURCES = tuple(documented(each, READABLE) for each in READABLE.values())


class Current:
    """A barrier before which nothing has to be waited for."""

    async def catch_up(self, concerned: Concerned, *, pods: bool = False) -> Freshness:
        return Freshness()

    def as_of_now(self, freshness: Freshness) -> Freshness:
        return freshness


def reads(*things: Thing) -> Reads[Thing]:
    collection = Collection(SHAPE)
    for thing in things:
        collection.put(thing)
    return Reads(collection, Unrestricted(), cast(ReadBarrier, Current()))


@pytest.fixture
async def client(aiohttp_client: Callable[[web.Application], Awaitable[Client]]) -> Client:
    app = web.Application(middlewares=[identify(log_all=False), envelop_errors])
    app[SETTINGS], app[ACCESS], app[PAGES] = Settings(), Unrestricted(), Pages()
    app[READS] = {
        "boxes": reads(
            Thing("red", created_at=2 * SECOND, on="top", labels={"colour": "red"}),
            Thing("blue", created_at=1 * SECOND, on="top"),
            Thing("green", created_at=3 * SECOND, on="low"),
            Thing("green", "m", created_at=4 * SECOND),
        ),
        "shelves": reads(Thing("top"), Thing("low"), Thing("empty")),
    }
    add_routes(app, (operation for resource in RESOURCES for operation in resource.operations))
    return await aiohttp_client(app)


async def guids(client: Client, path: str) -> list[str]:
    async with client.get(path) as response:
        assert response.status == 200, await response.text()
        return [resource["guid"] for resource in (await response.json())["resources"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["blue", "red", "green", "green"]),
        ("order_by=-created_at&per_page=1", ["green"]),
        ("order_by=name", ["blue", "green", "green", "red"]),
        ("shelf_guids=top,other", ["blue", "red"]),
        ("guids=green", ["green", "green"]),
        ("label_selector=colour", ["red"]),
        ("created_ats[gt]=1970-01-01T00:00:02Z", ["green", "green"]),
        ("page=2&per_page=3", ["green"]),
    ],
)
async def test_its_list_takes_its_filters_and_orders(client: Client, query: str, expected: list[str]) -> None:
    assert await guids(client, f"/v3/boxes?{query}") == expected


async def test_its_list_refuses_what_it_does_not_have(client: Client) -> None:
    async with client.get("/v3/shelves?include=shelf&updated_ats=1970-01-01T00:00:00Z&embed=x") as response:
        assert response.status == 400
        (error,) = (await response.json())["errors"]
    assert error["detail"].startswith(
        "The query parameter is invalid: Unknown query parameter(s): 'include', 'updated_ats', 'embed'. "
    )


async def test_a_list_within_a_parent_has_what_belongs_to_it(client: Client) -> None:
    assert await guids(client, "/v3/shelves/top/boxes") == ["blue", "red"]
    async with client.get("/v3/shelves/top/boxes") as response:
        body = await response.json()
    assert body["pagination"]["first"]["href"].endswith("/v3/shelves/top/boxes?page=1&per_page=50")
    async with client.get("/v3/shelves/none/boxes") as response:
        assert (response.status, (await response.json())["errors"][0]["detail"]) == (404, "Shelf not found")


async def test_a_single_one_is_at_its_guid(client: Client) -> None:
    async with client.get("/v3/boxes/red") as response:
        assert (response.status, (await response.json())["name"]) == (200, "red")
        etag = response.headers["ETag"]
    async with client.get("/v3/boxes/red", headers={"If-None-Match": etag}) as response:
        assert response.status == 304
    async with client.get("/v3/boxes/none") as response:
        assert (response.status, (await response.json())["errors"][0]["detail"]) == (404, "Box not found")


async def test_an_address_that_means_several_shows_the_oldest_and_says_so(client: Client) -> None:
    async with client.get("/v3/boxes/green") as response:
        assert (await response.json())["created_at"] == "1970-01-01T00:00:03Z"
        assert "m%2C+n" in response.headers["X-Cf-Warnings"]


async def test_related_ones_come_along_once_each_where_they_are_asked_for(client: Client) -> None:
    async with client.get("/v3/boxes?include=shelf") as response:
        body = await response.json()
    assert list(body)[-3:] == ["resources", "included", "pagination"]
    assert [shelf["guid"] for shelf in body["included"]["shelves"]] == ["low", "top"]
    async with client.get("/v3/boxes/red?include=shelf") as response:
        assert [shelf["guid"] for shelf in (await response.json())["included"]["shelves"]] == ["top"]
    async with client.get("/v3/boxes?include=wall") as response:
        assert response.status == 400


async def test_rows_of_two_resources_with_the_same_keys_never_meet(client: Client) -> None:
    pages = client.app[PAGES] if client.app is not None else None
    assert pages is not None
    for path in ("/v3/boxes", "/v3/shelves", "/v3/boxes", "/v3/shelves"):
        assert len(await guids(client, path)) == (4 if path == "/v3/boxes" else 3)


def test_its_part_of_the_document_is_valid_and_complete() -> None:
    document = describe(RESOURCES, {})
    assert not list(OpenAPIV31SpecValidator(document).iter_errors())
    assert set(document["paths"]) == {
        "/v3/boxes",
        "/v3/boxes/{guid}",
        "/v3/shelves/{guid}/boxes",
        "/v3/shelves",
        "/v3/shelves/{guid}",
    }
    ids = {operation["operationId"] for item in document["paths"].values() for operation in item.values()}
    assert ids == {"listBoxes", "getBox", "listShelfBoxes", "listShelves", "getShelf"}
