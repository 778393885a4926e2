"""What surrounds the operations: the error envelope for every refusal, request ids, links, limits."""

import asyncio
import re
from dataclasses import replace

import pytest
from aiohttp import web

from service.settings import Settings
from tests.support.api import Api, Reply, assert_cf_error, running
from tests.support.apps import MakeApp
from tests.support.kube import guid_of
from tests.support.sockets import connected, head


@pytest.mark.parametrize("path", ["/nope", "/v3/nope", "/v3/processes/", "/v3/apps/a/processes/web/nope", "//"])
async def test_unknown_path_is_an_unknown_request_without_asking_for_a_token(api: Api, path: str) -> None:
    reply = await api.as_user(None).get(path)
    assert_cf_error(reply, 404, 10000, "CF-NotFound", "Unknown request")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_unknown_method_is_an_unknown_request(api: Api, method: str) -> None:
    reply = await api.as_user(None).get("/v3/processes", method=method)
    assert_cf_error(reply, 404, 10000, "CF-NotFound", "Unknown request")


async def test_a_path_of_thousands_of_parts_is_unknown_without_being_looked_up(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []
    resolve = web.UrlDispatcher.resolve

    async def noted(router: web.UrlDispatcher, request: web.Request) -> web.UrlMappingMatchInfo:
        looked_up.append(request.path)
        return await resolve(router, request)

    monkeypatch.setattr(web.UrlDispatcher, "resolve", noted)
    for path in ("/" * 60_000, "/v3/" + "a/" * 30_000, "/v3/processes/" + "x/" * 40):
        async with connected(api) as client:
            await client.send(head("GET", path))
            assert_cf_error(await client.reply(), 404, 10000, "CF-NotFound", "Unknown request")
    assert not looked_up
    assert (await api.get("/v3/processes")).status == 200
    assert looked_up == ["/v3/processes"]


async def test_every_reply_carries_a_new_request_id(api: Api) -> None:
    first, second = await api.get("/v3/processes"), await api.get("/nope")
    ids = {reply.headers["X-Vcap-Request-Id"] for reply in (first, second)}
    assert len(ids) == 2
    assert all(re.fullmatch(r"[0-9a-f-]{36}", one) for one in ids)


@pytest.mark.parametrize("header", ["X-Vcap-Request-Id", "X-Request-Id"])
async def test_the_callers_request_id_is_kept_harmless(api: Api, header: str) -> None:
    reply = await api.get("/v3/processes", headers={header: "ab c;<d>_1-2" + "x" * 300})
    kept, _, own = reply.headers["X-Vcap-Request-Id"].partition("::")
    assert kept == ("abcd_1-2" + "x" * 300)[:255]
    assert re.fullmatch(r"[0-9a-f-]{36}", own)


async def raw(api: Api, request: bytes) -> Reply:
    """What comes back for bytes no well-behaved client would send."""
    host, port = api.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        answer = await asyncio.wait_for(reader.read(), 5)
    finally:
        writer.close()
        await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return Reply(int(status.split()[1]), dict(line.split(": ", 1) for line in lines), body)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"this is no HTTP\r\n\r\n",
        b"GET /v3/processes HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 40_000 + b"\r\n\r\n",
        b"GET /v3/processes?q=" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /v3/\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /v3/processes HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    ],
)
async def test_what_is_no_valid_http_gets_the_error_shape(api: Api, request_bytes: bytes) -> None:
    assert_cf_error(await raw(api, request_bytes), 400, 10004, "CF-InvalidRequest")


async def test_unknown_expectations_are_ignored(api: Api) -> None:
    assert (await api.get("/v3/processes", headers={"Expect": "nonsense"})).status == 200


async def test_absolute_request_target_does_not_reach_the_links(api: Api, operator_token: str) -> None:
    host = api.url.removeprefix("http://")
    request = f"GET http://evil.test/v3/processes HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
    reply = await raw(api, f"{request}Authorization: Bearer {operator_token}\r\n\r\n".encode())
    assert reply.json["first"]["href"].startswith(f"{api.url}/v3/processes?")


