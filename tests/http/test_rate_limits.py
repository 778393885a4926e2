"""Rate limits: whom they count, what they say, and whom they leave alone."""

import asyncio
import base64
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import orjson
import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from service.http import rate_limits
from service.http.proxies import client_address
from service.http.rate_limits import Windows
from service.settings import Settings
from tests.support.api import Api, Reply, assert_cf_error, running
from tests.support.kube import Kube

MOST = 5
UNAUTHENTICATED = (
    "Rate Limit Exceeded: Unauthenticated requests from this IP address have exceeded the limit. Please log in."
)


@pytest.fixture
async def limited(settings: Settings, operator_token: str) -> AsyncIterator[Api]:
    """A service that lets everyone make a few requests in a long while, as an operator."""
    # Long answers of reviews: what is asked of kube-apiserver is then what the test asked for.
    own = replace(settings, rate_limit_requests=MOST, rate_limit_window_s=600, review_ttl_s=600)
    async with running(own, token=operator_token) as served:
        yield served


def told(reply: Reply) -> tuple[int, int, int]:
    """What a reply says of the limit, of what remains of it, and in how many seconds it is whole again."""
    limit, remaining, reset = (int(reply.headers[f"X-RateLimit-{name}"]) for name in ("Limit", "Remaining", "Reset"))
    return limit, remaining, round(reset - time.time())


async def reviews(kube: Kube) -> int:
    counted = await kube.requests_counted()
    return counted["tokenreviews"] + counted["subjectaccessreviews"]


async def test_off_by_default(api: Api) -> None:
    for served in (api, api.as_user(None)):
        assert "X-RateLimit-Limit" not in (await served.get("/v3/processes")).headers


async def test_each_request_is_counted_and_told_until_there_are_none_left(limited: Api) -> None:
    for path, status in (("/v3/processes", 200), ("/v3/processes/none", 404), ("/v3/processes?page=0", 400)):
        reply = await limited.get(path)
        assert reply.status == status
    limit, remaining, reset_s = told(reply)
    assert (limit, remaining) == (MOST, MOST - 3)
    assert 590 < reset_s <= 601
    assert told(await limited.get("/v3/processes", method="HEAD"))[1] == 1
    assert told(await limited.get("/v3/processes", headers={"If-None-Match": "*"}))[1] == 0
    for path in ("/v3/processes", "/v3/processes/none"):
        refused = await limited.get(path)
        assert_cf_error(refused, 429, 10013, "CF-RateLimitExceeded", "Rate Limit Exceeded")
        assert told(refused)[:2] == (MOST, 0)
        assert 590 < int(refused.headers["Retry-After"]) <= 600


async def test_a_window_that_has_ended_is_followed_by_a_whole_one(settings: Settings, operator_token: str) -> None:
    async with running(replace(settings, rate_limit_requests=1, rate_limit_window_s=1), token=operator_token) as served:
        assert (await served.get("/v3/processes")).status == 200
        refused = await served.get("/v3/processes")
        assert refused.status == 429
        assert int(refused.headers["Retry-After"]) == 1
        await asyncio.sleep(1)
        assert (await served.get("/v3/processes")).status == 200


async def test_callers_are_counted_each_for_themselves_whichever_token_they_show(limited: Api, kube: Kube) -> None:
    token = await kube.token_of_new_user(cluster_roles=("processes-operator",))
    claims = orjson.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    name = claims["kubernetes.io"]["serviceaccount"]["name"]
    answer = await kube.request("POST", f"/api/v1/namespaces/default/serviceaccounts/{name}/token", {"spec": {}})
    for _ in range(MOST + 1):
        last = await limited.get("/v3/processes")
    assert last.status == 429
    one, other = limited.as_user(token), limited.as_user(answer["status"]["token"])
    assert one.token != other.token
    assert [told(await user.get("/v3/processes"))[1] for user in (one, other, one)] == [MOST - 1, MOST - 2, MOST - 3]


async def test_what_asks_for_no_token_is_not_counted(limited: Api) -> None:
    for _ in range(MOST + 1):
        for path, status in (("/", 200), ("/nope", 404)):
            reply = await limited.as_user(None).get(path)
            assert reply.status == status
            assert "X-RateLimit-Limit" not in reply.headers
    assert (await limited.manage("/livez")).status == 200
    assert told(await limited.get("/v3/processes"))[1] == MOST - 1


