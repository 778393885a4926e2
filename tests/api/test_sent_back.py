"""A whole process sent back as it was read, as Terraform and portals do: nothing restarts, and nothing else changes."""

from typing import Any
from urllib.parse import unquote_plus

import pytest

from service.api.resources.processes.presenter import HIDDEN_COMMAND
from tests.support.api import Api
from tests.support.apps import MakeApp, PathTo
from tests.support.kube import Kube

UPDATED = ("command", "user", "health_check", "readiness_health_check", "metadata")
SCALED = ("instances", "memory_in_mb", "disk_in_mb", "log_rate_limit_in_bytes_per_second")
SLOW = {"tcpSocket": {"port": 80}, "periodSeconds": 10, "failureThreshold": 30}

containers = pytest.mark.parametrize(
    "container",
    [
        {},
        {
            "command": ["node", "server.js"],
            "args": ["--port", "$(PORT)"],
            "ports": [{"containerPort": 80}],
            "resources": {"limits": {"memory": "1500M", "ephemeral-storage": "1G"}, "requests": {"memory": "100Mi"}},
            "securityContext": {"runAsUser": 7},
            "livenessProbe": SLOW,
            "startupProbe": SLOW,
            "readinessProbe": {"exec": {"command": ["ready"]}, "timeoutSeconds": 4},
        },
    ],
    ids=["of a bare container", "of a manifest somebody wrote"],
)


def parts(process: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: process[name] for name in names}


@containers
async def test_as_it_was_deployed(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo, container: dict[str, Any]
) -> None:
    app = await make_app("web", **container)
    path, name = path_to(app, "web"), f"web-{app}"
    await _send_back(api, kube, space, path, name)


@containers
async def test_as_it_was_changed(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo, container: dict[str, Any]
) -> None:
    app = await make_app("web", **container)
    path, name = path_to(app, "web"), f"web-{app}"
    changes = {
        "command": "exec other",
        "user": "vcap",
        "health_check": {"type": "process", "data": {"timeout": 60, "interval": 7}},
        "readiness_health_check": {"type": "process", "data": {"interval": 7}},
        "metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}},
    }
    assert (await api.patch(path, changes)).json["user"] == "vcap"
    scaled = await api.post(f"{path}/actions/scale", {"memory_in_mb": 99, "log_rate_limit_in_bytes_per_second": 5})
    assert scaled.status == 202
    await _send_back(api, kube, space, path, name)


async def _send_back(api: Api, kube: Kube, space: str, path: str, name: str) -> None:
    before, read = await kube.intent(space, name), (await api.get(path)).json
    for reply in (
        await api.patch(path, parts(read, UPDATED)),
        await api.post(f"{path}/actions/scale", parts(read, SCALED)),
        await api.patch(path, {**parts(read, UPDATED), "command": HIDDEN_COMMAND}),
        *[await api.patch(path, {part: read[part]}) for part in UPDATED],
        *[await api.post(f"{path}/actions/scale", {part: read[part]}) for part in SCALED],
    ):
        assert reply.status in (200, 202), reply.body
        # The rollout of what was changed before goes on by itself.
        assert {**reply.json, "version": "", "updated_at": ""} == {**read, "version": "", "updated_at": ""}
    assert await kube.intent(space, name) == before


LONG = "x" * 5000
LONG_PATH = "/" + LONG
LONGER_THAN_SHOWN = {
    "a script": {"command": ["/bin/sh", "-c", LONG]},
    "many words": {"command": ["run"], "args": ["word"] * 100_000},
    "a word of 200,000 characters": {"args": ["'" * 200_000]},
    "paths": {
        "ports": [{"containerPort": 80}],
        "livenessProbe": {"httpGet": {"port": 80, "path": LONG_PATH}},
        "startupProbe": {"httpGet": {"port": 80, "path": LONG_PATH}, "periodSeconds": 5},
        "readinessProbe": {"httpGet": {"port": 80, "path": "/r" + LONG}},
    },
}


@pytest.mark.parametrize("container", LONGER_THAN_SHOWN.values(), ids=LONGER_THAN_SHOWN.keys())
async def test_of_what_is_too_long_the_beginning_is_shown_and_the_whole_stays(
    api: Api, kube: Kube, space: str, make_app: MakeApp, path_to: PathTo, container: dict[str, Any]
) -> None:
    app = await make_app("web", **container)
    path, name = path_to(app, "web"), f"web-{app}"
    reply = await api.get(path)
    cut = [reply.json["command"]] if "livenessProbe" not in container else []
    cut += [reply.json[check]["data"]["endpoint"] for check in ("health_check", "readiness_health_check")]
    texts = [text for text in cut if text is not None]
    assert all(text.endswith("…") and len(text) in (255, 4096) for text in texts)
    assert unquote_plus(reply.headers["X-Cf-Warnings"]).count("only its beginning is shown") == len(texts)
    await _send_back(api, kube, space, path, name)
    if "livenessProbe" in container:
        # What is changed beside it leaves it whole, too.
        changed = await api.patch(path, {"health_check": {"data": {"invocation_timeout": 7}}})
        assert "beginning is shown" in unquote_plus(changed.headers["X-Cf-Warnings"])
        (kept,) = (await kube.get(space, name))["spec"]["template"]["spec"]["containers"]
        for probe in ("livenessProbe", "startupProbe"):
            assert kept[probe]["httpGet"]["path"] == LONG_PATH
        assert kept["livenessProbe"]["timeoutSeconds"] == 7
