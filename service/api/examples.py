"""Examples for the API's document, made by the very functions that answer."""

from collections.abc import Mapping
from typing import Any

from service.api.pages import pagination
from service.api.presenters import (
    HIDDEN_COMMAND,
    present_process,
    present_process_instances,
    present_root,
    present_stats,
)
from service.errors import (
    AnnotationLimitExceeded,
    BadQueryParameter,
    CloudFoundryError,
    InvalidRequest,
    LabelLimitExceeded,
    ResourceNotFound,
    ServiceUnavailable,
    StatsUnavailable,
    UnprocessableEntity,
)
from service.model.instances import Instance
from service.model.paging import PageRequest
from service.model.pods import Pod, State
from service.model.process import SECOND, HealthCheck, Metadata, Process, Workload
from service.model.usage import Usage
from service.operations.instances import Stats

BASE = "https://api.example.org"
_APP, _PROCESS, _SPACE, _POD = (
    "1cb006ee-fb05-47e1-b541-c34179ddc446",
    "084466fe-6c98-5756-b127-45021499e2a9",
    "2f35885d-0c9d-4423-83ad-fd05066f8576",
    "3e0c4b2f-8a35-4a36-9f0a-2f7dbd5c6a11",
)
_CREATED = 1_794_000_000 * SECOND
_NOW = _CREATED + 3600 * SECOND

_METADATA = Metadata(
    app_guid=_APP,
    type="web",
    labels={"tier": "frontend"},
    annotations={"contact": "shop@example.org"},
    log_rate_limit_in_bytes_per_second=1 << 20,
)
_WORKLOAD = Workload(
    uid="6d4c1f0e-0b5c-4a39-9f63-0c9ac4a3a0c5",
    namespace="storefront",
    name="shop-web",
    guid=_PROCESS,
    app_guid=_APP,
    type="web",
    space_guid=_SPACE,
    created_at=_CREATED,
    changed_at=_CREATED,
    version="1",
    command="exec server --port $PORT",
    user="2000",
    instances=2,
    memory_in_mb=512,
    disk_in_mb=1024,
    health_check=HealthCheck("http", timeout=60, invocation_timeout=1, interval=30, endpoint="/healthz"),
    readiness_health_check=HealthCheck("port", invocation_timeout=1, interval=10),
    revision_guid=None,
    registry_credential_guid=None,
    pull_secret_guid=None,
    registry_credential_last_synced_at=None,
)
_SHOWN = Process(
    workload=_WORKLOAD, metadata=_METADATA, space_guid=_SPACE, organization_guid=None, updated_at=_CREATED + SECOND
)
_RUNNING = Pod(
    uid=_POD,
    namespace="storefront",
    name="shop-web-5d7c",
    replica_set="3f0c1a52-7d3e-4f59-8a61-0c9d2b7e4f10",
    created_at=_CREATED,
    index=None,
    state=State.RUNNING,
    since=_CREATED + 2 * SECOND,
    details=None,
    ready=True,
    host="10.0.0.7",
    ip="10.244.1.5",
    container="application",
    memory=512 << 20,
    disk=1024 << 20,
    cpu_nanos=500_000_000,
    ports=((8080, 8080),),
)
_INSTANCES = [Instance(0, _RUNNING), Instance(1, None)]
_USAGE = {(_RUNNING.name, _RUNNING.container): Usage(_NOW - 15 * SECOND, cpu_nanos=250_000_000, memory=128 << 20)}


def _page() -> dict[str, Any]:
    page = pagination(1, PageRequest(), f"{BASE}/v3/processes", ())
    return {**page, "resources": [present_process(_SHOWN, BASE, command=HIDDEN_COMMAND)], "pagination": page}


ANSWERS: Mapping[str, Any] = {
    "Process": present_process(_SHOWN, BASE, command=_WORKLOAD.command),
    "ProcessList": _page(),
    "ProcessInstances": present_process_instances(_SHOWN, _INSTANCES, BASE, _NOW),
    "Stats": present_stats(Stats(_SHOWN, _INSTANCES, _USAGE), _NOW),
    "Root": present_root(BASE),
}
"""By name of the schema."""

BODIES: Mapping[str, Mapping[str, Any]] = {
    "ScaleBody": {
        "instances": {"instances": 3},
        "all": {
            "instances": 5,
            "memory_in_mb": 512,
            "disk_in_mb": 1024,
            "log_rate_limit_in_bytes_per_second": 1 << 20,
        },
    },
    "UpdateBody": {
        "command": {"command": "exec server --port $PORT", "user": "2000"},
        "health check": {"health_check": {"type": "http", "data": {"endpoint": "/healthz", "timeout": 60}}},
        "metadata": {"metadata": {"labels": {"tier": "frontend", "old": None}, "annotations": {"example.org/on": "1"}}},
    },
}
"""By name of the schema, then of the example."""

PARAMETERS: Mapping[str, Any] = {
    "guid": _PROCESS,
    "type": "web",
    "index": 0,
    "order_by": "-updated_at",
    "guids": [_PROCESS],
    "app_guids": [_APP],
    "space_guids": [_SPACE],
    "types": ["web", "worker"],
    "label_selector": "tier in (frontend,backend),!experimental",
    "created_ats": ["2026-11-06T22:40:00Z"],
    "updated_ats[gt]": "2026-11-06T22:40:00Z",
}
"""By name."""

_DETAILS: Mapping[type[CloudFoundryError], str] = {
    InvalidRequest: "A '%' in the path or query must be followed by two hexadecimal digits",
    BadQueryParameter: "'per_page' must be a whole number from 1 to 5000",
    ResourceNotFound: "Process not found",
    UnprocessableEntity: "'instances' must be a whole number from 0 to 2147483647",
    LabelLimitExceeded: "a process can have 50 labels, and this would make 51",
    AnnotationLimitExceeded: "a process can have 200 annotations, and this would make 201",
    ServiceUnavailable: "The metadata store cannot be reached",
    StatsUnavailable: "The service has not finished loading Pods yet",
}


def error(kind: type[CloudFoundryError]) -> dict[str, Any]:
    """The body of one error of the kind."""
    return (kind(_DETAILS[kind]) if kind in _DETAILS else kind()).body()
