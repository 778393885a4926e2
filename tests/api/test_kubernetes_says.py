"""What the cluster's own rules have to say of a write: warnings reach the caller, and so do refusals, in its words."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pytest

from service.settings import Settings
from service.store.database import connected
from tests.support.api import Api, Reply, assert_cf_error
from tests.support.apps import MakeApp, PathTo, Users
from tests.support.kube import Kube, eventually
from tests.support.webhooks import POD_DELETIONS, answering, name_of, registered, silent

NOWHERE = "https://127.0.0.1:1/"
BOTH = {"command": "never", "metadata": {"labels": {"never": "seen"}}}
"""A PATCH with something for each store."""


def warnings_of(reply: Reply) -> list[str]:
    """As the cf CLI reads them."""
    return [unquote_plus(text) for text in reply.headers["X-Cf-Warnings"].split(",")]


async def pending(settings: Settings, app: str) -> Any:
    async with connected(settings.database_url, 5) as connection:
        return await connection.fetchval("SELECT pending FROM process_metadata WHERE app_guid = $1", app)


@pytest.fixture(params=["nothing there", "no answer"])
async def dead_webhook(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """The URL of a webhook that does not answer."""
    if request.param == "nothing there":
        yield NOWHERE
    else:
        async with silent() as url:
            yield url


@asynccontextmanager
async def in_force(kube: Kube, space: str, app: str, url: str, **options: Any) -> AsyncIterator[None]:
    """A webhook that refuses changes of the app's Deployment, from the moment on that it does."""
    async with registered(kube, space, url, **options):

        async def refuses() -> bool:
            try:
                await kube.patch(space, f"web-{app}", {"spec": {"minReadySeconds": 0}})
            except AssertionError:
                return True
            return False

        await eventually(refuses)
        yield


async def test_a_rule_of_pod_security_that_is_broken_is_a_warning_of_the_write_that_breaks_it(
    api: Api, kube: Kube, make_app: MakeApp, path_to: PathTo
) -> None:
    space = await kube.create_namespace({"pod-security.kubernetes.io/warn": "restricted"})
    path = path_to(await make_app("web", namespace=space), "web")
    for body in ({"command": "one"}, {"command": "two", "metadata": {"labels": {"a": "b"}}}):
        reply = await api.patch(path, body)
        assert reply.status == 200
        (warning,) = warnings_of(reply)
        assert warning.startswith('would violate PodSecurity "restricted:latest": allowPrivilegeEscalation != false')
    reply = await api.post(f"{path}/actions/scale", {"memory_in_mb": 64})
    assert (reply.status, len(warnings_of(reply))) == (202, 1)
    # It is about what is changed, and not about the process.
    assert "X-Cf-Warnings" not in (await api.post(f"{path}/actions/scale", {"memory_in_mb": 64})).headers
    assert "X-Cf-Warnings" not in (await api.get(path)).headers
    await kube.delete_namespace(space)


async def test_what_a_webhook_warns_of_is_passed_on_whatever_is_in_it(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo, tmp_path: Path
) -> None:
    path = path_to(await make_app("web"), "web")
    said = ['use "v2", not \\v1', "100% of a, b & c", "é: дом", "x" * 90]
    async with (
        answering(tmp_path, {"allowed": True, "warnings": said}) as (url, ca),
        registered(kube, space, url, ca=ca, timeout_s=10),
    ):
        commands = iter(range(10_000))

        async def warned() -> list[str] | None:
            reply = await api.patch(path, {"command": f"run {next(commands)}"})
            assert reply.status == 200
            return warnings_of(reply) if "X-Cf-Warnings" in reply.headers else None

        assert await eventually(warned) == said


