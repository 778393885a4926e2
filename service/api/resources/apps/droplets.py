"""The droplets: what each app runs now, which is an image."""

from typing import Any

from service.api.jsonschema import GUID, METADATA, NULL, RELATIONSHIP, TEXT, TIME, array, obj, references
from service.api.links import to
from service.api.readable import At, Match, Parent, Readable, Shown
from service.api.resources.apps.example import EXAMPLE
from service.api.resources.apps.resource import unshown
from service.api.resources.processes.presenter import HIDDEN_COMMAND
from service.model.apps import (
    APPS,
    DROPLET_GUIDS,
    DROPLET_STATES,
    LIFECYCLE,
    ORGANIZATION_GUIDS,
    SPACE_GUIDS,
    STAGED,
    App,
)
from service.model.selection import CREATED_AT, UPDATED_AT
from service.model.shape import GUIDS
from service.model.times import timestamp
from service.operations.processes import APP_NOT_FOUND
from service.operations.questions import Address, Step


def present(app: App, base: str, *, hidden: bool = True) -> dict[str, Any]:
    """`hidden`: in lists, nobody is shown commands."""
    return {
        "guid": app.droplet_guid,
        "created_at": timestamp(app.created_at),
        "updated_at": timestamp(app.updated_at),
        "state": STAGED,
        "error": None,
        "lifecycle": {"type": LIFECYCLE, "data": {}},
        "checksum": None,
        "buildpacks": [],
        "stack": None,
        "image": app.lead.workload.image,
        "execution_metadata": "",
        "process_types": {
            each.workload.type: HIDDEN_COMMAND if hidden else each.workload.command for each in app.processes
        },
        "relationships": {"app": {"data": {"guid": app.guid}}},
        "metadata": {"labels": {}, "annotations": {}},
        "links": {"self": to(base, "droplets", app.droplet_guid), "app": to(base, "apps", app.guid)},
    }


def present_single(app: App, base: str) -> dict[str, Any]:
    return present(app, base, hidden=False)


def present_relationship(app: App, base: str) -> dict[str, Any]:
    return {
        "data": {"guid": app.droplet_guid},
        "links": {
            "self": to(base, "apps", app.guid, "relationships", "current_droplet"),
            "related": to(base, "apps", app.guid, "droplets", "current"),
        },
    }


def _of_app(match: Match) -> Address:
    return (Step(GUIDS, match["guid"], APP_NOT_FOUND),)


SCHEMA = obj(
    {
        "guid": GUID,
        "created_at": TIME,
        "updated_at": TIME,
        "state": {"const": STAGED},
        "error": NULL,
        "lifecycle": obj({"type": {"const": LIFECYCLE}, "data": obj({})}),
        "checksum": NULL,
        "buildpacks": array(TEXT),
        "stack": NULL,
        "image": TEXT,
        "execution_metadata": TEXT,
        "process_types": {
            "type": "object",
            "additionalProperties": TEXT,
            "description": f"The command of each type of process. In lists: `{HIDDEN_COMMAND}`.",
        },
        "relationships": obj({"app": RELATIONSHIP}),
        "metadata": METADATA,
        "links": references("self", "app"),
    }
)
_RELATIONSHIP = Shown(
    "CurrentDroplet", present_relationship, obj({"data": obj({"guid": GUID}), "links": references("self", "related")})
)

READABLE = Readable(
    plural="droplets",
    singular="droplet",
    shape=APPS,
    unshown=unshown,
    collection=lambda index: index.apps,
    present=present,
    present_single=present_single,
    schema=SCHEMA,
    example=EXAMPLE,
    guid=lambda app: app.droplet_guid,
    facets={
        GUIDS: DROPLET_GUIDS,
        "app_guids": GUIDS,
        SPACE_GUIDS: SPACE_GUIDS,
        ORGANIZATION_GUIDS: ORGANIZATION_GUIDS,
        "states": DROPLET_STATES,
    },
    orders={CREATED_AT: CREATED_AT, UPDATED_AT: UPDATED_AT},
    labelled=False,
    at=(
        At(
            "/v3/droplets/{guid}",
            lambda match: (Step(DROPLET_GUIDS, match["guid"], "Droplet not found"),),
            example={"guid": EXAMPLE.droplet_guid},
        ),
        At(
            "/v3/apps/{guid}/droplets/current",
            _of_app,
            suffix="Current",
            words=", the current one of an app",
            example={"guid": EXAMPLE.guid},
        ),
        At(
            "/v3/apps/{guid}/relationships/current_droplet",
            _of_app,
            suffix="Relationship",
            words=", as an app is related to it",
            example={"guid": EXAMPLE.guid},
            shown=_RELATIONSHIP,
        ),
    ),
    parents=(
        Parent(
            "/v3/apps/{guid}/droplets",
            lambda match: Step(GUIDS, match["guid"], APP_NOT_FOUND),
            of="an app",
            id="listAppDroplets",
            without=("app_guids", SPACE_GUIDS, ORGANIZATION_GUIDS),
            example={"guid": EXAMPLE.guid},
        ),
    ),
)
