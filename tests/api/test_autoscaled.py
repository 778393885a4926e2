"""Scaling a process whose number of instances an autoscaler sets."""

from typing import Any
from urllib.parse import unquote_plus
from uuid import uuid4

import pytest

from tests.support.api import Api, Reply
from tests.support.apps import MakeApp, PathTo
from tests.support.kube import Kube, eventually


def path_of(space: str) -> str:
    return f"/apis/autoscaling/v2/namespaces/{space}/horizontalpodautoscalers"


def autoscaler(name: str, deployment: str, most: int = 10, **spec: Any) -> dict[str, Any]:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment}
    return {"metadata": {"name": name}, "spec": {"scaleTargetRef": target, "maxReplicas": most, **spec}}


def warned(reply: Reply) -> str:
    assert reply.status == 202, reply.body
    return unquote_plus(reply.headers.get("X-Cf-Warnings", ""))


async def held(api: Api) -> int:
    count: int = (await api.manage("/readyz")).json["held"]["autoscalers"]
    return count


async def test_is_told_what_else_sets_the_number(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo
) -> None:
    app = await make_app("web", replicas=1)
    scale = f"{path_to(app, 'web')}/actions/scale"
    assert warned(await api.post(scale, {"instances": 2})) == ""
    await kube.request("POST", path_of(space), autoscaler("shop", f"web-{app}", minReplicas=2))

    async def told() -> bool:
        return "shop" in warned(await api.post(scale, {"instances": 3}))

    await eventually(told)
    reply = await api.post(scale, {"instances": 4})
    assert reply.json["instances"] == 4
    text = "HorizontalPodAutoscaler shop (2 to 10 instances) sets the number of instances of this process too"
    assert warned(reply).startswith(text)
    assert (await kube.get(space, f"web-{app}"))["spec"]["replicas"] == 4
    # Of no instances, and of what it does not set, there is nothing to warn.
    assert warned(await api.post(scale, {"instances": 0})) == ""
    assert warned(await api.post(scale, {"memory_in_mb": 64})) == ""
    await kube.request(
        "PATCH", f"{path_of(space)}/shop", {"spec": {"maxReplicas": 5}}, kind="application/merge-patch+json"
    )

    async def told_anew() -> bool:
        return "(2 to 5 instances)" in warned(await api.post(scale, {"instances": 3}))

    await eventually(told_anew)
    await kube.request("DELETE", f"{path_of(space)}/shop")

    async def silent() -> bool:
        return warned(await api.post(scale, {"instances": 3})) == ""

    await eventually(silent)


@pytest.mark.parametrize(
    "target",
    [{"kind": "StatefulSet", "apiVersion": "apps/v1"}, {"kind": "Deployment", "apiVersion": "example.org/v1"}],
)
async def test_what_sets_something_else_of_that_name_is_none(
    api: Api, kube: Kube, space: str, make_app: MakeApp, target: dict[str, str]
) -> None:
    app = await make_app("web", replicas=1)
    other, own = (f"one-{uuid4().hex[:8]}" for _ in range(2))
    manifest = autoscaler(other, f"web-{app}")
    manifest["spec"]["scaleTargetRef"] |= target
    await kube.request("POST", path_of(space), manifest)
    # Once a later one is held, this one has been looked at.
    before = await held(api)
    await kube.request("POST", path_of(space), autoscaler(own, "nothing"))

    async def looked_at() -> bool:
        return await held(api) > before

    await eventually(looked_at)
    assert warned(await api.post(f"/v3/apps/{app}/processes/web/actions/scale", {"instances": 2})) == ""


async def test_one_in_another_namespace_says_nothing(api: Api, kube: Kube, space: str, make_app: MakeApp) -> None:
    app, elsewhere = await make_app("web", replicas=1), await kube.create_namespace()
    before = await held(api)
    await kube.request("POST", path_of(elsewhere), autoscaler("theirs", f"web-{app}"))

    async def looked_at() -> bool:
        return await held(api) > before

    await eventually(looked_at)
    assert warned(await api.post(f"/v3/apps/{app}/processes/web/actions/scale", {"instances": 2})) == ""
    await kube.delete_namespace(elsewhere)
