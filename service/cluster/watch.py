"""The reflector: keeps a consumer in step with one collection of Kubernetes objects, for ever.

A cycle is: a complete list (streamed as a watch, or in chunks where the server does not stream lists:
https://kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists), then the watch from there. A watch that
ends is resumed from the last resourceVersion seen; one that cannot be (410) starts a new cycle, whose list is compared
with what the consumer has, so that what was deleted in the dark goes away. Between attempts there is a jittered,
growing pause; a silent connection is given up, and one that has been so from its start is no way to go on: that lists
anew, too. Nothing in here raises: the state says what is going on.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

import aiohttp
import msgspec

from service.cluster.client import Client, ClusterUnreachable, UnexpectedStatus
from service.cluster.versions import version_number
from service.pacing import Pace
from service.telemetry import get_logger

log = get_logger(__name__)

LIST_CHUNK = 500
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 10.0
WATCH_DURATION_S = (290, 580)
"""A watch asks to be ended within this span, at random, so that reconnects of many replicas spread out."""
GRACE_S = 1.0
"""Routine reconnects take less. A connection held open for longer, if silent, is a watch with nothing to tell."""
LASTING_S = 5.0
"""A watch that ends before is trouble, and the pauses grow; one that ends after has worked."""
MAXIMUM_LINE = 16 << 20
"""Bytes of one event; etcd's own limit of an object is 1.5 MiB."""


class Consumer(Protocol):
    """Where objects go, in the order of the cluster's changes.

    Each method begins its work when it is called and returns the steps that are left of it, if any: they are taken
    before the next call, with others let onto the event loop in between.
    """

    def put(self, uid: str, version: int, raw: bytes | msgspec.Raw) -> Iterable[None]:
        """The object is new or has changed, with this resourceVersion."""

    def delete(self, uid: str, version: int) -> Iterable[None]:
        """The object is gone, since this resourceVersion."""

    def retain(self, uids: set[str]) -> Iterable[None]:
        """A list is complete, as of the version last reached: all objects but these are gone."""

    def reach(self, version: int, *, listed: bool = False) -> None:
        """All up to this resourceVersion has been told; `listed`: by a complete list."""


class Gone(Exception):
    """An ERROR event has ended the watch: too old (410), or for another reason that forbids to resume it."""


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
    resource_version: str = ""
    relists: int = 0
    restarts: int = 0
    failure: str = "not started"
    """Why it is not connected now; empty while it is."""
    last_heard: float = 0.0
    """When the cluster last told us something, bookmarks included."""
    _opened_at: float = 0.0
    _lost_at: float | None = None
    """Since when nothing proves that we are in step; None: we are."""

    def opened(self, now: float) -> None:
        """A watch has been accepted. That proves little yet: a proxy's page is accepted too."""
        self.connected, self.failure = True, ""
        self._opened_at = now

    def heard(self, now: float) -> None:
        """Something well-formed has come."""
        self.last_heard = now
        self._lost_at = None

    def closed(self, now: float) -> None:
        if self.connected and self._held(now):
            self._lost_at = None
        if self._lost_at is None:
            self._lost_at = now
        self.connected = False

    def lasted(self, now: float) -> bool:
        """Whether the watch that is open has been so for long enough to call it working."""
        return self.connected and now - self._opened_at >= LASTING_S

    @property
    def mute(self) -> bool:
        """Whether nothing has come since the watch was opened."""
        return self.connected and self.last_heard < self._opened_at

    def age_s(self, now: float) -> float:
        """Seconds by which what we hold may be out of date; 0 while in step, and within the grace of a reconnect."""
        if self._lost_at is None or self._held(now) or now - self._lost_at <= GRACE_S:
            return 0.0
        return now - self.last_heard

    def _held(self, now: float) -> bool:
        return self.connected and now - self._opened_at > GRACE_S


