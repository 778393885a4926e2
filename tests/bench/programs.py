"""Programs a measurement needs beside it, each ended with the block that started it."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import aiohttp
import asyncpg
import orjson

_REPOSITORY = Path(__file__).parents[2]
_PATIENCE_S = 180.0
"""A hundred thousand Deployments take their time to load where others use the machine."""
_END_S = 10.0
_POLL_S = 0.02
"""Each look takes the service a third of a millisecond, while it is measured how soon it is ready."""
# What reaches a program of what we were started with: no setting of the service must slip in.
_INHERITED = ("PATH", "HOME", "LANG", "TMPDIR")


class ProgramFailed(Exception):
    """A program did not do what it was started for; the message ends with what it said last."""


@dataclass(frozen=True)
class Program:
    """A Python program with pipes for its stdin and stdout; what it says on stderr goes to `log`."""

    process: asyncio.subprocess.Process
    log: Path

    async def line(self) -> str:
        """The next line it prints. Raises ProgramFailed."""
        assert self.process.stdout
        try:
            line = await asyncio.wait_for(self.process.stdout.readline(), _PATIENCE_S)
        except TimeoutError:
            line = b""
        if not line:
            raise self.failed()
        return line.decode().strip()

    def tell(self, line: str) -> None:
        """Write a line to its stdin."""
        assert self.process.stdin
        self.process.stdin.write(f"{line}\n".encode())

    def failed(self) -> ProgramFailed:
        ended = f"ended with {self.process.returncode}" if self.process.returncode is not None else "does not answer"
        return ProgramFailed(f"{self.log.stem} {ended}: {self.log.read_text()[-2000:]}")


@asynccontextmanager
async def running(
    directory: Path, module: str, *arguments: str, environ: Mapping[str, str] | None = None
) -> AsyncIterator[Program]:
    """`python -m module`, its log in the directory."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    log = directory / f"{module}-{uuid4().hex[:8]}.log"
    with log.open("ab") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *arguments,
            cwd=_REPOSITORY,
            env={**inherited, **(environ or {})},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )
    try:
        yield Program(process, log)
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if process.returncode is None:
                process.send_signal(number)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), _END_S)


@dataclass(frozen=True)
class Service:
    """The service as its users run it."""

    url: str
    management_url: str
    pid: int
    listening_after_s: float
    """From the start of the process."""
    ready_after_s: float
    """From listening."""

    def rss_mib(self) -> float:
        return rss_mib(self.pid)


def rss_mib(pid: int) -> float:
    """The memory of a process. Raises ProgramFailed."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ProgramFailed("the service has ended")


@asynccontextmanager
async def serving(directory: Path, environ: Mapping[str, str]) -> AsyncIterator[Service]:
    """`python -m service serve`, on ports of its own, ready. Raises ProgramFailed."""
    started = time.perf_counter()
    ports = {"PORT": "0", "MANAGEMENT_PORT": "0"}
    async with running(directory, "service", "serve", environ={**environ, **ports}) as program:

        async def wait() -> None:
            if program.process.returncode is not None or time.perf_counter() > started + _PATIENCE_S:
                raise program.failed()
            await asyncio.sleep(_POLL_S)

        while (urls := urls_of(program.log)) is None:
            await wait()
        listening = time.perf_counter()
        url, management_url = urls
        async with aiohttp.ClientSession() as session:
            while not await _is_ready(session, management_url):
                await wait()
        ready = time.perf_counter()
        yield Service(url, management_url, program.process.pid, listening - started, ready - listening)


def urls_of(log: Path) -> tuple[str, str] | None:
    """Of the API and of its management, once the service listens."""
    for line in log.read_bytes().splitlines():
        if b'"listening"' in line:
            said = orjson.loads(line)
            api, management = (f"http://127.0.0.1:{said[name][0][1]}" for name in ("api", "management"))
            return api, management
    return None


async def _is_ready(session: aiohttp.ClientSession, management_url: str) -> bool:
    async with session.get(f"{management_url}/readyz") as response:
        return response.status == 200


async def get(url: str, token: str | None = None) -> bytes:
    """The body of a 200. Raises ProgramFailed."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        body = await response.read()
        if response.status != 200:
            raise ProgramFailed(f"GET {url}: {response.status} {body[:500]!r}")
        return body


async def create_database(server_url: str) -> str:
    """The URL of a new database; it goes when the server does."""
    name = f"bench_{uuid4().hex[:12]}"
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
