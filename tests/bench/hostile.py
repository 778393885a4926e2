"""What one caller can cost the others: the service's memory, and how long others wait, while somebody means harm.

Against loopback only; each attack is bounded in connections and ends with its measurement.
"""

import asyncio
import contextlib
import resource
import secrets
import socket
import sys
import zlib
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import aiohttp
import orjson

from deploy.local.stack import Stack
from tests.bench import population
from tests.bench.load import LoadFailed, Sample, median, wrk
from tests.bench.programs import Service, get, serving
from tests.bench.report import Row, compared, limited
from tests.bench.sides import Sides, populate, sides
from tests.support.filling import NO_CACHES, memory_table
from tests.support.sockets import head

COUNT, NAMESPACES = 500, 5
_OTHERS = "/v3/processes?per_page=50"
_LARGE = f"/v3/processes?per_page={COUNT}"
_SETTLE_S = 2.0
"""After an attack has begun: what is held is then held, and what is to be closed at once is closed."""
_REST_S = 2.0
"""After it has ended, before the next."""
_TOKENS_S = 0.005
"""Between two tokens of nobody."""
_TURNS = 3
"""Of an attack and of what it is compared with: a second without it just before it began says little."""
_GIGABIT = 125_000_000
"""Bytes a second of an attack that goes on and on, on one connection: loopback brings ten times as many, and what that
takes of the machine the attacker would take elsewhere."""
_MOST_MIB = 96
"""What may be in flight, and half as much for what the allocator does not give back at once."""
_MOST_TIMES = 2
"""By which others may be slower."""
_MEGABYTE = b" " * 1_000_000
_ODD = b',\\"' * (len(_MEGABYTE) // 3)
_CROWD = orjson.dumps({f"x{n}": 1 for n in range(60_000)})


@dataclass(frozen=True)
class _Aim:
    """Whom an attack is aimed at, and the token of somebody who is known there."""

    at: tuple[str, int]
    token: str
    kubernetes: str
    """The URL of kube-apiserver."""


_Begin = Callable[[_Aim], AbstractAsyncContextManager[None]]
"""An attack, for the length of a block."""
_Pair = tuple[_Begin, _Begin]
"""An attack, and what its effect is compared with."""


async def measure(stack: Stack, seconds: int) -> AsyncIterator[Row]:
    """Findings, each as soon as it is made."""
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    async with sides(stack, seconds) as bench:
        await populate(bench.kube, NAMESPACES, (population.manifest(n, NAMESPACES) for n in range(COUNT)))
        found = []
        attacks = {what: (attack, _nobody) for what, attack in _ATTACKS.items()}
        for what, (attack, control) in (attacks | _BUSY_ATTACKS).items():
            # Each a service of its own: memory that one attack has taken would hide what the next one takes.
            async with serving(stack.directory, bench.environ) as service:
                async for row in _under(bench, service, what, attack, control):
                    found.append(row)
                    yield row
    yield await _filled()
    missed = [row.what for row in found if not row.met]
    yield Row("what one caller can cost", f"{len(found) - len(missed)} of {len(found)} bars met", met=not missed)


async def _filled() -> Row:
    """What all caches of the service take when many callers and tenants have filled them at once."""
    filling = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.support.filling", stdout=PIPE)
    said, _ = await filling.communicate()
    most = sum(mib for what, mib in memory_table().items() if not any(each in what for each in NO_CACHES))
    return limited("memory of all caches, filled", int(said) / (1 << 20), most, "MiB")


async def _under(bench: Sides, service: Service, what: str, attack: _Begin, control: _Begin) -> AsyncIterator[Row]:
    host, port = service.url.removeprefix("http://").split(":")
    others, aim = bench.ours(service, _OTHERS), _Aim((host, int(port)), bench.token, bench.stack.control_plane.server)
    # What the list takes once is no attack's doing.
    await get(service.url + _LARGE, bench.token)
    await wrk(others, bench.seconds)
    before_mib, more_mib = service.rss_mib(), 0.0
    without, under, refused = [], [], False
    for _ in range(_TURNS):
        async with control(aim):
            await asyncio.sleep(_SETTLE_S)
            without.append(await wrk(others, bench.seconds))
        async with attack(aim):
            await asyncio.sleep(_SETTLE_S)
            try:
                under.append(await wrk(others, bench.seconds))
            except LoadFailed:
                refused = True
            more_mib = max(more_mib, service.rss_mib() - before_mib)
        await asyncio.sleep(_REST_S)
    yield limited(f"memory under {what}", more_mib, _MOST_MIB, "MiB", measured=f"+{more_mib:.0f} MiB")
    beside = "without" if control is _nobody else "beside one as busy"
    yield _waits(what, None if refused else median(under), median(without), beside)


def _waits(what: str, under: Sample | None, without: Sample, control: str) -> Row:
    what, note = f"others' p99 under {what}", f"{without.p99_ms:.1f} ms {control}"
    if under is None:
        return Row(what, "refused or broken off", note, bar="all answered", met=False)
    measured = f"{under.p99_ms:.1f} ms, {under.per_s:,.0f}/s of {without.per_s:,.0f}/s"
    return compared(what, measured, note, under.p99_ms / without.p99_ms, at_most=_MOST_TIMES)


# Attacks that stand still


async def _open(at: tuple[str, int]) -> socket.socket:
    """A connection that takes little before it is read."""
    opened = socket.socket()
    opened.setblocking(False)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await asyncio.get_running_loop().sock_connect(opened, at)
    return opened


async def _send(opened: socket.socket, parts: Iterable[bytes]) -> None:
    with contextlib.suppress(OSError):
        for part in parts:
            await asyncio.get_running_loop().sock_sendall(opened, part)


def _standing(count: int, sent: Callable[[_Aim, int], Iterable[bytes]]) -> _Begin:
    """So many connections, that each send this and then do nothing."""

    @asynccontextmanager
    async def begin(aim: _Aim) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            sending = []
            for number in range(count):
                opened = stack.enter_context(await _open(aim.at))
                sending.append(asyncio.create_task(_send(opened, sent(aim, number))))
            stack.push_async_callback(_end, sending)
            yield

    return begin


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# Attacks that go on and on


def _repeating(request: Callable[[_Aim], bytes], every_s: float) -> _Begin:
    """A connection, replaced as soon as its request has been answered, but not more often than that."""

    async def again(aim: _Aim) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            opened = await _open(aim.at)
            with opened, contextlib.suppress(OSError):
                await _send(opened, [request(aim)])
                await loop.sock_recv(opened, 4096)
            due = max(due + every_s, loop.time())
            await asyncio.sleep(due - loop.time())

    return _going_on(again)


def _going_on(again: Callable[[_Aim], Coroutine[Any, Any, None]]) -> _Begin:
    @asynccontextmanager
    async def begin(aim: _Aim) -> AsyncIterator[None]:
        task = asyncio.create_task(again(aim))
        try:
            yield
        finally:
            await _end([task])

    return begin


def _with_control(request: Callable[[_Aim], bytes], control: Callable[[_Aim], bytes], every_s: float = 0) -> _Pair:
    """An attack, and what it is compared with: one more who asks takes their part of the machine, whatever they do."""
    return _repeating(request, every_s), _repeating(control, every_s)


async def _at_kubernetes(aim: _Aim) -> None:
    """Tokens of nobody, shown to kube-apiserver itself, which the service has to ask about each."""
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession() as session:
        while True:
            due = loop.time() + _TOKENS_S
            async with session.get(f"{aim.kubernetes}/api", headers={"Authorization": f"Bearer {_any()}"}, ssl=False):
                pass
            await asyncio.sleep(max(0, due - loop.time()))


def _patch(size: int, token: str | None = None) -> bytes:
    return head("PATCH", "/v3/processes/any", token, Content_Length=str(size))


def _sign_in(size: int) -> bytes:
    return head("POST", "/ui/sign-in", Content_Length=str(size), Sec_Fetch_Site="same-origin")


_BOMB_BYTES = 900_000


@cache
def _bomb() -> bytes:
    """0.9 MB that become 0.9 GB."""
    packing, blank = zlib.compressobj(wbits=31), bytes(1 << 20)
    return b"".join((*(packing.compress(blank) for _ in range(900)), packing.flush()))


def _bombing(token: str | None) -> bytes:
    return (
        head("PATCH", "/v3/processes/any", token, Content_Length=str(len(_bomb())), Content_Encoding="gzip") + _bomb()
    )


def _asking(aim: _Aim) -> bytes:
    return head("GET", "/v3/apps?per_page=1", aim.token)


def _reading(token: str, query: str = "", host: str = "localhost") -> bytes:
    return head("GET", f"/v3/processes{query}", token, Host=host)


def _any() -> str:
    return secrets.token_urlsafe(30)


def _large_list(aim: _Aim, number: int) -> bytes:
    return head("GET", _LARGE, aim.token, Host=f"host-{number}")


_ATTACKS: dict[str, _Begin] = {
    "10,000 connections that say nothing": _standing(10_000, lambda _, __: ()),
    "600 heads without an end": _standing(600, lambda _, __: (b"GET / HTTP/1.1\r\nX: ", b"y" * 30_000)),
    "600 sign-ins without their form": _standing(600, lambda _, __: (_sign_in(100),)),
    "600 PATCHes without their body": _standing(600, lambda aim, _: (_patch(100, aim.token),)),
    "400 unfinished bodies of 1 MB": _standing(400, lambda aim, _: (_patch(len(_MEGABYTE) + 1, aim.token), _MEGABYTE)),
    "the same without a token": _standing(400, lambda _, __: (_patch(len(_MEGABYTE) + 1), _MEGABYTE)),
    "120 lists of 0.8 MB that nobody reads": _standing(120, lambda aim, n: (_large_list(aim, n),)),
}
_BUSY_ATTACKS: dict[str, _Pair] = {
    "gzip bombs without a token": _with_control(lambda _: _bombing(None), _asking, _BOMB_BYTES / _GIGABIT),
    "gzip bombs with one": _with_control(lambda aim: _bombing(aim.token), _asking, _BOMB_BYTES / _GIGABIT),
    "bodies of 60,000 unknown keys": _with_control(
        lambda aim: _patch(len(_CROWD), aim.token) + _CROWD, _asking, len(_CROWD) / _GIGABIT
    ),
    "odd bodies of 1 MB": _with_control(lambda aim: _patch(len(_ODD), aim.token) + _ODD, _asking, len(_ODD) / _GIGABIT),
    "200 tokens of nobody a second": (_repeating(lambda _: _reading(_any()), _TOKENS_S), _going_on(_at_kubernetes)),
    "filters, each another": _with_control(
        lambda aim: _reading(aim.token, f"?guids={_any()}"), lambda aim: _reading(aim.token)
    ),
    "Hosts, each another": _with_control(lambda aim: _reading(aim.token, host=_any()), lambda aim: _reading(aim.token)),
}


@asynccontextmanager
async def _nobody(_: _Aim) -> AsyncIterator[None]:
    yield
