"""Answers sent again: nobody can tell them from those that are worked out, and none of them outlives what it says."""

import gzip
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from service.cluster.access import FEW, ClusterAccess
from service.http.keys import ACCESS
from service.http.ready_answers import HEADS_BYTES
from service.model.process import Metadata
from service.settings import Settings
from service.store.database import connected as connected_to
from service.store.records import load
from tests.support.api import Api, Reply, assert_cf_error, running
from tests.support.apps import MakeApp, Users
from tests.support.kube import Kube, deployment, eventually, guid_of
from tests.support.metrics import scrape
from tests.support.ready_answers import LASTING_S, again, ready, told
from tests.support.sockets import connected, head


async def worked_out(api: Api, path: str, headers: Mapping[str, str] | None = None) -> Reply:
    """The answer to a request that was never made before: one header more makes it another."""
    sent = ready(api).sent
    reply = await api.get(path, headers={**(headers or {}), "X-Another": "1"})
    assert ready(api).sent == sent
    return reply


PATHS: list[Callable[[str], str]] = [
    lambda _: "/v3/processes?per_page=2",
    lambda app: f"/v3/processes?app_guids={app}&order_by=-created_at",
    lambda app: f"/v3/processes/{guid_of(app, 'web')}",
    lambda app: f"/v3/apps/{app}/processes",
    lambda app: f"/v3/apps/{app}/processes/web",
    lambda app: f"/v3/apps/{app}",
    lambda _: "/v3/apps",
    lambda _: "/v3/spaces",
    lambda _: "/v3/organizations?order_by=name",
    lambda app: f"/v3/apps/{app}/droplets",
    lambda app: f"/v3/processes/{guid_of(app, 'web')}/sidecars",
]


@pytest.mark.parametrize("headers", [{}, {"Accept-Encoding": "gzip"}, {"X-Request-Id": "mine"}], ids=str)
@pytest.mark.parametrize("path", PATHS)
async def test_an_answer_sent_again_is_the_one_that_is_worked_out(
    lasting: Api, make_app: MakeApp, path: Callable[[str], str], headers: Mapping[str, str]
) -> None:
    asked = path(await make_app("web", "worker"))

    async def the_same() -> tuple[Reply, Reply] | None:
        one, other = await again(lasting, asked, headers), await worked_out(lasting, asked, headers)
        return (other, one) if told(one) == told(other) else None

    # What the controllers still change in between is shown by one of them only.
    first, second = await eventually(the_same, 10)
    assert first.headers["X-Vcap-Request-Id"] != second.headers["X-Vcap-Request-Id"]
    assert first.headers["X-Vcap-Request-Id"].startswith("mine::") == ("X-Request-Id" in headers)
    assert second.headers["Date"]


async def test_a_large_page_is_sent_again_compressed(lasting: Api, make_app: MakeApp) -> None:
    app = await make_app(*(f"kind-{number}" for number in range(12)))
    path, packed = f"/v3/apps/{app}/processes", {"Accept-Encoding": "gzip"}
    plain, small = await again(lasting, path), await again(lasting, path, packed)
    assert small.headers["Content-Encoding"] == "gzip"
    assert len(small.body) < len(plain.body) / 2
    assert gzip.decompress(small.body) == plain.body


async def test_who_has_it_already_is_told_so_again(lasting: Api, make_app: MakeApp) -> None:
    path = f"/v3/apps/{await make_app('web')}/processes"
    has_it = {"If-None-Match": (await lasting.get(path)).headers["ETag"]}
    assert told(await again(lasting, path, has_it)) == told(await worked_out(lasting, path, has_it))
    assert (await lasting.get(path, headers=has_it)).status == 304


async def test_links_lead_to_where_each_caller_has_come_from(lasting: Api, make_app: MakeApp) -> None:
    path = f"/v3/apps/{await make_app('web')}/processes"
    for name in ("one.example.org", "two.example.org"):
        reply = await again(lasting, path, {"Host": name})
        assert reply.json["first"]["href"].startswith(f"http://{name}/v3/")


