"""What the service's account needs in the cluster, and must not have: THE table, which deploy/base/rbac.yaml grants."""

from dataclasses import dataclass
from enum import Enum, auto


class Need(Enum):
    ALWAYS = auto()
    REVIEWS = auto()
    """Where callers are authenticated."""
    USAGE = auto()
    """Without it instances are shown without their usage."""
    NEVER = auto()
    """The service does not use it: whoever takes over the service should not have it either."""


@dataclass(frozen=True)
class Permission:
    """A verb on a resource, in all namespaces."""

    verb: str
    group: str
    resource: str
    need: Need
    reason: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}" + (f".{self.group}" if self.group else "")


PERMISSIONS = (
    Permission("list", "apps", "deployments", Need.ALWAYS, "a Deployment is a process"),
    Permission("watch", "apps", "deployments", Need.ALWAYS, "a Deployment is a process"),
    Permission("list", "", "pods", Need.ALWAYS, "a Pod is an instance of a process"),
    Permission("watch", "", "pods", Need.ALWAYS, "a Pod is an instance of a process"),
    Permission("list", "", "namespaces", Need.ALWAYS, "a Namespace is a space"),
    Permission("watch", "", "namespaces", Need.ALWAYS, "a Namespace is a space"),
    Permission("create", "authentication.k8s.io", "tokenreviews", Need.REVIEWS, "it says who a caller is"),
    Permission("create", "authorization.k8s.io", "subjectaccessreviews", Need.REVIEWS, "it says what a caller may do"),
    Permission("list", "metrics.k8s.io", "pods", Need.USAGE, "instances are shown with their usage"),
    Permission("patch", "apps", "deployments", Need.NEVER, "writes are made with the caller's own token"),
    Permission("delete", "", "pods", Need.NEVER, "writes are made with the caller's own token"),
    Permission("get", "", "secrets", Need.NEVER, "the service reads no Secret"),
    Permission("list", "", "secrets", Need.NEVER, "the service reads no Secret"),
)
