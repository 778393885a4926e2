"""The deployments: the newest rollout of each app, under way or done, whoever has begun it."""

from typing import Any

from service.api.jsonschema import GUID, METADATA, RELATIONSHIP, TEXT, TIME, array, integer, obj, or_null, references
from service.api.links import action, to
from service.api.readable import Readable
from service.api.resources.apps.example import EXAMPLE
from service.api.resources.apps.resource import unshown
from service.model.apps import (
    APPS,
    ROLLOUT_BEGAN_AT,
    ROLLOUT_CHANGED_AT,
    ROLLOUT_GUIDS,
    ROLLOUT_STATES,
    STATUS_REASONS,
    STATUS_VALUES,
    App,
)
from service.model.selection import CREATED_AT, UPDATED_AT
from service.model.shape import GUIDS
from service.model.times import timestamp

_TIMES = ("last_successful_healthcheck", "last_status_change")


def present(app: App, base: str) -> dict[str, Any]:
    workload, droplet = app.lead.workload, {"guid": app.droplet_guid}
    changed_at, revision = timestamp(workload.rollout_changed_at), app.lead.revision_guid
    failure = {} if workload.rollout_failure is None else {"error": workload.rollout_failure}
    links = {"self": to(base, "deployments", app.rollout_guid), "app": to(base, "apps", app.guid)}
    if not workload.rolled_out:
        links["cancel"] = action(base, "deployments", app.rollout_guid, "actions", "cancel")
    return {
        "guid": app.rollout_guid,
        "created_at": timestamp(workload.rollout_began_at),
        "updated_at": changed_at,
        "status": {
            "value": app.status_value,
            "reason": app.status_reason,
            "details": {**dict.fromkeys(_TIMES, changed_at), **failure},
        },
        "strategy": "rolling",
        "options": {"max_in_flight": workload.max_in_flight},
        "droplet": droplet,
        # A Deployment does not say what it ran before.
        "previous_droplet": {"guid": None},
        "new_processes": [{"guid": each.guid, "type": each.workload.type} for each in app.processes],
        "revision": revision and {"guid": revision, "version": workload.rollout},
        "relationships": {"app": {"data": {"guid": app.guid}}},
        "metadata": {"labels": {}, "annotations": {}},
        "links": links,
    }


SCHEMA = obj(
    {
        "guid": GUID,
        "created_at": TIME,
        "updated_at": TIME,
        "status": obj(
            {
                "value": {"enum": ["ACTIVE", "FINALIZED"]},
                "reason": {"enum": ["DEPLOYING", "PAUSED", "CANCELING", "DEPLOYED", "CANCELED"]},
                "details": obj(
                    {
                        **dict.fromkeys(_TIMES, TIME),
                        "error": {**TEXT, "description": "Why it gets no further, where Kubernetes says so."},
                    },
                    optional=["error"],
                ),
            }
        ),
        "strategy": {"const": "rolling"},
        "options": obj({"max_in_flight": integer(1)}),
        "droplet": obj({"guid": GUID}),
        "previous_droplet": obj({"guid": or_null(GUID)}),
        "new_processes": array(obj({"guid": GUID, "type": TEXT})),
        "revision": or_null(obj({"guid": GUID, "version": integer(0)})),
        "relationships": obj({"app": RELATIONSHIP}),
        "metadata": METADATA,
        "links": references("self", "app", optional=["cancel"]),
    }
)

READABLE = Readable(
    plural="deployments",
    singular="deployment",
    shape=APPS,
    unshown=unshown,
    collection=lambda index: index.apps,
    present=present,
    schema=SCHEMA,
    example=EXAMPLE,
    guid=lambda app: app.rollout_guid,
    facets={
        GUIDS: ROLLOUT_GUIDS,
        "app_guids": GUIDS,
        STATUS_VALUES: STATUS_VALUES,
        STATUS_REASONS: STATUS_REASONS,
        "states": ROLLOUT_STATES,
    },
    orders={CREATED_AT: ROLLOUT_BEGAN_AT, UPDATED_AT: ROLLOUT_CHANGED_AT},
    labelled=False,
)
