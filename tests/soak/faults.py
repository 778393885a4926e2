"""Faults: each breaks something for a while, and returns when all parts are there again."""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from aiohttp import web

from deploy.local.stack import Stack
from tests.soak.clocks import CAN_BE_MOVED, SEEN_AFTER_S
from tests.soak.comparing import quiet
from tests.soak.links import Link
from tests.soak.replicas import Replica
from tests.soak.world import World
from tests.support.proxy import BreakOff, Instead

_LONGEST_S = 6.0
_REVOKED_S = 25.0
"""kube-apiserver itself believes a token for 10 s; the service keeps its word for REVIEW_TTL_S."""
_MOVES_S = (-86_400, -300, 300, 1200)
"""Ahead by less than tokens last: a replica rightly thinks them expired, otherwise."""
_IN_STEP_S = 60
_CUT_S = 0.1
"""Until connections that are cut off are gone."""
_HTML = b"<html><body>502 Bad Gateway</body></html>"

_FULL = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE OR DELETE ON process_metadata EXECUTE FUNCTION full_disk();
"""


@dataclass
class Scene:
    world: World
    stack: Stack
    database_url: str
    directory: Path
    random: random.Random
    """Of the faults alone, so that a seed breaks the same things in the same order."""

    @property
    def replica(self) -> Replica:
        """Any of them."""
        return self.random.choice(self.world.replicas)

    async def last(self) -> None:
        """For as long as faults last."""
        await asyncio.sleep(self.random.uniform(0.5, _LONGEST_S))


Fault = Callable[[Scene], Awaitable[None]]


async def replica_killed(scene: Scene) -> None:
    replica = scene.replica
    await replica.kill()
    await scene.last()
    await replica.start()


async def replica_killed_in_a_write(scene: Scene) -> None:
    """Between what it asks of Kubernetes and the answer, or just before."""
    replica = scene.replica

    async def kill(request: web.Request, _status: int = 0) -> None:
        if request.method == "PATCH":
            await replica.kill()
            raise BreakOff

    if scene.random.random() < 0.5:
        replica.relay.before = kill
    else:
        replica.relay.after = kill
    await scene.last()
    replica.relay.before = replica.relay.after = None
    await replica.kill()
    await replica.start()


async def replica_frozen(scene: Scene) -> None:
    replica = scene.replica
    replica.signal(signal.SIGSTOP)
    await scene.last()
    replica.signal(signal.SIGCONT)


async def _cut_off(scene: Scene, link: Link) -> None:
    link.refusing = True
    link.cut()
    await scene.last()
    link.refusing = False


async def _held(scene: Scene, link: Link) -> None:
    link.flowing.clear()
    await scene.last()
    link.flowing.set()


async def _half_open(scene: Scene, link: Link) -> None:
    link.lose()
    await scene.last()


async def kubernetes_cut_off(scene: Scene) -> None:
    await _cut_off(scene, scene.replica.kube)


async def kubernetes_cut_in_a_line(scene: Scene) -> None:
    scene.replica.kube.bytes_left = scene.random.randint(1, 20_000)
    await scene.last()


async def kubernetes_held(scene: Scene) -> None:
    await _held(scene, scene.replica.kube)


async def kubernetes_half_open(scene: Scene) -> None:
    await _half_open(scene, scene.replica.kube)


async def kubernetes_trickling(scene: Scene) -> None:
    link = scene.replica.kube
    link.trickling = True
    await scene.last()
    link.trickling = False


async def watches_silent(scene: Scene) -> None:
    relay = scene.replica.relay
    for kind in ("deployments", "pods"):
        relay.hold(kind)
    await scene.last()
    relay.let_go()


async def kubernetes_refusing(scene: Scene) -> None:
    """Half of what is asked of it gets 429, 5xx, or the page of a proxy."""
    replica = scene.replica
    answers = [Instead(429, b"{}"), Instead(500, b"{}"), Instead(503, b""), Instead(502, _HTML, "text/html")]
    answers.append(Instead(200, _HTML, "text/html"))

    async def refuse(_: web.Request) -> None:
        if scene.world.random.random() < 0.5:
            raise scene.world.random.choice(answers)

    replica.relay.before = refuse
    replica.kube.cut()
    await scene.last()
    replica.relay.before = None


async def certificate_renewed(scene: Scene) -> None:
    """While connections with the old one are open, which go on, and then are not."""
    for replica in scene.world.replicas:
        replica.identity.renew()
    await scene.last()
    for replica in scene.world.replicas:
        replica.kube.cut()


async def certificate_of_another(scene: Scene) -> None:
    """Somebody else answers in kube-apiserver's place: nothing they say counts, and they are told no token."""
    replica = scene.replica
    told: list[str] = []

    async def listen(request: web.Request) -> None:
        told.append(request.path)

    replica.identity.pretend()
    replica.kube.cut()
    await asyncio.sleep(_CUT_S)
    replica.relay.before = listen
    await scene.last()
    replica.relay.before = None
    replica.identity.renew()
    if told:
        scene.world.violate(f"replica {replica.number} has asked a stranger: {told}")


async def clock_moved(scene: Scene) -> None:
    replica = scene.replica
    by_s = scene.random.choice(_MOVES_S)
    replica.clock.move(by_s)
    await asyncio.sleep(SEEN_AFTER_S)
    await scene.last()
    if abs(await replica.clock_s() - time.time() - by_s) > _IN_STEP_S:
        scene.world.violate(f"the clock of replica {replica.number} has not been moved by {by_s} s")
    replica.clock.move(0)


