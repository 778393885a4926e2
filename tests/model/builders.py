"""Plain builders of what the model reads, with defaults for all that a test does not care about."""

import json
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from service.model.index import Index
from service.model.manifests import Deployment, Namespace, PodObject
from service.model.pods import Pod, State
from service.model.process import HealthCheck, Metadata, Process, Workload
from service.model.replica_sets import ReplicaSet
from service.model.selection import CREATED_AT as BY_CREATION
from service.model.selection import Filters, Selection, Slice
from service.model.selectors import Range, Requirement
from service.model.times import SECOND
from service.model.views import Visible

CREATED = "2024-01-02T03:04:05Z"
CREATED_AT = 1_704_164_645 * SECOND
"""The same, in the model's unit."""

_decode_deployment = msgspec.json.Decoder(Deployment).decode
_decode_namespace = msgspec.json.Decoder(Namespace).decode
_decode_pod = msgspec.json.Decoder(PodObject).decode


def deployment_dict(
    *,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    container: Mapping[str, Any] | None = None,
    containers: Sequence[Mapping[str, Any]] | None = None,
    pod: Mapping[str, Any] | None = None,
    pod_annotations: Mapping[str, str] | None = None,
    managed: Sequence[Mapping[str, Any]] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """As kube-apiserver sends it. `container` is the one container's fields, `containers` replaces the list."""
    if containers is None:
        containers = [{"name": "application", "image": "registry.test/app:1", **(container or {})}]
    template: dict[str, Any] = {"spec": {"containers": list(containers), **(pod or {})}}
    if pod_annotations is not None:
        template["metadata"] = {"annotations": dict(pod_annotations)}
    meta: dict[str, Any] = {
        "name": "app-web",
        "namespace": "space-a",
        "uid": "uid-1",
        "resourceVersion": "42",
        "creationTimestamp": CREATED,
        "labels": {"cloudfoundry.org/app-guid": "app-1"} if labels is None else dict(labels),
        "annotations": dict(annotations or {}),
    }
    if managed is not None:
        meta["managedFields"] = list(managed)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta,
        "spec": {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": template, **spec},
        "status": {"replicas": 1},
    }


def decode(manifest: Mapping[str, Any]) -> Deployment:
    return _decode_deployment(json.dumps(manifest))


def deployment(**fields: Any) -> Deployment:
    """`deployment_dict`, decoded."""
    return decode(deployment_dict(**fields))


def namespace(name: str, labels: Mapping[str, str] | None = None) -> Namespace:
    meta = {"name": name, "uid": f"uid-{name}", "creationTimestamp": CREATED, "labels": labels}
    return _decode_namespace(json.dumps({"kind": "Namespace", "metadata": meta}))


def pod_dict(
    *,
    meta: Mapping[str, Any] | None = None,
    labels: Mapping[str, str] | None = None,
    container: Mapping[str, Any] | None = None,
    spec: Mapping[str, Any] | None = None,
    conditions: Mapping[str, Mapping[str, Any]] | None = None,
    status: Mapping[str, Any] | None = None,
    **state: Any,
) -> dict[str, Any]:
    """As kube-apiserver sends it: scheduled at :05, its one container in `state` (its status's fields), by default
    started at :10 and ready since :11 of the minute it was created in.
    """
    known = {
        "PodScheduled": {"status": "True", "lastTransitionTime": "2024-01-02T03:04:05Z"},
        "Ready": {"status": "True", "lastTransitionTime": "2024-01-02T03:04:11Z"},
    }
    found = known if conditions is None else conditions
    running = {"started": True, "state": {"running": {"startedAt": "2024-01-02T03:04:10Z"}}}
    return {
        "metadata": {
            "name": "app-web-5d9c-x2x4z",
            "namespace": "space-a",
            "uid": "pod-1",
            "resourceVersion": "42",
            "creationTimestamp": "2024-01-02T03:04:05Z",
            "labels": {"pod-template-hash": "5d9c", **(labels or {})},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "app-web-5d9c", "uid": "rs-1", "controller": True}],
            **(meta or {}),
        },
        "spec": {
            "nodeName": "node-1",
            "containers": [{"name": "application", "image": "registry.test/app:1", **(container or {})}],
            **(spec or {}),
        },
        "status": {
            "phase": "Running",
            "hostIP": "10.0.0.1",
            "podIP": "10.1.0.1",
            "conditions": [{"type": kind, **condition} for kind, condition in found.items()],
            "containerStatuses": [{"name": "application", **(state or running)}],
            **(status or {}),
        },
    }


