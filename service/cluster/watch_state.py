"""What is known of one watch: for probes, metrics, and warnings in replies."""

from dataclasses import dataclass

GRACE_S = 1.0
"""Routine reconnects take less. A connection held open for longer, if silent, is a watch with nothing to tell."""
LASTING_S = 5.0
"""A watch that ends before is trouble, and the pauses grow; one that ends after has worked."""


@dataclass
class WatchState:
    """Times are of `time.monotonic`, in seconds."""

    synced: bool = False
    """A complete list has been consumed, once."""
    connected: bool = False
    """A watch is open that goes on from a complete list."""
    resource_version: str = ""
    """Where the watch can be resumed; empty where only a new list helps."""
    relists: int = 0
    """Complete lists after the first."""
    restarts: int = 0
    """Times the watch broke off, other than by the cluster's routine."""
    absent: bool = False
    """There is no such collection for us now, which an optional watch may find (service.cluster.optional_watch)."""
    failure: str = "not started"
    """Why it is not connected now; empty while it is."""
    last_heard: float = 0.0
    """When the cluster last sent something, bookmarks included."""
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
        """The watch has ended, or could not be opened."""
        if self.connected and self._held(now):
            self._lost_at = None
        if self._lost_at is None:
            self._lost_at = now
        self.connected = False

    def refused(self, reason: str) -> None:
        """There is nothing to follow, and nothing of it is held."""
        self.absent, self.failure = True, reason
        self.synced = self.connected = False
        self.resource_version = ""
        self._lost_at = None

    def lasted(self, now: float) -> bool:
        """Whether the watch that is open has been so for long enough to call it working."""
        return self.connected and now - self._opened_at >= LASTING_S

    @property
    def lost(self) -> bool:
        """Whether something has broken off after which nothing has come yet: only then can anything be old."""
        return self._lost_at is not None

    def age_s(self, now: float) -> float:
        """Seconds by which what we hold may be out of date; 0 while in step, and within the grace of a reconnect."""
        if self._lost_at is None or self._held(now):
            return 0.0
        regained_at = self._opened_at if self.connected else now
        return now - self.last_heard if regained_at - self._lost_at > GRACE_S else 0.0

    def _held(self, now: float) -> bool:
        return self.connected and now - self._opened_at > GRACE_S
