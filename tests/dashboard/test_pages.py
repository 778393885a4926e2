"""The pages as people use them, in a real browser."""

import asyncio
import re
from uuid import uuid4

import jinja2
import pytest
from playwright.async_api import Page, expect

from service.dashboard import routes
from service.health import Health
from service.settings import Settings
from tests.dashboard.conftest import MakeApp, OpenPage
from tests.support.api import Api, running
from tests.support.kube import Kube, deployment, eventually, guid_of


async def names(page: Page) -> list[str]:
    """Of the processes on a page, in order."""
    return await page.locator("table.list tbody th a").all_text_contents()


async def test_signs_in_and_out(api: Api, open_page: OpenPage, operator_token: str) -> None:
    page = await open_page()
    await page.goto("/?types=web")
    await expect(page).to_have_url(re.compile(r"/ui/sign-in\?next="))
    await expect(page.get_by_text("kubectl create token NAME --namespace NS --duration 8h")).to_be_visible()
    await page.get_by_label("Token").fill("not.a.token")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("Invalid Auth Token")
    assert "not.a.token" not in await page.content()

    await page.get_by_label("Token").fill(f" Bearer {operator_token[:40]} \n{operator_token[40:]}")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page).to_have_url(f"{api.url}/?types=web")
    await expect(page.get_by_role("heading", name="Processes", level=1)).to_be_visible()
    (cookie,) = await page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["secure"]) == (True, "Strict", False)
    assert operator_token not in cookie["value"]
    assert operator_token not in await page.content()

    await page.get_by_role("button", name="Sign out").click()
    await expect(page).to_have_url(f"{api.url}/ui/sign-in")
    assert await page.context.cookies() == []