async def test_guesses_are_limited_by_address_and_then_no_longer_looked_at(limited: Api, kube: Kube) -> None:
    newcomer = limited.as_user(await kube.token_of_new_user(cluster_roles=("processes-operator",)))
    assert (await limited.get("/v3/processes")).status == 200
    for left in reversed(range(MOST)):
        reply = await limited.as_user(uuid4().hex if left else None).get("/v3/processes")
        assert reply.status == 401
        assert told(reply)[:2] == (MOST, left)
    before = await reviews(kube)
    for guess in (uuid4().hex, None):
        refused = await limited.as_user(guess).get("/v3/processes")
        assert_cf_error(refused, 429, 10014, "CF-IPBasedRateLimitExceeded", UNAUTHENTICATED)
        assert told(refused)[:2] == (MOST, 0)
        assert 590 < int(refused.headers["Retry-After"]) <= 600
    # A good token that nobody has seen yet cannot be told from a guess.
    assert (await newcomer.get("/v3/processes")).status == 429
    assert await reviews(kube) == before
    # Those who were let in before go on.
    assert told(await limited.get("/v3/processes"))[1] == MOST - 2


async def test_who_may_not_use_the_api_is_limited_by_address_too(limited: Api, kube: Kube) -> None:
    nobody = limited.as_user(await kube.token_of_new_user())
    assert [told(await nobody.get("/v3/processes"))[1] for _ in range(MOST)] == list(reversed(range(MOST)))
    # The token was accepted, so it is no guess; and it goes on being told the truth.
    assert (await nobody.get("/v3/processes")).status == 403
    assert (await limited.as_user("a-guess").get("/v3/processes")).status == 429


async def test_without_authentication_all_share_one_limit(settings: Settings) -> None:
    async with running(replace(settings, authentication="none", rate_limit_requests=2)) as served:
        assert [(await served.get("/v3/processes")).status for _ in range(3)] == [200, 200, 429]


async def test_addresses_are_those_that_trusted_proxies_saw(settings: Settings) -> None:
    own = replace(settings, rate_limit_requests=1, trusted_proxies=("127.0.0.0/8", "10.0.0.0/8"))
    async with running(own) as served:
        for forwarded, status in (
            ("192.0.2.1", 401),
            ("192.0.2.1", 429),
            ("192.0.2.2", 401),
            ("192.0.2.3, 192.0.2.1, 10.0.0.1", 429),
            ("2001:db8::1", 401),
            ("2001:db8::2", 429),
            ("2001:db8:0:1::1", 401),
            ("::ffff:192.0.2.1", 429),
        ):
            reply = await served.get("/v3/processes", headers={"X-Forwarded-For": forwarded})
            assert reply.status == status, forwarded


async def test_nobody_else_is_believed_about_addresses(settings: Settings) -> None:
    async with running(replace(settings, rate_limit_requests=1)) as served:
        for forwarded, status in (("192.0.2.1", 401), ("192.0.2.2", 429)):
            reply = await served.get("/v3/processes", headers={"X-Forwarded-For": forwarded})
            assert reply.status == status


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ([], "peer"),
        ([""], "peer"),
        (["192.0.2.1"], "192.0.2.1"),
        (["192.0.2.1, 192.0.2.2"], "192.0.2.2"),
        (["192.0.2.1", "192.0.2.2"], "192.0.2.2"),
        (["192.0.2.1, 10.0.0.1,10.0.0.2"], "192.0.2.1"),
        (["10.0.0.1"], "10.0.0.1"),
        (["192.0.2.1, made up"], "made up"),
    ],
)
def test_the_nearest_address_that_is_no_trusted_proxy_counts(forwarded: list[str], address: str) -> None:
    headers = CIMultiDict([("X-Forwarded-For", value) for value in forwarded])
    request = make_mocked_request("GET", "/", headers=headers).clone(remote="10.9.9.9")
    assert client_address(request, ("10.0.0.0/8",)) == ("10.9.9.9" if address == "peer" else address)
    assert client_address(request, ()) == "10.9.9.9"


# Windows


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 8))))
def test_nobody_makes_more_requests_than_allowed_within_a_window_of_theirs(steps: list[tuple[str, float]]) -> None:
    clock = Clock()
    windows = Windows(3, 10.0, clock)
    begun: dict[str, float] = {}
    taken: dict[str, int] = defaultdict(int)
    for key, passes_s in steps:
        clock.now += passes_s
        if key not in begun or clock.now >= begun[key] + 10.0:
            begun[key], taken[key] = clock.now, 0
        assert (windows.exhausted(key) is not None) == (taken[key] == 3)
        standing = windows.take(key)
        assert standing.exceeded == (taken[key] == 3)
        taken[key] += not standing.exceeded
        assert standing.remaining == 3 - taken[key]
        assert standing.ends_in_s == begun[key] + 10.0 - clock.now
        assert len(windows) == sum(clock.now < begin + 10.0 for begin in begun.values())


def test_no_more_are_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "CAPACITY", 100)
    windows = Windows(1, 10.0, Clock())
    for number in range(1000):
        windows.take(number)
    assert len(windows) == 100
    assert windows.exhausted(999)
    assert not windows.exhausted(899)
