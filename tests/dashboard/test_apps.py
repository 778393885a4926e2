"""The pages of apps: what they show to whom, and what can be done from there, in a real browser."""

import re

import pytest
from playwright.async_api import Page, expect

from tests.dashboard.conftest import MakeApp, OpenPage
from tests.support.api import Api
from tests.support.kube import KEYS, Kube, deployment, eventually, guid_of
from tests.support.routing import backend, create, ingress, rule, service

NOWHERE = {"spec": {"template": {"spec": {"nodeSelector": {"nowhere": "at-all"}}}}}
"""What makes a rollout that never ends."""


async def told(page: Page, text: str) -> None:
    await expect(page.get_by_role("status").filter(has_text=text)).to_be_visible()


async def stats(api: Api, app: str) -> list[str]:
    return [each["state"] for each in (await api.get(f"/v3/apps/{app}/processes/web/stats")).json["resources"]]


async def test_an_app_is_found_by_name_from_its_organization_down(
    kube: Kube, make_app: MakeApp, open_page: OpenPage, operator_token: str
) -> None:
    space = await kube.create_namespace(
        {KEYS.organization_guid: "org-of-names", KEYS.organization_name: "acme", KEYS.space_name: "front"}
    )
    app = await make_app("web", "worker", namespace=space, labels={KEYS.app_name: "shop"}, replicas=1)
    page = await open_page(operator_token)
    await page.goto("/ui/organizations?q=org-of-names")
    await page.get_by_role("link", name="acme", exact=True).click()
    await page.get_by_role("link", name="front", exact=True).click()
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="shop"))
    await expect(row.locator(".ratio")).to_have_text("2/2")
    await expect(row.get_by_role("cell", name="app:1", exact=True)).to_be_visible()
    await page.get_by_role("link", name="shop", exact=True).click()
    await expect(page.get_by_role("heading", name="shop", level=1)).to_be_visible()
    await page.get_by_role("rowheader", name="worker").get_by_role("link").click()
    await expect(page.get_by_role("heading", name=f"worker-{app}", level=1)).to_be_visible()
    crumbs = page.get_by_role("navigation", name="Where this is")
    assert await crumbs.get_by_role("listitem").all_text_contents() == ["acme", "front", "shop", "worker"]
    await crumbs.get_by_role("link", name="shop").click()
    await expect(page).to_have_url(re.compile(f"/ui/apps/{app}$"))
    await kube.delete_namespace(space)


