"""What a request asks of a process, and the one patch of its Deployment that does it.

Patches are strategic merge patches (https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/):
containers are merged by name. They name the resourceVersion they were made for, so that Kubernetes refuses one made for
a Deployment that has changed since.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import UNSET, UnsetType

from service.errors import UnprocessableEntity
from service.model.derive import app_container, process_guid
from service.model.labels import Keys
from service.model.manifests import Container
from service.model.probes import CheckChange, changed_check, liveness_probes, readiness_probe
from service.model.process import MetadataChange, Workload

NO_CHANGE = MetadataChange()


@dataclass(frozen=True, kw_only=True)
class Scale:
    """None keeps what is."""

    instances: int | None = None
    memory_in_mb: int | None = None
    disk_in_mb: int | None = None
    metadata: MetadataChange = NO_CHANGE

    def names(self) -> list[str]:
        """Of what it changes."""
        fields = ("instances", "memory_in_mb", "disk_in_mb")
        return [name for name in fields if getattr(self, name) is not None] + self.metadata.names()

    def patch(self, live: "Live") -> "Patch":
        """What is to change of the Deployment."""
        spec: dict[str, Any] = {}
        if self.instances is not None:
            spec["replicas"] = self.instances
        amounts = {
            resource: f"{amount}Mi"
            for resource, amount in (("memory", self.memory_in_mb), ("ephemeral-storage", self.disk_in_mb))
            if amount is not None
        }
        if amounts:
            spec["template"] = _in_container(live, {"resources": {"limits": amounts, "requests": amounts}})
        return Patch(spec)

    def at_once(self, workload: Workload, keys: Keys) -> list[dict[str, Any]] | None:
        """The JSON patch (RFC 6902) that makes the change of any version of the Deployment which runs this process.

        None: it depends on how the Deployment is now, or is not Kubernetes' alone.
        """
        if self.instances is None or self != Scale(instances=self.instances):
            return None
        of_its_own = workload.guid != process_guid(*workload.key)
        labels = {
            keys.app_guid: workload.app_guid,
            keys.process_type: workload.type if workload.type_labelled else None,
            keys.process_guid: workload.guid if of_its_own else None,
        }
        expected = {f"labels/{_escaped(key)}": value for key, value in labels.items()} | {"uid": workload.uid}
        # A test for null passes where there is nothing.
        tests = [{"op": "test", "path": f"/metadata/{path}", "value": value} for path, value in expected.items()]
        return [*tests, {"op": "replace", "path": "/spec/replicas", "value": self.instances}]


@dataclass(frozen=True)
class User:
    """Whom a process is to run as: a uid, and the name it was called by, where it was called by one."""

    uid: int
    name: str | None = None


@dataclass(frozen=True, kw_only=True)
class Update:
    """UNSET keeps what is; None goes back to what the image says."""

    command: str | UnsetType | None = UNSET
    user: User | UnsetType | None = UNSET
    health_check: CheckChange | None = None
    """None keeps it."""
    readiness_health_check: CheckChange | None = None
    metadata: MetadataChange = NO_CHANGE

    def names(self) -> list[str]:
        """Of what it changes."""
        given = {
            "command": self.command is not UNSET,
            "user": self.user is not UNSET,
            "health_check": self.health_check is not None,
            "readiness_health_check": self.readiness_health_check is not None,
        }
        return [name for name, is_given in given.items() if is_given] + self.metadata.names()

    def patch(self, live: "Live") -> "Patch":
        """What is to change of the Deployment. Raises UnprocessableEntity with every complaint."""
        pod: dict[str, Any] = {}
        container, annotations = self._checks(live)
        if self.command is not UNSET:
            command = None if self.command is None else ["/bin/sh", "-c", self.command]
            container |= {"command": command, "args": None}
        if self.user is not UNSET:
            annotations |= self._name_of_user(live)
            if self.user is not None or _user(live.container) is not None:
                container["securityContext"] = {"runAsUser": self.user and self.user.uid}
            if self.user is None:
                pod = _without_user_of_pod(live.pod, live.container["name"])
        return Patch({"template": _in_container(live, container, pod)} if container or pod else {}, annotations)

    def _name_of_user(self, live: "Live") -> dict[str, str | None]:
        """The annotation that lets the user read back as it was written; it is taken away where there is no name."""
        if isinstance(self.user, User) and self.user.name is not None:
            return {live.keys.user: f"{self.user.name}={self.user.uid}"}
        known = live.object["metadata"].get("annotations") or {}
        return {live.keys.user: None} if live.keys.user in known else {}

    def _checks(self, live: "Live") -> tuple[dict[str, Any], dict[str, str | None]]:
        """The probes to be replaced, and the annotations beside them."""
        workload, keys = live.workload, live.keys
        probes: dict[str, Any] = {}
        annotations: dict[str, str | None] = {}
        complaints = []
        for name, change, current, key, write in (
            ("health_check", self.health_check, workload.health_check, keys.health_check, liveness_probes),
            (
                "readiness_health_check",
                self.readiness_health_check,
                workload.readiness_health_check,
                keys.readiness_health_check,
                readiness_probe,
            ),
        ):
            wanted = current if change is None else changed_check(current, change)
            if wanted == current:
                continue
            if wanted.type == "http" and wanted.endpoint is None:
                complaints.append(f"'{name}' of type http needs an endpoint")
                continue
            try:
                made, annotations[key] = write(live.container, wanted)
            except LookupError as error:
                complaints.append(f"'{name}' of type {wanted.type} cannot be made: {error.args[0]}")
                continue
            probes |= {probe: _replacing(live.container.get(probe), value) for probe, value in made.items()}
        if complaints:
            raise UnprocessableEntity(", ".join(complaints))
        return probes, annotations


Change = Scale | Update


@dataclass(frozen=True)
class Live:
    """A Deployment as Kubernetes has it, or lately had it: its process, and the object itself to make patches for."""

    workload: Workload
    object: Mapping[str, Any]
    version: int
    """Its resourceVersion."""
    keys: Keys

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

    def guarded(self, patch: "Patch", write_id: str | None) -> dict[str, Any]:
        """The body that makes the change of this very version; the write id marks it as the first half of a write."""
        annotations = patch.annotations if write_id is None else {**patch.annotations, self.keys.last_write: write_id}
        meta = self.object["metadata"]
        guard = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
        return {"metadata": {**guard, **({"annotations": annotations} if annotations else {})}, "spec": patch.spec}


@dataclass(frozen=True)
class Patch:
    """What is to change of a Deployment; None takes away."""

    spec: Mapping[str, Any]
    annotations: Mapping[str, str | None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.spec or self.annotations)


def _escaped(key: str) -> str:
    """As a part of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def _replacing(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The patch that makes an object of the old one.

    NB: `$patch: replace` would do, but for an object that is not there yet: that one it leaves out.
    """
    return None if new is None else {**{key: None for key in old or () if key not in new}, **new}


def _in_container(live: Live, fields: Mapping[str, Any], pod: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The patch of a template that changes the app container, and more of the Pod beside it."""
    others = dict(pod or {})
    # NB: what is patched together comes out in the order of the patch, and containers are started in their order.
    order = [each["name"] for each in live.pod["containers"]]
    containers = [{"name": live.container["name"], **fields}, *others.pop("containers", ())]
    containers.sort(key=lambda each: order.index(each["name"]))
    return {"spec": {"containers": containers, **others}}


def _user(of: Mapping[str, Any]) -> int | None:
    """The user that a container or a Pod names itself."""
    user: int | None = (of.get("securityContext") or {}).get("runAsUser")
    return user


def _without_user_of_pod(pod: Mapping[str, Any], app: str) -> dict[str, Any]:
    """A patch that takes the user off the Pod, so that the app's image decides; its other containers keep it."""
    user = _user(pod)
    if user is None:
        return {}
    patch: dict[str, Any] = {"securityContext": {"runAsUser": None}}
    for kind in ("containers", "initContainers"):
        others = [
            {"name": each["name"], "securityContext": {"runAsUser": user}}
            for each in pod.get(kind) or ()
            if each["name"] != app and _user(each) is None
        ]
        if others:
            patch[kind] = others
    return patch
