"""What a replica says while its watches are late: of processes made anew, of what it cannot find, and how soon."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from uuid import uuid4

import pytest
from aiohttp import web

from service.freshness import LONGEST_S
from service.model.labels import Keys
from service.settings import Settings
from service.store.database import connected
from tests.support.api import Api, assert_cf_error, running
from tests.support.apps import MakeApp
from tests.support.kube import Kube, deployment, eventually, guid_of
from tests.support.proxy import BreakOff, Relay

AT_ONCE_S = 0.8
"""Less than anybody waits for a watch."""


@pytest.fixture
async def reader(relay: Relay, settings: Settings, operator_token: str) -> AsyncIterator[Api]:
    """A replica whose watches may be held back; `api` is another one."""
    configured = replace(settings, kubeconfig=str(relay.kubeconfig), database_timeout_s=1, review_ttl_s=60)
    async with running(configured, token=operator_token) as served:
        yield served


@pytest.fixture
async def app(make_app: MakeApp, reader: Api) -> str:
    """The GUID of an app whose web process both replicas show."""
    guid = await make_app("web")

    async def shown() -> bool:
        return bool((await reader.get(f"/v3/apps/{guid}/processes/web")).json.get("version") == "1")

    await eventually(shown)
    return guid


def refuse_to_answer(relay: Relay) -> None:
    """From now on Kubernetes answers none of the replica's questions, and its watches say nothing."""

    async def refuse(request: web.Request) -> None:
        if request.method == "GET" and "watch=true" not in request.raw_path:
            raise BreakOff

    relay.hold("deployments")
    relay.before = refuse


async def make_anew(kube: Kube, space: str, app: str) -> None:
    name = f"web-{app}"
    former = (await kube.get(space, name))["metadata"]["uid"]
    await kube.delete(space, name)

    async def is_gone() -> bool:
        return all(each["metadata"]["uid"] != former for each in await kube.deployments(space))

    await eventually(is_gone)
    await kube.create(deployment(name, space, app))


@pytest.mark.parametrize("writer", ["this replica", "another one"])
async def test_a_process_made_anew_is_shown_as_it_is_though_the_watch_is_late(
    api: Api, kube: Kube, space: str, relay: Relay, reader: Api, app: str, writer: str
) -> None:
    path = f"/v3/apps/{app}/processes/web"
    relay.hold("deployments")
    await make_anew(kube, space, app)
    through = reader if writer == "this replica" else api
    if through is api:

        async def heard_of() -> bool:
            created = (await kube.get(space, f"web-{app}"))["metadata"]["creationTimestamp"]
            return bool((await api.get(path)).json["created_at"] == created)

        await eventually(heard_of)
    assert (await through.post(f"{path}/actions/scale", {"memory_in_mb": 77})).status == 202
    for _ in range(3):
        reply = await reader.get(path)
        assert (reply.status, reply.json["memory_in_mb"]) == (200, 77)
        assert "Warning" not in reply.headers
        (listed,) = (await reader.get(f"/v3/processes?app_guids={app}")).json["resources"]
        assert listed["memory_in_mb"] == 77
    # The late events of the former one undo nothing.
    relay.let_go()
    for _ in range(20):
        assert (await reader.get(path)).json["memory_in_mb"] == 77
        await asyncio.sleep(0.02)


async def test_one_whose_labels_have_changed_is_not_lost_by_an_answer_that_had_it_no_more(
    api: Api, kube: Kube, space: str, relay: Relay, reader: Api, app: str
) -> None:
    other = str(uuid4())
    relay.hold("deployments")
    # An answer is asked for because of another process of the app.
    await kube.create(deployment(f"worker-{app}", space, app, "worker"))
    path = f"/v3/apps/{app}/processes"

    async def both() -> bool:
        return len((await api.get(path)).json["resources"]) == 2

    await eventually(both)
    relabel = {"metadata": {"labels": {"cloudfoundry.org/app-guid": other}}}
    await kube.patch(space, f"web-{app}", relabel)
    assert (await api.post(f"{path}/worker/actions/scale", {"memory_in_mb": 99})).status == 202
    (worker,) = (await reader.get(path)).json["resources"]
    assert (worker["type"], worker["memory_in_mb"]) == ("worker", 99)
    relay.let_go()

    async def moved() -> bool:
        return (await reader.get(f"/v3/apps/{other}/processes/web")).status == 200

    await eventually(moved)


@pytest.mark.parametrize("where", ["one", "by guid", "list of app", "list", "stats", "write"])
async def test_what_is_not_found_because_it_is_late_is_marked_like_any_answer(
    api: Api, kube: Kube, space: str, relay: Relay, reader: Api, where: str
) -> None:
    app = str(uuid4())
    refuse_to_answer(relay)
    await kube.create(deployment("web", space, app))
    path = f"/v3/apps/{app}/processes/web"

    async def there() -> bool:
        return (await api.get(path)).status == 200

    await eventually(there)
    assert (await api.post(f"{path}/actions/scale", {"memory_in_mb": 64})).status == 202
    if where == "write":
        reply = await reader.patch(path, {"metadata": {"labels": {"a": "b"}}})
    else:
        paths = {
            "one": path,
            "by guid": f"/v3/processes/{guid_of(app, 'web')}",
            "list of app": f"/v3/apps/{app}/processes",
            "list": f"/v3/processes?app_guids={app}",
            "stats": f"{path}/stats",
        }
        reply = await reader.get(paths[where])
    if where == "list":
        assert (reply.status, reply.json["total_results"]) == (200, 0)
    else:
        assert_cf_error(reply, 404, 10010, "CF-ResourceNotFound")
    assert reply.headers["Warning"].startswith('110 - "Kubernetes cannot be reached')
    assert "Kubernetes+cannot+be+reached" in reply.headers["X-Cf-Warnings"]


