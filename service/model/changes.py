"""What a request asks of a process, and the one patch of its Deployment that does it.

A value that equals what is shown changes nothing behind it: clients send back whole objects as they have read them, and
a limit of `1500M` that shows as 1431, or a command of several words that shows as one text, must not roll out for that.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from msgspec import UNSET, UnsetType

from service.errors import UnprocessableEntity
from service.model import edits
from service.model.desired import Desired, remembered
from service.model.edits import User
from service.model.guids import process_guid
from service.model.labels import Keys
from service.model.probes import CheckChange
from service.model.process import MetadataChange, Workload
from service.model.snapshots import NO_PATCH, Patch, Snapshot, to_desired


class Change(Protocol):
    """What is to change of a Deployment."""

    def names(self) -> list[str]:
        """The names of the fields that are asked for."""

    def patch(self, snapshot: Snapshot) -> Patch:
        """The patch of this version of the Deployment that does it. Raises UnprocessableEntity with every complaint."""


NO_CHANGE = MetadataChange()
_RESOURCES = {"memory_in_mb": "memory", "disk_in_mb": "ephemeral-storage"}
_EDITS: Mapping[str, Callable[[Snapshot, Any], edits.Edit]] = {
    "command": edits.of_command,
    "user": edits.of_user,
    "health_check": edits.of_health_check,
    "readiness_health_check": edits.of_readiness_health_check,
}


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Amounts of a process. None keeps what is; 0 MiB is how no limit shows, and can only be sent back."""

    instances: int | None = None
    memory_in_mb: int | None = None
    disk_in_mb: int | None = None
    metadata: MetadataChange = NO_CHANGE

    def names(self) -> list[str]:
        """The names of the fields that are asked for."""
        fields = ("instances", *_RESOURCES)
        return [name for name in fields if getattr(self, name) is not None] + self.metadata.names()

    def patch(self, snapshot: Snapshot) -> Patch:
        """What is to change of the Deployment. Raises UnprocessableEntity with every complaint."""
        limits = self.changed_limits(snapshot.workload)
        wanted = self._desired(snapshot)
        spec, annotations = dict(wanted.spec), wanted.annotations
        if limits:
            amounts = {_RESOURCES[name]: f"{limit}Mi" for name, limit in limits.items()}
            spec |= snapshot.in_container({"resources": {"limits": amounts, "requests": amounts}})
        return Patch(spec, annotations)

    def _desired(self, snapshot: Snapshot) -> Patch:
        if self.instances is None or self.instances == snapshot.workload.instances:
            return NO_PATCH
        is_stopped = not snapshot.replicas and remembered(snapshot.annotations, snapshot.keys) is not None
        return to_desired(snapshot, Desired(not is_stopped, self.instances))

    def changed_limits(self, workload: Workload) -> dict[str, int]:
        """The new limits in MiB, by field, that are not as they show already.

        Raises UnprocessableEntity where one would be taken away.
        """
        asked = {name: getattr(self, name) for name in _RESOURCES}
        changed = {
            name: limit for name, limit in asked.items() if limit is not None and limit != getattr(workload, name)
        }
        if complaints := [f"'{name}' must be 1 or more: there is a limit" for name in changed if changed[name] == 0]:
            raise UnprocessableEntity(", ".join(complaints))
        return changed

    def blind_patch(self, workload: Workload, keys: Keys) -> list[dict[str, Any]] | None:
        """The JSON patch (RFC 6902) that makes the change of any version of the Deployment which runs this process.

        None: it depends on how the Deployment is now, or is not Kubernetes' alone.
        """
        if self.instances is None or self != Scale(instances=self.instances) or not workload.started:
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
        stopped, zero = (
            f"/metadata/annotations/{_escaped(key)}" for key in (keys.stopped_instances, keys.scaled_to_zero)
        )
        mark: dict[str, Any]
        if self.instances == 0:
            mark = {"op": "add", "path": zero, "value": "true"}
        elif workload.instances == 0:
            mark = {"op": "remove", "path": zero}
        else:
            mark = {"op": "test", "path": zero, "value": None}
        # Somebody may have stopped it meanwhile: then what changes is what it will have.
        running = {"op": "test", "path": stopped, "value": None}
        return [*tests, running, mark, {"op": "replace", "path": "/spec/replicas", "value": self.instances}]


@dataclass(frozen=True, kw_only=True)
class Update:
    """UNSET keeps what is; None goes back to what the app came with (service.model.originals)."""

    command: str | UnsetType | None = UNSET
    """Empty is how the image's own shows, and can only be sent back."""
    user: User | UnsetType | None = UNSET
    health_check: CheckChange | UnsetType | None = UNSET
    readiness_health_check: CheckChange | UnsetType | None = UNSET
    metadata: MetadataChange = NO_CHANGE

    def names(self) -> list[str]:
        """The names of the fields that are asked for."""
        return [name for name in _EDITS if getattr(self, name) is not UNSET] + self.metadata.names()

    def patch(self, snapshot: Snapshot) -> Patch:
        """What is to change of the Deployment. Raises UnprocessableEntity with every complaint."""
        fields: dict[str, Any] = {}
        annotations: dict[str, str | None] = {}
        complaints = []
        for name, edit_of in _EDITS.items():
            if (asked := getattr(self, name)) is UNSET:
                continue
            try:
                edit = edit_of(snapshot, asked)
            except edits.Impossible as error:
                complaints.append(str(error))
            else:
                fields |= edit.fields
                annotations |= edit.annotations
        if complaints:
            raise UnprocessableEntity(", ".join(complaints))
        # To remove what is not there would be a patch of nothing.
        return Patch(snapshot.in_container(fields) if fields else {}, snapshot.unlike(annotations))


ProcessChange = Scale | Update


def _escaped(key: str) -> str:
    """A key as a part of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")
