"""Processes: what their addresses are, and what is said where one means several."""

from collections.abc import Collection, Sequence

from service.model.collection import GUIDS
from service.model.index import APP_GUIDS, TYPES
from service.model.process import Process
from service.operations.reads import Address, Meaning, Step

PROCESS_NOT_FOUND, APP_NOT_FOUND = "Process not found", "App not found"
NAMED = 10
"""Namespaces that are named in one text."""


def by_guid(guid: str) -> Address:
    """A process by its own GUID."""
    return (Step(GUIDS, guid, PROCESS_NOT_FOUND),)


def by_app(app_guid: str, process_type: str) -> Address:
    """A process by its app and type."""
    return of_app(app_guid), Step(TYPES, process_type, PROCESS_NOT_FOUND)


def of_app(app_guid: str) -> Step:
    """An app, as the parent of its processes."""
    return Step(APP_GUIDS, app_guid, APP_NOT_FOUND)


def ambiguity_of_read(meaning: Meaning[Process]) -> str | None:
    """What a caller is told of an address that means several processes; None: it means one."""
    if not meaning.others:
        return None
    return f"{_several(meaning.items)}: the oldest is shown, which is in {meaning.item.workload.namespace}"


def ambiguity_of_write(meaning: Meaning[Process]) -> str | None:
    """Why nothing is changed at an address that means several processes; None: it means one."""
    if not meaning.others:
        return None
    return f"{_several(meaning.items)}: nothing was changed, as it is not clear which one is meant"


def ambiguity_of_app(namespaces: Collection[str]) -> str | None:
    """What a caller is told of an app whose GUID is used in several namespaces; None: it is used in one."""
    if len(namespaces) < 2:
        return None
    return (
        f"This app GUID is used in {len(namespaces)} namespaces ({named(namespaces)}): the processes of all are listed"
    )


def _several(processes: Sequence[Process]) -> str:
    return (
        f"This address means {len(processes)} processes, "
        f"in the namespaces {named([process.workload.namespace for process in processes])}"
    )


def named(namespaces: Collection[str]) -> str:
    """The names in order; of many, the first."""
    names = sorted(namespaces)
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
