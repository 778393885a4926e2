"""What requests to kube-apiserver are called."""

import pytest

from service.cluster.paths import verb_and_resource


@pytest.mark.parametrize(
    ("method", "path", "query", "verb", "resource"),
    [
        ("GET", "/apis/apps/v1/deployments", {"limit": "500"}, "list", "deployments.apps"),
        ("GET", "/apis/apps/v1/deployments", {"watch": "true"}, "watch", "deployments.apps"),
        ("GET", "/api/v1/namespaces", None, "list", "namespaces"),
        ("GET", "/api/v1/namespaces/space", None, "get", "namespaces"),
        ("GET", "/api/v1/pods", {"watch": "true"}, "watch", "pods"),
        ("GET", "/apis/metrics.k8s.io/v1beta1/namespaces/space/pods", None, "list", "pods.metrics.k8s.io"),
        ("GET", "/apis/apps/v1/namespaces/space/deployments/namespaces", None, "get", "deployments.apps"),
        ("PATCH", "/apis/apps/v1/namespaces/space/deployments/web", None, "patch", "deployments.apps"),
        ("PATCH", "/apis/apps/v1/namespaces/space/deployments/web/scale", None, "patch", "deployments.apps/scale"),
        ("PUT", "/apis/apps/v1/namespaces/space/deployments/web", None, "update", "deployments.apps"),
        ("DELETE", "/api/v1/namespaces/space/pods/web-0", None, "delete", "pods"),
        ("GET", "/version", {}, "get", "/version"),
        ("GET", "/apis/metrics.k8s.io/v1beta1", None, "get", "/apis/metrics.k8s.io/v1beta1"),
        ("POST", "/apis/authentication.k8s.io/v1/tokenreviews", None, "create", "tokenreviews.authentication.k8s.io"),
    ],
)
def test_a_request_is_named_without_namespace_and_name(
    method: str, path: str, query: dict[str, str] | None, verb: str, resource: str
) -> None:
    assert verb_and_resource(method, path, query) == (verb, resource)