async def chunks(
    client: Client, path: str, selector: Mapping[str, str]
) -> AsyncGenerator[tuple[Iterator[tuple[str, int, msgspec.Raw]], str]]:
    """A collection in chunks of its objects, each with uid and version; and the resourceVersion of the whole list.

    Raises ClusterUnreachable, UnexpectedStatus, and msgspec.DecodeError for an answer that is no list.
    """
    token = ""
    while True:
        query = {"limit": str(LIST_CHUNK), **selector, **({"continue": token} if token else {})}
        chunk = _decode_list(await client.get(path, query))
        heads = ((_decode_head(item).metadata, item) for item in chunk.items)
        yield (
            ((head.uid, version_number(head.resourceVersion), item) for head, item in heads),
            chunk.metadata.resourceVersion,
        )
        token = chunk.metadata.token
        if not token:
            return


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
        self._pace = Pace()
        self.state = WatchState()

    async def run(self) -> None:
        """Follow until cancelled."""
        pause = FIRST_PAUSE_S
        while True:
            lasted = False
            try:
                await self._follow()
                if not self.state.connected or (lasted := self.state.lasted(time.monotonic())):
                    # A list that is now to be watched, or a watch that ended as it should, after minutes.
                    pause = FIRST_PAUSE_S if lasted else pause
                    continue
                self.state.failure = "the watch ended at once"
            except Gone:
                self.state.resource_version = ""
                self.state.failure = "the watch was ended by an error"
            except ClusterUnreachable as error:
                self.state.failure = error.reason
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                if isinstance(error, TimeoutError) and self.state.mute:
                    # A cluster restored from a backup has not come to our version yet, and lets us wait for it in
                    # silence, without a bookmark: what we hold may never have been, and is not told to be gone.
                    self.state.resource_version = ""
                self.state.failure = f"{type(error).__name__} while reading"
            except UnexpectedStatus as error:
                if error.status == 410:
                    # What there was to resume from, or the rest of a list in chunks, is no longer kept.
                    self.state.resource_version = ""
                self.state.failure = f"HTTP {error.status}"
                log.warning("watch refused", path=self._path, reason=str(error))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                # Not what kube-apiserver sends: a proxy's page, say. What was in it is unknown: list anew.
                self.state.resource_version = ""
                self.state.failure = f"{type(error).__name__}: the answer is not a watch"
            except Exception as error:
                # A defect of ours must not end the watch in silence; starting over from a list is always right.
                self.state.resource_version = ""
                self.state.failure = f"{type(error).__name__} in the service"
                log.exception("watch failed", path=self._path)
            finally:
                now = time.monotonic()
                if self.state.lasted(now):
                    pause = FIRST_PAUSE_S
                self.state.closed(now)
                self._on_change()
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
        resource_version = ""
        async for chunk, version in chunks(self._client, self._path, self._selector):
            self.state.heard(time.monotonic())
            resource_version = version
            for uid, object_version, item in chunk:
                uids.add(uid)
                await self._take(self._consumer.put(uid, object_version, item))
        await self._listed(uids, resource_version)

    async def _watch(self, query: dict[str, str], *, listing: set[str] | None) -> None:
        """Consume one watch; `listing` collects the uids of a streamed list until the bookmark that ends it."""
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(random.randint(*WATCH_DURATION_S)),
            **self._selector,
            **query,
        }
        async with self._client.stream(self._path, query, inactivity_s=self._inactivity_s) as response:
            if listing is None:
                self._opened()
            async with aclosing(_lines(response)) as lines:
                async for line in lines:
                    event = _decode_event(line)
                    if event.type == "ERROR":
                        raise _error(event.object, self._path)
                    head = _decode_head(event.object).metadata
                    version = version_number(head.resourceVersion)
                    self.state.heard(time.monotonic())
                    if event.type == "BOOKMARK":
                        if listing is not None and (head.annotations or {}).get(INITIAL_EVENTS_END) == "true":
                            await self._listed(listing, head.resourceVersion)
                            self._opened()
                            listing = None
                    elif event.type == "DELETED":
                        await self._pace.through(self._consumer.delete(head.uid, version))
                        if listing is not None:
                            listing.discard(head.uid)
                    else:
                        await self._pace.through(self._consumer.put(head.uid, version, event.object))
                        if listing is not None:
                            listing.add(head.uid)
                    if listing is None:
                        # Before anyone else has a turn: an answer that shows what this event has just ended or changed
                        # would be taken for news in between, and nothing would ever correct it.
                        self.state.resource_version = head.resourceVersion
                        self._consumer.reach(version)
                    await self._pace.breathe()
        if listing is not None:
            raise ClusterUnreachable(f"the list of {self._path} broke off")

    async def _listed(self, uids: set[str], resource_version: str) -> None:
        # First of all what the list is as of: answers that are ahead of it know of objects it does not.
        self._consumer.reach(version_number(resource_version), listed=True)
        await self._take(self._consumer.retain(uids))
        self.state.resource_version = resource_version
        self.state.relists += self.state.synced
        self.state.synced = True
        log.info("listed", path=self._path, objects=len(uids), resource_version=resource_version)
        self._on_change()

    def _opened(self) -> None:
        self.state.opened(time.monotonic())
        self._on_change()

    async def _take(self, steps: Iterable[None]) -> None:
        await self._pace.through(steps)
        await self._pace.breathe()


def _error(raw: msgspec.Raw, path: str) -> Exception:
    """What an ERROR event means. Whatever it is, the watch cannot be resumed where it was."""
    status = _decode_status(raw)
    if status.code != 410:
        log.warning("watch ended by an error", path=path, code=status.code, reason=status.message[:500])
    return Gone()


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
