"""The overlays applied to a real kube-apiserver, and the service run as one of the Pods that come of it."""

import asyncio
import contextlib
import os
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import orjson
import pytest

from deploy.local import binaries
from deploy.local.ports import PortBlock
from deploy.local.stack import Stack
from tests.deploy import kubelet
from tests.deploy.overlays import OVERLAYS, PASSWORD, of_kind, render
from tests.support.kube import Kube, deployment, eventually, guid_of

NAMESPACE = "processes"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
OF_THE_STACK = {"Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding"}
"""Kinds that other tests need: they stay."""
SERVICE_MONITOR = Path(__file__).with_name("servicemonitor-crd.yaml")


@dataclass
class Installed:
    overlay: str
    objects: list[dict[str, Any]]

    @property
    def workloads(self) -> list[str]:
        """Names of what makes Pods; the Pods carry them as labels."""
        return [*of_kind(self.objects, "StatefulSet"), *of_kind(self.objects, "Deployment")]


@pytest.fixture(scope="module", params=OVERLAYS)
def installed(
    request: pytest.FixtureRequest, stack: Stack, overlays_directory: Path, database_url: str
) -> Iterator[Installed]:
    """An overlay, applied over what it needs to find, and removed."""
    control_plane, directory = stack.control_plane, overlays_directory / request.param
    needed = _volume() if request.param == "trial" else _database(database_url)
    control_plane.apply(needed)
    if request.param == "production":
        control_plane.apply(SERVICE_MONITOR)
        control_plane.kubectl("wait", "--for=condition=Established", f"--filename={SERVICE_MONITOR}")
    objects = render(directory)
    control_plane.kubectl(
        "apply", "--server-side", "--validate=strict", "--warnings-as-errors", f"--kustomize={directory}"
    )
    yield Installed(request.param, objects)
    mine = [each for each in objects if each["kind"] not in OF_THE_STACK]
    _delete(stack, mine)
    control_plane.kubectl("wait", "--for=delete", "pods", "--all", f"--namespace={NAMESPACE}")
    control_plane.kubectl("delete", "persistentvolumeclaims", "--all", f"--namespace={NAMESPACE}")
    _delete(stack, [needed])


def _delete(stack: Stack, objects: list[dict[str, Any]]) -> None:
    listed = orjson.dumps({"apiVersion": "v1", "kind": "List", "items": objects}).decode()
    stack.control_plane.kubectl("delete", "--filename=-", stdin=listed)


