"""A Deployment at one resourceVersion, and the patch of it that a change is.

Patches are strategic merge patches (https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/),
which merge containers by name. A patch names the resourceVersion it was made for, so that Kubernetes refuses it where
the Deployment has changed since.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.model.derive import app_container
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
    def pod(self) -> Mapping[str, Any]:
        """The spec of its Pods."""
        spec: Mapping[str, Any] = self.object["spec"]["template"]["spec"]
        return spec

    @property
    def container(self) -> Mapping[str, Any]:
        """The app container."""
        containers = self.pod["containers"]
        annotations = self.object["spec"]["template"].get("metadata", {}).get("annotations")
        chosen = app_container([Container(name=each["name"]) for each in containers], annotations)
        return next(each for each in containers if each["name"] == chosen.name)

    def in_container(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The patch of a Deployment's spec that sets fields of the app container; None removes one."""
        return {"template": {"spec": {"containers": [{"name": self.container["name"], **fields}]}}}

    def guarded(self, patch: "Patch", write_id: str | None) -> dict[str, Any]:
        """The body of a request that applies the patch to this version, and to no other.

        A write id goes into an annotation, and marks the patch as the first half of a write.
        """
        annotations = patch.annotations if write_id is None else {**patch.annotations, self.keys.last_write: write_id}
        meta = self.object["metadata"]
        guard = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
        return {"metadata": {**guard, **({"annotations": annotations} if annotations else {})}, "spec": patch.spec}


@dataclass(frozen=True)
class Patch:
    """What is to change of a Deployment: fields of its spec, and annotations. None removes one. False: nothing."""

    spec: Mapping[str, Any]
    annotations: Mapping[str, str | None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.spec or self.annotations)


def replacing(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The patch that leaves the new object where the old one is; None for either: there is none.

    NB: `$patch: replace` would do, but for an object that is not there yet: that one it leaves out.
    """
    return None if new is None else {**{key: None for key in old or () if key not in new}, **new}
