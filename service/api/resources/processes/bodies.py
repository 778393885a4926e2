"""What may be sent to change a process: a scale, and an update."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate
from msgspec import UNSET, UnsetType

from service.api import patterns
from service.api.bodies import INT32, INT64, Amount, BodySchema, Integer, MetadataBody, Text, load, nested
from service.api.resources.processes.presenter import HIDDEN_COMMAND
from service.model.changes import Scale, Update
from service.model.edits import User
from service.model.probes import LONGEST_TIMEOUT_S, TYPES, CheckChange
from service.model.process import MetadataChange
from service.model.texts import LONGEST_COMMAND, LONGEST_ENDPOINT


def parse_scale(document: object) -> Scale:
    """Raises UnprocessableEntity with every complaint."""
    values = load(_SCALE, document)
    return Scale(
        instances=values.get("instances"),
        memory_in_mb=values.get("memory_in_mb"),
        disk_in_mb=values.get("disk_in_mb"),
        metadata=MetadataChange(
            log_rate_limit_in_bytes_per_second=values.get("log_rate_limit_in_bytes_per_second"),
        ),
    )


def parse_update(document: object, user_ids: Mapping[str, int]) -> Update:
    """`user_ids` are the uids that stand for names of users. Raises UnprocessableEntity with every complaint."""
    values = load(update_body(user_ids), document)
    metadata = values.get("metadata", {})
    command = values.get("command", UNSET)
    return Update(
        # What a list has shown in place of the command, sent back with the rest of it.
        command=UNSET if command == HIDDEN_COMMAND else command,
        user=values.get("user", UNSET),
        health_check=_check_change(values.get("health_check", {})),
        readiness_health_check=_check_change(values.get("readiness_health_check", {})),
        metadata=MetadataChange(labels=metadata.get("labels") or {}, annotations=metadata.get("annotations") or {}),
    )


def _check_change(check: Mapping[str, Any] | None) -> CheckChange | UnsetType | None:
    if check is None:
        return None
    return CheckChange(check.get("type"), check.get("data", {})) if check else UNSET


class _User(fields.Field[User]):
    """A uid in digits, or a name that stands for one."""

    def __init__(self, user_ids: Mapping[str, int]) -> None:
        shown = [
            {"type": "string", "pattern": patterns.digits_to(INT32)},
            {"enum": [*sorted(user_ids), None]},
        ]
        super().__init__(allow_none=True, metadata={"json_schema": {"anyOf": shown}})
        self._user_ids = user_ids

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> User:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,10}", value) and int(value) <= INT32:
            return User(int(value))
        if isinstance(value, str) and value in self._user_ids:
            return User(self._user_ids[value], value)
        names = ", ".join(f"'{name}'" for name in sorted(self._user_ids)) or "none"
        raise ValidationError(f"must be a uid from 0 to {INT32} as a text, or a name that is known here: {names}")


class ScaleBody(BodySchema):
    """0 MiB is how no limit shows: where there is none it may be sent back, and elsewhere it is refused later."""

    instances = Amount(0, INT32)
    memory_in_mb = Amount(0, INT32)
    disk_in_mb = Amount(0, INT32)
    log_rate_limit_in_bytes_per_second = Amount(-1, INT64)


class ReadinessHealthCheckData(BodySchema):
    timeout: fields.Field[Any] = fields.Field(
        allow_none=True,
        validate=validate.Equal(None, error="is for liveness only: a readiness check has none"),
        metadata={"json_schema": {"type": "null"}},
    )
    invocation_timeout = Integer(1, INT32)
    interval = Integer(1, INT32)
    endpoint = Text(
        1,
        LONGEST_ENDPOINT,
        pattern=patterns.ENDPOINT,
        validate=validate.Regexp(r"/[^\s\x00-\x1f\x7f]*\Z", error="must begin with '/' and hold no spaces"),
    )


class HealthCheckData(ReadinessHealthCheckData):
    timeout = Integer(
        1,
        INT32,
        shown={"description": f"Above {LONGEST_TIMEOUT_S} only what is shown already can be sent back."},
    )


class HealthCheckBody(BodySchema):
    type = fields.String(
        validate=validate.OneOf(TYPES, error=f"must be one of {', '.join(TYPES)}"),
        error_messages={"null": f"must be one of {', '.join(TYPES)}", "invalid": f"must be one of {', '.join(TYPES)}"},
    )
    data = nested(HealthCheckData)


class ReadinessHealthCheckBody(HealthCheckBody):
    data = nested(ReadinessHealthCheckData)


class UpdateBody(BodySchema):
    """`user` needs the names that settings know: `update_body` adds them."""

    command = Text(
        0, LONGEST_COMMAND, description="Null: back to what the app came with. Empty: only where it is shown so."
    )
    user = _User({})
    health_check = nested(HealthCheckBody, allow_none=True)
    readiness_health_check = nested(ReadinessHealthCheckBody, allow_none=True)
    metadata = nested(MetadataBody)


_SCALE = ScaleBody()


def scale_body(_user_ids: Mapping[str, int]) -> Schema:
    """What a scale may say."""
    return _SCALE


def update_body(user_ids: Mapping[str, int]) -> Schema:
    """What an update may say."""
    return _update_body(frozenset(user_ids.items()))


@lru_cache(maxsize=8)
def _update_body(user_ids: frozenset[tuple[str, int]]) -> Schema:
    made: Schema = type("UpdateBody", (UpdateBody,), {"user": _User(dict(user_ids))})()
    return made
