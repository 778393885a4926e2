"""Programs a measurement needs beside it, each ended with the block that started it."""

import asyncio
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
_START_S = 60.0
_END_S = 10.0
_POLL_S = 0.005
# What reaches a program of what we were started with: no setting of the service must slip in.
_INHERITED = ("PATH", "HOME", "LANG", "TMPDIR")


class ProgramFailed(Exception):
    """A program did not do what it was started for; the message ends with what it said last."""


@asynccontextmanager
async def running(
    module: str, *arguments: str, environ: Mapping[str, str] | None = None, log: Path | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m module`: stdin and stdout are pipes; what it says on stderr goes to `log`."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    with (log or Path(os.devnull)).open("ab") as stderr:
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
        yield process
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is None:
            process.send_signal(number)
            try:
                await asyncio.wait_for(process.wait(), _END_S)
            except TimeoutError:
                continue


async def first_line(process: asyncio.subprocess.Process) -> str:
    """The next line the program prints. Raises ProgramFailed."""
    assert process.stdout
    line = await asyncio.wait_for(process.stdout.readline(), _START_S)
    if not line:
        raise ProgramFailed("a program of the benchmark ended early")
    return line.decode().strip()


@dataclass(frozen=True)
class Service:
    """The service as its users run it."""

    url: str
    pid: int
    listening_after_s: float
    """From the start of the process."""
    ready_after_s: float
    """From listening."""

    def rss_mib(self) -> float:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise ProgramFailed("the service has ended")


@asynccontextmanager
async def serving(directory: Path, environ: Mapping[str, str]) -> AsyncIterator[Service]:
    """`python -m service serve`, on a port of its own, ready. Raises ProgramFailed."""
    log = directory / f"service-{uuid4().hex[:8]}.log"
    started = time.perf_counter()
    async with running("service", "serve", environ={**environ, "PORT": "0"}, log=log) as process:
        deadline = started + _START_S
        while (port := _listening_port(log)) is None:
            _check(process, log, deadline)
            await asyncio.sleep(_POLL_S)
        listening = time.perf_counter()
        url = f"http://127.0.0.1:{port}"
        async with aiohttp.ClientSession() as session:
            while not await _is_ready(session, url):
                _check(process, log, deadline)
                await asyncio.sleep(_POLL_S)
        yield Service(url, process.pid, listening - started, time.perf_counter() - listening)


def _check(process: asyncio.subprocess.Process, log: Path, deadline: float) -> None:
    if process.returncode is not None or time.perf_counter() > deadline:
        raise ProgramFailed(f"the service did not become ready: {log.read_text()[-2000:]}")


def _listening_port(log: Path) -> int | None:
    for line in log.read_bytes().splitlines():
        if b'"listening"' in line:
            port: int = orjson.loads(line)["addresses"][0][1]
            return port
    return None


async def _is_ready(session: aiohttp.ClientSession, url: str) -> bool:
    async with session.get(f"{url}/readyz") as response:
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
