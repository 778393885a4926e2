"""What tests of faults have in common: a relay in front of Kubernetes, and a stack whose parts may be taken away."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.local.stack import Stack
from service.settings import Settings
from tests.conftest import new_database
from tests.support.kube import Kube
from tests.support.proxy import Relay, relaying


@pytest.fixture
async def relay(stack: Stack, tmp_path: Path) -> AsyncIterator[Relay]:
    """For a replica that is to reach Kubernetes through it."""
    async with relaying(stack.service_kubeconfig, tmp_path) as started:
        yield started


@pytest.fixture
async def fragile_kube(fragile_stack: Stack, fragile_kube: Kube) -> Kube:
    """Its controllers are at work, whatever the test before has taken away."""
    try:
        await fragile_kube.controllers_work(within_s=3)
    except AssertionError:
        await asyncio.to_thread(fragile_stack.control_plane.restart_controllers)
        await fragile_kube.controllers_work()
    return fragile_kube


@pytest.fixture
async def fragile_settings(fragile_stack: Stack) -> AsyncIterator[Settings]:
    """Of a service over the fragile stack, with a database of its own."""
    async with new_database(fragile_stack.database_url) as url:
        yield Settings(
            database_url=url,
            kubeconfig=str(fragile_stack.service_kubeconfig),
            port=0,
            review_ttl_s=0.2,
            kube_timeout_s=5,
        )
