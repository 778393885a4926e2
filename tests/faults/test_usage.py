"""A metrics API that hangs, breaks off or talks nonsense: stats go on without usage, and it is not asked each time."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
from aiohttp import web

from service.cluster import usage
from service.settings import Settings
from tests.support.api import Api, Reply, running
from tests.support.apps import MakeApp
from tests.support.kube import eventually
from tests.support.proxy import BreakOff, Relay

UNAVAILABLE = "Stats+server+temporarily+unavailable."


@dataclass
class Asked:
    """Requests for usage that have reached the relay."""

    count: int = 0


@pytest.fixture
async def asked(relay: Relay) -> Asked:
    return Asked()


@pytest.fixture
async def served(settings: Settings, relay: Relay, operator_token: str) -> AsyncIterator[Api]:
    of_relay = replace(settings, kubeconfig=str(relay.kubeconfig), review_ttl_s=600, usage_interval_s=600)
    async with running(of_relay, token=operator_token) as api:
        yield api


async def stats(served: Api, app: str) -> Reply:
    reply = await served.get(f"/v3/apps/{app}/processes/web/stats")
    assert reply.status == 200, reply.body
    return reply


async def running_app(served: Api, make_app: MakeApp) -> str:
    app = await make_app("web", replicas=1)

    async def runs() -> bool:
        instances = await served.get(f"/v3/apps/{app}/processes/web?embed=process_instances")
        return instances.status == 200 and instances.json["process_instances"][0]["state"] == "RUNNING"

    await eventually(runs)
    return app


async def test_a_metrics_api_that_hangs_holds_nobody_up_for_long_and_is_asked_once(
    served: Api, relay: Relay, asked: Asked, make_app: MakeApp
) -> None:
    app, forever = await running_app(served, make_app), asyncio.Event()

    async def hang(request: web.Request) -> None:
        if "metrics.k8s.io" in request.path:
            asked.count += 1
            await forever.wait()

    relay.before = hang
    started = time.monotonic()
    replies = await asyncio.gather(*(stats(served, app) for _ in range(20)))
    assert time.monotonic() - started < usage.PATIENCE_S + 2
    for reply in replies:
        assert reply.headers["X-Cf-Warnings"] == UNAVAILABLE
        assert reply.json["resources"][0]["usage"] == {}
        assert reply.json["resources"][0]["state"] == "RUNNING"
    assert asked.count == 1
    forever.set()


@pytest.mark.parametrize("fault", ["broken off", "no JSON"])
async def test_a_failure_is_remembered_and_not_repeated_with_each_request(
    served: Api, relay: Relay, asked: Asked, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(usage, "RETRY_S", 60.0)
    app = await running_app(served, make_app)

    async def fail(request: web.Request) -> None:
        if "metrics.k8s.io" in request.path:
            asked.count += 1
            if fault == "broken off":
                raise BreakOff
            raise web.HTTPOk(text="<html>")

    relay.before = fail
    assert (await stats(served, app)).headers["X-Cf-Warnings"] == UNAVAILABLE
    # A connection that had been used before may be given another chance.
    once = asked.count
    assert once in (1, 2)
    for _ in range(4):
        assert (await stats(served, app)).headers["X-Cf-Warnings"] == UNAVAILABLE
    assert asked.count == once


async def test_usage_is_there_again_when_the_metrics_api_is(
    served: Api, relay: Relay, asked: Asked, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "RETRY_S", 0.2)
    app = await running_app(served, make_app)

    async def fail(request: web.Request) -> None:
        if "metrics.k8s.io" in request.path:
            raise BreakOff

    relay.before = fail
    assert (await stats(served, app)).headers["X-Cf-Warnings"] == UNAVAILABLE
    relay.before = None

    async def well() -> bool:
        return "X-Cf-Warnings" not in (await stats(served, app)).headers

    await eventually(well, 5)


async def test_a_sample_larger_than_all_that_is_kept_is_not_asked_for_each_time(
    served: Api, relay: Relay, asked: Asked, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "ENTRY_BYTES", usage.CAPACITY)
    app = await running_app(served, make_app)

    async def count(request: web.Request) -> None:
        asked.count += "metrics.k8s.io" in request.path

    relay.before = count
    for _ in range(5):
        assert "X-Cf-Warnings" not in (await stats(served, app)).headers
    assert asked.count == 1
