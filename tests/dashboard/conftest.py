"""A browser, and people with their tokens in it."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright

from service.settings import Settings
from tests.support.api import Api, running
from tests.support.apps import MakeApp
from tests.support.kube import Kube

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 10_000

OpenPage = Callable[..., Awaitable[Page]]

__all__ = ["MakeApp", "OpenPage"]


@pytest.fixture(scope="module")
def settings(settings: Settings) -> Settings:
    """As everywhere, with a key for sessions."""
    return replace(settings, session_secret=("a secret of the dashboard's own tests",))


@pytest.fixture(scope="module")
async def api(settings: Settings, operator_token: str) -> AsyncIterator[Api]:
    async with running(settings, token=operator_token) as served:
        yield served


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    if not Path(CHROMIUM).exists():
        leave_out = pytest.fail if os.environ.get("REQUIRE_ALL") == "1" else pytest.skip
        leave_out(f"{CHROMIUM} is needed to look at pages: apt-get install chromium")
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield started
        await started.close()


@pytest.fixture
async def open_page(browser: Browser, api: Api) -> AsyncIterator[OpenPage]:
    """Opens a page in a browser of somebody's own, who signs in if there is a token.

    Fails in the end if a page has complained: of an error of its script, of a violation of its policy.
    """
    complaints: list[str] = []
    contexts = []

    def hear(message: ConsoleMessage) -> None:
        # That a request was refused is said here too, and is what some tests are about.
        if message.type in ("error", "warning") and "the server responded with a status of 4" not in message.text:
            complaints.append(message.text)

    async def open_(token: str | None = None, *, script: bool = True, width: int = 1280) -> Page:
        context = await browser.new_context(
            base_url=api.url,
            java_script_enabled=script,
            viewport={"width": width, "height": 900},
        )
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = await context.new_page()
        page.on("console", hear)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        if token is not None:
            # As the form does, without the time it takes to draw it.
            same = {"Sec-Fetch-Site": "same-origin"}
            await context.request.post("/ui/sign-in", form={"token": token}, headers=same, max_redirects=0)
            await page.goto("/")
        return page

    yield open_
    for context in contexts:
        await context.close()
    assert not complaints


@pytest.fixture
async def viewer_token(kube: Kube, space: str) -> str:
    """Of someone who may read the test's own space, and change nothing."""
    return await kube.token_of_new_user(cluster_roles=("processes-api",), roles_in={space: "processes-reader"})
