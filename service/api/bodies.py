"""What callers may send in a body, as messages for service.operations. All complaints of one body come at once."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson
from aiohttp import hdrs, web
from marshmallow import Schema, ValidationError, fields, pre_load

from service.api import patterns
from service.api.values import count_values
from service.errors import MessageParseError, UnprocessableEntity
from service.http.keys import SETTINGS
from service.http.receiving import receive
from service.model.selectors import Malformed, check_label_key, check_label_value

INT32, INT64 = (1 << 31) - 1, (1 << 63) - 1
LONGEST_ANNOTATION = 5000
MAXIMUM_COMPLAINTS = 50
LARGEST_SCALE = 16 * 1024
"""Bytes of a body of four numbers, however it is written."""
MOST_MEMBERS, MOST_PAIRS = 100, 1000
"""Members of an object, and labels or annotations: to complain of each of thousands would take a while."""
MOST_VALUES = 10_000
"""Values in a body, nested ones included: an empty list of three bytes becomes an object of sixty."""
UNKNOWN = "Unknown field."
FORM = object()
"""Stands for a body that is a form, which nobody parses."""
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


async def read_document(request: web.Request, most: int | None = None) -> object:
    """The body as JSON, whatever its type is said to be; nothing is `{}`. Of `most` bytes, where that is less.

    Raises UnprocessableEntity, and as service.http.receiving.receive does.
    """
    largest = request.app[SETTINGS].max_body_bytes
    body = await receive(request, largest if most is None else min(most, largest))
    if body and request.content_type in _FORMS and hdrs.CONTENT_TYPE in request.headers:
        return FORM
    if await has_too_much(body):
        raise UnprocessableEntity(f"The request body has more than {MOST_VALUES} values")
    try:
        # NB: the standard library's parser turns deep nesting and huge integers into exceptions of other kinds.
        return orjson.loads(body) if body.strip() else {}
    except orjson.JSONDecodeError as error:
        raise MessageParseError from error


async def has_too_much(body: bytes) -> bool:
    """Whether to parse the body would make more than MOST_VALUES values."""
    if len(body) <= MOST_VALUES:
        return False
    found = 0
    for more in count_values(body):
        found += more
        if found > MOST_VALUES:
            return True
        await asyncio.sleep(0)
    return False


class Integer(fields.Field[int]):
    """A JSON integer; not a text, a fraction or a truth value."""

    def __init__(self, least: int, most: int, *, shown: Mapping[str, Any] | None = None) -> None:
        shown = {"type": ["integer", "null"], "minimum": least, "maximum": most, **(shown or {})}
        super().__init__(allow_none=True, metadata={"json_schema": shown})
        self.least, self.most = least, most

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        if type(value) is not int or not self.least <= value <= self.most:
            raise ValidationError(f"must be a whole number from {self.least} to {self.most}")
        return value


class Amount(Integer):
    """A whole number, or a text of ASCII digits, as the original takes it: `"3"`, but not `"3.0"`, `"3 "` or `""`."""

    def __init__(self, least: int, most: int) -> None:
        # To JSON Schema a pattern is of texts alone, and limits are of numbers.
        super().__init__(
            least, most, shown={"type": ["integer", "string", "null"], "pattern": patterns.digits_to(most)}
        )
        self._longest = len(str(most))

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        # The length is checked first: a number of a million digits takes its time.
        if isinstance(value, str) and len(value) <= self._longest and value.isascii() and value.isdigit():
            value = int(value)
        return super()._deserialize(value, attr, data, **kwargs)


class Text(fields.Field[str]):
    """A JSON string without NUL, of so many characters."""

    def __init__(
        self, least: int, most: int, *, pattern: str = patterns.NO_NUL, description: str = "", **kwargs: Any
    ) -> None:
        shown: dict[str, Any] = {"type": ["string", "null"], "minLength": least, "maxLength": most, "pattern": pattern}
        if description:
            shown["description"] = description
        super().__init__(allow_none=True, metadata={"json_schema": shown}, **kwargs)
        self.least, self.most = least, most

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if not isinstance(value, str) or not self.least <= len(value) <= self.most or "\0" in value:
            raise ValidationError(f"must be a text of {self.least} to {self.most} characters, none of them NUL")
        return value


class Pairs(fields.Field[dict[str, str | None]]):
    """Keys and values of labels, annotations or the like; a null deletes the key."""

    def __init__(
        self,
        check_value: Callable[[Any], None],
        shown: Mapping[str, Any],
        *,
        check_key: Callable[[str], None] = check_label_key,
        keys: str = patterns.KEY,
        allow_none: bool = False,
    ) -> None:
        """The checks raise Malformed. `shown` and the pattern `keys` are for the API's document."""
        shown = {
            "type": ["object", "null"] if allow_none else "object",
            "maxProperties": MOST_PAIRS,
            "propertyNames": {"pattern": keys},
            "additionalProperties": {"type": ["string", "null"], **shown},
        }
        super().__init__(
            error_messages={"null": "must be an object"}, allow_none=allow_none, metadata={"json_schema": shown}
        )
        self._check_key = check_key
        self._check_value = check_value

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> dict[str, str | None]:
        if not isinstance(value, dict):
            raise ValidationError("must be an object")
        if len(value) > MOST_PAIRS:
            raise ValidationError(f"must have {MOST_PAIRS} keys at most")
        complaints = []
        for key, text in value.items():
            try:
                self._check_key(key)
            except Malformed as error:
                complaints.append(str(error))
            try:
                if text is not None:
                    self._check_value(text)
            except Malformed as error:
                complaints.append(f"key '{key[:80]}': {error}")
        if complaints:
            raise ValidationError(complaints)
        return value


