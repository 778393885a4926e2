"""The index: every process there is, kept ready to be listed in any order by anyone.

It is fed with workloads and spaces (by the cluster's watches) and metadata (by the store's mirror), in any order, and
answers from memory. One event costs O(log n); a page costs what service.model.views says; a filter costs set algebra
over the sets of GUIDs it names, then one pass or one small sort.

One Deployment is one process. Where several claim the same (app, type), or the same GUID, the oldest is the process
and the others are conflicts: known, counted, never merged.

What may take long is a generator of steps. It must be exhausted; between steps others may use and change the index.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from enum import Enum

from service.model.claims import Claims, Conflict
from service.model.derive import merge
from service.model.process import Metadata, Process, Space, Workload
from service.model.selectors import Operator, Range, Requirement
from service.model.views import Position, SortedView, Visible


class Order(Enum):
    CREATED_AT = "created_at"
    UPDATED_AT = "updated_at"


@dataclass(frozen=True)
class Filters:
    """Every condition must hold; within one, any of its values. None is no condition."""

    guids: frozenset[str] | None = None
    types: frozenset[str] | None = None
    app_guids: frozenset[str] | None = None
    space_guids: frozenset[str] | None = None
    organization_guids: frozenset[str] | None = None
    labels: tuple[Requirement, ...] = ()
    created_at: tuple[tuple[Range, ...], ...] = ()
    updated_at: tuple[tuple[Range, ...], ...] = ()
    words: tuple[str, ...] = ()
    """In lower case: each occurs in the app's GUID, the process's, its type, its Deployment's name or its namespace."""


NO_FILTERS = Filters()


@dataclass(frozen=True)
class Selection:
    """One page of what matched, and how much matched in all."""

    total_results: int
    processes: list[Process]


SMALL_PART = 50
"""Sorting m GUIDs alone beats one pass over all n in order as long as m is a smaller part of n than this."""
STEP = 5_000
"""GUIDs looked at in one step of a search."""
SOUGHT = 1_000
"""Processes whose texts are searched in one step."""


