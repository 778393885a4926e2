"""What state an instance is in, by what its kubelet and the controllers say; and that nothing odd hides it."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus
from uuid import uuid4

import pytest

from tests.api.test_process_stats import rows_of
from tests.support.admission import refusing
from tests.support.api import Api
from tests.support.apps import MakeApp, PathTo
from tests.support.kube import KEYS, Kube, deployment, eventually

# A Pod whose kubelet is the test


class Kubelet:
    """Says what becomes of the one Pod of an app, which the stack's own leaves alone from then on."""

    def __init__(self, kube: Kube, namespace: str, pod: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._pod = pod

    async def says(self, *, condition: str = "False", **container: Any) -> None:
        ready = {"type": "Ready", "status": condition, "lastTransitionTime": "2026-01-02T03:04:05Z"}
        known = {"name": "application", "image": "app:1", "imageID": "", "ready": False, "restartCount": 0}
        status = {"phase": "Running", "conditions": [ready], "containerStatuses": [{**known, **container}]}
        await self._kube.set_pod_status(self._namespace, self._pod, status)


@pytest.fixture
async def app(make_app: MakeApp) -> str:
    return await make_app("web", replicas=1, pod_annotations={"local-stack/waiting-reason": "ContainerCreating"})


@pytest.fixture
async def kubelet(kube: Kube, space: str, app: str) -> Kubelet:
    async def is_waiting() -> list[dict[str, Any]]:
        return [pod for pod in await kube.pods(space) if pod["status"].get("containerStatuses")]

    (pod,) = await eventually(is_waiting)
    return Kubelet(kube, space, pod["metadata"]["name"])


@pytest.mark.parametrize(("code", "details"), [(0, "exited with 0: Completed"), (3, "exited with 3: Completed")])
async def test_ended_is_crashed_whatever_it_ended_with(
    api: Api, app: str, kubelet: Kubelet, path_to: PathTo, code: int, details: str
) -> None:
    ended = {"exitCode": code, "reason": "Completed", "finishedAt": "2026-01-02T03:04:30Z"}
    await kubelet.says(started=False, state={"terminated": ended})
    (row,) = await rows_of(api, path_to(app, "web"), "CRASHED")
    assert (row["details"], row["routable"]) == (details, False)


async def test_ready_means_started_also_where_the_node_does_not_say_started(
    api: Api, app: str, kubelet: Kubelet, path_to: PathTo
) -> None:
    running = {"running": {"startedAt": "2026-01-02T03:04:30Z"}}
    await kubelet.says(state=running)
    (row,) = await rows_of(api, path_to(app, "web"), "STARTING")
    assert row["routable"] is False
    await kubelet.says(state=running, condition="True", ready=True)
    (row,) = await rows_of(api, path_to(app, "web"), "RUNNING")
    assert row["routable"] is True


# What the Deployment says


async def test_paused_before_its_first_rollout_it_is_down_and_says_so(api: Api, kube: Kube, space: str) -> None:
    app = str(uuid4())
    manifest = deployment("web", space, app, replicas=2)
    manifest["spec"]["paused"] = True
    await kube.create(manifest)
    path = f"/v3/apps/{app}/processes/web"

    async def served() -> bool:
        return (await api.get(path)).status == 200

    await eventually(served)
    rows = await rows_of(api, path, "DOWN", "DOWN")
    assert [row["details"] for row in rows] == ["The Deployment is paused, and has not been rolled out yet"] * 2
    await kube.patch(space, "web", {"spec": {"paused": None}})
    await rows_of(api, path, "RUNNING", "RUNNING")
    # Paused later, it runs.
    await kube.patch(space, "web", {"spec": {"paused": True}})
    await rows_of(api, path, "RUNNING", "RUNNING")


async def test_limits_of_the_whole_pod_are_the_apps(api: Api, kube: Kube, space: str) -> None:
    app = str(uuid4())
    manifest = deployment("web", space, app, replicas=1)
    manifest["spec"]["template"]["spec"]["resources"] = {"limits": {"memory": "96Mi"}}
    await kube.create(manifest)
    path = f"/v3/apps/{app}/processes/web"

    async def served() -> bool:
        return (await api.get(path)).status == 200

    await eventually(served)
    assert (await api.get(path)).json["memory_in_mb"] == 96
    (row,) = await rows_of(api, path, "RUNNING")
    assert row["mem_quota"] == 96 << 20
    own = [{"name": "application", "resources": {"limits": {"memory": "64Mi"}}}]
    template = {"spec": {"containers": own}}
    await kube.request(
        "PATCH",
        f"/apis/apps/v1/namespaces/{space}/deployments/web",
        {"spec": {"template": template}},
        kind="application/strategic-merge-patch+json",
    )

    async def its_own() -> bool:
        (row,) = (await api.get(f"{path}/stats")).json["resources"]
        return bool(row.get("mem_quota") == 64 << 20)

    await eventually(its_own)
    assert (await api.get(path)).json["memory_in_mb"] == 64


PODS = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}


