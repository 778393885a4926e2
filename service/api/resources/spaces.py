"""The spaces: what the Namespaces and Deployments that a caller sees say that there are."""

from typing import Any

from service.api.jsonschema import BOOLEAN, GUID, METADATA, NULL, RELATIONSHIP, TEXT, TIME, obj, references
from service.api.links import to
from service.api.readable import Include, Readable
from service.model.spaces import SPACES, SpacePart
from service.model.times import SECOND, timestamp

EXAMPLE = SpacePart(
    namespace="storefront",
    guid="2f35885d-0c9d-4423-83ad-fd05066f8576",
    name="storefront",
    organization_guid="a7c9e3b2-2f0a-4f0e-9c39-0d6f3c1f7a55",
    created_at=1_790_000_000 * SECOND,
    updated_at=1_790_000_000 * SECOND,
    is_own=True,
)


def present(space: SpacePart, base: str) -> dict[str, Any]:
    return {
        "guid": space.guid,
        "created_at": timestamp(space.created_at),
        "updated_at": timestamp(space.updated_at),
        "name": space.name,
        "suspended": False,
        "relationships": {
            "organization": {"data": {"guid": space.organization_guid}},
            "quota": {"data": None},
        },
        "metadata": {"labels": {}, "annotations": {}},
        "links": {
            "self": to(base, "spaces", space.guid),
            "organization": to(base, "organizations", space.organization_guid),
        },
    }


_ORGANIZATION: Include[SpacePart] = Include("organizations", lambda space: space.organization_guid)

READABLE = Readable(
    plural="spaces",
    singular="space",
    shape=SPACES,
    collection=lambda index: index.spaces,
    present=present,
    schema=obj(
        {
            "guid": GUID,
            "created_at": TIME,
            "updated_at": TIME,
            "name": TEXT,
            "suspended": BOOLEAN,
            "relationships": obj({"organization": RELATIONSHIP, "quota": obj({"data": NULL})}),
            "metadata": METADATA,
            "links": references("self", "organization"),
        }
    ),
    example=EXAMPLE,
    includes={"organization": (_ORGANIZATION,), "org": (_ORGANIZATION,)},
)