async def test_what_leads_to_an_app_stands_beside_it_and_scales_it_is_shown(
    kube: Kube, space: str, make_app: MakeApp, open_page: OpenPage, operator_token: str
) -> None:
    app = await make_app("web")
    name = f"web-{app}"
    await kube.patch(
        space,
        name,
        {
            "spec": {
                "template": {
                    "metadata": {"annotations": {"kubectl.kubernetes.io/default-container": "application"}},
                    "spec": {
                        "containers": [
                            {"name": "application", "image": "registry.test/app:1"},
                            {"name": "proxy", "image": "registry.test/proxy:1", "command": ["envoy", "-c", "e.yaml"]},
                        ]
                    },
                }
            }
        },
    )
    host = f"{space}.example.test"
    behind = backend(name)
    paths = rule(host, ("/", behind), ("/a b", behind)), rule("*.wild.example.test", ("/", behind))
    await create(kube, space, service(name, {"test": name}), ingress(name, *paths))
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    await kube.request(
        "POST",
        f"/apis/autoscaling/v2/namespaces/{space}/horizontalpodautoscalers",
        {"metadata": {"name": "scaler"}, "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 7}},
    )
    page = await open_page(operator_token)
    # The page tells of all of it by itself, as it is heard of.
    await page.goto(f"/ui/apps/{app}")
    link = page.get_by_role("link", name=host, exact=True)
    await expect(link).to_have_attribute("href", f"http://{host}")
    await expect(page.get_by_role("link", name=f"{host}/a b")).to_have_attribute("href", f"http://{host}/a%20b")
    await expect(page.get_by_text("*.wild.example.test")).to_be_visible()
    await expect(page.get_by_role("link", name="*.wild.example.test")).to_have_count(0)
    await expect(page.get_by_role("region", name="Sidecars")).to_contain_text("envoy -c e.yaml")
    await expect(page.get_by_role("cell", name="2 to 7")).to_be_visible()
    await page.goto(f"/ui/processes/{guid_of(app, 'web')}")
    await expect(page.get_by_role("region", name="Scale")).to_contain_text("scaler sets the number of instances")
    await expect(page.get_by_role("region", name="Sidecars")).to_contain_text("proxy")
    await page.goto(f"/ui/apps?q={app}")
    await expect(page.get_by_role("link", name=host, exact=True)).to_be_visible()
    await expect(page.get_by_role("link", name="+1 more routes")).to_be_visible()


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
async def test_stops_starts_and_restarts(
    api: Api, kube: Kube, space: str, make_app: MakeApp, open_page: OpenPage, operator_token: str, script: bool
) -> None:
    app = await make_app("web", replicas=2)
    name = f"web-{app}"
    page = await open_page(operator_token, script=script)
    await page.goto(f"/ui/apps/{app}")
    await page.get_by_role("link", name="Stop").click()
    await expect(page.get_by_role("row", name=re.compile(rf"{name} web 2 0"))).to_be_visible()
    assert (await kube.get(space, name))["spec"]["replicas"] == 2
    await page.get_by_role("link", name="Cancel").click()
    assert (await api.get(f"/v3/apps/{app}")).json["state"] == "STARTED"
    await page.get_by_role("link", name="Stop").click()
    await page.get_by_role("button", name="Stop").click()
    await told(page, "Stopped.")
    await expect(page.locator(".glance .says")).to_have_text("stopped")
    await expect(page.get_by_text("2 once started")).to_be_visible()
    assert (await kube.get(space, name))["spec"]["replicas"] == 0

    await page.get_by_role("button", name="Start").click()
    await told(page, "Started.")
    assert (await kube.get(space, name))["spec"]["replicas"] == 2

    async def runs() -> bool:
        return await stats(api, app) == ["RUNNING"] * 2

    await eventually(runs)
    before = (await kube.get(space, name))["spec"]["template"]
    await page.get_by_role("link", name="Restart").click()
    await page.get_by_role("button", name="Restart").click()
    await told(page, "Restarting.")
    after = (await kube.get(space, name))["spec"]["template"]
    assert before != after
    assert "kubectl.kubernetes.io/restartedAt" in after["metadata"]["annotations"]


async def test_a_rollout_is_seen_while_it_goes_on_and_is_cancelled(
    api: Api, kube: Kube, space: str, make_app: MakeApp, open_page: OpenPage, operator_token: str
) -> None:
    app = await make_app("web", replicas=2)

    async def runs() -> bool:
        shown = (await api.get(f"/v3/deployments?app_guids={app}")).json["resources"]
        return await stats(api, app) == ["RUNNING"] * 2 and shown[0]["status"]["value"] == "FINALIZED"

    await eventually(runs)
    page, listed = await open_page(operator_token), await open_page(operator_token)
    await page.goto(f"/ui/apps/{app}")
    await listed.goto(f"/ui/apps?q={app}")
    await expect(page.get_by_role("link", name="Cancel the rollout")).to_have_count(0)
    await expect(page.locator("#live-text")).to_have_text("Live")
    before = (await kube.get(space, f"web-{app}"))["spec"]["template"]
    await kube.patch(space, f"web-{app}", NOWHERE)
    await expect(page.get_by_text("Rollout under way")).to_be_visible()
    await expect(listed.get_by_text("rolling out", exact=True)).to_be_visible()
    await page.get_by_role("link", name="Cancel the rollout").click()
    await expect(page.get_by_role("heading", name=re.compile("Cancel the rollout of"))).to_be_visible()
    await page.get_by_role("button", name="Cancel the rollout").click()
    await told(page, "Cancelled.")
    await expect(page.get_by_text("Rollout under way")).to_have_count(0)
    await expect(page.get_by_role("link", name="Cancel the rollout")).to_have_count(0)
    assert (await kube.get(space, f"web-{app}"))["spec"]["template"] == before


async def test_the_page_follows_what_others_do(
    api: Api, make_app: MakeApp, open_page: OpenPage, operator_token: str
) -> None:
    app = await make_app("web", replicas=1)
    page = await open_page(operator_token)
    await page.goto(f"/ui/apps/{app}")
    await expect(page.locator(".glance .ratio")).to_have_text("1/1")
    await expect(page.locator("#live-text")).to_have_text("Live")
    await page.evaluate("window.sameDocument = true")
    await page.locator("#do-restart").focus()
    await api.post(f"/v3/processes/{guid_of(app, 'web')}/actions/scale", {"instances": 2})
    await expect(page.locator(".glance .ratio")).to_have_text("2/2")
    assert await page.evaluate("document.activeElement.id") == "do-restart"
    await api.post(f"/v3/apps/{app}/actions/stop")
    await expect(page.get_by_role("button", name="Start")).to_be_visible()
    await expect(page.get_by_role("link", name="Stop")).to_have_count(0)
    # A form that came with an update is one of this very session.
    await page.get_by_role("button", name="Start").click()
    await told(page, "Started.")
    assert not await page.evaluate("window.sameDocument")


async def test_each_instance_says_how_its_logs_are_read(
    kube: Kube, space: str, make_app: MakeApp, open_page: OpenPage, operator_token: str
) -> None:
    guid = guid_of(await make_app("web", replicas=1), "web")
    page = await open_page(operator_token)
    await page.goto(f"/ui/processes/{guid}")
    await expect(page.locator("td.pod b")).to_have_count(1)
    (pod,) = (await kube.request("GET", f"/api/v1/namespaces/{space}/pods"))["items"]
    command = f"kubectl --namespace {space} logs {pod['metadata']['name']} --container application"
    await expect(page.locator("td.pod code")).to_have_text(command)
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.get_by_role("button", name="Copy").click()
    await expect(page.locator("#news")).to_have_text("Copied")
    assert await page.evaluate("navigator.clipboard.readText()") == command
    # Without scripts there is the line itself, and no button that would do nothing.
    plain = await open_page(operator_token, script=False)
    await plain.goto(f"/ui/processes/{guid}")
    await expect(plain.locator("td.pod code")).to_have_text(command)
    await expect(plain.get_by_role("button", name="Copy")).to_have_count(0)


async def test_a_viewer_is_offered_nothing_that_would_fail(
    api: Api, make_app: MakeApp, open_page: OpenPage, viewer_token: str
) -> None:
    app = await make_app("web", replicas=1)
    page = await open_page(viewer_token)
    await page.goto(f"/ui/apps/{app}")
    await expect(page.locator("#live-text")).to_have_text("Live")
    await expect(page.get_by_role("group", name="Actions")).to_have_count(0)
    for name in ("stop", "restart", "start"):
        await page.goto(f"/ui/apps/{app}/{name}")
        await page.get_by_role("button", name=name.title()).click()
        await expect(page.get_by_role("alert")).to_contain_text("You are not authorized")
        await expect(page.get_by_role("button", name="Try again")).to_have_count(0)
    assert (await api.get(f"/v3/apps/{app}")).json["state"] == "STARTED"


async def test_nothing_is_done_to_an_app_whose_guid_means_two(
    api: Api, kube: Kube, make_app: MakeApp, open_page: OpenPage, operator_token: str
) -> None:
    app, elsewhere = await make_app("web"), await kube.create_namespace()
    await kube.create(deployment("copy", elsewhere, app, "web"))

    async def two() -> bool:
        return len((await api.get(f"/v3/apps?guids={app}")).json["resources"]) == 2

    await eventually(two)
    page = await open_page(operator_token)
    await page.goto(f"/ui/apps/{app}")
    await expect(page.get_by_role("alert")).to_contain_text("2 different things")
    await page.goto(f"/ui/apps/{app}/restart")
    await page.get_by_role("button", name="Start").or_(page.get_by_role("button", name="Restart")).click()
    await expect(page.get_by_role("alert")).to_contain_text("nothing was changed")
    await kube.delete_namespace(elsewhere)
