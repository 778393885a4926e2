"""The records of the domain.

Their times are those of service.model.times. Records are frozen and hold no cycles, so `gc=False` keeps the garbage
collector's pauses independent of how many processes there are.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from service.model.desired import Desired
from service.model.times import SECOND

DEFAULT_ORGANIZATION = "default"
"""The GUID of the organization of all namespaces that name none, unless a setting says another."""
LARGEST_INTEGER = (1 << 31) - 1
"""The largest whole number to show: some clients keep 32 bits, and refuse a whole list for one that does not fit."""
OWN_NAME, OWN_APP_GUID = "=name", "=app-guid"
"""No label has such a value."""

Key = tuple[str, str, str]
"""What a process is known by: (namespace, app GUID, type). A GUID is an attribute: two namespaces may use the same."""


class HealthCheck(msgspec.Struct, frozen=True, gc=False):
    """A health check as the API shows it; `type` is http, port or process. Times are seconds; None is not set."""

    type: str
    timeout: int | None = None
    invocation_timeout: int | None = None
    interval: int | None = None
    endpoint: str | None = None


class SidecarContainer(msgspec.Struct, frozen=True, gc=False):
    """A container that runs beside the app's in each of its Pods."""

    name: str
    command: str
    memory_in_mb: int
    """The limit; 0: there is none."""


