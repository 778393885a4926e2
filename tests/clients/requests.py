"""What real clients ask for, as one table: for each command its requests in order, and the fields that it reads.

Recorded from the cf CLI 8.18.4 and 9, and read from the sources of the Python, Java and Go clients.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Ask:
    """A request. `{names}` in it are those of the World it is asked in."""

    path: str
    method: str = "GET"
    body: Any = None
    status: int = 200
    """For who may do everything there."""
    viewer: int | None = None
    """For who may only look; None: as above for a GET, 403 for what changes something."""
    reads: tuple[str, ...] = ()
    """Fields that must be there, such as `resources[0].guid`; `resources[].guid` is that of each."""
    equal: Mapping[str, Any] = field(default_factory=dict)
    """What fields must be; a text is one with `{names}`."""
    until: bool = False
    """Whether it is asked again until `equal` holds; only then are the fields there."""
    learns: Mapping[str, str] = field(default_factory=dict)
    """Names that are from here on what a field says."""

    @property
    def is_of_something(self) -> bool:
        """Whether the path is of something there is; else it is of a list that filters choose from, or of no secret."""
        return "{" in self.path.partition("?")[0]


def post(path: str, body: Any = None, *, status: int = 200, **more: Any) -> Ask:
    return Ask(path, "POST", body, status, **more)


APP_FIELDS = ("guid", "name", "state", "lifecycle.type", "lifecycle.data", "relationships.space.data.guid", "metadata")
PROCESS_FIELDS = (
    *("guid", "type", "command", "instances", "memory_in_mb", "disk_in_mb", "log_rate_limit_in_bytes_per_second"),
    *("health_check.type", "readiness_health_check.type", "metadata", "relationships.app.data.guid"),
)
STATS_FIELDS = ("type", "index", "state", "uptime", "isolation_segment")
RUNNING_FIELDS = (*STATS_FIELDS, "fds_quota", "mem_quota", "disk_quota", "log_rate_limit", "instance_ports", "usage")


def _each(*fields: str, of: str = "resources[]") -> tuple[str, ...]:
    return tuple(f"{of}.{name}" for name in fields)


def _first(*fields: str) -> tuple[str, ...]:
    return _each(*fields, of="resources[0]")


WHOAMI = Ask("/whoami", reads=("name", "kind"))
ORGS = Ask("/v3/organizations?order_by=name", reads=_each("guid", "name", "created_at", "metadata"))
ORG = Ask(
    "/v3/organizations?names={org_name}&page=1&per_page=1",
    reads=_first("guid", "name"),
    equal={"resources[0].guid": "{org}", "resources[0].name": "{org_name}"},
)
SPACES = Ask("/v3/spaces?order_by=name&organization_guids={org}", reads=_first("guid", "name", "created_at"))
SPACE = Ask(
    "/v3/spaces?names={space_name}&organization_guids={org}&page=1&per_page=1",
    reads=_first("guid", "name", "relationships.organization.data.guid"),
    equal={"resources[0].guid": "{space}", "resources[0].relationships.organization.data.guid": "{org}"},
)
APP = Ask(
    "/v3/apps?names={app_name}&space_guids={space}",
    reads=_first(*APP_FIELDS),
    equal={"resources[0].guid": "{app}", "resources[0].relationships.space.data.guid": "{space}"},
)
PROCESSES = Ask("/v3/apps/{app}/processes", reads=_first(*PROCESS_FIELDS))
STATS = Ask("/v3/processes/{process}/stats", reads=_first(*STATS_FIELDS))
ISOLATION = (
    Ask("/v3/organizations/{org}/relationships/default_isolation_segment", equal={"data": None}),
    Ask("/v3/isolation_segments?organization_guids={org}", equal={"resources": []}),
)
SUMMARY = (
    APP,
    PROCESSES,
    Ask("/v3/processes/{process}/sidecars", reads=_first("guid", "name", "command", "process_types", "memory_in_mb")),
    STATS,
    Ask(
        "/v3/apps/{app}/routes",
        reads=_first("guid", "protocol", "host", "path", "port", "url", "destinations[0].app.guid"),
        equal={"resources[0].url": "{url}"},
    ),
    Ask("/v3/apps/{app}/droplets/current", reads=("guid", "state", "created_at", "image", "lifecycle.type")),
    Ask("/v3/deployments?app_guids={app}&order_by=-created_at&page=1&per_page=1&status_values=ACTIVE"),
)
WAIT = (
    PROCESSES,
    Ask(
        "/v3/processes/{process}/stats",
        reads=_first(*RUNNING_FIELDS),
        equal={"resources[0].state": "RUNNING"},
        until=True,
    ),
)
PACKAGES = Ask("/v3/packages?app_guids={app}&order_by=-created_at&page=1&per_page=1", equal={"resources": []})
STOP = post("/v3/apps/{app}/actions/stop", reads=APP_FIELDS, equal={"state": "STOPPED"})
START = post("/v3/apps/{app}/actions/start", reads=APP_FIELDS, equal={"state": "STARTED"})
ENVIRONMENT = "/v3/apps/{app}/environment_variables"
DEPLOYMENT_FIELDS = (
    *("guid", "created_at", "status.value", "status.reason", "status.details.last_status_change"),
    *("strategy", "options", "new_processes", "relationships.app.data.guid"),
)


def _check(kind: str, data: Mapping[str, Any]) -> Ask:
    body = {kind: {"type": "http", "data": data}}
    return Ask("/v3/processes/{process}", "PATCH", body, reads=PROCESS_FIELDS, equal={f"{kind}.type": "http"})


CF: Mapping[str, tuple[Ask, ...]] = {
    "api": (Ask("/", reads=("links.self.href", "links.cloud_controller_v3.meta.version")),),
    "login": (Ask("/", reads=("links.cloud_controller_v3.meta.version",)), ORG, SPACE, WHOAMI),
    "login, chosen from lists": (Ask("/"), ORGS, SPACES, WHOAMI),
    "target": (WHOAMI, ORG, SPACE),
    "orgs": (WHOAMI, ORGS),
    "org": (
        WHOAMI,
        ORG,
        Ask("/v3/organizations/{org}/domains", equal={"resources": []}),
        Ask("/v3/organization_quotas", equal={"resources": []}),
        SPACES,
        *ISOLATION,
    ),
    "spaces": (WHOAMI, SPACES),
    "space": (
        WHOAMI,
        Ask("/v3/organizations/{org}", reads=("guid", "name"), equal={"name": "{org_name}"}),
        SPACE,
        Ask("/v3/apps?space_guids={space}", reads=_first(*APP_FIELDS)),
        Ask("/v3/service_instances?space_guids={space}", equal={"resources": []}),
        Ask("/v3/spaces/{space}/relationships/isolation_segment", equal={"data": None}),
        ISOLATION[0],
        Ask("/v3/spaces/{space}/running_security_groups", equal={"resources": []}),
        Ask("/v3/spaces/{space}/staging_security_groups", equal={"resources": []}),
    ),
    "apps": (
        WHOAMI,
        Ask("/v3/apps?order_by=name&per_page=5000&space_guids={space}", reads=_first(*APP_FIELDS)),
        Ask(
            "/v3/processes?embed=process_instances&space_guids={space}",
            reads=_first("type", "instances", "memory_in_mb", "process_instances", "relationships.app.data.guid"),
        ),
        Ask("/v3/routes?app_guids={app}", reads=_first("url", "destinations[0].app.guid")),
    ),
    "app": (WHOAMI, *SUMMARY),
    "app --guid": (APP,),
    "scale": (WHOAMI, *SUMMARY),
    "scale -i": (
        WHOAMI,
        APP,
        post("/v3/apps/{app}/processes/web/actions/scale", {"instances": 2}, status=202, equal={"instances": 2}),
        *WAIT,
        *SUMMARY,
    ),
    "scale -m": (
        WHOAMI,
        APP,
        post(
            "/v3/apps/{app}/processes/web/actions/scale", {"memory_in_mb": 96}, status=202, equal={"memory_in_mb": 96}
        ),
        STOP,
        START,
        *WAIT,
        *SUMMARY,
    ),
    "get-health-check": (WHOAMI, APP, PROCESSES),
    "set-health-check": (
        WHOAMI,
        APP,
        Ask("/v3/apps/{app}/processes/web", reads=PROCESS_FIELDS, equal={"guid": "{process}"}),
        _check("health_check", {"endpoint": "/alive", "invocation_timeout": 3}),
    ),
    "set-readiness-health-check": (
        WHOAMI,
        APP,
        Ask("/v3/apps/{app}/processes/web", reads=PROCESS_FIELDS),
        _check("readiness_health_check", {"endpoint": "/ready"}),
    ),
    "restart-app-instance": (
        WHOAMI,
        APP,
        Ask("/v3/apps/{app}/processes/web/instances/0", "DELETE", status=204),
        *WAIT,
    ),
    "stop": (WHOAMI, APP, STOP),
    "start": (WHOAMI, APP, PACKAGES, START, *WAIT, *SUMMARY),
    "restart": (WHOAMI, APP, PACKAGES, STOP, START, *WAIT, *SUMMARY),
    "restart --strategy rolling": (
        WHOAMI,
        APP,
        PACKAGES,
        post(
            "/v3/deployments",
            {"relationships": {"app": {"data": {"guid": "{app}"}}}, "strategy": "rolling"},
            status=201,
            reads=DEPLOYMENT_FIELDS,
            learns={"deployment": "guid"},
        ),
        Ask(
            "/v3/deployments/{deployment}",
            reads=DEPLOYMENT_FIELDS,
            equal={"status.value": "FINALIZED", "status.reason": "DEPLOYED"},
            until=True,
        ),
        *WAIT,
        *SUMMARY,
    ),
    "set-label app": (
        WHOAMI,
        APP,
        Ask(
            "/v3/apps/{app}",
            "PATCH",
            {"metadata": {"labels": {"tier": "frontend"}}},
            reads=APP_FIELDS,
            equal={"metadata.labels.tier": "frontend"},
        ),
    ),
    "labels app": (WHOAMI, Ask(APP.path, reads=_first("metadata.labels"))),
    "labels space": (WHOAMI, Ask(SPACE.path, reads=_first("metadata.labels"))),
    "labels org": (WHOAMI, Ask(ORG.path, reads=_first("metadata.labels"))),
    "unset-label app": (
        WHOAMI,
        APP,
        Ask("/v3/apps/{app}", "PATCH", {"metadata": {"labels": {"tier": None}}}, equal={"metadata.labels": {}}),
    ),
    "env": (
        WHOAMI,
        APP,
        Ask(
            "/v3/apps/{app}/env",
            viewer=403,
            reads=(
                *("environment_variables", "staging_env_json", "running_env_json"),
                *("system_env_json", "application_env_json"),
            ),
            equal={"environment_variables.GREETING": "hello"},
        ),
    ),
    "set-env": (
        WHOAMI,
        APP,
        Ask(ENVIRONMENT, "PATCH", {"var": {"COLOUR": "blue"}}, equal={"var.COLOUR": "blue", "var.GREETING": "hello"}),
    ),
    "unset-env": (
        WHOAMI,
        APP,
        Ask(ENVIRONMENT, "PATCH", {"var": {"COLOUR": None}}, equal={"var": {"GREETING": "hello"}}),
    ),
    "events": (
        WHOAMI,
        APP,
        Ask("/v3/audit_events?order_by=-created_at&page=1&target_guids={app}", equal={"resources": []}),
    ),
    "routes": (
        WHOAMI,
        Ask("/v3/routes?per_page=5000&space_guids={space}", reads=_first("url", "destinations[0].app.guid")),
        # Of both programs, where there is a route.
        Ask("/v3/service_route_bindings?route_guids={route}&include=service_instance", equal={"resources": []}),
    ),
    "tasks": (WHOAMI, APP, Ask("/v3/apps/{app}/tasks?per_page=5000", equal={"resources": []})),
    "packages": (WHOAMI, APP, Ask("/v3/packages?app_guids={app}&order_by=-created_at", equal={"resources": []})),
    "droplets": (
        WHOAMI,
        APP,
        Ask("/v3/droplets?app_guids={app}&order_by=-created_at", reads=_first("guid", "state", "created_at")),
    ),
    "revisions": (
        WHOAMI,
        APP,
        Ask("/v3/apps/{app}/features/revisions", reads=("name", "description"), equal={"enabled": False}),
        APP,
        Ask("/v3/apps/{app}/revisions?order_by=-created_at", equal={"resources": []}),
    ),
    "create-app-manifest": (WHOAMI, APP, Ask("/v3/apps/{app}/manifest")),
    "curl": (Ask("/v3/processes/{process}", reads=PROCESS_FIELDS),),
}
"""By the command, in an order in which each finds what it needs."""

LIBRARIES: Mapping[str, tuple[Ask, ...]] = {
    "Python: the processes of an app": (
        Ask("/", reads=("links.self.href", "links.cloud_controller_v3.href")),
        Ask("/v3/apps/{app}", reads=("links.processes.href",)),
        PROCESSES,
    ),
    "Java: every list with what belongs to it": (
        Ask("/v3/apps?include=space&names={app_name}", equal={"included.spaces[0].guid": "{space}"}),
        Ask("/v3/apps?include=space.organization&names={app_name}", equal={"included.organizations[0].guid": "{org}"}),
        Ask("/v3/spaces?include=organization&guids={space}", equal={"included.organizations[0].guid": "{org}"}),
        Ask("/v3/processes?app_guids={app}", reads=_each(*PROCESS_FIELDS)),
        STATS,
    ),
    "Java: one app with its space and organization": (
        Ask("/v3/apps/{app}?include=space.organization", equal={"included.spaces[0].guid": "{space}"}),
    ),
    "Go: an update always has a command": (
        Ask(
            "/v3/processes/{process}",
            "PATCH",
            {"command": None, "metadata": {"labels": {}, "annotations": {}}},
            equal={"command": "{command}"},
        ),
    ),
    "Java: an update has both kinds of metadata": (
        Ask(
            "/v3/apps/{app}",
            "PATCH",
            {"metadata": {"labels": {"java": "yes"}, "annotations": None}},
            equal={"metadata.labels.java": "yes"},
        ),
        Ask("/v3/apps/{app}", "PATCH", {"metadata": {"labels": {"java": None}}}, equal={"metadata.labels": {}}),
    ),
    "acceptance tests: numbers as texts": (
        post(
            "/v3/processes/{process}/actions/scale",
            {"instances": "2", "memory_in_mb": "96", "disk_in_mb": "128"},
            status=202,
            equal={"instances": 2, "memory_in_mb": 96, "disk_in_mb": 128},
        ),
    ),
    "acceptance tests: an app is started and stopped": (
        STOP,
        Ask("/v3/apps/{app}", equal={"state": "STOPPED"}),
        Ask("/v3/processes/{process}", equal={"instances": 2}),
        Ask(
            "/v3/processes/{process}/stats",
            equal={"resources[0].state": "DOWN", "resources[1].state": "DOWN"},
            until=True,
        ),
        START,
        Ask("/v3/processes/{process}", equal={"instances": 2}),
        *WAIT,
        post("/v3/apps/{app}/actions/restart", equal={"state": "STARTED"}),
    ),
}
