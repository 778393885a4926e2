"""What clients may ask for that is done elsewhere: unknown requests, like all that is not in the table of routes.

Each is told where it is done, so that whoever types `cf push` reads more than "Unknown request".
"""

from typing import NoReturn

from aiohttp import web

from service.errors import UnknownRequest
from service.http.routing import Route

APPS = "apps are pushed, staged, created and deleted in Kubernetes: deploy with kubectl, Helm or a GitOps tool"
TASKS = "there are no tasks here: run a Job in Kubernetes, or kubectl exec in an instance"
SERVICES = "there are no services here: give the Deployment its Secrets in Kubernetes"
SPACES = "organizations and spaces are the labels of Namespaces: make, change and delete them in Kubernetes"
ROLES = "who may do what is decided by roles and their bindings in Kubernetes (RBAC)"
ROUTES = "routes are rules of Ingresses and HTTPRoutes: make, change and delete them in Kubernetes"
NETWORK = "who may reach what is decided by NetworkPolicies in Kubernetes"
LIMITS = "what a space may use is limited by ResourceQuotas in Kubernetes"
NODES = "which nodes an app runs on is decided by its Deployment in Kubernetes"
REVISIONS = "revisions are kept by Kubernetes: see kubectl rollout history, and kubectl rollout undo"
NO_FEATURES = "features of apps cannot be switched on here: for a shell, use kubectl exec"
FLAGS = "there are no feature flags here"
LOGIN = "there is no login here: show a token of Kubernetes, and read logs with kubectl logs"
SIDECARS = "sidecars are containers of the Deployment: change them in its manifest"

_BELOW = "{rest:(?:/.*)?}"
"""The path as written so far, and whatever is below it."""

_ANY = "*"
_ELSEWHERE: tuple[tuple[str, str, str], ...] = (
    ("POST", "/v3/apps", APPS),
    ("DELETE", "/v3/apps/{guid}", APPS),
    ("POST", "/v3/spaces/{guid}/actions/apply_manifest", APPS),
    ("POST", "/v3/spaces/{guid}/manifest_diff", APPS),
    ("PATCH", "/v3/apps/{guid}/relationships/current_droplet", APPS),
    (_ANY, f"/v3/packages{_BELOW}", APPS),
    (_ANY, f"/v3/builds{_BELOW}", APPS),
    (_ANY, f"/v3/buildpacks{_BELOW}", APPS),
    (_ANY, f"/v3/stacks{_BELOW}", APPS),
    (_ANY, f"/v3/resource_matches{_BELOW}", APPS),
    (_ANY, f"/v3/droplets{_BELOW}", APPS),
    (_ANY, f"/v3/tasks{_BELOW}", TASKS),
    ("POST", "/v3/apps/{guid}/tasks", TASKS),
    (_ANY, "/v3/service_{rest:.*}", SERVICES),
    (_ANY, f"/v3/organizations{_BELOW}", SPACES),
    (_ANY, f"/v3/spaces{_BELOW}", SPACES),
    (_ANY, f"/v3/roles{_BELOW}", ROLES),
    (_ANY, f"/v3/users{_BELOW}", ROLES),
    (_ANY, f"/v3/routes{_BELOW}", ROUTES),
    (_ANY, f"/v3/domains{_BELOW}", ROUTES),
    (_ANY, f"/v3/security_groups{_BELOW}", NETWORK),
    (_ANY, f"/v3/organization_quotas{_BELOW}", LIMITS),
    (_ANY, f"/v3/space_quotas{_BELOW}", LIMITS),
    (_ANY, f"/v3/isolation_segments{_BELOW}", NODES),
    (_ANY, f"/v3/revisions{_BELOW}", REVISIONS),
    ("PATCH", "/v3/apps/{guid}/features/{name}", NO_FEATURES),
    ("GET", "/v3/apps/{guid}/ssh_enabled", NO_FEATURES),
    (_ANY, f"/v3/feature_flags{_BELOW}", FLAGS),
    ("POST", "/oauth/token", LOGIN),
    ("POST", "/v3/apps/{guid}/sidecars", SIDECARS),
    (_ANY, f"/v3/sidecars{_BELOW}", SIDECARS),
)
"""Method, path and where it is done. What the table of routes answers at the same path goes before."""


def _route(method: str, path: str, text: str) -> Route:
    async def refuse(_: web.Request) -> NoReturn:
        raise UnknownRequest(f"Unknown request: {text}")

    return Route(method, path, refuse)


NOT_HERE: tuple[Route, ...] = tuple(_route(*each) for each in _ELSEWHERE)
