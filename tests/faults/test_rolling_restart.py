"""Replicas restarted one after the other, under clients that keep their connections open and never ask twice."""

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

from service.settings import Settings
from tests.support.kube import eventually

CLIENTS = 12
RESTARTS = 4
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


async def one_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Ask once; whether the connection stays open."""
    writer.write(b"GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    assert head.startswith("http/1.1 200 "), head
    length = next(int(line.split(":")[1]) for line in head.split("\r\n") if line.startswith("content-length:"))
    await reader.readexactly(length)
    return "connection: close" not in head


async def client(replicas: Sequence[Replica], seen: Seen, until: asyncio.Event) -> None:
    """Ask again and again, on one connection for as long as that is allowed."""
    while not until.is_set():
        ready = [each for each in replicas if each.is_ready]
        if not ready:
            seen.failures.append("no replica is ready")
            return
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", random.choice(ready).port)
            try:
                while await one_request(reader, writer):
                    seen.replies += 1
                    if until.is_set():
                        break
                    await asyncio.sleep(random.uniform(0, 0.1))
                else:
                    seen.told_to_close += 1
            finally:
                writer.close()
        except (OSError, EOFError) as error:
            seen.failures.append(repr(error))


@asynccontextmanager
async def two_replicas(settings: Settings) -> AsyncIterator[list[Replica]]:
    ports = free_ports(4)
    replicas = [Replica(settings, ports[0], ports[1]), Replica(settings, ports[2], ports[3])]
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


async def test_no_request_fails_while_replicas_are_restarted_one_by_one(settings: Settings) -> None:
    seen, over = Seen(), asyncio.Event()
    async with two_replicas(settings) as replicas:
        clients = [asyncio.create_task(client(replicas, seen, over)) for _ in range(CLIENTS)]
        for number in range(RESTARTS):
            replica = replicas[number % 2]
            told = seen.told_to_close
            await replica.stop()
            assert seen.told_to_close > told or not seen.replies
            await replica.start()
            await ready(replica)
        over.set()
        await asyncio.gather(*clients)
    assert not seen.failures
    assert seen.replies > 500
    assert seen.told_to_close >= RESTARTS
