"""The apps."""

from typing import Any

from service.api.jsonschema import GUID, METADATA, RELATIONSHIP, TEXT, TIME, obj, references
from service.api.links import href, to
from service.api.readable import Include, Readable
from service.api.resources.apps.example import EXAMPLE
from service.api.resources.processes.presenter import all_that_is_large
from service.model.apps import (
    APPS,
    LIFECYCLE,
    LIFECYCLE_TYPE,
    NAME,
    NAMES,
    ORGANIZATION_GUIDS,
    SPACE_GUIDS,
    STACKS,
    STATE,
    App,
)
from service.model.selection import CREATED_AT, UPDATED_AT
from service.model.shape import GUIDS
from service.model.times import timestamp


def present(app: App, base: str) -> dict[str, Any]:
    own, metadata = href(base, "apps", app.guid), app.metadata
    return {
        "guid": app.guid,
        "created_at": timestamp(app.created_at),
        "updated_at": timestamp(app.updated_at),
        "name": app.name,
        "state": app.state,
        "lifecycle": {"type": LIFECYCLE, "data": {}},
        "relationships": {
            "space": {"data": {"guid": app.lead.space_guid}},
            "current_droplet": {"data": {"guid": app.droplet_guid}},
        },
        "metadata": {"labels": metadata.labels, "annotations": metadata.annotations},
        "links": {
            "self": {"href": own},
            "space": to(base, "spaces", app.lead.space_guid),
            "processes": {"href": f"{own}/processes"},
            "current_droplet": {"href": f"{own}/droplets/current"},
            "environment_variables": {"href": f"{own}/environment_variables"},
            "sidecars": {"href": f"{own}/sidecars"},
            "routes": {"href": f"{own}/routes"},
            "start": {"href": f"{own}/actions/start", "method": "POST"},
            "stop": {"href": f"{own}/actions/stop", "method": "POST"},
        },
    }


def unshown(app: App) -> object:
    """What is held of an app that may be large, whether it is shown as an app, a droplet or a deployment."""
    return app.stored, [all_that_is_large(each) for each in {app.lead, *app.processes}]


SCHEMA = obj(
    {
        "guid": GUID,
        "created_at": TIME,
        "updated_at": TIME,
        "name": TEXT,
        "state": {"enum": ["STARTED", "STOPPED"]},
        "lifecycle": obj({"type": {"const": LIFECYCLE}, "data": obj({})}),
        "relationships": obj({"space": RELATIONSHIP, "current_droplet": RELATIONSHIP}),
        "metadata": METADATA,
        "links": references(*present(EXAMPLE, "")["links"]),
    }
)
_SPACE: Include[App] = Include("spaces", lambda app: app.lead.space_guid)
_ORGANIZATION: Include[App] = Include("organizations", lambda app: app.lead.organization_guid)

READABLE = Readable(
    plural="apps",
    singular="app",
    shape=APPS,
    collection=lambda index: index.apps,
    present=present,
    schema=SCHEMA,
    example=EXAMPLE,
    unshown=unshown,
    facets={name: name for name in (GUIDS, NAMES, ORGANIZATION_GUIDS, SPACE_GUIDS, STACKS, LIFECYCLE_TYPE)},
    orders={name: name for name in (CREATED_AT, UPDATED_AT, NAME, STATE)},
    includes={"space": (_SPACE,), "org": (_ORGANIZATION,), "space.organization": (_SPACE, _ORGANIZATION)},
)
