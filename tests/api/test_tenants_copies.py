"""Whatever a tenant copies, and whoever was there first: the victim is served the same bytes, and the attacker none."""

import re
from dataclasses import dataclass, replace
from typing import Any

import pytest

from service.settings import Settings
from service.store.database import connected
from tests.support.api import Api, Reply
from tests.support.kube import Kube, eventually
from tests.support.metrics import scrape
from tests.support.tenants import EVERYTHING, FORGED, PRIVATE, Copied, Older, Tenants, two_tenants
from tests.support.visitor import Visitor, browsing

VARYING = {"date", "x-vcap-request-id"}
AGEING = {"etag", "content-length", *VARYING}
AGES = re.compile(rb'"(uptime|since|time|usage)":[^,}]*(}(?=[,}]))?')
"""What grows older by the second, in JSON."""
SHOWN_AGES = re.compile(rb'(?<=>)[^<]*(?=</time>)|<td role="cell" data-label="(CPU|Memory)">.*?</td>', re.DOTALL)
"""The same in pages, and what is used."""


def questions(tenants: Tenants) -> list[str]:
    """Everything that can be read of the victim's, but for what grows older by the second."""
    app, guid = tenants.app, tenants.guid
    of_an_app = [
        f"guids={guid}",
        "types=web,worker",
        f"label_selector={PRIVATE}",
        "label_selector=!nothing",
        "created_ats[gt]=2020-01-01T00:00:00Z",
        "updated_ats[gt]=2020-01-01T00:00:00Z&order_by=-updated_at",
        "per_page=1&page=2&order_by=-created_at",
    ]
    of_all = [
        *of_an_app,
        f"app_guids={app}",
        f"app_guids={app}&types=web",
        f"space_guids={tenants.space}",
        f"organization_guids={tenants.organization}",
    ]
    return [
        "/v3/processes",
        *(f"/v3/processes?{each}" for each in of_all),
        f"/v3/apps/{app}/processes",
        *(f"/v3/apps/{app}/processes?{each}" for each in of_an_app),
        *tenants.addresses,
        f"/v3/apps/{app}/processes/worker",
    ]


def ageing_questions(tenants: Tenants) -> list[str]:
    embed = "embed=process_instances"
    lists = ["/v3/processes", f"/v3/apps/{tenants.app}/processes"]
    return [
        *(f"{address}/stats" for address in tenants.addresses),
        f"/v3/processes/{tenants.guid}/process_instances",
        *(f"{path}?{embed}" for path in (*tenants.addresses, *lists)),
        f"/v3/processes?guids={tenants.guid}&{embed}",
    ]


def page_paths(tenants: Tenants) -> list[str]:
    process = f"/ui/processes/{tenants.guid}"
    return [
        "/",
        f"/?app_guids={tenants.app}",
        f"/?space_guids={tenants.space}",
        "/ui/apps",
        "/ui/spaces",
        "/ui/problems",
        process,
        f"{process}/scale?instances=2",
        f"{process}/instances/0/terminate",
    ]


def compared(reply: Reply, varying: set[str] = VARYING) -> tuple[int, dict[str, str], bytes]:
    return reply.status, {k: v for k, v in reply.headers.items() if k.lower() not in varying}, reply.body


def timeless(reply: Reply) -> tuple[int, dict[str, str], bytes]:
    return compared(replace(reply, body=AGES.sub(b"", reply.body)), AGEING)


@dataclass
class Watcher:
    """Takes down all that there is of the victim's: as they see it, and as it is."""

    tenants: Tenants
    visitor: Visitor
    """The victim, in a browser."""
    settings: Settings

    async def look(self) -> dict[str, Any]:
        tenants = self.tenants
        seen: dict[str, Any] = {path: compared(await tenants.victim.get(path)) for path in questions(tenants)}
        seen |= {path: timeless(await tenants.victim.get(path)) for path in ageing_questions(tenants)}
        for path in page_paths(tenants):
            page = await self.visitor.get(path)
            assert page.status == 200, path
            seen[path + " in a browser"] = SHOWN_AGES.sub(b"", page.body)
        for name in ("web", "worker"):
            seen[name] = (await tenants.kube.get(tenants.mine, name))["metadata"]["resourceVersion"]
        seen["pods"] = [pod["metadata"]["uid"] for pod in await tenants.kube.pods(tenants.mine)]
        query = "SELECT * FROM process_metadata WHERE namespace = $1 ORDER BY app_guid, type"
        async with connected(self.settings.database_url, 5) as connection:
            seen["rows"] = [dict(row) for row in await connection.fetch(query, tenants.mine)]
        measured = await scrape(tenants.api)
        seen |= {name: measured.value(f"cf_processes_index_{name}") for name in ("conflicts", "skipped")}
        return seen


