"""What is shown of a route."""

from typing import Any
from urllib.parse import quote

from service.api.pages import link
from service.model.routes import Destination, Route, domain_guid
from service.model.times import timestamp


def present(route: Route, base: str) -> dict[str, Any]:
    """A route as lists and single reads show it. `base` is the absolute URL before `/v3`."""
    rule = route.rule
    return {
        "guid": route.guid,
        "created_at": timestamp(rule.origin.created_at),
        "updated_at": timestamp(rule.origin.updated_at),
        "protocol": "http",
        "host": route.host,
        "path": rule.path,
        "port": None,
        "url": rule.host + rule.path,
        "destinations": [_destination(route, each) for each in route.destinations],
        "metadata": {"labels": {}, "annotations": {}},
        "relationships": {
            "space": {"data": {"guid": route.space_guid}},
            "domain": {"data": {"guid": domain_guid(route.domain)}},
        },
        "links": {
            "self": link(f"{base}/v3/routes/{route.guid}"),
            "space": link(f"{base}/v3/spaces/{quote(route.space_guid, safe='')}"),
        },
    }


def _destination(route: Route, destination: Destination) -> dict[str, Any]:
    return {
        "guid": destination.guid(route.guid),
        "app": {"guid": destination.app_guid, "process": {"type": destination.type}},
        "weight": destination.weight,
        "port": destination.port,
        "protocol": destination.protocol,
    }
