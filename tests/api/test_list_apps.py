"""GET /v3/apps: who sees which apps, by what they are found, in which order, and what comes along."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import quote
from uuid import uuid4

import pytest

from tests.support.api import Api, assert_cf_error
from tests.support.apps import Users
from tests.support.kube import KEYS, Kube, deployment, eventually

NAMES = ["Zebra", "a,b", "apple", "éclair"]
"""In the order of code points."""


@dataclass
class Shelf:
    """Apps of four names in a space of their own, the first of which is stopped."""

    space: str
    organization: str
    namespace: str
    guids: list[str]


@pytest.fixture
async def shelf(api: Api, kube: Kube) -> AsyncIterator[Shelf]:
    space, organization = str(uuid4()), str(uuid4())
    labels = {KEYS.space_guid: space, KEYS.organization_guid: organization, KEYS.space_name: "fruit"}
    namespace = await kube.create_namespace({**labels, KEYS.organization_name: "market"})
    guids = []
    for number, name in enumerate(NAMES):
        guids.append(str(uuid4()))
        annotations = {KEYS.app_name: name}
        made = deployment(f"d{number}", namespace, guids[-1], annotations=annotations, replicas=int(number > 0))
        await kube.create(made)

    async def shown() -> bool:
        return len(await api.guids(f"/v3/apps?space_guids={space}")) == len(NAMES)

    await eventually(shown)
    yield Shelf(space, organization, namespace, guids)
    await kube.delete_namespace(namespace)


def value(text: str) -> str:
    """A value of a list in a query: percent-encoded for the list, and again for the query."""
    return quote(quote(text, safe=""), safe="")


async def test_apps_are_found_by_what_they_are(api: Api, shelf: Shelf) -> None:
    zebra, comma, apple, eclair = shelf.guids
    for query, expected in {
        f"space_guids={shelf.space}": set(shelf.guids),
        f"organization_guids={shelf.organization}": set(shelf.guids),
        f"space_guids={shelf.space}&names={value('a,b')},{value('apple')}": {comma, apple},
        f"space_guids={shelf.space}&names=a,b": set(),
        f"space_guids={shelf.space}&names={value('éclair')}": {eclair},
        f"guids={zebra},{apple},nonsense": {zebra, apple},
        f"space_guids={shelf.space}&lifecycle_type=docker": set(shelf.guids),
        f"space_guids={shelf.space}&lifecycle_type=buildpack": set(),
        f"space_guids={shelf.space}&stacks=cflinuxfs4": set(),
        "organization_guids=nonsense": set(),
    }.items():
        assert set(await api.guids(f"/v3/apps?{query}")) == expected, query


async def test_apps_are_listed_in_the_order_asked_for(api: Api, shelf: Shelf) -> None:
    path = f"/v3/apps?space_guids={shelf.space}"
    assert await api.guids(f"{path}&order_by=name") == shelf.guids
    assert await api.guids(f"{path}&order_by=-name") == shelf.guids[::-1]
    by_state = await api.guids(f"{path}&order_by=state")
    assert (set(by_state[:3]), by_state[3]) == (set(shelf.guids[1:]), shelf.guids[0])
    assert await api.guids(f"{path}&order_by=-state") == by_state[::-1]
    assert await api.all_guids(f"{path}&order_by=-name&per_page=3") == shelf.guids[::-1]
    href = (await api.get(f"{path}&order_by=name")).json["pagination"]["first"]["href"]
    assert "order_by=%2Bname" in href
    reply = await api.get(f"{path}&order_by=guid")
    assert "'order_by'" in assert_cf_error(reply, 400, 10005, "CF-BadQueryParameter")


@pytest.mark.parametrize(
    ("include", "spaces", "organizations"),
    [("space", True, False), ("org", False, True), ("space,org", True, True), ("space.organization", True, True)],
)
async def test_the_spaces_and_organizations_of_apps_come_along_once_each(
    api: Api, shelf: Shelf, include: str, spaces: bool, organizations: bool
) -> None:
    for path in (
        f"/v3/apps?space_guids={shelf.space}&include={include}",
        f"/v3/apps/{shelf.guids[0]}?include={include}",
    ):
        included = (await api.get(path)).json["included"]
        assert [each["name"] for each in included.get("spaces", ())] == ["fruit"] * spaces
        assert [each["name"] for each in included.get("organizations", ())] == ["market"] * organizations
        assert included.keys() == {
            name for name, is_in in (("spaces", spaces), ("organizations", organizations)) if is_in
        }


async def test_everybody_is_listed_the_apps_that_they_see(api: Api, make_app: object, users: Users, space: str) -> None:
    app = await make_app("web", "worker")  # type: ignore[operator]
    path = f"/v3/apps?space_guids={space}"
    for token in (users.operator, users.viewer, api.token):
        assert await api.as_user(token).guids(path) == [app]
    assert await api.as_user(users.stranger).guids(path) == []
    assert_cf_error(await api.as_user(users.nobody).get(path), 403, 10003, "CF-NotAuthorized")
    assert_cf_error(await api.as_user(None).get(path), 401, 10002, "CF-NotAuthenticated")


async def test_an_unchanged_list_is_not_sent_again_and_a_changed_one_is(api: Api, kube: Kube, shelf: Shelf) -> None:
    path = f"/v3/apps?space_guids={shelf.space}&guids={shelf.guids[0]}"
    etag = (await api.get(path)).headers["ETag"]
    assert (await api.get(path, headers={"If-None-Match": etag})).status == 304
    assert (await api.get(path, method="HEAD")).headers["ETag"] == etag
    await kube.patch(shelf.namespace, "d0", {"spec": {"replicas": 1}})

    async def started() -> bool:
        return [each["state"] for each in (await api.get(path)).json["resources"]] == ["STARTED"]

    await eventually(started)
    assert (await api.get(path, headers={"If-None-Match": etag})).status == 200


async def test_a_scale_through_the_api_shows_in_the_app_at_the_next_read(api: Api, shelf: Shelf) -> None:
    app = shelf.guids[0]
    for instances, state in ((2, "STARTED"), (1, "STARTED")):
        reply = await api.post(f"/v3/apps/{app}/processes/web/actions/scale", {"instances": instances})
        assert reply.status == 202
        assert (await api.get(f"/v3/apps/{app}")).json["state"] == state
