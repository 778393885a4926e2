"""GET /v3/processes/{guid}/sidecars, /v3/apps/{guid}/sidecars and /v3/sidecars/{guid}."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from service.model.sidecars import sidecar_guid
from tests.support.api import Api, Reply, assert_cf_error
from tests.support.apps import MakeApp, Users
from tests.support.kube import Kube, add_container, deployment, eventually, guid_of

ListPath = Callable[[str], str]
MESH = {"name": "mesh", "image": "registry.test/mesh:1", "restartPolicy": "Always"}
MIGRATE = {"name": "migrate", "image": "registry.test/app:1", "command": ["migrate"]}


@pytest.fixture(params=["of the process", "of the app"])
def list_path(request: pytest.FixtureRequest) -> ListPath:
    """The path of the sidecars of an app's only process, at either address."""
    if request.param == "of the process":
        return lambda app: f"/v3/processes/{guid_of(app, 'web')}/sidecars"
    return lambda app: f"/v3/apps/{app}/sidecars"


async def deploy(
    api: Api, kube: Kube, space: str, *beside: dict[str, Any], initial: list[dict[str, Any]] | None = None
) -> str:
    """The GUID of a new app whose `web` process has these containers beside its own, once it is shown."""
    app = str(uuid4())
    manifest = deployment(f"web-{app}", space, app)
    pod = manifest["spec"]["template"]["spec"]
    pod["containers"] += [{"image": f"registry.test/{each['name']}:1", **each} for each in beside]
    pod["initContainers"] = initial or []
    await kube.create(manifest)

    async def shown() -> bool:
        return (await api.get(f"/v3/apps/{app}/processes")).status == 200

    await eventually(shown)
    return app


async def names(api: Api, path: str) -> list[str]:
    reply = await api.get(path)
    assert reply.status == 200, reply.body
    return [each["name"] for each in reply.json["resources"]]


async def test_a_container_beside_the_app_is_shown_whole(api: Api, kube: Kube, space: str, list_path: ListPath) -> None:
    limits = {"limits": {"memory": "100M"}}
    app = await deploy(
        api, kube, space, {"name": "proxy", "command": ["/bin/sh", "-c", "exec envoy"], "resources": limits}
    )
    process = (await api.get(f"/v3/processes/{guid_of(app, 'web')}")).json
    (sidecar,) = (await api.get(list_path(app))).json["resources"]
    assert list(sidecar.items()) == [
        ("guid", sidecar_guid(process["guid"], "proxy")),
        ("name", "proxy"),
        ("command", "exec envoy"),
        ("process_types", ["web"]),
        ("memory_in_mb", 96),
        ("origin", "user"),
        ("relationships", {"app": {"data": {"guid": app}}}),
        ("created_at", process["created_at"]),
        ("updated_at", sidecar["updated_at"]),
    ]
    assert (await api.get(f"/v3/sidecars/{sidecar['guid']}")).json == sidecar


async def test_init_containers_are_some_where_they_go_on(api: Api, kube: Kube, space: str, list_path: ListPath) -> None:
    app = await deploy(api, kube, space, {"name": "proxy"}, initial=[MIGRATE, MESH])
    assert sorted(await names(api, list_path(app))) == ["mesh", "proxy"]


async def test_a_process_without_any_has_an_empty_list(api: Api, make_app: MakeApp, list_path: ListPath) -> None:
    path = list_path(await make_app("web"))
    reply = await api.get(f"{path}?page=1&per_page=1")
    assert (reply.status, reply.json["resources"], reply.json["total_results"]) == (200, [], 0)
    first = {"href": f"{api.url}{path}?page=1&per_page=1", "method": "GET"}
    assert (reply.json["total_pages"], reply.json["pagination"]["first"]) == (1, first)


async def test_an_app_has_those_of_all_its_processes(api: Api, kube: Kube, space: str, make_app: MakeApp) -> None:
    app = await make_app("web", "worker")
    for kind in ("web", "worker"):
        await kube.patch_json(space, f"{kind}-{app}", [add_container(f"beside-{kind}")])

    async def both() -> bool:
        return sorted(await names(api, f"/v3/apps/{app}/sidecars")) == ["beside-web", "beside-worker"]

    await eventually(both)
    assert await names(api, f"/v3/processes/{guid_of(app, 'worker')}/sidecars") == ["beside-worker"]


async def test_hundreds_are_listed_page_by_page(api: Api, kube: Kube, space: str, list_path: ListPath) -> None:
    beside = [{"name": f"c{number}", "args": ["x" * 2000, "y" * 3000]} for number in range(150)]
    app = await deploy(api, kube, space, *beside)
    guids = await api.all_guids(f"{list_path(app)}?per_page=40")
    assert (len(guids), len(set(guids))) == (150, 150)
    listed = (await api.get(f"{list_path(app)}?per_page=150")).json["resources"]
    lengths = [len(each["command"]) for each in listed]
    # One command has its limit, and all of them together have another: there are hundreds.
    assert sorted(lengths, reverse=True)[:4] == [4096] * 4
    assert sum(lengths) == 4 * 4096


