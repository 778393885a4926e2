"""The service as a process of its own, for tests that kill it."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from service.settings import Settings
from tests.support.kube import eventually
from tests.support.proxy import BreakOff


@dataclass
class Killable:
    url: str
    process: asyncio.subprocess.Process

    def kill(self) -> None:
        """Kill it in between a request of its and the answer. Raises BreakOff, as a hook of the relay does."""
        self.process.send_signal(signal.SIGKILL)
        raise BreakOff

    async def killed(self) -> None:
        """It is dead, and nothing else has ended it."""
        assert await asyncio.wait_for(self.process.wait(), 5) == -signal.SIGKILL


@asynccontextmanager
async def killable(kubeconfig: Path, settings: Settings, directory: Path) -> AsyncIterator[Killable]:
    """The service over the database of the settings, ready; it is gone after the block at the latest."""
    environ = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "DATABASE_URL": settings.database_url,
        "KUBECONFIG": str(kubeconfig),
        "PORT": "0",
        "MANAGEMENT_PORT": "0",
    }
    log = directory / "service.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "service", "serve", env=environ, stderr=output, stdout=output
        )
    try:
        url = await eventually(lambda: _served_at(log), 20)

        async def ready() -> bool:
            return b'"ready"' in log.read_bytes()

        await eventually(ready, 20)
        yield Killable(url, process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _served_at(log: Path) -> str | None:
    for line in log.read_bytes().splitlines():
        if b'"listening"' in line:
            found = orjson.loads(line)
            host, port = found["api"][0]
            return f"http://{host}:{port}"
    return None
