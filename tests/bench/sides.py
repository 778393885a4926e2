"""The service beside kube-apiserver: one cluster, one caller, and requests of both with the caller's token."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from deploy.local.stack import Stack
from tests.bench import population, programs
from tests.bench.load import Target
from tests.bench.programs import Service
from tests.support.kube import Kube

DEPLOYMENTS = "/apis/apps/v1/deployments"
_CREATORS = 32


@dataclass(frozen=True)
class Sides:
    stack: Stack
    kube: Kube
    token: str
    """Of someone who may do everything in every space."""
    environ: dict[str, str]
    """Of a service of this cluster, with a database of its own."""
    seconds: int
    """Of one measurement."""

    def ours(self, service: Service, *paths: str, method: str = "GET", bodies: Iterable[bytes] = ()) -> Target:
        return Target(service.url, paths, self.token, method=method, bodies=tuple(bodies))

    def theirs(self, *paths: str) -> Target:
        return Target(self.stack.control_plane.server, paths, self.token)


@asynccontextmanager
async def sides(stack: Stack, seconds: int) -> AsyncIterator[Sides]:
    """Of a stack; nothing runs in it yet."""
    kube = await Kube.of(str(stack.kubeconfig))
    try:
        environ = {
            "KUBECONFIG": str(stack.service_kubeconfig),
            "DATABASE_URL": await programs.create_database(stack.database_url),
        }
        yield Sides(stack, kube, await kube.token_of_new_user(cluster_roles=("processes-operator",)), environ, seconds)
    finally:
        await kube.close()


async def populate(kube: Kube, namespaces: int, manifests: Iterable[dict[str, Any]]) -> None:
    """Create the first so many namespaces of the population, and the Deployments."""
    for number in range(namespaces):
        name = f"space-{number:04}"
        await kube.create_namespace(population.namespace_labels(name), name)
    pending = iter(manifests)

    async def create() -> None:
        for manifest in pending:
            await kube.create(manifest)

    await asyncio.gather(*(create() for _ in range(_CREATORS)))


def deployment_path(n: int, namespaces: int) -> str:
    """Of the n-th process, at kube-apiserver."""
    meta = population.manifest(n, namespaces)["metadata"]
    return f"/apis/apps/v1/namespaces/{meta['namespace']}/deployments/{meta['name']}"
