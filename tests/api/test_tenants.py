"""What a tenant can do to another by copying their labels: nothing; and what those are told who see both.

Real people with real rights: a victim and an attacker, each of whom may do everything in a namespace of their own and
nothing elsewhere, and others who see both.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from service.model.derive import process_guid
from tests.support.api import Api, Reply, assert_cf_error
from tests.support.kube import Kube, deployment, eventually
from tests.support.metrics import scrape
from tests.support.visitor import Visitor

PRIVATE = "the-victims-own"
FORGED = "the-attackers-own"


@dataclass
class Tenants:
    api: Api
    kube: Kube
    mine: str
    """The victim's namespace, and theirs the attacker's."""
    theirs: str
    app: str
    guid: str
    """Of the victim's web process."""
    victim: Api
    attacker: Api
    both: Api
    """May do everything in both namespaces."""
    reader: Api
    """May read both."""

    @property
    def addresses(self) -> list[str]:
        return [f"/v3/processes/{self.guid}", f"/v3/apps/{self.app}/processes/web"]

    def manifest(self, name: str, namespace: str, kind: str = "web", **more: Any) -> dict[str, Any]:
        return deployment(name, namespace, self.app, kind, replicas=1, **more)

    def forged_labels(self) -> dict[str, str]:
        """All that makes a Deployment look like the victim's."""
        return {
            "cloudfoundry.org/app-guid": self.app,
            "cloudfoundry.org/process-type": "web",
            "cloudfoundry.org/process-guid": self.guid,
            "cloudfoundry.org/space-guid": self.mine,
        }


@pytest.fixture
async def tenants(api: Api, kube: Kube) -> AsyncIterator[Tenants]:
    organization = str(uuid4())
    mine = await kube.create_namespace({"cloudfoundry.org/org-guid": organization})
    theirs = await kube.create_namespace({"cloudfoundry.org/org-guid": organization})
    app, role = str(uuid4()), ("processes-api",)

    async def person(**roles_in: str) -> Api:
        places = {"mine": mine, "theirs": theirs}
        roles = {places[name]: cluster_role for name, cluster_role in roles_in.items()}
        return api.as_user(await kube.token_of_new_user(cluster_roles=role, roles_in=roles))

    operator, reader = "processes-operator", "processes-reader"
    made = Tenants(
        api=api,
        kube=kube,
        mine=mine,
        theirs=theirs,
        app=app,
        guid=process_guid(mine, app, "web"),
        victim=await person(mine=operator),
        attacker=await person(theirs=operator),
        both=await person(mine=operator, theirs=operator),
        reader=await person(mine=reader, theirs=reader),
    )
    yield made
    for namespace in (mine, theirs):
        await kube.delete_namespace(namespace)


async def shown(user: Api, path: str, count: int) -> None:
    async def done() -> bool:
        reply = await user.get(path)
        return reply.status == 200 and reply.json["total_results"] == count

    await eventually(done)


async def running_web(user: Api, app: str) -> None:
    async def done() -> bool:
        reply = await user.get(f"/v3/apps/{app}/processes/web/stats")
        return reply.status == 200 and [row["state"] for row in reply.json["resources"]] == ["RUNNING"]

    await eventually(done)


@pytest.fixture(params=["the attacker's is older", "the victim's is older"])
async def attacked(request: pytest.FixtureRequest, tenants: Tenants) -> Tenants:
    """The attacker has a Deployment that is not labelled yet; `attack` labels it."""
    steps = [
        lambda: tenants.kube.create(tenants.manifest("forged", tenants.theirs, labels={"a": "b"})),
        lambda: tenants.kube.create(tenants.manifest("web", tenants.mine, command=["mine"])),
    ]
    for step in steps if "attacker" in request.param else reversed(steps):
        await step()
        await asyncio.sleep(1.1)  # Kubernetes' creation times are whole seconds
    await tenants.kube.patch_json(
        tenants.theirs,
        "forged",
        [
            {"op": "remove", "path": f"/metadata/labels/cloudfoundry.org~1{name}"}
            for name in ("app-guid", "process-type")
        ],
    )
    await tenants.kube.create(tenants.manifest("worker", tenants.mine, "worker"))
    await shown(tenants.victim, f"/v3/apps/{tenants.app}/processes", 2)
    await running_web(tenants.victim, tenants.app)
    body = {"metadata": {"labels": {PRIVATE: "yes"}, "annotations": {PRIVATE: "secret"}}}
    assert (await tenants.victim.patch(tenants.addresses[0], body)).status == 200
    return tenants


async def attack(tenants: Tenants) -> None:
    await tenants.kube.patch(tenants.theirs, "forged", {"metadata": {"labels": tenants.forged_labels()}})
    await shown(tenants.attacker, f"/v3/apps/{tenants.app}/processes", 1)


