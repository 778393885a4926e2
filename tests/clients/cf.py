"""The cf CLI as people have it: unmodified, with a home of its own, logged in with a Kubernetes token."""

import asyncio
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

TOOLS = Path(__file__).parents[3] / "shared" / "tools"
USER = "somebody"
COMMAND_S = 60.0


def programs() -> list[str]:
    """The programs to try with: `CF_CLI`, else the `cf` of the PATH, else those that are beside the checkout."""
    named = os.environ.get("CF_CLI") or shutil.which("cf")
    return [named] if named else [str(TOOLS / name) for name in ("cf8", "cf9") if (TOOLS / name).is_file()]


def require(program: str) -> str:
    """The program; where it is empty, the test is skipped, and says how to get one."""
    if not program:
        pytest.skip("no cf CLI here: name one in CF_CLI, or install it (https://github.com/cloudfoundry/cli)")
    return program


@dataclass(frozen=True)
class Output:
    status: int
    out: str
    err: str

    @property
    def table(self) -> list[list[str]]:
        """Each line, as the words that two or more blanks keep apart."""
        return [[cell for cell in line.split("  ") if cell.strip()] for line in self.out.splitlines() if line.strip()]

    def field(self, name: str) -> str:
        """What stands behind a name and a colon, at the start of a line."""
        (line,) = [line for line in self.out.splitlines() if line.startswith(f"{name}:")]
        return line.partition(":")[2].strip()


class Cf:
    """One person at a terminal."""

    def __init__(self, program: str, home: Path, token: str, name: str = USER) -> None:
        self._program = program
        self._home = home
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "any", "cluster": {"server": "https://unused.test"}}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": "any", "context": {"cluster": "any", "user": name}}],
            "current-context": "any",
        }
        (home / "kubeconfig").write_bytes(orjson.dumps(kubeconfig))

    async def run(self, *arguments: str, text: str = "") -> Output:
        """What a command comes to; `text` is typed into it."""
        process = await asyncio.create_subprocess_exec(
            self._program,
            *arguments,
            cwd=self._home,
            env={
                "HOME": str(self._home),
                "CF_HOME": str(self._home),
                "KUBECONFIG": str(self._home / "kubeconfig"),
                "CF_COLOR": "false",
                "LANG": "C.UTF-8",
                "PATH": "/usr/bin:/bin",
            },
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(text.encode()), COMMAND_S)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
        assert process.returncode is not None
        return Output(process.returncode, out.decode(), err.decode())

    async def ok(self, *arguments: str) -> Output:
        """A command that must succeed."""
        output = await self.run(*arguments)
        assert output.status == 0, (arguments, output.out, output.err)
        return output

    async def fails(self, *arguments: str) -> str:
        """A command that must fail, with a message and not by a crash; all that it says."""
        output = await self.run(*arguments)
        said = output.out + output.err
        assert output.status != 0, (arguments, said)
        assert "panic" not in said, said
        assert "goroutine" not in said, said
        return said
