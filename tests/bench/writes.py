"""Changes of processes, beside the same patches made directly with the same token.

The Deployments are paused: Kubernetes stores what is asked of them and makes no Pods, so that what is compared is the
write and not the rollout that follows it.
"""

import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import msgspec
import orjson

from deploy.local.stack import Stack
from service.api.resources.processes.bodies import parse_scale, parse_update
from service.cluster.workloads import PATCH_QUERY, STRATEGIC_MERGE
from service.model.changes import Change
from service.model.derive import derive_workload
from service.model.guids import process_guid
from service.model.manifests import Deployment
from service.model.snapshots import Snapshot
from tests.bench import population, requests
from tests.bench.load import CONNECTIONS, Sample, Target, in_turns, wrk
from tests.bench.programs import Service, serving
from tests.bench.report import Row, compared
from tests.bench.sides import Sides, deployment_path, populate, sides
from tests.support.kube import KEYS

COUNT, NAMESPACES, NODES = 400, 10, 1
"""So many processes are changed in turn: no two clients are at the same one, and each has settled when it is due."""
_TURNS = 5
"""How often each process is due before a measurement repeats itself."""
_ROUNDS = 9
_ONE_STORE, _BOTH_STORES = 1.3, 1.8


@dataclass(frozen=True)
class _Kind:
    """A kind of change; `document` makes a body of it that no other is like."""

    what: str
    method: str
    action: str
    document: Callable[[random.Random], dict[str, Any]]
    parse: Callable[[object], Change]
    bar: float


def _instances(chance: random.Random) -> dict[str, Any]:
    return {"instances": chance.randrange(1 << 30)}


def _command_and_check(chance: random.Random) -> dict[str, Any]:
    data = {"timeout": chance.randrange(1, 181), "invocation_timeout": chance.randrange(1, 1 << 30)}
    return {"command": f"exec bin/serve {chance.getrandbits(64)}", "health_check": {"type": "http", "data": data}}


def _with_metadata(chance: random.Random) -> dict[str, Any]:
    return {**_command_and_check(chance), "metadata": {"labels": {"release": f"r{chance.getrandbits(64)}"}}}


def _parse_update(document: object) -> Change:
    return parse_update(document, {})


_KINDS = (
    _Kind("scale (instances)", "POST", "/actions/scale", _instances, parse_scale, _ONE_STORE),
    _Kind("PATCH of command and health_check", "PATCH", "", _command_and_check, _parse_update, _ONE_STORE),
    _Kind("PATCH of both and metadata (two stores)", "PATCH", "", _with_metadata, _parse_update, _BOTH_STORES),
)


async def measure(stack: Stack, seconds: int) -> AsyncIterator[Row]:
    """Findings, each as soon as it is made."""
    async with sides(stack, seconds) as bench:
        await populate(bench.kube, NAMESPACES, (paused(n) for n in range(COUNT)))
        snapshot = await _snapshot(bench)
        # Reviews are not what is counted here, and none is to expire meanwhile.
        async with serving(stack.directory, {**bench.environ, "REVIEW_TTL_S": "3600"}) as service:
            for kind in _KINDS:
                targets = {"ours": _ours(bench, service, kind), "theirs": _theirs(bench, snapshot, kind)}
                await _write_each(targets["ours"], seconds)
                for connections in (1, CONNECTIONS):
                    samples = await in_turns(targets, seconds, _ROUNDS, connections)
                    yield _row(kind, connections, samples["ours"], samples["theirs"])
            async for row in requests.counted(bench, service):
                yield row


async def _write_each(target: Target, seconds: int) -> None:
    """Write each process at least once: that makes its row, and all later writes find one."""
    while (await wrk(target, seconds)).requests < COUNT:
        seconds *= 2


def paused(n: int) -> dict[str, Any]:
    """The n-th process, which gets no Pods."""
    manifest = population.manifest(n, NAMESPACES)
    manifest["spec"]["paused"] = True
    return manifest


def guid(n: int) -> str:
    return process_guid(population.namespace(n, NAMESPACES), population.app_guid(n), population.process_type(n))


async def _snapshot(bench: Sides) -> Snapshot:
    """A Deployment to make patches for: those of the others are the same."""
    found = await bench.kube.request("GET", deployment_path(0, NAMESPACES))
    return Snapshot(derive_workload(msgspec.json.decode(orjson.dumps(found), type=Deployment), KEYS), found, 0, KEYS)


def _documents(kind: _Kind, seed: str) -> Sequence[tuple[int, dict[str, Any]]]:
    chance = random.Random(seed)
    return [(n, kind.document(chance)) for _ in range(_TURNS) for n in range(COUNT)]


def _ours(bench: Sides, service: Service, kind: _Kind) -> Target:
    documents = _documents(kind, "ours")
    return Target(
        service.url,
        [f"/v3/processes/{guid(n)}{kind.action}" for n, _ in documents],
        bench.token,
        method=kind.method,
        bodies=[orjson.dumps(document) for _, document in documents],
    )


def _theirs(bench: Sides, snapshot: Snapshot, kind: _Kind) -> Target:
    """What the service would send, but for the guard: whoever patches by hand names no version."""
    documents = _documents(kind, "theirs")
    patches = (kind.parse(document).patch(snapshot) for _, document in documents)
    return Target(
        bench.stack.control_plane.server,
        [f"{deployment_path(n, NAMESPACES)}?{urlencode(PATCH_QUERY)}" for n, _ in documents],
        bench.token,
        method="PATCH",
        bodies=[orjson.dumps({"metadata": {"annotations": p.annotations}, "spec": p.spec}) for p in patches],
        content_type=STRATEGIC_MERGE,
    )


def _row(kind: _Kind, connections: int, ours: Sample, theirs: Sample) -> Row:
    clients = "1 client" if connections == 1 else f"{connections} clients, different processes"
    return compared(
        f"{kind.what}, {clients}: p50",
        f"{ours.p50_ms:.1f} ms, p99 {ours.p99_ms:.0f} ms, {ours.per_s:,.0f}/s",
        f"the same patch at kube-apiserver: {theirs.p50_ms:.1f} ms, p99 {theirs.p99_ms:.0f} ms, {theirs.per_s:,.0f}/s",
        ours.p50_ms / theirs.p50_ms,
        at_most=kind.bar,
    )
