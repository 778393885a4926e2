"""GET /v3/routes, one of them, and those of an app: from Ingresses and HTTPRoutes, to who sees the app."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from service.cluster import optional_watch
from service.cluster.optional_watch import REFUSALS
from service.http.keys import HEALTH
from tests.support.api import Api, assert_cf_error
from tests.support.apps import MakeApp, Users
from tests.support.kinds import served, withdraw
from tests.support.kube import KEYS, Kube, deployment, eventually
from tests.support.routing import (
    HTTP_ROUTE,
    backend,
    create,
    delete,
    http_route,
    ingress,
    matching,
    patch,
    rule,
    service,
)


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optional_watch, "LOOK_AGAIN_S", 0.2)
    monkeypatch.setattr(optional_watch, "CONFIRM_S", 0.2)


@pytest.fixture
async def gateway_api(kube: Kube) -> AsyncIterator[None]:
    """While there is one, HTTPRoutes are served."""
    async with served(kube, HTTP_ROUTE):
        yield


def of(app: str) -> dict[str, str]:
    """What selects the Pods of an app."""
    return {KEYS.app_guid: app}


async def routes(api: Api, path: str) -> list[dict[str, Any]]:
    reply = await api.get(path)
    assert reply.status == 200, reply.body
    found: list[dict[str, Any]] = reply.json["resources"]
    return found


async def urls(api: Api, path: str, *expected: str) -> None:
    """Wait until a list has routes of these URLs, in any order, and no others."""

    async def same() -> bool:
        return sorted(route["url"] for route in await routes(api, path)) == sorted(expected)

    try:
        await eventually(same, 10)
    except AssertionError:
        assert sorted(route["url"] for route in await routes(api, path)) == sorted(expected)
        raise


async def test_a_rule_of_an_ingress_is_shown_whole(api: Api, kube: Kube, space: str, make_app: MakeApp) -> None:
    app = await make_app("web", ports=[{"containerPort": 9000, "name": "http"}])
    ports = [{"name": "public", "port": 80, "targetPort": "http"}]
    created = await create(
        kube,
        space,
        service("shop", of(app), ports),
        ingress("shop", rule("shop.example.com", ("/cart", backend("shop", "public")))),
    )
    await urls(api, f"/v3/apps/{app}/routes", "shop.example.com/cart")
    (route,) = await routes(api, f"/v3/apps/{app}/routes")
    self_href = f"{api.url}/v3/routes/{route['guid']}"
    assert list(route) == [
        *("guid", "created_at", "updated_at", "protocol", "host", "path", "port", "url", "destinations"),
        *("metadata", "relationships", "links"),
    ]
    (destination,) = route["destinations"]
    domain = route["relationships"].pop("domain")["data"]["guid"]
    assert route == {
        "guid": route["guid"],
        "created_at": created[1]["metadata"]["creationTimestamp"],
        "updated_at": route["updated_at"],
        "protocol": "http",
        "host": "shop",
        "path": "/cart",
        "port": None,
        "url": "shop.example.com/cart",
        "destinations": [
            {
                "guid": destination["guid"],
                "app": {"guid": app, "process": {"type": "web"}},
                "weight": None,
                "port": 9000,
                "protocol": "http1",
            }
        ],
        "metadata": {"labels": {}, "annotations": {}},
        "relationships": {"space": {"data": {"guid": space}}},
        "links": {
            "self": {"href": self_href, "method": "GET"},
            "space": {"href": f"{api.url}/v3/spaces/{space}", "method": "GET"},
        },
    }
    single = await api.get(self_href)
    assert single.json == {**route, "relationships": {**route["relationships"], "domain": {"data": {"guid": domain}}}}
    again = await api.get(self_href, headers={"If-None-Match": single.headers["ETag"]})
    assert again.status == 304


async def test_hosts_and_paths_of_ingresses(api: Api, kube: Kube, space: str, make_app: MakeApp) -> None:
    app = await make_app("web")
    behind = backend("shop")
    await create(
        kube,
        space,
        service("shop", of(app)),
        ingress("several", rule("a.example.com", ("/", behind), ("/x", behind)), rule("*.example.com", ("/y", behind))),
        ingress("exact", rule("a.example.com", ("/z", behind), kind="Exact")),
        ingress("default", defaultBackend=behind),
    )
    expected = ("a.example.com", "a.example.com/x", "*.example.com/y", "a.example.com/z", "")
    await urls(api, f"/v3/routes?space_guids={space}", *expected)
    by_url = {route["url"]: route for route in await routes(api, f"/v3/routes?app_guids={app}")}
    assert {url: (route["host"], route["path"]) for url, route in by_url.items()} == {
        "a.example.com": ("a", ""),
        "a.example.com/x": ("a", "/x"),
        "*.example.com/y": ("*", "/y"),
        "a.example.com/z": ("a", "/z"),
        "": ("", ""),
    }
    domains = {url: route["relationships"]["domain"]["data"]["guid"] for url, route in by_url.items()}
    assert domains["a.example.com"] == domains["*.example.com/y"] != domains[""]
    assert len({route["guid"] for route in by_url.values()}) == 5
    for query, wanted in (
        ("hosts=a", ["a.example.com", "a.example.com/x", "a.example.com/z"]),
        ("hosts=*", ["*.example.com/y"]),
        ("hosts=", [""]),
        ("paths=/x,/z", ["a.example.com/x", "a.example.com/z"]),
        ("hosts=a&paths=/y", []),
        (f"guids={by_url['']['guid']}", [""]),
        ("organization_guids=none", []),
    ):
        await urls(api, f"/v3/apps/{app}/routes?{query}" if "org" not in query else f"/v3/routes?{query}", *wanted)
    assert_cf_error(await api.get("/v3/routes?domain=x"), 400, 10005, "CF-BadQueryParameter")


@pytest.mark.usefixtures("gateway_api")
async def test_hosts_paths_and_weights_of_http_routes(api: Api, kube: Kube, space: str, make_app: MakeApp) -> None:
    blue, green = await make_app("web"), await make_app("web")
    other = await kube.create_namespace()
    elsewhere = {"name": "blue", "port": 80, "namespace": other}
    grpc = [{"port": 80, "targetPort": 8080, "appProtocol": "kubernetes.io/h2c"}]
    await create(kube, other, service("blue", of(blue)))
    await create(
        kube,
        space,
        service("blue", of(blue)),
        service("green", of(green), grpc),
        http_route(
            "shop",
            ["a.example.com", "b.example.com"],
            matching("/", to=[{"name": "blue", "port": 80, "weight": 9}, {"name": "green", "port": 80, "weight": 1}]),
            matching("/x", to=[{"name": "green", "port": 80}]),
            matching("/away", to=[elsewhere]),
            matching("/none", to=[{"name": "blue", "port": 80, "weight": 0}]),
        ),
        http_route("any", [], {"backendRefs": [{"name": "green", "port": 80}]}),
    )
    hosts = ("a.example.com", "b.example.com")
    await urls(api, f"/v3/routes?space_guids={space}", *hosts, *(f"{host}/x" for host in hosts), "")
    found = {route["url"]: route for route in await routes(api, f"/v3/routes?space_guids={space}")}
    shares = {each["app"]["guid"]: each["weight"] for each in found["a.example.com"]["destinations"]}
    assert shares == {blue: 9, green: 1}
    (destination,) = found["a.example.com/x"]["destinations"]
    assert (destination["weight"], destination["port"], destination["protocol"]) == (None, 8080, "http2")
    assert {route["guid"] for route in found.values()} == {
        route["guid"] for route in await routes(api, f"/v3/routes?app_guids={blue},{green}")
    }
    await kube.delete_namespace(other)


async def test_a_cluster_without_gateway_api_says_so_and_takes_it_up_when_it_comes(
    api: Api, kube: Kube, space: str, make_app: MakeApp
) -> None:
    app = await make_app("web")
    await create(kube, space, service("shop", of(app)), ingress("shop", rule("i.example.com", ("/", backend("shop")))))
    await urls(api, f"/v3/apps/{app}/routes", "i.example.com")

    async def left_out() -> Any:
        return (await api.manage("/readyz")).json["optional_watches"]["httproutes"]["left_out"]

    async def missing() -> bool:
        watch = (await api.manage("/readyz")).json["optional_watches"]["httproutes"]
        return (watch["failure"], watch["left_out"]) == (REFUSALS[404], "routes of HTTPRoutes")

    await eventually(missing)
    assert (await api.manage("/readyz")).status == 200
    async with served(kube, HTTP_ROUTE):
        await create(kube, space, http_route("shop", ["g.example.com"], matching(to=[{"name": "shop", "port": 80}])))
        await urls(api, f"/v3/apps/{app}/routes", "i.example.com", "g.example.com")
        assert await left_out() is None
        await withdraw(kube, HTTP_ROUTE)
        await urls(api, f"/v3/apps/{app}/routes", "i.example.com")
    await eventually(missing)
    reply = await api.get(f"/v3/apps/{app}/routes")
    assert not {"Warning", "X-Cf-Warnings"} & reply.headers.keys()
    assert (await api.manage("/readyz")).status == 200


async def test_routes_follow_ingresses_services_and_deployments(api: Api, kube: Kube, space: str) -> None:
    app, path = str(uuid4()), f"/v3/routes?space_guids={space}"
    await create(kube, space, ingress("shop", rule("a.example.com", ("/", backend("shop", "http")))))
    await create(kube, space, service("shop", {"tier": "front"}, [{"name": "http", "port": 80}]))
    await kube.create(deployment("web", space, app))
    await kube.create(deployment("unlabelled", space, str(uuid4())))
    await eventually(lambda: api.guids(f"/v3/apps/{app}/processes"))
    await urls(api, path)
    labelled = {"spec": {"template": {"metadata": {"labels": {"tier": "front"}}}}}
    await kube.patch(space, "web", labelled)
    await urls(api, path, "a.example.com")
    await patch(kube, space, "Service", "shop", {"spec": {"selector": {"tier": "back"}}})
    await urls(api, path)
    await patch(kube, space, "Service", "shop", {"spec": {"selector": {"tier": "front"}}})
    await urls(api, path, "a.example.com")
    await patch(
        kube, space, "Ingress", "shop", {"spec": {"rules": [rule("b.example.com", ("/", backend("shop", 80)))]}}
    )
    await urls(api, path, "b.example.com")
    # A port that the Service does not have leads nowhere.
    await patch(kube, space, "Service", "shop", {"spec": {"ports": [{"name": "http", "port": 81, "protocol": "TCP"}]}})
    await urls(api, path)
    await patch(kube, space, "Service", "shop", {"spec": {"ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}})
    await urls(api, path, "b.example.com")
    await kube.delete(space, "web")
    await urls(api, path)
    assert_cf_error(await api.get(f"/v3/apps/{app}/routes"), 404, 10010, "CF-ResourceNotFound", "App not found")
    await kube.create(deployment("web", space, app, labels={"tier": "front"}))
    await urls(api, path, "b.example.com")
    for kind in ("Service", "Ingress"):
        await delete(kube, space, kind, "shop")
        await urls(api, path)
        await create(
            kube,
            space,
            service("shop", {"tier": "front"})
            if kind == "Service"
            else ingress("shop", defaultBackend=backend("shop")),
        )
        await urls(api, path, "b.example.com" if kind == "Service" else "")


async def test_what_leads_to_no_app_of_the_namespace_is_no_route(
    api: Api, kube: Kube, space: str, make_app: MakeApp
) -> None:
    app = await make_app("web")
    pathless = {"host": "nothing.example.com"}
    resource = {"resource": {"apiGroup": "x.test", "kind": "Bucket", "name": "assets"}}
    await create(
        kube,
        space,
        service("shop", of(app)),
        service("all", None),
        service("away", None, type="ExternalName", externalName="example.com"),
        ingress(
            "mixed",
            rule("none.example.com", ("/", backend("missing"))),
            rule("all.example.com", ("/", backend("all"))),
            rule("away.example.com", ("/", backend("away"))),
            rule("bucket.example.com", ("/", resource), kind="ImplementationSpecific"),
            pathless,
            rule("shop.example.com", ("/", backend("shop"))),
        ),
    )
    await urls(api, f"/v3/routes?space_guids={space}", "shop.example.com")


async def test_an_app_without_routes_has_an_empty_list(api: Api, make_app: MakeApp) -> None:
    app = await make_app("web", "worker")
    assert await routes(api, f"/v3/apps/{app}/routes") == []
    assert_cf_error(await api.get("/v3/apps/none/routes"), 404, 10010, "CF-ResourceNotFound", "App not found")
    assert_cf_error(await api.get("/v3/routes/none"), 404, 10010, "CF-ResourceNotFound", "Route not found")


async def test_routes_are_seen_by_who_sees_the_app(
    api: Api, kube: Kube, space: str, users: Users, make_app: MakeApp
) -> None:
    app = await make_app("web")
    await create(kube, space, service("shop", of(app)), ingress("shop", rule("a.example.com", ("/", backend("shop")))))
    await urls(api, f"/v3/apps/{app}/routes", "a.example.com")
    (guid,) = await api.guids(f"/v3/apps/{app}/routes")
    viewer, stranger, nobody = (api.as_user(each) for each in (users.viewer, users.stranger, users.nobody))
    for path in ("/v3/routes", f"/v3/apps/{app}/routes"):
        assert await viewer.guids(path) == [guid]
    assert (await viewer.get(f"/v3/routes/{guid}")).status == 200
    assert await stranger.guids("/v3/routes") == await stranger.guids(f"/v3/routes?guids={guid}&app_guids={app}") == []
    for hidden, missing in (
        (f"/v3/routes/{guid}", "/v3/routes/none"),
        (f"/v3/apps/{app}/routes", "/v3/apps/none/routes"),
    ):
        one, two = await stranger.get(hidden), await stranger.get(missing)
        assert (one.status, one.body) == (two.status, two.body)
        assert one.status == 404
    for path in ("/v3/routes", f"/v3/routes/{guid}", f"/v3/apps/{app}/routes"):
        assert_cf_error(await nobody.get(path), 403, 10003, "CF-NotAuthorized")
        assert (await api.as_user(None).get(path)).status == 401


async def test_two_apps_of_one_guid_have_their_own_routes(
    api: Api, kube: Kube, space: str, users: Users, make_app: MakeApp
) -> None:
    app, other = await make_app("web"), await kube.create_namespace()
    await kube.create(deployment("web", other, app))
    for namespace in (space, other):
        host = f"{namespace}.example.com"
        await create(kube, namespace, service("shop", of(app)), ingress("shop", rule(host, ("/", backend("shop")))))
    path = f"/v3/apps/{app}/routes"
    await urls(api, path, f"{space}.example.com", f"{other}.example.com")
    assert other in (await api.get(path)).headers["X-Cf-Warnings"]
    await urls(api.as_user(users.viewer), path, f"{space}.example.com")
    assert "X-Cf-Warnings" not in (await api.as_user(users.viewer).get(path)).headers
    await kube.delete_namespace(other)


async def test_routes_that_are_not_read_yet_are_named(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    health = api.application[HEALTH]
    monkeypatch.setattr(health._optional["ingresses"].state, "synced", False)
    reply = await api.get("/v3/routes")
    assert "routes+of+Ingresses" in reply.headers["X-Cf-Warnings"]
    assert "Warning" not in reply.headers
    assert "X-Cf-Warnings" not in (await api.get("/v3/processes")).headers
    assert health.ready


async def test_a_route_has_one_destination_for_each_process_that_is_selected(
    api: Api, kube: Kube, space: str, make_app: MakeApp
) -> None:
    app = await make_app("web", "worker")
    await create(kube, space, service("both", of(app)), ingress("both", rule("a.example.com", ("/", backend("both")))))
    await urls(api, f"/v3/apps/{app}/routes", "a.example.com")

    async def both() -> bool:
        (route,) = await routes(api, f"/v3/apps/{app}/routes")
        return [each["app"]["process"]["type"] for each in route["destinations"]] == ["web", "worker"]

    await eventually(both)
