"""THE table of what the API answers. Whatever is not here is an unknown request."""

from collections.abc import Mapping
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

OPERATIONS: tuple[Operation, ...] = tuple(operation for resource in RESOURCES for operation in resource.operations)

HANDLERS = {operation.id: operation.handler for operation in OPERATIONS}
"""By the name of the operation."""