async def test_what_a_proxy_says_counts_from_the_address_of_a_trusted_one_only(
    settings: Settings, operator_token: str, make_app: MakeApp
) -> None:
    path = f"/v3/apps/{await make_app('web')}/processes"
    said = {"X-Forwarded-Host": "outside.example.org", "X-Forwarded-Proto": "https"}
    own = replace(settings, trusted_proxies=("127.0.0.2/32",), review_ttl_s=LASTING_S)
    async with running(own, token=operator_token) as served:
        own_links = await again(served, path, said)
        assert own_links.json["first"]["href"].startswith(served.url)
        request = head("GET", path, operator_token, **{name.replace("-", "_"): text for name, text in said.items()})
        for address, base in (("127.0.0.2", "https://outside.example.org/"), ("127.0.0.3", "http://localhost/")):
            async with connected(served, local_address=address) as client:
                for _ in range(3):
                    await client.send(request)
                    assert (await client.reply()).json["first"]["href"].startswith(base)


async def test_a_change_in_either_store_ends_it(
    lasting: Api, settings: Settings, kube: Kube, space: str, make_app: MakeApp
) -> None:
    app = await make_app("web")
    path = f"/v3/apps/{app}/processes/web"
    await again(lasting, path)
    # Written elsewhere, as another replica would: the very next read shows it.
    async with connected_to(settings.database_url, 5) as connection:
        await load(connection, [Metadata(namespace=space, app_guid=app, type="web", labels={"a": "b"})])
    assert (await lasting.get(path)).json["metadata"]["labels"] == {"a": "b"}
    await again(lasting, path)
    await kube.patch(space, f"web-{app}", {"spec": {"replicas": 3}})

    async def scaled() -> bool:
        return bool((await lasting.get(path)).json["instances"] == 3)

    await eventually(scaled)


async def test_who_writes_reads_what_they_wrote_however_often_it_was_read_before(
    lasting: Api, make_app: MakeApp
) -> None:
    app = await make_app("web")
    path = f"/v3/processes/{guid_of(app, 'web')}"
    for number in range(1, 20):
        await again(lasting, path)
        label, instances = {"metadata": {"labels": {"n": str(number)}}}, {"instances": number}
        assert (await lasting.patch(path, label)).status == 200
        assert (await lasting.get(path)).json["metadata"]["labels"] == {"n": str(number)}
        assert (await lasting.post(f"{path}/actions/scale", instances)).status == 202
        assert (await lasting.get(path)).json["instances"] == number


async def test_what_comes_or_goes_ends_a_list(lasting: Api, kube: Kube, space: str, make_app: MakeApp) -> None:
    app = await make_app("web")
    path = f"/v3/apps/{app}/processes"

    async def types() -> list[str]:
        return sorted(process["type"] for process in (await lasting.get(path)).json["resources"])

    async def shows(*wanted: str) -> bool:
        return await types() == list(wanted)

    await again(lasting, path)
    await kube.create(deployment(f"worker-{app}", space, app, "worker"))
    await eventually(lambda: shows("web", "worker"))
    await again(lasting, path)
    await kube.delete(space, f"worker-{app}")
    await eventually(lambda: shows("web"))


async def test_each_sees_their_own_however_alike_they_ask(lasting: Api, users: Users, make_app: MakeApp) -> None:
    path = f"/v3/processes/{guid_of(await make_app('web'), 'web')}"
    for token, status in ((users.viewer, 200), (users.stranger, 404), (users.nobody, 403), (None, 401), ("x", 401)):
        for _ in range(3):
            assert (await lasting.as_user(token).get(path)).status == status