class Index:
    def __init__(self) -> None:
        self._claims = Claims()
        self._spaces: dict[str, Space] = {}
        """By namespace."""
        self._metadata: dict[str, dict[str, Metadata]] = {}
        """By app GUID and type."""
        self._processes: dict[str, Process] = {}
        """What is served, by process GUID."""
        self.version = 0
        """Another with every change of what is served."""
        self._views = {order: SortedView() for order in Order}
        self._types: dict[str, set[str]] = {}
        self._space_guids: dict[str, set[str]] = {}
        self._organization_guids: dict[str, set[str]] = {}
        self._labels: dict[str, dict[str, set[str]]] = {}
        self._labelled: dict[str, set[str]] = {}
        """Label key → GUIDs that have it, whatever its value."""

    # Reading

    def __len__(self) -> int:
        """How many processes are served."""
        return len(self._processes)

    @property
    def conflicts(self) -> Mapping[str, Workload]:
        """Workloads that are no process because an older one is, by their uid."""
        return self._claims.losers

    def rival(self, workload: Workload) -> Workload | None:
        """The Deployment that a conflict is lost to; None for one that is served."""
        return self._claims.rival(workload)

    def get(self, guid: str) -> Process | None:
        return self._processes.get(guid)

    def find(self, app_guid: str, process_type: str) -> Process | None:
        workload = self._claims.winner(app_guid, process_type)
        return None if workload is None else self._processes[workload.guid]

    def processes_of(self, app_guid: str) -> list[Process]:
        """The processes of one app, in no particular order."""
        return [self._processes[workload.guid] for workload in self._claims.winners(app_guid)]

    def space(self, namespace: str) -> Space | None:
        return self._spaces.get(namespace)

    def namespaces(self) -> Set[str]:
        """Those that hold a process."""
        return self._views[Order.CREATED_AT].namespaces()

    def page(self, visible: Visible, order: Order, *, descending: bool, start: int, size: int) -> Selection:
        """`size` processes from rank `start` of all that is visible, in total order (sort key, then GUID)."""
        view = self._views[order]
        guids = view.page(visible, start, size, descending)
        return Selection(view.count(visible), [self._processes[guid] for guid in guids])

    def page_of(
        self, app_guid: str, visible: Visible, order: Order, *, descending: bool, start: int, size: int
    ) -> Selection:
        """The same, of one app's processes: so few that they are sorted on the spot."""
        seen = [p for p in self.processes_of(app_guid) if visible is None or p.workload.namespace in visible]
        seen.sort(key=lambda process: _position(process, order), reverse=descending)
        return Selection(len(seen), seen[start : start + size])

    def search(
        self, filters: Filters, visible: Visible, order: Order, *, descending: bool, start: int, size: int
    ) -> Generator[None, None, Selection]:
        """The same, of those that match the filters. What enters or leaves meanwhile may or may not be in it."""
        version = self.version
        matching = yield from self._matching(filters, visible)
        yield
        if version != self.version:
            matching = matching & self._processes.keys()
        guids = yield from self._slice(matching, order, descending, start, size)
        # Looked at again: a process may have moved meanwhile to where the caller sees nothing.
        processes = (self._processes.get(guid) for guid in guids)
        found = [p for p in processes if p is not None and (visible is None or p.workload.namespace in visible)]
        return Selection(len(matching) - (len(guids) - len(found)), found)

    def _matching(self, filters: Filters, visible: Visible) -> Generator[None, None, Set[str]]:
        sets: list[Set[str]] = []
        excluded: list[Set[str]] = []
        if filters.guids is not None:
            sets.append(filters.guids & self._processes.keys())
        if filters.app_guids is not None:
            sets.append({process.guid for app in filters.app_guids for process in self.processes_of(app)})
        for wanted, known in (
            (filters.types, self._types),
            (filters.space_guids, self._space_guids),
            (filters.organization_guids, self._organization_guids),
        ):
            if wanted is not None:
                sets.append(_union(known.get(value) for value in wanted))
                yield
        for requirement in filters.labels:
            if requirement.operator in (Operator.EXISTS, Operator.NOT_EXISTS):
                having: Set[str] = self._labelled.get(requirement.key, frozenset())
            else:
                values = self._labels.get(requirement.key, {})
                having = _union(values.get(value) for value in requirement.values)
            (sets if requirement.operator in (Operator.EXISTS, Operator.IN) else excluded).append(having)
            yield
        for order, conditions in ((Order.CREATED_AT, filters.created_at), (Order.UPDATED_AT, filters.updated_at)):
            for ranges in conditions:
                fitting: set[str] = set()
                for each in ranges:
                    positions = self._views[order].between(each.start, each.end)
                    for first in range(0, len(positions), STEP):
                        fitting.update([position[1] for position in positions[first : first + STEP]])
                        yield
                sets.append(fitting)
        matching = yield from self._visible(sets, visible)
        if excluded:
            yield
            matching = matching.difference(*excluded)
        if filters.words:
            matching = yield from self._mentioning(matching, filters.words)
        return matching

    def _mentioning(self, guids: Set[str], words: tuple[str, ...]) -> Generator[None, None, frozenset[str]]:
        found = set()
        for number, guid in enumerate(guids, 1):
            process = self._processes.get(guid)
            if process is not None:
                text = _mentioned(process.workload)
                if all(word in text for word in words):
                    found.add(guid)
            if number % SOUGHT == 0:
                yield
        return frozenset(found)

    def _visible(self, sets: list[Set[str]], visible: Visible) -> Generator[None, None, frozenset[str]]:
        """The intersection of the sets, as far as it is visible; without sets, all that is visible."""
        view = self._views[Order.CREATED_AT]
        if not sets:
            return frozenset(self._processes if visible is None else view.guids(visible))
        smallest, *others = sorted(sets, key=len)
        matching = frozenset(smallest)
        yield
        for other in others:
            matching = matching & other
            yield
        if visible is None:
            return matching
        if view.count(visible) < len(matching):
            return matching.intersection(view.guids(visible))
        namespaces = ((guid, self._processes.get(guid)) for guid in matching)
        return frozenset(guid for guid, process in namespaces if process and process.workload.namespace in visible)

    def _slice(
        self, guids: Set[str], order: Order, descending: bool, start: int, size: int
    ) -> Generator[None, None, list[str]]:
        """Those at ranks start … start + size of the GUIDs in order."""
        stop = min(start + size, len(guids))
        if start >= stop:
            return []
        if len(guids) <= SMALL_PART or len(guids) * SMALL_PART <= len(self._processes):
            processes = (self._processes.get(guid) for guid in guids)
            positions = sorted((_position(p, order) for p in processes if p is not None), reverse=descending)
            return [position[1] for position in positions[start:stop]]
        everything = self._views[order].positions()
        # From whichever end is nearer.
        backwards = descending
        if start > len(guids) - stop:
            start, stop, backwards = len(guids) - stop, len(guids) - start, not descending
        if backwards:
            everything.reverse()
        found: list[str] = []
        for first in range(0, len(everything), STEP):
            yield
            found += [position[1] for position in everything[first : first + STEP] if position[1] in guids]
            if len(found) >= stop:
                break
        found = found[start:stop]
        return found if backwards == descending else found[::-1]

    # Writing: each event, and each step, leaves the index whole

    def put_workload(self, workload: Workload) -> list[Conflict]:
        """Add a Deployment or replace its former state. Returns the conflicts that this brought about."""
        if self._claims.get(workload.uid) == workload:
            return []
        verdict = self._claims.put(workload)
        self._apply(verdict.losers, verdict.winners)
        return verdict.conflicts

    def remove_workload(self, uid: str) -> None:
        """Forget a Deployment. An unknown uid is no error."""
        if self._claims.get(uid) is not None:
            verdict = self._claims.remove(uid)
            self._apply(verdict.losers, verdict.winners)

    def retain_workloads(self, uids: Set[str]) -> Iterator[None]:
        """Forget all Deployments but these, step by step."""
        for uid in list(self._claims.uids()):
            if uid not in uids:
                self.remove_workload(uid)
            yield

    def put_space(self, space: Space) -> Iterator[None]:
        """Add or replace a namespace, and step by step move its processes to the space it is now."""
        if self._spaces.get(space.namespace) != space:
            self._spaces[space.namespace] = space
            yield from self._refresh_namespace(space.namespace)

    def remove_space(self, namespace: str) -> Iterator[None]:
        """Forget a namespace, step by step."""
        if self._spaces.pop(namespace, None) is not None:
            yield from self._refresh_namespace(namespace)

    def put_metadata(self, metadata: Metadata) -> None:
        """Add or replace a row. It is kept whether or not a Deployment claims its (app, type) now."""
        types = self._metadata.setdefault(metadata.app_guid, {})
        if types.get(metadata.type) != metadata:
            types[metadata.type] = metadata
            self._refresh(metadata.app_guid, metadata.type)

    def retain_metadata(self, keys: Set[tuple[str, str]]) -> Iterator[None]:
        """Forget the rows of other (app GUID, type) than these, step by step; none may be put meanwhile."""
        for app_guid in list(self._metadata):
            for process_type in [kind for kind in self._metadata[app_guid] if (app_guid, kind) not in keys]:
                del self._metadata[app_guid][process_type]
                if not self._metadata[app_guid]:
                    del self._metadata[app_guid]
                self._refresh(app_guid, process_type)
            yield

    def _apply(self, losers: Iterable[Workload], winners: Iterable[Workload]) -> None:
        # Losers leave before winners enter: they may share a GUID.
        for workload in losers:
            process = self._processes.get(workload.guid)
            if process is not None and process.workload.uid == workload.uid:
                self._remove(process)
        for workload in winners:
            self._serve(workload)

    def _refresh(self, app_guid: str, process_type: str) -> None:
        if (process := self.find(app_guid, process_type)) is not None:
            self._serve(process.workload)

    def _refresh_namespace(self, namespace: str) -> Iterator[None]:
        for guid in self._views[Order.CREATED_AT].guids(frozenset((namespace,))):
            process = self._processes.get(guid)
            if process is not None and process.workload.namespace == namespace:
                self._serve(process.workload)
            yield

    def _serve(self, workload: Workload) -> None:
        """Put the workload's process, merged as of now, in every place where it is looked up."""
        metadata = self._metadata.get(workload.app_guid, {}).get(workload.type)
        process = merge(workload, metadata, self._spaces.get(workload.namespace))
        former = self._processes.get(workload.guid)
        if former is None:
            self._add(process)
            return
        self.version += 1
        self._processes[workload.guid] = process
        for order, view in self._views.items():
            if (old := _position(former, order)) != (new := _position(process, order)):
                view.remove(old)
                view.add(new)
        if _places(former) != _places(process):
            self._displace(former)
            self._place(process)
        if former.metadata is not process.metadata:
            self._unlabel(former)
            self._label(process)

    def _add(self, process: Process) -> None:
        self.version += 1
        self._processes[process.guid] = process
        for order, view in self._views.items():
            view.add(_position(process, order))
        self._place(process)
        self._label(process)

    def _remove(self, process: Process) -> None:
        self.version += 1
        del self._processes[process.guid]
        for order, view in self._views.items():
            view.remove(_position(process, order))
        self._displace(process)
        self._unlabel(process)

    def _place(self, process: Process) -> None:
        for known, value in self._places_of(process):
            known.setdefault(value, set()).add(process.guid)

    def _displace(self, process: Process) -> None:
        for known, value in self._places_of(process):
            _discard(known, value, process.guid)

    def _places_of(self, process: Process) -> list[tuple[dict[str, set[str]], str]]:
        maps = (self._types, self._space_guids, self._organization_guids)
        return [(known, value) for known, value in zip(maps, _places(process), strict=True) if value is not None]

    def _label(self, process: Process) -> None:
        for key, value in process.metadata.labels.items():
            self._labels.setdefault(key, {}).setdefault(value, set()).add(process.guid)
            self._labelled.setdefault(key, set()).add(process.guid)

    def _unlabel(self, process: Process) -> None:
        for key, value in process.metadata.labels.items():
            _discard(self._labels[key], value, process.guid)
            if not self._labels[key]:
                del self._labels[key]
            _discard(self._labelled, key, process.guid)


def _position(process: Process, order: Order) -> Position:
    key = process.workload.created_at if order is Order.CREATED_AT else process.updated_at
    return key, process.workload.guid, process.workload.namespace


def _places(process: Process) -> tuple[str, str, str | None]:
    return process.workload.type, process.space_guid, process.organization_guid


def _mentioned(workload: Workload) -> str:
    names = workload.app_guid, workload.guid, workload.type, workload.name, workload.namespace
    return "\n".join(names).lower()


def _union(sets: Iterable[Set[str] | None]) -> Set[str]:
    found = [s for s in sets if s]
    return found[0] if len(found) == 1 else frozenset().union(*found)


def _discard(known: dict[str, set[str]], value: str, guid: str) -> None:
    known[value].discard(guid)
    if not known[value]:
        del known[value]
