"""Reading any resource: THE recipe, in one place.

First it is asked who may see what. Then the read waits until memory holds all that was written before it came. Then it
is asked again who may see what, by now from memory, and at once, with nothing to wait for in between, the items are
looked up. So a read sees all writes that ended before it came, and nothing that the caller may not see. That it sees
each of them wholly or not at all is not a matter of time: service.model.joins lets no half into memory.
"""

from collections.abc import Awaitable, Callable, Set
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any, Generic, TypeVar

import msgspec

from service.access import Access, Caller, Verb
from service.cache import Numbers, RecencyCache
from service.errors import ResourceNotFound
from service.freshness import Freshness, ReadBarrier
from service.model.collection import Collection
from service.model.index import APP_GUIDS, TYPES
from service.model.process import Key
from service.model.selection import CREATED_AT, NO_FILTERS, Filters, Selection, Slice
from service.model.shape import GUIDS
from service.model.views import Visible
from service.operations.questions import Address, Conditions, ListRequest, Meaning, Step
from service.operations.standing import Look, Standing
from service.pacing import Turns

SELECTED_BYTES, SIGHTS_BYTES = 8 << 20, 2 << 20
"""What is remembered of pages that were selected, and of who saw what then: of all resources together."""
PLACE_BYTES, SELECTION_BYTES = 8, 200
FEW = 200
"""Items of a parent that are sorted anew for each request rather than searched for."""

Item = TypeVar("Item")


