"""The verb and the resource of a request to kube-apiserver, in the words of Kubernetes' own metrics."""

from collections.abc import Mapping

_VERBS = {"POST": "create", "PATCH": "patch", "PUT": "update", "DELETE": "delete"}


def verb_and_resource(method: str, path: str, query: Mapping[str, str] | None) -> tuple[str, str]:
    """The verb and the resource, such as `patch` and `deployments.apps/scale`.

    They name no namespace and no object, so that there are few: they become labels of metrics.
    """
    _, root, *rest = path.split("/")
    group, resource = (f".{rest[0]}", rest[2:]) if root == "apis" else ("", rest[1:])
    if not resource:
        # A question about the server itself: `/version`, or what a group of APIs serves.
        return "get", path
    if resource[0] == "namespaces" and len(resource) > 2:
        resource = resource[2:]
    kind, *named = resource
    if method == "GET":
        verb = "get" if named else "watch" if query and "watch" in query else "list"
    else:
        verb = _VERBS[method]
    return verb, f"{kind}{group}" + "".join(f"/{part}" for part in named[1:])
