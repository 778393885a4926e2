"""GET /v3/processes and GET /v3/apps/{guid}/processes, against the real control plane and Postgres.

What the query parameters mean is tested in tests/model; here it is that they arrive, at both addresses.
"""

import asyncio
import gzip
from collections.abc import Callable
from urllib.parse import quote
from uuid import uuid4

import pytest

from service.model.process import Metadata
from service.settings import Settings
from service.store.database import connected
from service.store.records import load
from tests.support.api import Api, assert_cf_error
from tests.support.apps import MakeApp
from tests.support.kube import Kube, deployment, eventually, guid_of

ListPath = Callable[[str], str]


async def test_shows_the_processes_of_the_app_oldest_first(api: Api, make_app: MakeApp, list_path: ListPath) -> None:
    app = await make_app("web", "worker")
    resources = (await api.get(list_path(app))).json["resources"]
    assert sorted(r["guid"] for r in resources) == sorted(guid_of(app, t) for t in ("web", "worker"))
    assert [(r["created_at"], r["guid"]) for r in resources] == sorted((r["created_at"], r["guid"]) for r in resources)


async def test_hides_commands(api: Api, make_app: MakeApp, list_path: ListPath) -> None:
    app = await make_app("web", command=["/bin/sh", "-c", "secret-server --port 8080"])
    reply = await api.get(list_path(app))
    assert b"secret-server" not in reply.body
    assert reply.json["resources"][0]["command"] == "[PRIVATE DATA HIDDEN IN LISTS]"


async def test_pages_follow_each_other_and_lead_back(api: Api, make_app: MakeApp, list_path: ListPath) -> None:
    app = await make_app("web", "worker", "clock")
    visited = await api.all_guids(list_path(app) + "&per_page=1&order_by=-created_at")
    assert sorted(visited) == sorted(guid_of(app, t) for t in ("web", "worker", "clock"))
    middle = (await api.get(list_path(app) + "&per_page=1&page=2")).json
    assert (middle["total_results"], middle["total_pages"]) == (3, 3)
    first = (await api.get(middle["previous"]["href"])).json
    assert first["previous"] is None
    assert first["next"]["href"] == middle["first"]["href"].replace("page=1", "page=2", 1)
    assert (await api.get(middle["last"]["href"])).json["next"] is None


async def test_repeats_its_page_keys_under_pagination(api: Api, make_app: MakeApp, list_path: ListPath) -> None:
    body = (await api.get(list_path(await make_app("web")))).json
    keys = ["total_results", "total_pages", "first", "last", "next", "previous"]
    assert list(body) == [*keys, "resources", "pagination"]
    assert body["pagination"] == {key: body[key] for key in keys}


async def test_page_past_the_end_is_empty_with_true_totals(api: Api, make_app: MakeApp, list_path: ListPath) -> None:
    app = await make_app("web", "worker")
    body = (await api.get(list_path(app) + "&page=9&per_page=1")).json
    assert body["resources"] == []
    assert (body["total_results"], body["total_pages"], body["next"]) == (2, 2, None)
    assert "&page=2&" in body["previous"]["href"] or "?page=2&" in body["previous"]["href"]


async def test_hrefs_are_absolute_sorted_and_keep_what_was_asked(api: Api, make_app: MakeApp) -> None:
    app = await make_app("web")
    query = f"types=web%2Cworker&order_by=%2Bcreated_at&label_selector=!a.b%2Fc&app_guids={app}"
    body = (await api.get(f"/v3/processes?{query}&per_page=3", headers={"Host": "api.example.test:81"})).json
    assert body["first"] == {
        "href": "http://api.example.test:81/v3/processes?"
        f"app_guids={app}&label_selector=%21a.b%2Fc&order_by=%2Bcreated_at&page=1&per_page=3&types=web%2Cworker",
        "method": "GET",
    }


@pytest.mark.parametrize(("sent", "carried"), [("created_at", "%2Bcreated_at"), ("-updated_at", "-updated_at")])
async def test_an_order_carries_its_sign_in_hrefs_also_where_none_was_sent(
    api: Api, make_app: MakeApp, list_path: ListPath, sent: str, carried: str
) -> None:
    path = list_path(await make_app("web", "worker"))
    pagination = (await api.get(f"{path}&order_by={sent}&per_page=1")).json["pagination"]
    for name in ("first", "last", "next"):
        assert f"order_by={carried}&" in pagination[name]["href"]