def questions(tenants: Tenants, organization: str) -> list[str]:
    """Everything that can be read of the victim's, but for what grows older by the second."""
    app, guid = tenants.app, tenants.guid
    filters = [
        f"guids={guid}",
        f"app_guids={app}",
        f"app_guids={app}&types=web",
        f"space_guids={tenants.mine}",
        f"organization_guids={organization}",
        f"label_selector={PRIVATE}",
        "label_selector=!nothing",
        "created_ats[gt]=2020-01-01T00:00:00Z",
        "updated_ats[gt]=2020-01-01T00:00:00Z&order_by=-updated_at",
        "per_page=1&page=2&order_by=-created_at",
    ]
    return [
        "/v3/processes",
        *(f"/v3/processes?{each}" for each in filters),
        f"/v3/apps/{app}/processes",
        f"/v3/apps/{app}/processes?types=web&label_selector={PRIVATE}",
        *tenants.addresses,
        f"/v3/apps/{app}/processes/worker",
    ]


AGES = re.compile(rb'"(uptime|since|time|usage)":[^,}]*(}(?=[,}]))?')


def timeless(reply: Reply) -> tuple[int, bytes, str | None]:
    return reply.status, AGES.sub(b"", reply.body), reply.headers.get("X-Cf-Warnings")


async def test_nothing_a_neighbour_does_changes_what_is_served_of_ones_own(attacked: Tenants) -> None:
    tenants = attacked
    organization = (await tenants.kube.request("GET", f"/api/v1/namespaces/{tenants.mine}"))["metadata"]["labels"][
        "cloudfoundry.org/org-guid"
    ]
    aging = [
        *(f"{address}/stats" for address in tenants.addresses),
        f"/v3/processes/{tenants.guid}/process_instances",
        f"{tenants.addresses[1]}?embed=process_instances",
        f"/v3/apps/{tenants.app}/processes?embed=process_instances",
    ]
    asked = questions(tenants, organization)
    before = [await tenants.victim.get(path) for path in asked]
    before_aging = [timeless(await tenants.victim.get(path)) for path in aging]
    conflicts = (await scrape(tenants.api)).value("cf_processes_index_conflicts")
    await attack(tenants)
    for path, earlier in zip(asked, before, strict=True):
        later = await tenants.victim.get(path)
        assert (later.status, later.body) == (earlier.status, earlier.body), path
        assert later.headers["ETag"] == earlier.headers["ETag"], path
        assert "X-Cf-Warnings" not in later.headers, path
    assert [timeless(await tenants.victim.get(path)) for path in aging] == before_aging
    assert (await scrape(tenants.api)).value("cf_processes_index_conflicts") == conflicts


async def test_ones_pages_do_not_know_of_a_neighbour(attacked: Tenants) -> None:
    tenants = attacked
    await attack(tenants)
    visitor = Visitor(tenants.api)
    assert tenants.victim.token is not None
    await visitor.sign_in(tenants.victim.token)
    try:
        process = f"/ui/processes/{tenants.guid}"
        pages = ["/", "/ui/apps", "/ui/spaces", "/ui/problems", process, f"{process}/scale?instances=2"]
        for path in (*pages, f"{process}/instances/0/terminate"):
            reply = await visitor.get(path)
            assert reply.status == 200, path
            for foreign in (tenants.theirs, "forged"):
                assert foreign.encode() not in reply.body, path
        assert b"None" in (await visitor.get("/ui/problems")).body
        done = await visitor.post(f"{process}/scale", {"form_token": await visitor.form_token(), "instances": "2"})
        assert done.status == 303
    finally:
        await visitor.session.close()
    assert (await tenants.kube.get(tenants.mine, "web"))["spec"]["replicas"] == 2
    assert (await tenants.kube.get(tenants.theirs, "forged"))["spec"]["replicas"] == 1


async def test_whoever_copies_labels_reads_and_changes_only_their_own(attacked: Tenants) -> None:
    tenants = attacked
    await attack(tenants)
    await running_web(tenants.attacker, tenants.app)
    own = {"metadata": {"labels": {FORGED: "yes"}}, "command": "forged"}
    for path in tenants.addresses:
        assert (await tenants.attacker.patch(path, own)).status == 200
        assert (await tenants.attacker.post(f"{path}/actions/scale", {"instances": 3})).status == 202
        assert (await tenants.attacker.delete(f"{path}/instances/0")).status == 204
        for read in (path, f"{path}/stats", f"/v3/apps/{tenants.app}/processes", "/v3/processes"):
            reply = await tenants.attacker.get(read)
            assert reply.status == 200
            assert PRIVATE.encode() not in reply.body
            assert b'"mine"' not in reply.body
    assert (await tenants.attacker.get("/v3/processes")).json["total_results"] == 1
    assert await tenants.attacker.guids(f"/v3/processes?label_selector={PRIVATE}") == []
    found = (await tenants.victim.get(tenants.addresses[0])).json
    assert found["metadata"] == {"labels": {PRIVATE: "yes"}, "annotations": {PRIVATE: "secret"}}
    assert (found["command"], found["instances"]) == ("mine", 1)
    assert (await tenants.kube.get(tenants.mine, "web"))["spec"]["replicas"] == 1


