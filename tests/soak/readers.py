"""Who reads, without a pause, through every replica: single processes, lists and what is derived from them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from tests.soak.history import Seen
from tests.soak.replicas import Replica
from tests.soak.world import Answer, App, World

_PAUSE_S = (0.01, 0.15)
_AWAY = (503, 429)
"""What a replica may always answer: that it cannot."""


@asynccontextmanager
async def reading(world: World) -> AsyncIterator[None]:
    """Two readers of each replica."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_go_on(world, replica)) for replica in world.replicas * 2]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _go_on(world: World, replica: Replica) -> None:
    kinds = (_single, _by_type, _of_app, _list, _app, _stats)
    while True:
        await asyncio.sleep(world.random.uniform(*_PAUSE_S))
        await world.random.choice(kinds)(world, replica, world.random.choice(world.apps))


async def _single(world: World, replica: Replica, app: App) -> None:
    await _look(world, replica, f"/v3/processes/{app.process}", app)


async def _by_type(world: World, replica: Replica, app: App) -> None:
    await _look(world, replica, f"/v3/apps/{app.guid}/processes/web", app)


async def _look(world: World, replica: Replica, path: str, app: App) -> None:
    answer = await _read(world, replica, path)
    if answer is not None and answer.status == 200:
        _judge(world, replica, app, answer, answer.body)


async def _of_app(world: World, replica: Replica, app: App) -> None:
    await _look_at_list(world, replica, f"/v3/apps/{app.guid}/processes", [app], whole=True)


async def _list(world: World, replica: Replica, _: App) -> None:
    guids = ",".join(app.process for app in world.apps)
    await _look_at_list(world, replica, f"/v3/processes?guids={guids}", world.apps, whole=False)


async def _look_at_list(world: World, replica: Replica, path: str, apps: list[App], *, whole: bool) -> None:
    """A list of no more than these apps' processes; whole: with their commands."""
    answer = await _read(world, replica, path)
    if answer is None or answer.status != 200:
        return
    shown = [process["guid"] for process in answer.body["resources"]]
    if len(set(shown)) < len(shown) or answer.body["total_results"] != len(shown):
        world.violate(f"GET {path} shows something twice, or counts wrongly: {shown}")
    by_guid = {process["guid"]: process for process in answer.body["resources"]}
    for app in apps:
        if app.process in by_guid:
            _judge(world, replica, app, answer, by_guid[app.process])
        elif not answer.marked and world.judging:
            world.violate(f"replica {replica.number}: GET {path} lacks {app.process}")


async def _app(world: World, replica: Replica, app: App) -> None:
    await _read(world, replica, f"/v3/apps/{app.guid}")


async def _stats(world: World, replica: Replica, app: App) -> None:
    answer = await _read(world, replica, f"/v3/processes/{app.process}/stats")
    if answer is not None and answer.status == 200:
        indexes = [instance["index"] for instance in answer.body["resources"]]
        if indexes != list(range(len(indexes))):
            world.violate(f"replica {replica.number}: the stats of {app.process} have the indexes {indexes}")


async def _read(world: World, replica: Replica, path: str) -> Answer | None:
    answer = await world.ask(replica, "GET", path)
    if answer is None or answer.status in _AWAY or not world.judging:
        return answer if world.judging else None
    world.counts["observations"] += 1
    world.counts["marked"] += answer.marked
    if answer.status != 200 and not answer.marked:
        world.violate(f"replica {replica.number}: GET {path}: {answer.status} {answer.body}")
    return answer


def fields_of(process: Mapping[str, Any]) -> dict[str, str]:
    """What a process shows of the fields that are written; lists hide commands."""
    shown = {
        "instances": str(process["instances"]),
        "label": process["metadata"]["labels"].get("soak", ""),
        "command": process["command"] or "",
        "annotation": process["metadata"]["annotations"].get("soak", ""),
    }
    if process["command"] is not None and "HIDDEN" in process["command"]:
        del shown["command"]
    return shown


def _judge(world: World, replica: Replica, app: App, answer: Answer, process: Mapping[str, Any]) -> None:
    shown = fields_of(process)
    for name, value in shown.items():
        register = app.registers[name]
        seen = Seen(value, replica.number, answer.began, answer.ended, answer.marked)
        if wrong := register.see(seen):
            world.violate(f"replica {replica.number}: {register.name} {wrong}", register.trace())
    if "command" in shown and not answer.marked and shown["command"] != f"run {shown['annotation']}":
        traces = "\n--\n".join(app.registers[name].trace() for name in ("command", "annotation"))
        world.violate(f"replica {replica.number}: half a write of {app.process}: {shown}", traces)
