"""What the pages say that change by themselves: asked for by a page as it is loaded, and by its stream ever after."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from service.access import Caller
from service.api.keys import INSTANCES
from service.api.resources.processes.resource import READABLE as PROCESSES
from service.dashboard import text
from service.dashboard.keys import OVERVIEW
from service.dashboard.offers import Offers
from service.dashboard.places import place_of
from service.dashboard.query import ListAddress
from service.dashboard.shapes import CELLS, Strip, rows, strip
from service.errors import StatsUnavailable
from service.http.keys import SETTINGS
from service.http.replies import STATS_UNAVAILABLE
from service.model.instances import Instance
from service.model.process import Process
from service.operations import ambiguity
from service.operations.instances import Stats
from service.operations.processes import by_guid
from service.pacing import Pace

LIVE_ROWS = 200
"""Rows of a list that are kept up to date: those of longer ones would be sent again and again."""


MANY_CELLS = 64
"""Instances that are drawn where there is room for one process alone."""


@dataclass(frozen=True)
class Content:
    """What a template needs; the same `state` means that nothing one could see has changed but ages and usage."""

    context: dict[str, Any]
    state: tuple[object, ...]


async def list_content(app: web.Application, caller: Caller, address: ListAddress) -> Content:
    """The content of a page of a list. Raises ServiceUnavailable."""
    selection, freshness = await PROCESSES.reads(app).page(caller, address.parsed.request, pods=True)
    found: dict[str, Sequence[Instance]] | None = None
    try:
        numbered, freshness = await app[INSTANCES].of(selection.items, freshness)
        found = dict(numbered)
    except StatsUnavailable:
        # The rest of the list is there, and this comes in a moment.
        found = None
    warnings = freshness.warnings()
    shown, pace = [], Pace()
    for process in selection.items:
        drawn = None if found is None else _strip(process, found[process.workload.uid])
        shown.append((process, drawn, app[OVERVIEW].app_name(process)))
        await pace.breathe()
    strips = [each for _, each, _ in shown if each is not None]
    running, desired = sum(each.running for each in strips), sum(each.desired for each in strips)
    context = {
        "summary": f"{selection.total_results} processes; here {running} of {desired} instances run",
        "running": f"{running:,} of {desired:,} instances here run" if desired else "",
        "address": address,
        "numbers": address.numbers(selection.total_results),
        "total": selection.total_results,
        "rows": shown,
        "warnings": warnings,
        "label": app[SETTINGS].keys.app_guid,
        "now": text.now(),
        "live": address.page.per_page <= LIVE_ROWS,
    }
    return Content(context, (selection.total_results, tuple(shown), bool(warnings)))


async def process_content(app: web.Application, caller: Caller, guid: str, offers: Offers) -> Content:
    """The content of the page of a process. Raises ResourceNotFound, ServiceUnavailable."""
    complaint: str | None = None
    known = True
    try:
        meaning, stats, freshness = await app[INSTANCES].stats(caller, by_guid(guid))
        if stats.usage is None:
            complaint = STATS_UNAVAILABLE
    except StatsUnavailable as error:
        meaning, freshness = await PROCESSES.reads(app).get(caller, by_guid(guid))
        stats, complaint = Stats(meaning.item, (), {}), error.detail
        known = not stats.process.workload.replicas
    process, warnings = stats.process, freshness.warnings()
    autoscaler = app[OVERVIEW].autoscaler(process)
    context = {
        "process": process,
        "app_name": app[OVERVIEW].app_name(process),
        "place": await place_of(app, caller, process.space_guid, process.organization_guid),
        "strip": _strip(process, stats.instances, MANY_CELLS) if known else None,
        "instances": rows(stats),
        "autoscaler": autoscaler,
        "offer": await offers.of(process.workload),
        "complaint": complaint,
        "warnings": warnings,
        "several": ambiguity.of_read(meaning),
        "now": text.now(),
        "live": len(stats.instances) <= LIVE_ROWS,
    }
    pods = tuple(instance.pod for instance in stats.instances)
    return Content(context, (process, len(meaning.others), pods, autoscaler, complaint, bool(warnings)))


async def process_state(app: web.Application, caller: Caller, guid: str) -> tuple[object, ...]:
    """The state of that content, without asking what the instances use."""
    meaning, freshness = await PROCESSES.reads(app).get(caller, by_guid(guid), pods=True)
    found, freshness = await app[INSTANCES].of_one(meaning.item, freshness)
    pods = tuple(instance.pod for instance in found)
    autoscaler = app[OVERVIEW].autoscaler(meaning.item)
    return meaning.item, len(meaning.others), pods, autoscaler, bool(freshness.warnings())


def _strip(process: Process, found: Sequence[Instance], cells: int = CELLS) -> Strip | None:
    """None: what runs cannot be known."""
    workload = process.workload
    if workload.replicas and not workload.pods_labelled:
        return None
    return strip(found, workload.instances, cells, started=workload.started)
