"""The sidecars: only read. The manifest of the Deployment is where they are changed."""

from typing import Any

from service.api.jsonschema import GUID, RELATIONSHIP, TEXT, TIME, array, integer, obj
from service.api.readable import Parent, Readable
from service.api.resources.processes.addresses import APP_GUID, PROCESS_GUID
from service.api.resources.processes.presenter import all_that_is_large
from service.api.resources.processes.schema import EXAMPLE as PROCESS
from service.model.process import SidecarContainer
from service.model.shape import GUIDS
from service.model.sidecars import APP_GUIDS, PROCESS_GUIDS, SIDECARS, Sidecar
from service.model.times import timestamp
from service.operations.processes import PROCESS_NOT_FOUND, of_app
from service.operations.questions import Step


def present(sidecar: Sidecar, _: str) -> dict[str, Any]:
    """A sidecar as any read shows it: who may read the Deployment may read the command."""
    process, container = sidecar.process, sidecar.container
    return {
        "guid": sidecar.guid,
        "name": container.name,
        "command": container.command,
        "process_types": [process.workload.type],
        "memory_in_mb": container.memory_in_mb,
        "origin": "user",
        "relationships": {"app": {"data": {"guid": process.workload.app_guid}}},
        "created_at": timestamp(process.workload.created_at),
        "updated_at": timestamp(process.updated_at),
    }


SCHEMA = obj(
    {
        "guid": GUID,
        "name": TEXT,
        "command": {**TEXT, "description": "Empty: the image's own. What is longer than 4096 characters is cut off."},
        "process_types": {**array(TEXT), "minItems": 1, "maxItems": 1},
        "memory_in_mb": integer(0, description="0: no limit."),
        "origin": {"const": "user"},
        "relationships": obj({"app": RELATIONSHIP}),
        "created_at": TIME,
        "updated_at": TIME,
    }
)

_FACETS_OF_PARENTS = (APP_GUIDS, PROCESS_GUIDS)

READABLE = Readable(
    plural="sidecars",
    singular="sidecar",
    shape=SIDECARS,
    collection=lambda index: index.sidecars,
    present=present,
    schema=SCHEMA,
    example=Sidecar(
        "7b3f4a0e-9a58-5b0c-8a0e-0d6f5b6c1c0d", PROCESS, SidecarContainer("proxy", "envoy -c /etc/envoy.yaml", 64)
    ),
    unshown=lambda sidecar: all_that_is_large(sidecar.process),
    listed=False,
    parents=(
        Parent(
            "/v3/processes/{guid}/sidecars",
            lambda match: Step(PROCESS_GUIDS, match["guid"], PROCESS_NOT_FOUND),
            of="a process",
            id="listProcessSidecars",
            known_by="processes",
            known_as=GUIDS,
            without=_FACETS_OF_PARENTS,
            example={"guid": PROCESS_GUID},
        ),
        Parent(
            "/v3/apps/{guid}/sidecars",
            lambda match: of_app(match["guid"]),
            of="an app",
            id="listAppSidecars",
            known_by="processes",
            without=_FACETS_OF_PARENTS,
            example={"guid": APP_GUID},
        ),
    ),
)
