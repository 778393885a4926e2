"""What kube-apiserver answers with, beside objects: statuses in its own words, and warnings."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import orjson

LONGEST_MESSAGE, LONGEST_WARNING = 500, 1000
"""Characters. Warnings of Pod security have some hundreds."""
_WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Answer:
    """What came back for a request, whatever its status."""

    status: int
    body: bytes
    warnings: tuple[str, ...] = ()
    """What Kubernetes has to say of a request that it carried out, such as a rule that was broken."""


def words_of(body: bytes) -> str | None:
    """The message of a Kubernetes Status; None: the body is none, but a proxy's page, say."""
    try:
        status = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if isinstance(status, dict) and status.get("kind") == "Status":
        return str(status.get("message"))[:LONGEST_MESSAGE]
    return None


def status_message(body: bytes) -> str:
    """The message of a Kubernetes Status; what else came is not repeated."""
    return words_of(body) or "not a Kubernetes Status"


def warning_texts(headers: Iterable[str]) -> tuple[str, ...]:
    """The texts in `Warning: 299` headers (RFC 7234, 5.5). One header may hold several."""
    found = (each for header in headers for each in _WARNING.findall(header))
    # Bytes that are no UTF-8 come as lone surrogates, which cannot be written out again.
    texts = (re.sub(r"\\(.)", r"\1", text).encode("utf-8", "replace").decode() for text in found)
    return tuple(text[:LONGEST_WARNING] for text in texts)
