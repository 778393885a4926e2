"""The first seconds after kube-apiserver has come back: it answers before it knows who may do what."""

import asyncio
import time
from dataclasses import replace

import pytest

from deploy.local.stack import Stack
from service.settings import Settings
from tests.support.api import Reply, running
from tests.support.apps import an_app
from tests.support.kube import Kube, eventually, guid_of

ABSENCE_S = 8.0
"""Long enough for pauses between attempts to have grown."""
IN_STEP_S = 2.0


@pytest.fixture
def settings(fragile_settings: Settings) -> Settings:
    return replace(fragile_settings, review_grace_s=1)


@pytest.mark.parametrize("absence_s", [0.0, ABSENCE_S], ids=["restarted", "away for a while"])
async def test_no_denial_is_believed_too_soon_and_all_is_in_step_at_once(
    fragile_stack: Stack, fragile_kube: Kube, settings: Settings, absence_s: float
) -> None:
    token = await fragile_kube.token_of_new_user(cluster_roles=("processes-operator",))
    async with running(settings, token=token) as api:
        space = await fragile_kube.create_namespace()
        app = await an_app(api, fragile_kube, space)
        viewer = api.as_user(
            await fragile_kube.token_of_new_user(cluster_roles=("processes-api",), roles_in={space: "processes-reader"})
        )
        path = f"/v3/processes/{guid_of(app, 'web')}"
        assert (await viewer.get(path)).status == 200
        await asyncio.to_thread(fragile_stack.control_plane.stop_apiserver)
        await asyncio.sleep(absence_s)
        starting = asyncio.create_task(asyncio.to_thread(fragile_stack.control_plane.start_apiserver))
        replies: list[Reply] = []

        async def ask() -> bool:
            """As who may do everything, and as who may read: be it too early, or in time."""
            replies.append(await api.post(f"{path}/actions/scale", {"instances": 1 + len(replies) % 3}))
            replies.extend([await api.get(path), await viewer.get(path)])
            return starting.done()

        try:
            await eventually(ask, 60)
        finally:
            await starting
        answers_at = time.monotonic()

        async def in_step() -> bool:
            await ask()
            report = (await api.manage("/readyz")).json
            watches = [*report["watches"].values(), *report["optional_watches"].values()]
            return all(watch["connected"] or not watch["synced"] for watch in watches)

        await eventually(in_step, 30)
        assert time.monotonic() - answers_at < IN_STEP_S
        assert {reply.status for reply in replies} <= {200, 202, 503}, [reply.body for reply in replies]
        assert "Warning" not in (await api.get(path)).headers


async def test_who_may_not_is_told_so_in_our_words_right_after_the_return(
    fragile_stack: Stack, fragile_kube: Kube, settings: Settings
) -> None:
    token = await fragile_kube.token_of_new_user(cluster_roles=("processes-operator",))
    async with running(settings, token=token) as api:
        space = await fragile_kube.create_namespace()
        app = await an_app(api, fragile_kube, space)
        viewer = api.as_user(
            await fragile_kube.token_of_new_user(cluster_roles=("processes-api",), roles_in={space: "processes-reader"})
        )
        path = f"/v3/processes/{guid_of(app, 'web')}/actions/scale"
        assert (await viewer.post(path, {"instances": 2})).status == 403
        await asyncio.to_thread(fragile_stack.control_plane.stop_apiserver)
        await asyncio.sleep(1.5)
        starting = asyncio.create_task(asyncio.to_thread(fragile_stack.control_plane.start_apiserver))
        replies: list[Reply] = []

        async def ask() -> bool:
            replies.append(await viewer.post(path, {"instances": 2}))
            return starting.done() and replies[-1].status == 403

        await eventually(ask, 60)
        await starting
        assert {reply.status for reply in replies} <= {403, 503}
        assert not any(b"cannot patch" in reply.body for reply in replies)
