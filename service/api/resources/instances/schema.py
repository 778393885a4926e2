"""What is shown of instances, for the API's document, with examples."""

from collections.abc import Mapping
from typing import Any

from service.api.jsonschema import BOOLEAN, GUID, NULL, TEXT, TIME, JSONSchema, array, integer, obj, or_null, ref
from service.api.resources.instances.presenter import present_process_instances, present_stats
from service.api.resources.processes.schema import CREATED, EXAMPLE
from service.model.instances import Instance
from service.model.pods import Pod, State
from service.model.times import SECOND
from service.model.usage import Usage
from service.operations.instances import Stats

_BYTES = integer(0, description="In bytes.")
_STATES = [state.value for state in State]
_STAT = {
    "type": TEXT,
    "index": integer(0),
    "state": {"enum": [state for state in _STATES if state != State.DOWN.value]},
    "routable": BOOLEAN,
    "uptime": integer(0, description="In seconds, in the current state."),
    "isolation_segment": NULL,
    "details": {**or_null(TEXT), "description": "Why it is CRASHED or DOWN."},
}

SCHEMAS: Mapping[str, JSONSchema] = {
    "Instance": obj(
        {
            "index": integer(0),
            "state": {"enum": _STATES},
            "since": or_null(integer(0, description="In seconds, in the current state; null where nothing runs.")),
        }
    ),
    "ProcessInstances": obj(
        {
            "resources": array(ref("Instance")),
            "links": obj({"self": ref("Link"), "process": ref("Link")}),
        }
    ),
    "DownInstance": obj({**_STAT, "state": {"const": State.DOWN.value}}),
    "Usage": obj(
        {
            "time": TIME,
            "cpu": {"type": "number", "minimum": 0, "description": "In cores."},
            "cpu_entitlement": or_null({"type": "number", "minimum": 0, "description": "Of the CPU asked for."}),
            "mem": _BYTES,
            "disk": NULL,
            "log_rate": NULL,
        }
    ),
    "NoUsage": {"type": "object", "maxProperties": 0, "description": "There is no sample yet, or none to be had."},
    "UpInstance": obj(
        {
            **_STAT,
            "instance_guid": GUID,
            "host": TEXT,
            "instance_internal_ip": TEXT,
            "mem_quota": or_null(_BYTES),
            "disk_quota": or_null(_BYTES),
            "log_rate_limit": integer(-1, description="In bytes per second; -1: no limit."),
            "fds_quota": integer(0, description="Open files that an instance may have: a setting of the service."),
            "instance_ports": array(
                obj(
                    {
                        "external": integer(0),
                        "internal": integer(0),
                        "external_tls_proxy_port": NULL,
                        "internal_tls_proxy_port": NULL,
                    }
                )
            ),
            "usage": {"anyOf": [ref("Usage"), ref("NoUsage")]},
        }
    ),
    "Stats": obj({"resources": array({"oneOf": [ref("DownInstance"), ref("UpInstance")]})}),
}

NOW = CREATED + 3600 * SECOND
_RUNNING = Pod(
    uid="3e0c4b2f-8a35-4a36-9f0a-2f7dbd5c6a11",
    namespace="storefront",
    name="shop-web-5d7c",
    replica_set="3f0c1a52-7d3e-4f59-8a61-0c9d2b7e4f10",
    created_at=CREATED,
    index=None,
    state=State.RUNNING,
    since=CREATED + 2 * SECOND,
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
_USAGE = {(_RUNNING.name, _RUNNING.container): Usage(NOW - 15 * SECOND, cpu_nanos=250_000_000, memory=128 << 20)}


ANSWERS: Mapping[str, Any] = {
    "ProcessInstances": present_process_instances(EXAMPLE, _INSTANCES, "https://api.example.org", NOW),
    "Stats": present_stats(Stats(EXAMPLE, _INSTANCES, _USAGE), NOW, 16384),
}
