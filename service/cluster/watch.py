"""The reflector: keeps a consumer in step with one collection of Kubernetes objects, for ever.

A cycle is: a complete list (streamed as a watch, or in chunks where the server does not stream lists:
https://kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists), then the watch from there. A watch that
ends is resumed from the last resourceVersion seen; one that cannot be (410) starts a new cycle, whose list is compared
with what the consumer has, so that what was deleted in the dark goes away. Between attempts there is a jittered,
growing pause; a silent connection is given up. Nothing in here raises: the state says what is going on.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

import aiohttp
import msgspec

from service.cluster.client import Client, ClusterUnreachable, UnexpectedStatus
from service.telemetry import get_logger

log = get_logger(__name__)

LIST_CHUNK = 500
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 10.0
WATCH_DURATION_S = (290, 580)
"""A watch asks to be ended within this span, at random, so that reconnects of many replicas spread out."""
BREATH_S = 0.003
"""How long to work on objects that are there already before others get the event loop."""
MAXIMUM_LINE = 16 << 20
"""Bytes of one event; etcd's own limit of an object is 1.5 MiB."""


class Consumer(Protocol):
    """Where objects go. Methods are called in the order of the cluster's changes and must not raise for odd objects."""

    def put(self, uid: str, raw: bytes | msgspec.Raw) -> None:
        """The object is new or has changed."""

    def delete(self, uid: str) -> None:
        """The object is gone."""

    def retain(self, uids: set[str]) -> None:
        """A list is complete: all objects but these are gone."""


class Gone(Exception):
    """The resourceVersion to resume from is too old (410)."""


class _Head(msgspec.Struct, gc=False):
    resourceVersion: str = ""
    uid: str = ""
    annotations: dict[str, str] | None = None


class _Headed(msgspec.Struct, gc=False):
    metadata: _Head


class _Event(msgspec.Struct, gc=False):
    type: str
    object: msgspec.Raw


class _List(msgspec.Struct, gc=False):
    class Meta(msgspec.Struct, gc=False):
        resourceVersion: str
        # `continue` is a keyword of Python.
        token: str = msgspec.field(name="continue", default="")

    metadata: Meta
    items: list[msgspec.Raw]


class _Status(msgspec.Struct, gc=False):
    code: int = 0
    message: str = ""


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_head = msgspec.json.Decoder(_Headed).decode
_decode_list = msgspec.json.Decoder(_List).decode
_decode_status = msgspec.json.Decoder(_Status).decode

INITIAL_EVENTS_END = "k8s.io/initial-events-end"


@dataclass
class WatchState:
    """What is known of one watch. Times are of `time.monotonic`, in seconds."""

    synced: bool = False
    """A complete list has been consumed, once."""
    connected: bool = False
    last_heard: float = 0.0
    """When the last byte came, bookmarks included."""
    resource_version: str = ""
    relists: int = 0
    restarts: int = 0
    failure: str = "not started"
    """Why it is not connected now; empty while it is."""

    def age_s(self, now: float) -> float:
        """Seconds by which what we hold may be out of date: 0 while connected, else since the last word."""
        return 0.0 if self.connected else max(0.0, now - self.last_heard)


