"""What callers may send: query strings of lists, as messages for service.operations."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote

from marshmallow import Schema, ValidationError, fields, validate

from service.api import patterns
from service.errors import BadQueryParameter, InvalidRequest
from service.http.decoding import check_decodable
from service.model.collection import CREATED_AT, UPDATED_AT, Filters
from service.model.paging import DEFAULT_PER_PAGE, MAXIMUM_PAGE, MAXIMUM_PER_PAGE, PageRequest
from service.model.selectors import (
    MAXIMUM_REQUIREMENTS,
    Malformed,
    Range,
    Requirement,
    parse_label_selector,
    parse_range,
)
from service.model.selectors import MAXIMUM_VALUES as MAXIMUM_SET
from service.operations.reads import ListRequest

MAXIMUM_VALUES = 5000
"""Values of one list parameter: as many as a page can hold."""
MAXIMUM_TIMES = 100
"""Times of one equality list."""
LONGEST_KEPT = 512
"""Characters of a query whose parse is kept: dashboards repeat short ones, and long ones would fill the memory."""

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ORDERS = (CREATED_AT, UPDATED_AT)
_FACETS = ("guids", "types", "app_guids", "space_guids", "organization_guids")


@dataclass(frozen=True)
class ParsedList:
    """A list request, and the pairs of its query that its pages' links repeat (all but page and per_page)."""

    request: ListRequest
    kept: tuple[tuple[str, str], ...]
    embed: bool = False
    """Whether each process is to be shown with its instances."""


class _PlainInteger(fields.Field[int]):
    """Decimal ASCII digits and nothing else: int() would also take `1_0`, ` 1`, `+1` and digits of other scripts."""

    def __init__(self, least: int, most: int, default: int) -> None:
        shown = {"type": "integer", "minimum": least, "maximum": most}
        super().__init__(load_default=default, metadata={"json_schema": shown})
        self._least, self._most = least, most

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        # The length is checked first: turning a megabyte of digits into an integer takes its time.
        if not re.fullmatch(r"[0-9]{1,20}", value) or not self._least <= int(value) <= self._most:
            raise ValidationError(f"must be a whole number from {self._least} to {self._most}")
        return int(value)


class _CommaList(fields.Field[frozenset[str]]):
    """Values joined by commas. Each is percent-decoded once more, so that `%2C` stands for a comma within a value."""

    def __init__(self) -> None:
        shown = {
            "type": "array",
            "maxItems": MAXIMUM_VALUES,
            "items": {"type": "string", "pattern": patterns.NO_COMMA},
            "description": "Values joined by commas. A comma within one is percent-encoded twice: `%252C`.",
        }
        super().__init__(load_default=None, metadata={"json_schema": shown})

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> frozenset[str]:
        parts = value.split(",")
        if len(parts) > MAXIMUM_VALUES:
            raise ValidationError(f"has {len(parts)} values, the most is {MAXIMUM_VALUES}")
        return frozenset(unquote(part) for part in parts)


class _LabelSelector(fields.Field[tuple[Requirement, ...]]):
    def __init__(self) -> None:
        shown = {
            "type": "string",
            "pattern": patterns.SELECTOR,
            "not": {"anyOf": [{"pattern": patterns.TOO_MANY_REQUIREMENTS}, {"pattern": patterns.TOO_MANY_VALUES}]},
            "description": (
                "Requirements joined by commas, all of which must hold: `key`, `!key`, `key=value`, `key==value`, "
                "`key!=value`, `key in (value,value)`, `key notin (value,value)`. At most "
                f"{MAXIMUM_REQUIREMENTS}, and {MAXIMUM_SET} values in one set."
            ),
        }
        super().__init__(load_default=(), metadata={"json_schema": shown})

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> tuple[Requirement, ...]:
        try:
            return parse_label_selector(value)
        except Malformed as error:
            raise ValidationError(str(error)) from error


class _Times(fields.Field[tuple[Range, ...]]):
    """One time under an operator; under `eq` (no brackets) a comma list."""

    def __init__(self, operator: str, data_key: str) -> None:
        shown: dict[str, Any] = {"type": "string", "format": "date-time", "pattern": patterns.TIMESTAMP}
        described = "UTC, in whole seconds, each of which is a span and not a point."
        if operator == "eq":
            shown = {"type": "array", "minItems": 1, "maxItems": MAXIMUM_TIMES, "items": shown}
            described = f"One of these times. {described}"
        json_schema = {**shown, "description": described}
        super().__init__(load_default=None, data_key=data_key, metadata={"json_schema": json_schema})
        self._operator = operator

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> tuple[Range, ...]:
        texts = value.split(",", MAXIMUM_TIMES) if self._operator == "eq" else [value]
        if len(texts) > MAXIMUM_TIMES:
            raise ValidationError(f"has more than {MAXIMUM_TIMES} values")
        try:
            return tuple(dict.fromkeys(parse_range(self._operator, text) for text in texts))
        except Malformed as error:
            raise ValidationError(str(error)) from error


