"""A Deployment at one resourceVersion, and the patch of it that a change is.

Patches are strategic merge patches (https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/),
which merge containers by name. A patch names the resourceVersion it was made for, so that Kubernetes refuses it where
the Deployment has changed since.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.model.derive import app_container
from service.model.desired import Desired
from service.model.labels import Keys
from service.model.manifests import Container
from service.model.process import Workload


@dataclass(frozen=True)
class Snapshot:
    """A Deployment at one version: the process that it runs, and the object itself, to make patches for."""

    workload: Workload
    object: Mapping[str, Any]
    version: int
    """Its resourceVersion."""
    keys: Keys

    @property
    def annotations(self) -> Mapping[str, str]:
        return self.object["metadata"].get("annotations") or {}

    @property
    def template(self) -> Mapping[str, Any]:
        """The template of its Pods."""
        template: Mapping[str, Any] = self.object["spec"]["template"]
        return template

    @property
    def pod(self) -> Mapping[str, Any]:
        """The spec of its Pods."""
        spec: Mapping[str, Any] = self.template["spec"]
        return spec

    @property
    def container(self) -> Mapping[str, Any]:
        """The app container."""
        containers = self.pod["containers"]
        annotations = self.template.get("metadata", {}).get("annotations")
        chosen = app_container([Container(name=each["name"]) for each in containers], annotations)
        return next(each for each in containers if each["name"] == chosen.name)

    @property
    def replicas(self) -> int:
        replicas: int = self.object["spec"].get("replicas", 1)
        return replicas

    @property
    def is_observed(self) -> bool:
        """Whether Kubernetes has acted on it as it is now: with a new Pod template, a rollout has its revision then."""
        observed: int = (self.object.get("status") or {}).get("observedGeneration") or 0
        return observed >= (self.object["metadata"].get("generation") or 0)

    def unlike(self, annotations: Mapping[str, str | None]) -> dict[str, str | None]:
        """Those of the annotations that the Deployment does not have so already; None: it is to have none."""
        return {key: value for key, value in annotations.items() if value != self.annotations.get(key)}

    def in_container(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The patch of a Deployment's spec that sets fields of the app container; None removes one."""
        return {"template": {"spec": {"containers": [{"name": self.container["name"], **fields}]}}}

    def guarded(self, patch: "Patch", write_id: str | None) -> dict[str, Any]:
        """The body of a request that applies the patch to this version, and to no other.

        A write id goes into an annotation, and marks the patch as the first half of a write.
        """
        annotations = {**self._outdated(patch), **patch.annotations}
        if write_id is not None:
            annotations[self.keys.last_write] = write_id
        meta = self.object["metadata"]
        guard = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
        return {"metadata": {**guard, **({"annotations": annotations} if annotations else {})}, "spec": patch.spec}

    def _outdated(self, patch: "Patch") -> dict[str, str | None]:
        """What is to be taken off with any patch: annotations for no replicas, where there are some after it."""
        replicas = patch.spec.get("replicas", self.replicas)
        said = (self.keys.stopped_instances, self.keys.scaled_to_zero) if replicas else ()
        return {key: None for key in said if key in self.annotations}


@dataclass(frozen=True)
class Patch:
    """What is to change of a Deployment: fields of its spec, and annotations. None removes one. False: nothing."""

    spec: Mapping[str, Any]
    annotations: Mapping[str, str | None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.spec or self.annotations)


NO_PATCH = Patch({})


def to_desired(snapshot: Snapshot, wanted: Desired) -> Patch:
    """The patch that makes a Deployment want this."""
    spec = {} if wanted.replicas == snapshot.replicas else {"replicas": wanted.replicas}
    return Patch(spec, snapshot.unlike(wanted.annotations(snapshot.keys)))


def replacing(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The patch that leaves the new object where the old one is; None for either: there is none.

    NB: `$patch: replace` would do, but for an object that is not there yet: that one it leaves out.
    """
    return None if new is None else {**{key: None for key in old or () if key not in new}, **new}