async def test_ones_process_made_anew_finds_its_metadata_whoever_has_copied_its_labels_meanwhile(
    attacked: Tenants,
) -> None:
    tenants = attacked
    await attack(tenants)
    assert (await tenants.attacker.patch(tenants.addresses[1], {"metadata": {"labels": {FORGED: "x"}}})).status == 200
    await tenants.kube.delete(tenants.mine, "web")
    await shown(tenants.victim, f"/v3/apps/{tenants.app}/processes", 1)
    # Gone for the victim, whatever others have under that GUID.
    reply = await tenants.victim.get(tenants.addresses[0])
    assert_cf_error(reply, 404, 10010, "CF-ResourceNotFound", "Process not found")
    await asyncio.sleep(1.1)
    await tenants.kube.create(tenants.manifest("web", tenants.mine, command=["anew"]))
    await shown(tenants.victim, f"/v3/apps/{tenants.app}/processes", 2)
    for path in tenants.addresses:
        found = (await tenants.victim.get(path)).json
        assert (found["guid"], found["command"]) == (tenants.guid, "anew")
        assert found["metadata"]["labels"] == {PRIVATE: "yes"}


async def test_a_row_outlives_its_process_for_nobody_in_another_namespace(attacked: Tenants) -> None:
    tenants = attacked
    await tenants.kube.delete(tenants.mine, "web")
    await shown(tenants.victim, f"/v3/apps/{tenants.app}/processes", 1)
    await attack(tenants)
    for path in tenants.addresses:
        assert (await tenants.attacker.get(path)).json["metadata"] == {"labels": {}, "annotations": {}}


async def test_who_sees_both_sees_both_and_is_told(attacked: Tenants) -> None:
    tenants = attacked
    await attack(tenants)
    created = {
        namespace: (await tenants.kube.get(namespace, name))["metadata"]["creationTimestamp"]
        for namespace, name in ((tenants.mine, "web"), (tenants.theirs, "forged"))
    }
    oldest = min(created, key=lambda namespace: created[namespace])
    for user in (tenants.both, tenants.reader):
        for path in (*tenants.addresses, *(f"{address}/stats" for address in tenants.addresses)):
            reply = await user.get(path)
            assert reply.status == 200
            for namespace in (tenants.mine, tenants.theirs):
                assert namespace in reply.headers["X-Cf-Warnings"], path
        found = (await user.get(tenants.addresses[0])).json
        assert (found["command"] == "mine") == (oldest == tenants.mine)
        listed = await user.get(f"/v3/processes?guids={tenants.guid}&order_by=-created_at")
        assert [row["created_at"] for row in listed.json["resources"]] == sorted(created.values(), reverse=True)
        of_app = await user.get(f"/v3/apps/{tenants.app}/processes")
        assert of_app.json["total_results"] == 3
        assert tenants.theirs in of_app.headers["X-Cf-Warnings"]


async def test_a_write_to_an_address_that_means_several_is_refused_and_changes_nothing(attacked: Tenants) -> None:
    tenants = attacked
    await attack(tenants)
    places = ((tenants.mine, "web"), (tenants.theirs, "forged"))
    before = [await tenants.kube.intent(*place) for place in places]
    pods = [await tenants.kube.pods(namespace) for namespace, _ in places]
    rows = [(await user.get(tenants.addresses[0])).json["metadata"] for user in (tenants.victim, tenants.attacker)]

    async def attempts(user: Api) -> list[Reply]:
        return [
            reply
            for path in tenants.addresses
            for reply in (
                await user.patch(path, {"metadata": {"labels": {"x": "y"}}}),
                await user.patch(path, {"command": "other", "metadata": {"labels": {"x": "y"}}}),
                await user.post(f"{path}/actions/scale", {"instances": 5}),
                await user.delete(f"{path}/instances/0"),
            )
        ]

    for reply in await attempts(tenants.both):
        detail = assert_cf_error(reply, 422, 10008, "CF-UnprocessableEntity")
        assert tenants.mine in detail
        assert tenants.theirs in detail
    for reply in await attempts(tenants.reader):
        assert_cf_error(reply, 403, 10003, "CF-NotAuthorized")
    assert [await tenants.kube.intent(*place) for place in places] == before
    uids = [[pod["metadata"]["uid"] for pod in each] for each in pods]
    after = [await tenants.kube.pods(namespace) for namespace, _ in places]
    assert [[pod["metadata"]["uid"] for pod in each] for each in after] == uids
    assert rows == [
        (await user.get(tenants.addresses[0])).json["metadata"] for user in (tenants.victim, tenants.attacker)
    ]


async def test_shared_guids_are_problems_of_who_sees_both(attacked: Tenants) -> None:
    tenants = attacked
    shared = (await scrape(tenants.api)).value("cf_processes_index_shared_guids")
    await attack(tenants)
    assert (await scrape(tenants.api)).value("cf_processes_index_shared_guids") == shared + 2
    visitor = Visitor(tenants.api)
    assert tenants.reader.token is not None
    await visitor.sign_in(tenants.reader.token)
    try:
        page = (await visitor.get("/ui/problems")).body.decode()
    finally:
        await visitor.session.close()
    assert tenants.app in page
    assert tenants.guid in page
    assert ", ".join(sorted((tenants.mine, tenants.theirs))) in page
