"""The sessions that the pages show: typed into an unmodified cf CLI, beside the demo of `make run`."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.local import demo
from deploy.local.stack import Stack, local_stack
from service.settings import Settings
from service.store.database import connected, migrate
from tests.clients.cf import Cf, programs, require
from tests.support.api import Api, running
from tests.support.kube import eventually

REPOSITORY = Path(__file__).parents[2]
OPERATOR = "operator"
ADDRESS = "http://127.0.0.1:8080"
LEFT_OUT = "…"


@dataclass(frozen=True)
class Typed:
    """A command of a session, and what the page shows of its output."""

    arguments: list[str]
    shown: list[str]


def session(page: str) -> list[Typed]:
    """What is typed in all sessions of a page, one after the other."""
    typed: list[Typed] = []
    for block in re.findall(r"```console\n(.*?)```", (REPOSITORY / page).read_text(), re.DOTALL):
        if "$ cf " not in block:
            continue
        for line in block.splitlines():
            if line.startswith("$ "):
                typed.append(Typed(line.split()[1:], []))
            else:
                typed[-1].shown.append(line)
    return [each for each in typed if each.arguments[0] == "cf"]


@pytest.fixture(scope="module", params=programs()[:1] or [""], ids=lambda program: Path(program).name or "none")
def program(request: pytest.FixtureRequest) -> str:
    return require(request.param)


@pytest.fixture(scope="module")
def demo_stack(program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of its own, as the demo is of many namespaces, with the demo in it."""
    with local_stack(tmp_path_factory.mktemp("demo"), nodes=2, metrics=True) as stack:
        demo.load(stack.control_plane)
        yield stack


@pytest.fixture
async def served(demo_stack: Stack) -> AsyncIterator[Api]:
    async with connected(demo_stack.database_url, 10) as connection:
        await migrate(connection)
    await demo.load_metadata(demo_stack.database_url)
    settings = Settings(
        database_url=demo_stack.database_url, kubeconfig=str(demo_stack.service_kubeconfig), port=0, review_ttl_s=1
    )
    token = await asyncio.to_thread(demo_stack.control_plane.create_token, "demo-users", OPERATOR)
    async with running(settings, token=token) as api:
        yield api


@pytest.mark.parametrize("page", ["README.md", "deploy/CLIENTS.md"])
async def test_the_session_prints_what_the_page_shows(page: str, program: str, served: Api, tmp_path: Path) -> None:
    assert served.token is not None
    cf = Cf(program, tmp_path, served.token, OPERATOR)
    typed = session(page)
    assert len(typed) > 4
    for command in typed:
        arguments = [argument.replace(ADDRESS, served.url) for argument in command.arguments[1:]]

        async def printed(arguments: list[str] = arguments, shown: list[str] = command.shown) -> bool:
            return has((await cf.ok(*arguments)).out, shown)

        if arguments[0] in ("app", "apps"):
            # What a command before this one has changed may still be on its way.
            await eventually(printed, 30)
        else:
            output = (await cf.ok(*arguments)).out
            assert has(output, command.shown), (arguments, output)
    await reset(served)


def has(output: str, shown: list[str]) -> bool:
    """Whether the output has these lines, in this order, with nothing between two that follow each other."""
    lines = [line.rstrip() for line in output.splitlines() if line.strip()]
    at, may_skip = 0, False
    for line in (each.rstrip() for each in shown if each.strip()):
        if line == LEFT_OUT:
            may_skip = True
            continue
        pattern = re.compile(".*".join(re.escape(part) for part in line.split(LEFT_OUT)))
        found = next((n for n in range(at, len(lines)) if pattern.fullmatch(lines[n])), None)
        if found is None or (found > at and not may_skip):
            return False
        at, may_skip = found + 1, False
    return True


async def reset(served: Api) -> None:
    """For the next page the demo is as it was, but for the rollout that was cancelled."""
    reply = await served.post(f"/v3/apps/{demo.SHOP}/processes/web/actions/scale", {"instances": 3})
    assert reply.status == 202
