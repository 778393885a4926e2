"""Replicas restarted one after the other, under readers and writers who never ask twice, on old connections and new."""

import asyncio
import contextlib
import random
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import orjson
import pytest

from service.settings import Settings
from service.store import database
from tests.support.apps import MakeApp
from tests.support.kube import eventually, guid_of
from tests.support.sockets import head

REPLICAS = 3
READERS, WRITERS = 6, 3
"""Readers of each kind; and processes, of each of which two write."""
READY_EVERY_S = 0.05


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@dataclass
class Replica:
    """A place where one process after the other serves."""

    settings: Settings
    port: int
    management_port: int
    process: Process | None = None
    is_ready: bool = False

    async def start(self) -> None:
        environ = {
            "PATH": "/usr/bin",
            "DATABASE_URL": self.settings.database_url,
            "KUBECONFIG": self.settings.kubeconfig,
            "PORT": str(self.port),
            "MANAGEMENT_PORT": str(self.management_port),
            "DRAIN_S": "1",
        }
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "service", "serve", env=environ, stderr=DEVNULL, stdout=DEVNULL
        )

    async def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(self.process.wait(), 20) == 0

    async def look(self) -> None:
        """Route requests by /readyz, as Kubernetes does."""
        async with aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.get(f"http://127.0.0.1:{self.management_port}/readyz") as reply:
                        self.is_ready = reply.status == 200
                except aiohttp.ClientError:
                    self.is_ready = False
                await asyncio.sleep(READY_EVERY_S)


@dataclass
class Seen:
    """What all clients have seen."""

    replies: int = 0
    told_to_close: int = 0
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Work:
    """What a client asks for, again and again: each time one of these, which all succeed with this status."""

    requests: Sequence[bytes]
    status: int
    keeps: bool = True
    """On one connection, for as long as that is allowed; else on a new one each time."""


async def one_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, work: Work) -> bool:
    """Ask once; whether the connection stays open."""
    writer.write(random.choice(work.requests))
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = next(int(line.split(":")[1]) for line in head.split("\r\n") if line.startswith("content-length:"))
    body = await reader.readexactly(length)
    assert head.startswith(f"http/1.1 {work.status} "), (body, head)
    return "connection: close" not in head


async def client(replicas: Sequence[Replica], seen: Seen, until: asyncio.Event, work: Work) -> None:
    while not until.is_set():
        ready = [each for each in replicas if each.is_ready]
        if not ready:
            seen.failures.append("no replica is ready")
            return
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", random.choice(ready).port)
            try:
                while await one_request(reader, writer, work):
                    seen.replies += 1
                    if until.is_set() or not work.keeps:
                        break
                    await asyncio.sleep(random.uniform(0, 0.1))
                else:
                    seen.told_to_close += 1
            finally:
                writer.close()
            await asyncio.sleep(0 if work.keeps else random.uniform(0, 0.1))
        except (OSError, EOFError, AssertionError) as error:
            seen.failures.append(repr(error))


@asynccontextmanager
async def serving(settings: Settings, count: int) -> AsyncIterator[list[Replica]]:
    ports = free_ports(2 * count)
    replicas = [Replica(settings, ports[2 * number], ports[2 * number + 1]) for number in range(count)]
    looking = [asyncio.create_task(each.look()) for each in replicas]
    try:
        for each in replicas:
            await each.start()
        for each in replicas:
            await ready(each)
        yield replicas
    finally:
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)
        for each in replicas:
            if each.process is not None and each.process.returncode is None:
                each.process.kill()
                await each.process.wait()


async def ready(replica: Replica) -> None:
    async def is_ready() -> bool:
        return replica.is_ready

    await eventually(is_ready, 40)


def request(method: str, path: str, token: str, body: object = None) -> bytes:
    content = b"" if body is None else orjson.dumps(body)
    sized = {"Content_Length": str(len(content)), "Content_Type": "application/json"} if content else {}
    return head(method, path, token, **sized) + content


@pytest.fixture
async def work(operator_token: str, make_app: MakeApp) -> list[Work]:
    """Of readers and writers, on connections that are kept and on new ones."""
    processes = [f"/v3/processes/{guid_of(await make_app('web'), 'web')}" for _ in range(WRITERS)]
    reads = [request("GET", path, operator_token) for path in ("/v3/processes", "/v3/apps", *processes)]
    found = [Work(reads, 200)] * READERS + [Work(reads, 200, keeps=False)] * READERS
    for path in processes:
        label = {"command": "run", "metadata": {"labels": {"at": "all-times"}}}
        scales = [request("POST", f"{path}/actions/scale", operator_token, {"instances": n}) for n in range(3)]
        found += [Work(scales, 202), Work([request("PATCH", path, operator_token, label)], 200, keeps=False)]
    return found


@asynccontextmanager
async def under(work: Sequence[Work], replicas: Sequence[Replica]) -> AsyncIterator[Seen]:
    """All clients at work for the length of a block, none of whose requests may fail."""
    seen, over = Seen(), asyncio.Event()
    clients = [asyncio.create_task(client(replicas, seen, over, each)) for each in work]
    yield seen
    over.set()
    await asyncio.gather(*clients)
    assert not seen.failures


async def restart(replica: Replica) -> None:
    await replica.stop()
    await replica.start()
    await ready(replica)


async def test_no_request_fails_while_replicas_are_restarted_one_by_one(settings: Settings, work: list[Work]) -> None:
    async with serving(settings, REPLICAS) as replicas, under(work, replicas) as seen:
        for replica in [*replicas, replicas[0]]:
            told = seen.told_to_close
            await restart(replica)
            assert seen.told_to_close > told or not seen.replies
    assert seen.replies > 500
    assert seen.told_to_close >= REPLICAS


NEXT = """
ALTER TABLE process_metadata ADD COLUMN note text NOT NULL DEFAULT '';
CREATE INDEX process_metadata_note ON process_metadata (note);
ALTER TABLE metadata_counter ADD COLUMN counted_at timestamptz NOT NULL DEFAULT now();
"""
"""What the next version may do to the schema: whatever is added has a default."""


async def test_no_request_fails_while_the_next_version_migrates_the_schema_and_when_the_update_is_taken_back(
    settings: Settings, work: list[Work], monkeypatch: pytest.MonkeyPatch
) -> None:
    next_version = [*database.migrations(), database.Migration(9000, "next", NEXT)]
    monkeypatch.setattr(database, "migrations", lambda: next_version)
    async with serving(settings, 2) as replicas, under(work, replicas) as seen:
        await asyncio.sleep(1)
        async with database.connected(settings.database_url, 5) as connection:
            assert await database.migrate(connection) == next_version[-1:]
        # What follows is served, and written, by the former version on the schema of the next.
        before = seen.replies
        for replica in replicas:
            await restart(replica)
    assert seen.replies > before + 100
