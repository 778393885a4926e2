"""What is shown of a process, for the API's document, with an example."""

from service.api.jsonschema import (
    GUID,
    METADATA,
    RELATIONSHIP,
    TEXT,
    TIME,
    JSONSchema,
    array,
    integer,
    links,
    obj,
    or_null,
    ref,
)
from service.api.resources.processes.addresses import APP_GUID, PROCESS_GUID
from service.api.resources.processes.presenter import HIDDEN_COMMAND
from service.model.probes import TYPES
from service.model.process import HealthCheck, Metadata, Process, Workload
from service.model.times import SECOND

HEALTH_CHECK: JSONSchema = obj(
    {
        "type": {"enum": list(TYPES)},
        "data": obj(
            {
                "timeout": or_null(integer(0, description="In seconds, to start.")),
                "invocation_timeout": or_null(integer(0, description="In seconds, for one check.")),
                "interval": or_null(integer(0, description="In seconds, between two checks.")),
                "endpoint": {**or_null(TEXT), "description": "Null unless the type is http."},
            }
        ),
    }
)

PROCESS: JSONSchema = obj(
    {
        "guid": GUID,
        "created_at": TIME,
        "updated_at": TIME,
        "version": TEXT,
        "type": TEXT,
        "command": {**TEXT, "description": f"Empty: the image's own. In lists: `{HIDDEN_COMMAND}`."},
        "user": {**or_null(TEXT), "description": "As it was written: a uid or a name. Null: the image's own."},
        "instances": integer(0),
        "memory_in_mb": integer(0, description="0: no limit."),
        "disk_in_mb": integer(0, description="0: no limit."),
        "log_rate_limit_in_bytes_per_second": integer(-1, description="-1: no limit."),
        "registry_credential_last_synced_at": or_null(TIME),
        "health_check": ref("HealthCheck"),
        "readiness_health_check": ref("HealthCheck"),
        "process_instances": {**array(ref("Instance")), "description": "Only where it is asked for by `embed`."},
        "relationships": obj(
            {
                "app": RELATIONSHIP,
                "revision": or_null(RELATIONSHIP),
                "registry_credential": or_null(RELATIONSHIP),
            }
        ),
        "metadata": METADATA,
        "links": links("self", "scale", "app", "space", "stats", "process_instances", optional=["registry_credential"]),
    },
    optional=["process_instances"],
)

SPACE_GUID = "2f35885d-0c9d-4423-83ad-fd05066f8576"
ORGANIZATION_GUID = "a7c9e3b2-2f0a-4f0e-9c39-0d6f3c1f7a55"
CREATED = 1_794_000_000 * SECOND

_METADATA = Metadata(
    namespace="storefront",
    app_guid=APP_GUID,
    type="web",
    labels={"tier": "frontend"},
    annotations={"contact": "shop@example.org"},
    log_rate_limit_in_bytes_per_second=1 << 20,
)
_WORKLOAD = Workload(
    uid="6d4c1f0e-0b5c-4a39-9f63-0c9ac4a3a0c5",
    namespace="storefront",
    name="shop-web",
    guid=PROCESS_GUID,
    app_guid=APP_GUID,
    type="web",
    space_guid=SPACE_GUID,
    created_at=CREATED,
    changed_at=CREATED,
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
    rollout=1,
    app_name="shop",
    image="registry.example.org/shop:1.4",
    rollout_began_at=CREATED,
    rollout_took_s=20,
)
EXAMPLE = Process(
    workload=_WORKLOAD,
    stored=_METADATA,
    space_guid=SPACE_GUID,
    organization_guid=ORGANIZATION_GUID,
    updated_at=CREATED + SECOND,
)
