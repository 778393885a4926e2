"""What a list may be narrowed by: label selectors and timestamp ranges, parsed from text.

Grammar: "Labels and selectors" of the v3 API. Parsers raise `Malformed`, whose message is fit for the caller.
"""

import re
from datetime import UTC, datetime
from enum import Enum

import msgspec

from service.model.times import SECOND, microseconds

MAXIMUM_REQUIREMENTS = 50
MAXIMUM_VALUES = 500
"""Values of one set."""
RESERVED_PREFIX = "cloudfoundry.org"


class Malformed(ValueError):
    """The text is not of the form; the message says what is wrong and what is accepted."""


class Operator(Enum):
    EXISTS = "exists"
    NOT_EXISTS = "not exists"
    IN = "in"
    NOT_IN = "not in"


class Requirement(msgspec.Struct, frozen=True):
    """One condition on the labels; `values` is empty for EXISTS and NOT_EXISTS."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()


class Range(msgspec.Struct, frozen=True):
    """Times from `start` (included) to `end` (excluded); None is open."""

    start: int | None = None
    end: int | None = None

    def __contains__(self, moment: object) -> bool:
        return isinstance(moment, int) and (self.start or moment) <= moment and (self.end is None or moment < self.end)


_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", re.ASCII)
_DNS_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_PREFIX = re.compile(rf"{_DNS_LABEL}(?:\.{_DNS_LABEL})+", re.ASCII | re.IGNORECASE)
_SET = re.compile(r"(?P<key>[^\s!=,()]+) (?P<operator>in|notin) \((?P<values>[^\s()]*)\)", re.ASCII)
_EQUALITY = re.compile(r"(?P<key>[^\s!=,()]+)(?P<operator>==|!=|=)(?P<value>[^\s!=,()]*)", re.ASCII)
_EXISTENCE = re.compile(r"(?P<absent>!?)(?P<key>[^\s!=,()]+)", re.ASCII)


def check_label_key(key: str) -> None:
    """`[prefix/]name`, as labels and annotations of the API are keyed. Raises Malformed."""
    prefix, slash, name = key.rpartition("/")
    if slash:
        if len(prefix) > 253 or not _PREFIX.fullmatch(prefix):
            raise Malformed(
                f"key '{key[:80]}': its prefix must be a DNS name of at most 253 characters with a dot in it"
            )
        if prefix.lower() == RESERVED_PREFIX:
            raise Malformed(f"key '{key[:80]}': the prefix {RESERVED_PREFIX} is reserved")
    if not _NAME.fullmatch(name):
        raise Malformed(
            f"key '{key[:80]}': its name must be 1 to 63 letters, digits, '-', '_' or '.', "
            "with a letter or digit at both ends"
        )


def check_label_value(value: str) -> None:
    """Empty, or of a name's form. Raises Malformed."""
    if value and not _NAME.fullmatch(value):
        raise Malformed(
            f"value '{value[:80]}' must be empty or 1 to 63 letters, digits, '-', '_' or '.', "
            "with a letter or digit at both ends"
        )


def parse_label_selector(text: str) -> tuple[Requirement, ...]:
    """`k`, `!k`, `k=v`, `k==v`, `k!=v`, `k in (a,b)`, `k notin (a,b)`, joined by commas. Raises Malformed."""
    parts = _split(text)
    if len(parts) > MAXIMUM_REQUIREMENTS:
        raise Malformed(f"has {len(parts)} requirements, the most is {MAXIMUM_REQUIREMENTS}")
    return tuple(dict.fromkeys(_requirement(part) for part in parts))


def _split(text: str) -> list[str]:
    """At the commas outside parentheses."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(text):
        if character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    return [*parts, text[start:]]


def _requirement(text: str) -> Requirement:
    if match := _SET.fullmatch(text):
        operator = Operator.IN if match["operator"] == "in" else Operator.NOT_IN
        values = match["values"].split(",", MAXIMUM_VALUES)
        if len(values) > MAXIMUM_VALUES:
            raise Malformed(f"requirement '{text[:80]}' has more than {MAXIMUM_VALUES} values")
        if "" in values:
            raise Malformed(f"requirement '{text[:80]}' has an empty value in its set")
    elif match := _EQUALITY.fullmatch(text):
        operator = Operator.NOT_IN if match["operator"] == "!=" else Operator.IN
        values = [match["value"]]
    elif match := _EXISTENCE.fullmatch(text):
        operator = Operator.NOT_EXISTS if match["absent"] else Operator.EXISTS
        values = []
    else:
        raise Malformed(
            f"requirement '{text[:80]}' is none of: key, !key, key=value, key==value, key!=value, "
            "key in (value,value), key notin (value,value)"
        )
    check_label_key(match["key"])
    for value in values:
        check_label_value(value)
    if operator is Operator.IN and values == [""]:
        # `k=` asks for nothing that exists: the API has it match no resource, not those with an empty value.
        values = []
    return Requirement(match["key"], operator, frozenset(values))


_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


def parse_timestamp(text: str) -> int:
    """The start of the second written as `YYYY-MM-DDThh:mm:ssZ`. Raises Malformed."""
    if not _TIMESTAMP.fullmatch(text):
        raise Malformed(f"'{text[:40]}' is not a time of the form YYYY-MM-DDThh:mm:ssZ")
    try:
        return microseconds(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC))
    except ValueError as error:
        raise Malformed(f"'{text}' is not a time that exists") from error


def parse_range(operator: str, text: str) -> Range:
    """The times that `operator` (eq, lt, lte, gt, gte) and a written second select: a second is a span, not a point."""
    start = parse_timestamp(text)
    end = start + SECOND
    match operator:
        case "eq":
            return Range(start, end)
        case "lt":
            return Range(None, start)
        case "lte":
            return Range(None, end)
        case "gt":
            return Range(end, None)
        case "gte":
            return Range(start, None)
        case _:
            raise Malformed(f"'{operator[:40]}' is none of lt, lte, gt, gte")