class Workload(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What one Deployment says of the process it runs (service.model.derive says how)."""

    uid: str
    namespace: str
    name: str
    guid: str
    app_guid: str
    type: str
    space_guid: str | None
    """The Deployment's own space label; None leaves it to the namespace."""
    created_at: int
    changed_at: int
    """The last change of anything but the status."""
    version: str
    command: str
    user: str | None
    instances: int
    """How many it is to have; if it is stopped, once it is started."""
    memory_in_mb: int
    """The limit; 0: there is none."""
    disk_in_mb: int
    """The limit of its ephemeral storage; 0: there is none."""
    health_check: HealthCheck
    readiness_health_check: HealthCheck
    revision_guid: str | None
    registry_credential_guid: str | None
    """Named by annotation."""
    pull_secret_guid: str | None
    """Stands in for the credential when neither annotation nor row names one."""
    registry_credential_last_synced_at: int | None
    started: bool = True
    """Whether it is to run (service.model.desired)."""
    write_id: str | None = None
    """The id of the last write that touched both Kubernetes and Postgres (service.model.record)."""
    type_labelled: bool = True
    """Whether a label says its type; none does for one that has the default."""
    pods_labelled: bool = True
    """Whether its Pods carry the app GUID, without which nothing is known of them."""
    pod_labels: tuple[str, ...] = ()
    """All labels of its Pods by keys in order, each key before its value; OWN_NAME and OWN_APP_GUID stand for what
    differs from Deployment to Deployment, so that many have the same. Read `labels_of_pods`."""
    named_ports: tuple[tuple[str, int], ...] = ()
    """The ports of its containers that have a name."""
    sidecars: tuple[SidecarContainer, ...] = ()
    """What runs beside the app, in the order of its Pod template."""
    replica_failure: str | None = None
    """Why Kubernetes cannot make its Pods; None: it can."""
    rollout: int = 0
    """The revision that its Deployment is at; 0: it has never been rolled out."""
    cancelled_rollout: int = 0
    """The revision that its newest rollout takes it back from, or has taken it; 0: it is no way back."""
    paused: bool = False
    """Whether Kubernetes is told not to roll it out."""
    deleting: bool = False
    """Whether its Deployment is on its way out."""
    app_name: str = ""
    """What it says that its app is called; empty: as its Deployment is."""
    image: str = ""
    """What its app container is made of."""
    rollout_began_at: int = 0
    rollout_took_s: int | None = 0
    """Until its newest rollout was complete; None: it is under way."""
    rollout_failure: str | None = None
    """Why its rollout gets no further; None: it does, or nothing is known."""
    max_in_flight: int = 1
    """How many Pods a rollout may change at a time."""

    @property
    def labels_of_pods(self) -> Iterator[tuple[str, str]]:
        """The keys and values of all labels of its Pods."""
        own = {OWN_NAME: self.name, OWN_APP_GUID: self.app_guid}
        for key, value in zip(self.pod_labels[::2], self.pod_labels[1::2], strict=True):
            yield key, own.get(value, value)

    @property
    def replicas(self) -> int:
        """How many instances are to run now."""
        return Desired(self.started, self.instances).replicas

    @property
    def absence(self) -> str | None:
        """Why nothing runs at an index; None: no reason is known."""
        if self.paused and not self.rollout:
            return "The Deployment is paused, and has not been rolled out yet"
        return self.replica_failure

    @property
    def rolled_out(self) -> bool:
        """Whether its newest rollout is complete."""
        return self.rollout_took_s is not None

    @property
    def rollout_changed_at(self) -> int:
        """Since when its rollout is complete, or is not."""
        return self.rollout_began_at + (self.rollout_took_s or 0) * SECOND

    @property
    def key(self) -> Key:
        return self.namespace, self.app_guid, self.type


class MetadataChange(msgspec.Struct, frozen=True, gc=False):
    """A deep merge into metadata. Under a key, None deletes it; a log rate of None stays as it is."""

    labels: Mapping[str, str | None] = {}
    annotations: Mapping[str, str | None] = {}
    log_rate_limit_in_bytes_per_second: int | None = None

    def names(self) -> list[str]:
        """The names of the fields that it changes."""
        fields = ("labels", "annotations")
        rate = "log_rate_limit_in_bytes_per_second"
        return [name for name in fields if getattr(self, name)] + ([rate] if getattr(self, rate) is not None else [])

    def __bool__(self) -> bool:
        return bool(self.names())


class Pending(msgspec.Struct, frozen=True, gc=False):
    """A change that counts from the moment its Deployment carries its write id."""

    change: MetadataChange
    version: int
    """The Deployment's resourceVersion that the patch is for: any other one refuses it."""


_NONE: dict[str, Any] = {}
"""Shared by all that have nothing: an empty dictionary for each would be a tenth of the index."""


class Metadata(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What Postgres keeps of the process (namespace, app_guid, type): the part Kubernetes has no place for."""

    namespace: str
    app_guid: str
    type: str
    labels: Mapping[str, str] = msgspec.field(default_factory=lambda: _NONE)
    annotations: Mapping[str, str] = msgspec.field(default_factory=lambda: _NONE)
    log_rate_limit_in_bytes_per_second: int = -1
    revision_guid: str | None = None
    registry_credential_guid: str | None = None
    registry_credential_last_synced_at: int | None = None
    updated_at: int = 0
    pending: Mapping[str, Pending] = msgspec.field(default_factory=lambda: _NONE)
    """By write id."""
    unreadable: str | None = None
    """Why the row cannot be understood, and all of the above is as if there were none; None: it can."""

    @property
    def key(self) -> Key:
        return self.namespace, self.app_guid, self.type

    def changed(self, change: MetadataChange) -> "Metadata":
        """This with the change merged in."""
        rate = change.log_rate_limit_in_bytes_per_second
        return msgspec.structs.replace(
            self,
            labels=_merged(self.labels, change.labels),
            annotations=_merged(self.annotations, change.annotations),
            log_rate_limit_in_bytes_per_second=self.log_rate_limit_in_bytes_per_second if rate is None else rate,
        )


def _merged(known: Mapping[str, str], change: Mapping[str, str | None]) -> Mapping[str, str]:
    return {key: value for key, value in {**known, **change}.items() if value is not None} if change else known


class Space(msgspec.Struct, frozen=True, gc=False):
    """What one Namespace says of the space it is, or of one that its Deployments name (service.model.spaces)."""

    namespace: str
    guid: str
    organization_guid: str | None = None
    """None: it names none, and belongs to the default one."""
    name: str = ""
    organization_name: str | None = None
    created_at: int = 0
    updated_at: int = 0
    labelled: bool = False
    """Whether a label says that it is a space, or of an organization: then it is one without any process."""


class Process(msgspec.Struct, frozen=True, gc=False, eq=False, kw_only=True):
    """A process: its workload merged with its metadata. Compared by identity: another object is another state."""

    workload: Workload
    stored: Metadata | None
    """None: nothing is, as of most processes. Read `metadata`."""
    space_guid: str
    organization_guid: str
    updated_at: int

    @property
    def guid(self) -> str:
        return self.workload.guid

    @property
    def key(self) -> Key:
        return self.workload.key

    @property
    def metadata(self) -> Metadata:
        namespace, app_guid, process_type = self.key
        return self.stored or Metadata(namespace=namespace, app_guid=app_guid, type=process_type)

    @property
    def revision_guid(self) -> str | None:
        return self.workload.revision_guid or (self.stored.revision_guid if self.stored is not None else None)

    @property
    def registry_credential_guid(self) -> str | None:
        return (
            self.workload.registry_credential_guid
            or (self.stored.registry_credential_guid if self.stored is not None else None)
            or self.workload.pull_secret_guid
        )

    @property
    def registry_credential_last_synced_at(self) -> int | None:
        annotated = self.workload.registry_credential_last_synced_at
        if annotated is not None or self.stored is None:
            return annotated
        return self.stored.registry_credential_last_synced_at
