"""The instances of processes, as they are shown within the processes themselves."""

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from service.api.keys import INSTANCES
from service.api.readable import Embed
from service.api.requests import now
from service.api.resources.instances.presenter import present_instances
from service.errors import StatsUnavailable
from service.freshness import Freshness
from service.model.process import Process


async def _find(
    app: web.Application, processes: Sequence[Process], freshness: Freshness
) -> tuple[Mapping[str, Any], Freshness]:
    found, freshness = await app[INSTANCES].of(processes, freshness)
    moment = now()
    return {key: present_instances(each, moment) for key, each in found.items()}, freshness


INSTANCES_OF_PROCESSES: Embed[Process] = Embed(
    "process_instances", before="relationships", find=_find, errors=(StatsUnavailable,)
)
