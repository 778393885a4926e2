"""Usage of simulated Pods, from the real metrics-server; and that it lives as long as its stack and no longer."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from deploy.local.errors import LocalStackError
from deploy.local.processes import MARKER, wait_until
from deploy.local.stack import Stack, local_stack
from service.model.quantity import parse_quantity
from tests.support.kube import Kube, deployment, eventually

REPOSITORY = Path(__file__).parents[2]
PATH = "/apis/metrics.k8s.io/v1beta1"
FIGURES_S = 60.0

OWNER = """
import sys
from pathlib import Path
from deploy.local.stack import local_stack
with local_stack(Path(sys.argv[1]), nodes=1, metrics=True):
    print("started", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module", autouse=True)
async def busy_space(kube: Kube) -> AsyncIterator[str]:
    """A namespace with Pods that have figures, or ought to have none; made first, as figures take their time."""
    space = await kube.create_namespace()
    usage = {"kwok.x-k8s.io/usage-cpu": "250m", "kwok.x-k8s.io/usage-memory": "96Mi"}
    sidecar = {"local-stack/usage-cpu.proxy": "8m", "local-stack/usage-memory.proxy": "5Mi"}
    for name, annotations in {
        "busy": usage | sidecar,
        "varying": usage | {"local-stack/usage-jitter": "0.5"},
        "crashing": usage | {"local-stack/crash-message": "out of luck"},
        "quiet": {},
    }.items():
        manifest = deployment(name, space, "app", replicas=1)
        manifest["spec"]["template"]["metadata"]["annotations"] = annotations
        manifest["spec"]["template"]["spec"]["containers"].append({"name": "proxy", "image": "registry.test/proxy:1"})
        await kube.create(manifest)
    yield space
    await kube.delete_namespace(space)


def test_metrics_server_outlives_kube_apiserver_heals_and_ends_with_its_stack(tmp_path: Path) -> None:
    with local_stack(tmp_path, nodes=1, metrics=True) as stack:
        control_plane = stack.control_plane
        assert "metrics-server" in programs_of(tmp_path)
        control_plane.stop_apiserver()
        control_plane.start_apiserver()

        def is_served() -> bool:
            try:
                return bool(control_plane.kubectl("get", "--raw", f"{PATH}/pods"))
            except LocalStackError:
                return False

        assert wait_until(is_served, 30)
        control_plane.stop_metrics_server()
        assert "metrics-server" not in programs_of(tmp_path)
        assert not is_served()
        control_plane.start_metrics_server()
        assert is_served()
    assert programs_of(tmp_path) == set()


def test_stack_whose_owner_was_killed_ends(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with owner:
        assert owner.stdout
        assert owner.stdout.readline() == b"started\n"
        assert {"kube-apiserver", "metrics-server", "postgres"} <= programs_of(tmp_path)
        owner.send_signal(signal.SIGKILL)
    assert wait_until(lambda: programs_of(tmp_path) == set(), 30)


def programs_of(directory: Path) -> set[str]:
    """Of all processes that belong to the stack there; their first 15 letters."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environ = (process / "environ").read_bytes()
            name = (process / "comm").read_text().strip()
        except OSError:
            continue
        if f"{MARKER}={directory}".encode() in environ.split(b"\0"):
            found.add(name)
    return found


async def test_running_pods_have_the_figures_they_are_annotated_with(stack: Stack, busy_space: str) -> None:
    async def figures(name: str) -> dict[str, tuple[float, int]]:
        """CPU in cores and memory in bytes by container, as the service's own account may ask for them."""
        path = f"{PATH}/namespaces/{busy_space}/pods?labelSelector=test%3D{name}"
        account = "--as=system:serviceaccount:processes:processes"
        answer = orjson.loads(await asyncio.to_thread(stack.control_plane.kubectl, "get", "--raw", path, account))
        return {
            container["name"]: (
                int(container["usage"]["cpu"].removesuffix("n")) / 1e9,
                parse_quantity(container["usage"]["memory"]),
            )
            for pod in answer["items"]
            for container in pod["containers"]
        }

    async def busy() -> dict[str, tuple[float, int]]:
        return await figures("busy")

    by_container = await eventually(busy, FIGURES_S)
    assert by_container["application"] == (pytest.approx(0.25, rel=0.05), 96 * 2**20)
    assert by_container["proxy"] == (pytest.approx(0.008, rel=0.2), 5 * 2**20)
    cpu, memory = (await figures("varying"))["application"]
    assert 0.12 < cpu < 0.38
    assert memory != 96 * 2**20
    assert abs(memory / 2**20 - 96) <= 96 * 0.5 / 4
    assert await figures("crashing") == {}
    assert await figures("quiet") == {}
