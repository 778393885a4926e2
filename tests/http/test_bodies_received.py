"""Bodies as they arrive: compressed, broken, of somebody who may not send one; and what the log says of all that."""

import asyncio
import gzip
import logging
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from service.http import receiving
from service.http.throttle import UNWANTED_PER_S, WANTED_PER_S, Throttle
from service.settings import Settings
from tests.support.api import Api, assert_cf_error, running
from tests.support.apps import MakeApp
from tests.support.kube import Kube, guid_of
from tests.support.sockets import connected, head

SECRET = "a-token-that-nobody-is-to-read"
SAME = {"Sec-Fetch-Site": "same-origin"}
FORM = "application/x-www-form-urlencoded"
LABELS = b'{"metadata":{"labels":{"packed":"yes"}}}'
BOMB = gzip.compress(b" " * (64 << 20))
MEGABYTE = bytes(1 << 20)


@contextmanager
def log(caplog: pytest.LogCaptureFixture) -> Iterator[list[Any]]:
    """What is logged meanwhile, by us and by libraries."""
    said: list[Any] = []
    with capture_logs() as ours, caplog.at_level(logging.DEBUG):
        yield said
    said += [*ours, *(record.getMessage() + str(record.exc_text or record.exc_info) for record in caplog.records)]


@pytest.fixture
def inflated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes of each piece that was decompressed."""
    pieces: list[int] = []
    make = zlib.decompressobj

    class Counting:
        def __init__(self, wbits: int) -> None:
            self._real = make(wbits)

        def decompress(self, data: bytes, most: int) -> bytes:
            piece = self._real.decompress(data, most)
            pieces.append(len(piece))
            return piece

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

    monkeypatch.setattr(receiving.zlib, "decompressobj", Counting)  # type: ignore[attr-defined]
    return pieces


# Compressed


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(LABELS)),
        ("GZip", gzip.compress(LABELS)),
        ("deflate", zlib.compress(LABELS)),
        ("deflate", zlib.compress(LABELS, wbits=-15)),
        ("identity", LABELS),
    ],
)
async def test_a_body_may_be_compressed(api: Api, make_app: MakeApp, encoding: str, packed: bytes) -> None:
    path = f"/v3/processes/{guid_of(await make_app('web'), 'web')}"
    reply = await api.patch(path, packed, headers={"Content-Encoding": encoding})
    assert (reply.status, reply.json["metadata"]["labels"]) == (200, {"packed": "yes"})


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(LABELS)[:-1],
        gzip.compress(LABELS) + b"x",
        gzip.compress(b"") * 30_000,
        gzip.compress(LABELS)[:10] + b"\xff" * 20,
        LABELS,
        b"\x1f\x8b",
    ],
    ids=["cut off", "followed", "many", "garbage", "plain", "begun"],
)
async def test_what_is_not_compressed_as_it_says_is_a_parse_error(api: Api, packed: bytes) -> None:
    reply = await api.patch("/v3/processes/any", packed, headers={"Content-Encoding": "gzip"})
    assert_cf_error(reply, 400, 1001, "CF-MessageParseError")


async def test_no_more_is_decompressed_than_is_wanted_and_that_in_pieces(
    api: Api, settings: Settings, inflated: list[int]
) -> None:
    reply = await api.patch("/v3/processes/any", BOMB, headers={"Content-Encoding": "gzip"})
    assert_cf_error(reply, 413, 10008, "CF-UnprocessableEntity")
    assert settings.max_body_bytes < sum(inflated) <= settings.max_body_bytes + max(inflated)
    assert max(inflated) <= 32 * 1024


@pytest.mark.parametrize("path", ["/v3/processes/any", "/nope", "/v3/processes", "/ui/sign-in"])
async def test_nothing_is_decompressed_for_who_has_no_token(api: Api, inflated: list[int], path: str) -> None:
    for method in ("PATCH", "POST", "GET"):
        request = head(method, path, Content_Length=str(len(BOMB)), Content_Encoding="gzip")
        async with connected(api) as client:
            await client.send(request, BOMB)
            assert (await client.reply()).status in (200, 303, 401, 403, 404)
    assert not inflated


# As fast as the network brings them


async def test_what_nobody_wants_is_thrown_away_no_faster_than_it_may_cost_others(api: Api) -> None:
    sent = 0
    async with connected(api) as client:
        request = head("PATCH", "/v3/processes/any", Content_Length=str(len(MEGABYTE) * 100))
        with suppress(ConnectionError):
            await client.send(request)
            for _ in range(100):
                await client.send(MEGABYTE)
                sent += len(MEGABYTE)
        assert client.closed or b" 401 " in await client.rest()
    # Of a second of lingering; the client's own system keeps some megabytes.
    assert sent < 2 * UNWANTED_PER_S


async def test_a_client_that_is_refused_its_body_may_send_it_and_has_its_answer(api: Api) -> None:
    body = b"x" * (UNWANTED_PER_S // 4)
    async with connected(api) as client:
        await client.send(head("PATCH", "/v3/processes/any", Content_Length=str(len(body))), body)
        assert_cf_error(await client.reply(), 401, 10002, "CF-NotAuthenticated")
        assert await client.rest() == b""


async def test_a_body_behind_a_request_that_was_sent_with_it_is_not_thrown_away(
    api: Api, make_app: MakeApp, operator_token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.http.connection._LONGEST_PAUSE_S", -1.0)
    path = f"/v3/processes/{guid_of(await make_app('web'), 'web')}"
    body = b" " * 100_000 + LABELS
    async with connected(api) as client:
        first = head("GET", path, operator_token)
        await client.send(first + head("PATCH", path, operator_token, Content_Length=str(len(body))) + body[:20_000])
        assert (await client.reply()).status == 200
        await client.send(body[20_000:])
        assert (await client.reply()).json["metadata"]["labels"] == {"packed": "yes"}


async def test_large_bodies_of_one_person_come_one_after_the_other_and_keep_nobody_waiting(
    api: Api, kube: Kube, operator_token: str
) -> None:
    body = b"[" + b" " * 900_000 + b"]"
    done: list[str] = []

    async def send(token: str, whose: str) -> None:
        reply = await api.as_user(token).patch("/v3/processes/any", body)
        assert_cf_error(reply, 404, 10010, "CF-ResourceNotFound")
        done.append(whose)

    other = await kube.token_of_new_user(cluster_roles=("processes-operator",))
    began = asyncio.get_running_loop().time()
    await asyncio.gather(*(send(operator_token, "one") for _ in range(8)), send(other, "another"))
    assert asyncio.get_running_loop().time() - began > 6 * len(body) / WANTED_PER_S
    assert done[-1] == "one"


def test_whoever_has_sent_nothing_for_a_while_is_not_remembered() -> None:
    now = 0.0
    throttle = Throttle(100, lambda: now)
    assert [throttle.took("one", 50), throttle.took("one", 50), throttle.took("another", 50)] == [0.5, 1.0, 0.5]
    now = 0.75
    assert throttle.took("one", 50) == 0.75
    assert len(throttle) == 1
    now = 10
    for number in range(20_000):
        throttle.took(number, 100)
    assert len(throttle) == 10_000


# Broken


async def test_a_body_that_is_no_http_ends_in_one_answer(api: Api, operator_token: str) -> None:
    async with connected(api) as client:
        request = head("PATCH", "/v3/processes/any", operator_token, Transfer_Encoding="chunked")
        await client.send(request, b"3\r\n{} \r\n")
        await asyncio.sleep(0.1)
        await client.send(b"no size\r\n")
        assert_cf_error(await client.reply(), 400, 1001, "CF-MessageParseError")
        assert await client.rest() == b""


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_defect(api: Api, operator_token: str) -> None:
    with capture_logs() as logged:
        async with connected(api) as client:
            await client.send(head("PATCH", "/v3/processes/any", operator_token, Content_Length="100"), b"{")
            await asyncio.sleep(0.2)
        await asyncio.sleep(0.2)
    assert not [line for line in logged if line["log_level"] in ("error", "critical")]


MALFORMED = [
    ({"Content-Type": f"{FORM}; charset=nonsense"}, f"token={SECRET}".encode(), 401),
    ({"Content-Type": f"{FORM}; charset=utf-16"}, f"token={SECRET}".encode(), 401),
    ({"Content-Type": FORM}, f"token={SECRET}%ff".encode(), 400),
    ({"Content-Type": FORM}, f"token={SECRET}".encode() + b"\xff", 400),
    ({"Content-Type": FORM}, b"&".join(b"a=1" for _ in range(100)) + f"&token={SECRET}".encode(), 400),
    ({"Content-Type": "multipart/form-data; boundary=x"}, f"--y\r\n\r\ntoken={SECRET}".encode(), 400),
    ({"Content-Type": "multipart/form-data"}, f"token={SECRET}".encode(), 400),
    ({"Content-Type": "text/plain"}, f"token={SECRET}".encode(), 400),
    ({"Content-Type": "/;;=\xff"}, f"token={SECRET}".encode(), 400),
    ({"Content-Type": FORM, "Content-Encoding": "gzip"}, f"token={SECRET}".encode(), 400),
    ({"Content-Type": FORM, "Content-Encoding": "gzip"}, gzip.compress(f"token={SECRET}".encode())[:-4], 400),
    ({"Content-Type": FORM}, f"token={SECRET}{'x' * 20_000}".encode(), 413),
]


@pytest.mark.parametrize(("headers", "body", "status"), MALFORMED)
async def test_a_malformed_form_is_refused_and_nowhere_written_down(
    api: Api, caplog: pytest.LogCaptureFixture, headers: dict[str, str], body: bytes, status: int
) -> None:
    with log(caplog) as logged:
        async with connected(api) as client:
            await client.send(
                head("POST", "/ui/sign-in", Content_Length=str(len(body)), Sec_Fetch_Site="same-origin").removesuffix(
                    b"\r\n"
                )
                + b"".join(f"{name}: {value}\r\n".encode("latin-1") for name, value in headers.items())
                + b"\r\n",
                body,
            )
            assert (await client.reply()).status == status
    assert SECRET not in repr(logged)


@pytest.fixture
async def broken(settings: Settings, operator_token: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    """A service with a defect that quotes what was sent, wherever somebody is to be let in."""

    async def fail(*_: object) -> None:
        try:
            raise ValueError(SECRET)
        except ValueError as error:
            raise ExceptionGroup(SECRET, [RuntimeError(SECRET), error]) from error

    async with running(settings, token=operator_token) as served:
        monkeypatch.setattr("service.cluster.access.ClusterAccess.authenticate", fail)
        yield served


async def test_the_log_of_a_defect_says_what_and_where_and_quotes_nothing(
    broken: Api, caplog: pytest.LogCaptureFixture
) -> None:
    with log(caplog) as logged:
        reply = await broken.get("/v3/processes")
        assert_cf_error(reply, 500, 10001, "UnknownError", "An unknown error occurred.")
        for path, body in (("/ui/sign-in", f"token={SECRET}".encode()),):
            reply = await broken.as_user(None).post(path, body, headers={**SAME, "Content-Type": FORM})
            assert reply.status == 500
    assert SECRET not in repr(logged)
    defects = [line for line in logged if isinstance(line, dict) and line["event"] == "request failed"]
    assert len(defects) == 2
    for line in defects:
        assert line["error"].startswith("ExceptionGroup < RuntimeError < ValueError")
        assert any("test_bodies_received.py" in place and place.endswith("fail") for place in line["where"])


async def test_what_fails_outside_of_any_handler_is_logged_as_sparingly(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> str:
        raise ValueError(SECRET)

    monkeypatch.setattr("service.http.middlewares.new_request_id", fail)
    with log(caplog) as logged:
        assert_cf_error(await api.get("/v3/processes"), 500, 10001, "UnknownError")
    assert SECRET not in repr(logged)
    assert [line["error"] for line in logged if isinstance(line, dict) and "error" in line] == ["ValueError"]


# Bytes that are no text


HEADERS = (
    "Accept",
    "Accept-Encoding",
    "Authorization",
    "Content-Encoding",
    "Content-Type",
    "Cookie",
    "Expect",
    "If-None-Match",
    "Origin",
    "Referer",
    "Sec-Fetch-Site",
    "User-Agent",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Request-Id",
    "X-Vcap-Request-Id",
)


@pytest.mark.parametrize("authentication", ["none", "kubernetes"])
async def test_no_byte_in_a_header_or_a_query_is_a_defect(settings: Settings, authentication: str) -> None:
    own = replace(settings, authentication=authentication, trusted_proxies=("127.0.0.0/8",))
    async with running(own) as served:
        for route in served.application.router.routes():
            assert route.resource is not None
            if route.resource.canonical.endswith("/events"):
                continue
            path = route.resource.canonical.replace("{", "").replace("}", "").encode()
            for name in (*HEADERS, ""):
                odd = f"{name}: a\xff\xfe=b\r\n".encode("latin-1") if name else b""
                query = b"" if name else b"?q=\xff&next=\xfe"
                async with connected(served) as client:
                    await client.send(
                        route.method.encode()
                        + b" "
                        + path
                        + query
                        + b" HTTP/1.1\r\nHost: localhost\r\n"
                        + odd
                        + b"Connection: close\r\n\r\n"
                    )
                    answer = await client.rest()
                assert int(answer.split(b" ", 2)[1]) < 500, (path, name, answer[:300])


# Without authentication


@pytest.mark.parametrize(
    ("host", "taken"),
    [
        ("localhost", True),
        ("LocalHost:8080", True),
        ("127.0.0.1:1", True),
        ("[::1]:8080", True),
        ("rebound.example.test", False),
        ("localhost.example.test", False),
        ("127.0.0.1.example.test:8080", False),
        ("127.0.0.2", False),
        ("localhost:", False),
        ("localhost@evil.test", False),
        ("", False),
    ],
)
async def test_without_authentication_only_names_of_this_machine_are_answered(
    settings: Settings, host: str, taken: bool
) -> None:
    async with running(replace(settings, authentication="none")) as served:
        for path in ("/v3/processes", "/ui/spaces", "/ui/json/processes", "/", "/ui/static/mark.svg"):
            reply = await served.get(path, headers={"Host": host})
            if taken:
                assert reply.status in (200, 404)
            else:
                assert_cf_error(reply, 400, 10004, "CF-InvalidRequest")
