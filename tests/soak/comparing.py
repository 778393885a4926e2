"""API = cluster = Postgres: when nobody writes, each replica shows what the stores hold, and nothing done is lost."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson

from service.model.labels import Keys
from tests.soak.history import Seen
from tests.soak.readers import fields_of
from tests.soak.replicas import Replica
from tests.soak.world import App, World

IN_STEP_S = 30.0
"""How long it may take until all replicas show the same as the stores. The goal is 2 s after a store answers again."""
_QUIET_S = 40.0
_EACH_S = 0.1
_NOBODY = -1


@dataclass(frozen=True)
class Stores:
    """What the cluster and Postgres hold."""

    fields: Mapping[str, Mapping[str, str]]
    """By the GUID of the app, for those that are written to."""
    processes: int
    """How many there are to be shown, of apps that are written to."""


async def recovered(world: World) -> float:
    """Seconds until every replica answers for every app without a mark; whoever writes goes on."""
    began = world.now()
    while world.now() < began + IN_STEP_S:
        if all([await _answers(world, replica, app) for replica in world.replicas for app in world.apps]):
            return world.now() - began
        await asyncio.sleep(_EACH_S)
    world.violate(f"not recovered after {IN_STEP_S} s")
    return world.now() - began


async def _answers(world: World, replica: Replica, app: App) -> bool:
    answer = await world.ask(replica, "GET", f"/v3/processes/{app.process}")
    return answer is not None and answer.status == 200 and not answer.marked


async def quiet(world: World) -> None:
    """Have nobody write any more, and wait for what is under way."""
    world.writing.clear()
    try:
        async with asyncio.timeout(_QUIET_S):
            await world.idle.wait()
    except TimeoutError:
        world.violate("writes are under way for ever")


async def compare(world: World, database_url: str) -> float:
    """Wait until all show the same; seconds that took. What the stores hold is where all begin again."""
    began, wrong = world.now(), ["nothing was looked at"]
    while wrong and world.now() < began + IN_STEP_S:
        stores = await _held(world, database_url)
        wrong = [each for replica in world.replicas for each in await _differing(world, replica, stores)]
        await asyncio.sleep(_EACH_S if wrong else 0)
    if wrong:
        world.violate(f"not in step after {IN_STEP_S} s: " + "; ".join(wrong[:5]))
    for app in world.apps:
        for name, value in stores.fields[app.guid].items():
            _begin_again(world, app, name, value)
    return world.now() - began


def _begin_again(world: World, app: App, name: str, value: str) -> None:
    register, now = app.registers[name], world.now()
    if world.judging and (wrong := register.see(Seen(value, _NOBODY, now, now, marked=False))):
        world.violate(f"the stores are wrong: {register.name} {wrong}", register.trace())
    register.settle(value, world.now())


async def _held(world: World, database_url: str) -> Stores:
    found = {}
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        for app in world.apps:
            row = await connection.fetchrow(
                "SELECT labels, annotations, pending FROM process_metadata WHERE namespace = $1 AND app_guid = $2",
                app.namespace,
                app.guid,
            )
            assert row is not None
            deployment = await world.kube.get(app.namespace, app.name)
            # A write that Kubernetes has committed and nobody has folded yet is made: the next writer moves it.
            committed = orjson.loads(row["pending"]).get(_write_id(deployment), {}).get("change", {})
            found[app.guid] = {
                **_cluster_fields(deployment),
                **{
                    field: {**orjson.loads(row[column]), **committed.get(column, {})}.get("soak", "")
                    for field, column in {"label": "labels", "annotation": "annotations"}.items()
                },
            }
    finally:
        await connection.close()
    selector = f"/apis/apps/v1/deployments?labelSelector={Keys().app_guid}"
    deployments = (await world.kube.request("GET", selector))["items"]
    claimed = {(each["metadata"]["namespace"], each["metadata"]["labels"][Keys().app_guid]) for each in deployments}
    return Stores(found, len(claimed))


def _write_id(deployment: Mapping[str, Any]) -> str:
    return str(deployment["metadata"].get("annotations", {}).get(Keys().last_write, ""))


def _cluster_fields(deployment: Mapping[str, Any]) -> dict[str, str]:
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    words = [*container.get("command", ()), *container.get("args", ())]
    return {"instances": str(deployment["spec"]["replicas"]), "command": words[-1] if words else ""}


async def _differing(world: World, replica: Replica, stores: Stores) -> list[str]:
    """What a replica does not show as it is."""
    listed = await world.ask(replica, "GET", "/v3/processes?per_page=1")
    if listed is None or listed.status != 200 or listed.marked:
        return [f"replica {replica.number} answers {listed.status if listed else 'nothing'}"]
    wrong = []
    if listed.body["pagination"]["total_results"] != stores.processes:
        shown = listed.body["pagination"]["total_results"]
        wrong.append(f"replica {replica.number} shows {shown} processes of {stores.processes}")
    for app in world.apps:
        answer = await world.ask(replica, "GET", f"/v3/processes/{app.process}")
        if answer is None or answer.status != 200 or answer.marked:
            wrong.append(f"replica {replica.number} does not show {app.process} as new")
        elif (shown := fields_of(answer.body)) != stores.fields[app.guid]:
            wrong.append(f"replica {replica.number} shows {shown} for {stores.fields[app.guid]}")
    return wrong
