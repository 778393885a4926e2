"""Who writes, without a pause: each to fields of its own, one write after the other, each through any replica."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import count

from tests.soak.history import Outcome
from tests.soak.world import App, World, outcome_of, told

_PAUSE_S = (0.05, 0.5)
_MOST_INSTANCES = 8

Write = Callable[[World, App, int], Awaitable[None]]


async def scale(world: World, app: App, number: int) -> None:
    """Instances: in Kubernetes alone."""
    value = 1 + number % _MOST_INSTANCES
    path = f"/v3/processes/{app.process}/actions/scale"
    await _write(world, app, {"instances": str(value)}, "POST", path, {"instances": value})


async def label(world: World, app: App, number: int) -> None:
    """A label: in Postgres alone."""
    body = {"metadata": {"labels": {"soak": str(number)}}}
    await _write(world, app, {"label": str(number)}, "PATCH", f"/v3/processes/{app.process}", body)


async def both(world: World, app: App, number: int) -> None:
    """A command and an annotation: in both stores, in one request."""
    body = {"command": f"run {number}", "metadata": {"annotations": {"soak": str(number)}}}
    values = {"command": f"run {number}", "annotation": str(number)}
    await _write(world, app, values, "PATCH", f"/v3/processes/{app.process}", body)


async def _write(
    world: World, app: App, values: Mapping[str, str], method: str, path: str, body: Mapping[str, object]
) -> None:
    replica = world.random.choice(world.replicas)
    writes = {name: app.registers[name].begin(value, replica.number, world.now()) for name, value in values.items()}
    answer = await world.ask(replica, method, path, body)
    outcome = outcome_of(answer)
    for name, write in writes.items():
        app.registers[name].end(write, outcome, world.now(), told(answer))
    world.counts[f"writes {outcome.value}"] += 1
    if outcome is Outcome.REFUSED and answer is not None and answer.status != 422:
        # 422: it was changed meanwhile, by another writer. Nothing else of what is asked here is wrong.
        world.violate(f"{method} {path}: {told(answer)}", app.registers[next(iter(values))].trace())


async def terminate(world: World, app: App, number: int) -> None:
    """One of its instances; that it is gone shows when the stores are compared."""
    answer = await world.ask(world.random.choice(world.replicas), "DELETE", f"/v3/processes/{app.process}/instances/0")
    world.counts[f"terminations {outcome_of(answer).value}"] += 1


async def stop_and_start(world: World, app: App, number: int) -> None:
    """The app as a whole: what it had runs again."""
    action = "stop" if number % 2 else "start"
    answer = await world.ask(world.random.choice(world.replicas), "POST", f"/v3/apps/{app.guid}/actions/{action}")
    world.counts[f"{action}s {outcome_of(answer).value}"] += 1


@asynccontextmanager
async def writing(world: World, others: Mapping[Write, App]) -> AsyncIterator[None]:
    """Writers of every kind for each app of the world, and one for each of the others."""
    jobs: list[tuple[Write, App]] = [(kind, app) for app in world.apps for kind in (scale, label, both)]
    jobs += others.items()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_go_on(world, kind, app)) for kind, app in jobs]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _go_on(world: World, kind: Write, app: App) -> None:
    for number in count(1):
        await asyncio.sleep(world.random.uniform(*_PAUSE_S))
        await world.writing.wait()
        with world.write():
            await kind(world, app, number)
