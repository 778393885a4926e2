"""Apps: the processes of one app GUID in one namespace; with what each runs now, and how its newest rollout fares."""

from collections.abc import Sequence
from functools import lru_cache

import msgspec

from service.model.derive import DEFAULT_TYPE
from service.model.guids import derived_guid, rollout_guid
from service.model.process import Metadata, Process, Workload
from service.model.selection import CREATED_AT, UPDATED_AT
from service.model.shape import GUIDS, Shape

APP_TYPE = ""
"""The type in the key of the row that Postgres keeps of an app itself: no process has it."""
SHOWN = 100
"""Processes of an app that are shown with it: the oldest."""

NAMES, SPACE_GUIDS, ORGANIZATION_GUIDS = "names", "space_guids", "organization_guids"
DROPLET_GUIDS, ROLLOUT_GUIDS = "droplet_guids", "rollout_guids"
LIFECYCLE_TYPE, STACKS, DROPLET_STATES = "lifecycle_type", "stacks", "droplet_states"
ROLLOUT_STATES, STATUS_VALUES, STATUS_REASONS = "rollout_states", "status_values", "status_reasons"
NAME, STATE, ROLLOUT_BEGAN_AT, ROLLOUT_CHANGED_AT = "name", "state", "rollout_began_at", "rollout_changed_at"

LIFECYCLE = "docker"
STAGED = "STAGED"
"""The state of what a Deployment runs: there is nothing to be built."""


class App(msgspec.Struct, frozen=True, gc=False, eq=False, kw_only=True):
    """An app. Compared by identity: another object is another state."""

    key: str
    """Its namespace and its GUID."""
    processes: tuple[Process, ...]
    """The oldest first; no more than SHOWN."""
    lead: Process
    """The one of type `web`, else the oldest: it says what the app is called, and what it is made of."""
    stored: Metadata | None
    """None: nothing is."""
    is_started: bool

    @property
    def droplet_guid(self) -> str:
        return droplet_guid(self.namespace, self.guid, self.lead.workload.image)

    @property
    def rollout_guid(self) -> str:
        return newest_rollout(self.lead.workload)

    @property
    def guid(self) -> str:
        return self.lead.workload.app_guid

    @property
    def namespace(self) -> str:
        return self.lead.workload.namespace

    @property
    def name(self) -> str:
        return self.lead.workload.app_name or self.lead.workload.name

    @property
    def created_at(self) -> int:
        return self.processes[0].workload.created_at

    @property
    def updated_at(self) -> int:
        changed_at = self.lead.workload.changed_at
        return max(changed_at, self.stored.updated_at) if self.stored else changed_at

    @property
    def state(self) -> str:
        return "STARTED" if self.is_started else "STOPPED"

    @property
    def metadata(self) -> Metadata:
        return self.stored or Metadata(namespace=self.namespace, app_guid=self.guid, type=APP_TYPE)

    @property
    def rollout_state(self) -> str:
        workload = self.lead.workload
        if workload.cancelled_rollout:
            return "CANCELED" if workload.rolled_out else "CANCELING"
        return "DEPLOYED" if workload.rolled_out else "DEPLOYING"

    @property
    def status_value(self) -> str:
        return "FINALIZED" if self.lead.workload.rolled_out else "ACTIVE"

    @property
    def status_reason(self) -> str:
        paused = self.lead.workload.paused and not self.lead.workload.rolled_out
        return "PAUSED" if paused else self.rollout_state


def app_key(namespace: str, app_guid: str) -> str:
    return f"{namespace}/{app_guid}"


@lru_cache(maxsize=64)
def droplet_guid(namespace: str, app_guid: str, image: str) -> str:
    return derived_guid(f"droplet/{namespace}/{app_guid}/{image}")


def newest_rollout(workload: Workload) -> str:
    """The GUID of its newest rollout. The way back from one that is cancelled is the last part of that one."""
    return rollout_guid(workload.uid, newest_revision(workload))


def newest_revision(workload: Workload) -> int:
    """The revision that its newest rollout has brought, or was to bring before it was cancelled."""
    return workload.cancelled_rollout or workload.rollout


def is_started(workload: Workload) -> bool:
    """Whether a process is to run (service.model.desired). An app is, if any of its processes is."""
    return workload.started


def lead_of(processes: Sequence[Process]) -> Process:
    """The process that speaks for its app. The processes are those of one app, the oldest first."""
    return next((each for each in processes if each.workload.type == DEFAULT_TYPE), processes[0])


def made_of(processes: Sequence[Process], stored: Metadata | None) -> App:
    """The app of these processes, the oldest first, and what is stored of it."""
    lead = lead_of(processes)
    return App(
        key=app_key(lead.workload.namespace, lead.workload.app_guid),
        processes=tuple(processes),
        lead=lead,
        stored=stored,
        is_started=any(is_started(each.workload) for each in processes),
    )


def with_revision(app: App, revision: int) -> App:
    """The app as it is while this revision of its lead's Deployment is rolled out."""
    workload = app.lead.workload
    workload = msgspec.structs.replace(workload, rollout=revision, cancelled_rollout=0, rollout_took_s=None)
    lead = msgspec.structs.replace(app.lead, workload=workload)
    return made_of([lead if each is app.lead else each for each in app.processes], app.stored)


def _mentioned(app: App) -> str:
    """What words are looked for in."""
    names = (each.workload.name for each in app.processes)
    return " ".join((app.name, app.guid, app.namespace, app.lead.workload.image, *names)).lower()


APPS: Shape[App] = Shape(
    key=lambda app: app.key,
    guid=lambda app: app.guid,
    namespace=lambda app: app.namespace,
    orders={CREATED_AT: lambda app: app.created_at, UPDATED_AT: lambda app: app.updated_at, NAME: lambda app: app.name},
    sorts={
        STATE: lambda app: app.state,
        ROLLOUT_BEGAN_AT: lambda app: app.lead.workload.rollout_began_at,
        ROLLOUT_CHANGED_AT: lambda app: app.lead.workload.rollout_changed_at,
    },
    facets={
        GUIDS: lambda app: (app.guid,),
        NAMES: lambda app: (app.name,),
        SPACE_GUIDS: lambda app: (app.lead.space_guid,),
        ORGANIZATION_GUIDS: lambda app: (app.lead.organization_guid,),
        DROPLET_GUIDS: lambda app: (app.droplet_guid,),
        ROLLOUT_GUIDS: lambda app: (app.rollout_guid,),
    },
    placed=(SPACE_GUIDS, ORGANIZATION_GUIDS),
    hashed={
        DROPLET_GUIDS: lambda app: (app.namespace, app.guid, app.lead.workload.image),
        ROLLOUT_GUIDS: lambda app: (app.lead.workload.uid, newest_revision(app.lead.workload)),
    },
    traits={
        STACKS: lambda _: (),
        LIFECYCLE_TYPE: lambda _: (LIFECYCLE,),
        DROPLET_STATES: lambda _: (STAGED,),
        ROLLOUT_STATES: lambda app: (app.rollout_state,),
        STATUS_VALUES: lambda app: (app.status_value,),
        STATUS_REASONS: lambda app: (app.status_reason,),
    },
    labels=lambda app: app.metadata.labels,
    text=lambda app: _mentioned(app),
)
