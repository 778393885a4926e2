"""What is asked for and done elsewhere: an unknown request that says where."""

from dataclasses import replace

import pytest

from service.settings import Settings
from tests.support.api import Api, assert_cf_error, running

ELSEWHERE = [
    ("POST", "/v3/apps", "apps are pushed"),
    ("DELETE", "/v3/apps/a", "apps are pushed"),
    ("POST", "/v3/packages", "apps are pushed"),
    ("POST", "/v3/packages/p/upload", "apps are pushed"),
    ("GET", "/v3/packages/p", "apps are pushed"),
    ("POST", "/v3/builds", "apps are pushed"),
    ("POST", "/v3/spaces/s/actions/apply_manifest", "apps are pushed"),
    ("POST", "/v3/spaces/s/manifest_diff", "apps are pushed"),
    ("POST", "/v3/apps/a/tasks", "run a Job"),
    ("PUT", "/v3/tasks/t/cancel", "run a Job"),
    ("POST", "/v3/service_instances", "Secrets"),
    ("GET", "/v3/service_instances/s", "Secrets"),
    ("POST", "/v3/service_credential_bindings", "Secrets"),
    ("POST", "/v3/organizations", "labels of Namespaces"),
    ("DELETE", "/v3/spaces/s", "labels of Namespaces"),
    ("POST", "/v3/roles", "RBAC"),
    ("POST", "/v3/routes", "Ingresses"),
    ("POST", "/v3/routes/r/destinations", "Ingresses"),
    ("POST", "/v3/domains", "Ingresses"),
    ("PATCH", "/v3/apps/a/features/ssh", "kubectl exec"),
    ("GET", "/v3/apps/a/ssh_enabled", "kubectl exec"),
    ("GET", "/v3/feature_flags/diego_docker", "no feature flags"),
    ("POST", "/oauth/token", "a token of Kubernetes"),
    ("POST", "/v3/security_groups", "NetworkPolicies"),
]


@pytest.mark.parametrize(("method", "path", "where"), ELSEWHERE)
async def test_says_where_it_is_done_without_asking_for_a_token(api: Api, method: str, path: str, where: str) -> None:
    reply = await api.as_user(None).get(path, method=method)
    text = assert_cf_error(reply, 404, 10000, "CF-NotFound")
    assert text.startswith("Unknown request: ")
    assert where in text


@pytest.mark.parametrize("path", ["/v3/packagesx", "/v3/appsx", "/v3/apps/a/nope", "/v3/orgs"])
async def test_what_nobody_has_heard_of_stays_unknown(api: Api, path: str) -> None:
    reply = await api.get(path, method="POST")
    assert_cf_error(reply, 404, 10000, "CF-NotFound", "Unknown request")


async def test_beside_a_cloud_controller_it_is_for_that_to_answer(settings: Settings, operator_token: str) -> None:
    async with running(replace(settings, served="processes"), token=operator_token) as served:
        assert_cf_error(await served.post("/v3/packages"), 404, 10000, "CF-NotFound", "Unknown request")
