"""The index: every process there is, kept ready to be listed in any order by anyone.

It is fed with workloads and spaces (by the cluster's watches) and metadata (by the store's mirror), in any order, and
answers from memory. One event costs O(log n); a page costs what service.model.views says; a filter costs set algebra
over the sets of GUIDs it names, then one pass or one small sort.

One Deployment is one process. Where several claim the same (app, type), or the same GUID, the oldest is the process
and the others are conflicts: known, counted, never merged.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from enum import Enum

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


NO_FILTERS = Filters()


@dataclass(frozen=True)
class Conflict:
    """A Deployment that claims what an older one already is."""

    workload: Workload
    winner: Workload


@dataclass(frozen=True)
class Selection:
    """One page of what matched, and how much matched in all."""

    total_results: int
    processes: list[Process]


# Sorting m GUIDs alone beats one pass over all n in order as long as m is a small part of n.
_SMALL_PART = 50


class Index:
    def __init__(self) -> None:
        self._workloads: dict[str, Workload] = {}
        """By Deployment uid: conflicts included."""
        self._spaces: dict[str, Space] = {}
        """By namespace."""
        self._metadata: dict[str, dict[str, Metadata]] = {}
        """By app GUID and type."""
        self._by_app: dict[str, tuple[str, ...]] = {}
        """App GUID → uids of the workloads that claim it."""
        self._by_guid: dict[str, tuple[str, ...]] = {}
        """Process GUID → uids of the workloads that claim it."""
        self._processes: dict[str, Process] = {}
        """What is served, by process GUID."""
        self._conflicts: dict[str, Conflict] = {}
        """By the uid of the Deployment that lost."""
        self._views = {order: SortedView() for order in Order}
        self._types: dict[str, set[str]] = {}
        self._space_guids: dict[str, set[str]] = {}
        self._organization_guids: dict[str, set[str]] = {}
        self._labels: dict[str, dict[str, set[str]]] = {}

    # Reading

    def __len__(self) -> int:
        """How many processes are served."""
        return len(self._processes)

    @property
    def conflicts(self) -> Mapping[str, Conflict]:
        return self._conflicts

    def get(self, guid: str) -> Process | None:
        return self._processes.get(guid)

    def find(self, app_guid: str, process_type: str) -> Process | None:
        return next((p for p in self.processes_of(app_guid) if p.workload.type == process_type), None)

    def processes_of(self, app_guid: str) -> list[Process]:
        """The processes of one app, in no particular order."""
        served = (self._served(self._workloads[uid]) for uid in self._by_app.get(app_guid, ()))
        return [process for process in served if process is not None]

    def namespaces(self) -> Set[str]:
        """Those that hold a process."""
        return self._views[Order.CREATED_AT].namespaces()

    def select(
        self, filters: Filters, visible: Visible, order: Order, *, descending: bool, start: int, size: int
    ) -> Selection:
        """`size` processes from rank `start` of those that match, in total order (sort key, then GUID)."""
        view = self._views[order]
        if filters == NO_FILTERS:
            total = view.count(visible)
            guids = view.page(visible, start, size, descending)
        else:
            matching = self._matching(filters, visible)
            total = len(matching)
            guids = self._in_order(matching, order, descending)[start : start + size]
        return Selection(total, [self._processes[guid] for guid in guids])

    def _matching(self, filters: Filters, visible: Visible) -> Set[str]:
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
        for requirement in filters.labels:
            values = self._labels.get(requirement.key, {})
            if requirement.operator in (Operator.EXISTS, Operator.NOT_EXISTS):
                having = _union(values.values())
            else:
                having = _union(values.get(value) for value in requirement.values)
            (sets if requirement.operator in (Operator.EXISTS, Operator.IN) else excluded).append(having)
        for order, conditions in ((Order.CREATED_AT, filters.created_at), (Order.UPDATED_AT, filters.updated_at)):
            for ranges in conditions:
                sets.append({guid for r in ranges for guid in self._views[order].between(r.start, r.end)})
        matching = self._visible(sets, visible)
        return matching.difference(*excluded) if excluded else matching

    def _visible(self, sets: list[Set[str]], visible: Visible) -> frozenset[str] | set[str]:
        """The intersection of the sets, as far as it is visible; without sets, all that is visible."""
        view = self._views[Order.CREATED_AT]
        if not sets:
            return set(view.guids(visible))
        smallest, *others = sorted(sets, key=len)
        matching = frozenset(smallest).intersection(*others)
        if visible is None:
            return matching
        if view.count(visible) < len(matching):
            return matching.intersection(view.guids(visible))
        return {guid for guid in matching if self._processes[guid].workload.namespace in visible}

    def _in_order(self, guids: Set[str], order: Order, descending: bool) -> list[str]:
        if len(guids) * _SMALL_PART > len(self._processes) and len(guids) > _SMALL_PART:
            return self._views[order].within(guids, descending)
        positions = sorted((_position(self._processes[guid], order) for guid in guids), reverse=descending)
        return [guid for _, guid in positions]

    # Writing: one event at a time, each leaves the index whole

    def put_workload(self, workload: Workload) -> list[Conflict]:
        """Add a Deployment or replace its former state. Returns the conflicts that this brought about."""
        former = self._workloads.get(workload.uid)
        if former == workload:
            return []
        if former is not None:
            self._unclaim(former)
        self._workloads[workload.uid] = workload
        self._by_app[workload.app_guid] = (*self._by_app.get(workload.app_guid, ()), workload.uid)
        self._by_guid[workload.guid] = (*self._by_guid.get(workload.guid, ()), workload.uid)
        return self._settle({workload.uid, *self._rivals(workload), *(self._rivals(former) if former else ())})

    def remove_workload(self, uid: str) -> None:
        """Forget a Deployment. An unknown uid is no error."""
        workload = self._workloads.pop(uid, None)
        if workload is not None:
            self._unclaim(workload)
            self._settle(self._rivals(workload))

    def workloads_outside(self, uids: Set[str]) -> list[str]:
        """The uids of workloads not among `uids`: the ones a complete list no longer holds."""
        return [uid for uid in self._workloads if uid not in uids]

    def put_space(self, space: Space) -> None:
        if self._spaces.get(space.namespace) != space:
            self._spaces[space.namespace] = space
            self._refresh_namespace(space.namespace)

    def remove_space(self, namespace: str) -> None:
        if self._spaces.pop(namespace, None) is not None:
            self._refresh_namespace(namespace)

    def spaces(self) -> Set[str]:
        """The namespaces known."""
        return self._spaces.keys()

    def put_metadata(self, metadata: Metadata) -> None:
        """Add or replace a row. It is kept whether or not a Deployment claims its (app, type) now."""
        types = self._metadata.setdefault(metadata.app_guid, {})
        if types.get(metadata.type) != metadata:
            types[metadata.type] = metadata
            self._refresh(metadata.app_guid, metadata.type)

    def retain_metadata(self, keys: Set[tuple[str, str]]) -> None:
        """Forget the rows of other (app GUID, type) than these."""
        gone = [(app, kind) for app, types in self._metadata.items() for kind in types if (app, kind) not in keys]
        for app_guid, process_type in gone:
            del self._metadata[app_guid][process_type]
            if not self._metadata[app_guid]:
                del self._metadata[app_guid]
            self._refresh(app_guid, process_type)

    def _rivals(self, workload: Workload) -> set[str]:
        """Uids that claim the same (app, type) or GUID; the workload's own among them while it is known."""
        of_type = (u for u in self._by_app.get(workload.app_guid, ()) if self._workloads[u].type == workload.type)
        return {*of_type, *self._by_guid.get(workload.guid, ())}

    def _settle(self, uids: set[str]) -> list[Conflict]:
        """Decide anew which of these are processes. Losers leave before winners enter, as they share GUIDs."""
        winners = []
        conflicts = []
        for uid in uids:
            workload = self._workloads[uid]
            winner = min((self._workloads[rival] for rival in self._rivals(workload)), key=_age)
            if winner.uid == uid:
                winners.append(workload)
                self._conflicts.pop(uid, None)
                continue
            self._unserve(workload)
            known = self._conflicts.get(uid)
            self._conflicts[uid] = conflict = Conflict(workload, winner)
            if known is None or known.winner.uid != winner.uid:
                conflicts.append(conflict)
        for workload in winners:
            self._serve(workload)
        return conflicts

    def _unclaim(self, workload: Workload) -> None:
        self._unserve(workload)
        self._conflicts.pop(workload.uid, None)
        for claims, claim in ((self._by_app, workload.app_guid), (self._by_guid, workload.guid)):
            left = tuple(uid for uid in claims[claim] if uid != workload.uid)
            if left:
                claims[claim] = left
            else:
                del claims[claim]

    def _served(self, workload: Workload) -> Process | None:
        process = self._processes.get(workload.guid)
        return process if process is not None and process.workload.uid == workload.uid else None

    def _refresh(self, app_guid: str, process_type: str) -> None:
        if (process := self.find(app_guid, process_type)) is not None:
            self._serve(process.workload)

    def _refresh_namespace(self, namespace: str) -> None:
        for guid in list(self._views[Order.CREATED_AT].guids(frozenset((namespace,)))):
            self._serve(self._processes[guid].workload)

    def _serve(self, workload: Workload) -> None:
        """Put the workload's process, merged as of now, in every place where it is looked up."""
        metadata = self._metadata.get(workload.app_guid, {}).get(workload.type)
        process = merge(workload, metadata, self._spaces.get(workload.namespace))
        former = self._processes.get(workload.guid)
        if former is not None and former.workload.namespace != workload.namespace:
            self._remove(former)
            former = None
        self._processes[workload.guid] = process
        guid = process.guid
        for order, view in self._views.items():
            position = _position(process, order)
            if former is None:
                view.add(workload.namespace, position)
            elif (old := _position(former, order)) != position:
                view.remove(workload.namespace, old)
                view.add(workload.namespace, position)
        old_places, places = _places(former) if former else None, _places(process)
        for i, known in enumerate((self._types, self._space_guids, self._organization_guids)):
            if old_places is None or old_places[i] != places[i]:
                if old_places is not None:
                    _discard(known, old_places[i], guid)
                _add(known, places[i], guid)
        if former is None or former.metadata is not process.metadata:
            for key, value in former.metadata.labels.items() if former else ():
                self._discard_label(key, value, guid)
            for key, value in process.metadata.labels.items():
                _add(self._labels.setdefault(key, {}), value, guid)

    def _unserve(self, workload: Workload) -> None:
        process = self._served(workload)
        if process is not None:
            self._remove(process)

    def _remove(self, process: Process) -> None:
        guid = process.guid
        del self._processes[guid]
        for order, view in self._views.items():
            view.remove(process.workload.namespace, _position(process, order))
        for known, value in zip(
            (self._types, self._space_guids, self._organization_guids), _places(process), strict=True
        ):
            _discard(known, value, guid)
        for key, value in process.metadata.labels.items():
            self._discard_label(key, value, guid)

    def _discard_label(self, key: str, value: str, guid: str) -> None:
        _discard(self._labels[key], value, guid)
        if not self._labels[key]:
            del self._labels[key]


def _age(workload: Workload) -> tuple[int, str]:
    return workload.created_at, workload.uid


def _position(process: Process, order: Order) -> Position:
    key = process.workload.created_at if order is Order.CREATED_AT else process.updated_at
    return key, process.workload.guid


def _places(process: Process) -> tuple[str, str, str | None]:
    return process.workload.type, process.space_guid, process.organization_guid


def _union(sets: Iterable[Set[str] | None]) -> Set[str]:
    found = [s for s in sets if s]
    return found[0] if len(found) == 1 else frozenset().union(*found)


def _add(known: dict[str, set[str]], value: str | None, guid: str) -> None:
    if value is not None:
        known.setdefault(value, set()).add(guid)


def _discard(known: dict[str, set[str]], value: str | None, guid: str) -> None:
    if value is not None:
        known[value].discard(guid)
        if not known[value]:
            del known[value]
