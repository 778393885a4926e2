"""`make fuzz`: a stack, a few apps, the service over them, and schemathesis asking whatever its document allows or not.

All of it on loopback, and gone afterwards. Ends with schemathesis' status: 0 when it has found nothing.
"""

import asyncio
import os
import signal
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import orjson

from deploy.local.errors import LocalStackError
from deploy.local.stack import Stack, local_stack
from tests.bench import programs
from tests.bench.programs import ProgramFailed, get, serving
from tests.support.kube import KEYS, Kube, deployment, eventually

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
SCHEMATHESIS = Path(__file__).parents[2] / ".venv-fuzz" / "bin" / "schemathesis"
LONGEST_S = 15 * 60
PODS = 20
"""Pods that the fuzzed apps may have, whatever they are scaled to."""
NAMESPACE = "fuzzed"


def _manifests(dictionaries: dict[str, Any]) -> list[dict[str, Any]]:
    """A process of each type for each app, of the GUIDs that the configuration names."""
    apps, types, guids = (dictionaries[name]["values"] for name in ("apps", "types", "processes"))
    named = zip([(app, each) for app in apps for each in types], guids, strict=True)
    probe = {"httpGet": {"path": "/healthz", "port": 8080}}
    return [
        deployment(
            f"app-{number}",
            NAMESPACE,
            app,
            process_type,
            labels={KEYS.process_guid: guid},
            replicas=2,
            ports=[{"containerPort": 8080}],
            livenessProbe=probe,
            readinessProbe=probe,
        )
        for number, ((app, process_type), guid) in enumerate(named)
    ]


async def _populate(kube: Kube) -> None:
    manifests = _manifests(tomllib.loads(CONFIGURATION.read_text())["dictionaries"])
    await kube.create_namespace(name=NAMESPACE)
    # A request to scale to two thousand million is one to be answered, and not one to be obeyed.
    quota = {"metadata": {"name": "pods"}, "spec": {"hard": {"pods": str(PODS)}}}
    await kube.request("POST", f"/api/v1/namespaces/{NAMESPACE}/resourcequotas", quota)
    for manifest in manifests:
        await kube.create(manifest)


async def _fuzz(stack: Stack, arguments: list[str]) -> int:
    kube = await Kube.of(str(stack.kubeconfig))
    try:
        await _populate(kube)
        token = await kube.token_of_new_user(cluster_roles=("processes-operator",))
    finally:
        await kube.close()
    environ = {
        "KUBECONFIG": str(stack.service_kubeconfig),
        "DATABASE_URL": await programs.create_database(stack.database_url),
        "REVIEW_TTL_S": "3600",
    }
    async with serving(stack.directory, environ) as service:

        async def running() -> bool:
            processes = orjson.loads(await get(f"{service.url}/v3/processes?embed=process_instances", token))
            states = [each["state"] for one in processes["resources"] for each in one["process_instances"]]
            return len(states) == 8 and set(states) == {"RUNNING"}

        await eventually(running, 60)
        return await _schemathesis(stack.directory, service.url, token, arguments)


async def _schemathesis(directory: Path, url: str, token: str, arguments: list[str]) -> int:
    process = await asyncio.create_subprocess_exec(
        SCHEMATHESIS,
        "--config-file",
        CONFIGURATION,
        "run",
        f"{url}/v3/openapi.json",
        *arguments,
        cwd=directory,
        env={**os.environ, "FUZZ_TOKEN": token, "SCHEMATHESIS_HOOKS": str(CONFIGURATION.with_name("hooks.py"))},
    )
    try:
        return await asyncio.wait_for(process.wait(), LONGEST_S)
    except TimeoutError:
        print(f"not done after {LONGEST_S} s", file=sys.stderr)
        return 1
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def main() -> int:
    if not SCHEMATHESIS.exists():
        print("schemathesis is not installed: run this with `make fuzz`", file=sys.stderr)
        return 1
    # Ended from outside, leave nothing behind either.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as directory, local_stack(Path(directory), nodes=1) as stack:
            return asyncio.run(_fuzz(stack, sys.argv[1:]))
    except (LocalStackError, ProgramFailed) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
