"""The parameters that a query may have: what each takes, and how the API's document describes it."""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from marshmallow import ValidationError, fields, validate

from service.api import patterns
from service.model.selectors import (
    MAXIMUM_REQUIREMENTS,
    Malformed,
    Range,
    Requirement,
    parse_label_selector,
    parse_range,
)
from service.model.selectors import MAXIMUM_VALUES as MAXIMUM_SET

MAXIMUM_VALUES = 5000
"""Values of one list parameter: as many as a page can hold."""
MAXIMUM_TIMES = 100
"""Times of one equality list."""


class PlainInteger(fields.Field[int]):
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


class CommaList(fields.Field[frozenset[str]]):
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


class LabelSelector(fields.Field[tuple[Requirement, ...]]):
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


class Times(fields.Field[tuple[Range, ...]]):
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


class Include(fields.Field[tuple[str, ...]]):
    """Names of related resources, joined by commas."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = tuple(names)
        items = {"type": "string", "enum": list(self._names)}
        super().__init__(load_default=(), metadata={"json_schema": {"type": "array", "items": items}})

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> tuple[str, ...]:
        wanted = tuple(dict.fromkeys(value.split(",", len(self._names))))
        if not set(wanted) <= set(self._names):
            raise ValidationError(f"must be among {', '.join(self._names)}")
        return wanted


def embed(name: str) -> fields.Field[Any]:
    return fields.String(
        load_default="",
        validate=validate.Equal(name, error=f"must be {name}"),
        metadata={"description": f"Shows with each its {name.replace('_', ' ')}."},
    )


def order_by(orders: Iterable[str]) -> fields.Field[Any]:
    names = list(orders)
    return fields.String(
        load_default="",
        validate=validate.OneOf(
            [sign + order for order in names for sign in ("", "+", "-")],
            error=f"must be one of {', '.join(names)}, with '-' before it for descending",
        ),
        metadata={"description": "`-`: descending. A `+` is percent-encoded: `%2B`. Default: created_at."},
    )


def times(name: str) -> dict[str, fields.Field[Any]]:
    operators = {"eq": name, **{operator: f"{name}[{operator}]" for operator in ("lt", "lte", "gt", "gte")}}
    return {f"{name}_{operator}": Times(operator, key) for operator, key in operators.items()}
