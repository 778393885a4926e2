"""Changes of a process one soon after another: made of what is known of its Deployment, right whatever became of it."""

from collections.abc import Iterator
from itertools import cycle

import pytest

from tests.support.api import Api, assert_cf_error
from tests.support.apps import MakeApp, PathTo, Users
from tests.support.kube import Kube, eventually

HTTP = {"type": "http", "data": {"endpoint": "/health"}}
NONE = {"type": "process"}
PORTS = [{"containerPort": 8080}]

either_store = pytest.mark.parametrize(
    "more", [{}, {"metadata": {"labels": {"a": "b"}}}], ids=["Kubernetes alone", "both stores"]
)
"""What a change has beside what Kubernetes has a part in."""


async def looks_and_patches(kube: Kube) -> tuple[int, int]:
    """How many Deployments have been read and patched one at a time, by anyone."""
    counted = await kube.requests_by_verb()
    return counted["GET", "deployments"], counted["PATCH", "deployments"]


@either_store
async def test_the_next_change_takes_no_look_at_the_deployment(
    api: Api, kube: Kube, make_app: MakeApp, path_to: PathTo, more: dict[str, object]
) -> None:
    path = path_to(await make_app("web", ports=PORTS), "web")
    before = await looks_and_patches(kube)
    assert (await api.patch(path, {"command": "first", **more})).status == 200
    assert (await looks_and_patches(kube))[0] > before[0]
    # Each is shown with what the one before has left.
    turns: Iterator[tuple[dict[str, object], str, str]] = cycle(
        [
            ({"health_check": HTTP}, "first", "http"),
            ({"command": "two"}, "two", "http"),
            ({"health_check": NONE}, "two", "process"),
            ({"command": "first"}, "first", "process"),
        ]
    )

    async def without_a_look() -> bool:
        body, command, check = next(turns)
        before = await looks_and_patches(kube)
        assert (await api.patch(path, {**body, **more})).status == 200
        looks, patches = await looks_and_patches(kube)
        shown = (await api.get(path)).json
        assert (shown["command"], shown["health_check"]["type"]) == (command, check)
        return (looks - before[0], patches - before[1]) == (0, 1)

    # The controllers answer a change with some of their own: one that is not here yet takes a look.
    for _ in range(4):
        await eventually(without_a_look)


@either_store
async def test_a_change_by_others_in_between_is_neither_lost_nor_overlooked(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo, more: dict[str, object]
) -> None:
    app = await make_app("web", ports=PORTS)
    path, name = path_to(app, "web"), f"web-{app}"
    containers = "/spec/template/spec/containers"
    for turn in range(5):
        assert (await api.patch(path, {"command": f"run {turn}"})).status == 200
        # By the time of the next, the watch may have brought this, or not.
        added = {"op": "add", "path": f"{containers}/0", "value": {"name": f"proxy-{turn}", "image": "proxy:1"}}
        await kube.patch_json(space, name, [added])
        assert (await api.patch(path, {"user": str(1000 + turn), "health_check": HTTP, **more})).status == 200
        found = (await kube.get(space, name))["spec"]["template"]["spec"]["containers"]
        assert [each["name"] for each in found] == [*(f"proxy-{n}" for n in range(turn, -1, -1)), "application"]
        assert found[-1]["command"][-1] == f"run {turn}"
        assert found[-1]["securityContext"]["runAsUser"] == 1000 + turn


@either_store
async def test_what_was_impossible_a_moment_ago_is_tried_of_what_is(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo, more: dict[str, object]
) -> None:
    app = await make_app("web")
    path, name = path_to(app, "web"), f"web-{app}"
    ports = "/spec/template/spec/containers/0/ports"
    for turn in range(5):
        assert (await api.patch(path, {"command": f"run {turn}", "health_check": NONE})).status == 200
        assert_cf_error(await api.patch(path, {"health_check": HTTP, **more}), 422, 10008, "CF-UnprocessableEntity")
        await kube.patch_json(space, name, [{"op": "add", "path": ports, "value": PORTS}])
        assert (await api.patch(path, {"health_check": HTTP, **more})).status == 200
        await kube.patch_json(space, name, [{"op": "remove", "path": ports}])


@either_store
async def test_who_may_not_write_is_refused_though_another_has_just_written(
    api: Api, users: Users, make_app: MakeApp, path_to: PathTo, more: dict[str, object]
) -> None:
    path = path_to(await make_app("web"), "web")
    assert (await api.as_user(users.operator).patch(path, {"command": "one"})).status == 200
    body = {"command": "two", **more}
    assert_cf_error(await api.as_user(users.viewer).patch(path, body), 403, 10003, "CF-NotAuthorized")
    assert_cf_error(await api.as_user(users.stranger).patch(path, body), 404, 10010, "CF-ResourceNotFound")
    assert (await api.get(path)).json["command"] == "one"


@either_store
async def test_a_deployment_made_anew_is_changed_as_it_is(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo, more: dict[str, object]
) -> None:
    app = await make_app("web", ports=PORTS)
    path, name = path_to(app, "web"), f"web-{app}"
    assert (await api.patch(path, {"command": "one"})).status == 200
    manifest = await kube.get(space, name)
    await kube.delete(space, name)
    meta = {key: manifest["metadata"][key] for key in ("name", "namespace", "labels")}
    container = {"name": "other", "image": "other:1"}
    template = {**manifest["spec"]["template"], "spec": {"containers": [container]}}
    await kube.create({**manifest, "metadata": meta, "spec": {**manifest["spec"], "template": template}, "status": {}})

    async def changed() -> bool:
        return (await api.patch(path, {"command": "two", **more})).status == 200

    await eventually(changed)
    (found,) = (await kube.get(space, name))["spec"]["template"]["spec"]["containers"]
    assert (found["name"], found["command"][-1]) == ("other", "two")