async def warned(api: Api, path: str, text: str) -> None:
    """Both of the process and of its stats are answered with such a warning, in time."""

    async def told() -> bool:
        replies = [await api.get(path), await api.get(f"{path}/stats")]
        assert [reply.status for reply in replies] == [200, 200]
        warnings = [unquote_plus(reply.headers.get("X-Cf-Warnings", "")) for reply in replies]
        return all(text in each and "cannot make Pods" in each for each in warnings)

    await eventually(told)


@pytest.mark.parametrize("why", ["limits", "quota", "admission"])
async def test_a_change_that_no_pod_may_be_made_for_is_told_while_the_old_ones_run(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo, why: str
) -> None:
    resources = {"limits": {"memory": "64Mi"}}
    app = await make_app("web", replicas=1, resources=resources)
    path = path_to(app, "web")
    (before,) = await rows_of(api, path, "RUNNING")
    assert "X-Cf-Warnings" not in (await api.get(path)).headers
    if why == "limits":
        limits = [{"type": "Container", "max": {"memory": "100Mi"}}]
        body = {"metadata": {"name": "limits"}, "spec": {"limits": limits}}
        await kube.request("POST", f"/api/v1/namespaces/{space}/limitranges", body)
        expected = "maximum memory usage per Container is 100Mi"
    elif why == "quota":
        await kube.limit_pods(space, 1)
        expected = "exceeded quota"
    else:
        expected = "no Pods today"
    rule = {"expression": "false", "message": "no Pods today"}
    async with refusing(kube, space, PODS, *([rule] if why == "admission" else [{"expression": "true"}])):
        if why == "admission":
            await eventually(lambda: _is_refused(kube, space))
        assert (await api.post(f"{path}/actions/scale", {"memory_in_mb": 200})).status == 202
        await warned(api, path, expected)
        (row,) = await rows_of(api, path, "RUNNING")
        assert row["instance_guid"] == before["instance_guid"]


async def _is_refused(kube: Kube, space: str) -> bool:
    try:
        await kube.request("POST", f"/api/v1/namespaces/{space}/pods?dryRun=All", _pod({}))
    except AssertionError as error:
        return "no Pods today" in str(error)
    return False


def _pod(meta: Mapping[str, Any]) -> dict[str, Any]:
    spec = {"containers": [{"name": "application", "image": "registry.test/app:1"}]}
    return {"metadata": {"generateName": "odd-", **meta}, "spec": spec}


# What is odd


async def test_pods_of_no_known_kind_are_no_instances_and_hide_none(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo
) -> None:
    app = await make_app("web", replicas=2)
    path = path_to(app, "web")
    before = await rows_of(api, path, "RUNNING", "RUNNING")
    (replica_set,) = await kube.replica_sets(space)
    elsewhere = await kube.create_namespace()
    labels = {KEYS.app_guid: app, KEYS.process_type: "web"}
    own = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": replica_set["metadata"]["name"]}
    thing = {"apiVersion": "example.org/v1", "kind": "Thing", "name": "x", "uid": str(uuid4())}
    real = {**own, "uid": replica_set["metadata"]["uid"], "controller": True}
    shapes: list[tuple[str, Mapping[str, Any]]] = [
        (space, {}),
        (space, {"ownerReferences": [{**thing, "controller": True}]}),
        (space, {"ownerReferences": [thing, {**thing, "uid": str(uuid4())}]}),
        (space, {"ownerReferences": [{**own, "uid": str(uuid4()), "controller": True}]}),
        (space, {"ownerReferences": [{**real, "controller": False}, {**thing, "controller": True}]}),
        # Whoever may make Pods elsewhere gets none of them in here.
        (elsewhere, {"ownerReferences": [real], "labels": {**labels, "pod-template-hash": "x"}}),
        (space, {"labels": {**labels, "apps.kubernetes.io/pod-index": "0"}}),
    ]
    for namespace, meta in shapes:
        await kube.request("POST", f"/api/v1/namespaces/{namespace}/pods", _pod({"labels": labels, **meta}))
    sets = f"/apis/apps/v1/namespaces/{space}/replicasets"
    spec = {"replicas": 1, "selector": {"matchLabels": {"odd": "yes"}}}
    template = {"metadata": {"labels": {**labels, "odd": "yes"}}, "spec": _pod({})["spec"]}
    for number, owners in enumerate(([], [{**thing, "controller": True}])):
        meta = {"name": f"odd-{number}", "labels": labels, "ownerReferences": owners}
        await kube.request("POST", sets, {"metadata": meta, "spec": {**spec, "template": template}})

    async def heard() -> bool:
        held = (await api.manage("/readyz")).json["held"]
        return bool(held["pods"] >= 2)

    await eventually(heard)
    for _ in range(20):
        rows = await rows_of(api, path, "RUNNING", "RUNNING")
        assert [row["instance_guid"] for row in rows] == [row["instance_guid"] for row in before]
        assert (await api.get(f"{path}?embed=process_instances")).status == 200
    await kube.delete_namespace(elsewhere)
