"""What is shown of a route, for the API's document, with an example."""

from service.api.jsonschema import (
    GUID,
    METADATA,
    NULL,
    RELATIONSHIP,
    TEXT,
    TIME,
    JSONSchema,
    array,
    integer,
    links,
    obj,
    or_null,
)
from service.api.resources.processes.addresses import APP_GUID
from service.api.resources.processes.schema import CREATED, ORGANIZATION_GUID, SPACE_GUID
from service.model.routes import HTTP1, HTTP2, Backend, Destination, Origin, Route, Rule

DESTINATION = obj(
    {
        "guid": GUID,
        "app": obj({"guid": GUID, "process": obj({"type": TEXT})}),
        "weight": {**or_null(integer(1)), "description": "Null where there is no choice."},
        "port": {**or_null(integer(1)), "description": "The container's. Null: its Pods have no port of that name."},
        "protocol": {"enum": [HTTP1, HTTP2]},
    }
)

ROUTE: JSONSchema = obj(
    {
        "guid": GUID,
        "created_at": TIME,
        "updated_at": TIME,
        "protocol": {"const": "http"},
        "host": {**TEXT, "description": "The first label of the host name; `*`: all of the domain; empty: any host."},
        "path": {**TEXT, "description": "Empty: all paths."},
        "port": NULL,
        "url": TEXT,
        "destinations": array(DESTINATION),
        "metadata": METADATA,
        "relationships": obj({"space": RELATIONSHIP, "domain": RELATIONSHIP}),
        "links": links("self", "space"),
    }
)

_ORIGIN = Origin("0d7b6f1a-51f3-4b0b-8a55-3d0d5a6e9f10", "Ingress", "storefront", "shop", CREATED, CREATED)
_RULE = Rule(_ORIGIN, "shop.example.com", "/cart", (Backend("shop", "http"),))
EXAMPLE = Route(_RULE.guid(), _RULE, (Destination(APP_GUID, "web", 8080, None, HTTP1),), SPACE_GUID, ORGANIZATION_GUID)
