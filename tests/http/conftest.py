from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from service.settings import Settings
from tests.support.api import Api, running
from tests.support.ready_answers import LASTING_S


@pytest.fixture
async def lasting(settings: Settings, operator_token: str) -> AsyncIterator[Api]:
    """A service in which reviews are not what ends an answer."""
    async with running(replace(settings, review_ttl_s=LASTING_S), token=operator_token) as served:
        yield served
