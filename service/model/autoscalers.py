"""Autoscalers: what sets the number of instances of a process besides whoever scales it."""

from collections.abc import Set

import msgspec

from service.model.manifests import ObjectMeta


class ScaleTarget(msgspec.Struct, gc=False):
    kind: str = ""
    name: str = ""
    apiVersion: str = ""


class AutoscalerSpec(msgspec.Struct, gc=False):
    scaleTargetRef: ScaleTarget
    maxReplicas: int
    minReplicas: int | None = None


class AutoscalerObject(msgspec.Struct, gc=False):
    """What this service reads of a HorizontalPodAutoscaler, as service.model.manifests does of other objects."""

    metadata: ObjectMeta
    spec: AutoscalerSpec


class Autoscaler(msgspec.Struct, frozen=True, gc=False):
    """What sets the number of instances of one Deployment of its namespace."""

    namespace: str
    name: str
    deployment: str
    least: int
    most: int

    def __str__(self) -> str:
        return f"HorizontalPodAutoscaler {self.name} ({self.least} to {self.most} instances)"


def derive_autoscaler(found: AutoscalerObject) -> Autoscaler | None:
    """None: it sets something else than a Deployment."""
    target, spec = found.spec.scaleTargetRef, found.spec
    if target.kind != "Deployment" or target.apiVersion.partition("/")[0] not in ("", "apps"):
        return None
    least = 1 if spec.minReplicas is None else spec.minReplicas
    return Autoscaler(found.metadata.namespace, found.metadata.name, target.name, least, spec.maxReplicas)


class Autoscalers:
    """The autoscalers that there are, by the Deployment that each is of."""

    def __init__(self) -> None:
        self._autoscalers: dict[str, Autoscaler] = {}
        """By uid."""
        self._of: dict[tuple[str, str], dict[str, Autoscaler]] = {}
        """By namespace and name of the Deployment, and then by uid."""

    def __len__(self) -> int:
        return len(self._autoscalers)

    def of(self, namespace: str, deployment: str) -> Autoscaler | None:
        """The autoscaler of a Deployment; of several, which Kubernetes does not forbid, the first by name."""
        found = self._of.get((namespace, deployment))
        return min(found.values(), key=lambda each: each.name) if found else None

    def put(self, uid: str, autoscaler: Autoscaler) -> None:
        """Add one or replace its former state."""
        self.remove(uid)
        self._autoscalers[uid] = autoscaler
        self._of.setdefault((autoscaler.namespace, autoscaler.deployment), {})[uid] = autoscaler

    def remove(self, uid: str) -> None:
        """Forget one. An unknown uid is no error."""
        former = self._autoscalers.pop(uid, None)
        if former is None:
            return
        place = former.namespace, former.deployment
        del self._of[place][uid]
        if not self._of[place]:
            del self._of[place]

    def uids(self) -> Set[str]:
        return self._autoscalers.keys()