def _volume() -> dict[str, Any]:
    """What a cluster's provisioner would make for Postgres."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "of-the-test"},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": "/nowhere"},
            "claimRef": {"namespace": NAMESPACE, "name": "data-processes-postgres-0"},
        },
    }


def _database(url: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "processes-database", "namespace": NAMESPACE},
        "stringData": {"url": url},
    }


async def running_pods(kube: Kube, name: str) -> list[dict[str, Any]]:
    """The Pods of that name label, once there are some and each is ready."""

    async def ready() -> list[dict[str, Any]] | None:
        found: list[dict[str, Any]] = (
            await kube.request("GET", f"{PODS}?labelSelector=app.kubernetes.io/name={name}")
        )["items"]
        conditions = [c for pod in found for c in pod["status"].get("conditions", ()) if c["type"] == "Ready"]
        return found if found and [c["status"] for c in conditions] == ["True"] * len(found) else None

    return list(await eventually(ready, 30))


async def test_pods_are_admitted_and_run(installed: Installed, kube: Kube) -> None:
    for workload in installed.workloads:
        for pod in await running_pods(kube, workload):
            assert pod["status"]["phase"] == "Running"


async def test_replicas_are_on_different_nodes(installed: Installed, stack: Stack, kube: Kube) -> None:
    stack.control_plane.kubectl("scale", "deployment/processes", "--replicas=2", f"--namespace={NAMESPACE}")

    async def two() -> list[dict[str, Any]] | None:
        pods = await running_pods(kube, "processes")
        return pods if len(pods) == 2 else None

    assert len({pod["spec"]["nodeName"] for pod in await eventually(two)}) == 2


BREAKS: dict[str, Callable[[Any, Any], Any]] = {
    "may run as root": lambda pod, container: pod["securityContext"].update(runAsNonRoot=False),
    "is root": lambda pod, container: pod["securityContext"].update(runAsUser=0),
    "has no seccomp profile": lambda pod, container: pod["securityContext"].pop("seccompProfile"),
    "keeps capabilities": lambda pod, container: container["securityContext"].pop("capabilities"),
    "may gain privileges": lambda pod, container: container["securityContext"].pop("allowPrivilegeEscalation"),
    "sees its node's files": lambda pod, container: pod["volumes"].append({"name": "node", "hostPath": {"path": "/"}}),
}


@pytest.mark.parametrize("broken", [None, *BREAKS])
async def test_pod_that_could_harm_its_node_is_refused(installed: Installed, kube: Kube, broken: str | None) -> None:
    for workload in installed.workloads:
        spec = (await running_pods(kube, workload))[0]["spec"]
        tried = kube.request("POST", f"{PODS}?dryRun=All", {"metadata": {"generateName": "tried-"}, "spec": spec})
        if broken is None:
            await tried
        else:
            BREAKS[broken](spec, spec["containers"][0])
            with pytest.raises(AssertionError, match=r"403 .*violates PodSecurity"):
                await tried


@dataclass
class Pod:
    """The service, run as the Pod would run it."""

    variables: dict[str, str]
    """As they are in the cluster."""
    contained: list[str]
    """What runs a command as in its container."""
    probes: dict[str, str]
    """Their URLs, by name."""
    api: str


@pytest.fixture(scope="module")
async def pod(
    installed: Installed, stack: Stack, kube: Kube, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Pod]:
    if hindrance := await asyncio.to_thread(kubelet.hindrance):
        # Many a container that tests are run in allows no namespaces inside it. Where it counts, that must not hide.
        (pytest.fail if os.environ.get("CI") else pytest.skip)(hindrance)
    manifest = (await running_pods(kube, "processes"))[0]
    (container,) = manifest["spec"]["containers"]
    variables = await kubelet.variables(kube, manifest, stack.control_plane.server)
    contained = kubelet.contained(manifest, await kubelet.volumes(kube, manifest, tmp_path_factory.mktemp("volumes")))
    with contextlib.closing(PortBlock()) as block:
        ports = {"http": block.take(), "management": block.take()}
        # KWOK learns of it by a watch, long before the process is ready.
        stack.control_plane.forward(NAMESPACE, {8080: ports["http"]})
        # What differs from the cluster: where it listens, and that names of Services mean nothing here.
        differing = {"HOST": "127.0.0.1", "MANAGEMENT_HOST": "127.0.0.1", "DATABASE_URL": database_url}
        differing |= {"PORT": str(ports["http"]), "MANAGEMENT_PORT": str(ports["management"])}
        process = await asyncio.create_subprocess_exec(
            *contained,
            *(sys.executable, "-m", "service", *container["args"]),
            env={"PATH": os.defpath, **variables, **differing},
            cwd="/",
        )
        probes = {
            name: f"http://127.0.0.1:{ports[probe['httpGet']['port']]}{probe['httpGet']['path']}"
            for name, probe in container.items()
            if name.endswith("Probe")
        }

        async def ready() -> bool:
            assert process.returncode is None
            return await answers(probes["readinessProbe"])

        try:
            await eventually(ready, 30)
            yield Pod(variables, contained, probes, f"http://127.0.0.1:{ports['http']}")
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def answers(url: str) -> bool:
    """Whether a probe of the URL succeeds."""
    with contextlib.suppress(aiohttp.ClientConnectorError):
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status == 200
    return False


async def test_process_of_the_pod_serves_reads(pod: Pod, kube: Kube, space: str, operator_token: str) -> None:
    """In-cluster configuration: the Pod's own token and the cluster's own authority, where a kubelet puts them."""
    app = str(uuid4())
    await kube.create(deployment("web", space, app))
    url = f"{pod.api}/v3/apps/{app}/processes"
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {operator_token}"}) as session:

        async def shown() -> list[str] | None:
            async with session.get(url) as response:
                if response.status == 404:
                    return None
                assert response.status == 200
                return [each["guid"] for each in (await response.json())["resources"]]

        assert await eventually(shown) == [guid_of(app, "web")]
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status == 401


async def test_port_forward_leads_to_the_process_and_links_lead_back(
    pod: Pod, stack: Stack, operator_token: str
) -> None:
    kubectl = [str(binaries.find_or_build() / "kubectl"), f"--kubeconfig={stack.kubeconfig}"]
    forwarding = await asyncio.create_subprocess_exec(
        *kubectl, f"--namespace={NAMESPACE}", "port-forward", "svc/processes", ":8080", stdout=PIPE
    )
    try:
        assert forwarding.stdout
        said = (await asyncio.wait_for(forwarding.stdout.readline(), 20)).decode()
        (url,) = re.findall(r"Forwarding from (127\.0\.0\.1:\d+) -> 8080", said)
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {operator_token}"}) as session,
            session.get(f"http://{url}/v3/processes") as response,
        ):
            assert response.status == 200
            assert (await response.json())["first"]["href"].startswith(f"http://{url}/v3/processes?")
    finally:
        forwarding.terminate()
        await forwarding.wait()


async def test_probes_of_the_pod_succeed(pod: Pod) -> None:
    assert pod.probes.keys() == {"startupProbe", "livenessProbe", "readinessProbe"}
    for url in pod.probes.values():
        assert await answers(url)


async def test_process_of_the_pod_can_write_no_file_and_is_not_root(pod: Pod) -> None:
    """It runs so: what the tests above have shown, they have shown without a file and without a right."""
    script = 'for d in / /tmp /var/tmp /dev/shm /run "$PWD"; do touch "$d/written" && exit 1; done; id -u; id -g'
    process = await asyncio.create_subprocess_exec(
        *pod.contained, "sh", "-c", f"{script}; grep CapEff /proc/self/status", stdout=PIPE, stderr=PIPE
    )
    out, err = await process.communicate()
    assert out.decode().split() == ["10001", "10001", "CapEff:", "0000000000000000"], err
    assert err.decode().count("Read-only file system") == 6


async def test_database_of_the_pod_is_the_overlays(installed: Installed, pod: Pod, database_url: str) -> None:
    assert (
        pod.variables["DATABASE_URL"]
        == {
            "trial": f"postgresql://processes:{PASSWORD}@processes-postgres:5432/processes",
            "production": database_url,
        }[installed.overlay]
    )
    assert "processes-postgres" in of_kind(installed.objects, "Service") or installed.overlay == "production"
