"""THE table of what the API answers. Whatever is not here is an unknown request."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from service.api.operation import Documented, Operation
from service.api.readable import Readable
from service.api.reading import documented
from service.api.resources import absent, features, organizations, root, sidecars, spaces, whoami
from service.api.resources.apps import actions, deployments, droplets, environment, manifest, rollouts
from service.api.resources.apps import resource as apps
from service.api.resources.instances import resource as instances
from service.api.resources.processes import resource as processes
from service.api.resources.routes import resource as routes

READABLE: Mapping[str, Readable[Any]] = {
    each.plural: each
    for each in (
        organizations.READABLE,
        spaces.READABLE,
        apps.READABLE,
        processes.READABLE,
        droplets.READABLE,
        deployments.READABLE,
        routes.READABLE,
        sidecars.READABLE,
    )
}
"""The resources that can be read, by their plural."""

RESOURCES: tuple[Documented, ...] = (
    root.RESOURCE,
    whoami.RESOURCE,
    manifest.RESOURCE,
    instances.RESOURCE,
    processes.RESOURCE,
    actions.RESOURCE,
    environment.RESOURCE,
    rollouts.RESOURCE,
    *(documented(each, READABLE) for each in READABLE.values()),
    features.RESOURCE,
    absent.RESOURCE,
)

PROCESS_PATHS = re.compile(r"/v3/processes(/.*)?|/v3/apps/[^/]+/processes(/.*)?")
"""Where processes are, and what is theirs: what deploy/routemap sends here."""
_ALWAYS = ("/", "/v3", "/v3/openapi.json")
"""What says of itself what is served."""

OPERATIONS: tuple[Operation, ...] = tuple(operation for resource in RESOURCES for operation in resource.operations)

HANDLERS = {operation.id: operation.handler for operation in OPERATIONS}
"""By the name of the operation."""


_LIST = re.compile(r"/v3/([a-z_]+)")


def lists_of(resources: Iterable[Documented]) -> tuple[str, ...]:
    """The plurals of what is listed right below `/v3`: the links that GET /v3 has."""
    operations = [each for resource in resources for each in resource.operations if each.method == "GET"]
    found = [_LIST.fullmatch(each.path) for each in operations if each.tag != "root"]
    return tuple(match[1] for match in found if match is not None)


def served_of(what: str) -> tuple[Documented, ...]:
    """What the setting SERVED leaves of the table: `all`, or what belongs to `processes`."""
    return RESOURCES if what == "all" else tuple(_of_processes(RESOURCES))


def _of_processes(resources: Iterable[Documented]) -> Iterable[Documented]:
    for resource in resources:
        kept = tuple(each for each in resource.operations if each.path in _ALWAYS or PROCESS_PATHS.fullmatch(each.path))
        if kept:
            yield replace(resource, operations=kept)