async def test_refusals_tell_nothing_of_what_we_are_built_with(api: Api) -> None:
    for reply in (await api.get("/nope"), await raw(api, b"nonsense\r\n\r\n")):
        assert "aiohttp" not in reply.headers["Server"]


async def test_host_that_is_no_host_makes_no_links(api: Api, make_app: MakeApp) -> None:
    app = await make_app("web")
    for host in ("evil.test/path", 'a"b', "a b", "user@host", ""):
        reply = await api.get(f"/v3/apps/{app}/processes", headers={"Host": host})
        assert_cf_error(reply, 400, 10004, "CF-InvalidRequest")


async def test_write_at_a_host_that_is_no_host_changes_nothing(api: Api, make_app: MakeApp) -> None:
    path = f"/v3/processes/{guid_of(await make_app('web'), 'web')}"
    reply = await api.patch(path, {"metadata": {"labels": {"a": "b"}}}, headers={"Host": "a b"})
    assert_cf_error(reply, 400, 10004, "CF-InvalidRequest")
    reply = await api.post(f"{path}/actions/scale", {"instances": 3}, headers={"Host": "a b"})
    assert_cf_error(reply, 400, 10004, "CF-InvalidRequest")
    process = (await api.get(path)).json
    assert (process["instances"], process["metadata"]["labels"]) == (0, {})


async def test_external_url_is_the_base_of_links(settings: Settings, operator_token: str) -> None:
    async with running(replace(settings, external_url="https://api.example.test/"), token=operator_token) as served:
        body = (await served.get("/v3/processes")).json
        assert body["first"]["href"].startswith("https://api.example.test/v3/processes?page=1")


async def test_forwarded_headers_count_only_from_trusted_proxies(settings: Settings, operator_token: str) -> None:
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "cf.example.test, inner"}
    async with running(settings, token=operator_token) as served:
        href = (await served.get("/v3/processes", headers=forwarded)).json["first"]["href"]
        assert href.startswith(served.url)
    async with running(replace(settings, trusted_proxies=("127.0.0.0/8",)), token=operator_token) as served:
        href = (await served.get("/v3/processes", headers=forwarded)).json["first"]["href"]
        assert href.startswith("https://cf.example.test/v3/processes")


async def test_root_tells_clients_where_the_api_is_without_a_token(api: Api) -> None:
    body = (await api.as_user(None).get("/")).json
    assert body["cf_on_k8s"] is True
    assert body["links"]["self"]["href"] == api.url
    assert body["links"]["cloud_controller_v3"]["href"] == f"{api.url}/v3"
    assert re.fullmatch(r"3\.\d+\.\d+", body["links"]["cloud_controller_v3"]["meta"]["version"])


async def test_the_link_to_logs_says_where_they_are_read_and_leads_no_client_anywhere(api: Api) -> None:
    link = (await api.as_user(None).get("/")).json["links"]["log_cache"]["href"]
    # Clients send tokens to the addresses that are linked here: nobody may be able to serve this one.
    assert re.fullmatch(r"use-kubectl-logs://[a-z-]+", link)


async def test_too_many_requests_at_once_are_turned_away_for_later(settings: Settings, operator_token: str) -> None:
    async with running(replace(settings, max_concurrent_requests=1), token=operator_token) as served:
        replies = await asyncio.gather(*(served.get("/v3/processes") for _ in range(20)))
        turned_away = [reply for reply in replies if reply.status != 200]
        assert len(turned_away) < 20
        assert turned_away
        for reply in turned_away:
            assert_cf_error(reply, 503, 10015, "CF-ServiceUnavailable")
            assert int(reply.headers["Retry-After"]) >= 1
        assert (await served.get("/v3/processes")).status == 200


async def test_a_defect_answers_with_fixed_text(api: Api, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    guid = guid_of(await make_app("web"), "web")

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("postgresql://user:secret@host")

    monkeypatch.setattr("service.api.reading.encode_row", broken)
    reply = await api.get(f"/v3/processes/{guid}")
    assert_cf_error(reply, 500, 10001, "UnknownError", "An unknown error occurred.")
    assert b"secret" not in reply.body
