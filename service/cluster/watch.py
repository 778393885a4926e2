"""The reflector: keeps a consumer in step with one collection of Kubernetes objects, for ever.

A cycle is: a complete list (streamed as a watch, or in chunks where the server does not stream lists:
https://kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists), then the watch from there. A watch that
ends is resumed from the last resourceVersion seen; one that cannot be (410) starts a new cycle, whose list is compared
with what the consumer has, so that what was deleted in the dark goes away. Between attempts after a failure there is a
jittered, growing pause, which ends when kube-apiserver answers anyone (service.cluster.reachability).

Silence is no failure. kube-apiserver sends a bookmark every minute, but none while its cache of the collection is at
the version where the watch began (`cacheWatcher.process` in k8s.io/apiserver/pkg/storage/cacher), and in a quiet
cluster that may be for as long as the watch lasts. A connection that is dead is silent too. So after some silence the
watch is opened anew, which takes two requests and is right in either case.

Before a watch is resumed after silence or a failure, it is made sure that the cluster has the history that we know
(service.cluster.history). One that was restored from a backup would let us wait without a word until it comes to our
version again, or go on behind it, and what we hold may never have been in its new history. Then everything is listed
anew. After a failure that is done where nobody can tell, too.

Nothing in here raises: the state says what is going on.
"""

import random
import time
from collections.abc import Callable, Iterable, Set
from contextlib import aclosing
from typing import Protocol

import aiohttp
import msgspec

from service.cluster.client import Client, ClusterUnreachable, UnexpectedStatus
from service.cluster.collection import Event, Gone, list_chunks, watch_events
from service.cluster.failures import EXPECTED, Failure, failure_of
from service.cluster.history import History
from service.cluster.versions import version_number
from service.cluster.watch_state import WatchState
from service.pacing import Pace
from service.telemetry import get_logger

log = get_logger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 10.0
WATCH_DURATION_S = (290, 580)
"""A watch asks to be ended within this span, at random, so that reconnects of many replicas spread out."""


