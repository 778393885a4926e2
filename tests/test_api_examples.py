"""The examples of the page on the API, run as they are written; what is pasted below them is what came back."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from deploy.local.demo import METADATA, SHOP, STOREFRONT
from service.settings import Settings
from service.store.database import connected
from service.store.records import load
from tests.support.api import Api
from tests.support.kube import Kube, deployment, eventually

API = (Path(__file__).parents[1] / "service" / "api" / "API.md").read_text()
OPERATIONS = API.split("## The operations, one by one")[1].split("\n## ")[0]
EXAMPLES = re.findall(
    r"```console\n\$ (curl .*?)\n\$ (cf curl .*?)\n```(?:\n```json\n(.*?)```)?", OPERATIONS, re.DOTALL
)
PASSING = {"since", "uptime", "instance_guid", "host", "instance_internal_ip", "usage"}
"""What is another the next time."""


@pytest.fixture
async def shop(kube: Kube, api: Api, settings: Settings) -> AsyncIterator[None]:
    """The demo's shop as far as the examples show it, in a namespace of the demo's name: GUIDs depend on it."""
    space = await kube.create_namespace(name=STOREFRONT)
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "timeoutSeconds": 1}
    amounts = {"memory": "512Mi", "ephemeral-storage": "1Gi"}
    await kube.create(
        deployment(
            "shop-web",
            space,
            SHOP,
            replicas=3,
            command=["/bin/sh", "-c", "bundle exec puma -C config/puma.rb"],
            resources={"limits": amounts, "requests": {"cpu": "100m", **amounts}},
            ports=[{"containerPort": 8080}],
            startupProbe={**probe, "periodSeconds": 2, "failureThreshold": 30},
            livenessProbe={**probe, "periodSeconds": 30},
        )
    )
    async with connected(settings.database_url, 5) as connection:
        await load(connection, METADATA)

    async def runs() -> bool:
        reply = await api.get(f"/v3/apps/{SHOP}/processes/web/stats")
        return reply.status == 200 and [row["state"] for row in reply.json["resources"]] == ["RUNNING"] * 3

    await eventually(runs, 20)
    yield
    await kube.delete_namespace(space)


def assert_contains(answered: Any, pasted: Any, where: str = "$") -> None:
    """All that is pasted was answered; of a list, the rows that are pasted."""
    if isinstance(pasted, dict):
        for key, value in pasted.items():
            assert key in answered, f"{where}.{key}"
            if key in PASSING:
                assert type(answered[key]) is type(value), f"{where}.{key}"
            else:
                assert_contains(answered[key], value, f"{where}.{key}")
    elif isinstance(pasted, list):
        assert len(answered) >= len(pasted), where
        for position, value in enumerate(pasted):
            assert_contains(answered[position], value, f"{where}[{position}]")
    else:
        assert answered == pasted, where


async def test_examples_do_what_the_page_says(api: Api, shop: None) -> None:
    assert shutil.which("curl"), "curl is missing: apt-get install curl"
    assert len(EXAMPLES) == 8
    for curl, _, pasted in EXAMPLES:
        command = curl.replace("http://127.0.0.1:8080", api.url).replace("$(cat .local/token)", "$TOKEN")
        process = await asyncio.create_subprocess_shell(
            f"{command} --silent --show-error --fail-with-body",
            env={"TOKEN": str(api.token), "PATH": "/usr/bin:/bin"},
            stdout=asyncio.subprocess.PIPE,
        )
        printed, _ = await process.communicate()
        assert process.returncode == 0, (curl, printed)
        if pasted:
            assert_contains(orjson.loads(printed), orjson.loads(pasted))
        else:
            assert printed == b""


def test_both_clients_are_shown_the_same_request() -> None:
    for curl, cf, _ in EXAMPLES:
        path = re.search(r"http://127\.0\.0\.1:8080([^' ]+)", curl)
        assert path
        assert path[1] in cf
        for option in ("-X", "-d"):
            sent = re.search(rf"{option} ('[^']*'|\S+)", curl)
            assert (sent[0] if sent else None) == (
                found[0] if (found := re.search(rf"{option} ('[^']*'|\S+)", cf)) else None
            )
