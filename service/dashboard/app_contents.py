"""What the pages of apps say; as service.dashboard.contents is of processes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from service.access import Caller
from service.api.resources.apps.resource import READABLE as APPS
from service.api.resources.routes.resource import READABLE as ROUTES
from service.api.resources.spaces import READABLE as SPACES
from service.dashboard import text
from service.dashboard.contents import LIVE_ROWS, Content
from service.dashboard.keys import OVERVIEW
from service.dashboard.offers import Offers
from service.dashboard.places import names_of, place_of
from service.dashboard.query import ListAddress
from service.dashboard.shapes import Strip, strip_of
from service.freshness import Freshness
from service.http.keys import SETTINGS
from service.model.apps import App
from service.model.autoscalers import Autoscaler
from service.model.process import Process
from service.model.routes import Route
from service.operations import ambiguity
from service.operations.overview import Surroundings, Tally
from service.operations.questions import Meaning
from service.pacing import Pace

ROUTES_IN_LISTS = 2
"""Routes that are shown of each app of a list."""


@dataclass(frozen=True)
class AppRow:
    """One app as it stands in a list."""

    app: App
    strip: Strip | None
    """None: what runs cannot be known."""
    routes: Sequence[Route]
    more_routes: int


async def apps_content(app: web.Application, caller: Caller, address: ListAddress) -> Content:
    """The content of a page of a list. Raises ServiceUnavailable."""
    selection, freshness = await APPS.reads(app).page(caller, address.parsed.request, pods=True)
    around = await app[OVERVIEW].around(selection.items, routes=ROUTES_IN_LISTS)
    rows, total, pace = [], Tally(), Pace()
    for item, each in zip(selection.items, around, strict=True):
        rows.append(AppRow(item, _strip(each.tally, item.is_started), each.routes, each.more_routes))
        total.add(each.tally)
        await pace.breathe()
    spaces = await names_of(app, caller, SPACES, {item.lead.space_guid for item in selection.items})
    warnings = freshness.warnings()
    context = {
        "summary": f"{selection.total_results} apps; here {total.running} of {total.desired} instances run",
        "running": f"{total.running:,} of {total.desired:,} instances here run" if total.desired else "",
        "address": address,
        "numbers": address.numbers(selection.total_results),
        "total": selection.total_results,
        "rows": rows,
        "spaces": spaces,
        "warnings": warnings,
        "incomplete": ROUTES.incomplete(app),
        "label": app[SETTINGS].keys.app_guid,
        "now": text.now(),
        "live": bool(address.listing.stream) and address.page.per_page <= LIVE_ROWS,
    }
    return Content(context, (selection.total_results, tuple(rows), tuple(sorted(spaces.items())), bool(warnings)))


@dataclass(frozen=True)
class ProcessRow:
    """One process as it stands in the table of its app."""

    process: Process
    strip: Strip | None
    autoscaler: Autoscaler | None


@dataclass(frozen=True)
class _Found:
    """An app and what belongs to it, as its viewer sees it."""

    meaning: Meaning[App]
    freshness: Freshness
    around: Surroundings
    rows: Sequence[ProcessRow]

    @property
    def app(self) -> App:
        return self.meaning.item

    @property
    def state(self) -> tuple[object, ...]:
        return (
            self.app,
            len(self.meaning.others),
            tuple(self.rows),
            tuple(self.around.routes),
            bool(self.freshness.warnings()),
        )


async def _find(app: web.Application, caller: Caller, guid: str) -> _Found:
    overview = app[OVERVIEW]
    meaning, freshness = await APPS.reads(app).get(caller, APPS.by_guid(guid), pods=True)
    item = meaning.item
    if await overview.listed(caller, item):
        processes: Sequence[Process] = sorted(item.processes, key=lambda each: each is not item.lead)
        (around,) = await overview.around([item])
    else:
        # Kubernetes lets some people get the Deployments of a namespace, one by one, and not list them.
        processes, around = (item.lead,), Surroundings(overview.tally([item.lead]), (), 0)
    rows = [
        ProcessRow(each, _strip(overview.tally([each]), each.workload.started), overview.autoscaler(each))
        for each in processes
    ]
    return _Found(meaning, freshness, around, rows)


async def app_content(app: web.Application, caller: Caller, guid: str, offers: Offers) -> Content:
    """The content of the page of an app. Raises ResourceNotFound, ServiceUnavailable."""
    found = await _find(app, caller, guid)
    item = found.app
    context: dict[str, Any] = {
        "app": item,
        "place": await place_of(app, caller, item.lead.space_guid, item.lead.organization_guid),
        "strip": _strip(found.around.tally, item.is_started),
        "rows": found.rows,
        "rolling": [each.process for each in found.rows if not each.process.workload.rolled_out],
        "around": found.around,
        "sidecars": [(each.process, one) for each in found.rows for one in each.process.workload.sidecars],
        "may_change": await offers.change(item.lead.workload),
        "warnings": found.freshness.warnings(),
        "incomplete": ROUTES.incomplete(app),
        "several": ambiguity.of_read(found.meaning),
        "now": text.now(),
        "live": True,
    }
    return Content(context, found.state)


async def app_state(app: web.Application, caller: Caller, guid: str) -> tuple[object, ...]:
    """The state of that content."""
    return (await _find(app, caller, guid)).state


def _strip(tally: Tally, started: bool) -> Strip | None:
    return strip_of(tally, started=started) if tally.is_known else None
