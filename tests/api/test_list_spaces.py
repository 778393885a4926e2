"""GET /v3/spaces and /v3/organizations, and single ones: what is one, what it is called, and for whom."""

from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import pytest

from tests.support.api import Api, assert_cf_error
from tests.support.apps import MakeApp, Users
from tests.support.kube import KEYS, Kube, deployment, eventually

Make = Callable[..., Awaitable[str]]


@pytest.fixture
async def make_namespace(api: Api, kube: Kube) -> AsyncIterator[Make]:
    """Makes a Namespace of these labels, by the names of keys, and waits until it is a space."""
    made: list[str] = []

    async def make(**labels: str) -> str:
        made.append(await kube.create_namespace({getattr(KEYS, key): value for key, value in labels.items()}))
        if labels.keys() & {"space_guid", "organization_guid"}:
            await shown(api, f"/v3/spaces/{labels.get('space_guid', made[-1])}")
        return made[-1]

    yield make
    for name in made:
        await kube.delete_namespace(name)


async def shown(api: Api, path: str) -> None:
    async def is_there() -> bool:
        return (await api.get(path)).status == 200

    await eventually(is_there)


async def reader_of(api: Api, kube: Kube, *namespaces: str) -> Api:
    roles = dict.fromkeys(namespaces, "processes-reader")
    return api.as_user(await kube.token_of_new_user(cluster_roles=("processes-api",), roles_in=roles))


async def test_a_space_and_its_organization_are_shown_whole(api: Api, make_namespace: Make) -> None:
    space, organization = str(uuid4()), str(uuid4())
    await make_namespace(
        space_guid=space, organization_guid=organization, space_name="storefront", organization_name="retail"
    )
    found = (await api.get(f"/v3/spaces/{space}?include=organization")).json
    (included,) = found.pop("included")["organizations"]
    assert found == {
        "guid": space,
        "created_at": found["created_at"],
        "updated_at": found["updated_at"],
        "name": "storefront",
        "suspended": False,
        "relationships": {"organization": {"data": {"guid": organization}}, "quota": {"data": None}},
        "metadata": {"labels": {}, "annotations": {}},
        "links": {
            "self": {"href": f"{api.url}/v3/spaces/{space}"},
            "organization": {"href": f"{api.url}/v3/organizations/{organization}"},
        },
    }
    assert included == (await api.get(f"/v3/organizations/{organization}")).json
    assert included == {
        "guid": organization,
        "created_at": found["created_at"],
        "updated_at": found["updated_at"],
        "name": "retail",
        "suspended": False,
        "relationships": {"quota": {"data": None}},
        "metadata": {"labels": {}, "annotations": {}},
        "links": {
            "self": {"href": f"{api.url}/v3/organizations/{organization}"},
            "domains": {"href": f"{api.url}/v3/organizations/{organization}/domains"},
        },
    }


async def test_a_namespace_is_a_space_while_it_holds_a_process(api: Api, kube: Kube, make_namespace: Make) -> None:
    name = await make_namespace()
    assert_cf_error(await api.get(f"/v3/spaces/{name}"), 404, 10010, "CF-ResourceNotFound", "Space not found")
    app = str(uuid4())
    await kube.create(deployment("web", name, app))
    await shown(api, f"/v3/apps/{app}")
    found = (await api.get(f"/v3/spaces/{name}")).json
    assert (found["name"], found["relationships"]["organization"]["data"]["guid"]) == (name, "default")
    assert name in {each["guid"] for each in (await api.get("/v3/spaces?organization_guids=default")).json["resources"]}
    assert "default" in await api.guids("/v3/organizations?names=default")
    assert await api.guids(f"/v3/processes?organization_guids=default&app_guids={app}")
    await kube.request("DELETE", f"/apis/apps/v1/namespaces/{name}/deployments/web")

    async def gone() -> bool:
        return (await api.get(f"/v3/spaces/{name}")).status == 404

    await eventually(gone)


async def test_a_space_that_only_deployments_name_is_called_by_its_guid(
    api: Api, kube: Kube, make_namespace: Make
) -> None:
    organization, named, app = str(uuid4()), str(uuid4()), str(uuid4())
    name = await make_namespace(organization_guid=organization, space_name="plain")
    await kube.create(deployment("web", name, app, labels={KEYS.space_guid: named}))
    await shown(api, f"/v3/apps/{app}")
    spaces = (await api.get(f"/v3/spaces?organization_guids={organization}&order_by=name")).json["resources"]
    assert {(each["guid"], each["name"]) for each in spaces} == {(named, named), (name, "plain")}
    assert await api.guids(f"/v3/apps?space_guids={named}") == [app]


