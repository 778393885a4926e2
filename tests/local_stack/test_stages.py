"""What becomes of a Pod by its annotations: the scenarios promised at the top of deploy/local/stages.yaml."""

from typing import Any
from uuid import uuid4

import pytest

from tests.support.kube import Kube, deployment, eventually

RUNNING = {"phase": "Running", "ready": True, "started": True, "state": "running", "restarts": 0}


class Pod:
    """The one Pod of a Deployment."""

    def __init__(self, kube: Kube, pods: str, name: str) -> None:
        self._kube = kube
        self._pods = pods
        self._name = name

    @classmethod
    async def create(cls, kube: Kube, space: str, **annotations: str) -> "Pod":
        """Annotations are written with underscores and without their prefix."""
        name = f"pod-{uuid4().hex[:8]}"
        manifest = deployment(name, space, "app", replicas=1)
        manifest["spec"]["template"]["metadata"]["annotations"] = _annotations(annotations)
        await kube.create(manifest)
        pods = f"/api/v1/namespaces/{space}/pods"

        async def found() -> Any:
            return (await kube.request("GET", f"{pods}?labelSelector=test%3D{name}"))["items"]

        (pod,) = await eventually(found)
        return cls(kube, pods, pod["metadata"]["name"])

    async def annotate(self, **annotations: str | None) -> None:
        patch = {"metadata": {"annotations": _annotations(annotations)}}
        await self._kube.request("PATCH", f"{self._pods}/{self._name}", patch, kind="application/merge-patch+json")

    async def delete(self) -> None:
        await self._kube.request("DELETE", f"{self._pods}/{self._name}")

    async def find(self) -> Any:
        """The Pod; None when it is gone."""
        listed = await self._kube.request("GET", f"{self._pods}?fieldSelector=metadata.name%3D{self._name}")
        return next(iter(listed["items"]), None)

    async def becomes(self, **expected: object) -> Any:
        """The Pod, once all that is expected holds."""

        async def is_so() -> Any:
            pod = await self.find()
            shown = _shown(pod)
            return pod if all(shown.get(key) == value for key, value in expected.items()) else False

        return await eventually(is_so)


def _annotations(given: dict[str, Any]) -> dict[str, Any]:
    return {f"local-stack/{key.replace('_', '-')}": value for key, value in given.items()}


def _shown(pod: Any) -> dict[str, object]:
    status = pod["status"]
    ready = [each["status"] == "True" for each in status.get("conditions", []) if each["type"] == "Ready"]
    shown = {"phase": status["phase"], "ready": ready == [True]}
    for container in status.get("containerStatuses", []):
        ((state, detail),) = container["state"].items()
        shown |= {"started": container["started"], "state": state, "restarts": container["restartCount"]}
        shown |= {key: detail[key] for key in ("reason", "message", "startedAt", "exitCode") if key in detail}
    return shown


async def test_pod_runs_and_is_ready_at_once(kube: Kube, space: str) -> None:
    pod = await Pod.create(kube, space)
    status = (await pod.becomes(**RUNNING))["status"]
    assert status["podIP"]
    assert status["hostIP"]
    assert status["startTime"]


@pytest.mark.parametrize(("probe", "started"), [("startup", False), ("readiness", True)])
async def test_pod_whose_probe_fails_runs_but_is_not_ready_until_it_heals(
    kube: Kube, space: str, probe: str, started: bool
) -> None:
    pod = await Pod.create(kube, space, failing_probe=probe)
    failing = {"phase": "Running", "ready": False, "started": started, "state": "running", "restarts": 0}
    since = _shown(await pod.becomes(**failing))["startedAt"]
    await pod.annotate(failing_probe=None)
    await pod.becomes(**RUNNING, startedAt=since)
    await pod.annotate(failing_probe=probe)
    await pod.becomes(**failing, startedAt=since)


@pytest.mark.parametrize("reason", ["ImagePullBackOff", "CreateContainerConfigError"])
async def test_pod_waits_for_the_reason_given_until_it_heals(kube: Kube, space: str, reason: str) -> None:
    pod = await Pod.create(kube, space, waiting_reason=reason, waiting_message="no, because")
    waiting = {"phase": "Pending", "ready": False, "started": False, "state": "waiting", "message": "no, because"}
    await pod.becomes(**waiting, reason=reason)
    await pod.annotate(waiting_reason="ErrImagePull")
    await pod.becomes(**waiting, reason="ErrImagePull")
    await pod.annotate(waiting_reason=None)
    await pod.becomes(**RUNNING)


async def test_pod_crashes_from_the_start_or_later_and_is_restarted_when_healed(kube: Kube, space: str) -> None:
    crashing = {"phase": "Running", "ready": False, "started": False, "state": "waiting", "reason": "CrashLoopBackOff"}
    pod = await Pod.create(kube, space, crash_message="out of luck")
    (container,) = (await pod.becomes(**crashing, restarts=4))["status"]["containerStatuses"]
    ended = container["lastState"]["terminated"]
    assert (ended["exitCode"], ended["message"]) == (1, "out of luck")
    await pod.annotate(crash_message=None)
    (container,) = (await pod.becomes(**RUNNING | {"restarts": 5}))["status"]["containerStatuses"]
    assert container["lastState"]["terminated"] == ended
    await pod.annotate(crash_message="again")
    await pod.becomes(**crashing, restarts=9)


async def test_evicted_pod_has_failed(kube: Kube, space: str) -> None:
    pod = await Pod.create(kube, space)
    await pod.becomes(**RUNNING)
    await pod.annotate(evicted_message="The node was low on resource: memory.")
    status = (await pod.becomes(phase="Failed", ready=False, state="terminated", exitCode=137))["status"]
    assert (status["reason"], status["message"]) == ("Evicted", "The node was low on resource: memory.")


async def test_deleted_pod_goes_at_once_or_lingers_as_long_as_it_is_told(kube: Kube, space: str) -> None:
    quick = await Pod.create(kube, space)
    slow = await Pod.create(kube, space, stop_delay_s="60")
    for pod in (quick, slow):
        await pod.becomes(**RUNNING)
        await pod.delete()

    async def quick_is_gone() -> bool:
        return await quick.find() is None

    async def slow_is_gone() -> bool:
        return await slow.find() is None

    await eventually(quick_is_gone)
    assert (await slow.becomes(**RUNNING))["metadata"]["deletionTimestamp"]
    await slow.annotate(stop_delay_s=None)
    await eventually(slow_is_gone)