async def test_nobody_waits_for_a_template_to_be_compiled(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError

    # As in a process that has just started.
    routes._environment.cache_clear()
    async with running(settings) as served:
        monkeypatch.setattr(jinja2.Environment, "compile", fail)
        assert (await served.get("/ui/sign-in")).status == 200
        assert (await served.get("/ui/nowhere")).status == 404


async def test_finds_filters_sorts_and_pages(
    api: Api, kube: Kube, space: str, make_app: MakeApp, open_page: OpenPage, operator_token: str
) -> None:
    first, second = await make_app("web", "worker"), await make_app("web")
    await api.patch(f"/v3/apps/{second}/processes/web", {"metadata": {"labels": {"tier": "front"}}})
    page = await open_page(operator_token)
    await page.get_by_label("Find").fill(f"{space} WORKER")
    await page.get_by_role("button", name="Filter").click()
    await expect(page).to_have_url(re.compile(r"/\?q=\S+worker", re.IGNORECASE))
    assert await names(page) == [f"worker-{first}"]

    await page.goto("/")
    await page.get_by_label("Space").select_option(label=space)
    await page.get_by_label("Types").fill("web")
    await page.get_by_role("button", name="Filter").click()
    await expect(page).to_have_url(f"{api.url}/?types=web&space_guids={space}")
    oldest = await api.guids(f"/v3/processes?space_guids={space}&types=web")
    in_order = [f"web-{app}" for app in sorted((first, second), key=lambda app: oldest.index(guid_of(app, "web")))]
    assert await names(page) == in_order
    created = page.get_by_role("columnheader", name="Created")
    await expect(created).to_have_attribute("aria-sort", "ascending")
    await created.get_by_role("link").click()
    await expect(created).to_have_attribute("aria-sort", "descending")
    assert await names(page) == in_order[::-1]

    await page.get_by_label("Label selector").fill("tier in (front)")
    await page.get_by_role("button", name="Filter").click()
    await expect(page).to_have_url(re.compile("label_selector=tier"))
    assert await names(page) == [f"web-{second}"]

    await page.goto(f"/?per_page=2&space_guids={space}")
    await expect(page.get_by_text("1–2 of 3 processes")).to_be_visible()
    await page.get_by_role("link", name="Next").click()
    await expect(page.get_by_text("Page 2 of 2")).to_be_visible()
    assert len(await names(page)) == 1
    await page.goto(f"/?page=7&per_page=2&space_guids={space}")
    await page.get_by_role("link", name="To the last page").click()
    assert len(await names(page)) == 1


async def test_bad_parameter_shows_the_apis_own_words(api: Api, open_page: OpenPage, operator_token: str) -> None:
    page = await open_page(operator_token)
    for query in ("order_by=size", "label_selector=a==b==c", "page=0", "nonsense=1"):
        reply = await page.goto(f"/?{query}")
        assert reply is not None
        assert reply.status == 400
        detail = (await api.get(f"/v3/processes?{query}")).json["errors"][0]["detail"]
        await expect(page.get_by_role("alert")).to_contain_text(detail)


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
async def test_scales_and_terminates_once_confirmed(
    api: Api, make_app: MakeApp, open_page: OpenPage, operator_token: str, script: bool
) -> None:
    guid = guid_of(await make_app("web", replicas=1), "web")
    page = await open_page(operator_token, script=script)
    await page.goto(f"/ui/processes/{guid}")
    await page.get_by_role("textbox", name="Instances").fill("2")
    await page.get_by_role("button", name="Review the change").click()
    await expect(page.get_by_role("row", name="Instances 1 2")).to_be_visible()
    assert (await api.get(f"/v3/processes/{guid}")).json["instances"] == 1
    await page.get_by_role("button", name="Scale").click()
    await expect(page.get_by_role("status").filter(has_text="Scaled.")).to_be_visible()
    assert (await api.get(f"/v3/processes/{guid}")).json["instances"] == 2

    async def both_run() -> bool:
        return [i["state"] for i in (await api.get(f"/v3/processes/{guid}/stats")).json["resources"]] == ["RUNNING"] * 2

    await eventually(both_run)
    former = (await api.get(f"/v3/processes/{guid}/stats")).json["resources"][1]["instance_guid"]
    await page.goto(f"/ui/processes/{guid}")
    await page.get_by_role("link", name="Terminate instance 1").click()
    await expect(page.get_by_role("heading", name="Terminate instance 1")).to_be_visible()
    await page.get_by_role("button", name="Terminate").click()
    await expect(page.get_by_role("status").filter(has_text="Terminated.")).to_be_visible()

    async def replaced() -> bool:
        row = (await api.get(f"/v3/processes/{guid}/stats")).json["resources"][1]
        return row.get("instance_guid") not in (None, former)

    await eventually(replaced)


async def test_what_cannot_be_is_said_in_place(
    api: Api, make_app: MakeApp, open_page: OpenPage, operator_token: str
) -> None:
    guid = guid_of(await make_app("web"), "web")
    page = await open_page(operator_token)
    await page.goto(f"/ui/processes/{guid}")
    await page.get_by_role("textbox", name="Instances").fill("many")
    await page.get_by_role("button", name="Review the change").click()
    detail = (await api.post(f"/v3/processes/{guid}/actions/scale", {"instances": "many"})).json["errors"][0]["detail"]
    await expect(page.get_by_role("alert")).to_contain_text(detail)
    await expect(page.get_by_role("button", name="Scale")).to_have_count(0)
    await page.goto(f"/ui/processes/{guid}/instances/4/terminate")
    await expect(page.get_by_role("alert")).to_contain_text("Instance not found")
    await page.goto("/ui/processes/no-such")
    await expect(page.get_by_role("heading", name="Process not found")).to_be_visible()
    await page.goto("/ui/no/such/page")
    await expect(page.get_by_role("heading", name="Unknown request")).to_be_visible()


async def test_a_pod_dies_and_comes_back_before_ones_eyes(
    api: Api, kube: Kube, space: str, make_app: MakeApp, open_page: OpenPage, operator_token: str
) -> None:
    guid = guid_of(await make_app("web", replicas=2), "web")
    page = await open_page(operator_token)
    await page.goto(f"/ui/processes/{guid}")
    await expect(page.locator("#live .glance .ratio")).to_have_text("2/2")
    await expect(page.locator("#live-text")).to_have_text("Live")
    await page.evaluate("window.sameDocument = true")
    await page.locator("#t-0").focus()
    former = await page.locator("td.pod b").nth(1).inner_text()
    await kube.request("DELETE", f"/api/v1/namespaces/{space}/pods/{former}")
    await expect(page.locator("td.pod b", has_text=former)).to_have_count(0)
    await expect(page.locator("#live .glance .ratio")).to_have_text("2/2")
    await expect(page.locator("td.pod b")).to_have_count(2)
    assert await page.evaluate("window.sameDocument")
    assert await page.evaluate("document.activeElement.id") == "t-0"

    await page.goto(f"/?q={space}")
    await expect(page.locator("#live .ratio")).to_have_text("2/2")
    await api.post(f"/v3/processes/{guid}/actions/scale", {"instances": 3})
    await expect(page.locator("#live .ratio")).to_have_text("3/3")
    await expect(page.locator("#news")).not_to_be_empty()


async def test_a_page_says_that_its_process_is_gone(
    kube: Kube, space: str, make_app: MakeApp, open_page: OpenPage, operator_token: str
) -> None:
    app = await make_app("web")
    page = await open_page(operator_token)
    await page.goto(f"/ui/processes/{guid_of(app, 'web')}")
    await expect(page.locator("#live-text")).to_have_text("Live")
    await kube.delete(space, f"web-{app}")
    await expect(page.get_by_role("alert")).to_contain_text("not there any more")


async def test_viewer_sees_their_space_and_may_change_nothing(
    kube: Kube, make_app: MakeApp, open_page: OpenPage, viewer_token: str
) -> None:
    elsewhere = await kube.create_namespace()
    mine, hidden = await make_app("web", replicas=1), await make_app("web", namespace=elsewhere)
    page = await open_page(viewer_token)
    assert await names(page) == [f"web-{mine}"]
    for path in ("/ui/apps", "/ui/spaces", "/ui/organizations", "/ui/problems"):
        await page.goto(path)
        assert hidden not in await page.content()
        assert elsewhere not in await page.content()
    await page.goto(f"/ui/processes/{guid_of(hidden, 'web')}")
    await expect(page.get_by_role("heading", name="Process not found")).to_be_visible()

    await page.goto(f"/ui/processes/{guid_of(mine, 'web')}")
    await expect(page.get_by_role("heading", name="Scale")).to_be_visible()
    # What would be refused is not offered; who asks for it anyway is told so.
    await expect(page.get_by_role("button", name="Review the change")).to_have_count(0)
    await expect(page.get_by_role("link", name="Terminate")).to_have_count(0)
    await page.goto(f"/ui/processes/{guid_of(mine, 'web')}/scale?instances=4")
    await page.get_by_role("button", name="Scale").click()
    await expect(page.get_by_role("alert")).to_contain_text("You are not authorized to perform the requested action")
    await page.goto(f"/ui/processes/{guid_of(mine, 'web')}/instances/0/terminate")
    await page.get_by_role("button", name="Terminate").click()
    await expect(page.get_by_role("alert")).to_contain_text("You are not authorized to perform the requested action")
    await kube.delete_namespace(elsewhere)


async def test_problems_show_to_whom_they_concern(
    kube: Kube, space: str, make_app: MakeApp, open_page: OpenPage, operator_token: str, viewer_token: str
) -> None:
    elsewhere = await kube.create_namespace()
    app = await make_app("web")
    # Which is the older one is told by whole seconds.
    await asyncio.sleep(1.1)
    await kube.create(deployment("copy-here", space, app, "web"))
    await kube.create(deployment("copy-elsewhere", elsewhere, app, "web"))
    odd = deployment("odd", space, str(uuid4()))
    odd["metadata"]["labels"]["cloudfoundry.org/process-type"] = ""
    await kube.create(odd)
    page, other = await open_page(operator_token), await open_page(viewer_token)

    async def shown() -> bool:
        await page.goto("/ui/problems")
        text = await page.content()
        return f"{space}/copy-here" in text and ", ".join(sorted((space, elsewhere))) in text

    await eventually(shown)
    await expect(page.get_by_role("link", name=f"{space}/web-{app}").first).to_be_visible()
    await other.goto("/ui/problems")
    await expect(other.get_by_text(f"{space}/copy-here")).to_be_visible()
    assert elsewhere not in await other.content()
    await kube.delete_namespace(elsewhere)


async def test_what_is_out_of_date_says_so(
    make_app: MakeApp, open_page: OpenPage, operator_token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    guid = guid_of(await make_app("web"), "web")
    page = await open_page(operator_token)
    await page.goto(f"/ui/processes/{guid}")
    await expect(page.get_by_role("alert")).to_have_count(0)
    monkeypatch.setattr(Health, "cluster_age_s", lambda _: 42.0)
    await expect(page.get_by_role("alert")).to_contain_text("shown as of 42 seconds ago")
    for path in ("/", "/ui/apps", "/ui/spaces", "/ui/organizations"):
        await page.goto(path)
        await expect(page.get_by_role("alert")).to_contain_text("shown as of 42 seconds ago")