async def test_each_caller_is_shown_a_space_as_the_namespaces_that_they_see_say_it_is(
    api: Api, kube: Kube, make_namespace: Make
) -> None:
    space, organization, other = (str(uuid4()) for _ in range(3))
    first = await make_namespace(space_guid=space, organization_guid=organization, space_name="first")
    second = await make_namespace(space_guid=space, organization_guid=other, space_name="second", organization_name="o")
    third = await make_namespace(
        organization_guid=organization, organization_name="named by the third".replace(" ", "-")
    )
    one, two, three, both = [
        await reader_of(api, kube, *seen) for seen in ((first,), (second,), (third,), (first, second, third))
    ]

    async def names(user: Api, plural: str) -> dict[str, str]:
        listed = (await user.get(f"/v3/{plural}?guids={space},{organization},{other},{third}")).json
        assert listed["total_results"] == len(listed["resources"])
        for each in listed["resources"]:
            assert (await user.get(f"/v3/{plural}/{each['guid']}")).json == each
        return {each["guid"]: each["name"] for each in listed["resources"]}

    assert await names(one, "spaces") == {space: "first"}
    assert await names(two, "spaces") == {space: "second"}
    assert await names(three, "spaces") == {third: third}
    assert await names(both, "spaces") in ({space: "first", third: third}, {space: "second", third: third})
    assert await names(one, "organizations") == {organization: organization}
    assert await names(two, "organizations") == {other: "o"}
    assert await names(three, "organizations") == {organization: "named-by-the-third"}
    assert await names(both, "organizations") == {organization: "named-by-the-third", other: "o"}


@pytest.mark.parametrize(
    ("plural", "text"), [("spaces", "Space not found"), ("organizations", "Organization not found")]
)
async def test_who_may_see_no_process_there_sees_no_space_and_no_organization(
    api: Api, kube: Kube, make_namespace: Make, users: Users, plural: str, text: str
) -> None:
    space, organization = str(uuid4()), str(uuid4())
    guid = space if plural == "spaces" else organization
    name = await make_namespace(space_guid=space, organization_guid=organization)
    stranger = api.as_user(users.stranger)
    assert await stranger.guids(f"/v3/{plural}?guids={guid}") == []
    hidden, absent = await stranger.get(f"/v3/{plural}/{guid}"), await stranger.get(f"/v3/{plural}/{uuid4()}")
    assert_cf_error(hidden, 404, 10010, "CF-ResourceNotFound", text)
    assert hidden.body == absent.body
    assert await (await reader_of(api, kube, name)).guids(f"/v3/{plural}?guids={guid}") == [guid]


async def test_a_list_that_stays_the_same_is_not_sent_again(api: Api, kube: Kube, make_namespace: Make) -> None:
    space = str(uuid4())
    name = await make_namespace(space_guid=space)
    path = f"/v3/spaces?guids={space}"
    etag = (await api.get(path)).headers["ETag"]
    assert (await api.get(path, headers={"If-None-Match": etag})).status == 304
    patch = {"metadata": {"labels": {KEYS.space_name: "renamed"}}}
    await kube.request("PATCH", f"/api/v1/namespaces/{name}", patch, kind="application/merge-patch+json")

    async def renamed() -> bool:
        return [each["name"] for each in (await api.get(path)).json["resources"]] == ["renamed"]

    await eventually(renamed)
    assert (await api.get(path, headers={"If-None-Match": etag})).status == 200


async def test_spaces_are_paged_by_name(api: Api, make_namespace: Make, make_app: MakeApp) -> None:
    organization = str(uuid4())
    for name in ("b", "Z", "a"):
        await make_namespace(organization_guid=organization, space_name=name)
    path = f"/v3/spaces?organization_guids={organization}&per_page=1"

    async def names(order: str) -> list[str]:
        guids = await api.all_guids(f"{path}&order_by={order}")
        by_guid = {
            e["guid"]: e["name"] for e in (await api.get(f"/v3/spaces?guids={','.join(guids)}")).json["resources"]
        }
        return [by_guid[guid] for guid in guids]

    assert await names("name") == ["Z", "a", "b"]
    assert await names("-name") == ["b", "a", "Z"]
