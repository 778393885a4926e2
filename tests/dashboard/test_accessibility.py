"""Pages for whoever does not see them, sees little, uses no mouse, or holds a phone."""

from typing import Literal

from playwright.async_api import expect

from tests.dashboard.conftest import MakeApp, OpenPage
from tests.support.kube import guid_of, namespace_of

STARTS_FOREVER = {"local-stack/failing-probe": "startup"}
CRASHES = {"local-stack/crash-message": "out of memory"}

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")

UNNAMED = """() => [...document.querySelectorAll("a, button, input:not([type=hidden]), select, th, [role=img]")]
  .filter((each) => !(each.getAttribute("aria-label") || each.textContent.trim() || each.labels?.length))
  .map((each) => each.outerHTML)"""

FAINT = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const linear = (c) => (c <= 10 ? c / 3294.6 : ((c / 255 + 0.055) / 1.055) ** 2.4);
    const [x, y, z] = [r, g, b].map(linear);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const color = rgba(getComputedStyle(each).backgroundColor);
      if (color[3] === 255) return color;
    }
    return rgba("white");
  };
  const found = new Set();
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!text || element.closest("svg, .hidden, .skip, datalist, script") || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(rgba(style.color)), light(behind(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) found.add(`${element.tagName}.${element.className}: ${ratio.toFixed(2)}`);
  }
  return [...found];
}"""


async def test_everything_has_a_name_and_can_be_read(
    make_app: MakeApp, open_page: OpenPage, operator_token: str
) -> None:
    app = await make_app("web", replicas=2)
    guid, space = guid_of(app, "web"), namespace_of(app)
    page = await open_page(operator_token)
    states = {
        "well": guid,
        "some": guid_of(await make_app("web", replicas=2, pod_annotations=STARTS_FOREVER), "web"),
        "bad": guid_of(await make_app("web", replicas=2, pod_annotations=CRASHES), "web"),
        "none": guid_of(await make_app("web"), "web"),
    }
    # Each colour a state has is on some page before the pages are looked at.
    for level, of in states.items():
        await page.goto(f"/ui/processes/{of}")
        await expect(page.locator(f".glance.{level}")).to_be_visible()
    for path in (
        "/",
        "/?q=nothing-is-called-so",
        "/?order_by=nope",
        "/ui/apps",
        f"/ui/apps?q={space}",
        "/ui/apps?order_by=nope",
        f"/ui/apps/{app}",
        f"/ui/apps/{app}/stop",
        f"/ui/apps/{app}/restart",
        "/ui/spaces",
        f"/ui/spaces/{space}",
        "/ui/organizations",
        "/ui/organizations/default",
        "/ui/problems",
        *(f"/ui/processes/{of}" for of in states.values()),
        f"/ui/processes/{guid}/scale?instances=0&memory_in_mb=x",
        f"/ui/processes/{guid}/instances/0/terminate",
        "/ui/sign-in?why=ended",
        "/ui/nowhere",
    ):
        await page.goto(path)
        assert await page.evaluate(UNNAMED) == [], path
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            assert await page.evaluate(FAINT) == [], (path, scheme)
        for landmark in ("banner", "main"):
            await expect(page.get_by_role(landmark)).to_have_count(1)
        await expect(page.get_by_role("heading", level=1)).to_have_count(1)
        assert await page.evaluate("document.documentElement.lang") == "en"


async def test_keyboard_alone_is_enough(make_app: MakeApp, open_page: OpenPage, operator_token: str) -> None:
    app = await make_app("web")
    page = await open_page(operator_token)
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.closest('main') !== null")
    assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    await page.get_by_label("Find").focus()
    await page.keyboard.type(app)
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("1–1 of 1 process")).to_be_visible()


async def test_nothing_is_cut_off_on_a_phone(make_app: MakeApp, open_page: OpenPage, operator_token: str) -> None:
    app = await make_app("web", replicas=1)
    guid = guid_of(app, "web")
    page = await open_page(operator_token, width=390)
    for path in (
        "/",
        "/ui/apps",
        f"/ui/apps/{app}",
        f"/ui/apps/{app}/stop",
        "/ui/spaces",
        f"/ui/spaces/{namespace_of(app)}",
        "/ui/organizations",
        f"/ui/processes/{guid}",
        f"/ui/processes/{guid}/scale?instances=2",
    ):
        await page.goto(path)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390, path
    await page.goto("/")
    # As cards, its rows are a table still.
    await expect(page.get_by_role("table")).to_have_count(1)
    assert await page.get_by_role("cell").count() > 0
