"""Which field comes from whom: Deployment → Workload, Namespace → Space, and their merge with stored metadata.

The table that this implements is service/model/FIELDS.md. Everything here is a pure function
of its arguments; what cannot be understood raises `Unparsable`, for the caller to skip and report.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, TypeVar

import msgspec

from service.model.containers import command_text, limit_in_mib, sidecars_beside
from service.model.desired import desired
from service.model.guids import derived_guid, process_guid
from service.model.held_once import flat_labels, shared_check, shared_command, shared_ports, shared_text
from service.model.labels import Keys
from service.model.manifests import (
    Container,
    Deployment,
    NamedContainer,
    Namespace,
    ObjectMeta,
    PodSpec,
    ResourceRequirements,
    Time,
)
from service.model.probes import recorded, visible_check
from service.model.process import DEFAULT_ORGANIZATION, OWN_APP_GUID, OWN_NAME, Metadata, Process, Space, Workload
from service.model.rollouts import ROLLOUT_REVISION, condition, derive_rollout
from service.model.texts import LONGEST_NAME, LONGEST_REASON, MOST_PORTS, name_or_none, shortened
from service.model.times import microseconds

DEFAULT_TYPE = "web"
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
APPLICATION_CONTAINER = "application"
LONGEST_WRITE_ID = 64
"""Characters; ours have eleven (service.operations.two_stores)."""
COMMON_NAME = "app.kubernetes.io/name"
"""The label by which Kubernetes' own tools call an app."""
LONGEST_APP_NAME = 250
"""Characters of an app's name: an annotation may be of any length."""
LONGEST_IMAGE = 1000
"""Characters of an image's name. No registry has a longer one."""

AnyContainer = TypeVar("AnyContainer", bound=NamedContainer)


class Unparsable(ValueError):
    """The object is no process or space, and why: for the log, never for a reply."""


def derive_workload(deployment: Deployment, keys: Keys) -> Workload:
    """The process a Deployment runs. Raises Unparsable."""
    meta = deployment.metadata
    labels, annotations = meta.labels or {}, meta.annotations or {}
    if not labels.get(keys.app_guid):
        raise Unparsable(f"label {keys.app_guid} is absent or empty")
    # The other processes of an app come soon before or after: a list is in the order of names.
    app_guid = shared_text(labels[keys.app_guid])
    # Interned where many processes share one value: each decoded object brings its own copy of every string.
    process_type = sys.intern(labels.get(keys.process_type) or DEFAULT_TYPE)
    created_at = microseconds(meta.creationTimestamp)
    replicas = 1 if deployment.spec.replicas is None else deployment.spec.replicas
    wanted = desired(replicas, annotations, keys)
    modified_at = max(created_at, changed_at(meta))
    return Workload(
        uid=meta.uid,
        namespace=sys.intern(meta.namespace),
        name=meta.name,
        guid=labels.get(keys.process_guid) or process_guid(meta.namespace, app_guid, process_type),
        app_guid=app_guid,
        type=process_type,
        space_guid=labels.get(keys.space_guid) or None,
        created_at=created_at,
        changed_at=modified_at,
        version=_version(annotations, keys),
        instances=wanted.instances,
        started=wanted.started,
        revision_guid=name_or_none(annotations.get(keys.revision_guid)),
        registry_credential_guid=name_or_none(annotations.get(keys.registry_credential_guid)),
        registry_credential_last_synced_at=_moment(annotations.get(keys.registry_credential_last_synced_at)),
        write_id=name_or_none(annotations.get(keys.last_write), LONGEST_WRITE_ID),
        type_labelled=labels.get(keys.process_type) == process_type,
        replica_failure=_replica_failure(deployment),
        paused=deployment.spec.paused is True,
        deleting=meta.deletionTimestamp is not None,
        app_name=_app_name(meta, keys),
        **derive_rollout(deployment, keys, created_at, modified_at, replicas),
        **_of_template(deployment, keys, app_guid),
    )


def _of_template(deployment: Deployment, keys: Keys, app_guid: str) -> dict[str, Any]:
    """The fields of a workload that its Pod template says. Raises Unparsable."""
    template, annotations = deployment.spec.template, deployment.metadata.annotations or {}
    container = app_container(template.spec.containers, template.metadata.annotations if template.metadata else None)
    try:
        memory_in_mb, disk_in_mb = (_limit(container, template.spec, each) for each in ("memory", "ephemeral-storage"))
    except ValueError as error:
        raise Unparsable(f"container {container.name!r}: {error}") from error
    labels = (template.metadata and template.metadata.labels) or {}
    liveness = visible_check(container.livenessProbe, container.startupProbe)
    readiness = visible_check(container.readinessProbe, None)
    return {
        "command": shared_command(command_text(container.command, container.args)),
        "user": _user(container, template.spec, name_or_none(annotations.get(keys.user))),
        "memory_in_mb": memory_in_mb,
        "disk_in_mb": disk_in_mb,
        "health_check": shared_check(recorded(annotations.get(keys.health_check), liveness)),
        "readiness_health_check": shared_check(recorded(annotations.get(keys.readiness_health_check), readiness)),
        "image": sys.intern((container.image or "")[:LONGEST_IMAGE]),
        "pull_secret_guid": _pull_secret_guid(deployment.metadata.namespace, template.spec),
        "pods_labelled": labels.get(keys.app_guid) == app_guid,
        "pod_labels": flat_labels(labels, {deployment.metadata.name: OWN_NAME, app_guid: OWN_APP_GUID}),
        "sidecars": sidecars_beside(container, template.spec),
        "named_ports": shared_ports(tuple(islice(_named_ports(template.spec), MOST_PORTS))),
    }


