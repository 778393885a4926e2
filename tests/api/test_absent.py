"""GET of what Cloud Foundry has and a cluster of Deployments does not: nothing, in the shape that clients read."""

import pytest

from service.api.resources.absent import LISTS, RELATIONSHIPS, Absent
from service.api.resources.parents import APP, ORGANIZATION, SPACE, Kind
from tests.support.api import Api, Reply, assert_cf_error
from tests.support.apps import MakeApp, Users
from tests.support.kube import KEYS, Kube, eventually

CLI_QUERY = "order_by=-created_at&page=1&per_page=1&app_guids=a&target_guids=b"
NEVER_HEARD_OF = "page=0&per_page=many&nonsense&%zz=%zz"
every = pytest.mark.parametrize("absent", [*LISTS, *RELATIONSHIPS], ids=lambda absent: absent.path)
of_somebody = pytest.mark.parametrize(
    "absent", [each for each in (*LISTS, *RELATIONSHIPS) if each.of], ids=lambda absent: absent.path
)


@pytest.fixture
async def guids(api: Api, kube: Kube, space: str, make_app: MakeApp) -> dict[Kind | None, str]:
    """An app, its space and its organization, by what kind of parent they are."""
    organization = f"org-of-{space}"
    await kube.label_namespace(space, {KEYS.organization_guid: organization})
    app = await make_app("web")

    async def known() -> bool:
        return bool(await api.guids(f"/v3/processes?organization_guids={organization}"))

    await eventually(known)
    return {None: "", APP: app, SPACE: space, ORGANIZATION: organization}


def path_of(absent: Absent, guid: str) -> str:
    return absent.path.replace("{guid}", guid)


@pytest.mark.parametrize("query", ["", CLI_QUERY, NEVER_HEARD_OF], ids=["none", "of the cf CLI", "nonsense"])
@every
async def test_whatever_is_asked_for_there_is_none(
    api: Api, guids: dict[Kind | None, str], users: Users, absent: Absent, query: str
) -> None:
    path = path_of(absent, guids[absent.of])
    reply = await api.as_user(users.viewer).get(f"{path}?{query}")
    assert reply.status == 200, reply.body
    if absent in RELATIONSHIPS:
        assert reply.json == {"data": None}
        return
    page = {"href": f"{api.url}{path}?page=1&per_page=50", "method": "GET"}
    pagination = {"total_results": 0, "total_pages": 1, "first": page, "last": page, "next": None, "previous": None}
    assert reply.json == {**pagination, "resources": [], "pagination": pagination}
    assert list(reply.json) == [*pagination, "resources", "pagination"]


@of_somebody
async def test_what_a_caller_does_not_see_has_not_even_nothing(
    api: Api, guids: dict[Kind | None, str], users: Users, absent: Absent
) -> None:
    assert absent.of is not None
    stranger = api.as_user(users.stranger)
    hidden, missing = [await stranger.get(path_of(absent, guid)) for guid in (guids[absent.of], "none")]
    detail = {APP: "App not found", SPACE: "Space not found", ORGANIZATION: "Organization not found"}[absent.of]
    assert_cf_error(hidden, 404, 10010, "CF-ResourceNotFound", detail)
    assert _seen(hidden) == _seen(missing)


@every
async def test_callers_are_asked_who_they_are(api: Api, users: Users, absent: Absent) -> None:
    path = path_of(absent, "none")
    assert_cf_error(await api.as_user(None).get(path), 401, 10002, "CF-NotAuthenticated")
    assert_cf_error(await api.as_user(users.nobody).get(path), 403, 10003, "CF-NotAuthorized")


async def test_an_answer_that_has_not_changed_is_not_sent_again(api: Api) -> None:
    etag = (await api.get("/v3/packages")).headers["ETag"]
    assert (await api.get("/v3/packages", headers={"If-None-Match": etag})).status == 304
    head = await api.get("/v3/packages", method="HEAD")
    assert (head.status, head.body, head.headers["ETag"]) == (200, b"", etag)


def _seen(reply: Reply) -> tuple[int, bytes, dict[str, str]]:
    """All that a caller can tell a reply by."""
    return reply.status, reply.body, {k: v for k, v in reply.headers.items() if k not in ("X-Vcap-Request-Id", "Date")}