def differing(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    return {name: (before[name], after[name]) for name in before if before[name] != after[name]}


async def secrets_of(tenants: Tenants) -> list[bytes]:
    """What nobody can know who sees nothing of the victim's."""
    names = [tenants.mine, PRIVATE]
    for pod in await tenants.kube.pods(tenants.mine):
        names += [pod["metadata"]["uid"], pod["metadata"]["name"]]
    return [name.encode() for name in names]


async def act_as_the_attacker(tenants: Tenants, visitor: Visitor) -> list[Reply]:
    """All that can be changed at the victim's addresses, and in a browser at their process."""
    replies = []
    for path in [*tenants.addresses, f"/v3/apps/{tenants.app}/processes/worker"]:
        replies += [
            await tenants.attacker.patch(
                path, {"metadata": {"labels": {FORGED: "yes"}, "annotations": {PRIVATE: None}}}
            ),
            await tenants.attacker.patch(path, {"command": f"{FORGED} anew", "metadata": {"labels": {FORGED: "2"}}}),
            await tenants.attacker.post(f"{path}/actions/scale", {"instances": 3}),
            await tenants.attacker.delete(f"{path}/instances/0"),
        ]
    token, process = {"form_token": await visitor.form_token()}, f"/ui/processes/{tenants.guid}"
    replies.append(await visitor.post(f"{process}/scale", {**token, "instances": "4"}))
    replies.append(await visitor.post(f"{process}/instances/0/terminate", token))
    return replies


@pytest.mark.parametrize("older", ["the attacker's is older", "the victim's is older"])
@pytest.mark.parametrize(
    ("copied", "labelled"),
    [(("app",), False), (("process",), False), (("process",), True), (("app", "process"), True), (EVERYTHING, False)],
    ids=["app", "derived process", "labelled process", "app and process", "and space and organization"],
)
async def test_the_victim_is_served_the_same_bytes_and_the_attacker_nothing_of_theirs(
    api: Api, kube: Kube, settings: Settings, copied: tuple[Copied, ...], labelled: bool, older: Older
) -> None:
    async with two_tenants(api, kube, labelled=labelled) as tenants:
        await tenants.settle(older)
        async with browsing(tenants.victim) as victim, browsing(tenants.attacker) as attacker:
            watcher = Watcher(tenants, victim, settings)
            await all_is_quiet(watcher)
            before = await watcher.look()
            await tenants.attack(*copied)
            assert not differing(before, await watcher.look())

            secrets = await secrets_of(tenants)
            paths = [*questions(tenants), *ageing_questions(tenants)]
            replies = [await tenants.attacker.get(path) for path in paths]
            replies += [await attacker.get(path) for path in page_paths(tenants)]
            for reply in replies:
                assert reply.status in (200, 404)
                # Whose it is: what they asked for themselves is no secret.
                said = reply.body.replace(f"label_selector={PRIVATE}".encode(), b"")
                assert not [secret for secret in secrets if secret in said]
            assert (await tenants.attacker.get("/v3/processes")).json["total_results"] == 1
            assert await tenants.attacker.guids(f"/v3/processes?label_selector={PRIVATE}") == []

            replies = await act_as_the_attacker(tenants, attacker)
            assert {reply.status for reply in replies} <= {200, 202, 204, 303, 404}
            for reply in replies:
                assert not [secret for secret in secrets if secret in reply.body]
            assert (await kube.get(tenants.theirs, "forged"))["spec"]["replicas"] > 1
            assert not differing(before, await watcher.look())


async def all_is_quiet(watcher: Watcher) -> None:
    """Comes back when what is looked at has stopped changing by itself: what controllers do, and sums kept a while."""
    last: dict[str, Any] = {}

    async def quiet() -> bool:
        nonlocal last
        before, last = last, await watcher.look()
        return bool(before) and not differing(before, last)

    await eventually(quiet)