def _check_label(value: Any) -> None:
    if not isinstance(value, str):
        raise Malformed("its value must be a text")
    check_label_value(value)


def _check_annotation(value: Any) -> None:
    if not isinstance(value, str) or len(value) > LONGEST_ANNOTATION or "\0" in value:
        raise Malformed(f"its value must be a text of at most {LONGEST_ANNOTATION} characters, none of them NUL")


class BodySchema(Schema):
    """Refuses what it does not know."""

    error_messages = {"type": "must be an object", "unknown": UNKNOWN}  # noqa: RUF012 - as marshmallow has it

    @pre_load
    def refuse_crowds(self, data: Any, **_: Any) -> Any:
        if isinstance(data, dict) and len(data) > MOST_MEMBERS:
            raise ValidationError(f"must have {MOST_MEMBERS} members at most")
        return data


class NothingBody(BodySchema):
    """Nothing, or an object that says nothing."""


NOTHING = NothingBody()


def nested(schema: type[Schema], *, allow_none: bool = False, required: bool = False) -> fields.Nested:
    said: dict[str, Any] = dict.fromkeys(("null", "type", "required"), "must be an object")
    return fields.Nested(schema, allow_none=allow_none, required=required, error_messages=said)


class MetadataBody(BodySchema):
    """The Java client sends null for whichever of the two it does not change."""

    labels = Pairs(_check_label, {"pattern": patterns.LABEL_VALUE}, allow_none=True)
    annotations = Pairs(
        _check_annotation, {"maxLength": LONGEST_ANNOTATION, "pattern": patterns.NO_NUL}, allow_none=True
    )


def load(schema: Schema, document: object) -> dict[str, Any]:
    if document is FORM:
        raise UnprocessableEntity("The request body must be JSON, not a form")
    if not isinstance(document, dict):
        raise UnprocessableEntity("The request body must be a JSON object")
    if len(document) > MOST_MEMBERS:
        raise UnprocessableEntity(f"The request body must have {MOST_MEMBERS} members at most")
    try:
        loaded: dict[str, Any] = schema.load(document)
    except ValidationError as error:
        raise UnprocessableEntity(_complaints(error.messages_dict, document)) from error
    return loaded


def _complaints(messages: Mapping[str, Any], document: object) -> str:
    """Every complaint, in the order of the document; the unknown fields first and in one."""
    found = list(_walk(messages, "", document))
    unknown = [f"'{path[:80]}'" for path, text in found if text == UNKNOWN]
    complaints = [f"'{path}' {text}" for path, text in found if text != UNKNOWN]
    if unknown:
        complaints.insert(0, f"Unknown field(s): {', '.join(unknown[:MAXIMUM_COMPLAINTS])}")
    return ", ".join(complaints[:MAXIMUM_COMPLAINTS])


def _walk(messages: Mapping[str, Any], prefix: str, document: object) -> Iterator[tuple[str, str]]:
    sent = document if isinstance(document, dict) else {}
    order = {name: position for position, name in enumerate(sent)}
    for name, inner in sorted(messages.items(), key=lambda item: order.get(item[0], -1)):
        # marshmallow's own key for an object as a whole, unless somebody has sent one of that name.
        path = prefix if name == "_schema" and name not in sent else f"{prefix}.{name}" if prefix else name
        if isinstance(inner, Mapping):
            yield from _walk(inner, path, sent.get(name))
        else:
            yield from ((path, text) for text in inner)
