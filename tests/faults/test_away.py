"""Postgres or kube-apiserver really stopped, under a service that goes on answering."""

import asyncio
from dataclasses import replace

import pytest

from deploy.local.stack import Stack
from service.model.process import Metadata
from service.settings import Settings
from service.store.database import connected
from service.store.records import load
from tests.support.api import Api, assert_cf_error, running
from tests.support.apps import an_app
from tests.support.kube import Kube, eventually
from tests.support.metrics import scrape


@pytest.fixture
def fragile_settings(fragile_settings: Settings) -> Settings:
    return replace(fragile_settings, database_timeout_s=1)


async def an_app_of_its_own(api: Api, kube: Kube) -> tuple[str, str]:
    """A namespace and the GUID of an app in it whose web process the service shows."""
    space = await kube.create_namespace()
    return space, await an_app(api, kube, space)


async def test_reads_go_on_marked_while_postgres_is_away_and_heal(
    fragile_stack: Stack, fragile_settings: Settings, fragile_kube: Kube
) -> None:
    token = await fragile_kube.token_of_new_user(cluster_roles=("processes-operator",))
    async with running(fragile_settings, token=token) as api:
        space, app = await an_app_of_its_own(api, fragile_kube)
        async with connected(fragile_settings.database_url, 5) as connection:
            await load(connection, [Metadata(namespace=space, app_guid=app, type="web", labels={"kept": "yes"})])
        path = f"/v3/apps/{app}/processes"
        fresh = await api.get(path)
        assert fresh.json["resources"][0]["metadata"]["labels"] == {"kept": "yes"}
        assert "Warning" not in fresh.headers
        await asyncio.to_thread(fragile_stack.postgres.stop)
        try:

            async def marked() -> bool:
                reply = await api.get(path)
                assert reply.status == 200
                assert reply.json["resources"][0]["metadata"]["labels"] == {"kept": "yes"}
                return reply.headers.get("Warning", "").startswith("110 ")

            await eventually(marked)
            assert "metadata+store" in (await api.get(path)).headers["X-Cf-Warnings"]
            # Kubernetes' half stays as new as ever.
            await fragile_kube.patch(space, "web", {"spec": {"replicas": 4}})

            async def scaled() -> bool:
                return bool((await api.get(path)).json["resources"][0]["instances"] == 4)

            await eventually(scaled)
            report = (await api.manage("/readyz")).json
            assert report["status"] == "ready"
            assert report["metadata"]["connected"] is False
            assert (await scrape(api)).value("cf_processes_metadata_connected") == 0
        finally:
            await asyncio.to_thread(fragile_stack.postgres.start)

        async def healed() -> bool:
            return "Warning" not in (await api.get(path)).headers

        await eventually(healed, 20)
        async with connected(fragile_settings.database_url, 5) as connection:
            await load(connection, [Metadata(namespace=space, app_guid=app, type="web", labels={"after": "yes"})])
        assert (await api.get(path)).json["resources"][0]["metadata"]["labels"] == {"after": "yes"}


