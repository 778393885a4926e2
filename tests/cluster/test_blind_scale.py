"""Scaling without a look at the Deployment: only the process that is known is scaled, whatever happens meanwhile."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import msgspec
import orjson
import pytest

from deploy.local.stack import Stack
from service.cluster.client import Client
from service.cluster.deployment_cache import DeploymentCache
from service.cluster.workloads import Workloads
from service.errors import ResourceNotFound
from service.model.changes import Scale
from service.model.derive import derive_workload, process_guid
from service.model.manifests import Deployment
from service.model.process import MetadataChange, Workload
from tests.support.kube import KEYS, Kube, deployment

OWN_GUID = {KEYS.process_guid: "5a1e0000-0000-4000-8000-000000000000"}
THREE = Scale(instances=3)


@pytest.fixture
async def workloads(stack: Stack) -> AsyncIterator[Workloads]:
    client = await Client.connect(str(stack.service_kubeconfig), "", timeout_s=10)
    callers = client.without_identity()
    yield Workloads(client=client, callers=callers, cache=DeploymentCache(), keys=KEYS, write_timeout_s=10)
    await callers.close()
    await client.close()


def known(found: dict[str, Any]) -> Workload:
    return derive_workload(msgspec.json.decode(orjson.dumps(found), type=Deployment), KEYS)


@pytest.mark.parametrize(
    ("process_type", "labels"),
    [("web", {}), (None, {}), ("worker", {}), ("worker", OWN_GUID), (None, OWN_GUID)],
    ids=["labelled", "no type", "other type", "own GUID", "own GUID and no type"],
)
async def test_scales_whatever_the_labels_that_make_it_the_process(
    workloads: Workloads, kube: Kube, operator_token: str, space: str, process_type: str | None, labels: dict[str, str]
) -> None:
    found = await kube.create(deployment("one", space, "app", process_type, labels=labels))
    done = await workloads.scale_blind(operator_token, known(found), THREE)
    assert done is not None
    after = await kube.get(space, "one")
    assert (done.workload.instances, after["spec"]["replicas"]) == (3, 3)
    assert done.version <= int(after["metadata"]["resourceVersion"])
    assert done.workload.guid == (labels.get(KEYS.process_guid) or process_guid(space, "app", process_type or "web"))


@pytest.mark.parametrize(
    "changed",
    [
        {KEYS.app_guid: "other-app"},
        {KEYS.process_type: "worker"},
        {KEYS.process_type: None},
        OWN_GUID,
    ],
    ids=["app", "type", "no type", "GUID"],
)
async def test_leaves_alone_what_has_become_another_process(
    workloads: Workloads, kube: Kube, operator_token: str, space: str, changed: dict[str, str | None]
) -> None:
    found = await kube.create(deployment("one", space, "app"))
    await kube.patch(space, "one", {"metadata": {"labels": changed}})
    assert await workloads.scale_blind(operator_token, known(found), THREE) is None
    assert (await kube.get(space, "one"))["spec"]["replicas"] == 0


async def test_leaves_alone_what_has_been_made_anew(
    workloads: Workloads, kube: Kube, operator_token: str, space: str
) -> None:
    found = await kube.create(deployment("one", space, "app"))
    before = msgspec.structs.replace(known(found), uid="another")
    assert await workloads.scale_blind(operator_token, before, THREE) is None
    await kube.delete(space, "one")
    with pytest.raises(ResourceNotFound):
        await workloads.scale_blind(operator_token, known(found), THREE)


async def test_leaves_to_others_to_say_why_it_is_refused(
    workloads: Workloads, kube: Kube, operator_token: str, space: str
) -> None:
    found = await kube.create(deployment("one", space, "app"))
    assert await workloads.scale_blind(operator_token, known(found), Scale(instances=-1)) is None


@pytest.mark.parametrize(
    "scale",
    [
        Scale(),
        replace(THREE, memory_in_mb=64),
        replace(THREE, disk_in_mb=64),
        replace(THREE, metadata=MetadataChange(log_rate_limit_in_bytes_per_second=5)),
    ],
    ids=["nothing", "memory", "disk", "log rate"],
)
async def test_more_than_instances_takes_a_look(
    workloads: Workloads, kube: Kube, operator_token: str, space: str, scale: Scale
) -> None:
    found = await kube.create(deployment("one", space, "app"))
    assert await workloads.scale_blind(operator_token, known(found), scale) is None
