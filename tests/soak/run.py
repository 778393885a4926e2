"""One run: the world is set up, everybody begins, faults come one after the other, and all is compared after each."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import aiohttp
import asyncpg

from deploy.local.stack import Stack
from tests.conftest import new_database
from tests.soak.churner import churning
from tests.soak.comparing import compare, quiet, recovered
from tests.soak.faults import FAULTS, Scene
from tests.soak.history import Register
from tests.soak.readers import reading
from tests.soak.replicas import replicas
from tests.soak.world import FIELDS, App, World
from tests.soak.writers import stop_and_start, terminate, writing
from tests.support.kube import Kube, deployment, eventually

APPS = 4
CALM_S = 1.0
"""Between faults."""
MEMORY_MIB = 60.0
"""By how much a replica may grow after it has seen everything once: caches fill."""


@dataclass
class Found:
    """What a run has found."""

    world: World
    recovery_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """By fault: until all answered without a mark again."""
    in_step_s: list[float] = field(default_factory=list)
    """Until all showed the same as the stores, once nobody wrote any more."""
    grown_mib: dict[int, float] = field(default_factory=dict)
    """By replica, in its last life."""


async def run(stack: Stack, seconds: float, seed: int, directory: Path, only: str | None = None) -> Found:
    """A run of some seconds, and what the last fault takes; `only`: of this fault alone."""
    kube = await Kube.of(str(stack.kubeconfig))
    try:
        async with (
            new_database(stack.database_url) as url,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
            replicas(stack, url, session, directory) as found,
        ):
            await _make_durable(url)
            token = await kube.token_of_new_user(cluster_roles=("processes-operator",))
            world = World(kube, found, session, token, random.Random(seed))
            others = await _populate(world)
            await compare(world, url)
            world.judging = True
            scene = Scene(world, stack, url, directory, random.Random(seed))
            return await _with_everybody(scene, others, seconds, [only] if only else list(FAULTS))
    finally:
        await kube.close()


async def _make_durable(url: str) -> None:
    """Have what is acknowledged survive a crash of Postgres; for tests it need not."""
    connection = await asyncpg.connect(url)
    await connection.execute("ALTER ROLE CURRENT_USER SET synchronous_commit = on")
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cf-processes'"
    )
    await connection.close()


async def _populate(world: World) -> tuple[App, App, tuple[str, str]]:
    """The apps that are written to; then one that loses instances, one that is stopped, and where others churn."""
    namespace = await world.kube.create_namespace()
    for number in range(APPS):
        app = await _app(world, namespace, f"app-{number}", paused=number > 0)
        world.apps.append(app)
    for app in world.apps:
        body = {"command": "run 0", "metadata": {"annotations": {"soak": "0"}, "labels": {"soak": "0"}}}
        await _until_done(world, app, body)
    losing, stopping = [await _app(world, namespace, name, replicas=3) for name in ("losing", "stopping")]
    churned = await world.kube.create_namespace(), await world.kube.create_namespace()
    return losing, stopping, churned


async def _app(world: World, namespace: str, name: str, *, replicas: int = 1, paused: bool = False) -> App:
    guid = str(uuid4())
    manifest = deployment(name, namespace, guid, replicas=replicas)
    # Most are paused, so that each new command does not make Kubernetes replace all Pods.
    manifest["spec"]["paused"] = paused
    await world.kube.create(manifest)
    registers = {each: Register(f"{name}'s {each}") for each in FIELDS}
    return App(guid, namespace, name, registers)


async def _until_done(world: World, app: App, body: object) -> None:
    async def done() -> bool:
        answer = await world.ask(world.replicas[0], "PATCH", f"/v3/processes/{app.process}", body)
        return answer is not None and answer.status == 200

    await eventually(done, 60)


async def _with_everybody(
    scene: Scene, others: tuple[App, App, tuple[str, str]], seconds: float, kinds: list[str]
) -> Found:
    world, (losing, stopping, churned) = scene.world, others
    found = Found(world)
    world.writing.set()
    async with (
        writing(world, {terminate: losing, stop_and_start: stopping}),
        reading(world),
        churning(world, churned),
    ):
        await asyncio.sleep(CALM_S)
        deadline = world.now() + seconds
        plan = _plan(scene.random, kinds)
        at_first = {replica.number: replica.rss_mib() for replica in world.replicas}
        starts = {replica.number: replica.starts for replica in world.replicas}
        while world.now() < deadline and len(world.violations) < 20:
            await _break(scene, found, next(plan))
        await quiet(world)
        for replica in world.replicas:
            if replica.starts == starts[replica.number]:
                found.grown_mib[replica.number] = grown = replica.rss_mib() - at_first[replica.number]
                if grown > MEMORY_MIB:
                    world.violate(f"replica {replica.number} has grown by {grown:.0f} MiB")
    return found


def _plan(chance: random.Random, kinds: list[str]) -> Iterator[str]:
    """All kinds in any order, again and again."""
    while True:
        yield from chance.sample(kinds, len(kinds))


async def _break(scene: Scene, found: Found, kind: str) -> None:
    """One fault, and what comes after it."""
    world = scene.world
    world.fault = kind
    began = world.now()
    await FAULTS[kind](scene)
    healed = world.now()
    if not world.judging:
        await _begin_anew(world)
    recovery_s = await recovered(world)
    found.recovery_s[kind].append(recovery_s)
    await quiet(world)
    in_step_s = await compare(world, scene.database_url)
    found.in_step_s.append(in_step_s)
    print(
        f"{world.now():7.1f} s  {kind}: {healed - began:.1f} s, recovered after {recovery_s:.1f} s,"
        f" in step {in_step_s:.1f} s after the last write",
        flush=True,
    )
    world.judging, world.fault = True, "none"
    world.writing.set()
    await asyncio.sleep(CALM_S)


async def _begin_anew(world: World) -> None:
    """After etcd has gone back, fields that were written together are of two times until they are written again."""
    await recovered(world)
    for app in world.apps:
        body = {"command": "run 0", "metadata": {"annotations": {"soak": "0"}, "labels": {"soak": "0"}}}
        await _until_done(world, app, body)
