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
from service.model.derive import derive_workload
from service.model.guids import process_guid
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


async def created(kube: Kube, space: str, *labels: Any, **options: Any) -> dict[str, Any]:
    """A Deployment that runs, with an annotation, as each has one soon after it was made."""
    return await kube.create(
        deployment("one", space, "app", *labels, replicas=1, annotations={"any": "one"}, **options)
    )


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
    found = await created(kube, space, process_type, labels=labels)
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
    found = await created(kube, space)
    await kube.patch(space, "one", {"metadata": {"labels": changed}})
    assert await workloads.scale_blind(operator_token, known(found), THREE) is None
    assert (await kube.get(space, "one"))["spec"]["replicas"] == 1


async def test_leaves_alone_what_has_been_made_anew(
    workloads: Workloads, kube: Kube, operator_token: str, space: str
) -> None:
    found = await created(kube, space)
    before = msgspec.structs.replace(known(found), uid="another")
    assert await workloads.scale_blind(operator_token, before, THREE) is None
    await kube.delete(space, "one")
    with pytest.raises(ResourceNotFound):
        await workloads.scale_blind(operator_token, known(found), THREE)


STOPPED = {"metadata": {"annotations": {KEYS.stopped_instances: "2"}}, "spec": {"replicas": 0}}


@pytest.mark.parametrize("instances", [0, 3])
async def test_leaves_alone_what_has_been_stopped_meanwhile(
    workloads: Workloads, kube: Kube, operator_token: str, space: str, instances: int
) -> None:
    found = await created(kube, space)
    before = await kube.patch(space, "one", STOPPED)
    assert await workloads.scale_blind(operator_token, known(found), Scale(instances=instances)) is None
    after = await kube.get(space, "one")
    assert (after["spec"], after["metadata"]["annotations"][KEYS.stopped_instances]) == (before["spec"], "2")
    assert await workloads.scale_blind(operator_token, known(after), Scale(instances=instances)) is None


async def test_to_zero_and_back_leaves_it_started(
    workloads: Workloads, kube: Kube, operator_token: str, space: str
) -> None:
    process = known(await created(kube, space))
    for instances, marks in ((0, 1), (2, 0), (0, 1), (0, 1)):
        done = await workloads.scale_blind(operator_token, process, Scale(instances=instances))
        assert done is not None
        process = done.workload
        assert (process.started, process.instances, process.replicas) == (True, instances, instances)
        after = await kube.get(space, "one")
        assert [key in after["metadata"]["annotations"] for key in KEYS.__dict__.values()].count(True) == marks


async def test_leaves_to_others_to_say_why_it_is_refused(
    workloads: Workloads, kube: Kube, operator_token: str, space: str
) -> None:
    found = await created(kube, space)
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
    found = await created(kube, space)
    assert await workloads.scale_blind(operator_token, known(found), scale) is None
