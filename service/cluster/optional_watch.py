"""A watch that may be missing: of a kind that not every API server serves, or that not every account may list.

Where the answer is that there is no such collection (404), or that we may not list it (403), nothing of it is held,
and it is asked for again now and then, so that a kind that is installed, and a permission that is given, count without
a restart. A kind or a permission that goes while it is followed takes with it all that was held: nothing would keep it
true any more. Nobody who does not use these objects waits for such a watch, and nothing in here raises.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from service.cluster.client import Client, ClusterUnreachable, UnexpectedStatus
from service.cluster.watch import Consumer, Reflector
from service.cluster.watch_state import WatchState
from service.pacing import Pace
from service.telemetry import get_logger

log = get_logger(__name__)

LOOK_AGAIN_S = 10.0
"""How long after a refusal it is asked again, at most."""
CONFIRM_S = 2.0
"""How long after a watch was refused it is asked once more before that is believed: a kube-apiserver that has just
started may refuse, for a moment, what it serves."""

REFUSALS: Mapping[int, str] = {
    403: "the service's account may not list this kind",
    404: "the API server does not serve this kind",
}
"""The HTTP statuses by which there is nothing to be followed, and what they mean."""


@dataclass(frozen=True)
class OptionalKind:
    """A kind of objects that is watched where there is one for us."""

    name: str
    """The name of the watch: the plural of the kind in Kubernetes."""
    path: str
    """Where all of its objects are listed."""
    gives: str
    """What is left out without it."""


class OptionalWatch:
    """Follows one collection into `consumer`, while there is one for us."""

    def __init__(
        self,
        client: Client,
        kind: OptionalKind,
        consumer: Consumer,
        *,
        inactivity_s: float,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """All but the kind is as of Reflector."""
        self.gives = kind.gives
        self._client = client
        self._path = kind.path
        self._consumer = consumer
        self._on_change = on_change
        self._pace = Pace()
        self._reflector = Reflector(client, kind.path, consumer, inactivity_s=inactivity_s, on_change=on_change)

    @property
    def state(self) -> WatchState:
        return self._reflector.state

    async def run(self) -> None:
        """Follow, or look whether there is something to follow, until cancelled."""
        while True:
            try:
                pause = await self._attempt()
            except Exception:
                # A defect of ours in what is optional must not end the service.
                log.exception("optional watch failed", path=self._path)
                pause = LOOK_AGAIN_S
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))

    async def _attempt(self) -> float:
        """Follow until that is refused, if it is not already. Returns the seconds after which to try again."""
        refusal = await self._refusal()
        if refusal is None:
            self.state.absent = False
            await self._reflector.run(until=REFUSALS.keys())
            return CONFIRM_S
        await self._drop(refusal)
        return LOOK_AGAIN_S

    async def _refusal(self) -> int | None:
        """The status by which the collection is refused. None: it is not, or nobody can say now."""
        try:
            await self._client.get(self._path, {"limit": "1"})
        except UnexpectedStatus as error:
            return error.status if error.status in REFUSALS else None
        except ClusterUnreachable:
            return None
        return None

    async def _drop(self, refusal: int) -> None:
        """Hold nothing of it."""
        reason = REFUSALS[refusal]
        if not self.state.absent or self.state.failure != reason:
            log.info("not followed", path=self._path, reason=reason, left_out=self.gives)
            await self._pace.run(self._consumer.retain(set()))
            self.state.refused(reason)
            self._on_change()
