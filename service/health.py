"""Whether the service is ready and alive, from the states of the parts it depends on.

Probes, warnings in replies and the log say what this finds.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, Protocol

from service import garbage
from service.cluster.watch_state import WatchState
from service.errors import ServiceUnavailable
from service.store.mirror import MirrorState
from service.telemetry import get_logger

log = get_logger(__name__)

NAMED = 20
"""Rows that cannot be understood which /readyz names; beyond, they are only counted."""
POD_WATCH, REPLICA_SET_WATCH = INSTANCE_WATCHES = ("pods", "replicasets")
"""The watches of Pods and of whose they are. Until both have been synced once, no instance is served."""


ROUTE_WATCHES = ("ingresses", "httproutes", "services")
"""The optional watches that routes are made of."""


class OptionalPart(Protocol):
    """A watch that may be missing."""

    gives: str
    """What is left out without it."""

    @property
    def state(self) -> WatchState: ...


class Health:
    def __init__(self) -> None:
        self._watches: dict[str, WatchState] = {}
        self._process_watches: list[WatchState] = []
        self._optional: dict[str, OptionalPart] = {}
        self._mirror = MirrorState()
        self._counts: Callable[[], Mapping[str, int]] = dict
        self._broken: str | None = None
        self._stopping = False
        self._was_ready = False

    def follow(
        self,
        watches: Mapping[str, WatchState],
        mirror: MirrorState,
        counts: Callable[[], Mapping[str, int]],
        optional: Mapping[str, OptionalPart],
    ) -> None:
        """Report on these states from now on; `counts` says how many objects are in memory. Until then: not ready.

        The optional watches are reported on, and decide nothing.
        """
        self._watches = dict(watches)
        self._process_watches = [watch for name, watch in watches.items() if name not in INSTANCE_WATCHES]
        self._optional = dict(optional)
        self._mirror = mirror
        self._counts = counts

    def break_down(self, part: str) -> None:
        """A task that must run for ever has ended. Only a restart helps, and /livez asks for it."""
        self._broken = part
        log.critical("a part of the service has ended", part=part)
        self.changed()

    @property
    def alive(self) -> bool:
        """Whether a restart is not needed."""
        return self._broken is None

    def stop(self) -> None:
        """Be not ready from now on, so that whoever routes requests here stops."""
        self._stopping = True
        self.changed()

    @property
    def loaded(self) -> bool:
        """All processes have been read once: answers are complete, though maybe no longer new."""
        # Written out, like the age: each request asks.
        for watch in self._process_watches:
            if not watch.synced:
                return False
        return self._mirror.synced and bool(self._process_watches)

    @property
    def pods_loaded(self) -> bool:
        """All Pods have been read once, and whose they are."""
        return all(name in self._watches and self._watches[name].synced for name in INSTANCE_WATCHES)

    @property
    def ready(self) -> bool:
        """Whether requests should be routed here."""
        return self.loaded and self.pods_loaded and self.alive and not self._stopping

    @property
    def current(self) -> bool:
        """Whether all that there is, of both stores, is known here now."""
        return self.ready and self._mirror.connected and self.cluster_age_s() == 0.0

    def require_loaded(self) -> None:
        """Raises ServiceUnavailable while an answer could miss what exists."""
        if not self.loaded:
            raise ServiceUnavailable("The service has not finished loading yet", retry_after_s=1)

    def missing(self, names: Iterable[str]) -> str | None:
        """What people are to know of lists that are made of these optional watches; None: all is there.

        What is not served, or not for our account, is no loss: whoever runs the service has chosen that.
        """
        watches = [self._optional[name] for name in names if name in self._optional]
        missing = [watch.gives for watch in watches if not watch.state.synced and not watch.state.absent]
        return f"Not read yet, and left out: {'; '.join(missing)}" if missing else None

    def cluster_age_s(self) -> float:
        """Seconds by which the oldest watch may be behind; 0 while all are in step."""
        age_s = 0.0
        for watch in self._watches.values():
            if watch.lost:
                age_s = max(age_s, watch.age_s(time.monotonic()))
        return age_s

    def report(self) -> dict[str, Any]:
        """The body of /readyz: what is there, what is missing and why."""
        now = time.monotonic()
        return {
            "status": self._status(),
            "held": self._counts(),
            "watches": {name: _reported(watch, now) for name, watch in self._watches.items()},
            "optional_watches": {
                name: {**_reported(watch.state, now), "left_out": None if watch.state.synced else watch.gives}
                for name, watch in self._optional.items()
            },
            "metadata": {
                "synced": self._mirror.synced,
                "connected": self._mirror.connected,
                "failure": self._mirror.failure or None,
                "unreadable_rows": len(self._mirror.unreadable),
                "unreadable": {"/".join(key): reason for key, reason in islice(self._mirror.unreadable.items(), NAMED)},
            },
        }

    def _status(self) -> str:
        if self._broken:
            return f"broken: {self._broken}"
        if self._stopping:
            return "stopping"
        return "ready" if self.loaded and self.pods_loaded else "loading"

    def changed(self) -> None:
        """Log whether the service is ready, if that is news. To be called whenever a state has changed."""
        if self.ready == self._was_ready:
            return
        self._was_ready = self.ready
        log.info("ready" if self.ready else "not ready")
        if self.ready:
            garbage.loaded()


def _reported(watch: WatchState, now: float) -> dict[str, Any]:
    return {
        "synced": watch.synced,
        "connected": watch.connected,
        "age_s": round(watch.age_s(now), 1) if watch.synced else None,
        "relists": watch.relists,
        "restarts": watch.restarts,
        "failure": watch.failure or None,
    }
