"""The reference page is read here, and every field name and type on it is checked against a live answer."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest

from service.model.process import Metadata
from service.model.times import SECOND
from service.settings import Settings
from service.store.database import connected
from service.store.records import load
from tests.support.api import Api, assert_cf_error
from tests.support.kube import Kube, deployment, eventually

PAGE = (Path(__file__).parent / "list-app-processes.txt").read_text()


def bodies(page: str) -> list[Any]:
    """The JSON examples of the page, in their order: the success, then the errors."""
    found = []
    decoder_input = page
    while (start := decoder_input.find("{\n")) >= 0:
        depth = 0
        for end, character in enumerate(decoder_input[start:], start):
            depth += (character == "{") - (character == "}")
            if depth == 0:
                found.append(orjson.loads(decoder_input[start : end + 1]))
                decoder_input = decoder_input[end + 1 :]
                break
    return found


def assert_shaped_like(documented: Any, answered: Any, where: str = "$") -> None:
    """Every documented key is answered, with a value of the documented type."""
    if isinstance(documented, dict):
        assert isinstance(answered, dict), where
        if where.endswith((".labels", ".annotations")):
            # Here the page names not a key but the kind of what is in there: a map of strings.
            assert all(isinstance(key, str) and isinstance(value, str) for key, value in answered.items()), where
            return
        for key, value in documented.items():
            assert key in answered, f"{where}.{key} is missing"
            assert_shaped_like(value, answered[key], f"{where}.{key}")
    elif isinstance(documented, list):
        assert isinstance(answered, list), where
        assert answered, f"{where} is empty: nothing was compared"
        for position, item in enumerate(answered):
            assert_shaped_like(documented[0], item, f"{where}[{position}]")
    else:
        assert type(answered) is type(documented), f"{where}: {answered!r} is no {type(documented).__name__}"


@pytest.fixture
async def full_app(api: Api, kube: Kube, space: str, settings: Settings) -> str:
    """An app of three processes that have a value for every field there is."""
    app = str(uuid4())
    probe = {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 5, "timeoutSeconds": 2}
    for process_type in ("web", "worker", "clock"):
        await kube.create(
            deployment(
                process_type,
                space,
                app,
                process_type,
                annotations={"cloudfoundry.org/revision-guid": str(uuid4())},
                command=["/bin/sh", "-c", "serve"],
                securityContext={"runAsUser": 2000},
                resources={"limits": {"memory": "256Mi", "ephemeral-storage": "1Gi"}},
                ports=[{"containerPort": 8080}],
                startupProbe={**probe, "failureThreshold": 12},
                livenessProbe=probe,
                readinessProbe=probe,
            )
        )
    async with connected(settings.database_url, 5) as connection:
        await load(
            connection,
            [
                Metadata(
                    namespace=space,
                    app_guid=app,
                    type=process_type,
                    labels={"team": "blue"},
                    annotations={"contact": "blue@example.test"},
                    registry_credential_guid=str(uuid4()),
                    registry_credential_last_synced_at=1_700_000_000 * SECOND,
                )
                for process_type in ("web", "worker", "clock")
            ],
        )

    async def shown() -> bool:
        reply = await api.get(f"/v3/apps/{app}/processes")
        return reply.status == 200 and reply.json["total_results"] == 3

    await eventually(shown)
    return app


def without_readiness_timeout(documented: Any) -> Any:
    """Only a liveness check has a `timeout`: on readiness the key is there and null."""
    for resource in documented["resources"]:
        del resource["readiness_health_check"]["data"]["timeout"]
    return documented


async def test_every_field_of_the_page_is_answered_with_its_type(api: Api, full_app: str) -> None:
    documented = without_readiness_timeout(bodies(PAGE)[0])
    answered = (await api.get(f"/v3/apps/{full_app}/processes?page=2&per_page=1&order_by=-created_at")).json
    assert_shaped_like(documented, answered)
    assert "timeout" in answered["resources"][0]["readiness_health_check"]["data"]


async def test_every_documented_failure_has_the_documented_shape(api: Api, kube: Kube) -> None:
    success, *failures = bodies(PAGE)
    assert success["resources"]
    assert len(failures) == 3
    nobody = await kube.token_of_new_user()
    replies = [
        (401, await api.as_user("garbage").get("/v3/apps/a/processes")),
        (403, await api.as_user(nobody).get("/v3/apps/a/processes")),
        (404, await api.get("/v3/apps/a/processes")),
    ]
    for documented, (status, reply) in zip(failures, replies, strict=True):
        assert reply.status == status
        assert_shaped_like(documented, reply.json)
    assert_cf_error(replies[2][1], 404, 10010, "CF-ResourceNotFound", "App not found")


def test_answer_pasted_in_the_documentation_is_one_the_page_describes() -> None:
    text = (Path(__file__).parents[2] / "service" / "api" / "API.md").read_text()
    pasted = orjson.loads(text.split("```json\n")[1].split("```")[0])
    documented = bodies(PAGE)[0]
    assert documented.keys() <= pasted.keys()
    assert documented["resources"][0].keys() <= pasted["resources"][0].keys()
    assert documented["resources"][0]["links"].keys() <= pasted["resources"][0]["links"].keys()


async def test_documented_examples_of_parameters_are_accepted(api: Api, full_app: str) -> None:
    lines = PAGE.splitlines()
    examples = {line.split()[0]: lines[n + 1] for n, line in enumerate(lines) if line.endswith(" example")}
    assert examples.keys() == {"page", "per_page", "order_by"}
    query = "&".join(f"{name}={value}" for name, value in examples.items())
    assert (await api.get(f"/v3/apps/{full_app}/processes?{query}")).json["total_results"] == 3