async def test_they_come_change_and_go_with_their_process(
    api: Api, kube: Kube, space: str, make_app: MakeApp, list_path: ListPath
) -> None:
    app = await make_app("web")
    path, name = list_path(app), f"web-{app}"

    async def commands(*expected: tuple[str, str]) -> None:
        async def same() -> bool:
            reply = await api.get(path)
            return reply.status == 200 and [
                (each["name"], each["command"]) for each in reply.json["resources"]
            ] == list(expected)

        await eventually(same, 10)

    await kube.patch_json(space, name, [add_container("proxy", command=["old"])])
    await commands(("proxy", "old"))
    at = "/spec/template/spec/containers/1"
    await kube.patch_json(space, name, [{"op": "replace", "path": f"{at}/command", "value": ["new"]}])
    await commands(("proxy", "new"))
    await kube.patch_json(space, name, [{"op": "replace", "path": f"{at}/name", "value": "other"}])
    await commands(("other", "new"))
    await kube.patch_json(space, name, [{"op": "remove", "path": at}])
    await commands()
    await kube.patch_json(space, name, [add_container("proxy")])
    await commands(("proxy", ""))
    await kube.delete(space, name)

    async def gone() -> bool:
        guid = sidecar_guid(guid_of(app, "web"), "proxy")
        return (await api.get(path)).status == (await api.get(f"/v3/sidecars/{guid}")).status == 404

    await eventually(gone)


async def test_an_answer_that_has_not_changed_is_not_sent_again(
    api: Api, kube: Kube, space: str, list_path: ListPath
) -> None:
    path = list_path(await deploy(api, kube, space, {"name": "proxy"}))

    async def unchanged() -> bool:
        etag = (await api.get(path)).headers["ETag"]
        return (await api.get(path, headers={"If-None-Match": etag})).status == 304

    await eventually(unchanged)


async def test_what_is_unknown_is_not_found_by_its_name(api: Api) -> None:
    for path, detail in (
        ("/v3/processes/none/sidecars", "Process not found"),
        ("/v3/apps/none/sidecars", "App not found"),
        ("/v3/sidecars/none", "Sidecar not found"),
    ):
        assert_cf_error(await api.get(path), 404, 10010, "CF-ResourceNotFound", detail)


@pytest.mark.parametrize("query", ["app_guids=a", "process_guids=p", "per_page=0", "order_by=name", "include=app"])
async def test_other_queries_are_refused(api: Api, make_app: MakeApp, list_path: ListPath, query: str) -> None:
    reply = await api.get(f"{list_path(await make_app('web'))}?{query}")
    assert_cf_error(reply, 400, 10005, "CF-BadQueryParameter")


async def test_there_is_no_list_of_all(api: Api) -> None:
    text = assert_cf_error(await api.get("/v3/sidecars"), 404, 10000, "CF-NotFound")
    assert text.startswith("Unknown request")


async def test_who_does_not_see_the_process_sees_none_of_them(api: Api, kube: Kube, space: str, users: Users) -> None:
    app = await deploy(api, kube, space, {"name": "proxy"})
    guid = guid_of(app, "web")
    viewer, stranger = api.as_user(users.viewer), api.as_user(users.stranger)
    for shown, hidden in (
        (f"/v3/processes/{guid}/sidecars", "/v3/processes/none/sidecars"),
        (f"/v3/apps/{app}/sidecars", "/v3/apps/none/sidecars"),
        (f"/v3/sidecars/{sidecar_guid(guid, 'proxy')}", "/v3/sidecars/none"),
    ):
        assert (await viewer.get(shown)).status == 200
        assert _seen(await stranger.get(shown)) == _seen(await stranger.get(hidden))
        assert (await stranger.get(shown)).status == 404


async def test_one_guid_in_two_namespaces_shows_those_of_each(api: Api, kube: Kube, space: str, users: Users) -> None:
    other, app, guid = await kube.create_namespace(), str(uuid4()), str(uuid4())
    for namespace in (space, other):
        manifest = deployment("shared", namespace, app, labels={"cloudfoundry.org/process-guid": guid})
        manifest["spec"]["template"]["spec"]["containers"].append({"name": "proxy", "image": "registry.test/p:1"})
        await kube.create(manifest)

    async def both() -> bool:
        reply = await api.get(f"/v3/processes/{guid}/sidecars")
        return reply.status == 200 and reply.json["total_results"] == 2

    await eventually(both)
    warnings = (await api.get(f"/v3/sidecars/{sidecar_guid(guid, 'proxy')}")).headers["X-Cf-Warnings"]
    assert space in warnings
    assert other in warnings
    reply = await api.as_user(users.viewer).get(f"/v3/processes/{guid}/sidecars")
    assert (reply.json["total_results"], "X-Cf-Warnings" in reply.headers) == (1, False)
    await kube.delete_namespace(other)


def _seen(reply: Reply) -> tuple[int, bytes, dict[str, str]]:
    """All that a caller can tell a reply by."""
    return reply.status, reply.body, {k: v for k, v in reply.headers.items() if k not in ("X-Vcap-Request-Id", "Date")}