async def test_narrows_by_every_filter(api: Api, kube: Kube, make_app: MakeApp, settings: Settings) -> None:
    org, space_guid = str(uuid4()), str(uuid4())
    labels = {"cloudfoundry.org/org-guid": org, "cloudfoundry.org/space-guid": space_guid}
    namespace = await kube.create_namespace(labels)
    app = await make_app("web", "worker", namespace=namespace)
    other = await make_app("web")
    async with connected(settings.database_url, 5) as connection:
        await load(
            connection,
            [Metadata(namespace=namespace, app_guid=app, type="worker", labels={"tier": "back", "env": "x"})],
        )
    web, worker, foreign = guid_of(app, "web"), guid_of(app, "worker"), guid_of(other, "web")
    created = (await api.get(f"/v3/processes/{web}")).json["created_at"]
    mine = f"app_guids={app},{other}&"
    for query, expected in {
        f"guids={web},{foreign}": {web, foreign},
        f"app_guids={app}&types=worker": {worker},
        f"space_guids={space_guid}": {web, worker},
        f"organization_guids={org}&types=web": {web},
        f"{mine}label_selector=tier": {worker},
        f"{mine}label_selector=tier%3Dback,env%20in%20(x,y)": {worker},
        f"{mine}label_selector=tier!=back": {web, foreign},
        f"{mine}label_selector=!tier&types=web": {web, foreign},
        f"{mine}label_selector=tier=": set(),
        f"{mine}created_ats[gt]=2100-01-01T00:00:00Z": set(),
        f"{mine}created_ats[gte]={created}": {web, worker, foreign},
        f"guids={web}&created_ats={created}": {web},
        f"guids={web}&updated_ats[lt]={created}": set(),
        f"guids={web}&app_guids={other}": set(),
        "guids=": set(),
    }.items():
        assert set(await api.guids(f"/v3/processes?{query}")) == expected, query
    assert set(await api.guids(f"/v3/apps/{app}/processes?types=web&guids={web},{worker}")) == {web}
    await kube.delete_namespace(namespace)


async def test_app_whose_processes_are_all_filtered_out_is_an_empty_list(api: Api, make_app: MakeApp) -> None:
    reply = await api.get(f"/v3/apps/{await make_app('web')}/processes?types=nothing")
    assert (reply.status, reply.json["resources"], reply.json["total_results"]) == (200, [], 0)
    assert reply.json["total_pages"] == 1


async def test_unknown_app_is_not_found(api: Api) -> None:
    reply = await api.get(f"/v3/apps/{uuid4()}/processes")
    assert_cf_error(reply, 404, 10010, "CF-ResourceNotFound", "App not found")


async def test_head_is_get_without_the_body(api: Api, make_app: MakeApp, list_path: ListPath) -> None:
    path = list_path(await make_app("web"))
    got, headed = await api.get(path), await api.get(path, method="HEAD")
    assert (headed.status, headed.body) == (200, b"")
    assert headed.headers["ETag"] == got.headers["ETag"]
    assert headed.headers["Content-Length"] == str(len(got.body))


async def test_etag_answers_not_modified_until_something_changes(
    api: Api, kube: Kube, space: str, make_app: MakeApp, list_path: ListPath
) -> None:
    app = await make_app("web")
    path = list_path(app)

    async def settled() -> str | None:
        # The controllers annotate a new Deployment with its revision, which is the process's version.
        reply = await api.get(path)
        return reply.headers["ETag"] if reply.json["resources"][0]["version"] == "1" else None

    etag = await eventually(settled)
    for given in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        reply = await api.get(path, headers={"If-None-Match": given})
        assert (reply.status, reply.body, reply.headers["ETag"]) == (304, b"", etag)
    await kube.patch(space, f"web-{app}", {"spec": {"replicas": 2}})

    async def changed() -> bool:
        return (await api.get(path, headers={"If-None-Match": etag})).status == 200

    await eventually(changed)


