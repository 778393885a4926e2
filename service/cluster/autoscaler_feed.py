"""The feed of HorizontalPodAutoscalers. One that cannot be understood, or is of no Deployment, is as good as none."""

from collections.abc import Iterator

import msgspec

from service.cluster.optional_watch import OptionalKind
from service.cluster.skips import SkippingFeed
from service.model.autoscalers import Autoscaler, AutoscalerObject, Autoscalers, derive_autoscaler

AUTOSCALERS = OptionalKind(
    "horizontalpodautoscalers",
    "/apis/autoscaling/v2/horizontalpodautoscalers",
    "warnings of autoscalers that overrule a scale",
)


class AutoscalerFeed(SkippingFeed[Autoscaler | None]):
    def __init__(self, autoscalers: Autoscalers) -> None:
        super().__init__("HorizontalPodAutoscaler")
        self._autoscalers = autoscalers
        self._decode = msgspec.json.Decoder(AutoscalerObject).decode

    def understand(self, raw: bytes | msgspec.Raw) -> Autoscaler | None:
        return derive_autoscaler(self._decode(raw))

    def put(self, uid: str, understood: Autoscaler | None) -> Iterator[None]:
        if understood is None:
            yield from self.remove(uid)
        else:
            self._autoscalers.put(uid, understood)

    def remove(self, uid: str) -> Iterator[None]:
        self._autoscalers.remove(uid)
        yield

    def retain_only(self, uids: set[str]) -> Iterator[None]:
        for uid in list(self._autoscalers.uids()):
            if uid not in uids:
                self._autoscalers.remove(uid)
            yield
