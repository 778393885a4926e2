"""What the pages of organizations, spaces and apps say to whom, over HTTP and without a browser."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import uuid4

import pytest

from service.errors import ServiceUnavailable
from service.http.keys import ACCESS
from tests.support.api import Api, Reply
from tests.support.apps import MakeApp, Users
from tests.support.kube import KEYS, Kube, deployment, eventually, guid_of
from tests.support.visitor import Visitor, browsing


@dataclass
class Place:
    """A space of its own organization, with an app in it."""

    namespace: str
    organization: str
    space: str
    app: str

    @property
    def guids(self) -> tuple[str, str, str]:
        return self.organization, self.space, self.app


@pytest.fixture
async def place(kube: Kube, make_app: MakeApp) -> AsyncIterator[Place]:
    organization, space = (str(uuid4()) for _ in range(2))
    namespace = await kube.create_namespace(
        {
            KEYS.organization_guid: organization,
            KEYS.organization_name: "acme",
            KEYS.space_guid: space,
            KEYS.space_name: "front",
        }
    )
    app = await make_app("web", namespace=namespace, labels={KEYS.app_name: f"shop-{namespace}"})
    yield Place(namespace, organization, space, app)
    await kube.delete_namespace(namespace)


@pytest.fixture
async def visitor(api: Api) -> AsyncIterator[Visitor]:
    async with browsing(api) as visiting:
        yield visiting


def pages_of(place: Place) -> dict[str, str]:
    """Each page that is of this place alone, and what is said where there is none."""
    return {
        f"/ui/organizations/{place.organization}": "Organization not found",
        f"/ui/spaces/{place.space}": "Space not found",
        f"/ui/apps/{place.app}": "App not found",
        f"/ui/apps/{place.app}/stop": "App not found",
        f"/ui/apps/{place.app}/start": "App not found",
        f"/ui/apps/{place.app}/restart": "App not found",
        f"/ui/json/apps/{place.app}": "App not found",
    }


def anonymous(reply: Reply) -> bytes:
    """What a page says, but for the GUID of its request and the token of its forms."""
    return re.sub(rb'request <span class="guid">[^<]+|name="form_token" value="[^"]+', b"", reply.body)


LISTS = ("/ui/organizations", "/ui/spaces", "/ui/apps", "/", "/ui/json/organizations", "/ui/json/spaces")


async def test_a_stranger_hears_of_nothing(api: Api, kube: Kube, place: Place, make_app: MakeApp, users: Users) -> None:
    async with browsing(api.as_user(users.stranger)) as stranger:
        for path in (*LISTS, "/ui/json/apps", "/ui/problems", f"/ui/apps?q={place.app}", f"/ui/spaces?q={place.space}"):
            reply = await stranger.get(path)
            assert reply.status == 200, path
            shown = reply.body.decode().replace(f'value="{place.app}"', "").replace(f'value="{place.space}"', "")
            shown = shown.replace(f"q={place.app}", "").replace(f"q={place.space}", "")
            for hidden in (*place.guids, place.namespace, f"shop-{place.namespace}"):
                assert hidden not in shown, path
        for path, missing in pages_of(place).items():
            reply = await stranger.get(path)
            absent = await stranger.get(re.sub("|".join(place.guids), "no-such-thing", path))
            assert reply.status == absent.status == 404, path
            assert missing in reply.body.decode(), path
            assert anonymous(reply) == anonymous(absent), path
        token = await stranger.form_token()
        for action in ("stop", "start", "restart"):
            refused = await stranger.post(f"/ui/apps/{place.app}/{action}", {"form_token": token})
            assert refused.status == 404
    assert (await api.get(f"/v3/apps/{place.app}")).json["state"] == "STOPPED"


async def test_what_a_tenant_copies_changes_nothing_for_others(api: Api, kube: Kube, place: Place) -> None:
    """Anybody may label what is theirs with the GUIDs of somebody else's organization, space and app."""
    viewer = await kube.token_of_new_user(
        cluster_roles=("processes-api",), roles_in={place.namespace: "processes-reader"}
    )
    paths = ("/ui/organizations", "/ui/spaces", "/ui/apps", *(path for path in pages_of(place) if "json" not in path))

    async def seen(visitor: Visitor) -> dict[str, str]:
        return {path: (await visitor.get(path)).body.decode() for path in paths}

    async with browsing(api.as_user(viewer)) as visiting:
        before = await seen(visiting)
        assert all(page.count("1–1 of 1") == 1 for path, page in before.items() if path.count("/") == 2)
        impostor = await kube.create_namespace(
            {
                KEYS.organization_guid: place.organization,
                KEYS.organization_name: "evil-org",
                KEYS.space_guid: place.space,
                KEYS.space_name: "evil-space",
            }
        )
        copy = deployment("evil", impostor, place.app, "web", labels={KEYS.app_name: "evil-app"}, replicas=1)
        await kube.create(copy)

        async def heard_of() -> bool:
            return len((await api.get(f"/v3/apps?guids={place.app}")).json["resources"]) == 2

        await eventually(heard_of)
        after = await seen(visiting)
        for path, page in after.items():
            assert "evil" not in page, path
            assert impostor not in page, path
            assert "different things" not in page, path
            if path.count("/") == 2:
                assert page.count("1–1 of 1") == 1, path
    await kube.delete_namespace(impostor)


