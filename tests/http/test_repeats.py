"""Requests that come as they came before: answered unparsed, and nobody can tell, whatever else happens meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

import pytest

from service.http.connection import Connection
from service.http.connections import LOOK_S
from service.http.keys import TRAFFIC
from service.http.repeats import LONGEST_HEAD
from service.operations.standing import Standing
from service.settings import Settings
from tests.support.api import Api, Reply, assert_cf_error, running
from tests.support.apps import MakeApp
from tests.support.kube import eventually, guid_of
from tests.support.metrics import scrape
from tests.support.ready_answers import LASTING_S, ready, told
from tests.support.sockets import Raw, connected, head


@dataclass
class Parsed:
    """What has been parsed, as opposed to answered as it came."""

    count: int = 0


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Parsed:
    counted, receive = Parsed(), Connection.data_received

    def count(self: Connection, data: bytes) -> None:
        counted.count += 1
        receive(self, data)

    monkeypatch.setattr(Connection, "data_received", count)
    return counted


@dataclass
class Looks:
    """Looks at whether answers still hold; while none is let go, they wait."""

    begun: int = 0
    outcome: Callable[[], bool] | None = None
    """In place of what they would find."""
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    held: int | None = None
    """The number of the only one that waits."""

    async def begin(self, count: int = 1) -> None:
        async def have() -> bool:
            return self.begun >= count

        await eventually(have)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Looks]:
    held, holds = Looks(), Standing.holds
    # What else is set up for a test reads as well.
    held.let_go.set()

    async def wait(self: Standing) -> bool:
        held.begun += 1
        if held.held in (None, held.begun):
            await held.let_go.wait()
        return held.outcome() if held.outcome is not None else await holds(self)

    with monkeypatch.context() as patched:
        patched.setattr(Standing, "holds", wait)
        yield held
        held.let_go.set()


def asking(api: Api, path: str, **headers: str) -> bytes:
    return head("GET", path, api.token, **headers)


async def ask(client: Raw, request: bytes) -> Reply:
    await client.send(request)
    return await client.reply()


async def known(api: Api, client: Raw, *paths: str) -> list[Reply]:
    """What is said to requests for these, once they need not be parsed any more."""

    async def replies() -> list[Reply] | None:
        before, found = ready(api).sent, [await ask(client, asking(api, path)) for path in paths]
        return found if ready(api).sent == before + len(paths) else None

    await eventually(replies)
    found: list[Reply] = await eventually(replies)
    return found


@pytest.fixture
async def path(make_app: MakeApp) -> str:
    """Of what nobody else changes."""
    return f"/v3/processes/{guid_of(await make_app('web'), 'web')}/sidecars"


@pytest.fixture
async def client(lasting: Api) -> AsyncIterator[Raw]:
    async with connected(lasting) as made:
        yield made


async def test_they_are_answered_without_being_parsed_on_any_connection(
    lasting: Api, client: Raw, parsed: Parsed, path: str
) -> None:
    (wanted,) = await known(lasting, client, path)
    parsed.count = 0
    ids = set()
    for _ in range(3):
        async with connected(lasting) as another:
            for asked in (client, another, another):
                reply = await ask(asked, asking(lasting, path))
                ids.add(reply.headers["X-Vcap-Request-Id"])
                assert told(reply) == told(wanted)
    assert parsed.count == 0
    assert len(ids) == 9
    labels = {"method": "GET", "route": "/v3/processes/{guid}/sidecars", "status": "200"}
    assert (await scrape(lasting)).value("cf_processes_requests_total", **labels) >= 9


@pytest.mark.parametrize(
    "headers",
    [
        {"X_Request_Id": "mine"},
        {"Traceparent": "00-1"},
        {"Connection": "close"},
        {"Content_Length": "0"},
        {"X_Long": "x" * LONGEST_HEAD},
    ],
    ids=lambda headers: next(iter(headers)),
)
async def test_what_is_another_each_time_or_long_is_parsed(
    lasting: Api, client: Raw, parsed: Parsed, headers: dict[str, str], path: str
) -> None:
    await known(lasting, client, path)
    wanted = None
    for _ in range(3):
        async with connected(lasting) as another:
            parsed.count = 0
            reply = await ask(another, asking(lasting, path, **headers))
            assert reply.status == 200
            if headers.get("Content_Length") is None:
                assert parsed.count >= 1
            assert wanted is None or reply.body == wanted
            wanted = reply.body
            own = reply.headers["X-Vcap-Request-Id"].startswith("mine::")
            assert own == ("X_Request_Id" in headers)
            assert (await another.rest() == b"") if "Connection" in headers else not another.closed


@pytest.mark.parametrize("cut", [1, 40, -1])
async def test_one_that_comes_in_pieces_is_answered_all_the_same(
    lasting: Api, client: Raw, cut: int, path: str
) -> None:
    (wanted,) = await known(lasting, client, path)
    request = asking(lasting, path)
    for _ in range(2):
        await client.send(request[:cut])
        await asyncio.sleep(0.05)
        assert told(await ask(client, request[cut:])) == told(wanted)
        assert told(await ask(client, request)) == told(wanted)


async def test_several_at_once_are_answered_in_their_order(lasting: Api, client: Raw, path: str) -> None:
    paths = [path, f"{path}?per_page=1"]
    wanted = [told(reply) for reply in await known(lasting, client, *paths)]
    requests = [asking(lasting, path) for path in paths]
    for sent in ([b"".join(requests * 3)], requests * 3, [requests[0] + requests[1][:50], requests[1][50:]]):
        await client.send(*sent)
        count = b"".join(sent).count(b"GET ")
        assert [told(await client.reply()) for _ in range(count)] == (wanted * 3)[:count]


@pytest.mark.parametrize("headers", [{}, {"X_Request_Id": "mine"}], ids=["as it came before", "parsed"])
async def test_what_comes_while_an_answer_is_looked_at_comes_after_it(
    lasting: Api, client: Raw, looks: Looks, headers: dict[str, str], path: str
) -> None:
    first, second = [told(reply) for reply in await known(lasting, client, path, f"{path}?per_page=1")]
    looks.let_go.clear()
    # The second need not wait for anything.
    begun = looks.begun
    looks.held = begun + 1
    await client.send(asking(lasting, path, **headers))
    await looks.begin(begun + 1)
    await client.send(asking(lasting, f"{path}?per_page=1"))
    await asyncio.sleep(0.05)
    await client.send(head("GET", f"{path}?per_page=1")[:30])
    await asyncio.sleep(0.05)
    await client.send(head("GET", f"{path}?per_page=1")[30:], asking(lasting, path))
    await asyncio.sleep(0.05)
    looks.let_go.set()
    assert [told(await client.reply()) for _ in range(2)] == [first, second]
    assert_cf_error(await client.reply(), 401, 10002, "CF-NotAuthenticated")
    assert told(await client.reply()) == first


async def test_one_inside_of_another_is_a_part_of_it(lasting: Api, client: Raw, path: str) -> None:
    await known(lasting, client, path)
    await client.send(b"GET /v3/nothing HTTP/1.1\r\nX-Inside: ")
    await asyncio.sleep(0.05)
    assert_cf_error(await ask(client, asking(lasting, path)), 404, 10000, "CF-NotFound")


@pytest.mark.parametrize("defect", [False, True])
async def test_an_answer_that_does_not_hold_is_worked_out_and_looked_at_once(
    lasting: Api, client: Raw, looks: Looks, defect: bool, path: str
) -> None:
    (wanted,) = await known(lasting, client, path)
    begun, sent = looks.begun, ready(lasting).sent

    def outcome() -> bool:
        if defect:
            raise RuntimeError
        return False

    looks.outcome = outcome
    assert told(await ask(client, asking(lasting, path))) == told(wanted)
    assert (looks.begun, ready(lasting).sent) == (begun + 1, sent)


async def test_what_was_written_meanwhile_is_shown(lasting: Api, client: Raw, make_app: MakeApp, looks: Looks) -> None:
    path = f"/v3/processes/{guid_of(await make_app('web'), 'web')}"
    await known(lasting, client, path)
    looks.let_go.clear()
    begun = looks.begun
    await client.send(asking(lasting, path))
    await looks.begin(begun + 1)
    assert (await lasting.patch(path, {"metadata": {"labels": {"new": "yes"}}})).status == 200
    looks.let_go.set()
    assert (await client.reply()).json["metadata"]["labels"] == {"new": "yes"}


async def test_nothing_is_left_of_clients_that_go_meanwhile(lasting: Api, client: Raw, looks: Looks, path: str) -> None:
    await known(lasting, client, path)
    looks.let_go.clear()
    begun, tasks = looks.begun, len(asyncio.all_tasks())
    async with AsyncExitStack() as stack:
        for _ in range(20):
            await (await stack.enter_async_context(connected(lasting))).send(asking(lasting, path))
        await looks.begin(begun + 20)

    async def gone() -> bool:
        return len(asyncio.all_tasks()) <= tasks and lasting.application[TRAFFIC].open <= 2

    await eventually(gone)
    looks.let_go.set()
    assert (await ask(client, asking(lasting, path))).status == 200
    assert (await scrape(lasting)).value("cf_processes_requests_in_flight") == 0


@pytest.mark.parametrize("holds", [True, False])
async def test_a_server_that_ends_answers_first(
    settings: Settings, operator_token: str, looks: Looks, holds: bool, path: str
) -> None:
    async with AsyncExitStack() as clients, AsyncExitStack() as service:
        served = await service.enter_async_context(running(settings, token=operator_token))
        client = await clients.enter_async_context(connected(served))
        (wanted,) = await known(served, client, path)
        looks.let_go.clear()
        begun = looks.begun
        await client.send(asking(served, path))
        await looks.begin(begun + 1)

        async def reply() -> Reply:
            # The server has waited for clients that are about to send, and closes.
            await asyncio.sleep(2)
            looks.outcome = lambda: holds
            looks.let_go.set()
            found = await client.reply()
            assert await client.rest() == b""
            return found

        waiting = asyncio.create_task(reply())
        await service.aclose()
        answered = await waiting
    assert answered.body == wanted.body
    assert answered.headers["Connection"] == "close"


async def test_a_connection_is_idle_since_its_last_answer(settings: Settings, operator_token: str, path: str) -> None:
    own = replace(settings, idle_timeout_s=1.5, review_ttl_s=LASTING_S)
    async with running(own, token=operator_token) as served, connected(served) as client:
        await known(served, client, path)
        for _ in range(4):
            await asyncio.sleep(0.8)
            assert (await ask(client, asking(served, path))).status == 200
        assert await client.rest() == b""


async def test_a_connection_is_not_idle_while_its_answer_is_looked_at(
    settings: Settings, operator_token: str, looks: Looks, path: str
) -> None:
    own = replace(settings, idle_timeout_s=1.5, review_ttl_s=LASTING_S)
    async with running(own, token=operator_token) as served, connected(served) as client:
        (wanted,) = await known(served, client, path)
        looks.let_go.clear()
        await asyncio.sleep(1.2)
        await client.send(asking(served, path))
        await asyncio.sleep(0.8)
        looks.let_go.set()
        assert told(await client.reply()) == told(wanted)


async def test_who_takes_nothing_is_sent_no_more(lasting: Api, make_app: MakeApp) -> None:
    app = await make_app(*(f"kind-{number}" for number in range(40)))
    path = f"/v3/apps/{app}/processes"
    async with connected(lasting) as quick:
        (wanted,) = await known(lasting, quick, path)
    async with connected(lasting, receive_buffer=4096) as slow:
        most, asked = 100, 0
        answered = True
        while answered and asked < most:
            before, asked = ready(lasting).sent, asked + 1
            await slow.send(asking(lasting, path))
            for _ in range(50):
                if answered := ready(lasting).sent > before:
                    break
                await asyncio.sleep(0.01)
        assert asked < most
        # So often it is looked at what clients have not taken.
        await asyncio.sleep(1.2 * LOOK_S)
        assert 0 < lasting.application[TRAFFIC].in_flight < 4 * len(wanted.body) + (1 << 19)
        for _ in range(asked):
            assert told(await slow.reply()) == told(wanted)


async def test_rate_limits_hold(settings: Settings, operator_token: str, path: str) -> None:
    own = replace(settings, rate_limit_requests=8, rate_limit_window_s=600, review_ttl_s=LASTING_S)
    async with running(own, token=operator_token) as served, connected(served) as client:
        replies = [await ask(client, asking(served, path)) for _ in range(8)]
        assert [reply.headers["X-RateLimit-Remaining"] for reply in replies] == [str(7 - n) for n in range(8)]
        assert ready(served).sent > 3
        for _ in range(3):
            reply = await ask(client, asking(served, path))
            assert_cf_error(reply, 429, 10013, "CF-RateLimitExceeded")
            assert int(reply.headers["Retry-After"]) > 0


async def test_what_a_trusted_proxy_says_is_from_its_address_alone(
    settings: Settings, operator_token: str, path: str
) -> None:
    own = replace(settings, trusted_proxies=("127.0.0.1",), review_ttl_s=LASTING_S)
    forwarded = {"X_Forwarded_Host": "api.example.com", "X_Forwarded_Proto": "https"}
    async with running(own, token=operator_token) as served:
        for _ in range(3):
            for address, base in (("127.0.0.1", "https://api.example.com"), ("127.0.0.2", "http://localhost")):
                async with connected(served, local_address=address) as client:
                    for _ in range(3):
                        reply = await ask(client, asking(served, path, **forwarded))
                        assert reply.json["pagination"]["first"]["href"].startswith(f"{base}/v3/processes")
        assert ready(served).sent > 6