async def test_who_may_not_see_what_is_late_is_neither_kept_waiting_nor_told(
    api: Api, kube: Kube, space: str, relay: Relay, reader: Api, app: str
) -> None:
    stranger = reader.as_user(await kube.token_of_new_user(cluster_roles=("processes-api",)))
    await stranger.get("/v3/processes")
    relay.hold("deployments")
    assert (await api.post(f"/v3/apps/{app}/processes/web/actions/scale", {"memory_in_mb": 64})).status == 202
    late, absent = f"/v3/apps/{app}/processes/web", f"/v3/apps/{uuid4()}/processes/web"
    for path, other in ((late, absent), ("/v3/processes", "/v3/processes?types=none")):
        started = time.monotonic()
        found = await stranger.get(path)
        assert time.monotonic() - started < AT_ONCE_S
        assert "Warning" not in found.headers
        assert found.status == (await stranger.get(other)).status
    assert (await stranger.get(late)).body == (await stranger.get(absent)).body


@pytest.mark.parametrize(
    "path_of",
    [
        lambda app: f"/v3/apps/{app}/processes/web",
        lambda app: f"/v3/processes/{guid_of(app, 'web')}",
        lambda app: f"/v3/apps/{app}/processes",
        lambda app: f"/v3/processes?app_guids={app}",
    ],
    ids=["one", "by guid", "list of app", "list"],
)
async def test_nobody_waits_for_what_their_answer_does_not_show_and_nobody_waits_long(
    api: Api, relay: Relay, reader: Api, app: str, make_app: MakeApp, path_of: Callable[[str], str]
) -> None:
    other = await make_app("web")

    async def shown() -> bool:
        return (await reader.get(path_of(other))).status == 200

    await eventually(shown)

    async def hang(request: web.Request) -> None:
        if request.method == "GET" and "labelSelector" in request.raw_path and "watch=true" not in request.raw_path:
            await asyncio.sleep(30)

    relay.hold("deployments")
    relay.before = hang
    assert (await api.post(f"/v3/apps/{app}/processes/web/actions/scale", {"memory_in_mb": 64})).status == 202
    slow = asyncio.create_task(reader.get(path_of(app)))
    started = time.monotonic()
    for _ in range(5):
        reply = await reader.get(path_of(other))
        assert (reply.status, "Warning" in reply.headers) == (200, False)
    assert time.monotonic() - started < AT_ONCE_S
    reply = await slow
    assert time.monotonic() - started < LONGEST_S + 1
    assert reply.headers["Warning"].startswith("110 ")
    # Nobody tries again for a while.
    started = time.monotonic()
    assert "Warning" in (await reader.get(path_of(app))).headers
    assert "Warning" not in (await reader.get(path_of(other))).headers
    assert time.monotonic() - started < AT_ONCE_S
    relay.before = None
    relay.let_go()


@pytest.mark.parametrize("annotation", ["made-up", None], ids=["made up", "taken off"])
async def test_a_write_id_that_is_nobodys_hides_nothing(
    kube: Kube, space: str, reader: Api, app: str, annotation: str | None
) -> None:
    path, name = f"/v3/apps/{app}/processes/web", f"web-{app}"
    body = {"memory_in_mb": 64, "log_rate_limit_in_bytes_per_second": 64}
    assert (await reader.post(f"{path}/actions/scale", body)).status == 202
    annotations = {Keys().last_write: annotation}
    await kube.patch(space, name, {"metadata": {"annotations": annotations}, "spec": {"replicas": 3}})

    async def shown() -> bool:
        reply = await reader.get(path)
        assert "Warning" not in reply.headers
        assert reply.json["log_rate_limit_in_bytes_per_second"] == 64
        return bool(reply.json["instances"] == 3)

    await eventually(shown, 2)


async def test_a_termination_that_other_replicas_are_not_told_of_says_so(
    kube: Kube, space: str, reader: Api, settings: Settings
) -> None:
    app = str(uuid4())
    await kube.create(deployment("web", space, app, replicas=1))
    path = f"/v3/apps/{app}/processes/web"

    async def runs() -> bool:
        reply = await reader.get(f"{path}/stats")
        return reply.status == 200 and [row["state"] for row in reply.json["resources"]] == ["RUNNING"]

    await eventually(runs, 20)
    async with connected(settings.database_url, 5) as connection, connection.transaction():
        await connection.execute("SELECT FROM process_metadata WHERE app_guid = $1 FOR UPDATE", app)
        reply = await reader.delete(f"{path}/instances/0")
    assert (reply.status, reply.body) == (204, b"")
    assert "other+replicas+may+show+this+change+later" in reply.headers["X-Cf-Warnings"]