async def test_reads_go_on_marked_while_kube_apiserver_is_away_and_heal(
    fragile_stack: Stack, fragile_settings: Settings, fragile_kube: Kube
) -> None:
    token = await fragile_kube.token_of_new_user(cluster_roles=("processes-operator",))
    stranger = await fragile_kube.token_of_new_user()
    async with running(fragile_settings, token=token) as api:
        space, app = await an_app_of_its_own(api, fragile_kube)
        _, invisible = await an_app_of_its_own(api, fragile_kube)
        path = f"/v3/apps/{app}/processes"
        assert (await api.get(path)).status == 200
        viewer = api.as_user(
            await fragile_kube.token_of_new_user(cluster_roles=("processes-api",), roles_in={space: "processes-reader"})
        )
        assert await viewer.guids("/v3/processes") == await api.guids(path)
        assert (await viewer.get(f"/v3/apps/{invisible}/processes/web")).status == 404
        await asyncio.to_thread(fragile_stack.control_plane.stop_apiserver)
        try:
            # Well past the time for which answers of reviews are kept.
            async def marked() -> bool:
                reply = await api.get(path)
                assert reply.status == 200, reply.body
                return reply.headers.get("Warning", "").startswith("110 ")

            await eventually(marked)
            await asyncio.sleep(1)
            reply = await api.get(path)
            assert (reply.status, reply.json["total_results"]) == (200, 1)
            assert "Kubernetes" in reply.headers["Warning"]
            # Who sees one space goes on seeing it and nothing else, however long ago a no was the answer.
            assert await viewer.guids("/v3/processes") == await api.guids(path)
            assert (await viewer.get(f"/v3/apps/{invisible}/processes/web")).status == 404
            unknown = await api.as_user(stranger).get(path)
            assert_cf_error(unknown, 503, 10015, "CF-ServiceUnavailable")
            assert int(unknown.headers["Retry-After"]) >= 1
            report = (await api.manage("/readyz")).json
            assert report["status"] == "ready"
            assert report["watches"]["deployments"]["age_s"] > 0
            found = await scrape(api)
            assert found.value("cf_processes_watch_age_seconds", watch="deployments") > 0
            assert found.value("cf_processes_watch_connected") == 0
            assert found.value("cf_processes_kube_requests_total", outcome="unreachable") > 0
        finally:
            await asyncio.to_thread(fragile_stack.control_plane.start_apiserver)

        async def healed() -> bool:
            reply = await api.get(path)
            return reply.status == 200 and "Warning" not in reply.headers

        await eventually(healed, 30)
        await fragile_kube.delete(space, "web")

        async def gone() -> bool:
            return (await api.get(path)).status == 404

        await eventually(gone)


async def test_no_grace_means_callers_are_refused_as_soon_as_they_cannot_be_reviewed(
    fragile_stack: Stack, fragile_settings: Settings, fragile_kube: Kube
) -> None:
    token = await fragile_kube.token_of_new_user(cluster_roles=("processes-operator",))
    async with running(replace(fragile_settings, review_grace_s=0), token=token) as api:
        assert (await api.get("/v3/processes")).status == 200
        await asyncio.to_thread(fragile_stack.control_plane.stop_apiserver)
        try:

            async def refused() -> bool:
                return (await api.get("/v3/processes")).status == 503

            await eventually(refused)
        finally:
            await asyncio.to_thread(fragile_stack.control_plane.start_apiserver)

        async def healed() -> bool:
            return (await api.get("/v3/processes")).status == 200

        await eventually(healed, 30)


async def test_starts_with_both_away_says_what_is_missing_and_heals(
    fragile_stack: Stack, fragile_settings: Settings, fragile_kube: Kube
) -> None:
    token = await fragile_kube.token_of_new_user(cluster_roles=("processes-operator",))
    await asyncio.to_thread(fragile_stack.control_plane.stop_apiserver)
    await asyncio.to_thread(fragile_stack.postgres.stop)
    stopped = True
    try:
        async with running(fragile_settings, token=token, ready=False) as api:

            async def explained() -> bool:
                reply = await api.manage("/readyz")
                report = reply.json
                failures = [part["failure"] for part in (*report["watches"].values(), report["metadata"])]
                assert reply.status == 503
                return all(failures) and "not started" not in failures

            await eventually(explained)
            assert (await api.manage("/livez")).status == 200
            found = await scrape(api)
            assert found.value("cf_processes_ready") == 0
            assert "cf_processes_watch_age_seconds{" not in found.text
            refused = await api.get("/v3/processes")
            assert_cf_error(refused, 503, 10015, "CF-ServiceUnavailable")
            await asyncio.to_thread(fragile_stack.postgres.start)
            await asyncio.to_thread(fragile_stack.control_plane.start_apiserver)
            stopped = False

            async def ready() -> bool:
                return (await api.manage("/readyz")).status == 200

            await eventually(ready, 40)
            assert (await api.get("/v3/processes")).status == 200
    finally:
        if stopped:
            await asyncio.to_thread(fragile_stack.postgres.start)
            await asyncio.to_thread(fragile_stack.control_plane.start_apiserver)
