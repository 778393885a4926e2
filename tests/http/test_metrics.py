"""What /metrics says of a service at work: that it is right, and that it gives nobody away."""

import asyncio
import time
from dataclasses import replace
from uuid import uuid4

import pytest

from service import __version__
from service.metrics import catalogue
from service.metrics.lag import PERIOD_S
from service.metrics.registry import Metrics
from service.settings import Settings
from service.store.database import Pool
from tests.support.api import Api, running
from tests.support.apps import MakeApp
from tests.support.kube import Kube, deployment, eventually, guid_of
from tests.support.metrics import scrape

REQUESTS, DURATIONS = "cf_processes_requests_total", "cf_processes_request_duration_seconds_count"


async def test_requests_are_counted_by_method_route_and_status(api: Api, make_app: MakeApp) -> None:
    app = await make_app("web")
    expected = {
        ("GET", "/v3/processes", "200"): "/v3/processes?per_page=1",
        ("HEAD", "/v3/processes", "200"): "/v3/processes",
        ("GET", "/v3/processes", "400"): "/v3/processes?page=0",
        ("GET", "/v3/apps/{guid}/processes/{type}", "200"): f"/v3/apps/{app}/processes/web",
        ("GET", "/v3/processes/{guid}", "404"): "/v3/processes/no-such",
        ("GET", "unknown", "404"): "/nowhere",
        ("OPTIONS", "unknown", "404"): "/v3/processes",
        ("other", "unknown", "404"): "/v3/processes",
    }
    before = await scrape(api)
    for (method, *_), path in expected.items():
        await api.get(path, method="PROPFIND" if method == "other" else method)
    after = await scrape(api)
    for method, route, status in expected:
        labels = {"method": method, "route": route}
        assert after.value(REQUESTS, **labels, status=status) - before.value(REQUESTS, **labels, status=status) == 1
        assert after.value(DURATIONS, **labels) == after.value(REQUESTS, **labels)


async def test_requests_that_are_refused_for_want_of_a_token_or_room_count_too(
    settings: Settings, operator_token: str
) -> None:
    async with running(replace(settings, max_concurrent_requests=1), token=operator_token) as served:
        await served.as_user(None).get("/v3/processes")
        await asyncio.gather(*(served.get("/v3/processes") for _ in range(10)))
        found = await scrape(served)
        by_status = {status: found.value(REQUESTS, status=status) for status in ("200", "401", "503")}
        assert by_status["401"] == 1
        assert by_status["503"] > 0
        assert sum(by_status.values()) == 11


