"""Apps, spaces and organizations against an oracle that works them out anew of what is known, for anyone who looks."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from service.model.apps import APP_TYPE, ROLLOUT_BEGAN_AT, STATE, App, droplet_guid
from service.model.collection import Collection
from service.model.guids import rollout_guid
from service.model.index import Index
from service.model.process import Key, Metadata, Space, Workload
from service.model.selection import CREATED_AT, NO_FILTERS, UPDATED_AT, Filters, Slice
from service.model.selectors import Operator, Requirement
from service.model.spaces import OrganizationPart, SpacePart
from service.model.views import Visible
from tests.model.builders import exhaust, finish, metadata, workload

NAMESPACES = ["n0", "n1", "n2"]
APPS = ["a0", "a1"]
TYPES = ["web", "worker", "clock"]
SPACES = ["s0", "n0", "n1"]
ORGANIZATIONS = ["o0", "o1", "default"]
NAMES = ["", "shop", "a,b"]
VISIBLE: list[Visible] = [None, frozenset(), frozenset({"n0"}), frozenset({"n1", "n2"}), frozenset({"n0", "n2", "x"})]
TIMES = st.integers(0, 4)


@dataclass
class World:
    """All that was told and not taken back."""

    workloads: dict[str, Workload] = field(default_factory=dict)
    spaces: dict[str, Space] = field(default_factory=dict)
    rows: dict[Key, Metadata] = field(default_factory=dict)

    def served(self, visible: Visible) -> list[Workload]:
        everything = list(self.workloads.values())

        def wins(one: Workload) -> bool:
            rivals = [
                w for w in everything if w.namespace == one.namespace and (w.key == one.key or w.guid == one.guid)
            ]
            return min(rivals, key=lambda w: (w.deleting, w.created_at, w.uid)) is one

        seen = [w for w in everything if visible is None or w.namespace in visible]
        return sorted(filter(wins, seen), key=lambda w: (w.created_at, w.uid))

    def space_of(self, w: Workload) -> str:
        space = self.spaces.get(w.namespace)
        return w.space_guid or (space.guid if space else w.namespace)

    def organization_of(self, namespace: str) -> str:
        space = self.spaces.get(namespace)
        return (space and space.organization_guid) or "default"

    def apps(self, visible: Visible) -> list[dict[str, Any]]:
        found: dict[tuple[str, str], list[Workload]] = {}
        for w in self.served(visible):
            found.setdefault((w.namespace, w.app_guid), []).append(w)
        return [self.app(*key, processes) for key, processes in found.items()]

    def app(self, namespace: str, guid: str, processes: list[Workload]) -> dict[str, Any]:
        lead = next((w for w in processes if w.type == "web"), processes[0])
        row = self.rows.get((namespace, guid, APP_TYPE)) or metadata(guid, APP_TYPE, namespace)
        return {
            "guid": guid,
            "namespace": namespace,
            "name": lead.app_name or lead.name,
            "state": "STARTED" if any(w.started for w in processes) else "STOPPED",
            "created_at": min(w.created_at for w in processes),
            "updated_at": max(lead.changed_at, row.updated_at),
            "space": self.space_of(lead),
            "organization": self.organization_of(namespace),
            "labels": dict(row.labels),
            "droplet": droplet_guid(namespace, guid, lead.image),
            "rollout": rollout_guid(lead.uid, lead.cancelled_rollout or lead.rollout),
            "processes": [w.uid for w in processes],
            "began_at": lead.rollout_began_at,
        }

    def is_space(self, namespace: str) -> bool:
        holds = any(w.namespace == namespace for w in self.served(None))
        return namespace in self.spaces and (holds or self.spaces[namespace].labelled)

    def seen_spaces(self, visible: Visible) -> list[Space]:
        """The Namespaces that are spaces, the oldest first."""
        found = [s for n, s in self.spaces.items() if self.is_space(n) and (visible is None or n in visible)]
        return sorted(found, key=lambda s: (s.created_at, s.namespace))

    def space_list(self, visible: Visible) -> list[dict[str, Any]]:
        own = self.seen_spaces(visible)
        named = {
            (w.space_guid, w.namespace) for w in self.served(visible) if w.space_guid and w.namespace in self.spaces
        }
        found = []
        for guid in {s.guid for s in own} | {guid for guid, _ in named}:
            owners = [s for s in own if s.guid == guid]
            others = sorted((self.spaces[n] for g, n in named if g == guid), key=lambda s: (s.created_at, s.namespace))
            first = (owners or others)[0]
            name = first.name if owners else guid
            organization = self.organization_of(first.namespace)
            found.append({"guid": guid, "name": name, "organization": organization, **times(first)})
        return found

    def organization_list(self, visible: Visible) -> list[dict[str, Any]]:
        own = self.seen_spaces(visible)
        found = []
        for guid in {self.organization_of(s.namespace) for s in own}:
            members = [s for s in own if self.organization_of(s.namespace) == guid]
            name = next((s.organization_name for s in members if s.organization_name), guid)
            found.append({"guid": guid, "name": name, **times(members[0])})
        return found


def times(space: Space) -> dict[str, int]:
    return {"created_at": space.created_at, "updated_at": space.updated_at}


def shown_app(app: App) -> dict[str, Any]:
    return {
        "guid": app.guid,
        "namespace": app.namespace,
        "name": app.name,
        "state": app.state,
        "created_at": app.created_at,
        "updated_at": app.updated_at,
        "space": app.lead.space_guid,
        "organization": app.lead.organization_guid,
        "labels": dict(app.metadata.labels),
        "droplet": app.droplet_guid,
        "rollout": app.rollout_guid,
        "processes": [each.workload.uid for each in app.processes],
        "began_at": app.lead.workload.rollout_began_at,
    }


def shown_space(space: SpacePart) -> dict[str, Any]:
    facts = {"guid": space.guid, "name": space.name, "organization": space.organization_guid}
    return {**facts, "created_at": space.created_at, "updated_at": space.updated_at}


def shown_organization(organization: OrganizationPart) -> dict[str, Any]:
    facts = {"guid": organization.guid, "name": organization.name}
    return {**facts, "created_at": organization.created_at, "updated_at": organization.updated_at}


def listed(
    collection: Collection[Any], visible: Visible, wanted: Filters = NO_FILTERS, order: str = CREATED_AT, **part: Any
) -> list[Any]:
    """All that is found, and that its number is said to be that."""
    selection = finish(collection.search(wanted, visible, Slice(order, size=1000, **part)))
    assert selection.total_results == len(selection.items)
    return list(selection.items)


def having(facet: str, *values: str) -> Filters:
    return Filters(((facet, frozenset(values)),))


workloads = st.builds(
    workload,
    st.sampled_from([f"u{n}" for n in range(9)]),
    namespace=st.sampled_from(NAMESPACES),
    app_guid=st.sampled_from(APPS),
    type=st.sampled_from(TYPES),
    guid=st.sampled_from([f"g{n}" for n in range(6)]),
    space_guid=st.none() | st.sampled_from(SPACES),
    created_at=TIMES,
    started=st.booleans(),
    app_name=st.sampled_from(NAMES),
    image=st.sampled_from(["i0", "i1"]),
    rollout=st.integers(0, 2),
    cancelled_rollout=st.integers(0, 2),
    rollout_began_at=TIMES,
    rollout_took_s=st.none() | st.integers(0, 2),
    paused=st.booleans(),
    deleting=st.booleans(),
)
spaces = st.builds(
    Space,
    namespace=st.sampled_from(NAMESPACES),
    guid=st.sampled_from(SPACES),
    organization_guid=st.none() | st.sampled_from(ORGANIZATIONS),
    name=st.sampled_from(["x", "y"]),
    organization_name=st.none() | st.sampled_from(["p", "q"]),
    created_at=TIMES,
    updated_at=st.integers(5, 7),
    labelled=st.booleans(),
)
rows = st.builds(
    metadata,
    st.sampled_from(APPS),
    st.just(APP_TYPE) | st.just("web"),
    st.sampled_from(NAMESPACES),
    labels=st.dictionaries(st.just("tier"), st.sampled_from(["x", "y"])),
    updated_at=TIMES,
)


class LookingMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.index, self.world = Index(), World()

    @rule(put=st.lists(workloads, min_size=1, max_size=4))
    def put_workloads(self, put: list[Workload]) -> None:
        for each in put:
            self.world.workloads[each.uid] = each
            self.index.put_workload(each)

    @precondition(lambda self: bool(self.world.workloads))
    @rule(data=st.data())
    def remove_workload(self, data: st.DataObject) -> None:
        uid = data.draw(st.sampled_from(sorted(self.world.workloads)))
        del self.world.workloads[uid]
        self.index.remove_workload(uid)

    @precondition(lambda self: bool(self.world.workloads))
    @rule(data=st.data(), label=st.none() | st.sampled_from(SPACES), started=st.booleans())
    def change_workload(self, data: st.DataObject, label: str | None, started: bool) -> None:
        uid = data.draw(st.sampled_from(sorted(self.world.workloads)))
        changed = msgspec.structs.replace(self.world.workloads[uid], space_guid=label, started=started)
        self.put_workloads([changed])

    @rule(space=spaces)
    def put_space(self, space: Space) -> None:
        self.world.spaces[space.namespace] = space
        exhaust(self.index.put_space(space))

    @rule(namespace=st.sampled_from(NAMESPACES))
    def remove_space(self, namespace: str) -> None:
        self.world.spaces.pop(namespace, None)
        exhaust(self.index.remove_space(namespace))

    @rule(row=rows)
    def put_row(self, row: Metadata) -> None:
        self.world.rows[row.key] = row
        self.index.put_metadata(row)

    @rule(keys=st.frozensets(st.tuples(st.sampled_from(NAMESPACES), st.sampled_from(APPS), st.just(APP_TYPE))))
    def retain_rows(self, keys: frozenset[Key]) -> None:
        self.world.rows = {key: row for key, row in self.world.rows.items() if key in keys}
        exhaust(self.index.retain_metadata(keys))

    @invariant()
    def shows_everyone_the_apps_of_what_they_see(self) -> None:
        for visible in VISIBLE:
            expected = self.world.apps(visible)
            for order, key in ((CREATED_AT, "created_at"), ("name", "name"), (STATE, "state")):
                found = [shown_app(app) for app in listed(self.index.apps, visible, order=order)]
                assert found == sorted(expected, key=lambda app: (app[key], app["guid"], app["namespace"]))
            backwards = [shown_app(app) for app in listed(self.index.apps, visible, order=STATE, descending=True)]
            assert backwards == found[::-1]
            began = [
                app.lead.workload.rollout_began_at for app in listed(self.index.apps, visible, order=ROLLOUT_BEGAN_AT)
            ]
            assert began == sorted(app["began_at"] for app in expected)

    @invariant()
    def finds_apps_by_all_that_they_can_be_found_by(self) -> None:
        expected = self.world.apps(None)
        facets = {
            "guids": "guid",
            "names": "name",
            "space_guids": "space",
            "organization_guids": "organization",
            "droplet_guids": "droplet",
            "rollout_guids": "rollout",
        }
        for facet, key in facets.items():
            for value in {app[key] for app in expected} | {"unknown"}:
                found = listed(self.index.apps, None, having(facet, value))
                assert places(found) == {(app["namespace"], app["guid"]) for app in expected if app[key] == value}
        for value in ("x", "y"):
            wanted = Filters(labels=(Requirement("tier", Operator.IN, frozenset({value})),))
            found = listed(self.index.apps, None, wanted)
            labelled = {(a["namespace"], a["guid"]) for a in expected if a["labels"].get("tier") == value}
            assert places(found) == labelled
        for value in ("ACTIVE", "FINALIZED"):
            found = listed(self.index.apps, None, having("status_values", value))
            assert places(found) == {
                (a.namespace, a.guid) for a in listed(self.index.apps, None) if a.status_value == value
            }

    @invariant()
    def shows_everyone_the_spaces_and_organizations_of_what_they_see(self) -> None:
        for visible in VISIBLE:
            for collection, shown, expected in (
                (self.index.spaces, shown_space, self.world.space_list(visible)),
                (self.index.organizations, shown_organization, self.world.organization_list(visible)),
            ):
                for order in (CREATED_AT, UPDATED_AT, "name"):
                    found = [shown(each) for each in listed(collection, visible, order=order)]
                    assert found == sorted(expected, key=lambda each: (each[order], each["guid"]))
                for name in {each["name"] for each in expected} | {"unknown"}:
                    named = [shown(each)["guid"] for each in listed(collection, visible, having("names", name))]
                    assert sorted(named) == sorted(each["guid"] for each in expected if each["name"] == name)

    @invariant()
    def knows_what_is_there(self) -> None:
        there = {(app["namespace"], app["guid"]) for app in self.world.apps(None)}
        for namespace in NAMESPACES:
            for guid in APPS:
                assert self.index.is_claimed((namespace, guid, APP_TYPE)) == ((namespace, guid) in there)

    def teardown(self) -> None:
        for uid in list(self.world.workloads):
            self.index.remove_workload(uid)
        for namespace in list(self.world.spaces):
            exhaust(self.index.remove_space(namespace))
        for collection in (self.index.apps, self.index.spaces, self.index.organizations):
            assert not len(collection)


def places(apps: Iterable[App]) -> set[tuple[str, str]]:
    return {(app.namespace, app.guid) for app in apps}


TestLookingMachine = LookingMachine.TestCase
TestLookingMachine.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
