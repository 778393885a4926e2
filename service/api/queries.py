"""What callers may ask in a query string: written once, for the lists and single items of any resource."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from marshmallow import Schema, ValidationError, fields, validate

from service.api import patterns
from service.cache import BoundedCache, memory_of
from service.errors import BadQueryParameter, InvalidRequest
from service.http.decoding import check_decodable
from service.model import selectors
from service.model.collection import GUIDS
from service.model.paging import DEFAULT_PER_PAGE, MAXIMUM_PAGE, MAXIMUM_PER_PAGE, PageRequest
from service.model.selection import CREATED_AT, UPDATED_AT, Filters
from service.model.selectors import Malformed, Range, Requirement
from service.operations.reads import ListRequest

MAXIMUM_VALUES = 5000
"""Values of one list parameter: as many as a page can hold."""
MAXIMUM_TIMES = 100
"""Times of one equality list."""
PARSED_BYTES = 2 << 20
"""What is kept of queries that were parsed lately, of all lists together: dashboards repeat theirs."""
LONGEST_KEPT = 512
"""Characters of a query that is kept: long ones would push out all others."""
_PARSED: "BoundedCache[tuple[ListQuery, str], ParsedList]" = BoundedCache(PARSED_BYTES)

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True)
class ParsedList:
    """A list request, and the pairs of its query that its pages' links repeat (all but page and per_page)."""

    request: ListRequest
    kept: tuple[tuple[str, str], ...]
    embed: bool = False
    """Whether each item is to be shown with what can be embedded in it."""
    include: tuple[str, ...] = ()
    """The related resources that are to come along, as they were asked for."""


@dataclass(frozen=True)
class ParsedSingle:
    """What is to be shown beside a single item; as of a list."""

    embed: bool = False
    include: tuple[str, ...] = ()


_NOTHING_ASKED = ParsedSingle()


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
                f"{selectors.MAXIMUM_REQUIREMENTS}, and {selectors.MAXIMUM_VALUES} values in one set."
            ),
        }
        super().__init__(load_default=(), metadata={"json_schema": shown})

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> tuple[Requirement, ...]:
        try:
            return selectors.parse_label_selector(value)
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
            return tuple(dict.fromkeys(selectors.parse_range(self._operator, text) for text in texts))
        except Malformed as error:
            raise ValidationError(str(error)) from error


class _Include(fields.Field[tuple[str, ...]]):
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


def _embed(name: str) -> fields.Field[Any]:
    return fields.String(
        load_default="",
        validate=validate.Equal(name, error=f"must be {name}"),
        metadata={"description": f"Shows with each its {name.replace('_', ' ')}."},
    )


def _order_by(orders: Iterable[str]) -> fields.Field[Any]:
    names = list(orders)
    return fields.String(
        load_default="",
        validate=validate.OneOf(
            [sign + order for order in names for sign in ("", "+", "-")],
            error=f"must be one of {', '.join(names)}, with '-' before it for descending",
        ),
        metadata={"description": "`-`: descending. A `+` is percent-encoded: `%2B`. Default: created_at."},
    )


def _times(name: str) -> dict[str, fields.Field[Any]]:
    operators = {"eq": name, **{operator: f"{name}[{operator}]" for operator in ("lt", "lte", "gt", "gte")}}
    return {f"{name}_{operator}": _Times(operator, key) for operator, key in operators.items()}


@dataclass(frozen=True)
class Extra:
    """What a resource can show beside its own fields."""

    embed: str = ""
    """What `embed` takes; empty: there is no such parameter."""
    include: tuple[str, ...] = ()
    """What `include` takes; none: there is no such parameter."""

    def fields(self) -> dict[str, fields.Field[Any]]:
        return {
            **({"embed": _embed(self.embed)} if self.embed else {}),
            **({"include": _Include(self.include)} if self.include else {}),
        }


NO_EXTRA = Extra()


class ListQuery:
    """The query of one list."""

    def __init__(self, name: str, *, facets: Iterable[str], orders: Iterable[str], extra: Extra = NO_EXTRA) -> None:
        """`name` is the schema's, in the API's document; facets and orders are those of the collection it reads."""
        self._facets = (GUIDS, *(facet for facet in facets if facet != GUIDS))
        self._orders = tuple(orders)
        self._times = tuple(order for order in (CREATED_AT, UPDATED_AT) if order in self._orders)
        self.schema: type[Schema] = Schema.from_dict(
            {
                "page": _PlainInteger(1, MAXIMUM_PAGE, 1),
                "per_page": _PlainInteger(1, MAXIMUM_PER_PAGE, DEFAULT_PER_PAGE),
                "order_by": _order_by(self._orders),
                **{facet: _CommaList() for facet in self._facets},
                "label_selector": _LabelSelector(),
                **extra.fields(),
                **{field: made for order in self._times for field, made in _times(f"{order}s").items()},
            },
            name=name,
        )
        self._loader = self.schema()

    def parse(self, query: str) -> ParsedList:
        """A raw query string. Raises BadQueryParameter with every complaint, InvalidRequest."""
        parsed = _PARSED.get((self, query))
        if parsed is None:
            parsed = self._parse(query)
            if len(query) <= LONGEST_KEPT:
                _PARSED.put((self, query), parsed, memory_of(parsed))
        return parsed

    def _parse(self, query: str) -> ParsedList:
        pairs, values = _load(query, self._loader)
        order_by = values["order_by"]
        request = ListRequest(
            filters=Filters(
                facets=tuple((facet, values[facet]) for facet in self._facets if values[facet] is not None),
                labels=values["label_selector"],
                times=tuple((order, ranges) for order in self._times for ranges in _conditions(values, f"{order}s")),
            ),
            order=order_by.lstrip("+-") or CREATED_AT,
            descending=order_by.startswith("-"),
            page=PageRequest(values["page"], values["per_page"]),
        )
        if order_by and order_by[0] not in "+-":
            # Links always carry the sign, also where the caller sent none.
            pairs = {**pairs, "order_by": f"+{order_by}"}
        kept = sorted((name, value) for name, value in pairs.items() if name not in ("page", "per_page"))
        return ParsedList(request, tuple(kept), bool(values.get("embed")), values.get("include", ()))


class SingleQuery:
    """The query of a single item, or of what takes no parameter at all."""

    def __init__(self, name: str, extra: Extra = NO_EXTRA) -> None:
        self.schema: type[Schema] = Schema.from_dict(extra.fields(), name=name)
        self._loader = self.schema()

    def parse(self, query: str) -> ParsedSingle:
        """A raw query string. Raises BadQueryParameter with every complaint, InvalidRequest."""
        if not query:
            return _NOTHING_ASKED
        values = _load(query, self._loader)[1]
        return ParsedSingle(bool(values.get("embed")), values.get("include", ()))


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
