"""Which handler a path leads to, and what is said where the path is right and the method is not."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from service.http.routing import Route, add_routes

PATHS = (
    "/v3/apps",
    "/v3/apps/{guid}",
    "/v3/apps/{guid}/processes",
    "/v3/apps/{guid}/processes/{type}",
    "/v3/apps/{guid}/droplets/{type}",
    "/v3/apps/{guid}/processes/{type}/stats",
    "/v3/apps/{guid}/{anything}",
    "/v3/processes/{guid}",
    "/v3/service_{rest:.*}",
)


def _says(path: str, method: str) -> Route:
    async def say(request: web.Request) -> web.Response:
        return web.json_response([method, path, dict(request.match_info)])

    return Route(method, path, say)


@pytest.fixture
async def url() -> AsyncIterator[str]:
    app = web.Application()
    add_routes(app, [*(_says(path, "GET") for path in PATHS), _says("/v3/apps/{guid}", "PATCH")])
    add_routes(app, [_says("/v3/apps/{guid}/later", "GET")])
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


@pytest.mark.parametrize(
    ("path", "leads_to", "parts"),
    [
        ("/v3/apps", "/v3/apps", {}),
        ("/v3/apps/a", "/v3/apps/{guid}", {"guid": "a"}),
        ("/v3/apps/processes", "/v3/apps/{guid}", {"guid": "processes"}),
        ("/v3/apps/a%2Fb", "/v3/apps/{guid}", {"guid": "a/b"}),
        ("/v3/apps/a/processes", "/v3/apps/{guid}/processes", {"guid": "a"}),
        ("/v3/apps/a/%70rocesses", "/v3/apps/{guid}/processes", {"guid": "a"}),
        ("/v3/apps/a/processes/stats", "/v3/apps/{guid}/processes/{type}", {"guid": "a", "type": "stats"}),
        ("/v3/apps/a/droplets/current", "/v3/apps/{guid}/droplets/{type}", {"guid": "a", "type": "current"}),
        ("/v3/apps/a/processes/web/stats", "/v3/apps/{guid}/processes/{type}/stats", {"guid": "a", "type": "web"}),
        ("/v3/apps/a/else", "/v3/apps/{guid}/{anything}", {"guid": "a", "anything": "else"}),
        ("/v3/apps/a/later", "/v3/apps/{guid}/{anything}", {"guid": "a", "anything": "later"}),
        ("/v3/processes/p", "/v3/processes/{guid}", {"guid": "p"}),
        ("/v3/service_brokers/x/y", "/v3/service_{rest:.*}", {"rest": "brokers/x/y"}),
    ],
)
async def test_a_path_leads_to_its_own_handler_with_its_parts(
    url: str, path: str, leads_to: str, parts: dict[str, str]
) -> None:
    async with aiohttp.request("GET", URL(f"{url}{path}", encoded=True)) as response:
        assert await response.json() == ["GET", leads_to, parts]


@pytest.mark.parametrize("path", ["/v3/apps/", "/v3/apps//processes", "/v3/apps/a/b/c", "/v3/apps/a/processes/", "/v3"])
async def test_what_no_path_is_like_is_not_found(url: str, path: str) -> None:
    async with aiohttp.request("GET", f"{url}{path}") as response:
        assert response.status == 404


async def test_one_path_has_a_handler_for_each_method_and_names_them_all_to_others(url: str) -> None:
    async with aiohttp.request("PATCH", f"{url}/v3/apps/a") as response:
        assert (await response.json())[0] == "PATCH"
    async with aiohttp.request("HEAD", f"{url}/v3/apps/a/processes") as response:
        assert response.status == 200
    async with aiohttp.request("DELETE", f"{url}/v3/apps/a") as response:
        assert (response.status, response.headers["Allow"]) == (405, "GET,HEAD,PATCH")
