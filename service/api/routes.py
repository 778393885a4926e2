"""THE table of what the API answers. Whatever is not here is an unknown request."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from service.api.operation import Documented, Operation
from service.api.readable import Readable
from service.api.reading import documented
from service.api.resources import root, sidecars
from service.api.resources.instances import resource as instances
from service.api.resources.processes import resource as processes
from service.api.resources.routes import resource as routes

READABLE: Mapping[str, Readable[Any]] = {
    each.plural: each for each in (processes.READABLE, routes.READABLE, sidecars.READABLE)
}
"""The resources that can be read, by their plural."""

RESOURCES: tuple[Documented, ...] = (
    root.RESOURCE,
    instances.RESOURCE,
    processes.RESOURCE,
    *(documented(each, READABLE) for each in READABLE.values()),
)

PROCESS_PATHS = re.compile(r"/v3/processes(/.*)?|/v3/apps/[^/]+/processes(/.*)?")
"""Where processes are, and what is theirs: what deploy/routemap sends here."""
_ALWAYS = ("/", "/v3", "/v3/openapi.json")
"""What says of itself what is served."""

OPERATIONS: tuple[Operation, ...] = tuple(operation for resource in RESOURCES for operation in resource.operations)

HANDLERS = {operation.id: operation.handler for operation in OPERATIONS}
"""By the name of the operation."""


def served_of(what: str) -> tuple[Documented, ...]:
    """What the setting SERVED leaves of the table: `all`, or what belongs to `processes`."""
    return RESOURCES if what == "all" else tuple(_of_processes(RESOURCES))


def _of_processes(resources: Iterable[Documented]) -> Iterable[Documented]:
    for resource in resources:
        kept = tuple(each for each in resource.operations if each.path in _ALWAYS or PROCESS_PATHS.fullmatch(each.path))
        if kept:
            yield replace(resource, operations=kept)
