"""The organizations: what the Namespaces that a caller sees say that there are."""

from typing import Any

from service.api.jsonschema import BOOLEAN, GUID, METADATA, NULL, TEXT, TIME, obj, references
from service.api.links import to
from service.api.readable import Readable
from service.model.spaces import ORGANIZATIONS, OrganizationPart
from service.model.times import SECOND, timestamp

EXAMPLE = OrganizationPart(
    namespace="storefront",
    guid="a7c9e3b2-2f0a-4f0e-9c39-0d6f3c1f7a55",
    label="retail",
    created_at=1_790_000_000 * SECOND,
    updated_at=1_790_000_000 * SECOND,
)


def present(organization: OrganizationPart, base: str) -> dict[str, Any]:
    return {
        "guid": organization.guid,
        "created_at": timestamp(organization.created_at),
        "updated_at": timestamp(organization.updated_at),
        "name": organization.name,
        "suspended": False,
        "relationships": {"quota": {"data": None}},
        "metadata": {"labels": {}, "annotations": {}},
        "links": {
            "self": to(base, "organizations", organization.guid),
            "domains": to(base, "organizations", organization.guid, "domains"),
        },
    }


READABLE = Readable(
    plural="organizations",
    singular="organization",
    shape=ORGANIZATIONS,
    collection=lambda index: index.organizations,
    present=present,
    schema=obj(
        {
            "guid": GUID,
            "created_at": TIME,
            "updated_at": TIME,
            "name": TEXT,
            "suspended": BOOLEAN,
            "relationships": obj({"quota": obj({"data": NULL})}),
            "metadata": METADATA,
            "links": references("self", "domains"),
        }
    ),
    example=EXAMPLE,
)