def derive_space(namespace: Namespace, keys: Keys) -> Space:
    """The space a Namespace is; an unlabelled one is called by its own name."""
    meta = namespace.metadata
    labels = meta.labels or {}
    created_at = microseconds(meta.creationTimestamp)
    guid, organization_guid = labels.get(keys.space_guid), labels.get(keys.organization_guid)
    return Space(
        namespace=meta.name,
        guid=guid or meta.name,
        organization_guid=organization_guid or None,
        name=labels.get(keys.space_name) or meta.name,
        organization_name=labels.get(keys.organization_name) or None,
        created_at=created_at,
        updated_at=max(created_at, changed_at(meta)),
        labelled=bool(guid or organization_guid),
    )


def merge(
    workload: Workload,
    metadata: Metadata | None,
    space: Space | None,
    default_organization: str = DEFAULT_ORGANIZATION,
) -> Process:
    """The process of a workload, its row (None: nothing stored yet) and its namespace (None: not known yet)."""
    if metadata is not None and workload.write_id is not None and workload.write_id in metadata.pending:
        # Both halves of a write count from the same moment: when Kubernetes took its half.
        metadata = metadata.changed(metadata.pending[workload.write_id].change)
    return Process(
        workload=workload,
        stored=metadata,
        space_guid=workload.space_guid or (space.guid if space else workload.namespace),
        organization_guid=(space and space.organization_guid) or default_organization,
        updated_at=max(workload.changed_at, metadata.updated_at if metadata else 0),
    )


def limit(own: ResourceRequirements | None, pod: PodSpec, resource: str) -> str | None:
    """The app container's limit of a resource, or where it has none that of the whole Pod, as Kubernetes writes it."""
    for resources in (own, pod.resources):
        if resources is not None and resources.limits and resource in resources.limits:
            return str(resources.limits[resource])
    return None


def app_container(containers: Sequence[AnyContainer], annotations: Mapping[str, str] | None) -> AnyContainer:
    """The container that is the app, of those of a Pod or a template, with its annotations. Raises Unparsable."""
    if not containers:
        raise Unparsable("its Pods have no container")
    for wanted in ((annotations or {}).get(DEFAULT_CONTAINER), APPLICATION_CONTAINER):
        for container in containers:
            if wanted and container.name == wanted:
                return container
    return containers[0]


def _version(annotations: Mapping[str, str], keys: Keys) -> str:
    version = annotations.get(keys.version) or annotations.get(ROLLOUT_REVISION) or "0"
    return sys.intern(shortened(version, LONGEST_NAME))


def _app_name(meta: ObjectMeta, keys: Keys) -> str:
    """What a Deployment says that its app is called; empty: nothing."""
    labels = meta.labels or {}
    annotated = (meta.annotations or {}).get(keys.app_name, "")
    name = labels.get(keys.app_name) or name_or_none(annotated, LONGEST_APP_NAME) or labels.get(COMMON_NAME)
    # All processes of an app say it; where it is the Deployment's own, it is held once.
    return sys.intern(name) if name and name != meta.name else ""


def _replica_failure(deployment: Deployment) -> str | None:
    failure = condition(deployment.status, "ReplicaFailure")
    if failure is None or failure.status != "True":
        return None
    return failure.message and shortened(failure.message, LONGEST_REASON)


def changed_at(meta: ObjectMeta) -> int:
    """When anything of the object but its status last changed; 0: nobody has noted it."""
    moments = [f.time for f in meta.managedFields or () if f.time is not None and f.subresource != "status"]
    return microseconds(max(moments)) if moments else 0


def _user(container: Container, pod: PodSpec, written: str | None) -> str | None:
    """The user that the app runs as: by the name it was written with, as long as that still stands for the same uid."""
    for context in (container.securityContext, pod.securityContext):
        if context is not None and context.runAsUser is not None:
            name, _, uid = (written or "").partition("=")
            return name if name and uid == str(context.runAsUser) else str(context.runAsUser)
    return None


def _limit(container: Container, pod: PodSpec, resource: str) -> int:
    """In MiB, rounded up; 0: there is none. Raises ValueError."""
    return limit_in_mib(limit(container.resources, pod, resource))


def _named_ports(pod: PodSpec) -> Iterator[tuple[str, int]]:
    for container in pod.containers:
        for port in container.ports or ():
            if port.name:
                yield port.name, port.containerPort


def _pull_secret_guid(namespace: str, pod: PodSpec) -> str | None:
    for reference in pod.imagePullSecrets or ():
        if reference.name:
            return _shared_secret_guid(namespace, reference.name)
    return None


@lru_cache(maxsize=4096)
def _shared_secret_guid(namespace: str, name: str) -> str:
    return derived_guid(f"registry-credential/{namespace}/{name}")


def _moment(text: str | None) -> int | None:
    """An annotated time, or None: a person's typing error is no reason to hide the process."""
    if not text or len(text) > LONGEST_NAME:
        return None
    try:
        return microseconds(msgspec.convert(text, Time))
    except (msgspec.ValidationError, OverflowError):
        return None
