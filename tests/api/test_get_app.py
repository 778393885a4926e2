"""GET /v3/apps/{guid}: what is shown of an app, from which of its processes, and to whom."""

from urllib.parse import unquote_plus
from uuid import uuid4

import pytest

from service.model.apps import APP_TYPE, droplet_guid
from service.model.process import Metadata
from service.model.record import Record
from service.settings import Settings
from service.store.database import Pool
from service.store.records import Records
from tests.support.api import Api, assert_cf_error
from tests.support.apps import MakeApp, Users
from tests.support.kube import KEYS, Kube, deployment, eventually
from tests.support.tenants import two_tenants

NOT_FOUND = (404, 10010, "CF-ResourceNotFound", "App not found")


async def test_an_app_is_shown_whole(api: Api, make_app: MakeApp, space: str) -> None:
    app = await make_app("worker", "web")
    shown = (await api.get(f"/v3/apps/{app}")).json
    base = f"{api.url}/v3/apps/{app}"
    droplet = droplet_guid(space, app, "registry.test/app:1")
    assert shown == {
        "guid": app,
        "created_at": shown["created_at"],
        "updated_at": shown["updated_at"],
        "name": f"web-{app}",
        "state": "STOPPED",
        "lifecycle": {"type": "docker", "data": {}},
        "relationships": {"space": {"data": {"guid": space}}, "current_droplet": {"data": {"guid": droplet}}},
        "metadata": {"labels": {}, "annotations": {}},
        "links": {
            "self": {"href": base},
            "space": {"href": f"{api.url}/v3/spaces/{space}"},
            "processes": {"href": f"{base}/processes"},
            "current_droplet": {"href": f"{base}/droplets/current"},
            "environment_variables": {"href": f"{base}/environment_variables"},
            "sidecars": {"href": f"{base}/sidecars"},
            "routes": {"href": f"{base}/routes"},
            "start": {"href": f"{base}/actions/start", "method": "POST"},
            "stop": {"href": f"{base}/actions/stop", "method": "POST"},
        },
    }
    assert list(shown)[:5] == ["guid", "created_at", "updated_at", "name", "state"]
    assert shown["created_at"] <= shown["updated_at"]


@pytest.mark.parametrize(
    ("labels", "annotations", "name"),
    [
        ({KEYS.app_name: "one", "app.kubernetes.io/name": "three"}, {KEYS.app_name: "two words"}, "one"),
        ({"app.kubernetes.io/name": "three"}, {KEYS.app_name: "two words"}, "two words"),
        ({"app.kubernetes.io/name": "three"}, {KEYS.app_name: "x" * 300}, "three"),
        ({}, {}, "its-deployment"),
    ],
)
async def test_its_name_is_what_its_deployment_says(
    api: Api, kube: Kube, space: str, labels: dict[str, str], annotations: dict[str, str], name: str
) -> None:
    app = str(uuid4())
    await kube.create(deployment("its-deployment", space, app, labels=labels, annotations=annotations))

    async def shown() -> bool:
        return (await api.get(f"/v3/apps/{app}")).status == 200

    await eventually(shown)
    assert (await api.get(f"/v3/apps/{app}")).json["name"] == name


async def test_who_may_not_see_it_is_told_what_is_told_of_none(api: Api, make_app: MakeApp, users: Users) -> None:
    app = await make_app("web")
    for token in (users.operator, users.viewer):
        assert (await api.as_user(token).get(f"/v3/apps/{app}")).status == 200
    stranger = api.as_user(users.stranger)
    hidden, absent = await stranger.get(f"/v3/apps/{app}"), await stranger.get(f"/v3/apps/{uuid4()}")
    for reply in (hidden, absent):
        assert_cf_error(reply, *NOT_FOUND)
    assert hidden.body == absent.body
    assert_cf_error(await api.as_user(users.nobody).get(f"/v3/apps/{app}"), 403, 10003, "CF-NotAuthorized")


async def test_its_own_metadata_is_shown_and_found_by_and_is_not_that_of_a_process(
    api: Api, make_app: MakeApp, space: str, settings: Settings
) -> None:
    app = await make_app("web")
    labels = {"team": f"t-{app}"}

    def labelled(row: Record, now: int) -> Record:
        metadata = Metadata(namespace=space, app_guid=app, type=APP_TYPE, labels=labels, updated_at=now)
        return Record(metadata=metadata)

    pool = await Pool.open(settings.database_url, size=1, timeout_s=5)
    try:
        await Records(pool).change((space, app, APP_TYPE), labelled)
    finally:
        await pool.close()
    shown = (await api.get(f"/v3/apps/{app}")).json
    assert shown["metadata"] == {"labels": labels, "annotations": {}}
    assert await api.guids(f"/v3/apps?label_selector=team=t-{app}") == [app]
    assert await api.guids(f"/v3/processes?label_selector=team=t-{app}") == []
    process = (await api.get(f"/v3/apps/{app}/processes/web")).json
    assert process["metadata"] == {"labels": {}, "annotations": {}}


@pytest.mark.parametrize("older", ["the victim's is older", "the attacker's is older"])
async def test_an_app_of_another_namespace_changes_nothing_for_who_sees_one(api: Api, kube: Kube, older: "str") -> None:
    async with two_tenants(api, kube) as tenants:
        await tenants.settle(older)  # type: ignore[arg-type]
        paths = [f"/v3/apps/{tenants.app}", f"/v3/apps/{tenants.app}/droplets/current", "/v3/apps?include=space,org"]
        paths += ["/v3/spaces?order_by=name", "/v3/organizations", f"/v3/spaces/{tenants.space}", "/v3/deployments"]
        paths += [f"/v3/organizations/{tenants.organization}", "/v3/droplets", f"/v3/apps/{tenants.app}/manifest"]
        before = [await tenants.victim.get(path) for path in paths]
        await tenants.attack()
        after = [await tenants.victim.get(path) for path in paths]
        for path, old, new in zip(paths, before, after, strict=True):
            assert (old.status, old.body, old.headers["ETag"]) == (new.status, new.body, new.headers["ETag"]), path
            assert "X-Cf-Warnings" not in new.headers
        assert {each.status for each in after} == {200}
        attacked = (await tenants.attacker.get(f"/v3/apps/{tenants.app}")).json
        assert attacked["name"] == "forged"
        both = await tenants.both.get(f"/v3/apps/{tenants.app}")
        assert all(name in unquote_plus(both.headers["X-Cf-Warnings"]) for name in (tenants.mine, tenants.theirs))
        assert len(await tenants.both.guids(f"/v3/apps?guids={tenants.app}")) == 2
        # One space and one organization, however many Namespaces say that they are it.
        assert await tenants.both.guids(f"/v3/spaces?guids={tenants.space}") == [tenants.space]
        assert await tenants.both.guids(f"/v3/organizations?guids={tenants.organization}") == [tenants.organization]
