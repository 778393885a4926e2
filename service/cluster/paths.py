"""What a request to kube-apiserver is about, in the words of Kubernetes' own metrics."""

from collections.abc import Mapping

_VERBS = {"POST": "create", "PATCH": "patch", "PUT": "update", "DELETE": "delete"}


def verb_and_resource(method: str, path: str, query: Mapping[str, str] | None) -> tuple[str, str]:
    """Such as `patch` and `deployments.apps/scale`: without namespace and name, so that there are few of them."""
    _, root, *rest = path.split("/")
    group, resource = (f".{rest[0]}", rest[2:]) if root == "apis" else ("", rest[1:])
    if not resource:
        # About the server itself: `/version`, say, or what a group serves.
        return "get", path
    if resource[0] == "namespaces" and len(resource) > 2:
        resource = resource[2:]
    kind, *named = resource
    if method == "GET":
        verb = "get" if named else "watch" if query and "watch" in query else "list"
    else:
        verb = _VERBS[method]
    return verb, f"{kind}{group}" + "".join(f"/{part}" for part in named[1:])