async def test_a_webhook_that_does_not_answer_is_named_as_what_refuses_and_nothing_is_changed(
    api: Api, kube: Kube, space: str, settings: Settings, make_app: MakeApp, path_to: PathTo, dead_webhook: str
) -> None:
    app = await make_app("web")
    path = path_to(app, "web")
    # Once with the Deployment in the cache, and once read.
    assert (await api.patch(path, {"metadata": {"labels": {"a": "b"}}, "command": "one"})).status == 200
    async with in_force(kube, space, app, dead_webhook):
        before, process = await kube.intent(space, f"web-{app}"), (await api.get(path)).json
        asked = (await kube.requests_by_verb())["PATCH", "deployments"]
        replies = [
            await api.patch(path, BOTH),
            await api.patch(path, {"command": "never"}),
            await api.post(f"{path}/actions/scale", {"instances": 3}),
            await api.post(f"{path}/actions/scale", {"memory_in_mb": 99}),
        ]
        for reply in replies:
            detail = assert_cf_error(reply, 422, 10008, "CF-UnprocessableEntity")
            assert detail.startswith(
                f'Kubernetes refuses this: Internal error occurred: failed calling webhook "{name_of(space)}"'
            )
            assert "Retry-After" not in reply.headers
        # None is tried twice: what does not answer would take its time again.
        assert (await kube.requests_by_verb())["PATCH", "deployments"] - asked == len(replies)
        assert await kube.intent(space, f"web-{app}") == before
        # Its revision may still be that of the command before.
        assert (await api.get(path)).json | {"version": ""} == process | {"version": ""}
        assert await pending(settings, app) == {}
        # Metadata alone asks nobody.
        assert (await api.patch(path, {"metadata": {"labels": {"a": "c"}}})).status == 200
    reply = await eventually_changed(api, path, {"command": "two"})
    assert reply.json["metadata"]["labels"] == {"a": "c"}


async def eventually_changed(api: Api, path: str, body: object) -> Reply:
    async def changed() -> Reply | None:
        reply = await api.patch(path, body)
        return reply if reply.status == 200 else None

    reply: Reply = await eventually(changed)
    return reply


async def test_a_dead_webhook_of_one_space_is_in_nobody_elses_way(
    api: Api, kube: Kube, space: str, make_app: MakeApp
) -> None:
    other = await kube.create_namespace()
    app, neighbour = await make_app("web"), await make_app("web", namespace=other)
    async with in_force(kube, space, app, NOWHERE):
        for turn in range(10):
            assert (await api.patch(f"/v3/apps/{app}/processes/web", BOTH)).status == 422
            reply = await api.patch(f"/v3/apps/{neighbour}/processes/web", {"command": f"run {turn}"})
            assert reply.status == 200
            read = await api.get(f"/v3/apps/{neighbour}/processes/web")
            assert (read.status, "Warning" in read.headers) == (200, False)
    await kube.delete_namespace(other)


async def test_whoever_may_not_write_is_told_so_before_any_webhook_is_asked(
    api: Api, kube: Kube, space: str, make_app: MakeApp, users: Users
) -> None:
    app = await make_app("web")
    async with in_force(kube, space, app, NOWHERE):
        for body in (BOTH, {"command": "never"}):
            reply = await api.as_user(users.viewer).patch(f"/v3/apps/{app}/processes/web", body)
            assert_cf_error(reply, 403, 10003, "CF-NotAuthorized")
            reply = await api.as_user(users.operator).patch(f"/v3/apps/{app}/processes/web", body)
            assert name_of(space) in assert_cf_error(reply, 422, 10008, "CF-UnprocessableEntity")


@pytest.mark.parametrize("code", [400, 403, 409, 422, 429, 500, 503])
async def test_a_webhook_refuses_with_whatever_status_it_likes(
    api: Api, kube: Kube, space: str, make_app: MakeApp, settings: Settings, tmp_path: Path, code: int
) -> None:
    app = await make_app("web")
    path = f"/v3/apps/{app}/processes/web"
    refusal = {"allowed": False, "status": {"code": code, "message": "no changes on Fridays"}}
    async with answering(tmp_path, refusal) as (url, ca), in_force(kube, space, app, url, ca=ca, timeout_s=10):
        detail = assert_cf_error(await api.patch(path, BOTH), 422, 10008, "CF-UnprocessableEntity")
        assert detail == (
            f'Kubernetes refuses this: admission webhook "{name_of(space)}" denied the request: no changes on Fridays'
        )
        assert await pending(settings, app) == {}


async def test_a_webhook_of_pods_that_does_not_answer_refuses_to_terminate(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo
) -> None:
    app = await make_app("web", replicas=1)
    path = path_to(app, "web")
    async with registered(kube, space, NOWHERE, POD_DELETIONS):

        async def refused() -> Reply | None:
            reply = await api.delete(f"{path}/instances/0")
            return reply if reply.status != 204 else None

        reply = await eventually(refused)
        assert name_of(space) in assert_cf_error(reply, 422, 10008, "CF-UnprocessableEntity")
