"""THE table of what the API answers. Whatever is not here is an unknown request."""

from collections.abc import Mapping
from typing import Any

from service.api.operation import Documented, Operation
from service.api.readable import Readable
from service.api.reading import documented
from service.api.resources import environment, root
from service.api.resources.instances import resource as instances
from service.api.resources.processes import resource as processes

READABLE: Mapping[str, Readable[Any]] = {each.plural: each for each in (processes.READABLE,)}
"""The resources that can be read, by their plural."""

RESOURCES: tuple[Documented, ...] = (
    root.RESOURCE,
    instances.RESOURCE,
    processes.RESOURCE,
    environment.RESOURCE,
    *(documented(each, READABLE) for each in READABLE.values()),
)

OPERATIONS: tuple[Operation, ...] = tuple(operation for resource in RESOURCES for operation in resource.operations)

HANDLERS = {operation.id: operation.handler for operation in OPERATIONS}
"""By the name of the operation."""
