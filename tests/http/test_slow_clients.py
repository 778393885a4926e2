"""Clients that keep the service waiting: what they cost the others, which is nothing, and when they are given up."""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from service.api.bodies import LARGEST_SCALE
from service.errors import CloudFoundryError
from service.http import connections, server
from service.http.connection import MAXIMUM_HEAD, Connection
from service.http.connections import Connections, Limits
from service.settings import Settings
from tests.support.api import Api, assert_cf_error, running
from tests.support.apps import MakeApp, Users
from tests.support.kube import eventually, guid_of
from tests.support.sockets import Raw, connected, head, many

FEW = 10
"""Requests that may be worked on at a time, in these tests."""
SHORT_S = 0.3
"""A deadline that is over at the next look."""
SIGN_IN = head("POST", "/ui/sign-in", Content_Length="100", Sec_Fetch_Site="same-origin")


def update(token: str, guid: str = "any", *, size: int = 100, **headers: str) -> bytes:
    """A PATCH without its body, which is to have so many bytes."""
    return head("PATCH", f"/v3/processes/{guid}", token, Content_Length=str(size), **headers)


@pytest.fixture
async def busy(settings: Settings, operator_token: str) -> AsyncIterator[Api]:
    """A service that works on few requests at a time."""
    # Long answers of reviews: to ask who somebody is, too, is work.
    own = replace(settings, max_concurrent_requests=FEW, review_ttl_s=600)
    async with running(own, token=operator_token) as served:
        yield served


async def others_are_answered(api: Api) -> bool:
    return [(await api.get("/v3/processes")).status for _ in range(3)] == [200] * 3


# What waits for a client takes nothing from the others


async def test_sign_ins_without_their_form_take_nobodys_turn(busy: Api) -> None:
    async with many(busy, 20 * FEW, SIGN_IN):
        assert await others_are_answered(busy)
        assert (await busy.as_user(None).get("/ui/sign-in")).status == 200


async def test_writes_without_their_body_take_nobodys_turn_whoever_begins_them(
    busy: Api, users: Users, make_app: MakeApp
) -> None:
    guid = guid_of(await make_app("web"), "web")
    for token in (users.viewer, users.nobody, busy.token):
        assert token is not None
        await busy.as_user(token).get("/v3/processes")
        async with many(busy, 5 * FEW, update(token, guid)):
            assert await others_are_answered(busy)
            reply = await busy.patch(f"/v3/processes/{guid}", {"metadata": {"labels": {"a": "b"}}})
            assert reply.status == 200


async def test_a_body_is_not_waited_for_where_the_caller_may_not_send_one(api: Api, users: Users) -> None:
    for token, status in (("nonsense", 401), (users.nobody, 403)):
        async with connected(api) as client:
            await client.send(update(token))
            reply = await client.reply()
            assert (reply.status, reply.headers["Connection"]) == (status, "close")
            assert await client.rest() == b""


async def test_a_body_is_asked_for_when_it_is_known_that_it_is_wanted(api: Api, operator_token: str) -> None:
    async with connected(api) as client:
        await client.send(update("nonsense", size=2, Expect="100-continue"))
        assert (await client.reply()).status == 401
    async with connected(api) as client:
        await client.send(update(operator_token, size=2, Expect="100-continue"))
        assert (await client.reply()).status == 100
        await client.send(b"{}")
        assert (await client.reply()).status == 404


async def test_a_body_larger_than_the_operation_needs_is_refused_by_what_it_says_of_itself(
    api: Api, operator_token: str, settings: Settings
) -> None:
    scale = head("POST", "/v3/processes/any/actions/scale", operator_token, Content_Length=str(LARGEST_SCALE + 1))
    for request in (scale, update(operator_token, size=settings.max_body_bytes + 1)):
        async with connected(api) as client:
            await client.send(request)
            assert_cf_error(await client.reply(), 413, 10008, "CF-UnprocessableEntity")
    async with connected(api) as client:
        await client.send(head("POST", "/ui/sign-in", Content_Length="16385", Sec_Fetch_Site="same-origin"))
        assert (await client.reply()).status == 413


async def test_and_by_what_has_come_where_it_says_nothing(api: Api, operator_token: str) -> None:
    async with connected(api) as client:
        request = head("POST", "/v3/processes/any/actions/scale", operator_token, Transfer_Encoding="chunked")
        chunk = b"1000\r\n" + b" " * 0x1000 + b"\r\n"
        await client.send(request, *[chunk] * 5)
        assert_cf_error(await client.reply(), 413, 10008, "CF-UnprocessableEntity")


# Deadlines


async def test_a_body_that_does_not_come_in_time_is_given_up_and_changes_nothing(
    settings: Settings, operator_token: str, make_app: MakeApp, api: Api
) -> None:
    guid = guid_of(await make_app("web"), "web")
    async with running(replace(settings, body_timeout_s=SHORT_S), token=operator_token) as served:
        async with connected(served) as client:
            await client.send(update(operator_token, guid, size=44), b'{"metadata":{"labels":{"a":"b"}}}')
            reply = await client.reply()
            assert_cf_error(reply, 408, 10004, "CF-InvalidRequest")
            assert reply.headers["Connection"] == "close"
            assert await client.rest() == b""
        async with connected(served) as client:
            await client.send(SIGN_IN)
            assert (await client.reply()).status == 408
    assert (await api.get(f"/v3/processes/{guid}")).json["metadata"]["labels"] == {}


