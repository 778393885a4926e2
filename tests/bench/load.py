"""Load by wrk, bounded in connections and time, and comparisons made side by side.

The machine is shared and its speed changes from one second to the next: what is compared is measured in turns,
A, B, B, A, A, B, …, and the medians of the turns are what counts.
"""

import asyncio
import contextlib
import statistics
import tempfile
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

CONNECTIONS = 8
_LONGEST_ANSWER_S = 10


class LoadFailed(Exception):
    """Requests were not answered with a 2xx: what was measured says nothing."""


@dataclass(frozen=True)
class Target:
    """Requests of `paths` in turn, at `base`, with the token where one is given."""

    base: str
    paths: Sequence[str]
    token: str | None = field(default=None, repr=False)
    hosts: int = 1
    """Under so many names of this host, in turn."""
    method: str = "GET"
    bodies: Sequence[bytes] = field(default=(), repr=False)
    """JSON, one for each path; none: no request has any."""
    content_type: str = "application/json"


@dataclass(frozen=True)
class Sample:
    per_s: float
    p50_ms: float
    p99_ms: float
    requests: int
    """How many there were in all."""


_Name = TypeVar("_Name", bound=Hashable)

# Requests are put together before the clock starts. A script, not the command line, as that is everyone's to read.
_SCRIPT = """
local paths, bodies = {%s}, {%s}
local requests, turn = {}, 0
function init(args)
  local method, headers, hosts = "%s", {%s}, %d
  for i, path in ipairs(paths) do
    if hosts > 1 then headers["Host"] = "localhost:" .. 1000 + i %% hosts end
    requests[i] = wrk.format(method, path, headers, bodies[i])
  end
end
function request()
  turn = turn %% #requests + 1
  return requests[turn]
end
function done(summary, latency)
  local errors = summary.errors
  local broken = errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format("\\n%%d %%d %%d %%d %%d %%d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), errors.status, broken))
end
"""


async def wrk(target: Target, seconds: int, connections: int = CONNECTIONS) -> Sample:
    """One measurement. Raises LoadFailed."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_script(target))
        script.flush()
        options = ["-t1", f"-c{connections}", f"-d{seconds}s", f"--timeout={_LONGEST_ANSWER_S}s", "-s", script.name]
        process = await asyncio.create_subprocess_exec(
            "wrk", *options, target.base, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        try:
            printed = (await process.communicate())[0].decode()
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
    if process.returncode:
        raise LoadFailed(f"wrk: {printed.strip()}")
    requests, duration_us, p50_us, p99_us, refused, broken = map(int, printed.split()[-6:])
    if not requests and not refused and not broken and seconds < _LONGEST_ANSWER_S:
        # On a busy machine, or for a large answer, it was too short a time.
        return await wrk(target, _LONGEST_ANSWER_S, connections)
    if not requests or refused or broken:
        what = f"{target.method} {target.base}{target.paths[0]}" + (" and others" if len(target.paths) > 1 else "")
        raise LoadFailed(f"{what}: of {requests} requests {refused} were refused, {broken} broke off")
    return Sample(requests / duration_us * 1e6, p50_us / 1000, p99_us / 1000, requests)


def _script(target: Target) -> str:
    paths = ",".join(f'"{path}"' for path in target.paths)
    bodies = ",".join(f"[==[{body.decode()}]==]" for body in target.bodies)
    headers = [f'["Host"]="{target.base.partition("//")[2]}"']
    if target.token:
        headers.append(f'["Authorization"]="Bearer {target.token}"')
    if target.bodies:
        headers.append(f'["Content-Type"]="{target.content_type}"')
    return _SCRIPT % (paths, bodies, target.method, ",".join(headers), target.hosts)


async def in_turns(
    targets: Mapping[_Name, Target], seconds: int, rounds: int, connections: int = CONNECTIONS
) -> dict[_Name, Sample]:
    """The medians of `rounds` measurements of each target, made in turns. Raises LoadFailed."""
    samples: dict[_Name, list[Sample]] = {name: [] for name in targets}
    order = list(targets.items())
    for _ in range(rounds):
        for name, target in order:
            samples[name].append(await wrk(target, seconds, connections))
        # What one leaves to be done is not always left to the same other.
        order.reverse()
    return {name: median(taken) for name, taken in samples.items()}


def median(taken: Sequence[Sample]) -> Sample:
    """Of each figure the median; of the requests, all there were."""
    return Sample(
        statistics.median(s.per_s for s in taken),
        statistics.median(s.p50_ms for s in taken),
        statistics.median(s.p99_ms for s in taken),
        sum(s.requests for s in taken),
    )
