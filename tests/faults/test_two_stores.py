"""Writes of both stores when one of them, or the service, goes away in the middle: all of it happens, or none."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from deploy.local.stack import Stack
from service.model.process import MetadataChange
from service.model.record import prepared
from service.settings import Settings
from service.store.database import Pool, connected
from service.store.records import Records
from tests.conftest import new_database
from tests.support.api import Api, assert_cf_error, running
from tests.support.apps import an_app
from tests.support.killable import killable
from tests.support.kube import Kube, eventually
from tests.support.proxy import BreakOff, Relay, relaying

BOTH = {
    "command": "new",
    "health_check": {"type": "process", "data": {"timeout": 7}},
    "metadata": {"labels": {"half": "postgres"}, "annotations": {"note": "there"}},
}
"""A PATCH with something for each store."""


def halves(process: Any) -> tuple[bool, bool, bool, bool]:
    """Which parts of BOTH have happened."""
    return (
        process["command"] == "new",
        process["health_check"]["data"]["timeout"] == 7,
        process["metadata"]["labels"] == {"half": "postgres"},
        process["metadata"]["annotations"] == {"note": "there"},
    )


ALL, NONE = (True,) * 4, (False,) * 4


@pytest.fixture
async def relayed(relay: Relay, settings: Settings, operator_token: str) -> AsyncIterator[Api]:
    """A replica that reaches Kubernetes through the relay; `api` is another one, which does not."""
    configured = replace(settings, kubeconfig=str(relay.kubeconfig), kube_timeout_s=1.5)
    async with running(configured, token=operator_token) as served:
        yield served


@pytest.fixture
async def app(api: Api, kube: Kube, space: str) -> str:
    """The GUID of an app whose web process the service shows rolled out."""
    return await an_app(api, kube, space)


def is_patch(request: web.Request) -> bool:
    return request.method == "PATCH"


def is_done(request: web.Request, status: int) -> bool:
    """Whether Kubernetes has taken its half; of a Deployment just made, the first may be for a version that is past."""
    return is_patch(request) and status == 200


async def pending(settings: Settings, app: str) -> Any:
    async with connected(settings.database_url, 5) as connection:
        return await connection.fetchval("SELECT pending FROM process_metadata WHERE app_guid = $1", app)


async def test_no_answer_from_kubernetes_after_it_took_its_half_means_all_happened(
    api: Api, relay: Relay, relayed: Api, app: str
) -> None:
    async def lose_the_answer(request: web.Request, status: int) -> None:
        if is_done(request, status):
            raise BreakOff

    relay.after = lose_the_answer
    path = f"/v3/apps/{app}/processes/web"
    refused = await relayed.patch(path, BOTH)
    assert_cf_error(refused, 503, 10015, "CF-ServiceUnavailable")
    assert int(refused.headers["Retry-After"]) >= 1
    relay.after = None
    for replica in (api, relayed):

        async def happened(replica: Api = replica) -> bool:
            found = halves((await replica.get(path)).json)
            assert found in (ALL, NONE)
            return found == ALL

        await eventually(happened)
    # The next write builds on it, and makes it lasting.
    reply = await api.patch(path, {"metadata": {"labels": {"more": "x"}}})
    assert reply.json["metadata"]["labels"] == {"half": "postgres", "more": "x"}


async def test_no_answer_from_kubernetes_which_never_got_it_means_nothing_happened(
    api: Api, relay: Relay, relayed: Api, app: str
) -> None:
    async def lose_the_question(request: web.Request) -> None:
        if is_patch(request):
            raise BreakOff

    relay.before = lose_the_question
    path = f"/v3/apps/{app}/processes/web"
    assert_cf_error(await relayed.patch(path, BOTH), 503, 10015, "CF-ServiceUnavailable")
    relay.before = None
    for replica in (api, relayed):
        assert halves((await replica.get(path)).json) == NONE
    # The same request again does it all.
    assert halves((await relayed.patch(path, BOTH)).json) == ALL


async def test_patch_that_arrives_late_finds_a_newer_write_and_is_nothing(
    api: Api, kube: Kube, relay: Relay, relayed: Api, app: str
) -> None:
    under_way: list[tuple[web.Request, bytes]] = []

    async def hold_up(request: web.Request) -> None:
        if is_patch(request):
            under_way.append((request, await request.read()))
            raise BreakOff

    relay.before = hold_up
    path = f"/v3/apps/{app}/processes/web"
    assert_cf_error(await relayed.patch(path, BOTH), 503, 10015, "CF-ServiceUnavailable")
    newer = await api.patch(path, {"command": "newer", "metadata": {"labels": {"half": "newer"}}})
    assert newer.status == 200
    for late, body in under_way:
        with pytest.raises(AssertionError, match=": 409 "):
            await kube.request("PATCH", late.raw_path, orjson.loads(body), kind=late.content_type)
    assert under_way
    for replica in (api, relayed):
        process = (await replica.get(path)).json
        assert (process["command"], process["metadata"]["labels"]) == ("newer", {"half": "newer"})
        assert halves(process) == NONE


async def test_metadata_written_while_a_patch_is_under_way_is_not_lost(
    api: Api, relay: Relay, relayed: Api, app: str
) -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def delay(request: web.Request) -> None:
        if is_patch(request):
            arrived.set()
            await go_on.wait()

    relay.before = delay
    path = f"/v3/apps/{app}/processes/web"
    slow = asyncio.create_task(relayed.patch(path, BOTH))
    await arrived.wait()
    # Nothing of what is only prepared shows, and it takes nothing along.
    assert halves((await api.get(path)).json) == NONE
    other = await api.patch(path, {"metadata": {"labels": {"other": "1"}}})
    assert other.json["metadata"]["labels"] == {"other": "1"}
    go_on.set()
    assert (await slow).status == 200
    for replica in (api, relayed):
        labels = (await replica.get(path)).json["metadata"]["labels"]
        assert labels == {"half": "postgres", "other": "1"}


async def test_what_a_dead_writer_has_left_is_in_nobodys_way_though_the_watch_is_late(
    kube: Kube, space: str, settings: Settings, relay: Relay, relayed: Api, app: str
) -> None:
    path = f"/v3/apps/{app}/processes/web"
    assert (await relayed.patch(path, {"command": "one"})).status == 200
    relay.hold("deployments")
    left = MetadataChange({f"left-{n}": "x" for n in range(30)})
    version = int((await kube.get(space, "web"))["metadata"]["resourceVersion"])
    pool = await Pool.open(settings.database_url, size=1, timeout_s=5)
    await Records(pool).change((space, app, "web"), lambda row, _now: prepared(row, "of the dead", left, version))
    await pool.close()
    # Its patch would be refused by now. Who only remembers the Deployment cannot know, and 60 labels are too many.
    await kube.patch_json(space, "web", [{"op": "add", "path": "/metadata/labels/by", "value": "hand"}])
    labels = {f"new-{n}": "x" for n in range(30)}
    reply = await relayed.patch(path, {"command": "two", "metadata": {"labels": labels}})
    assert (reply.status, reply.json["command"]) == (200, "two")
    assert reply.json["metadata"]["labels"] == labels
    assert await pending(settings, app) == {}
    relay.let_go()


async def test_each_attempt_has_a_write_id_of_its_own_and_leaves_none_behind(
    kube: Kube, space: str, settings: Settings, relay: Relay, relayed: Api, app: str
) -> None:
    stored: list[str] = []

    async def be_faster(request: web.Request) -> None:
        if is_patch(request):
            (write_id,) = await pending(settings, app)
            assert write_id in (await request.text())
            stored.append(write_id)
            if len(stored) < 3:
                value = str(len(stored))
                await kube.patch_json(space, "web", [{"op": "add", "path": "/metadata/labels/by", "value": value}])

    relay.before = be_faster
    reply = await relayed.patch(f"/v3/apps/{app}/processes/web", BOTH)
    assert (reply.status, halves(reply.json)) == (200, ALL)
    # A row that had heard of the first attempt would seem to have heard of all that came before the last.
    assert len(set(stored)) == len(stored) == 3
    assert await pending(settings, app) == {}


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_service_killed_between_the_two_stores(
    api: Api, kube: Kube, relay: Relay, settings: Settings, operator_token: str, app: str, moment: str, tmp_path: Path
) -> None:
    path = f"/v3/apps/{app}/processes/web"
    async with killable(relay.kubeconfig, settings, tmp_path) as service:

        async def kill_before(request: web.Request) -> None:
            if is_patch(request):
                service.kill()

        async def kill_after(request: web.Request, status: int) -> None:
            if is_done(request, status):
                service.kill()

        if moment == "before":
            relay.before = kill_before
        else:
            relay.after = kill_after
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                await session.patch(
                    service.url + path, data=orjson.dumps(BOTH), headers={"Authorization": f"Bearer {operator_token}"}
                )
        await service.killed()
    expected = NONE if moment == "before" else ALL

    async def told() -> bool:
        found = halves((await api.get(path)).json)
        assert found in (ALL, NONE)
        return found == expected

    await eventually(told)
    assert len(await pending(settings, app)) == 1
    # Whoever writes next finds it as it is, and tidies up.
    reply = await api.patch(path, {"command": "next", "metadata": {"labels": {"after": "kill"}}})
    kept = {"half": "postgres"} if moment == "after" else {}
    assert reply.json["metadata"]["labels"] == {**kept, "after": "kill"}
    if moment == "after":
        assert await pending(settings, app) == {}


@pytest.fixture
async def fragile(
    fragile_stack: Stack, fragile_kube: Kube, tmp_path: Path
) -> AsyncIterator[tuple[Api, Relay, Settings]]:
    """A replica over the stack whose Postgres can be stopped, that reaches Kubernetes through a relay."""
    token = await fragile_kube.token_of_new_user(cluster_roles=("processes-operator",))
    async with (
        new_database(fragile_stack.database_url) as url,
        relaying(fragile_stack.service_kubeconfig, tmp_path) as relay,
    ):
        configured = Settings(
            database_url=url, kubeconfig=str(relay.kubeconfig), port=0, review_ttl_s=60, database_timeout_s=1
        )
        async with running(configured, token=token) as served:
            yield served, relay, configured


async def test_postgres_dies_after_kubernetes_took_its_half(
    fragile_stack: Stack, fragile_kube: Kube, fragile: tuple[Api, Relay, Settings]
) -> None:
    served, relay, configured = fragile
    space = await fragile_kube.create_namespace()
    app = await an_app(served, fragile_kube, space)
    path = f"/v3/apps/{app}/processes/web"
    stopped = False

    async def stop(request: web.Request, status: int) -> None:
        nonlocal stopped
        if is_done(request, status) and not stopped:
            stopped = True
            await asyncio.to_thread(fragile_stack.postgres.stop)

    relay.after = stop
    try:
        reply = await served.patch(path, BOTH)
        assert reply.status == 200
        assert halves(reply.json) == ALL
        assert "other+replicas" in reply.headers["X-Cf-Warnings"]
    finally:
        await asyncio.to_thread(fragile_stack.postgres.start)

    async def current() -> bool:
        return "Warning" not in (await served.get(path)).headers

    await eventually(current, 20)
    assert halves((await served.get(path)).json) == ALL
    async with running(
        replace(configured, kubeconfig=str(fragile_stack.service_kubeconfig)), token=served.token
    ) as two:
        assert halves((await two.get(path)).json) == ALL


async def test_postgres_away_means_no_half_of_a_write_that_needs_it_and_scaling_goes_on(
    fragile_stack: Stack, fragile_kube: Kube, fragile: tuple[Api, Relay, Settings]
) -> None:
    served, _, _ = fragile
    space = await fragile_kube.create_namespace()
    app = await an_app(served, fragile_kube, space)
    path = f"/v3/apps/{app}/processes/web"
    await asyncio.to_thread(fragile_stack.postgres.stop)
    try:
        before = await fragile_kube.intent(space, "web")
        for body in (BOTH, {"metadata": {"labels": {"a": "b"}}}):
            refused = await served.patch(path, body)
            assert_cf_error(refused, 503, 10015, "CF-ServiceUnavailable")
            assert int(refused.headers["Retry-After"]) >= 1
        refused = await served.post(f"{path}/actions/scale", {"instances": 1, "log_rate_limit_in_bytes_per_second": 5})
        assert_cf_error(refused, 503, 10015, "CF-ServiceUnavailable")
        assert await fragile_kube.intent(space, "web") == before
        scaled = await served.post(f"{path}/actions/scale", {"instances": 2})
        assert (scaled.status, scaled.json["instances"]) == (202, 2)
        assert "other+replicas" in scaled.headers["X-Cf-Warnings"]
        for action, state in (("stop", "STOPPED"), ("start", "STARTED")):
            acted = await served.post(f"/v3/apps/{app}/actions/{action}")
            assert (acted.status, acted.json["state"]) == (200, state)
            assert "other+replicas" in acted.headers["X-Cf-Warnings"]
        refused = await served.patch(f"/v3/apps/{app}", {"metadata": {"labels": {"a": "b"}}})
        assert_cf_error(refused, 503, 10015, "CF-ServiceUnavailable")
        assert (await served.get(path)).json["instances"] == 2

        async def numbered() -> bool:
            stats = await served.get(f"{path}/stats")
            assert stats.status == 200
            assert "Warning" in stats.headers
            return [row["state"] for row in stats.json["resources"]] == ["RUNNING", "RUNNING"]

        await eventually(numbered, 20)
        assert (await served.delete(f"{path}/instances/0")).status == 204
    finally:
        await asyncio.to_thread(fragile_stack.postgres.start)

    async def heals() -> bool:
        return (await served.patch(path, BOTH)).status == 200

    await eventually(heals, 20)
    assert halves((await served.get(path)).json) == ALL


async def test_kube_apiserver_away_means_nothing_is_written_anywhere(
    fragile_stack: Stack, fragile_kube: Kube, fragile: tuple[Api, Relay, Settings]
) -> None:
    served, _, _ = fragile
    space = await fragile_kube.create_namespace()
    app = await an_app(served, fragile_kube, space)
    path = f"/v3/apps/{app}/processes/web"
    await asyncio.to_thread(fragile_stack.control_plane.stop_apiserver)
    try:
        for reply in (
            await served.patch(path, BOTH),
            await served.patch(path, {"metadata": {"labels": {"a": "b"}}}),
            await served.post(f"{path}/actions/scale", {"instances": 1}),
            await served.delete(f"{path}/instances/0"),
        ):
            if reply.status == 404:
                # No instance: known without asking.
                assert_cf_error(reply, 404, 10010, "CF-ResourceNotFound", "Instance not found")
                continue
            assert_cf_error(reply, 503, 10015, "CF-ServiceUnavailable")
            assert int(reply.headers["Retry-After"]) >= 1
    finally:
        await asyncio.to_thread(fragile_stack.control_plane.start_apiserver)

    async def current() -> bool:
        reply = await served.get(path)
        return reply.status == 200 and "Warning" not in reply.headers

    await eventually(current, 30)
    process = (await served.get(path)).json
    assert halves(process) == NONE
    assert process["metadata"]["labels"] == {}


async def test_who_may_no_longer_change_it_is_refused_though_it_was_theirs_to_change_a_moment_ago(
    settings: Settings, kube: Kube, space: str, app: str
) -> None:
    token = await kube.token_of_new_user(
        cluster_roles=("processes-api", "processes-reader"), roles_in={space: "processes-operator"}
    )
    bindings = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space}/rolebindings"
    path = f"/v3/apps/{app}/processes/web"
    async with running(replace(settings, review_ttl_s=60), token=token) as served:
        assert (await served.patch(path, BOTH)).status == 200
        for binding in (await kube.request("GET", bindings))["items"]:
            await kube.request("DELETE", f"{bindings}/{binding['metadata']['name']}")

        async def refused() -> bool:
            # Of metadata alone nobody but the review decides, so that it is asked for each time.
            return (await served.patch(path, {"metadata": {"labels": {"half": "other"}}})).status == 403

        await eventually(refused)
        before = (await served.get(path)).json
        again = {**BOTH, "command": "newer", "metadata": {"labels": {"half": "another"}}}
        reply = await served.patch(path, again)
        assert_cf_error(reply, 403, 10003, "CF-NotAuthorized")
        after = (await served.get(path)).json
        assert (after["command"], after["metadata"]) == ("new", before["metadata"])
        assert await pending(settings, app) == {}
