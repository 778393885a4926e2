"""JSON Schemas of what is answered: what service.api.presenters and service.api.pages make, for the API's document.

Written by hand, since answers are made by plain functions; a test holds answers to them. Objects may gain fields in
later versions, so that none is said to have no others.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from service.api import patterns
from service.api.presenters import HIDDEN_COMMAND
from service.errors import CloudFoundryError
from service.model.pods import State
from service.model.probes import TYPES

JSONSchema = dict[str, Any]


def ref(name: str) -> JSONSchema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: Mapping[str, JSONSchema], *, optional: Iterable[str] = ()) -> JSONSchema:
    """An object whose properties are all there but for the optional ones."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": dict(properties), "required": required}


def _array(items: JSONSchema) -> JSONSchema:
    return {"type": "array", "items": items}


def _or_null(schema: JSONSchema) -> JSONSchema:
    if "type" in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def _integer(least: int, **more: Any) -> JSONSchema:
    return {"type": "integer", "minimum": least, **more}


_TEXT: JSONSchema = {"type": "string"}
_GUID: JSONSchema = {"type": "string", "minLength": 1}
_TIME: JSONSchema = {"type": "string", "format": "date-time", "pattern": patterns.TIMESTAMP}
_BOOLEAN: JSONSchema = {"type": "boolean"}
_NULL: JSONSchema = {"type": "null"}
_BYTES = _integer(0, description="In bytes.")
_STATES = [state.value for state in State]
_RELATIONSHIP = _object({"data": _object({"guid": _GUID})})
_STAT = {
    "type": _TEXT,
    "index": _integer(0),
    "state": {"enum": [state for state in _STATES if state != State.DOWN.value]},
    "routable": _BOOLEAN,
    "uptime": _integer(0, description="In seconds, in the current state."),
    "isolation_segment": _NULL,
    "details": {**_or_null(_TEXT), "description": "Why it is CRASHED or DOWN."},
}
_PAGE = {
    "total_results": _integer(0),
    "total_pages": _integer(1),
    "first": ref("Link"),
    "last": ref("Link"),
    "next": _or_null(ref("Link")),
    "previous": _or_null(ref("Link")),
}

SCHEMAS: Mapping[str, JSONSchema] = {
    "Link": _object({"href": {"type": "string", "format": "uri"}, "method": {"enum": ["GET", "POST"]}}),
    "HealthCheck": _object(
        {
            "type": {"enum": list(TYPES)},
            "data": _object(
                {
                    "timeout": _or_null(_integer(0, description="In seconds, to start.")),
                    "invocation_timeout": _or_null(_integer(0, description="In seconds, for one check.")),
                    "interval": _or_null(_integer(0, description="In seconds, between two checks.")),
                    "endpoint": {**_or_null(_TEXT), "description": "Null unless the type is http."},
                }
            ),
        }
    ),
    "Instance": _object(
        {
            "index": _integer(0),
            "state": {"enum": _STATES},
            "since": _or_null(_integer(0, description="In seconds, in the current state; null where nothing runs.")),
        }
    ),
    "Process": _object(
        {
            "guid": _GUID,
            "created_at": _TIME,
            "updated_at": _TIME,
            "version": _TEXT,
            "type": _TEXT,
            "command": {**_TEXT, "description": f"Empty: the image's own. In lists: `{HIDDEN_COMMAND}`."},
            "user": {**_or_null(_TEXT), "description": "A uid; null: the image's own."},
            "instances": _integer(0),
            "memory_in_mb": _or_null(_integer(0)),
            "disk_in_mb": _or_null(_integer(0)),
            "log_rate_limit_in_bytes_per_second": _integer(-1, description="-1: no limit."),
            "registry_credential_last_synced_at": _or_null(_TIME),
            "health_check": ref("HealthCheck"),
            "readiness_health_check": ref("HealthCheck"),
            "process_instances": {**_array(ref("Instance")), "description": "Only where it is asked for by `embed`."},
            "relationships": _object(
                {
                    "app": _RELATIONSHIP,
                    "revision": _or_null(_RELATIONSHIP),
                    "registry_credential": _or_null(_RELATIONSHIP),
                }
            ),
            "metadata": _object(
                {name: {"type": "object", "additionalProperties": _TEXT} for name in ("labels", "annotations")}
            ),
            "links": _object(
                {
                    name: ref("Link")
                    for name in ("self", "scale", "app", "space", "stats", "process_instances", "registry_credential")
                },
                optional=["registry_credential"],
            ),
        },
        optional=["process_instances"],
    ),
    "ProcessList": _object(
        {**_PAGE, "resources": _array(ref("Process")), "pagination": {**_object(_PAGE), "description": "The same."}}
    ),
    "ProcessInstances": _object(
        {
            "resources": _array(ref("Instance")),
            "links": _object({"self": ref("Link"), "process": ref("Link")}),
        }
    ),
    "DownInstance": _object({**_STAT, "state": {"const": State.DOWN.value}}),
    "Usage": _object(
        {
            "time": _TIME,
            "cpu": {"type": "number", "minimum": 0, "description": "In cores."},
            "cpu_entitlement": _or_null({"type": "number", "minimum": 0, "description": "Of the CPU asked for."}),
            "mem": _BYTES,
            "disk": _NULL,
            "log_rate": _NULL,
        }
    ),
    "NoUsage": {"type": "object", "maxProperties": 0, "description": "There is no sample yet, or none to be had."},
    "UpInstance": _object(
        {
            **_STAT,
            "instance_guid": _GUID,
            "host": _TEXT,
            "instance_internal_ip": _TEXT,
            "mem_quota": _or_null(_BYTES),
            "disk_quota": _or_null(_BYTES),
            "log_rate_limit": _integer(-1, description="In bytes per second; -1: no limit."),
            "fds_quota": _NULL,
            "instance_ports": _array(
                _object(
                    {
                        "external": _integer(0),
                        "internal": _integer(0),
                        "external_tls_proxy_port": _NULL,
                        "internal_tls_proxy_port": _NULL,
                    }
                )
            ),
            "usage": {"anyOf": [ref("Usage"), ref("NoUsage")]},
        }
    ),
    "Stats": _object({"resources": _array({"oneOf": [ref("DownInstance"), ref("UpInstance")]})}),
    "Root": _object(
        {
            "links": {
                "type": "object",
                "additionalProperties": _or_null(
                    _object(
                        {"href": {"type": "string", "format": "uri"}, "meta": _object({"version": _TEXT})},
                        optional=["meta"],
                    )
                ),
            },
            "cf_on_k8s": _BOOLEAN,
        }
    ),
    "Document": {
        **_object({"openapi": _TEXT, "info": {"type": "object"}, "paths": {"type": "object"}}),
        "additionalProperties": True,
    },
}


def errors_schema(kinds: Iterable[type[CloudFoundryError]]) -> JSONSchema:
    """The error envelope of exactly one error, of one of the kinds."""
    each = [
        _object({"code": {"const": kind.code}, "title": {"const": kind.title}, "detail": _detail(kind)})
        for kind in kinds
    ]
    return _object({"errors": {**_array(each[0] if len(each) == 1 else {"oneOf": each}), "minItems": 1, "maxItems": 1}})


def _detail(kind: type[CloudFoundryError]) -> JSONSchema:
    return {"const": kind.default_detail} if kind.default_detail else _GUID