_EMBED = fields.String(
    load_default="",
    validate=validate.Equal("process_instances", error="must be process_instances"),
    metadata={"description": "Shows with each process its instances."},
)


def _times(name: str) -> dict[str, fields.Field[Any]]:
    operators = {"eq": name, **{operator: f"{name}[{operator}]" for operator in ("lt", "lte", "gt", "gte")}}
    return {f"{name}_{operator}": _Times(operator, key) for operator, key in operators.items()}


AppProcessListQuery = Schema.from_dict(
    {
        "page": _PlainInteger(1, MAXIMUM_PAGE, 1),
        "per_page": _PlainInteger(1, MAXIMUM_PER_PAGE, DEFAULT_PER_PAGE),
        "order_by": fields.String(
            load_default="",
            validate=validate.OneOf(
                [sign + order for order in _ORDERS for sign in ("", "+", "-")],
                error=f"must be one of {', '.join(_ORDERS)}, with '-' before it for descending",
            ),
            metadata={"description": "`-`: the latest first. A `+` is percent-encoded: `%2B`. Default: created_at."},
        ),
        "guids": _CommaList(),
        "types": _CommaList(),
        "label_selector": _LabelSelector(),
        "embed": _EMBED,
        **_times("created_ats"),
        **_times("updated_ats"),
    },
    name="AppProcessListQuery",
)
ProcessQuery = Schema.from_dict({"embed": _EMBED}, name="ProcessQuery")
InstancesQuery = Schema.from_dict({}, name="InstancesQuery")
ProcessListQuery = type(
    "ProcessListQuery",
    (AppProcessListQuery,),
    {"app_guids": _CommaList(), "space_guids": _CommaList(), "organization_guids": _CommaList()},
)
_PROCESS_QUERY, _INSTANCES_QUERY = ProcessQuery(), InstancesQuery()
_SCHEMAS: dict[str, Schema] = {"processes": ProcessListQuery(), "app": AppProcessListQuery()}


def parse_list(query: str, of: Literal["processes", "app"]) -> ParsedList:
    """The raw query string of a list. Raises BadQueryParameter with every complaint, InvalidRequest."""
    return _parse_short(query, of) if len(query) <= LONGEST_KEPT else _parse(query, of)


def _parse(query: str, of: Literal["processes", "app"]) -> ParsedList:
    schema = _SCHEMAS[of]
    pairs, values = _load(query, schema)
    order_by = values["order_by"]
    request = ListRequest(
        filters=Filters(
            facets=tuple((name, values[name]) for name in _FACETS if values.get(name) is not None),
            labels=values["label_selector"],
            times=tuple((order, ranges) for order in _ORDERS for ranges in _conditions(values, f"{order}s")),
        ),
        order=order_by.lstrip("+-") or CREATED_AT,
        descending=order_by.startswith("-"),
        page=PageRequest(values["page"], values["per_page"]),
    )
    kept = sorted((name, value) for name, value in pairs.items() if name not in ("page", "per_page"))
    return ParsedList(request, tuple(kept), bool(values["embed"]))


_parse_short = lru_cache(maxsize=1024)(_parse)


def parse_single(query: str) -> bool:
    """Whether the raw query string of one process asks for its instances. Raises BadQueryParameter, InvalidRequest."""
    return bool(query and _load(query, _PROCESS_QUERY)[1]["embed"])


def check_instances(query: str) -> None:
    """The raw query string of instances, which take no parameter. Raises BadQueryParameter, InvalidRequest."""
    if query:
        _load(query, _INSTANCES_QUERY)


def _load(query: str, schema: Schema) -> tuple[dict[str, str], dict[str, Any]]:
    """The pairs of a query as sent, and what the schema makes of them."""
    check_decodable(query)
    try:
        # As Rack does: of a parameter sent twice the last counts.
        pairs = dict(parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=1000))
    except ValueError as error:
        raise InvalidRequest("The query cannot be decoded") from error
    try:
        return pairs, schema.load(pairs)
    except ValidationError as error:
        raise BadQueryParameter(_complaints(pairs, error, schema)) from error


def _conditions(values: Mapping[str, Any], name: str) -> tuple[tuple[Range, ...], ...]:
    found = (values[f"{name}_{operator}"] for operator in ("eq", "lt", "lte", "gt", "gte"))
    return tuple(ranges for ranges in found if ranges is not None)


def _complaints(pairs: Mapping[str, str], error: ValidationError, schema: Schema) -> str:
    """Every complaint, in the order in which the parameters were sent."""
    valid = [field.data_key or name for name, field in schema.fields.items()]
    messages = error.messages_dict
    complaints = [f"'{name}' {text}" for name in pairs if name in valid for text in messages.get(name, ())]
    if unknown := [f"'{name[:80]}'" for name in pairs if name not in valid]:
        accepted = ", ".join(f"'{name}'" for name in valid) or "none"
        complaints.insert(0, f"Unknown query parameter(s): {', '.join(unknown[:20])}. Valid parameters are: {accepted}")
    return ", ".join(complaints)
