"""A Cloud Controller that stays: what deploy/routemap sends here is what is served here, and all else goes there."""

import asyncio
import contextlib
import os
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from deploy.local.ports import PortBlock
from service.api.routes import OPERATIONS, PROCESS_PATHS, served_of
from service.cluster.route_feeds import ROUTE_KINDS
from service.settings import Settings
from tests.deploy.overlays import DEPLOY, of_kind
from tests.support.api import Api, assert_cf_error
from tests.support.apps import MakeApp
from tests.support.kinds import served
from tests.support.kube import Kube, eventually, guid_of
from tests.support.routing import HTTP_ROUTE

ROUTEMAP = DEPLOY / "routemap"
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
OURS, THEIRS = "processes.processes.svc.cluster.local:8080", "cloud-controller.example.internal:9022"

OF_PROCESSES = [
    "/v3/processes",
    "/v3/processes?app_guids=a,b&order_by=-created_at",
    "/v3/processes/guid",
    "/v3/processes/guid/stats",
    "/v3/apps/guid/processes",
    "/v3/apps/guid/processes/web/actions/scale",
    "/v3/apps/a%2Cb%20c/processes/web",
]
OF_OTHERS = [
    "/",
    "/v2/info",
    "/v3",
    "/v3/apps",
    "/v3/apps/guid",
    "/v3/apps/guid/routes",
    "/v3/apps/guid/processesx",
    "/v3/apps/processes",
    "/v3/processesx",
    "/v3/spaces/guid/processes",
    "/x/v3/processes",
]


@pytest.fixture(scope="module")
def settings(settings: Settings) -> Settings:
    return replace(settings, served="processes", trusted_proxies=("127.0.0.0/8",))