async def test_compresses_what_is_worth_it(api: Api, make_app: MakeApp, list_path: ListPath) -> None:
    path = list_path(await make_app("web", "worker"))
    plain, packed = await api.get(path), await api.get(path, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert packed.headers["ETag"] != plain.headers["ETag"]
    again = await api.get(path, headers={"Accept-Encoding": "gzip", "If-None-Match": packed.headers["ETag"]})
    assert again.status == 304


async def test_metadata_written_by_anyone_shows_at_the_next_read(
    api: Api, make_app: MakeApp, settings: Settings, space: str
) -> None:
    app = await make_app("web")
    async with connected(settings.database_url, 5) as connection:
        for round_number in range(20):
            await load(
                connection, [Metadata(namespace=space, app_guid=app, type="web", labels={"round": str(round_number)})]
            )
            body = (await api.get(f"/v3/apps/{app}/processes")).json
            assert body["resources"][0]["metadata"]["labels"] == {"round": str(round_number)}


async def test_metadata_outlives_the_deployment(
    api: Api, kube: Kube, space: str, make_app: MakeApp, settings: Settings
) -> None:
    app = await make_app("web")
    async with connected(settings.database_url, 5) as connection:
        await load(connection, [Metadata(namespace=space, app_guid=app, type="web", labels={"kept": "yes"})])
    guid = guid_of(app, "web")
    await kube.delete(space, f"web-{app}")

    async def gone() -> bool:
        return (await api.get(f"/v3/processes/{guid}")).status == 404

    await eventually(gone)
    await kube.create(deployment("second", space, app))

    async def back() -> bool:
        return (await api.get(f"/v3/processes/{guid}")).status == 200

    await eventually(back)
    assert (await api.get(f"/v3/processes/{guid}")).json["metadata"]["labels"] == {"kept": "yes"}


async def test_older_of_two_deployments_of_a_namespace_that_claim_one_process_is_it(
    api: Api, kube: Kube, space: str, make_app: MakeApp
) -> None:
    app = await make_app("web")
    await asyncio.sleep(1.1)  # Kubernetes' creation times are whole seconds
    await kube.create(deployment("usurper", space, app, replicas=0, command=["usurp"]))
    await make_app("web")
    assert await api.guids(f"/v3/apps/{app}/processes") == [guid_of(app, "web")]
    assert (await api.get(f"/v3/processes/{guid_of(app, 'web')}")).json["command"] == ""
    await kube.delete(space, f"web-{app}")

    async def succeeded() -> bool:
        return bool((await api.get(f"/v3/apps/{app}/processes/web")).json.get("command") == "usurp")

    await eventually(succeeded)


async def test_nonsense_in_a_deployment_never_breaks_a_list(
    api: Api, kube: Kube, space: str, make_app: MakeApp
) -> None:
    app = str(uuid4())
    odd = deployment(
        "odd",
        space,
        app,
        "absurd_TYPE.of-process",
        labels={"cloudfoundry.org/process-guid": "", "cloudfoundry.org/space-guid": ""},
        annotations={
            "cloudfoundry.org/registry-credential-last-synced-at": "yesterday",
            "cloudfoundry.org/version": "",
        },
    )
    containers = [{"name": f"sidecar-{n}", "image": "x"} for n in range(200)]
    odd["spec"]["template"]["spec"]["containers"] = containers
    odd["spec"]["template"]["metadata"]["annotations"] = {"kubectl.kubernetes.io/default-container": "no-such"}
    await kube.create(odd)
    await kube.create(deployment("without-guid", space, "", "web"))
    fine = await make_app("web")
    everything = await api.all_guids(f"/v3/processes?space_guids={space}")
    assert set(everything) == {guid_of(app, "absurd_TYPE.of-process"), guid_of(fine, "web")}


async def test_change_of_a_namespace_label_moves_its_processes_to_the_other_space(
    api: Api, kube: Kube, space: str, make_app: MakeApp
) -> None:
    guid = guid_of(await make_app("web"), "web")
    assert await api.guids(f"/v3/processes?space_guids={space}") == [guid]
    moved = str(uuid4())
    patch = {"metadata": {"labels": {"cloudfoundry.org/space-guid": moved}}}
    await kube.request("PATCH", f"/api/v1/namespaces/{space}", patch, kind="application/merge-patch+json")

    async def listed_there() -> bool:
        return await api.guids(f"/v3/processes?space_guids={moved}") == [guid]

    await eventually(listed_there)
    assert await api.guids(f"/v3/processes?space_guids={space}") == []
    assert (await api.get(f"/v3/processes/{guid}")).json["links"]["space"]["href"].endswith(f"/v3/spaces/{moved}")


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("page=0", "'page'"),
        ("page=-1", "'page'"),
        ("page=1_0", "'page'"),
        ("page=" + quote("١"), "'page'"),
        ("page=" + "1" + "0" * 30, "'page'"),
        ("page=", "'page'"),
        ("per_page=0", "'per_page'"),
        ("per_page=5001", "'per_page'"),
        ("order_by=name", "'order_by'"),
        ("order_by=created_at%0A", "'order_by'"),
        ("nonsense=1", "'nonsense'"),
        ("embed=sidecars", "'embed'"),
        ("created_ats=yesterday", "'created_ats'"),
        ("created_ats[gt]=2026-02-30T00:00:00Z", "'created_ats[gt]'"),
        ("updated_ats[lt]=2026-01-01T00:00:00Z,2026-01-02T00:00:00Z", "'updated_ats[lt]'"),
        ("label_selector=", "'label_selector'"),
        ("label_selector=a%20in%20()", "'label_selector'"),
        ("label_selector=" + ",".join(["a"] * 51), "'label_selector'"),
    ],
)
async def test_bad_parameter_is_refused_by_name(
    api: Api, make_app: MakeApp, list_path: ListPath, query: str, named: str
) -> None:
    reply = await api.get(f"{list_path('any')}&{query}".replace("?&", "?"))
    if "apps/any" in list_path("any"):
        # 400 comes before 404: the app need not exist.
        assert reply.status == 400
    detail = assert_cf_error(reply, 400, 10005, "CF-BadQueryParameter")
    assert named in detail