@pytest.mark.parametrize("path", ["/v3/processes", "/v3/apps/{app}/processes", "/v3/processes/{guid}"])
async def test_rights_that_are_taken_away_end_it_within_the_time_reviews_last(
    api: Api, kube: Kube, users: Users, space: str, make_app: MakeApp, path: str
) -> None:
    app = await make_app("web")
    asked, viewer = path.format(app=app, guid=guid_of(app, "web")), api.as_user(users.viewer)

    async def shows_it() -> bool:
        reply = await viewer.get(asked)
        return reply.status == 200 and app.encode() in reply.body

    await eventually(shows_it)
    bindings = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space}/rolebindings"
    (name,) = [
        binding["metadata"]["name"]
        for binding in (await kube.request("GET", bindings))["items"]
        if binding["roleRef"]["name"] == "processes-reader"
    ]
    await kube.request("DELETE", f"{bindings}/{name}")

    async def hidden() -> bool:
        return not await shows_it()

    await eventually(hidden, 5)


async def test_requests_are_counted_all_the_same(lasting: Api) -> None:
    labels = {"method": "GET", "route": "/v3/apps", "status": "200"}
    before = (await scrape(lasting)).value("cf_processes_requests_total", **labels)
    for _ in range(5):
        await lasting.get("/v3/apps")
    assert (await scrape(lasting)).value("cf_processes_requests_total", **labels) == before + 5