class Consumer(Protocol):
    """Where objects go, in the order of the cluster's changes.

    Each method begins its work when it is called and returns the steps that are left of it, if any: they are taken
    before the next call, with others let onto the event loop in between.
    """

    def upsert(self, uid: str, version: int, raw: bytes | msgspec.Raw) -> Iterable[None]:
        """The object is new or has changed, with this resourceVersion."""

    def delete(self, uid: str, version: int) -> Iterable[None]:
        """The object is gone, since this resourceVersion."""

    def retain(self, uids: set[str]) -> Iterable[None]:
        """A list is complete, as of the version last reached: all objects but these are gone."""

    def advance(self, version: int, *, listed: bool = False) -> None:
        """All up to this resourceVersion has been consumed; `listed`: by a complete list."""


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
        on_restored: Callable[[], None] = lambda: None,
    ) -> None:
        """`inactivity_s`: silence after which a watch is opened anew. `on_change` is called when the state changes.

        `on_restored` is called when the cluster is found to have another history, before it is listed anew.
        """
        self._client = client
        self._path = path
        self._consumer = consumer
        self._selector = {"labelSelector": label_selector} if label_selector else {}
        self._inactivity_s = inactivity_s
        self._on_change = on_change
        self._on_restored = on_restored
        self._streams_lists = True
        self._history = History(client, path)
        self._history_in_doubt = False
        """The cluster may be another, or a restored one, than when it was last heard."""
        self._broken_off = False
        """The last watch has failed, as each does where etcd is restored: kube-apiserver is started anew then."""
        self._pace = Pace()
        self.state = WatchState()

    async def run(self, *, until: Set[int] = frozenset()) -> None:
        """Follow until cancelled, or refused with one of these HTTP statuses."""
        pause, was_resumable = FIRST_PAUSE_S, False
        while True:
            failure = await self._attempt()
            now = time.monotonic()
            if self.state.lasted(now):
                pause = FIRST_PAUSE_S
            self.state.closed(now)
            if failure is None:
                self._on_change()
                continue
            self.state.failure = failure.reason
            if not failure.resumable:
                self.state.resource_version = ""
                if was_resumable:
                    # Whatever it was before, it is over: a list is another request.
                    pause = FIRST_PAUSE_S
            was_resumable = failure.resumable
            self.state.restarts += 1
            self._history_in_doubt = self._broken_off = True
            self._on_change()
            if failure.status in until:
                return
            log.warning("watch interrupted", path=self._path, reason=failure.reason, pause_s=round(pause, 2))
            is_back = await self._client.reachability.pause(pause)
            pause = FIRST_PAUSE_S if is_back else min(pause * 2, LONGEST_PAUSE_S)

    async def _attempt(self) -> Failure | None:
        """List or watch once. None: it ended as it should, and is to be gone on with at once."""
        try:
            await self._follow()
        except EXPECTED as error:
            if isinstance(error, TimeoutError) and self.state.connected:
                log.debug("watch silent, to be opened anew", path=self._path)
                self._history_in_doubt = True
                return None
            if isinstance(error, ClusterUnreachable | aiohttp.ClientError | OSError):
                self._client.reachability.failed()
            return failure_of(error)
        except Exception as error:
            # A defect of ours must not end the watch without a word; starting over from a list is always right.
            log.exception("watch failed", path=self._path)
            return Failure(f"{type(error).__name__} in the service", resumable=False)
        if self.state.connected and not self.state.lasted(time.monotonic()):
            return Failure("the watch ended at once", resumable=True)
        # A list in chunks that is now to be watched, or a watch that has had its time.
        return None

    async def _follow(self) -> None:
        """List if there is nothing to resume from, then watch until the stream ends."""
        if self.state.resource_version:
            await self._require_same_history()
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

    async def _require_same_history(self) -> None:
        """Raises Gone where the cluster has another history than what was last seen of it, or may have."""
        if not self._history_in_doubt:
            return
        is_same = await self._history.is_same(version_number(self.state.resource_version))
        if is_same is False:
            self._restored()
            raise Gone
        if is_same is None and self._broken_off:
            raise Gone
        proven = self._history.resumable_at or self.state.resource_version
        self.state.resource_version = min(proven, self.state.resource_version, key=version_number)
        self._history_in_doubt = self._broken_off = False

    def _restored(self) -> None:
        """What was said so far may never have been."""
        log.warning("the cluster has another history: it was restored, or is another", path=self._path)
        self._on_restored()

    async def _list(self) -> None:
        """Consume a complete list, in chunks."""
        uids: set[str] = set()
        resource_version = ""
        async for chunk, version in list_chunks(self._client, self._path, self._selector):
            resource_version = version
            for uid, object_version, item in chunk:
                uids.add(uid)
                await self._pace.run(self._consumer.upsert(uid, object_version, item))
                await self._pace.breathe()
        await self._complete_list(uids, resource_version)

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
                self._open()
            async with aclosing(watch_events(response, self._path)) as pieces:
                async for events in pieces:
                    for event in events:
                        listing = await self._take(event, listing)
        if listing is not None:
            raise ClusterUnreachable(f"the list of {self._path} broke off")

    async def _take(self, event: Event, listing: set[str] | None) -> set[str] | None:
        """Consume an event, and note what has come with it. Returns what is listed still."""
        self._require_progress(event, listing)
        if steps := self._consume(event, listing):
            await self._pace.run(steps)
        if listing is not None and event.ends_list:
            await self._complete_list(listing, event.head.resourceVersion)
            self._open()
            listing = None
        elif listing is None:
            # Before anyone else has a turn: an answer that shows what this event has just ended or changed would be
            # taken for news in between, and nothing would ever correct it.
            self._history.followed(event)
            self.state.resource_version = event.head.resourceVersion
            self._consumer.advance(version_number(event.head.resourceVersion))
        await self._pace.breathe()
        return listing

    def _require_progress(self, event: Event, listing: set[str] | None) -> None:
        """Note that something has come. Raises Gone where it is of another history than what came before.

        What comes of a list makes nothing new before the whole of it has come.
        """
        if listing is None:
            if version_number(event.head.resourceVersion) < version_number(self.state.resource_version):
                self._restored()
                raise Gone
            self.state.heard(time.monotonic())

    def _consume(self, event: Event, listing: set[str] | None) -> Iterable[None]:
        """Hand on what the event says of an object; a bookmark says nothing. Returns the steps that are left of it."""
        if event.type == "BOOKMARK":
            return ()
        uid, version = event.head.uid, version_number(event.head.resourceVersion)
        if event.type == "DELETED":
            if listing is not None:
                listing.discard(uid)
            return self._consumer.delete(uid, version)
        if listing is not None:
            listing.add(uid)
        return self._consumer.upsert(uid, version, event.raw)

    async def _complete_list(self, uids: set[str], resource_version: str) -> None:
        # First of all what the list is as of: answers that are ahead of it know of objects it does not.
        self._consumer.advance(version_number(resource_version), listed=True)
        await self._pace.run(self._consumer.retain(uids))
        await self._pace.breathe()
        self.state.heard(time.monotonic())
        self._history.listed()
        self.state.resource_version = resource_version
        self.state.relists += self.state.synced
        self.state.synced = True
        self._history_in_doubt = self._broken_off = False
        log.info("listed", path=self._path, objects=len(uids), resource_version=resource_version)
        self._on_change()

    def _open(self) -> None:
        self.state.opened(time.monotonic())
        self._on_change()
