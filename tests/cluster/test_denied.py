"""What a 403 of Kubernetes is about: who asks, or what they ask for."""

import pytest

from service.cluster.workloads import Denied


@pytest.mark.parametrize(
    ("words", "is_of_caller"),
    [
        (
            'deployments.apps "web" is forbidden: User "system:serviceaccount:default:user" cannot patch resource '
            '"deployments" in API group "apps" in the namespace "space"',
            True,
        ),
        (
            'pods "web-1" is forbidden: User "jane" cannot delete resource "pods" in API group "" in the namespace '
            '"space": RBAC: clusterrole.rbac.authorization.k8s.io "editor" not found',
            True,
        ),
        ('pods "web-1" is forbidden: exceeded quota: pods, requested: pods=1, used: pods=4, limited: pods=4', False),
        ("deployments.apps \"web\" is forbidden: ValidatingAdmissionPolicy 'few' denied request: too many", False),
        ("", False),
    ],
)
def test_authorizers_words_are_told_from_those_of_admission(words: str, is_of_caller: bool) -> None:
    assert Denied(words).is_of_caller is is_of_caller
