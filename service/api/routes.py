"""THE table of what the API answers. Whatever is not here is an unknown request."""

from collections.abc import Mapping
from typing import Any

from service.api.operation import Documented, Operation
from service.api.readable import Readable
from service.api.reading import documented
from service.api.resources import organizations, root, spaces
from service.api.resources.apps import deployments, droplets, manifest
from service.api.resources.apps import resource as apps
from service.api.resources.instances import resource as instances
from service.api.resources.processes import resource as processes

READABLE: Mapping[str, Readable[Any]] = {
    each.plural: each
    for each in (
        organizations.READABLE,
        spaces.READABLE,
        apps.READABLE,
        processes.READABLE,
        droplets.READABLE,
        deployments.READABLE,
    )
}
"""The resources that can be read, by their plural."""

RESOURCES: tuple[Documented, ...] = (
    root.RESOURCE,
    manifest.RESOURCE,
    instances.RESOURCE,
    processes.RESOURCE,
    *(documented(each, READABLE) for each in READABLE.values()),
)

OPERATIONS: tuple[Operation, ...] = tuple(operation for resource in RESOURCES for operation in resource.operations)

HANDLERS = {operation.id: operation.handler for operation in OPERATIONS}
"""By the name of the operation."""
