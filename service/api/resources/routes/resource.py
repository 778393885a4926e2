"""The routes: only read. Ingresses and HTTPRoutes are where they are changed."""

from service.api.readable import Parent, Readable
from service.api.resources.processes.addresses import APP_GUID
from service.api.resources.routes.presenter import present
from service.api.resources.routes.schema import EXAMPLE, ROUTE
from service.health import ROUTE_WATCHES
from service.http.keys import HEALTH
from service.model.index import APP_GUIDS, ORGANIZATION_GUIDS, ROUTES, SPACE_GUIDS
from service.operations.processes import of_app

READABLE = Readable(
    plural="routes",
    singular="route",
    shape=ROUTES,
    collection=lambda index: index.routes,
    present=present,
    schema=ROUTE,
    example=EXAMPLE,
    parents=(
        Parent(
            "/v3/apps/{guid}/routes",
            lambda match: of_app(match["guid"]),
            of="an app",
            id="listAppRoutes",
            known_by="processes",
            without=(APP_GUIDS, SPACE_GUIDS, ORGANIZATION_GUIDS),
            example={"guid": APP_GUID},
        ),
    ),
    incomplete=lambda app: app[HEALTH].missing(ROUTE_WATCHES),
)
