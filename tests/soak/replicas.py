"""Three replicas as processes, each reaching Kubernetes and Postgres over links of its own."""

import asyncio
import base64
import json
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from deploy.local.stack import Stack
from tests.bench.programs import urls_of
from tests.soak.certificates import HOST, Identity
from tests.soak.clocks import Clock
from tests.soak.links import Link, linked
from tests.support.kube import eventually
from tests.support.proxy import Relay, relaying

COUNT = 3
SETTINGS = {
    "KUBE_TIMEOUT_S": "3",
    "DATABASE_TIMEOUT_S": "2",
    "REVIEW_TTL_S": "5",
    "WATCH_INACTIVITY_S": "8",
    "USAGE_INTERVAL_S": "1",
    "MAX_CONCURRENT_REQUESTS": "200",
    "DRAIN_S": "0",
}
"""As users run it, but quicker to give up on what is away, so that a minute has many faults in it."""
_START_S = 60.0


@dataclass
class Replica:
    number: int
    directory: Path
    kube: Link
    postgres: Link
    relay: Relay
    identity: Identity
    """Of the relay, which is kube-apiserver to the replica."""
    clock: Clock
    environ: dict[str, str]
    session: aiohttp.ClientSession
    url: str = ""
    management_url: str = ""
    process: Process | None = None
    starts: int = 0

    async def start(self) -> None:
        """Start it, and return when it listens."""
        self.starts += 1
        log = self.directory / f"replica-{self.number}-{self.starts}.log"
        with log.open("wb") as output:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "service", "serve", env=self.environ, stdout=output, stderr=output
            )

        async def urls() -> tuple[str, str] | None:
            return urls_of(log)

        self.url, self.management_url = await eventually(urls, _START_S)

    async def kill(self) -> None:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)

    async def is_ready(self) -> bool:
        try:
            async with self.session.get(f"{self.management_url}/readyz") as reply:
                return reply.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def clock_s(self) -> float:
        """The time that its replies say it is, in seconds since 1970. Raises aiohttp.ClientError, TimeoutError."""
        async with self.session.get(f"{self.management_url}/livez") as reply:
            return parsedate_to_datetime(reply.headers["Date"]).timestamp()

    def rss_mib(self) -> float:
        assert self.process is not None
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise AssertionError(f"replica {self.number} has ended")


@asynccontextmanager
async def replicas(
    stack: Stack, database_url: str, session: aiohttp.ClientSession, directory: Path
) -> AsyncIterator[list[Replica]]:
    """All of them, ready; killed in the end."""
    async with AsyncExitStack() as exits:
        found = [await _prepared(number, stack, database_url, session, directory, exits) for number in range(COUNT)]
        for replica in found:
            await replica.start()
            exits.push_async_callback(replica.kill)
        for replica in found:
            await eventually(replica.is_ready, _START_S)
        yield found


async def _prepared(
    number: int, stack: Stack, database_url: str, session: aiohttp.ClientSession, directory: Path, exits: AsyncExitStack
) -> Replica:
    own = directory / f"replica-{number}"
    own.mkdir()
    identity, clock = Identity(), Clock(own / "clock")
    relay = await exits.enter_async_context(relaying(stack.service_kubeconfig, own, identity.context))
    config = json.loads(relay.kubeconfig.read_text())
    cluster = config["clusters"][0]["cluster"]
    kube = await exits.enter_async_context(linked("127.0.0.1", urlsplit(cluster["server"]).port or 0))
    cluster["server"] = f"https://{HOST}:{kube.at}"
    cluster["certificate-authority-data"] = base64.b64encode(identity.authority).decode()
    kubeconfig = own / "kubeconfig"
    kubeconfig.write_text(json.dumps(config))
    parts = urlsplit(database_url)
    postgres = await exits.enter_async_context(linked("127.0.0.1", parts.port or 5432))
    credentials, at, _ = parts.netloc.rpartition("@")
    environ = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        **SETTINGS,
        **clock.environ,
        "DATABASE_URL": urlunsplit(parts._replace(netloc=f"{credentials}{at}127.0.0.1:{postgres.at}")),
        "KUBECONFIG": str(kubeconfig),
        "PORT": "0",
        "MANAGEMENT_PORT": "0",
    }
    return Replica(number, own, kube, postgres, relay, identity, clock, environ, session)