async def test_a_head_that_does_not_come_in_time_is_given_up(settings: Settings) -> None:
    async with (
        running(replace(settings, head_timeout_s=SHORT_S)) as served,
        connected(served) as silent,
        connected(served) as partial,
        connected(served) as endless,
    ):
        await partial.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: y")
        with pytest.raises(ConnectionError):
            await send_headers(endless, "y", 0.05)
        assert await silent.rest() == b""
        assert_cf_error(await partial.reply(), 408, 10004, "CF-InvalidRequest")
        assert await partial.rest() == b""


async def test_a_head_may_only_be_so_long(api: Api) -> None:
    async with connected(api) as client:
        with pytest.raises(ConnectionError):
            await send_headers(client, "y" * (MAXIMUM_HEAD // 50), 0.001)


async def send_headers(client: Raw, value: str, every_s: float) -> None:
    """Less of them than may be in number, without an end. Raises ConnectionError when they are not taken any more."""
    await client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
    for number in range(100):
        await client.send(f"X-{number}: {value}\r\n".encode())
        await asyncio.sleep(every_s)


async def test_an_idle_connection_is_closed_after_its_time_and_not_before(settings: Settings) -> None:
    own = replace(settings, head_timeout_s=SHORT_S, idle_timeout_s=2.5)
    async with running(own) as served, connected(served) as client:
        for _ in range(2):
            await client.send(head("GET", "/"))
            assert (await client.reply()).status == 200
            await asyncio.sleep(1.5)
            assert not client.closed
        assert await client.rest() == b""


async def test_a_reply_that_is_not_taken_is_given_up_and_one_that_is_taken_slowly_is_not(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.http.connection.LEAST_TAKEN", 4096)
    async with (
        running(replace(settings, send_timeout_s=1.5)) as served,
        connected(served, receive_buffer=4096) as never,
        connected(served, receive_buffer=4096) as slow,
    ):
        for client in (never, slow):
            # More than the system keeps for them: the document, many times.
            await client.send(head("GET", "/v3/openapi.json") * 100)
        for _ in range(40):
            assert await slow.reader.readexactly(32_768)
            await asyncio.sleep(0.1)
        assert not slow.closed
        await eventually(lambda: _is_cut_off(never), 10)


# All of them together


async def test_what_is_in_flight_is_bounded_and_who_has_kept_us_waiting_longest_makes_room(
    settings: Settings, operator_token: str, make_app: MakeApp
) -> None:
    # Long answers of reviews, and one asked for beforehand: who is waited for is waited for at once.
    own = replace(settings, max_body_bytes=1 << 18, max_bytes_in_flight=1 << 19, review_ttl_s=600)
    guid = guid_of(await make_app("web"), "web")
    async with running(own, token=operator_token) as served, many(served, 1) as (first,):
        assert (await served.get("/v3/processes")).status == 200
        await first.send(update(operator_token, size=200_000), b" " * 199_000)
        async with many(served, 3, update(operator_token, size=50_000), b" " * 49_000):
            reply = await first.reply()
            assert_cf_error(reply, 503, 10015, "CF-ServiceUnavailable")
            assert int(reply.headers["Retry-After"]) >= 1
            body = {"metadata": {"annotations": {"a": "x" * 4000}}}
            assert (await served.patch(f"/v3/processes/{guid}", body)).status == 200
            assert await others_are_answered(served)


async def test_replies_that_are_not_taken_count_as_well(settings: Settings, operator_token: str) -> None:
    own = replace(settings, max_body_bytes=1 << 18, max_bytes_in_flight=1 << 20)
    async with running(own, token=operator_token) as served, many(served, 40) as clients:
        for client in clients:
            await client.send(head("GET", "/v3/openapi.json") * 400)

        async def some_are_closed() -> bool:
            return sum([await _is_cut_off(client) for client in clients]) > 5

        await eventually(some_are_closed, 10)
        assert await others_are_answered(served)


@pytest.fixture
def nobody_looks_for_cycles() -> Iterator[None]:
    """As in a replica that is loaded, and in which that is rare: what is in one stays."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def _kept() -> Counter[type]:
    """What there is of clients."""
    kinds: tuple[type, ...] = (Connection, web.BaseRequest)
    return Counter(kind for each in gc.get_objects() for kind in kinds if isinstance(each, kind))


@pytest.mark.parametrize("what", ["a reply", "a body nobody wants", "a body somebody waits for", "half of a head"])
async def test_nothing_is_kept_of_a_client_that_has_gone_in_the_middle_of(
    api: Api, operator_token: str, nobody_looks_for_cycles: None, what: str
) -> None:
    sent = {
        "a reply": head("GET", "/v3/openapi.json", operator_token) * 20,
        "a body nobody wants": head("PATCH", "/v3/processes/any", Content_Length="9000000") + b" " * 500_000,
        "a body somebody waits for": update(operator_token, size=1_000_000) + b" " * 500_000,
        "half of a head": b"GET / HTTP/1.1\r\nX: " + b"y" * 30_000,
    }[what]
    before = _kept()
    async with AsyncExitStack() as stack:
        for _ in range(5):
            client = await stack.enter_async_context(connected(api, receive_buffer=4096))
            client.writer.write(sent)
        await asyncio.sleep(0.5)
        assert _kept()[Connection] > before[Connection]

    async def all_gone() -> bool:
        return _kept() == before

    await eventually(all_gone, 10)


async def _is_cut_off(client: Raw) -> bool:
    try:
        await client.send(b"\r\n")
    except ConnectionError:
        return True
    return client.writer.is_closing()


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET / HTTP/1.1\r\nX: y", SIGN_IN, head("GET", "/")],
    ids=["nothing", "part of a head", "a head without its body", "one request"],
)
async def test_connections_are_bounded_and_newcomers_find_room(
    settings: Settings, operator_token: str, sent: bytes
) -> None:
    own = replace(settings, max_connections=20, review_ttl_s=600)
    async with running(own, token=operator_token) as served, many(served, 60, *([sent] if sent else [])):
        assert await others_are_answered(served)
        for _ in range(5):
            async with connected(served) as newcomer:
                await newcomer.send(head("GET", "/v3/processes", operator_token))
                assert (await newcomer.reply()).status == 200


async def test_no_more_connections_are_taken_than_the_process_may_open_files(
    settings: Settings, operator_token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (server._OTHER_FILES + 10, 1 << 20))
    async with running(settings, token=operator_token) as served, many(served, 30) as idle:

        async def oldest_are_closed() -> bool:
            return all(each.closed for each in idle[:19])

        await eventually(oldest_are_closed)
        assert await others_are_answered(served)


# Who goes first


class Client:
    """A connection as `Connections` sees it."""

    def __init__(self, patience_used: float | None, in_flight: int = 0, *, taking: bool = False) -> None:
        self.taking = taking
        self.used = patience_used
        self.in_flight = in_flight
        self.refused_with: CloudFoundryError | None = None
        self.everyone: Any = None

    def look(self, now: float) -> None:
        """Nothing has changed."""

    def patience_used(self, now: float) -> float | None:
        return None if self.refused_with else self.used

    def is_taking(self, now: float) -> bool:
        return self.taking

    def expects_more(self, now: float) -> bool:
        return self.used is not None

    def give_up(self, error: CloudFoundryError) -> None:
        self.refused_with = error
        self.everyone.moved(-self.in_flight)


def among(limits: Limits, *clients: Client) -> Connections:
    everyone = Connections(limits, lambda: 0.0)
    for client in clients:
        client.everyone = everyone
        everyone.add(client)
        everyone.moved(client.in_flight)
    return everyone


LIMITS = Limits(connections=3, bytes_in_flight=100, head_s=1, body_s=1, send_s=1, idle_s=1)


def test_whoever_has_used_up_most_of_their_time_goes_first_and_who_is_worked_for_never() -> None:
    old, older, working = Client(0.5), Client(0.6), Client(None)
    everyone = among(LIMITS, old, older, working)
    for expected in ([older], [older, old]):
        assert everyone.add(Client(None))
        assert [each for each in (old, older, working) if each.refused_with] in (expected, expected[::-1])
    assert not everyone.add(Client(None))
    assert len(everyone) == 3


def relieved(*clients: Client) -> list[bool]:
    """Which of them have made room for others."""
    everyone = among(replace(LIMITS, connections=9), *clients)
    everyone.relieve()
    return [client.refused_with is not None for client in clients]


def test_bytes_are_freed_until_there_is_room_and_who_holds_none_is_left_alone() -> None:
    assert relieved(Client(0.8, 20), Client(0.7, 20), Client(0.6, 20), Client(0.9)) == [True, False, False, False]
    assert relieved(Client(0.8, 30), Client(0.7, 40), Client(0.6, 50)) == [True, True, False]
    assert relieved(Client(0.8, 20), Client(0.7, 30)) == [False, False]


def test_who_takes_what_is_sent_goes_only_where_there_is_no_room_at_all() -> None:
    assert relieved(Client(0.8, 60, taking=True), Client(0.7, 20)) == [False, True]
    assert relieved(Client(0.8, 60, taking=True), Client(0.7, 60, taking=True)) == [True, False]


def test_nobody_is_given_up_while_all_is_work() -> None:
    assert relieved(Client(None, 200)) == [False]


async def test_one_timer_looks_after_all_and_ends_with_its_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LOOK_S", 0.01)
    late, early = Client(1.1), Client(0.9)
    everyone = among(LIMITS, late, early)
    with everyone.watched():
        await eventually(lambda: asyncio.sleep(0, late.refused_with is not None))
    assert late.refused_with is not None
    assert late.refused_with.status == 408
    assert early.refused_with is None
    early.used = 2.0
    await asyncio.sleep(0.05)
    assert early.refused_with is None
