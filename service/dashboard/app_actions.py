"""What the dashboard does with whole apps: as service.dashboard.actions with processes, in two steps."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import quote

from aiohttp import web

from service.api.keys import APP_WRITES
from service.api.resources.apps.actions import ACTIONS
from service.api.resources.apps.deployments import READABLE as DEPLOYMENTS
from service.api.resources.apps.resource import READABLE as APPS
from service.dashboard import text
from service.dashboard.frame import User, View, render, see
from service.dashboard.keys import OVERVIEW
from service.errors import CloudFoundryError, InvalidAuthToken
from service.model.apps import App
from service.operations import rollbacks
from service.operations.app_writes import AppWrite
from service.operations.outcomes import Written
from service.operations.questions import Address


@dataclass(frozen=True)
class Action:
    """What can be done with an app at an address."""

    name: str
    """As the audit log has it."""
    path: str
    """Behind the address's own path, in which `{guid}` stands."""
    done: str
    address: Callable[[str], Address]
    work: Callable[[AppWrite, str], Awaitable[list[Written]]]
    """Does it, given the GUID in the address."""


def _of_app(name: str, done: str) -> Action:
    async def work(write: AppWrite, _: str) -> list[Written]:
        return await write.apply(ACTIONS[name])

    return Action(name, f"/ui/apps/{{guid}}/{name}", done, APPS.by_guid, work)


async def _roll_back(write: AppWrite, guid: str) -> list[Written]:
    return await write.carry_out(await rollbacks.planned(write, guid))


START = _of_app("start", "started")
STOP = _of_app("stop", "stopped")
RESTART = _of_app("restart", "restarted")
CANCEL = Action("cancel deployment", "/ui/deployments/{guid}/cancel", "cancelled", DEPLOYMENTS.by_guid, _roll_back)
ALL = (START, STOP, RESTART, CANCEL)


def ask(action: Action) -> View:
    """A page that says what would be, with a form that does it."""

    async def view(request: web.Request, user: User) -> web.StreamResponse:
        return await _confirm(request, user, action)

    return view


def act(action: Action) -> View:
    """Does it, and leads back to the app."""

    async def view(request: web.Request, user: User) -> web.StreamResponse:
        guid = request.match_info["guid"]
        try:
            async with request.app[APP_WRITES].begin(user.actor, action.address(guid), action.name) as write:
                done = await action.work(write, guid)
        except InvalidAuthToken:
            raise
        except CloudFoundryError as error:
            return await _confirm(request, user, action, error)
        lagging = "&lagging=1" if any(each.lagging for each in done) else ""
        return see(f"{page_of(write.app)}?done={action.done}{lagging}")

    return view


def page_of(app: App) -> str:
    return f"/ui/apps/{quote(app.guid, safe='')}"


async def _confirm(
    request: web.Request, user: User, action: Action, error: CloudFoundryError | None = None
) -> web.StreamResponse:
    guid = request.match_info["guid"]
    meaning, _ = await APPS.reads(request.app).get(user.caller, action.address(guid))
    app = meaning.item
    listed = await request.app[OVERVIEW].listed(user.caller, app)
    context = {
        "app": app,
        "action": action,
        "target": request.path,
        "processes": app.processes if listed else (app.lead,),
        "back": page_of(app),
        "error": error,
        "now": text.now(),
    }
    return await render(request, "act.html", context, user=user, status=error.status if error else 200)