class Reads(Generic[Item]):
    """Lists and single items of one collection."""

    def __init__(
        self, collection: Collection[Item], access: Access, barrier: ReadBarrier, *, share: float = 1.0
    ) -> None:
        """`share` is the part that this resource may use of the memory that there is for all."""
        self._collection = collection
        self._access = access
        self._barrier = barrier
        self._turns = Turns()
        self._selections: RecencyCache[tuple[ListRequest, int], Selection[Item]]
        self._selections = RecencyCache(int(SELECTED_BYTES * share))
        self._sights: Numbers[Visible] = Numbers(int(SIGHTS_BYTES * share))
        self._selected_at = 0
        """The version of the collection of which the selections are."""

    async def page(
        self, caller: Caller, request: ListRequest, *, pods: bool = False
    ) -> tuple[Selection[Item], Freshness]:
        """A page of all that the caller sees; `pods`: the instances are wanted too. Raises ServiceUnavailable."""
        asked = request.filters.facets
        visible, _, freshness = await self._prepare(caller, asked, self._collection.namespaces, pods=pods)
        return await self._select(request, visible), self._barrier.as_of_now(freshness)

    async def page_of(
        self,
        caller: Caller,
        parent: Step,
        request: ListRequest,
        *,
        parents: "Reads[Any] | None" = None,
        known_as: str = "",
        pods: bool = False,
    ) -> tuple[Selection[Item], Set[str], Freshness]:
        """A page of what the parent has, and the namespaces the parent is in, as far as the caller sees them.

        The items of `parents` that have the parent's value of the facet `known_as` show that it is there; None: those
        of this collection do; empty: the facet is the step's. Raises ResourceNotFound where the caller sees nothing of
        the parent, ServiceUnavailable.
        """
        known = parents or self
        there = partial(known._collection.namespaces_having, known_as or parent.facet, parent.value)
        asked = (*request.filters.facets, (parent.facet, frozenset((parent.value,))))
        stand_in = partial(known._stand_in, parent.value)
        visible, concerned, freshness = await self._prepare(caller, asked, there, pods=pods, stand_in=stand_in)
        namespaces = _seen(concerned, visible)
        if not namespaces:
            raise self._missing(parent.missing, freshness)
        selection = None
        if request.filters == NO_FILTERS:
            selection = self._collection.page_having(parent.facet, parent.value, visible, request.slice, most=FEW)
        if selection is None:
            filters = request.filters.narrowed(parent.facet, parent.value)
            selection = await self._select(msgspec.structs.replace(request, filters=filters), visible)
        return selection, namespaces, self._barrier.as_of_now(freshness)

    def standing(self, caller: Caller, request: ListRequest) -> Standing | None:
        """What a page of all that the caller sees rests on now; None: somebody would have to be asked.

        Its answer is found to be the same by the selection alone.
        """
        look = partial(self._collection.glance, request.slice) if request.filters == NO_FILTERS else None
        return self._standing(caller, "list", self._collection.namespaces, look)

    def standing_of(
        self,
        caller: Caller,
        parent: Step,
        request: ListRequest,
        *,
        parents: "Reads[Any] | None" = None,
        known_as: str = "",
    ) -> Standing | None:
        """What a page of what the parent has rests on now; as of all. The namespaces belong to what it shows."""
        known = (parents or self)._collection
        there = partial(known.namespaces_having, known_as or parent.facet, parent.value)

        def look(visible: Visible) -> object:
            part = self._collection.page_having(parent.facet, parent.value, visible, request.slice, most=FEW)
            return part, _seen(there(), visible)

        is_plain = request.filters == NO_FILTERS
        return self._standing(caller, "list", there, look if is_plain else None, known)

    def standing_at(self, caller: Caller, address: Address) -> Standing | None:
        """What an item at an address rests on now; as of all. It shows the meaning of the address."""

        def look(visible: Visible) -> object:
            with suppress(ResourceNotFound):
                return self._mean(address, visible)
            return None

        return self._standing(caller, "get", partial(self._there, address), look)

    def _standing(
        self, caller: Caller, verb: Verb, there: Callable[[], Set[str]], look: Look | None, *others: Collection[Any]
    ) -> Standing | None:
        looked_at = self._collection, *others
        return Standing.take(self._access, self._barrier, self._sights, caller, verb, there, looked_at, look)

    async def everything(
        self, caller: Caller, filters: Filters
    ) -> tuple[Callable[[], Awaitable[Selection[Item]]], Visible, Freshness]:
        """What looks up all that matches, the oldest first; and the namespaces that the caller sees.

        Raises ServiceUnavailable.
        """
        visible, _, freshness = await self._prepare(caller, filters.facets, self._collection.namespaces)

        def look() -> Awaitable[Selection[Item]]:
            return self._turns.run(self._collection.search(filters, visible, Slice(size=len(self._collection))))

        return look, visible, freshness

    async def get(self, caller: Caller, address: Address, *, pods: bool = False) -> tuple[Meaning[Item], Freshness]:
        """What an address means. Raises as `find` does."""
        asked_about = self._asked_about(address)
        with suppress(ResourceNotFound):
            await self._find(caller, address, asked_about)
        asked = [(step.facet, frozenset((step.value,))) for step in address]
        freshness = await self._barrier.catch_up(partial(self._concerned, caller, "get", asked), pods=pods)
        try:
            return await self._find(caller, address, self._there(address) or asked_about), self._barrier.as_of_now(
                freshness
            )
        except ResourceNotFound as error:
            raise self._missing(error.detail, freshness) from error

    async def find(self, caller: Caller, address: Address) -> Meaning[Item]:
        """What an address means, as far as is known here now.

        Raises ResourceNotFound, also for what the caller may not see: with the text of the first step that leads to
        nothing they see.
        """
        return await self._find(caller, address, self._asked_about(address))

    async def _find(self, caller: Caller, address: Address, namespaces: Set[str]) -> Meaning[Item]:
        return self._mean(address, await self._access.visible(caller, frozenset(namespaces), verb="get"))

    def _mean(self, address: Address, visible: Visible) -> Meaning[Item]:
        first, *further = address
        seen = self._collection.having(first.facet, first.value, visible)
        if not seen:
            raise ResourceNotFound(first.missing)
        for step in further:
            values = self._collection.shape.facets[step.facet]
            seen = [item for item in seen if step.value in values(item)]
            if not seen:
                raise ResourceNotFound(step.missing)
        item, *others = sorted(self._collection.combined(seen), key=self._age)
        return Meaning(item, others, [self._collection.shape.namespace(each) for each in (item, *others)])

    async def _prepare(
        self,
        caller: Caller,
        asked: Conditions,
        there: Callable[[], Set[str]],
        *,
        pods: bool = False,
        stand_in: Callable[[], str] | None = None,
    ) -> tuple[Visible, Set[str], Freshness]:
        """The recipe up to the look: the namespaces the caller sees, those concerned, and how fresh memory is.

        `there` are those concerned, as far as is known when it is asked; where none is, `stand_in` is asked about.
        """
        may_match = partial(self._concerned, caller, "list", asked)
        asked_about = there() or (frozenset((stand_in(),)) if stand_in is not None else frozenset[str]())
        await self._access.visible(caller, asked_about, verb="list")
        freshness = await self._barrier.catch_up(may_match, pods=pods)
        concerned = there()
        visible = await self._access.visible(caller, concerned or asked_about, verb="list")
        return visible, concerned, freshness

    async def _concerned(self, caller: Caller, verb: Verb, asked: Conditions, late: Set[Key]) -> Set[Key]:
        """What chooses those late processes that may be in the answer: nothing else is waited for.

        Least of all what the caller does not see: by waiting they would learn of it.
        """
        matching = [key for key in late if all(self._may_match(key, *condition) for condition in asked)]
        if not matching:
            return frozenset()
        visible = await self._access.visible(caller, {key[0] for key in matching}, verb=verb)
        return {key for key in matching if visible is None or key[0] in visible}

    def _may_match(self, key: Key, facet: str, values: frozenset[str]) -> bool:
        """Whether a process may be in what has one of these values, by as much of it as is known."""
        if facet == APP_GUIDS:
            return key[1] in values
        if facet == TYPES:
            return key[2] in values
        made_of = self._collection.shape.made_of
        if facet != GUIDS or made_of is None or not self._barrier.knows(key):
            return True
        found = (item for value in values for item in self._collection.having(GUIDS, value))
        return any(key in made_of(item) for item in found)

    def _missing(self, detail: str, freshness: Freshness) -> ResourceNotFound:
        """What is not there, as far as is known: as fresh as any other answer, and marked like one."""
        error = ResourceNotFound(detail)
        error.stale = self._barrier.as_of_now(freshness).warnings()
        return error

    def _asked_about(self, address: Address) -> Set[str]:
        """The namespaces of what has the first step of an address, or the one that stands in for them."""
        return self._there(address) or {self._stand_in(address[0].value)}

    def _there(self, address: Address) -> Set[str]:
        """The namespaces of what has the first step of an address."""
        return self._collection.namespaces_having(address[0].facet, address[0].value)

    def _stand_in(self, guid: str) -> str:
        """A namespace to ask about where there is nothing of this GUID: one of those there are, mostly the same.

        What is hidden costs a review of its namespace, unless that has been asked about lately. What does not exist
        costs the same in this way, so that how long a 404 takes does not tell the one from the other.
        """
        namespaces = self._collection.namespaces()
        return next(islice(namespaces, hash(guid) % len(namespaces), None)) if namespaces else "none"

    def _age(self, item: Item) -> tuple[object, str]:
        return self._collection.shape.orders[CREATED_AT](item), self._collection.shape.key(item)

    async def _select(self, request: ListRequest, visible: Visible) -> Selection[Item]:
        """A page of what is visible. While nothing changes, the same question has the same answer, and is kept."""
        version = self._collection.version
        if version != self._selected_at:
            self._selections.clear()
            self._selected_at = version
        key = request, self._sights.of(visible)
        if (kept := self._selections.get(key)) is not None:
            return kept
        selection = await self._turns.run(self._collection.search(request.filters, visible, request.slice))
        if version == self._collection.version:
            self._selections.put(key, selection, SELECTION_BYTES + PLACE_BYTES * len(selection.items))
        return selection


def _seen(namespaces: Set[str], visible: Visible) -> frozenset[str]:
    return frozenset(namespaces if visible is None else namespaces & visible)