async def test_durations_are_those_of_the_requests(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    released = asyncio.Event()

    async def slow(*_: object, **__: object) -> None:
        await released.wait()
        raise RuntimeError

    async def in_flight() -> bool:
        return (await scrape(api)).value("cf_processes_requests_in_flight") == 1

    monkeypatch.setattr("service.operations.reads.Reads.get", slow)
    labels = {"method": "GET", "route": "/v3/processes/{guid}"}
    before, began = await scrape(api), time.perf_counter()
    request = asyncio.create_task(api.get("/v3/processes/any"))
    await eventually(in_flight)
    await asyncio.sleep(0.3)
    released.set()
    assert (await request).status == 500
    after, took_s = await scrape(api), time.perf_counter() - began
    assert after.value("cf_processes_requests_in_flight") == 0
    total, bucket = "cf_processes_request_duration_seconds_sum", "cf_processes_request_duration_seconds_bucket"
    assert 0.3 <= after.value(total, **labels) - before.value(total, **labels) <= took_s
    for le, within in (("0.25", 0), ("+Inf", 1)):
        assert after.value(bucket, **labels, le=le) - before.value(bucket, **labels, le=le) == within


async def test_the_index_is_counted_with_what_is_left_out(settings: Settings, kube: Kube, space: str) -> None:
    # By a label of its own: other tests' Deployments come and go meanwhile.
    label, app = f"{space}.test/app", str(uuid4())
    async with running(replace(settings, app_guid_label=label)) as served:
        for name, guid in (("older", app), ("newer", app), ("skipped", "")):
            await kube.create(deployment(name, space, guid, labels={label: guid}))

        async def counted() -> bool:
            found = await scrape(served)
            return [found.value(f"cf_processes_index_{name}") for name in ("processes", "conflicts", "skipped")] == [
                1,
                1,
                1,
            ]

        await eventually(counted)


async def test_watches_and_the_mirror_are_seen_at_work(api: Api) -> None:
    before = await scrape(api)
    for watch in ("deployments", "namespaces", "pods", "replicasets"):
        assert before.value("cf_processes_watch_connected", watch=watch) == 1
        assert before.value("cf_processes_watch_age_seconds", watch=watch) == 0
    assert before.value("cf_processes_kube_requests_total", verb="watch", outcome="200") >= 3
    assert before.value("cf_processes_metadata_connected") == 1
    assert before.value("cf_processes_ready") == 1
    await api.get("/v3/processes")
    after = await scrape(api)
    assert after.value("cf_processes_metadata_probes_total") > before.value("cf_processes_metadata_probes_total")


async def test_reviews_are_counted_and_so_are_the_requests_they_take(settings: Settings, kube: Kube) -> None:
    lookups, requests = "cf_processes_review_lookups_total", "cf_processes_kube_requests_total"
    async with running(replace(settings, review_ttl_s=600)) as served:
        user = served.as_user(await kube.token_of_new_user(cluster_roles=("processes-operator",)))
        await asyncio.gather(*(user.get("/v3/processes") for _ in range(20)))
        found = await scrape(served)
        assert found.value(lookups, review="token", result="miss") == 1
        assert found.value(lookups, review="token", result="shared") == 19
        # May use the API; may list in all namespaces.
        assert found.value(lookups, review="access", result="miss") == 2
        await user.get("/v3/processes")
        found = await scrape(served)
        assert found.value(lookups, review="token", result="hit") == 1
        assert found.value("cf_processes_reviews_under_way") == 0
        for resource, times in (("tokenreviews.authentication", 1), ("subjectaccessreviews.authorization", 2)):
            labels = {"verb": "create", "resource": f"{resource}.k8s.io"}
            assert found.value(requests, **labels, outcome="201") == times
            assert found.value("cf_processes_kube_request_duration_seconds_count", **labels) == times


async def test_writes_are_counted_wherever_they_go(api: Api, make_app: MakeApp) -> None:
    app = await make_app("web")
    kube = {"verb": "patch", "resource": "deployments.apps", "outcome": "200"}
    before = await scrape(api)
    for body in ({"metadata": {"labels": {"tier": "x"}}}, {"command": "serve --password hunter2"}):
        assert (await api.patch(f"/v3/apps/{app}/processes/web", body)).status == 200
    after = await scrape(api)
    route = {"method": "PATCH", "route": "/v3/apps/{guid}/processes/{type}", "status": "200"}
    assert after.value(REQUESTS, **route) - before.value(REQUESTS, **route) == 2
    requests = "cf_processes_kube_requests_total"
    assert after.value(requests, **kube) > before.value(requests, **kube)
    assert after.value("cf_processes_database_connections") > 0
    assert "hunter2" not in after.text


async def test_writes_that_wait_for_a_connection_are_seen(database_url: str) -> None:
    pool, metrics = await Pool.open(database_url, size=1, timeout_s=5), Metrics()
    catalogue.measure_pool(metrics, pool)

    async def use() -> None:
        async with pool.connection():
            pass

    def said() -> set[str]:
        return {line for line in metrics.exposition("")[0].decode().splitlines() if line.startswith("cf_processes")}

    async with pool.connection():
        waiting = asyncio.create_task(use())
        await asyncio.sleep(0)
        assert said() == {
            'cf_processes_database_connections{state="busy"} 1.0',
            'cf_processes_database_connections{state="idle"} 0.0',
            "cf_processes_database_waiting 1.0",
        }
    await waiting
    assert said() == {
        'cf_processes_database_connections{state="busy"} 0.0',
        'cf_processes_database_connections{state="idle"} 1.0',
        "cf_processes_database_waiting 0.0",
    }
    await pool.close()


async def test_an_event_loop_that_is_held_up_shows(api: Api) -> None:
    async def late() -> float:
        found = await scrape(api)
        name = "cf_processes_event_loop_lag_seconds"
        return found.value(f"{name}_count") - found.value(f"{name}_bucket", le="0.1")

    before = await late()
    time.sleep(PERIOD_S + 0.2)  # noqa: ASYNC251 - holding it up is what this is about
    await asyncio.sleep(0)

    async def shows() -> bool:
        return await late() > before

    await eventually(shows)


async def test_says_what_runs_and_what_it_takes(api: Api) -> None:
    found = await scrape(api)
    assert found.value("cf_processes_build_info", version=__version__) == 1
    assert found.value("process_resident_memory_bytes") > 1 << 20
    assert found.value("process_open_fds") > 0


async def test_each_service_counts_for_itself(settings: Settings, operator_token: str) -> None:
    async with running(settings, token=operator_token) as one:
        await one.get("/v3/processes")
        async with running(settings, token=operator_token) as other:
            assert (await scrape(other)).value(REQUESTS) == 0
            assert (await scrape(one)).value(REQUESTS) == 1


async def test_speaks_the_format_that_is_asked_for(api: Api) -> None:
    plain = await api.manage("/metrics")
    assert plain.headers["Content-Type"].startswith("text/plain")
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    open_metrics = await api.as_user(None).get(f"{api.management_url}/metrics", headers=accept)
    assert open_metrics.headers["Content-Type"].startswith("application/openmetrics-text")
    assert open_metrics.body.endswith(b"# EOF\n")


async def test_nobody_and_nothing_is_named(api: Api, make_app: MakeApp, operator_token: str, space: str) -> None:
    app = await make_app("web", "worker")
    pasted = f"/v3/processes/{operator_token}"
    for path in (
        f"/v3/apps/{app}/processes",
        f"/v3/processes/{guid_of(app, 'web')}",
        pasted,
        f"/{operator_token}",
    ):
        await api.get(path)
    await api.get(f"/v3/processes?label_selector={app}")
    await api.as_user("not-a-token-but-secret").get("/v3/processes")
    found = await scrape(api)
    for name in (app, guid_of(app, "web"), space, operator_token, operator_token[-40:], "secret", "system:"):
        assert name not in found.text


async def test_label_values_do_not_grow_with_what_is_asked(api: Api) -> None:
    paths = (
        "/{}",
        "/v3/{}",
        "/v3/processes/{}",
        "/v3/apps/{}/processes",
        "/v3/apps/{}/processes/{}",
        "/v3/processes?{}=1",
    )

    async def ask(turn: int) -> None:
        for path in paths:
            await api.get(path.format(*(f"x{turn}y{uuid4().hex}",) * path.count("{}")))
        await api.get("/v3/processes", method=("PROPFIND", "PURGE", "REPORT")[turn])

    await ask(0)
    before = (await scrape(api)).label_values()
    await ask(1)
    await ask(2)
    assert (await scrape(api)).label_values() == before
