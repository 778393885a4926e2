"""THE table of the permissions that the service's account needs in the cluster, and of some that it should not have.

deploy/base/rbac.yaml grants those that it needs.
"""

from dataclasses import dataclass
from enum import Enum, auto


class Need(Enum):
    """When a permission is needed."""

    ALWAYS = auto()
    REVIEWS = auto()
    """Where callers are authenticated: AUTHENTICATION is `kubernetes`."""
    USAGE = auto()
    """Without it instances are shown without their usage."""
    ROUTES = auto()
    """Without it routes are left out, all or some."""
    AUTOSCALERS = auto()
    """Without it nobody is told that an autoscaler overrules a scale."""
    NEVER = auto()
    """The service does not use it: whoever takes over the service should not have it either."""


OPTIONAL = frozenset((Need.USAGE, Need.ROUTES, Need.AUTOSCALERS))
"""Without these the service works, and leaves something out."""


@dataclass(frozen=True)
class AccountPermission:
    """A verb on a resource, in all namespaces."""

    verb: str
    group: str
    resource: str
    need: Need
    reason: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}" + (f".{self.group}" if self.group else "")


PERMISSIONS = (
    AccountPermission("list", "apps", "deployments", Need.ALWAYS, "a Deployment is a process"),
    AccountPermission("watch", "apps", "deployments", Need.ALWAYS, "a Deployment is a process"),
    AccountPermission("list", "apps", "replicasets", Need.ALWAYS, "a ReplicaSet says whose a Pod is"),
    AccountPermission("watch", "apps", "replicasets", Need.ALWAYS, "a ReplicaSet says whose a Pod is"),
    AccountPermission("list", "", "pods", Need.ALWAYS, "a Pod is an instance of a process"),
    AccountPermission("watch", "", "pods", Need.ALWAYS, "a Pod is an instance of a process"),
    AccountPermission("list", "", "namespaces", Need.ALWAYS, "a Namespace is a space"),
    AccountPermission("watch", "", "namespaces", Need.ALWAYS, "a Namespace is a space"),
    AccountPermission("create", "authentication.k8s.io", "tokenreviews", Need.REVIEWS, "it says who a caller is"),
    AccountPermission(
        "create", "authorization.k8s.io", "subjectaccessreviews", Need.REVIEWS, "it says what they may do"
    ),
    AccountPermission("list", "metrics.k8s.io", "pods", Need.USAGE, "instances are shown with their usage"),
    AccountPermission("list", "", "services", Need.ROUTES, "a Service says which app a route leads to"),
    AccountPermission("watch", "", "services", Need.ROUTES, "a Service says which app a route leads to"),
    AccountPermission("list", "networking.k8s.io", "ingresses", Need.ROUTES, "an Ingress has routes"),
    AccountPermission("watch", "networking.k8s.io", "ingresses", Need.ROUTES, "an Ingress has routes"),
    AccountPermission("list", "gateway.networking.k8s.io", "httproutes", Need.ROUTES, "an HTTPRoute has routes"),
    AccountPermission("watch", "gateway.networking.k8s.io", "httproutes", Need.ROUTES, "an HTTPRoute has routes"),
    *(
        AccountPermission(
            verb,
            "autoscaling",
            "horizontalpodautoscalers",
            Need.AUTOSCALERS,
            "who scales is told what overrules it",
        )
        for verb in ("list", "watch")
    ),
    AccountPermission("patch", "apps", "deployments", Need.NEVER, "writes are made with the caller's own token"),
    AccountPermission("delete", "", "pods", Need.NEVER, "writes are made with the caller's own token"),
    AccountPermission("get", "", "secrets", Need.NEVER, "the service reads no Secret"),
    AccountPermission("list", "", "secrets", Need.NEVER, "the service reads no Secret"),
)
