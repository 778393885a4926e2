"""The table of what the dashboard answers; service.api.routes has the API's."""

from functools import cache

import aiohttp_jinja2
import jinja2
from aiohttp import web

from service.api.routes import HANDLERS
from service.dashboard import actions, app_actions, app_views, live, signing_in, views
from service.dashboard.assets import asset_href, static
from service.dashboard.frame import action, fenced, page, unknown
from service.dashboard.keys import SESSIONS, STREAMS
from service.dashboard.sessions import Sessions
from service.dashboard.streams import Streams
from service.dashboard.text import FILTERS
from service.http.keys import SETTINGS
from service.http.routing import Route, add_routes

_PROCESS = "/ui/processes/{guid}"
_LISTS = ("organizations", "spaces", "apps")
_TERMINATE = _PROCESS + "/instances/{index}/terminate"

ROUTES = (
    Route("GET", "/", views.front),
    Route("GET", _PROCESS, page(views.get_process)),
    Route("GET", _PROCESS + "/scale", page(actions.ask_scale)),
    Route("POST", _PROCESS + "/scale", action(actions.scale)),
    Route("GET", _TERMINATE, page(actions.ask_terminate)),
    Route("POST", _TERMINATE, action(actions.terminate)),
    Route("GET", "/ui/organizations", page(app_views.list_organizations)),
    Route("GET", "/ui/organizations/{guid}", page(app_views.get_organization)),
    Route("GET", "/ui/spaces", page(app_views.list_spaces)),
    Route("GET", "/ui/spaces/{guid}", page(app_views.get_space)),
    Route("GET", "/ui/apps", page(app_views.list_apps)),
    Route("GET", "/ui/apps/{guid}", page(app_views.get_app)),
    *(Route("GET", each.path, page(app_actions.ask(each))) for each in app_actions.ALL),
    *(Route("POST", each.path, action(app_actions.act(each))) for each in app_actions.ALL),
    Route("GET", "/ui/problems", page(views.list_problems)),
    Route("GET", "/ui/events", page(live.list_events)),
    Route("GET", "/ui/lists/apps/events", page(live.app_list_events)),
    Route("GET", "/ui/spaces/{guid}/events", page(live.space_events)),
    Route("GET", "/ui/apps/{guid}/events", page(live.app_events)),
    Route("GET", _PROCESS + "/events", page(live.process_events)),
    *(Route("GET", f"/ui/json/{each}", page(views.as_json(HANDLERS[f"list{each.title()}"]))) for each in _LISTS),
    Route("GET", "/ui/json/apps/{guid}", page(views.as_json(HANDLERS["getApp"]))),
    Route("GET", "/ui/json/processes", page(views.as_json(HANDLERS["listProcesses"]))),
    Route("GET", "/ui/json/processes/{guid}", page(views.as_json(HANDLERS["getProcess"]))),
    Route("GET", "/ui/json/processes/{guid}/stats", page(views.as_json(HANDLERS["getProcessStats"]))),
    Route("GET", "/ui/sign-in", signing_in.ask_token),
    Route("POST", "/ui/sign-in", signing_in.sign_in),
    Route("POST", "/ui/sign-out", action(signing_in.sign_out)),
    Route("GET", "/ui/static/{name}", fenced(static)),
    Route("GET", "/ui/{path:.*}", unknown),
)


def add_dashboard(app: web.Application) -> None:
    """Add the pages to the API's application, before the API's own routes: `/` then is the dashboard's for browsers."""
    app[aiohttp_jinja2.APP_KEY] = _environment()
    streams = app[STREAMS] = Streams()
    app[SESSIONS] = Sessions(app[SETTINGS].session_secret)
    app.on_shutdown.append(streams.close)
    add_routes(app, ROUTES)


@cache
def _environment() -> jinja2.Environment:
    """All templates, compiled: each takes up to 45 ms, for which everybody would wait who asks for anything.

    Not by aiohttp_jinja2.setup, which makes one for each application, and has it hold the application.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("service.dashboard"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(FILTERS)
    environment.globals["asset"] = asset_href
    for name in environment.list_templates():
        environment.get_template(name)
    return environment
