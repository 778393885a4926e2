"""GET /whoami."""

import base64
import json
from dataclasses import replace

import pytest

from service.api.resources.whoami import present
from service.settings import Settings
from tests.support.api import Api, assert_cf_error, running
from tests.support.apps import Users


def name_in(token: str) -> str:
    """Whose a ServiceAccount's token is, as it says itself."""
    name: str = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["sub"]
    return name


@pytest.mark.parametrize("user", ["operator", "viewer", "stranger", "nobody"])
async def test_each_is_told_their_name_whatever_they_may_do(api: Api, users: Users, user: str) -> None:
    token = getattr(users, user)
    reply = await api.as_user(token).get("/whoami")
    assert (reply.status, list(reply.json.items())) == (200, [("name", name_in(token)), ("kind", "ServiceAccount")])
    assert reply.json["name"].startswith("system:serviceaccount:default:")


async def test_may_not_use_the_api_and_is_told_so_elsewhere(api: Api, users: Users) -> None:
    assert_cf_error(await api.as_user(users.nobody).get("/v3/processes"), 403, 10003, "CF-NotAuthorized")


@pytest.mark.parametrize("name", ["jane", "jane@example.test", "system:admin", "serviceaccount:a:b"])
def test_all_others_are_users(name: str) -> None:
    assert present(name) == {"name": name, "kind": "User"}


async def test_without_a_token_that_the_cluster_knows_there_is_nobody(api: Api) -> None:
    assert_cf_error(await api.as_user(None).get("/whoami"), 401, 10002, "CF-NotAuthenticated")
    assert_cf_error(await api.as_user("nonsense").get("/whoami"), 401, 1000, "CF-InvalidAuthToken")


async def test_it_takes_no_query(api: Api) -> None:
    assert_cf_error(await api.get("/whoami?user=jane"), 400, 10005, "CF-BadQueryParameter")


async def test_asking_counts_like_any_request(settings: Settings, operator_token: str, users: Users) -> None:
    async with running(replace(settings, rate_limit_requests=1), token=operator_token) as served:
        for api in (served, served.as_user(users.nobody)):
            assert (await api.get("/whoami")).status == 200
            assert_cf_error(await api.get("/whoami"), 429, 10013, "CF-RateLimitExceeded")


async def test_where_nobody_shows_a_token_everybody_is_anyone(settings: Settings) -> None:
    async with running(replace(settings, authentication="none")) as served:
        assert (await served.get("/whoami")).json == {"name": "anyone", "kind": "User"}