async def test_who_asks_for_more_in_turn_than_is_kept_finds_some_of_it_ready(
    settings: Settings, operator_token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where what was asked for longest ago made room for each, none would be there when its turn comes."""
    monkeypatch.setattr("service.http.ready_answers.READY_BYTES", HEADS_BYTES + 64 * 1024)
    paths = [f"/v3/processes?per_page=1&guids={number}" for number in range(60)]
    async with running(replace(settings, review_ttl_s=LASTING_S), token=operator_token) as api:
        for path in paths:
            await api.get(path)
        assert 0 < ready(api).size <= HEADS_BYTES + 64 * 1024
        before = ready(api).sent
        for path in paths * 5:
            await api.get(path)
        assert ready(api).sent - before > len(paths) / 2
        # And what is asked for from now on gets its place.
        await again(api, "/v3/spaces")


async def test_rate_limits_hold(settings: Settings, operator_token: str) -> None:
    own = replace(settings, rate_limit_requests=6, rate_limit_window_s=600, review_ttl_s=LASTING_S)
    async with running(own, token=operator_token) as served:
        left = [(await served.get("/v3/apps")).headers["X-RateLimit-Remaining"] for _ in range(6)]
        assert left == ["5", "4", "3", "2", "1", "0"]
        assert ready(served).sent > 0
        assert_cf_error(await served.get("/v3/apps"), 429, 10013, "CF-RateLimitExceeded")


@pytest.mark.parametrize(
    ("line", "closes"),
    [
        ("HTTP/1.0", True),
        ("HTTP/1.1\r\nConnection: close", True),
        ("HTTP/1.1\r\nContent-Length: 0", False),
        ("HTTP/1.1", False),
    ],
)
async def test_connections_end_as_their_clients_ask(lasting: Api, line: str, closes: bool) -> None:
    request = head("GET", "/v3/apps", lasting.token).replace(b"HTTP/1.1", line.encode(), 1)
    for _ in range(3):
        async with connected(lasting) as client:
            await client.send(request)
            reply = await client.reply()
            assert reply.status == 200
            assert (reply.headers.get("Connection") == "close") == (closes and "1.1" in line)
            if closes:
                assert await client.rest() == b""
            else:
                await client.send(request)
                assert (await client.reply()).status == 200


async def test_requests_sent_all_at_once_are_answered_in_their_order(lasting: Api, make_app: MakeApp) -> None:
    sidecars = f"/v3/processes/{guid_of(await make_app('web'), 'web')}/sidecars"
    paths = [f"{sidecars}?per_page={number}" for number in (1, 2, 3)]
    wanted = [(await again(lasting, path, {"Host": "localhost"})).body for path in paths]
    async with connected(lasting) as client:
        await client.send(b"".join(head("GET", path, lasting.token) for path in paths * 4))
        assert [(await client.reply()).body for _ in paths * 4] == wanted * 4


async def test_a_token_whose_time_is_over_gets_nothing_more(
    settings: Settings, kube: Kube, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/v3/apps/{await make_app('web')}/processes"
    async with running(replace(settings, review_ttl_s=LASTING_S)) as served:
        user = served.as_user(await kube.token_of_new_user(cluster_roles=("processes-operator",)))
        await again(user, path)
        access = served.application[ACCESS]
        assert isinstance(access, ClusterAccess)
        # An hour and a bit: ServiceAccounts' tokens are good for one.
        monkeypatch.setattr(access, "_wall_clock", lambda: time.time() + 4000)
        assert_cf_error(await user.get(path), 401, 1000, "CF-InvalidAuthToken")


@pytest.mark.parametrize(
    "path", ["/v3/apps/{app}/processes", "/v3/processes/{guid}", "/v3/apps/{app}", "/v3/processes?per_page=1"]
)
async def test_what_changes_elsewhere_ends_nothing(
    lasting: Api, kube: Kube, space: str, make_app: MakeApp, path: str
) -> None:
    """As the cluster of a platform always changes, and mostly not where somebody looks."""
    app, other = await make_app("web"), await make_app("web")
    asked = path.format(app=app, guid=guid_of(app, "web"))
    for number in range(1, 6):
        await again(lasting, asked)
        scale = f"/v3/processes/{guid_of(other, 'web')}/actions/scale"
        assert (await lasting.post(scale, {"instances": number})).status == 202
        sent = ready(lasting).sent

        async def sent_again(sent: int = sent) -> bool:
            await lasting.get(asked)
            return ready(lasting).sent > sent

        await eventually(sent_again, 5)
        shown = (await lasting.get(f"/v3/processes/{guid_of(other, 'web')}")).json["instances"]
        assert shown == number


async def test_a_second_process_of_the_guid_ends_the_answer_of_the_one(
    lasting: Api, kube: Kube, space: str, make_app: MakeApp
) -> None:
    app, other = await make_app("web"), await kube.create_namespace()
    path = f"/v3/apps/{app}/processes/web"
    assert "X-Cf-Warnings" not in (await again(lasting, path)).headers
    await kube.create(deployment(f"web-{app}", other, app))

    async def warned() -> bool:
        return "X-Cf-Warnings" in (await lasting.get(path)).headers

    await eventually(warned)
    await kube.delete_namespace(other)


async def test_who_sees_many_namespaces_and_not_all_is_answered_again_as_well(
    lasting: Api, kube: Kube, make_app: MakeApp
) -> None:
    seen = [await kube.create_namespace() for _ in range(FEW + 2)]
    apps = [await make_app("web", namespace=namespace) for namespace in seen[:-1]]
    hidden = await make_app("web")
    viewer = lasting.as_user(
        await kube.token_of_new_user(cluster_roles=("processes-api",), roles_in=dict.fromkeys(seen, "processes-reader"))
    )
    shown = {app.json["guid"] for app in [await viewer.get(f"/v3/apps/{guid}") for guid in apps]}
    assert shown == set(apps)
    before = await again(viewer, "/v3/apps?per_page=100")
    assert {app["guid"] for app in before.json["resources"]} == set(apps)
    assert told(before) == told(await worked_out(viewer, "/v3/apps?per_page=100"))
    apps.append(await make_app("web", namespace=seen[-1]))

    async def shows_all() -> bool:
        return set(await viewer.guids("/v3/apps?per_page=100")) == set(apps)

    await eventually(shows_all)
    assert hidden.encode() not in (await again(viewer, "/v3/apps?per_page=100")).body
    for namespace in seen:
        await kube.delete_namespace(namespace)


async def test_a_reader_who_takes_nothing_holds_up_nobody(lasting: Api, make_app: MakeApp) -> None:
    app = await make_app(*(f"kind-{number}" for number in range(20)))
    path = f"/v3/apps/{app}/processes"
    size = len((await again(lasting, path, {"Host": "localhost"})).body)
    async with connected(lasting, receive_buffer=4096) as slow:
        # More than the system keeps for a client, all of it ready.
        requests = 1 + (1 << 20) // size
        await slow.send(head("GET", path, lasting.token) * requests)
        for _ in range(20):
            assert (await lasting.get(path, headers={"Host": "localhost"})).status == 200
        for _ in range(requests):
            assert len((await slow.reply()).body) == size


async def test_who_has_no_requests_left_costs_postgres_none(settings: Settings, operator_token: str) -> None:
    own = replace(settings, rate_limit_requests=6, rate_limit_window_s=600, review_ttl_s=LASTING_S)
    async with running(own, token=operator_token) as served:
        for _ in range(6):
            assert (await served.get("/v3/apps")).status == 200
        assert ready(served).sent > 0
        before = await probes(served)
        for _ in range(20):
            assert (await served.get("/v3/apps")).status == 429
        # One or another comes by itself, while nobody reads.
        assert await probes(served) < before + 5


async def probes(api: Api) -> float:
    return (await scrape(api)).value("cf_processes_metadata_probes_total")


@pytest.mark.parametrize(
    "path",
    [
        "/v3/apps?guids={app}",
        "/v3/apps/{app}",
        "/v3/apps/{app}/droplets",
        "/v3/apps/{app}/relationships/current_droplet",
        "/v3/deployments?app_guids={app}",
        "/v3/processes/{guid}",
        "/v3/apps/{app}/processes",
    ],
)
async def test_what_an_answer_holds_counts_whether_or_not_it_shows_it(
    lasting: Api, make_app: MakeApp, path: str
) -> None:
    app = await make_app("web")
    guid = guid_of(app, "web")
    texts = {f"key-{number}": "x" * 5000 for number in range(40)}
    assert (await lasting.patch(f"/v3/processes/{guid}", {"metadata": {"annotations": texts}})).status == 200
    before = ready(lasting).size
    # Each change of theirs leaves behind what was, for as long as some answer shows anything of it.
    await again(lasting, path.format(app=app, guid=guid))
    assert ready(lasting).size > before + 40 * 5000


async def test_ids_that_proxies_give_each_request_make_it_no_other(lasting: Api) -> None:
    path = "/v3/spaces?per_page=1"
    await again(lasting, path)
    before = ready(lasting).size
    for name in ("X-Request-Id", "X-Vcap-Request-Id", "Traceparent"):
        for value in ("one", "two"):
            reply = await again(lasting, path, {name: value})
            assert reply.headers["X-Vcap-Request-Id"].startswith(f"{value}::") == (name != "Traceparent")
    assert ready(lasting).size == before


@pytest.mark.parametrize("path", ["/v3/apps/{app}/processes", "/v3/apps/{app}/processes/web"])
async def test_what_is_in_several_namespaces_is_worked_out_each_time(
    lasting: Api, kube: Kube, make_app: MakeApp, path: str
) -> None:
    """Anybody may use a GUID in thousands of them, and an answer would hold them all."""
    app, other = await make_app("web"), await kube.create_namespace()
    asked = path.format(app=app)
    await kube.create(deployment(f"web-{app}", other, app))

    async def warned() -> bool:
        return "X-Cf-Warnings" in (await lasting.get(asked)).headers

    await eventually(warned)
    sent = ready(lasting).sent
    for _ in range(5):
        assert await warned()
    assert ready(lasting).sent == sent
    await kube.delete_namespace(other)


async def test_what_is_known_to_have_changed_asks_postgres_once(lasting: Api, make_app: MakeApp) -> None:
    path = f"/v3/processes/{guid_of(await make_app('web'), 'web')}"
    asked = 0.0
    for number in range(10):
        await again(lasting, path)
        assert (await lasting.patch(path, {"metadata": {"labels": {"n": str(number)}}})).status == 200
        before = await probes(lasting)
        assert (await lasting.get(path)).json["metadata"]["labels"] == {"n": str(number)}
        asked += await probes(lasting) - before
    # One or another comes by itself.
    assert asked < 15
