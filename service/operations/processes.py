"""The addresses of processes."""

from service.model.index import APP_GUIDS, TYPES
from service.model.shape import GUIDS
from service.operations.questions import Address, Step

PROCESS_NOT_FOUND, APP_NOT_FOUND = "Process not found", "App not found"


def by_guid(guid: str) -> Address:
    """A process by its own GUID."""
    return (Step(GUIDS, guid, PROCESS_NOT_FOUND),)


def by_app(app_guid: str, process_type: str) -> Address:
    """A process by its app and type."""
    return of_app(app_guid), Step(TYPES, process_type, PROCESS_NOT_FOUND)


def of_app(app_guid: str) -> Step:
    """An app, as the parent of its processes."""
    return Step(APP_GUIDS, app_guid, APP_NOT_FOUND)
