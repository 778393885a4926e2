"""What a tenant can do to another by copying their labels: nothing; and what those are told who see both.

Real people with real rights: a victim and an attacker, each of whom may do everything in a namespace of their own and
nothing elsewhere, and others who see both.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.api import Api, Reply, assert_cf_error
from tests.support.kube import Kube
from tests.support.metrics import scrape
from tests.support.tenants import FORGED, PRIVATE, Tenants, shown, two_tenants
from tests.support.visitor import Visitor


@pytest.fixture(params=["the attacker's is older", "the victim's is older"])
async def attacked(request: pytest.FixtureRequest, api: Api, kube: Kube) -> AsyncIterator[Tenants]:
    """`attack` is yet to come."""
    async with two_tenants(api, kube) as tenants:
        await tenants.settle(request.param)
        yield tenants


async def test_ones_pages_do_not_know_of_a_neighbour(attacked: Tenants) -> None:
    tenants = attacked
    await tenants.attack()
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
    await tenants.attack()
    own = {"metadata": {"labels": {FORGED: "yes"}}, "command": "forged"}
    for path in tenants.addresses:
        assert (await tenants.attacker.patch(path, own)).status == 200
        assert (await tenants.attacker.post(f"{path}/actions/scale", {"instances": 3})).status == 202
        assert (await tenants.attacker.delete(f"{path}/instances/0")).status == 204
        for read in (path, f"{path}/stats", f"/v3/apps/{tenants.app}/processes", "/v3/processes"):
            reply = await tenants.attacker.get(read)
            assert reply.status == 200
            assert PRIVATE.encode() not in reply.body
    assert (await tenants.attacker.get("/v3/processes")).json["total_results"] == 1
    assert await tenants.attacker.guids(f"/v3/processes?label_selector={PRIVATE}") == []
    found = (await tenants.victim.get(tenants.addresses[0])).json
    assert found["metadata"] == {"labels": {PRIVATE: "yes"}, "annotations": {PRIVATE: "secret"}}
    assert (found["command"], found["instances"]) == (PRIVATE, 1)
    assert (await tenants.kube.get(tenants.mine, "web"))["spec"]["replicas"] == 1


async def test_ones_process_made_anew_finds_its_metadata_whoever_has_copied_its_labels_meanwhile(
    attacked: Tenants,
) -> None:
    tenants = attacked
    await tenants.attack()
    assert (await tenants.attacker.patch(tenants.addresses[1], {"metadata": {"labels": {FORGED: "x"}}})).status == 200
    await tenants.kube.delete(tenants.mine, "web")
    await shown(tenants.victim, f"/v3/apps/{tenants.app}/processes", 1)
    # Gone for the victim, whatever others have under that GUID.
    reply = await tenants.victim.get(tenants.addresses[0])
    assert_cf_error(reply, 404, 10010, "CF-ResourceNotFound", "Process not found")
    await asyncio.sleep(1.1)
    await tenants.kube.create(tenants.web("anew"))
    await shown(tenants.victim, f"/v3/apps/{tenants.app}/processes", 2)
    for path in tenants.addresses:
        found = (await tenants.victim.get(path)).json
        assert (found["guid"], found["command"]) == (tenants.guid, "anew")
        assert found["metadata"]["labels"] == {PRIVATE: "yes"}


async def test_a_row_outlives_its_process_for_nobody_in_another_namespace(attacked: Tenants) -> None:
    tenants = attacked
    await tenants.kube.delete(tenants.mine, "web")
    await shown(tenants.victim, f"/v3/apps/{tenants.app}/processes", 1)
    await tenants.attack()
    for path in tenants.addresses:
        assert (await tenants.attacker.get(path)).json["metadata"] == {"labels": {}, "annotations": {}}


async def test_who_sees_both_sees_both_and_is_told(attacked: Tenants) -> None:
    tenants = attacked
    await tenants.attack()
    created = {
        namespace: (await tenants.kube.get(namespace, name))["metadata"]["creationTimestamp"]
        for namespace, name in tenants.places
    }
    oldest = min(created, key=lambda namespace: created[namespace])
    for user in (tenants.both, tenants.reader):
        for path in (*tenants.addresses, *(f"{address}/stats" for address in tenants.addresses)):
            reply = await user.get(path)
            assert reply.status == 200
            for namespace in (tenants.mine, tenants.theirs):
                assert namespace in reply.headers["X-Cf-Warnings"], path
        found = (await user.get(tenants.addresses[0])).json
        assert (found["command"] == PRIVATE) == (oldest == tenants.mine)
        listed = await user.get(f"/v3/processes?guids={tenants.guid}&order_by=-created_at")
        assert [row["created_at"] for row in listed.json["resources"]] == sorted(created.values(), reverse=True)
        of_app = await user.get(f"/v3/apps/{tenants.app}/processes")
        assert of_app.json["total_results"] == 3
        assert tenants.theirs in of_app.headers["X-Cf-Warnings"]


async def test_a_write_to_an_address_that_means_several_is_refused_and_changes_nothing(attacked: Tenants) -> None:
    tenants = attacked
    await tenants.attack()
    places = tenants.places
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
    await tenants.attack()
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