async def test_who_may_get_one_deployment_sees_no_list(api: Api, kube: Kube, place: Place) -> None:
    await kube.create(deployment("other", place.namespace, place.app, "worker"))
    role = await kube.create_role({"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]})
    token = await kube.token_of_new_user(cluster_roles=("processes-api",), roles_in={place.namespace: role})

    async def known() -> bool:
        return len((await api.get(f"/v3/apps/{place.app}/processes")).json["resources"]) == 2

    await eventually(known)
    async with browsing(api.as_user(token)) as visitor:
        for path in (f"/ui/apps/{place.app}", f"/ui/apps/{place.app}/stop"):
            reply = await visitor.get(path)
            assert reply.status == 200
            assert b"worker" not in reply.body


@pytest.mark.parametrize(
    ("path", "finds", "misses"),
    [
        ("/ui/apps", "q=shop-{namespace}", "q=nothing-is-called-so"),
        ("/ui/apps", "names=shop-{namespace}", "names=shop"),
        ("/ui/apps", "space_guids={space}", "space_guids=other"),
        ("/ui/apps", "organization_guids={organization}", "organization_guids=other"),
        ("/ui/apps", "label_selector=tier%3D{space}", "label_selector=tier%3Dother"),
        ("/ui/spaces", "q=FRONT%20{namespace}", "q=front%20other"),
        ("/ui/spaces", "organization_guids={organization}", "organization_guids=other"),
        ("/ui/spaces/{space}", "q=shop", "q=cart"),
        ("/ui/organizations", "guids={organization}&names=acme", "guids={organization}&names=other"),
        ("/ui/organizations/{organization}", "names=front", "names=back"),
    ],
)
async def test_conditions_are_honoured(
    api: Api, place: Place, visitor: Visitor, path: str, finds: str, misses: str
) -> None:
    await api.patch(f"/v3/apps/{place.app}", {"metadata": {"labels": {"tier": place.space}}})
    names = {"namespace": place.namespace, "space": place.space, "organization": place.organization}
    found = (await visitor.get(f"{path}?{finds}".format(**names))).body.decode()
    assert "1–1 of 1" in found
    nothing = (await visitor.get(f"{path}?{misses}".format(**names))).body.decode()
    assert "Nothing matches" in nothing


@pytest.mark.parametrize("query", ["colour=red", "include=space", "order_by=colour", "page=0", "q=" + "x" * 201])
@pytest.mark.parametrize("path", ["/ui/organizations", "/ui/spaces", "/ui/apps", "/ui/spaces/{space}"])
async def test_what_cannot_be_honoured_is_refused_in_place(
    place: Place, visitor: Visitor, path: str, query: str
) -> None:
    reply = await visitor.get(f"{path}?{query}".format(space=place.space))
    assert reply.status == 400
    assert b'role="alert"' in reply.body
    assert query.partition("=")[0].encode() in reply.body


async def test_a_page_keeps_its_conditions(kube: Kube, space: str, make_app: MakeApp, visitor: Visitor) -> None:
    apps = sorted([await make_app("web") for _ in range(3)], key=lambda app: f"web-{app}")
    page = (await visitor.get(f"/ui/spaces/{space}?per_page=2")).body.decode()
    assert "1–2 of 3 apps" in page
    assert [app in page for app in apps] == [True, True, False]
    assert f'href="/ui/spaces/{space}?page=2&amp;per_page=2"' in page
    assert f'data-stream="/ui/spaces/{space}/events?per_page=2"' in page
    page = (await visitor.get(f"/ui/spaces/{space}?per_page=2&page=2")).body.decode()
    assert [app in page for app in apps] == [False, False, True]
    page = (await visitor.get(f"/ui/spaces/{space}?per_page=2&order_by=-name")).body.decode()
    assert [app in page for app in apps] == [False, True, True]


async def test_sums_are_of_what_there_is(kube: Kube, api: Api, place: Place, visitor: Visitor) -> None:
    await kube.patch(place.namespace, f"web-{place.app}", {"spec": {"replicas": 2}})

    async def runs() -> bool:
        pages = [
            (await visitor.get(f"/ui/spaces?guids={place.space}")).body.decode(),
            (await visitor.get(f"/ui/organizations?guids={place.organization}")).body.decode(),
        ]
        return all('<span class="ratio">2<span class="of">/2</span></span>' in page for page in pages)

    await eventually(runs)


async def test_pages_are_shown_while_kubernetes_does_not_say_what_one_may_do(
    api: Api, make_app: MakeApp, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = await make_app("web")

    async def silent(*_: object) -> bool:
        raise ServiceUnavailable("Kubernetes cannot be reached")

    with monkeypatch.context() as away:
        away.setattr(api.application[ACCESS], "may_change", silent)
        reply = await visitor.get(f"/ui/apps/{app}")
        assert (reply.status, b'id="do-start"' in reply.body) == (200, True)
        reply = await visitor.get(f"/ui/processes/{guid_of(app, 'web')}")
        assert (reply.status, b"Review the change" in reply.body) == (200, True)
        refused = await visitor.post(f"/ui/apps/{app}/start", {"form_token": await visitor.form_token()})
        assert refused.status == 503
        assert b"Kubernetes cannot be reached" in refused.body
        assert b"Try again" in refused.body
    assert (await api.get(f"/v3/apps/{app}")).json["state"] == "STOPPED"
