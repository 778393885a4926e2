"""`cloudfoundry-client` from PyPI, unchanged, against the service."""

import asyncio
from typing import Any

import pytest
from cloudfoundry_client.client import CloudFoundryClient

from tests.support.api import Api
from tests.support.apps import MakeApp
from tests.support.kube import guid_of


@pytest.fixture
async def client(api: Api) -> Any:
    """The client, given a token instead of a login. It blocks, so it works in threads."""

    def make() -> Any:
        made = CloudFoundryClient(api.url)
        made._access_token = api.token
        return made

    return await asyncio.to_thread(make)


async def test_lists_all_pages(client: Any, make_app: MakeApp) -> None:
    apps = [await make_app("web", "worker") for _ in range(3)]
    pages = await asyncio.to_thread(
        lambda: [process["guid"] for process in client.v3.processes.list(app_guids=apps, per_page=2)]
    )
    assert sorted(pages) == sorted(guid_of(app, t) for app in apps for t in ("web", "worker"))


async def test_gets_one_process(client: Any, make_app: MakeApp) -> None:
    guid = guid_of(await make_app("web"), "web")
    process = await asyncio.to_thread(client.v3.processes.get, guid)
    assert (process["guid"], process["type"], process["instances"]) == (guid, "web", 0)
