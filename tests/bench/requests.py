"""How many requests each operation costs kube-apiserver, by its own count."""

import re
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from service.model.guids import process_guid
from tests.bench.programs import ProgramFailed, Service, get
from tests.bench.report import Row
from tests.bench.sides import Sides
from tests.support.kube import deployment, eventually

_TIMES = 20
"""How often each is done, each time to another process."""
_SPACE = "space-0000"
# Of everything else that goes on in the cluster, none of these: Pods here are not deleted before their delay is over.
_OURS = frozenset(
    (verb, resource)
    for resource in ("deployments", "pods", "tokenreviews", "subjectaccessreviews")
    for verb in ("GET", "LIST", "PATCH", "DELETE", "POST")
    if (verb, resource) not in (("POST", "pods"), ("POST", "deployments"))
)
_METRICS = ("LIST", "pods.metrics.k8s.io")


@dataclass(frozen=True)
class _Operation:
    what: str
    method: str
    path: str
    """With the process's GUID for `%s`."""
    document: Any = None
    allowed: frozenset[tuple[str, str]] | None = None
    """What it may ask for, once each; None: the design says nothing."""


_LABELS = {"metadata": {"labels": {"release": "next"}}}
_OPERATIONS = (
    _Operation("a list", "GET", "/v3/processes", allowed=frozenset()),
    _Operation("a process", "GET", "/v3/processes/%s", allowed=frozenset()),
    _Operation("a list with instances", "GET", "/v3/processes?embed=process_instances", allowed=frozenset()),
    _Operation("stats", "GET", "/v3/processes/%s/stats", allowed=frozenset((_METRICS,))),
    _Operation("a scale", "POST", "/v3/processes/%s/actions/scale", {"instances": 2}),
    _Operation("a PATCH of the command", "PATCH", "/v3/processes/%s", {"command": "exec a"}),
    _Operation("a PATCH of command and metadata", "PATCH", "/v3/processes/%s", {"command": "exec b", **_LABELS}),
    _Operation("a PATCH of metadata", "PATCH", "/v3/processes/%s", {"metadata": {"labels": {"release": "last"}}}),
    _Operation("a termination", "DELETE", "/v3/processes/%s/instances/0"),
)


async def counted(bench: Sides, service: Service) -> AsyncIterator[Row]:
    """Findings, each as soon as it is made. Needs a node."""
    apps = [f"{n:08x}-c0de-4000-8000-000000000000" for n in range(_TIMES + 1)]
    for n, app in enumerate(apps):
        await bench.kube.create(_long_lived(f"counted-{n}", app))
    guids = [process_guid(_SPACE, app, "web") for app in apps]
    headers = {"Authorization": f"Bearer {bench.token}"}
    async with aiohttp.ClientSession(service.url, headers=headers) as session:

        async def all_run() -> bool:
            stats = [await _ask(session, "GET", f"/v3/processes/{guid}/stats") for guid in guids]
            return all(b'"RUNNING"' in body for body in stats)

        await eventually(all_run, 60)
        for n in range(len(apps)):
            # No rollout is to follow, which would delete Pods.
            await bench.kube.patch(_SPACE, f"counted-{n}", {"spec": {"paused": True}})
        for operation in _OPERATIONS:
            yield await _row(bench, service, session, operation, guids)


def _long_lived(name: str, app: str) -> dict[str, Any]:
    manifest = deployment(name, _SPACE, app, replicas=1)
    manifest["spec"]["template"]["metadata"]["annotations"] = {"local-stack/stop-delay-s": "3600"}
    return manifest


async def _row(
    bench: Sides, service: Service, session: aiohttp.ClientSession, operation: _Operation, guids: list[str]
) -> Row:
    async def do(guid: str) -> None:
        path = operation.path.replace("%s", guid)
        await _ask(session, operation.method, path, operation.document)

    # Once uncounted, for what is asked about a caller and then remembered.
    await do(guids[0])
    before = await _requests(bench, service)
    for guid in guids[1:]:
        await do(guid)
    asked = await _requests(bench, service) - before
    each = {request: count / _TIMES for request, count in sorted(asked.items())}
    measured = ", ".join(f"{count:g} {verb} of {resource}" for (verb, resource), count in each.items()) or "none"
    what = f"requests to kube-apiserver for {operation.what}"
    if operation.allowed is None:
        return Row(what, measured)
    # One in twenty is somebody else's.
    met = all(count <= (request in operation.allowed) + 0.1 for request, count in each.items())
    return Row(what, measured, bar=f"≤ {len(operation.allowed)}", met=met)


async def _requests(bench: Sides, service: Service) -> Counter[tuple[str, str]]:
    counts = {request: n for request, n in (await bench.kube.requests_by_verb()).items() if request in _OURS}
    # kube-apiserver does not count what it only passes on, to metrics-server: there the service's own count.
    metrics = (await get(f"{service.management_url}/metrics")).decode()
    passed = re.findall(r'kube_requests_total\{[^}]*resource="pods\.metrics\.k8s\.io"[^}]*\} (\S+)', metrics)
    return Counter(counts) + Counter({_METRICS: sum(int(float(value)) for value in passed)})


async def _ask(session: aiohttp.ClientSession, method: str, path: str, document: Any = None) -> bytes:
    data = None if document is None else orjson.dumps(document)
    async with session.request(method, path, data=data, headers={"Content-Type": "application/json"}) as response:
        body = await response.read()
        if response.status >= 300:
            raise ProgramFailed(f"{method} {path}: {response.status} {body[:500]!r}")
        return body
