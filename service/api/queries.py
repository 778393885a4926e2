"""What callers may ask in a query string: written once, for the lists and single items of any resource."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from marshmallow import Schema, ValidationError, fields

from service.api import parameters
from service.cache import BoundedCache, memory_of
from service.errors import BadQueryParameter, InvalidRequest
from service.http.decoding import check_decodable
from service.model.paging import DEFAULT_PER_PAGE, MAXIMUM_PAGE, MAXIMUM_PER_PAGE, PageRequest
from service.model.selection import CREATED_AT, UPDATED_AT, Filters
from service.model.selectors import Operator, Range
from service.model.shape import GUIDS
from service.operations.questions import ListRequest

PARSED_BYTES = 2 << 20
"""What is kept of queries that were parsed lately, of all lists together: dashboards repeat theirs."""
LONGEST_KEPT = 512
"""Characters of a query that is kept: long ones would push out all others."""
_PARSED: "BoundedCache[tuple[ListQuery, str], ParsedList]" = BoundedCache(PARSED_BYTES)


class ParsedList(msgspec.Struct, frozen=True):
    """A list request, and the pairs of its query that its pages' links repeat (all but page and per_page)."""

    request: ListRequest
    kept: tuple[tuple[str, str], ...]
    embed: bool = False
    """Whether each item is to be shown with what can be embedded in it."""
    include: tuple[str, ...] = ()
    """The related resources that are to come along, as they were asked for."""


class ParsedSingle(msgspec.Struct, frozen=True):
    """What is to be shown beside a single item; as of a list."""

    embed: bool = False
    include: tuple[str, ...] = ()


_NOTHING_ASKED = ParsedSingle()


@dataclass(frozen=True)
class Extra:
    """What a resource can show beside its own fields."""

    embed: str = ""
    """What `embed` takes; empty: there is no such parameter."""
    include: tuple[str, ...] = ()
    """What `include` takes; none: there is no such parameter."""

    def fields(self) -> dict[str, fields.Field[Any]]:
        return {
            **({"embed": parameters.embed(self.embed)} if self.embed else {}),
            **({"include": parameters.Include(self.include)} if self.include else {}),
        }


NO_EXTRA = Extra()


class ListQuery:
    """The query of one list."""

    def __init__(
        self,
        name: str,
        *,
        facets: Mapping[str, str],
        orders: Mapping[str, str],
        labelled: bool = True,
        extra: Extra = NO_EXTRA,
    ) -> None:
        """`name` is the schema's, in the API's document.

        Facets and orders are those of the collection it reads, by what callers call them. `labelled`: whether the items
        have labels at all.
        """
        self._facets = {GUIDS: facets[GUIDS], **facets}
        self._orders = orders
        self._labelled = labelled
        self._times = tuple(order for order in (CREATED_AT, UPDATED_AT) if order in self._orders)
        self.schema: type[Schema] = Schema.from_dict(
            {
                "page": parameters.PlainInteger(1, MAXIMUM_PAGE, 1),
                "per_page": parameters.PlainInteger(1, MAXIMUM_PER_PAGE, DEFAULT_PER_PAGE),
                "order_by": parameters.order_by(self._orders),
                **{facet: parameters.CommaList() for facet in self._facets},
                "label_selector": parameters.LabelSelector(),
                **extra.fields(),
                **{field: made for order in self._times for field, made in parameters.times(f"{order}s").items()},
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
            filters=self._filters(values),
            order=self._orders[order_by.lstrip("+-") or CREATED_AT],
            descending=order_by.startswith("-"),
            page=PageRequest(values["page"], values["per_page"]),
        )
        if order_by and order_by[0] not in "+-":
            # Links always carry the sign, also where the caller sent none.
            pairs = {**pairs, "order_by": f"+{order_by}"}
        kept = sorted((name, value) for name, value in pairs.items() if name not in ("page", "per_page"))
        return ParsedList(request, tuple(kept), bool(values.get("embed")), values.get("include", ()))

    def _filters(self, values: Mapping[str, Any]) -> Filters:
        facets = [(facet, values[name]) for name, facet in self._facets.items() if values[name] is not None]
        labels = values["label_selector"]
        if not self._labelled:
            if any(each.operator in (Operator.EXISTS, Operator.IN) for each in labels):
                # Nothing has the label.
                facets.append((self._facets[GUIDS], frozenset()))
            labels = ()
        times = [(self._orders[name], each) for name in self._times for each in _conditions(values, f"{name}s")]
        return Filters(tuple(facets), labels, tuple(times))


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
