"""What a tenant can do to another by copying their labels: nothing; and what those are told who see both.

Real people with real rights: a victim and an attacker, each of whom may do everything in a namespace of their own and
nothing elsewhere, and others who see both.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from urllib.parse import unquote_plus

import pytest

from tests.support.api import Api, Reply, assert_cf_error
from tests.support.kube import Kube
from tests.support.metrics import scrape
from tests.support.tenants import FORGED, PRIVATE, Tenants, shown, two_tenants
from tests.support.visitor import browsing


@pytest.fixture(params=["the attacker's is older", "the victim's is older"])
async def attacked(request: pytest.FixtureRequest, api: Api, kube: Kube) -> AsyncIterator[Tenants]:
    """`attack` is yet to come."""
    async with two_tenants(api, kube) as tenants:
        await tenants.settle(request.param)
        yield tenants


async def test_ones_pages_do_not_know_of_a_neighbour(attacked: Tenants) -> None:
    tenants = attacked
    await tenants.attack()
    async with browsing(tenants.victim) as visitor:
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


async def test_who_sees_both_sees_both_in_order_and_is_told(attacked: Tenants) -> None:
    tenants = attacked
    await tenants.attack("app", "process")
    created = {place: (await tenants.kube.get(*place))["metadata"]["creationTimestamp"] for place in tenants.places}
    oldest = min(created, key=lambda place: created[place])
    reads = [*tenants.addresses, *(f"{address}/stats" for address in tenants.addresses)]
    reads += [f"{tenants.addresses[0]}/process_instances", *(f"{a}?embed=process_instances" for a in tenants.addresses)]
    in_order = sorted((moment, tenants.guid, *place) for place, moment in created.items())
    spaces = {tenants.mine: tenants.space, tenants.theirs: tenants.theirs}
    for user in (tenants.both, tenants.half, tenants.reader, tenants.api):
        for path in reads:
            reply = await user.get(path)
            assert reply.status == 200
            assert_names_both(tenants, unquote_plus(reply.headers["X-Cf-Warnings"]))
            assert f"oldest, which is in {oldest[0]}" in unquote_plus(reply.headers["X-Cf-Warnings"])
        for path in tenants.addresses:
            assert ((await user.get(path)).json["command"] == PRIVATE) == (oldest[0] == tenants.mine)
        for query, places in (("order_by=created_at", in_order), ("order_by=-created_at", in_order[::-1])):
            for path in (f"/v3/processes?guids={tenants.guid}", f"/v3/apps/{tenants.app}/processes?types=web"):
                rows = (await user.get(f"{path}&{query}")).json["resources"]
                assert [(row["created_at"], row["guid"]) for row in rows] == [place[:2] for place in places]
                hrefs = [row["links"]["space"]["href"].rpartition("/")[2] for row in rows]
                assert hrefs == [spaces[place[2]] for place in places]
        of_app = await user.get(f"/v3/apps/{tenants.app}/processes")
        assert of_app.json["total_results"] == 3
        assert_names_both(tenants, unquote_plus(of_app.headers["X-Cf-Warnings"]))


async def test_a_write_to_an_address_that_means_several_is_refused_and_changes_nothing(attacked: Tenants) -> None:
    tenants = attacked
    await tenants.attack()

    async def state() -> list[object]:
        """All that could be changed of either."""
        found: list[object] = []
        for user, place in zip((tenants.victim, tenants.attacker), tenants.places, strict=True):
            found.append(await tenants.kube.intent(*place))
            found.append([pod["metadata"]["uid"] for pod in await tenants.kube.pods(place[0])])
            found.append((await user.get(tenants.addresses[0])).json)
        return found

    async def attempts(user: Api) -> list[Reply]:
        return [
            reply
            for path in tenants.addresses
            for reply in (
                await user.patch(path, {"metadata": {"labels": {"x": "y"}}}),
                await user.patch(path, {"command": "other", "metadata": {"labels": {"x": "y"}}}),
                await user.patch(path, {}),
                await user.post(f"{path}/actions/scale", {"instances": 5}),
                await user.delete(f"{path}/instances/0"),
                await user.delete(f"{path}/instances/7"),
            )
        ]

    before = await state()
    for user in (tenants.both, tenants.half, tenants.api):
        for reply in await attempts(user):
            assert_names_both(tenants, assert_cf_error(reply, 422, 10008, "CF-UnprocessableEntity"))
    for reply in await attempts(tenants.reader):
        assert_cf_error(reply, 403, 10003, "CF-NotAuthorized")
    async with browsing(tenants.both) as visitor:
        token, process = {"form_token": await visitor.form_token()}, f"/ui/processes/{tenants.guid}"
        for form, fields in (("scale", {"instances": "2"}), ("instances/0/terminate", {})):
            reply = await visitor.post(f"{process}/{form}", {**token, **fields})
            assert reply.status == 422
            assert_names_both(tenants, reply.body.decode())
    assert await state() == before


async def test_who_sees_only_one_changes_it_though_another_has_its_guids(attacked: Tenants) -> None:
    tenants = attacked
    await tenants.attack()
    for number, path in enumerate(tenants.addresses):
        written = await tenants.victim.patch(path, {"metadata": {"labels": {"n": str(number)}}})
        assert (written.status, written.json["metadata"]["labels"]["n"]) == (200, str(number))
        scaled = await tenants.victim.post(f"{path}/actions/scale", {"instances": 2 + number})
        assert (scaled.status, scaled.json["instances"]) == (202, 2 + number)
        assert (await tenants.victim.delete(f"{path}/instances/0")).status == 204
    scales = [(await tenants.kube.get(*place))["spec"]["replicas"] for place in tenants.places]
    assert scales == [3, 1]


async def test_shared_guids_are_problems_of_who_sees_both(attacked: Tenants) -> None:
    tenants = attacked
    shared = (await scrape(tenants.api)).value("cf_processes_index_shared_guids")
    await tenants.attack()
    assert (await scrape(tenants.api)).value("cf_processes_index_shared_guids") == shared + 2
    async with browsing(tenants.reader) as visitor:
        page = (await visitor.get("/ui/problems")).body.decode()
        # Both of its GUIDs.
        assert '<span class="count">2<' in (await visitor.get("/ui/apps")).body.decode()
    assert tenants.app in page
    assert tenants.guid in page
    assert_names_both(tenants, page)


async def test_pages_of_who_sees_both_show_both_and_say_so(attacked: Tenants) -> None:
    tenants = attacked
    await tenants.attack()
    async with browsing(tenants.reader) as visitor:
        process = (await visitor.get(f"/ui/processes/{tenants.guid}")).body.decode()
        listed = (await visitor.get(f"/?app_guids={tenants.app}")).body.decode()
    assert "Not the only one." in process
    assert "Out of date." not in process
    assert_names_both(tenants, process)
    # The other one is among those of the same app.
    assert {name for name in ("forged", "web", "worker") if f">{name}</a>" in process} > {"worker"}
    ids = re.findall(r' id="([^"]+)"', listed)
    assert len(ids) == len(set(ids))
    assert {name for name in ("forged", "web", "worker") if f">{name}</a>" in listed} == {"forged", "web", "worker"}


def assert_names_both(tenants: Tenants, text: str) -> None:
    assert ", ".join(sorted((tenants.mine, tenants.theirs))) in text
