"""Kubernetes' client library as the service imports it: without its models, and with all of it for who asks.

Each test is a Python of its own: what is imported once stays.
"""

import asyncio
import sys

import pytest


async def run(program: str) -> str:
    """What a Python prints that runs this."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    printed, complained = await process.communicate()
    assert process.returncode == 0, complained.decode()
    return printed.decode().strip()


LOADED = 'sum(name.startswith("kubernetes_asyncio.client.models.") for name in sys.modules)'


async def test_the_service_loads_none_of_the_models() -> None:
    assert await run(f"import sys, service.__main__, service.app; print({LOADED})") == "0"


@pytest.mark.parametrize(
    "asked",
    [
        "from kubernetes_asyncio.client import V1Pod as found",
        "import kubernetes_asyncio.client.models; found = kubernetes_asyncio.client.models.V1Pod",
        "import kubernetes_asyncio; found = kubernetes_asyncio.client.CoreV1Api",
        "from kubernetes_asyncio import watch; found = watch.Watch",
        "import kubernetes_asyncio; found = kubernetes_asyncio.__version__",
        "import kubernetes_asyncio; found = kubernetes_asyncio.stream",
        "from kubernetes_asyncio.client import *; found = V1Deployment",
        "from kubernetes_asyncio.client.models.v1_pod import V1Pod as found",
        "import kubernetes_asyncio; found = kubernetes_asyncio.config.load_kube_config",
    ],
)
async def test_whoever_asks_for_anything_else_of_it_finds_it(asked: str) -> None:
    ours = "import service.cluster.kubernetes_client as ours"
    same = "import kubernetes_asyncio.client as theirs; print(theirs.Configuration is ours.Configuration)"
    shown = "print(getattr(found, '__name__', found))"
    assert await run(f"{ours}; {asked}; {shown}; {same}") == f"{await run(f'{asked}; {shown}')}\nTrue"


async def test_what_it_does_not_have_is_an_error_as_ever() -> None:
    for asked in ("client.Nothing", "nothing", "client.models.Nothing"):
        program = f"import service.cluster.kubernetes_client, kubernetes_asyncio\ntry: kubernetes_asyncio.{asked}"
        assert await run(f"{program}\nexcept AttributeError: print('none')") == "none"


async def test_who_has_imported_all_of_it_before_keeps_it() -> None:
    before = "import sys, kubernetes_asyncio.client as theirs"
    printed = await run(f"{before}; import service.cluster.kubernetes_client as ours; print(theirs.V1Pod.__name__)")
    assert printed == "V1Pod"
