"""Whatever is sent to PATCH and scale: what is refused has changed nothing, and the service never breaks."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import asyncpg
import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import (
    AnnotationLimitExceeded,
    BodyTooLarge,
    CloudFoundryError,
    LabelLimitExceeded,
    MessageParseError,
    UnprocessableEntity,
)
from service.settings import Settings
from tests.support.admission import refusing
from tests.support.api import Api, Reply, assert_cf_error
from tests.support.bodies import ANY_JSON, RAW, SCALES, UPDATES
from tests.support.kube import Kube, deployment, eventually, guid_of

REFUSALS: dict[tuple[int, int], type[CloudFoundryError]] = {
    (each.status, each.code): each
    for each in (BodyTooLarge, MessageParseError, UnprocessableEntity, LabelLimitExceeded, AnnotationLimitExceeded)
}
OF_CONTROLLERS = "deployment.kubernetes.io/revision"
DEPLOYMENTS = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["deployments"]}
TYPES = st.sampled_from(
    [
        "application/json",
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "text/plain",
        "?",
    ]
)


@dataclass
class Target:
    """A process, and what is kept of it."""

    app: str
    namespace: str
    kube: Kube
    database: asyncpg.Connection

    def paths(self) -> list[str]:
        return [f"/v3/processes/{guid_of(self.app, 'web')}", f"/v3/apps/{self.app}/processes/web"]

    async def state(self) -> tuple[Any, ...]:
        """All that requests may change, in both stores.

        Of the row all but its stamp: that says that it was written, as it is when a change is prepared and then taken
        back because Kubernetes has refused its part.
        """
        path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments/target"
        found = await self.kube.request("GET", path)
        annotations = {key: text for key, text in found["metadata"]["annotations"].items() if key != OF_CONTROLLERS}
        row = await self.database.fetchrow("SELECT * FROM process_metadata WHERE app_guid = $1", self.app)
        kept = None if row is None else {name: value for name, value in row.items() if name != "stamp"}
        return found["spec"], annotations, kept


@pytest.fixture(scope="module")
async def target(api: Api, kube: Kube, settings: Settings) -> AsyncIterator[Target]:
    namespace, app = await kube.create_namespace(), str(uuid4())
    # Whatever number of instances is asked for, and granted: none is to be run here.
    quota = {"metadata": {"name": "pods"}, "spec": {"hard": {"pods": "0"}}}
    await kube.request("POST", f"/api/v1/namespaces/{namespace}/resourcequotas", quota)
    await kube.create(deployment("target", namespace, app, ports=[{"containerPort": 8080}]))

    async def shown() -> bool:
        return (await api.get(f"/v3/apps/{app}/processes/web")).status == 200

    await eventually(shown)
    database = await asyncpg.connect(settings.database_url)
    made = Target(app, namespace, kube, database)
    rules = [refusal_of("invalid"), {**refusal_of("forbidden"), "reason": "Forbidden"}]
    async with refusing(kube, namespace, DEPLOYMENTS, *rules):

        async def refused() -> bool:
            # If it was let through before the rule is in force, asking for it again would change nothing.
            await api.patch(made.paths()[0], {"command": "valid"})
            return (await api.patch(made.paths()[0], {"command": "invalid"})).status == 422

        await eventually(refused, 20)
        yield made
    await database.close()
    await kube.delete_namespace(namespace)


def refusal_of(command: str) -> dict[str, str]:
    """A rule against a command, which only Kubernetes knows of."""
    return {"expression": f"!object.spec.template.spec.containers.exists(c, '{command}' in c.?command.orValue([]))"}


async def hold(api: Api, target: Target, at: int, action: str, body: bytes, content_type: str) -> None:
    before = await target.state()
    path, headers = target.paths()[at], {"Content-Type": content_type}
    if action == "scale":
        reply = await api.post(f"{path}/actions/scale", body, headers=headers)
    else:
        reply = await api.patch(path, body, headers=headers)
    if reply.status not in (200, 202):
        assert_refused(reply)
        assert await target.state() == before


def assert_refused(reply: Reply) -> None:
    refusal = REFUSALS.get((reply.status, reply.json["errors"][0]["code"]))
    assert refusal is not None, reply
    assert assert_cf_error(reply, refusal.status, refusal.code, refusal.title)


def many(key: str) -> st.SearchStrategy[dict[str, str | None]]:
    """Labels or annotations: few, or as many as with others are too many."""
    return st.builds(
        lambda first, count, value: {f"{key}-{n}": value for n in range(first, first + count)},
        st.integers(0, 200),
        st.sampled_from([0, 1, 30, 51, 201]),
        st.sampled_from(["x", None]),
    )


CHECK = st.sampled_from(
    [
        {"type": "http"},
        {"type": "http", "data": {"endpoint": "/up"}},
        {"type": "port"},
        {"type": "process"},
        {"data": {}},
    ]
)
POSSIBLE = st.fixed_dictionaries(
    {},
    optional={
        "command": st.sampled_from(["run", "invalid", "forbidden", None]),
        "user": st.sampled_from(["vcap", "1", None]),
        "health_check": CHECK,
        "readiness_health_check": CHECK,
        "metadata": st.fixed_dictionaries({}, optional={"labels": many("label"), "annotations": many("note")}),
    },
)
"""Updates without a mistake, of which some are refused all the same: by what is stored, or by Kubernetes."""

quickly = hypothesis.settings(max_examples=80, deadline=None)
ADDRESS = st.sampled_from([0, 1])


@quickly
@given(ADDRESS, UPDATES, TYPES)
async def test_update_nearly_right(api: Api, target: Target, at: int, document: object, content_type: str) -> None:
    await hold(api, target, at, "update", json.dumps(document).encode(), content_type)


@quickly
@given(ADDRESS, POSSIBLE)
async def test_update_without_mistake(api: Api, target: Target, at: int, document: object) -> None:
    await hold(api, target, at, "update", json.dumps(document).encode(), "application/json")


@quickly
@given(ADDRESS, SCALES, TYPES)
async def test_scale_nearly_right(api: Api, target: Target, at: int, document: object, content_type: str) -> None:
    await hold(api, target, at, "scale", json.dumps(document).encode(), content_type)


@quickly
@given(ADDRESS, st.sampled_from(["update", "scale"]), ANY_JSON, TYPES)
async def test_any_json(api: Api, target: Target, at: int, action: str, document: object, content_type: str) -> None:
    await hold(api, target, at, action, json.dumps(document).encode(), content_type)


@quickly
@given(ADDRESS, st.sampled_from(["update", "scale"]), RAW, TYPES)
async def test_any_bytes(api: Api, target: Target, at: int, action: str, body: bytes, content_type: str) -> None:
    await hold(api, target, at, action, body, content_type)
