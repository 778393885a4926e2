"""Lists of processes, and one of them."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypedDict

from service.access import Access, Caller, Verb
from service.cache import BoundedCache
from service.errors import ResourceNotFound
from service.freshness import Freshness, ReadBarrier
from service.model.index import NO_FILTERS, Filters, Index, Order, Selection
from service.model.paging import PageRequest
from service.model.process import Process
from service.model.views import Visible
from service.pacing import Turns

FIRST_PAGE = PageRequest()
SELECTED = 200_000
"""Places on pages that are remembered, in all."""


@dataclass(frozen=True)
class ListRequest:
    """Which processes, in which order, and which page of them."""

    filters: Filters = NO_FILTERS
    order: Order = Order.CREATED_AT
    descending: bool = False
    page: PageRequest = FIRST_PAGE


@dataclass(frozen=True)
class ByGuid:
    """The address of a process: its own GUID."""

    guid: str


@dataclass(frozen=True)
class ByApp:
    """The address of a process: its app and type."""

    app_guid: str
    type: str


Address = ByGuid | ByApp


class Processes:
    def __init__(self, index: Index, access: Access, currency: ReadBarrier) -> None:
        self._index = index
        self._access = access
        self._currency = currency
        self._turns = Turns()
        self._selections: BoundedCache[tuple[ListRequest, Visible], tuple[int, Selection]] = BoundedCache(SELECTED)

    async def list(self, caller: Caller, request: ListRequest, *, pods: bool = False) -> tuple[Selection, Freshness]:
        """A page of all the caller sees; `pods`: their instances are wanted too. Raises ServiceUnavailable."""
        # Asked twice, so that nothing is waited for between catching up and looking: a write may show only half then.
        await self._access.visible(caller, self._index.namespaces())
        freshness = await self._currency.catch_up(pods=pods)
        visible = await self._access.visible(caller, self._index.namespaces())
        return await self._select(request, visible), freshness

    async def list_of_app(
        self, caller: Caller, app_guid: str, request: ListRequest, *, pods: bool = False
    ) -> tuple[Selection, Freshness]:
        """A page of one app's processes. Raises ResourceNotFound for an app without any the caller sees."""
        await self._visible(caller, "list", app_guid, self._index.processes_of(app_guid))
        freshness = await self._currency.catch_up(pods=pods)
        found, visible = await self._visible(caller, "list", app_guid, self._index.processes_of(app_guid))
        if not found:
            raise ResourceNotFound("App not found")
        if request.filters == NO_FILTERS:
            return self._index.page_of(app_guid, visible, request.order, **_slice(request)), freshness
        of_app = replace(request, filters=replace(request.filters, app_guids=frozenset((app_guid,))))
        return await self._select(of_app, visible), freshness

    async def get(self, caller: Caller, address: Address, *, pods: bool = False) -> tuple[Process, Freshness]:
        """One process. Raises as `find` does."""
        with suppress(ResourceNotFound):
            await self.find(caller, address)
        freshness = await self._currency.catch_up(pods=pods)
        return await self.find(caller, address), freshness

    async def find(self, caller: Caller, address: Address) -> Process:
        """One process, as far as is known here.

        Raises ResourceNotFound, also for one the caller may not see, naming the app where they see none of it.
        """
        match address:
            case ByGuid(guid):
                process = self._index.get(guid)
                found, _ = await self._visible(caller, "get", guid, [] if process is None else [process])
                if found:
                    return found[0]
                raise ResourceNotFound("Process not found")
            case ByApp(app_guid, process_type):
                found, _ = await self._visible(caller, "get", app_guid, self._index.processes_of(app_guid))
                for process in found:
                    if process.workload.type == process_type:
                        return process
                raise ResourceNotFound("Process not found" if found else "App not found")

    async def _visible(
        self, caller: Caller, verb: Verb, guid: str, processes: Sequence[Process]
    ) -> tuple[Sequence[Process], Visible]:
        """Those of the processes, all that a GUID stands for, that the caller may read so; and where they may do so."""
        namespaces = {process.workload.namespace for process in processes} or {self._stand_in(guid)}
        visible = await self._access.visible(caller, namespaces, verb=verb)
        return [p for p in processes if visible is None or p.workload.namespace in visible], visible

    def _stand_in(self, guid: str) -> str:
        """A namespace to ask about where there is nothing of this GUID: one of those there are, mostly the same.

        What is hidden costs a review of its namespace, unless that has been asked about lately. What does not exist
        costs the same in this way, so that how long a 404 takes does not tell the one from the other.
        """
        namespaces = self._index.namespaces()
        return next(islice(namespaces, hash(guid) % len(namespaces), None)) if namespaces else "none"

    async def _select(self, request: ListRequest, visible: Visible) -> Selection:
        """A page of what is visible. While nothing changes, the same question has the same answer, and is kept."""
        version = self._index.version
        kept = self._selections.get((request, visible))
        if kept is not None and kept[0] == version:
            return kept[1]
        if request.filters == NO_FILTERS:
            selection = self._index.page(visible, request.order, **_slice(request))
        else:
            search = self._index.search(request.filters, visible, request.order, **_slice(request))
            selection = await self._turns.take(search)
        self._selections.put((request, visible), (version, selection), 1 + len(selection.processes))
        return selection


class _Slice(TypedDict):
    descending: bool
    start: int
    size: int


def _slice(request: ListRequest) -> _Slice:
    return {"descending": request.descending, "start": request.page.offset, "size": request.page.per_page}
