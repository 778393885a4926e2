"""What a run is about: the apps that are written to, what is known of them, and what was found wrong."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

import aiohttp
import orjson

from tests.soak.history import Outcome, Register
from tests.soak.replicas import Replica
from tests.support.kube import Kube, guid_of

PATIENCE_S = 20.0
"""Longer than any request may take. A client waits no longer, and what was written then is unknown."""
LAGGING = quote_plus("other replicas may show this change later")
FIELDS = ("instances", "label", "command", "annotation")


@dataclass(frozen=True)
class Answer:
    status: int
    marked: bool
    body: Any
    began: float
    ended: float


@dataclass
class App:
    """An app with one process, and a register of each of its fields that are written."""

    guid: str
    namespace: str
    name: str
    registers: dict[str, Register]

    @property
    def process(self) -> str:
        return guid_of(self.guid, "web")


@dataclass
class World:
    kube: Kube
    replicas: list[Replica]
    session: aiohttp.ClientSession
    token: str = field(repr=False)
    random: random.Random
    apps: list[App] = field(default_factory=list)
    """Written to at all times; none of them ever goes."""
    began: float = field(default_factory=time.monotonic)
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    fault: str = "none"
    """What is broken now, or was a moment ago."""
    writing: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared: nobody begins another write."""
    judging: bool = False
    """Whether answers are held against what was written: not before it is known, nor while etcd's history goes back."""
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    """Set: no write is under way."""
    _under_way: int = 0

    @contextmanager
    def write(self) -> Iterator[None]:
        """A write is under way for the length of the block."""
        self._under_way += 1
        self.idle.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self.idle.set()

    def now(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began

    def violate(self, what: str, trace: str = "") -> None:
        """Note what must not be, with what led to it."""
        told = f"{self.now():9.3f} [fault: {self.fault}] {what}"
        self.violations.append(f"{told}\n{trace}" if trace else told)
        print(f"VIOLATION {self.violations[-1]}", flush=True)

    async def ask(
        self, replica: Replica, method: str, path: str, body: object = None, *, token: str | None = None
    ) -> Answer | None:
        """The answer of a replica; None: there was none."""
        headers = {"Authorization": f"Bearer {token or self.token}", "Content-Type": "application/json"}
        data = None if body is None else orjson.dumps(body)
        began = self.now()
        try:
            async with (
                asyncio.timeout(PATIENCE_S),
                self.session.request(method, replica.url + path, data=data, headers=headers) as reply,
            ):
                content = await reply.read()
                lags = LAGGING in reply.headers.get("X-Cf-Warnings", "")
                marked = "Warning" in reply.headers or (method != "GET" and lags)
                is_json = reply.content_type == "application/json" and content
                found = orjson.loads(content) if is_json else None
                return Answer(reply.status, marked, found, began, self.now())
        except TimeoutError:
            if self.fault == "none":
                self.violate(f"{method} {path} has taken longer than {PATIENCE_S} s")
            return None
        except (aiohttp.ClientError, OSError):
            return None
        finally:
            self.counts["requests"] += 1


def outcome_of(answer: Answer | None) -> Outcome:
    """What a writer knows after an answer; one that is marked as late holds, but not yet for everyone who reads."""
    if answer is None or answer.status >= 500 or (answer.status < 300 and answer.marked):
        return Outcome.UNKNOWN
    return Outcome.DONE if answer.status < 300 else Outcome.REFUSED


def told(answer: Answer | None) -> str:
    """A reply to a write, in a trace."""
    if answer is None:
        return "no reply"
    errors = answer.body.get("errors") if isinstance(answer.body, dict) else None
    detail = f" {errors[0]['detail']}" if errors else ""
    return f"{answer.status}{' marked' if answer.marked else ''}{detail}"
