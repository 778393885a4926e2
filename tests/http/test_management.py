"""Probes, on a port of their own."""

import asyncio
from dataclasses import replace

import pytest

from service.http.keys import HEALTH
from service.settings import Settings
from service.store.mirror import Mirror
from tests.support.api import Api, assert_cf_error, running


async def test_probes_answer_without_a_token(api: Api) -> None:
    assert (await api.manage("/livez")).status == 200
    report = (await api.manage("/readyz")).json
    assert report["status"] == "ready"
    assert report["watches"]["deployments"]["connected"] is True
    assert report["metadata"]["connected"] is True


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
async def test_the_apis_port_does_not_know_them(api: Api, path: str) -> None:
    assert_cf_error(await api.get(path), 404, 10000, "CF-NotFound", "Unknown request")


@pytest.mark.parametrize("path", ["/", "/v3/processes", "/v3/processes/any"])
async def test_the_management_port_does_not_know_the_api(api: Api, path: str) -> None:
    assert_cf_error(await api.manage(path), 404, 10000, "CF-NotFound", "Unknown request")


async def test_probes_pass_while_the_api_has_as_much_as_it_can_take(settings: Settings, operator_token: str) -> None:
    async with running(replace(settings, max_concurrent_requests=1), token=operator_token) as served:
        requests = [asyncio.create_task(served.get("/v3/processes")) for _ in range(20)]
        probes = await asyncio.gather(*(served.manage("/livez") for _ in range(20)))
        assert 503 in {reply.status for reply in await asyncio.gather(*requests)}
        assert {reply.status for reply in probes} == {200}


async def test_says_that_it_is_stopping_while_it_still_serves(settings: Settings, operator_token: str) -> None:
    async with running(settings, token=operator_token) as served:
        served.application[HEALTH].stop()
        reply = await served.manage("/readyz")
        assert (reply.status, reply.json["status"]) == (503, "stopping")
        assert (await served.manage("/livez")).status == 200
        assert (await served.get("/v3/processes")).status == 200


async def test_a_part_that_has_ended_asks_for_a_restart(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def end(_: Mirror) -> None:
        return

    monkeypatch.setattr(Mirror, "run", end)
    async with running(settings, ready=False) as served:
        reply = await served.manage("/livez")
        assert (reply.status, reply.json) == (503, {"status": "broken"})
        assert (await served.manage("/readyz")).json["status"] == "broken: mirror"
