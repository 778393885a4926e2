"""The service's own role: enough for everything, and nothing in it without a use."""

import copy
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from deploy.local.stack import Stack
from service.cluster.optional_watch import REFUSALS
from service.health import INSTANCE_WATCHES
from service.http.keys import HEALTH
from service.settings import Settings
from tests.deploy.overlays import DEPLOY, of_kind
from tests.support.api import Api, assert_cf_error, running
from tests.support.kube import Kube, deployment, eventually, guid_of

ROLES = of_kind(list(yaml.safe_load_all((DEPLOY / "base" / "rbac.yaml").read_text())), "ClusterRole")
RULES: list[dict[str, Any]] = ROLES["processes"]["rules"]

WATCHED = ["deployments", "namespaces", "pods", "replicasets"]
OPTIONAL = {
    "ingresses": "routes",
    "httproutes": "routes",
    "services": "routes",
    "horizontalpodautoscalers": "autoscalers",
}
"""The watches that may be missing, and a word of what is left out then."""
REVIEWED = ["tokenreviews", "subjectaccessreviews"]
USAGE = "pods of metrics.k8s.io"

Without = Callable[[str], AbstractAsyncContextManager[Api]]


@pytest.fixture
def without(stack: Stack, kube: Kube, settings: Settings, operator_token: str, tmp_path: Path) -> Without:
    """The service with the role less the rule for a resource; "": the whole role."""

    @asynccontextmanager
    async def served(resource: str) -> AsyncIterator[Api]:
        rules = copy.deepcopy(RULES)
        for rule in rules:
            of_usage = rule["apiGroups"] == ["metrics.k8s.io"]
            if resource == USAGE and of_usage:
                rule["resources"].clear()
            elif resource in rule["resources"] and not of_usage:
                rule["resources"].remove(resource)
        name, roles = f"less-{uuid4().hex[:10]}", "/apis/rbac.authorization.k8s.io/v1/clusterroles"
        kept = [rule for rule in rules if rule["resources"]]
        assert (kept == RULES) == (resource == "")
        await kube.request("POST", roles, {"metadata": {"name": name}, "rules": kept})
        token = await kube.token_of_new_user(cluster_roles=(name,))
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(stack.control_plane.kubeconfig_for(token))
        async with running(replace(settings, kubeconfig=str(kubeconfig)), token=operator_token, ready=False) as api:
            yield api
        await kube.request("DELETE", f"{roles}/{name}")

    return served


async def is_ready(api: Api) -> bool:
    return api.application[HEALTH].ready


def test_every_rule_is_tried() -> None:
    rules = {(group, resource) for rule in RULES for group in rule["apiGroups"] for resource in rule["resources"]}
    assert {resource for group, resource in rules if group != "metrics.k8s.io"} == {*WATCHED, *OPTIONAL, *REVIEWED}
    assert ("metrics.k8s.io", "pods") in rules


async def test_whole_role_is_enough(without: Without) -> None:
    async with without("") as api:
        await eventually(lambda: is_ready(api))
        assert (await api.get("/v3/processes")).status == 200


@pytest.mark.parametrize("resource", WATCHED)
async def test_without_a_watch_it_is_not_ready_and_says_so(without: Without, resource: str) -> None:
    async with without(resource) as api:
        health = api.application[HEALTH]
        assert resource in health.report()["watches"]

        async def others_are_synced() -> bool:
            watches = health.report()["watches"]
            # The rows of Postgres come on their own.
            synced = health.report()["metadata"]["synced"]
            return (
                synced
                and watches[resource]["failure"] == "HTTP 403"
                and all(watch["synced"] for name, watch in watches.items() if name != resource)
            )

        await eventually(others_are_synced)
        assert not health.ready
        if resource in INSTANCE_WATCHES:
            # Processes can be told without them, their instances cannot.
            assert (await api.get("/v3/processes")).status == 200
            reply = await api.get("/v3/processes?embed=process_instances")
            assert_cf_error(reply, 503, 200002, "CF-StatsUnavailable")
        else:
            assert_cf_error(await api.get("/v3/processes"), 503, 10015, "CF-ServiceUnavailable")


@pytest.mark.parametrize("resource", OPTIONAL)
async def test_without_an_optional_watch_it_is_ready_and_says_what_is_left_out(without: Without, resource: str) -> None:
    async with without(resource) as api:
        await eventually(lambda: is_ready(api))

        async def known() -> bool:
            watch = api.application[HEALTH].report()["optional_watches"][resource]
            return watch["failure"] == REFUSALS[403] and OPTIONAL[resource] in watch["left_out"]

        await eventually(known)
        for path in ("/v3/processes", "/v3/routes"):
            reply = await api.get(path)
            assert reply.status == 200
            assert "Warning" not in reply.headers


async def test_without_usage_statistics_say_so(without: Without, kube: Kube, space: str) -> None:
    app = str(uuid4())
    await kube.create(deployment("web", space, app, replicas=1))
    async with without(USAGE) as api:
        await eventually(lambda: is_ready(api))

        async def has_a_pod() -> bool:
            reply = await api.get(f"/v3/apps/{app}/processes/web/stats")
            return reply.status == 200 and "usage" in reply.json["resources"][0]

        await eventually(has_a_pod)
        reply = await api.get(f"/v3/apps/{app}/processes/web/stats")
        assert reply.json["resources"][0]["usage"] == {}
        assert reply.headers["X-Cf-Warnings"] == "Stats+server+temporarily+unavailable."


@pytest.mark.parametrize("resource", REVIEWED)
async def test_without_a_review_callers_are_told_to_come_back(without: Without, resource: str) -> None:
    async with without(resource) as api:
        await eventually(lambda: is_ready(api))
        reply = await api.get("/v3/processes")
        assert_cf_error(reply, 503, 10015, "CF-ServiceUnavailable")
        assert reply.headers["Retry-After"]


@pytest.mark.parametrize("role", ["view", "edit", "admin"])
async def test_built_in_roles_lack_only_the_way_into_the_api(api: Api, kube: Kube, space: str, role: str) -> None:
    """Why none of ours is aggregated into them."""
    app = str(uuid4())
    await kube.create(deployment("web", space, app))
    stranger = api.as_user(await kube.token_of_new_user(roles_in={space: role}))
    assert (await stranger.get("/v3/processes")).status == 403
    user = api.as_user(await kube.token_of_new_user(cluster_roles=("processes-api",), roles_in={space: role}))

    async def seen() -> bool:
        return await user.guids("/v3/processes") == [guid_of(app, "web")]

    await eventually(seen)