class Reflector:
    """Follows one collection (`path`, narrowed by `label_selector`) into `consumer`."""

    def __init__(
        self,
        client: Client,
        path: str,
        consumer: Consumer,
        *,
        label_selector: str = "",
        inactivity_s: float,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._path = path
        self._consumer = consumer
        self._selector = {"labelSelector": label_selector} if label_selector else {}
        self._inactivity_s = inactivity_s
        self._on_change = on_change
        self._streams_lists = True
        self._last_breath = 0.0
        self._heard = False
        """Whether anything has come on the connection of the moment."""
        self.state = WatchState()

    async def run(self) -> None:
        """Follow until cancelled."""
        pause = FIRST_PAUSE_S
        while True:
            self._heard = False
            try:
                await self._follow()
                pause = FIRST_PAUSE_S
                continue
            except Gone:
                self.state.resource_version = ""
                self.state.failure = "the watch was too old to resume"
            except ClusterUnreachable as error:
                self.state.failure = error.reason
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                self.state.failure = f"{type(error).__name__} while reading"
            except UnexpectedStatus as error:
                self.state.failure = str(error)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                # Not what kube-apiserver sends: a proxy's page, a cut line. What was in it is unknown: list anew.
                self.state.resource_version = ""
                self.state.failure = f"{type(error).__name__}: the answer is not a watch"
            except Exception as error:
                # A defect of ours must not end the watch in silence; starting over from a list is always right.
                self.state.resource_version = ""
                self.state.failure = f"{type(error).__name__} in the service"
                log.exception("watch failed", path=self._path)
            finally:
                if self.state.connected:
                    self.state.connected = False
                    self._on_change()
            if self._heard:
                pause = FIRST_PAUSE_S
            log.warning("watch interrupted", path=self._path, reason=self.state.failure, pause_s=round(pause, 2))
            self.state.restarts += 1
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _follow(self) -> None:
        """One connection's worth: list if there is nothing to resume from, then watch until the stream ends."""
        if self.state.resource_version:
            await self._watch({"resourceVersion": self.state.resource_version}, listing=None)
        elif self._streams_lists:
            try:
                await self._watch({"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}, listing=set())
            except UnexpectedStatus as error:
                if error.status not in (400, 422):
                    raise
                log.info("the API server does not stream lists, listing in chunks", path=self._path)
                self._streams_lists = False
        else:
            await self._list()

    async def _list(self) -> None:
        uids: set[str] = set()
        token = ""
        while True:
            query = {"limit": str(LIST_CHUNK), **self._selector, **({"continue": token} if token else {})}
            try:
                answer = await self._client.get(self._path, query)
            except UnexpectedStatus as error:
                if error.status == 410:
                    raise Gone from error
                raise
            chunk = _decode_list(answer)
            self._hear()
            for item in chunk.items:
                uid = _decode_head(item).metadata.uid
                uids.add(uid)
                self._consumer.put(uid, item)
                await self._breathe()
            token = chunk.metadata.token
            if not token:
                break
        self._listed(uids, chunk.metadata.resourceVersion)

    async def _watch(self, query: dict[str, str], *, listing: set[str] | None) -> None:
        """Consume one watch; `listing` collects the uids of a streamed list until the bookmark that ends it."""
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(random.randint(*WATCH_DURATION_S)),
            **self._selector,
            **query,
        }
        try:
            async with self._client.stream(self._path, query, inactivity_s=self._inactivity_s) as response:
                if listing is None:
                    self._connected()
                async with aclosing(_lines(response)) as lines:
                    async for line in lines:
                        self._hear()
                        event = _decode_event(line)
                        if event.type == "ERROR":
                            status = _decode_status(event.object)
                            if status.code == 410:
                                raise Gone
                            raise ClusterUnreachable(f"watch of {self._path} ended: {status.message[:200]}")
                        head = _decode_head(event.object).metadata
                        if event.type == "BOOKMARK":
                            if listing is not None and (head.annotations or {}).get(INITIAL_EVENTS_END) == "true":
                                self._listed(listing, head.resourceVersion)
                                self._connected()
                                listing = None
                        elif event.type == "DELETED":
                            self._consumer.delete(head.uid)
                            if listing is not None:
                                listing.discard(head.uid)
                        else:
                            self._consumer.put(head.uid, event.object)
                            if listing is not None:
                                listing.add(head.uid)
                        if listing is None:
                            self.state.resource_version = head.resourceVersion
                        await self._breathe()
        except UnexpectedStatus as error:
            if error.status == 410:
                raise Gone from error
            raise
        if listing is not None:
            raise ClusterUnreachable(f"the list of {self._path} broke off")
        if not self._heard:
            # An orderly end comes after minutes and several bookmarks; resuming at once from this one could spin.
            raise ClusterUnreachable(f"the watch of {self._path} ended without a word")

    def _listed(self, uids: set[str], resource_version: str) -> None:
        self._consumer.retain(uids)
        self.state.resource_version = resource_version
        self.state.relists += self.state.synced
        self.state.synced = True
        log.info("listed", path=self._path, objects=len(uids), resource_version=resource_version)
        self._on_change()

    def _hear(self) -> None:
        self._heard = True
        self.state.last_heard = time.monotonic()

    def _connected(self) -> None:
        self.state.connected = True
        self.state.last_heard = time.monotonic()
        self.state.failure = ""
        self._on_change()

    async def _breathe(self) -> None:
        # Awaiting data that is there already does not let go of the loop.
        now = time.monotonic()
        if now - self._last_breath > BREATH_S:
            await asyncio.sleep(0)
            self._last_breath = time.monotonic()


async def _lines(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    """The body's lines. aiohttp's own line reader refuses lines longer than its buffer."""
    pending: list[bytes] = []
    size = 0
    async for piece in response.content.iter_any():
        *complete, rest = piece.split(b"\n")
        for line in complete:
            pending.append(line)
            whole = b"".join(pending)
            pending.clear()
            size = 0
            if whole:
                yield whole
        if rest:
            pending.append(rest)
            size += len(rest)
            if size > MAXIMUM_LINE:
                raise msgspec.DecodeError("a line without an end")
