"""The API's document, held against what is really answered and taken."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from service.api.document import describe
from service.api.operation import JSON
from service.api.routes import RESOURCES
from service.settings import Settings
from tests.support.api import Reply

Kind = tuple[int, int | None]
"""A status, and the code of the error; None: none."""


def _pattern(_: object, pattern: str, instance: object, __: object) -> Iterator[ValidationError]:
    # In the dialect of JSON Schema `$` is the end; in Python's it is also before a newline at the end.
    if isinstance(instance, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


_Validator = extend(Draft202012Validator, {"pattern": _pattern})  # type: ignore[no-untyped-call]


def closed(schema: Any) -> Any:
    """The schema without leave to have other properties than those it names."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        made.setdefault("additionalProperties", False)
    return made


class Contract:
    """What the document says."""

    def __init__(self) -> None:
        self.document = describe(RESOURCES, Settings().uids)
        self._components = closed(self.document["components"])
        self._paths = {
            re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))): operations
            for path, operations in self.document["paths"].items()
        }

    def validator(self, schema: Any) -> Any:
        """Of a schema of the document."""
        return _Validator({**closed(schema), "components": self._components})

    def resolved(self, part: Any) -> Any:
        """What a reference refers to; anything else as it is."""
        while "$ref" in part:
            found: Any = self.document
            for name in part["$ref"].removeprefix("#/").split("/"):
                found = found[name]
            part = found
        return part

    def operation(self, method: str, path: str) -> Mapping[str, Any]:
        """The operation that answers a concrete path, its query or base URL aside."""
        bare = re.sub(r"^https?://[^/]+", "", path).partition("?")[0]
        found: Mapping[str, Any] = next(
            each[method.lower()] for template, each in self._paths.items() if template.fullmatch(bare)
        )
        return found

    def check(self, method: str, path: str, reply: Reply) -> tuple[str, Kind]:
        """The reply is one that the operation says it may give; its id, and which of its answers it was."""
        operation = self.operation(method, path)
        assert str(reply.status) in operation["responses"], (method, path, reply)
        response = self.resolved(operation["responses"][str(reply.status)])
        for name, header in response.get("headers", {}).items():
            self._check_header(name, self.resolved(header), reply)
        content = response.get("content")
        code = None
        if content is None:
            assert not reply.body, reply
        else:
            assert reply.headers["Content-Type"].partition(";")[0] in content
            (shown,) = content.values()
            self.validator(shown["schema"]).validate(reply.json if JSON in content else yaml.safe_load(reply.body))
            code = reply.json["errors"][0]["code"] if reply.status >= 400 else None
        return operation["operationId"], (reply.status, code)

    def documented(self) -> set[tuple[str, Kind]]:
        """Every answer of every operation."""
        found: set[tuple[str, Kind]] = set()
        for operations in self.document["paths"].values():
            for operation in operations.values():
                for status, response in operation["responses"].items():
                    for code in self._codes(self.resolved(response), int(status)):
                        found.add((operation["operationId"], (int(status), code)))
        return found

    def _codes(self, response: Mapping[str, Any], status: int) -> list[int | None]:
        if status < 400:
            return [None]
        one = response["content"][JSON]["schema"]["properties"]["errors"]["items"]
        return [each["properties"]["code"]["const"] for each in one.get("oneOf", [one])]

    def _check_header(self, name: str, header: Mapping[str, Any], reply: Reply) -> None:
        value: Any = reply.headers.get(name)
        if value is None:
            assert not header.get("required"), (name, reply)
            return
        if header["schema"].get("type") == "integer":
            value = int(value)
        self.validator(header["schema"]).validate(value)