@pytest.fixture(scope="module")
async def cloud_controller() -> AsyncIterator[TestServer]:
    """Stands where a Cloud Controller would: it says what it was asked, and in which words."""

    async def say(request: web.Request) -> web.Response:
        told = {"path": request.raw_path, "method": request.method, "host": request.host}
        return web.json_response(told, headers={"X-Answered-By": "cloud controller"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", say)
    server = TestServer(app)
    await server.start_server()
    yield server
    await server.close()


@pytest.fixture(scope="module")
async def nginx(api: Api, cloud_controller: TestServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """The API as it is reached through an nginx with our route map."""
    if NGINX is None:
        leave_out = pytest.fail if os.environ.get("REQUIRE_ALL") == "1" else pytest.skip
        leave_out("nginx is needed to try the route map: apt-get install nginx-light")
    directory = tmp_path_factory.mktemp("nginx")
    with contextlib.closing(PortBlock()) as ports:
        port = ports.take()
        addresses = {
            OURS: URL(api.url).authority,
            THEIRS: f"127.0.0.1:{cloud_controller.port}",
            "listen 8080;": f"listen 127.0.0.1:{port};",
        }
        (directory / "nginx.conf").write_text(configuration(directory, addresses))
        process = await asyncio.create_subprocess_exec(str(NGINX), "-p", directory, "-c", directory / "nginx.conf")
        through = replace(api, url=f"http://127.0.0.1:{port}")
        try:

            async def answers() -> bool:
                assert process.returncode is None, (directory / "error.log").read_text()
                with contextlib.suppress(OSError):
                    return (await through.get("/v3/processes")).status == 200
                return False

            await eventually(answers)
            yield through
        finally:
            process.terminate()
            await process.wait()


def configuration(directory: Path, addresses: dict[str, str]) -> str:
    """The map as it is, but for the addresses, in a configuration that leaves nothing behind."""
    routemap = (ROUTEMAP / "nginx.conf").read_text()
    for known, address in addresses.items():
        assert routemap.count(known) == 1
        routemap = routemap.replace(known, address)
    kept = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{name}_temp_path {directory}/{name};\n" for name in kept)
    return (
        f"daemon off;\nmaster_process off;\npid {directory}/pid;\nerror_log {directory}/error.log;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{paths}{routemap}}}\n"
    )


@pytest.mark.parametrize("path", OF_PROCESSES)
async def test_process_paths_are_answered_here(nginx: Api, path: str) -> None:
    reply = await nginx.get(path)
    assert "X-Answered-By" not in reply.headers
    assert reply.headers["X-Vcap-Request-Id"]


@pytest.mark.parametrize("path", OF_OTHERS)
async def test_all_else_is_answered_by_the_cloud_controller(nginx: Api, path: str) -> None:
    for method in ("GET", "PATCH"):
        reply = await nginx.get(path, method=method)
        assert reply.headers["X-Answered-By"] == "cloud controller"
        assert reply.json == {"path": path, "method": method, "host": URL(nginx.url).authority}


async def test_links_lead_back_through_nginx_and_writes_arrive(nginx: Api, make_app: MakeApp) -> None:
    app = await make_app("web", "worker")
    path = f"/v3/apps/{app}/processes"
    assert set(await nginx.all_guids(f"{path}?per_page=1")) == {guid_of(app, "web"), guid_of(app, "worker")}
    first = (await nginx.get(f"{path}?per_page=1")).json
    assert first["pagination"]["next"]["href"].startswith(f"{nginx.url}{path}?")
    web_process = (await nginx.get(f"{path}/web")).json
    assert all(link["href"].startswith(nginx.url) for link in web_process["links"].values())
    scaled = await nginx.post(web_process["links"]["scale"]["href"], {"instances": 0})
    assert (scaled.status, scaled.json["instances"]) == (202, 0)
    labelled = await nginx.patch(f"{path}/web", {"metadata": {"labels": {"a": "b"}}})
    assert labelled.json["metadata"]["labels"] == {"a": "b"}
    # The app is the Cloud Controller's own to show.
    assert (await nginx.get(web_process["links"]["app"]["href"])).headers["X-Answered-By"] == "cloud controller"


@pytest.mark.parametrize("path", ["/v3/routes", "/v3/apps/guid/routes", "/v3/apps/guid", "/v3/spaces"])
async def test_what_is_the_cloud_controllers_is_unknown_here(api: Api, path: str) -> None:
    assert_cf_error(await api.as_user(None).get(path), 404, 10000, "CF-NotFound", "Unknown request")


async def test_the_document_has_what_is_served_and_no_more(api: Api) -> None:
    document = (await api.get("/v3/openapi.json")).json
    described = set(document["paths"])
    assert described == {operation.path for resource in served_of("processes") for operation in resource.operations}
    assert described < {operation.path for operation in OPERATIONS}
    assert (await api.get("/")).json["cf_on_k8s"] is True
    assert (await api.get("/v3")).json["links"].keys() == {"self", "processes"}
    watched = (await api.manage("/readyz")).json["optional_watches"].keys()
    assert not watched & {kind.name for kind in ROUTE_KINDS}, "for nobody asks for routes"


def http_matches() -> Iterator[dict[str, Any]]:
    for rule in _http_route()["spec"]["rules"]:
        for match in rule["matches"]:
            yield match["path"]


def _http_route() -> dict[str, Any]:
    (found,) = yaml.safe_load_all((ROUTEMAP / "httproute.yaml").read_text())
    assert isinstance(found, dict)
    return found


def sent_here(path: str) -> bool:
    """Whether the HTTPRoute matches a path, as the Gateway API says it does."""
    path = path.partition("?")[0]
    for match in http_matches():
        if match["type"] == "PathPrefix" and (path == match["value"] or path.startswith(match["value"] + "/")):
            return True
        if match["type"] == "RegularExpression" and re.fullmatch(match["value"], path):
            return True
    return False


def test_the_http_route_sends_the_same_here() -> None:
    assert [path for path in (*OF_PROCESSES, *OF_OTHERS) if sent_here(path)] == OF_PROCESSES
    for operation in OPERATIONS:
        assert sent_here(operation.path) == bool(PROCESS_PATHS.fullmatch(operation.path)), operation.path


async def test_the_http_route_is_one_to_the_real_api_and_leads_to_the_service(kube: Kube) -> None:
    route = _http_route()
    service = of_kind(list(yaml.safe_load_all((DEPLOY / "base" / "service.yaml").read_text())), "Service")["processes"]
    (reference,) = [each for rule in route["spec"]["rules"] for each in rule["backendRefs"]]
    assert reference["port"] in [port["port"] for port in service["spec"]["ports"]]
    assert route["metadata"]["namespace"] == service["metadata"]["namespace"]
    async with served(kube, HTTP_ROUTE):
        path = "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes?dryRun=All&fieldValidation=Strict"
        kept = {**route, "metadata": {"name": "processes"}}
        assert (await kube.request("POST", path, kept))["spec"]["rules"][0]["matches"]