def replica_set_dict(
    *,
    meta: Mapping[str, Any] | None = None,
    template: Mapping[str, Any] | None = None,
    replicas: int | None = 1,
    status: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """As kube-apiserver sends it: of revision 3, with one Pod wanted and there."""
    owner = {"kind": "Deployment", "name": "app-web", "uid": "uid-1", "controller": True}
    return {
        "metadata": {
            "name": "app-web-5d9c",
            "namespace": "space-a",
            "uid": "rs-1",
            "annotations": {"deployment.kubernetes.io/revision": "3"},
            "ownerReferences": [owner],
            **(meta or {}),
        },
        "spec": {
            "replicas": replicas,
            "template": {"spec": {"containers": [{"name": "application"}]}, **(template or {})},
        },
        "status": {"replicas": 1, **(status or {})},
    }


def decode_pod(manifest: Mapping[str, Any]) -> PodObject:
    return _decode_pod(json.dumps(manifest))


def pod(uid: str = "pod-1", **fields: Any) -> Pod:
    """A running one."""
    defaults: dict[str, Any] = {
        "namespace": "space-a",
        "name": uid,
        "replica_set": "rs-1",
        "created_at": CREATED_AT,
        "index": None,
        "state": State.RUNNING,
        "since": CREATED_AT,
        "details": None,
        "ready": True,
        "host": "10.0.0.1",
        "ip": "10.1.0.1",
        "container": "application",
        "memory": None,
        "disk": None,
        "cpu_nanos": None,
        "ports": (),
    }
    return Pod(uid=uid, **{**defaults, **fields})


def replica_set(uid: str = "rs-1", deployment: str | None = "uid-1", **fields: Any) -> ReplicaSet:
    """One that has Pods."""
    return ReplicaSet(
        uid=uid, deployment=deployment, **{"revision": 1, "container": "application", "spent": False, **fields}
    )


def workload(uid: str = "uid-1", **fields: Any) -> Workload:
    """Its GUID and app GUID follow its uid, so that workloads differ without being told to."""
    defaults: dict[str, Any] = {
        "namespace": "space-a",
        "name": uid,
        "guid": f"guid-{uid}",
        "app_guid": f"app-{uid}",
        "type": "web",
        "space_guid": None,
        "created_at": CREATED_AT,
        "changed_at": fields.get("created_at", CREATED_AT),
        "version": "1",
        "command": "",
        "user": None,
        "instances": 1,
        "memory_in_mb": 0,
        "disk_in_mb": 0,
        "health_check": HealthCheck("process"),
        "readiness_health_check": HealthCheck("process"),
        "revision_guid": None,
        "registry_credential_guid": None,
        "pull_secret_guid": None,
        "registry_credential_last_synced_at": None,
    }
    return Workload(uid=uid, **{**defaults, **fields})


def metadata(
    app_guid: str = "app-uid-1", process_type: str = "web", namespace: str = "space-a", **fields: Any
) -> Metadata:
    return Metadata(namespace=namespace, app_guid=app_guid, type=process_type, **fields)


def index_of(workloads: Iterable[Workload], rows: Iterable[Metadata] = ()) -> Index:
    index = Index()
    for row in rows:
        index.put_metadata(row)
    for each in workloads:
        index.put_workload(each)
    return index


def filters(
    *,
    labels: Sequence[Requirement] = (),
    created_at: Sequence[tuple[Range, ...]] = (),
    updated_at: Sequence[tuple[Range, ...]] = (),
    words: Sequence[str] = (),
    **facets: Iterable[str],
) -> Filters:
    """Conditions; a facet goes by its name."""
    times = (*(("created_at", each) for each in created_at), *(("updated_at", each) for each in updated_at))
    wanted = tuple((name, frozenset(values)) for name, values in facets.items())
    return Filters(wanted, tuple(labels), times, tuple(words))


def select(
    index: Index,
    wanted: Filters,
    visible: Visible = None,
    order: str = BY_CREATION,
    *,
    descending: bool = False,
    start: int = 0,
    size: int = 5000,
) -> Selection[Process]:
    """What a search comes to when nobody changes the index meanwhile."""
    return finish(index.processes.search(wanted, visible, Slice(order, descending, start, size)))


Result = TypeVar("Result")


def finish(steps: Generator[None, None, Result], between: Callable[[], None] = lambda: None) -> Result:
    """What work in steps comes to when `between` happens after each of them."""
    while True:
        try:
            next(steps)
        except StopIteration as stopped:
            result: Result = stopped.value
            return result
        between()


def exhaust(steps: Iterable[None]) -> None:
    for _ in steps:
        pass