async def test_unknown_parameter_names_the_valid_ones(api: Api) -> None:
    detail = assert_cf_error(await api.get("/v3/processes?colour=red"), 400, 10005, "CF-BadQueryParameter")
    assert "'colour'" in detail
    assert "'order_by'" in detail
    assert "'organization_guids'" in detail


@pytest.mark.parametrize("name", ["app_guids", "space_guids", "organization_guids"])
async def test_filters_of_the_whole_list_are_unknown_to_an_app(api: Api, make_app: MakeApp, name: str) -> None:
    reply = await api.get(f"/v3/apps/{await make_app('web')}/processes?{name}=x")
    assert name in assert_cf_error(reply, 400, 10005, "CF-BadQueryParameter")


@pytest.mark.parametrize("odd", ["%zz", "%", "%ff", "%00", "%C3%28"])
async def test_undecodable_path_or_query_is_refused(api: Api, odd: str) -> None:
    for path in (f"/v3/apps/{odd}/processes", f"/v3/processes?guids={odd}", f"/v3/processes?{odd}=1"):
        assert_cf_error(await api.get(path), 400, 10004, "CF-InvalidRequest")


async def test_query_of_100_kb_is_refused(api: Api) -> None:
    reply = await api.get("/v3/processes?guids=" + "a" * 100_000)
    assert_cf_error(reply, 400, 10004, "CF-InvalidRequest")


async def test_a_thousand_guids_in_one_filter_are_welcome(api: Api, make_app: MakeApp) -> None:
    guid = guid_of(await make_app("web"), "web")
    many = ",".join([*(str(uuid4()) for _ in range(1000)), guid])
    assert await api.guids(f"/v3/processes?guids={many}") == [guid]


async def test_space_guid_with_a_comma_travels_encoded_twice(api: Api) -> None:
    assert await api.guids("/v3/processes?space_guids=a%252Cb") == []
    body = (await api.get("/v3/processes?space_guids=a%252Cb")).json
    assert "space_guids=a%252Cb" in body["first"]["href"]
