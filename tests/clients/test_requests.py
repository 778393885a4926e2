"""Every request of the table, asked by who may do everything, by who may only look, and by who sees nothing of it."""

import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import orjson
import pytest

from tests.clients.requests import CF, LIBRARIES, Ask
from tests.clients.world import World, made
from tests.support.api import Api, Reply, assert_cf_error
from tests.support.kube import Kube, eventually

COMMANDS = {**CF, **LIBRARIES}
commands = pytest.mark.parametrize("command", COMMANDS)


@pytest.fixture(scope="module")
async def world(api: Api, kube: Kube) -> AsyncIterator[World]:
    async with made(api, kube) as there:
        yield there


async def ask(who: Api, request: Ask, names: dict[str, str]) -> Reply:
    body = _filled(request.body, names)
    if request.method == "POST":
        return await who.post(request.path.format(**names), body)
    if request.method == "PATCH":
        return await who.patch(request.path.format(**names), body)
    if request.method == "DELETE":
        return await who.delete(request.path.format(**names))
    return await who.get(request.path.format(**names))


def _filled(body: Any, names: dict[str, str]) -> Any:
    """A body with the names in it replaced."""
    if body is None:
        return None
    text = orjson.dumps(body).decode()
    return orjson.loads(re.sub(r'"\{(\w+)\}"', lambda match: orjson.dumps(names[match[1]]).decode(), text))


def found(document: Any, path: str) -> list[Any]:
    """What is at a path such as `resources[].guid`; a KeyError or IndexError where there is nothing."""
    values = [document]
    for name, index in re.findall(r"(\w+)(\[\d*\])?", path):
        values = [value[name] for value in values]
        if index == "[]":
            values = [each for value in values for each in value]
        elif index:
            values = [value[int(index[1:-1])] for value in values]
    return values


def holds(request: Ask, document: Any, names: dict[str, str]) -> bool:
    try:
        return all(
            found(document, path) == [wanted.format(**names) if isinstance(wanted, str) else wanted]
            for path, wanted in request.equal.items()
        )
    except (KeyError, IndexError):
        return False


@commands
async def test_who_may_do_everything_gets_every_field_that_the_command_reads(world: World, command: str) -> None:
    names = dict(world.names)
    for request in COMMANDS[command]:

        async def answered(request: Ask = request) -> bool:
            reply = await ask(world.operator, request, names)
            assert reply.status == request.status, (request, reply.body)
            if reply.status == 204 or not reply.headers["Content-Type"].startswith("application/json"):
                return True
            if request.until and not holds(request, reply.json, names):
                return False
            for path in request.reads:
                assert found(reply.json, path) or path.startswith("resources[]"), (request.path, path, reply.body)
            names.update({name: found(reply.json, path)[0] for name, path in request.learns.items()})
            assert holds(request, reply.json, names), (request.path, request.equal, reply.body)
            return True

        await eventually(answered, 30)


@commands
async def test_who_may_only_look_gets_the_same_and_changes_nothing(world: World, command: str) -> None:
    names = await settled(world)
    before = await state(world)
    for request in COMMANDS[command]:
        reply = await ask(world.viewer, request, names)
        expected = request.viewer or (request.status if request.method == "GET" else 403)
        assert reply.status == expected, (request, reply.body)
        if expected == 403:
            assert_cf_error(reply, 403, 10003, "CF-NotAuthorized")
        elif reply.headers["Content-Type"].startswith("application/json"):
            for path in () if request.until else request.reads:
                assert found(reply.json, path) or path.startswith("resources[]"), (request.path, path, reply.body)
    assert await state(world) == before


async def settled(world: World) -> dict[str, str]:
    """The names, with that of the newest rollout, once it is over: Kubernetes may be about to begin the last one."""
    names = dict(world.names)

    async def is_over() -> bool:
        (rollout,) = (await world.operator.get(f"/v3/deployments?app_guids={names['app']}")).json["resources"]
        names["deployment"] = rollout["guid"]
        return bool(rollout["status"]["value"] == "FINALIZED")

    await eventually(is_over, 30)
    return names


async def state(world: World) -> Any:
    """What writes would change."""
    app = (await world.operator.get(f"/v3/apps/{world.names['app']}")).json
    process = (await world.operator.get(f"/v3/processes/{world.names['process']}")).json
    environment = (await world.operator.get(f"/v3/apps/{world.names['app']}/environment_variables")).json
    kept = ("command", "instances", "memory_in_mb", "health_check", "readiness_health_check", "metadata")
    return app["state"], app["metadata"], {name: process[name] for name in kept}, environment["var"]


@commands
async def test_who_sees_nothing_of_it_is_told_what_those_are_told_who_ask_for_what_does_not_exist(
    world: World, command: str
) -> None:
    """Byte for byte: the GUIDs are replaced by some of nobody's, and nothing else of the answer may differ."""
    known = await settled(world)
    nowhere = {name: str(uuid4()) for name in known}
    for request in COMMANDS[command]:
        hidden, absent = [await ask(world.stranger, request, names) for names in (known, nowhere)]
        assert (hidden.status, comparable(hidden, known)) == (absent.status, comparable(absent, nowhere)), request
        if request.is_of_something:
            assert_cf_error(hidden, 404, 10010, "CF-ResourceNotFound")
        elif request.method == "POST":
            assert_cf_error(hidden, 422, 10008, "CF-UnprocessableEntity")
        else:
            assert hidden.status == 200
            assert known["org"] not in re.sub(r'"href":"[^"]*"', "", hidden.body.decode())
            if request.path.startswith("/v3/") and "{" in request.path:
                assert hidden.json["resources"] == []


def comparable(reply: Reply, names: dict[str, str]) -> str:
    """A body without the names that were asked for."""
    text = reply.body.decode()
    for name, value in names.items():
        text = text.replace(value, f"<{name}>") if value else text
    return text