async def answers_lost(scene: Scene) -> None:
    """Kubernetes has done it, and whoever asked never hears of it."""
    replica = scene.replica

    async def lose(request: web.Request, _: int) -> None:
        if request.method in ("PATCH", "DELETE") and scene.world.random.random() < 0.5:
            raise BreakOff

    replica.relay.after = lose
    await scene.last()
    replica.relay.after = None


async def postgres_cut_off(scene: Scene) -> None:
    await _cut_off(scene, scene.replica.postgres)


async def postgres_held(scene: Scene) -> None:
    await _held(scene, scene.replica.postgres)


async def postgres_half_open(scene: Scene) -> None:
    await _half_open(scene, scene.replica.postgres)


async def postgres_killed(scene: Scene) -> None:
    await asyncio.to_thread(scene.stack.postgres.kill)
    await scene.last()
    await asyncio.to_thread(scene.stack.postgres.start)


async def postgres_frozen(scene: Scene) -> None:
    scene.stack.postgres.pause()
    await scene.last()
    scene.stack.postgres.resume()


async def postgres_full(scene: Scene) -> None:
    """All of its connections are taken, and those of the replicas are ended."""
    async with AsyncExitStack() as taken:
        connection = await asyncpg.connect(scene.database_url)
        taken.push_async_callback(connection.close)
        with suppress(asyncpg.TooManyConnectionsError):
            while True:
                taken.push_async_callback((await asyncpg.connect(scene.database_url)).close)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cf-processes'"
        )
        with suppress(asyncpg.TooManyConnectionsError):
            while True:
                taken.push_async_callback((await asyncpg.connect(scene.database_url)).close)
        await scene.last()


async def rows_locked(scene: Scene) -> None:
    connection = await asyncpg.connect(scene.database_url)
    try:
        async with connection.transaction():
            await connection.execute("SELECT FROM process_metadata FOR UPDATE")
            await scene.last()
    finally:
        await connection.close()


async def disk_full(scene: Scene) -> None:
    """Postgres can be read, and says of every write what it says when its disk is full."""
    connection = await asyncpg.connect(scene.database_url)
    try:
        await connection.execute(_FULL)
        await scene.last()
        await connection.execute("DROP TRIGGER full_disk ON process_metadata; DROP FUNCTION full_disk")
    finally:
        await connection.close()


async def apiserver_killed(scene: Scene) -> None:
    await asyncio.to_thread(scene.stack.control_plane.stop_apiserver)
    await scene.last()
    await asyncio.to_thread(scene.stack.control_plane.start_apiserver)


async def apiserver_frozen(scene: Scene) -> None:
    await _frozen(scene, "kube-apiserver")


async def etcd_frozen(scene: Scene) -> None:
    await _frozen(scene, "etcd")


async def metrics_frozen(scene: Scene) -> None:
    await _frozen(scene, "metrics-server")


async def _frozen(scene: Scene, component: str) -> None:
    scene.stack.control_plane.pause(component)
    await scene.last()
    scene.stack.control_plane.resume(component)


async def history_compacted(scene: Scene) -> None:
    control_plane = scene.stack.control_plane
    await asyncio.to_thread(control_plane.stop_apiserver)
    await asyncio.to_thread(control_plane.compact)
    await asyncio.to_thread(control_plane.start_apiserver)


async def etcd_restored(scene: Scene) -> None:
    """To a backup from before some writes: what they left in Kubernetes has never been."""
    world, control_plane = scene.world, scene.stack.control_plane
    await quiet(world)
    saved = scene.directory / f"backup-{world.now():.0f}"
    await asyncio.to_thread(control_plane.save_etcd, saved)
    world.writing.set()
    await scene.last()
    await quiet(world)
    world.judging = False
    await asyncio.to_thread(control_plane.restore_etcd, saved)


async def token_revoked(scene: Scene) -> None:
    """Of somebody who was let in: they are refused before long, by every replica."""
    world = scene.world
    token = await world.kube.token_of_new_user(cluster_roles=("processes-operator",))
    for replica in world.replicas:
        await world.ask(replica, "GET", "/v3/apps", token=token)
    await world.kube.delete_user_of(token)
    began, asked = world.now(), list(world.replicas)
    while asked and world.now() < began + _REVOKED_S:
        await asyncio.sleep(0.3)
        answers = [(each, await world.ask(each, "GET", "/v3/apps", token=token)) for each in asked]
        asked = [each for each, answer in answers if answer is None or answer.status != 401]
    if asked:
        world.violate(f"a token is let in {_REVOKED_S} s after its account was deleted")


FAULTS: Mapping[str, Fault] = {
    fault.__name__.replace("_", " "): fault
    for fault in (
        replica_killed,
        replica_killed_in_a_write,
        replica_frozen,
        kubernetes_cut_off,
        kubernetes_cut_in_a_line,
        kubernetes_held,
        kubernetes_half_open,
        kubernetes_trickling,
        watches_silent,
        certificate_renewed,
        certificate_of_another,
        *((clock_moved,) if CAN_BE_MOVED else ()),
        kubernetes_refusing,
        answers_lost,
        postgres_cut_off,
        postgres_held,
        postgres_half_open,
        postgres_killed,
        postgres_frozen,
        postgres_full,
        rows_locked,
        disk_full,
        apiserver_killed,
        apiserver_frozen,
        etcd_frozen,
        metrics_frozen,
        history_compacted,
        etcd_restored,
        token_revoked,
    )
}
