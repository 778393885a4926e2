"""The feed of HorizontalPodAutoscalers. One that cannot be understood, or is of no Deployment, is as good as none."""

from collections.abc import Iterable, Iterator

import msgspec

from service.cluster.optional_watch import OptionalKind
from service.cluster.skips import Skips
from service.model.autoscalers import AutoscalerObject, Autoscalers, derive_autoscaler

AUTOSCALERS = OptionalKind(
    "horizontalpodautoscalers",
    "/apis/autoscaling/v2/horizontalpodautoscalers",
    "warnings of autoscalers that overrule a scale",
)


class AutoscalerFeed:
    def __init__(self, autoscalers: Autoscalers) -> None:
        self._autoscalers = autoscalers
        self._decode = msgspec.json.Decoder(AutoscalerObject).decode
        self.skips = Skips("HorizontalPodAutoscaler")

    def upsert(self, uid: str, version: int, raw: bytes | msgspec.Raw) -> Iterable[None]:
        try:
            autoscaler = derive_autoscaler(self._decode(raw))
        except ValueError as error:
            # Decoding errors are ValueErrors too.
            self.skips.add(uid, raw, str(error))
            autoscaler = None
        else:
            self.skips.discard(uid)
        if autoscaler is None:
            self._autoscalers.remove(uid)
        else:
            self._autoscalers.put(uid, autoscaler)
        return ()

    def delete(self, uid: str, version: int) -> Iterable[None]:
        self.skips.discard(uid)
        self._autoscalers.remove(uid)
        return ()

    def retain(self, uids: set[str]) -> Iterator[None]:
        self.skips.retain(uids)
        for uid in list(self._autoscalers.uids()):
            if uid not in uids:
                self._autoscalers.remove(uid)
            yield

    def advance(self, version: int, *, listed: bool = False) -> None:
        """Nothing to do: the service writes no autoscalers, so that no read waits for a version of them."""
