"""What callers are told of an address that means several things they see, in different namespaces."""

from collections.abc import Collection
from typing import Any

from service.operations.questions import Meaning

NAMED = 10
"""Namespaces that are named in one text."""


def of_read(meaning: Meaning[Any]) -> str | None:
    """What a reader is told; None: the address means one thing."""
    if not meaning.others:
        return None
    return f"{_several(meaning)}: shown is the oldest, which is in {meaning.namespaces[0]}"


def of_write(meaning: Meaning[Any]) -> str | None:
    """Why nothing is changed; None: the address means one thing."""
    if not meaning.others:
        return None
    return f"{_several(meaning)}: nothing was changed, for it is not clear which one is meant"


def of_parent(namespaces: Collection[str]) -> str | None:
    """What a reader is told of a list that belongs to a GUID; None: the GUID is used in one namespace."""
    if len(namespaces) < 2:
        return None
    return f"This GUID is used in {len(namespaces)} namespaces ({_names(namespaces)}): what is in all of them is listed"


def _several(meaning: Meaning[Any]) -> str:
    return f"This address means {len(meaning.items)} different things, in the namespaces {_names(meaning.namespaces)}"


def _names(namespaces: Collection[str]) -> str:
    named = sorted(namespaces)
    return ", ".join(named[:NAMED]) + (f" and {len(named) - NAMED} more" if len(named) > NAMED else "")
