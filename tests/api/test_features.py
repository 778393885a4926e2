"""GET /v3/apps/{guid}/features and /v3/apps/{guid}/features/{name}."""

import pytest

from tests.support.api import Api, assert_cf_error
from tests.support.apps import MakeApp, Users


async def test_ssh_and_revisions_are_off(api: Api, make_app: MakeApp) -> None:
    app = await make_app("web")
    features = (await api.get(f"/v3/apps/{app}/features")).json["resources"]
    assert [(each["name"], each["enabled"]) for each in features] == [("ssh", False), ("revisions", False)]
    for each in features:
        assert list(each) == ["name", "description", "enabled"]
        assert (await api.get(f"/v3/apps/{app}/features/{each['name']}")).json == each


async def test_there_are_no_others(api: Api, make_app: MakeApp) -> None:
    reply = await api.get(f"/v3/apps/{await make_app('web')}/features/time-travel")
    assert_cf_error(reply, 404, 10010, "CF-ResourceNotFound", "Feature not found")


@pytest.mark.parametrize("below", ["", "/ssh", "/time-travel"])
async def test_an_app_that_a_caller_does_not_see_has_none(
    api: Api, make_app: MakeApp, users: Users, below: str
) -> None:
    app, stranger = await make_app("web"), api.as_user(users.stranger)
    assert (await api.as_user(users.viewer).get(f"/v3/apps/{app}/features")).status == 200
    hidden, missing = [await stranger.get(f"/v3/apps/{guid}/features{below}") for guid in (app, "none")]
    assert_cf_error(hidden, 404, 10010, "CF-ResourceNotFound", "App not found")
    assert hidden.body == missing.body
