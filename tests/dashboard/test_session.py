"""How people are known to the dashboard, and what a page of somebody else's cannot do in their name."""

import asyncio
import io
import random
import re
import string
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from service.dashboard.routes import ROUTES
from service.dashboard.sessions import LARGEST, LONGEST_S, Sessions, TokenTooLarge
from service.http.keys import ACCESS
from service.settings import Settings
from tests.dashboard.conftest import MakeApp
from tests.support.api import Api, running
from tests.support.kube import Kube, deployment, eventually, guid_of
from tests.support.visitor import HTML, SAME, Visitor


@pytest.fixture
async def visitor(api: Api) -> AsyncIterator[Visitor]:
    visiting = Visitor(api)
    yield visiting
    await visiting.session.close()


@pytest.fixture
async def user(visitor: Visitor, operator_token: str) -> Visitor:
    await visitor.sign_in(operator_token)
    return visitor


async def test_process_is_shown_to_who_may_get_it_and_not_list(
    api: Api, kube: Kube, visitor: Visitor, space: str, make_app: MakeApp
) -> None:
    app = await make_app("web", "worker")
    role = await kube.create_role({"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]})
    await visitor.sign_in(await kube.token_of_new_user(cluster_roles=("processes-api",), roles_in={space: role}))
    reply = await visitor.get(f"/ui/processes/{guid_of(app, 'web')}")
    assert reply.status == 200
    # What else the app has is a list.
    assert guid_of(app, "worker").encode() not in reply.body


@pytest.mark.parametrize(
    ("accept", "is_page"),
    [
        (None, False),
        ("*/*", False),
        ("application/json", False),
        ("application/json, text/html;q=0.9", False),
        ("text/html;q=0, */*", False),
        ("text/html", True),
        (HTML["Accept"], True),
    ],
)
async def test_root_is_a_page_for_browsers_and_json_for_everybody_else(
    api: Api, accept: str | None, is_page: bool
) -> None:
    reply = await api.as_user(None).get("/", headers={} if accept is None else {"Accept": accept})
    if is_page:
        assert (reply.status, reply.headers["Location"]) == (303, "/ui/sign-in")
    else:
        assert reply.json["links"]["cloud_controller_v3"]["href"] == f"{api.url}/v3"
        assert "Accept" in reply.headers["Vary"].split(", ")


async def test_every_page_asks_who_one_is_and_fences_itself_in(api: Api) -> None:
    for route in ROUTES:
        path = re.sub(r"\{[^}]*\}", "x", route.path)
        headers = {**HTML, **SAME}
        reply = await api.as_user(None).get(path, method=route.method, headers=headers)
        if path.startswith(("/ui/static", "/ui/x")):
            assert reply.status == 404
        elif path == "/ui/sign-in":
            assert reply.status == (200 if route.method == "GET" else 401)
        else:
            assert reply.status == 303, (route, reply.status)
            assert reply.headers["Location"].startswith("/ui/sign-in")
        policy = dict(part.split(" ", 1) for part in reply.headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert "unsafe" not in reply.headers["Content-Security-Policy"]
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Referrer-Policy"] == "same-origin"
        assert reply.headers["Cache-Control"] == "no-store"


async def test_a_header_with_a_token_opens_no_page(api: Api) -> None:
    assert (await api.get("/ui/spaces", headers=HTML)).status == 303
    assert (await api.as_user(None).get("/v3/processes", headers={"Cookie": "processes-session=x"})).status == 401


async def test_static_files_are_kept_by_what_is_in_them(api: Api, visitor: Visitor) -> None:
    page = (await visitor.get("/ui/sign-in")).body.decode()
    for path in re.findall(r'(?:href|src)="(/ui/static/[^"]+)"', page):
        reply = await visitor.get(path)
        assert reply.status == 200
        assert reply.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        again = await visitor.get(path.partition("?")[0], **{"If-None-Match": reply.headers["ETag"]})
        assert (again.status, again.headers["Cache-Control"]) == (304, "no-cache")
    assert not re.search(r'(?:href|src|action)="(?!/|#)', page), "something comes from elsewhere"
    assert not re.search(r"<style|style=|<script(?! src)|\son\w+=", page)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.test"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
    ids=str,
)
async def test_forms_of_other_pages_are_refused(
    api: Api, make_app: MakeApp, user: Visitor, headers: dict[str, str]
) -> None:
    app = await make_app("web")
    guid = guid_of(app, "web")
    fields = {"instances": "3", "form_token": await user.form_token()}
    reply = await user.post(f"/ui/processes/{guid}/scale", fields, headers)
    assert reply.status == 403
    for action in ("start", "stop", "restart"):
        assert (await user.post(f"/ui/apps/{app}/{action}", fields, headers)).status == 403
    assert (await user.post("/ui/sign-out", fields, headers)).status == 403
    assert (await user.post("/ui/sign-in", {"token": api.token or ""}, headers)).status == 403
    assert (await api.get(f"/v3/processes/{guid}")).json["instances"] == 0
    assert (await api.get(f"/v3/apps/{app}")).json["state"] == "STOPPED"
    assert (await user.get("/")).status == 200


async def test_forms_without_the_sessions_own_token_are_refused(
    api: Api, make_app: MakeApp, user: Visitor, operator_token: str
) -> None:
    guid = guid_of(await make_app("web"), "web")
    other = Visitor(api)
    await other.sign_in(operator_token)
    foreign = await other.form_token()
    await other.session.close()
    for fields in ({}, {"form_token": ""}, {"form_token": foreign}, {"form_token": "ü"}):
        reply = await user.post(f"/ui/processes/{guid}/scale", {"instances": "3", **fields})
        assert reply.status == 403
        assert b"not one of your session" in reply.body
    assert (await api.get(f"/v3/processes/{guid}")).json["instances"] == 0
    origin = {"Origin": api.url}
    fields = {"instances": "3", "form_token": await user.form_token()}
    assert (await user.post(f"/ui/processes/{guid}/scale", fields, origin)).status == 303
    assert (await api.get(f"/v3/processes/{guid}")).json["instances"] == 3


async def test_a_link_from_elsewhere_finds_the_session_again(visitor: Visitor) -> None:
    reply = await visitor.get("/?types=web", **{"Sec-Fetch-Site": "cross-site"})
    assert reply.status == 200
    assert b'content="0; url=/?types=web"' in reply.body


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.test/",
        "//evil.test/",
        "//[",
        "/\\evil.test",
        "/ui/../../evil",
        "javascript:alert(1)",
        "/v3/processes",
        "/\t/x",
    ],
)
async def test_signing_in_leads_to_pages_of_ours_only(visitor: Visitor, operator_token: str, target: str) -> None:
    reply = await visitor.post("/ui/sign-in", {"token": operator_token, "next": target})
    assert reply.status == 303
    assert reply.headers["Location"] in ("/", "/ui/../../evil")


async def test_refused_tokens_begin_no_session(api: Api, visitor: Visitor, kube: Kube) -> None:
    nobody = await kube.token_of_new_user()
    for token, status in (("", 401), ("nonsense", 401), (nobody, 403), ("x" * 16_000, 401), ("x" * 20_000, 413)):
        reply = await visitor.post("/ui/sign-in", {"token": token})
        assert reply.status == status
        assert "Set-Cookie" not in reply.headers
        assert not token or token.encode() not in reply.body
    large = io.BytesIO(b"token=" + b"x" * 2_000_000)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    async with visitor.session.post(f"{api.url}/ui/sign-in", data=large, headers={**SAME, **form}) as reply_:
        assert reply_.status == 413


async def test_a_token_that_expires_ends_the_session(
    settings: Settings, operator_token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(settings) as served:
        visitor = Visitor(served)
        await visitor.sign_in(operator_token)
        assert (await visitor.get("/")).status == 200
        stream = await visitor.session.get(served.url + "/ui/events", headers=HTML)
        assert stream.headers["Content-Type"] == "text/event-stream"
        assert await stream.content.readline() == b"event: update\r\n"
        monkeypatch.setattr(served.application[ACCESS], "_wall_clock", lambda: time.time() + 86400)
        heard = await asyncio.wait_for(stream.content.read(), 20)
        assert b"event: signed-out" in heard
        reply = await visitor.get("/ui/spaces")
        assert reply.headers["Location"] == "/ui/sign-in?why=ended&next=%2Fui%2Fspaces"
        assert 'processes-session=""' in reply.headers["Set-Cookie"]
        await visitor.session.close()


async def test_streams_are_bounded_and_end_with_the_service(
    settings: Settings, operator_token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.dashboard.streams.Streams.__init__.__defaults__", (200, 1))
    async with running(settings, token=operator_token) as served:
        visitor = Visitor(served)
        await visitor.sign_in(operator_token)
        stream = await visitor.session.get(served.url + "/ui/events", headers=HTML)
        assert stream.headers["X-Vcap-Request-Id"]
        assert await stream.content.readline() == b"event: update\r\n"
        refused = await visitor.get("/ui/events")
        assert (refused.status, refused.headers["Retry-After"]) == (503, "30")
        metrics = (await served.manage("/metrics")).body.decode()
        assert re.search(r'requests_total\{method="GET",route="/ui/events",status="200"\} 1', metrics)
        assert re.search(r"requests_in_flight 0", metrics)
        ending = asyncio.create_task(stream.content.read())
    await asyncio.wait_for(ending, 2)
    await visitor.session.close()


async def test_long_lists_are_not_streamed(user: Visitor) -> None:
    assert (await user.get("/ui/events?per_page=201")).status == 400
    assert b"data-stream" not in (await user.get("/?per_page=201")).body
    assert b"data-stream" in (await user.get("/?per_page=200")).body


async def test_pods_without_the_label_are_said_to_be_unknown(api: Api, kube: Kube, space: str, user: Visitor) -> None:
    app = str(uuid4())
    manifest = deployment("bare", space, app, replicas=2)
    del manifest["spec"]["template"]["metadata"]["labels"]["cloudfoundry.org/app-guid"]
    await kube.create(manifest)
    guid = guid_of(app, "web")

    async def shown() -> bool:
        return (await user.get(f"/ui/processes/{guid}")).status == 200

    await eventually(shown)
    page = (await user.get(f"/ui/processes/{guid}")).body
    assert b"what runs is not known" in page
    assert b"does not carry the label" in page
    assert b"not known" in (await user.get(f"/?app_guids={app}")).body


async def test_json_is_what_the_api_says(api: Api, make_app: MakeApp, user: Visitor) -> None:
    app = await make_app("web", "worker")
    guid = guid_of(app, "web")
    for page, path in (
        (f"/ui/json/processes?app_guids={app}&page=1&per_page=50", f"/v3/processes?app_guids={app}&page=1&per_page=50"),
        (f"/ui/json/processes/{guid}", f"/v3/processes/{guid}"),
        (f"/ui/json/processes/{guid}/stats", f"/v3/processes/{guid}/stats"),
    ):
        shown, said = await user.get(page), await api.get(path)
        assert shown.status == said.status == 200
        assert shown.body == said.body
    listed = (await user.get(f"/?app_guids={app}")).body.decode()
    assert f'href="/ui/json/processes?app_guids={app}&amp;page=1&amp;per_page=50"' in listed


async def test_whatever_is_named_is_shown_as_text(
    api: Api, kube: Kube, space: str, make_app: MakeApp, user: Visitor
) -> None:
    app = await make_app("web", command=["/bin/sh", "-c", "echo '<script>alert(1)</script>'"])
    await api.patch(
        f"/v3/apps/{app}/processes/web", {"metadata": {"annotations": {"note": "<img src=x onerror=alert(1)>"}}}
    )
    page = (await user.get(f"/ui/processes/{guid_of(app, 'web')}")).body
    assert b"&lt;script&gt;" in page
    assert b"&lt;img" in page
    assert b"<img" not in page
    listed = (await user.get("/?q=%22%3E%3Cscript%3E")).body
    assert b"<script>" not in listed


async def test_a_defect_is_a_page_that_tells_nothing(user: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("postgresql://user:secret@host")

    monkeypatch.setattr("service.dashboard.views.parse_address", broken)
    reply = await user.get("/")
    assert (reply.status, reply.headers["Content-Type"]) == (500, "text/html; charset=utf-8")
    assert b"An unknown error occurred." in reply.body
    assert b"secret" not in reply.body


async def test_without_authentication_everybody_looks_and_nobody_changes(settings: Settings, make_app: MakeApp) -> None:
    guid = guid_of(await make_app("web"), "web")
    async with running(replace(settings, authentication="none")) as served:
        visitor = Visitor(served)
        assert (await visitor.get(f"/ui/processes/{guid}")).status == 200
        assert b"Sign out" not in (await visitor.get("/")).body
        refused = await visitor.post(f"/ui/processes/{guid}/scale", {"instances": "2", "form_token": ""})
        assert refused.status == 403
        assert b"You are not authorized to perform the requested action" in refused.body
        await visitor.session.close()


async def test_by_https_the_cookie_stays_there(settings: Settings, operator_token: str) -> None:
    async with running(replace(settings, external_url="https://processes.example.test")) as served:
        visitor = Visitor(served)
        reply = await visitor.sign_in(operator_token)
        cookie = reply.headers["Set-Cookie"]
        assert cookie.startswith("__Host-processes-session=")
        assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
        await visitor.session.close()


# The cookie itself

TOKEN = "header.claims.signature"


def cookie_of(sessions: Sessions, token: str = TOKEN, expires_at: float = float("inf")) -> str:
    response = web.Response()
    sessions.write(sessions.begin(token, expires_at), response, secure=False)
    return response.cookies["processes-session"].value


def read(sessions: Sessions, cookie: str) -> str | None:
    request = make_mocked_request("GET", "/", headers={"Cookie": f"processes-session={cookie}"})
    session = sessions.read(request, secure=False)
    return None if session is None else session.token


def test_keys_can_be_rotated() -> None:
    old, new = "o" * 32, "n" * 32
    cookie = cookie_of(Sessions([old]))
    assert read(Sessions([old]), cookie) == TOKEN
    assert read(Sessions([new, old]), cookie) == TOKEN
    assert read(Sessions([new]), cookie) is None
    assert read(Sessions([old]), cookie_of(Sessions([new, old]))) is None


def test_without_a_key_each_process_has_its_own() -> None:
    assert read(Sessions(()), cookie_of(Sessions(()))) is None


@pytest.mark.parametrize("cookie", ["", "x", "gAAAAA", "ü", "a" * 5000])
def test_nonsense_is_no_session(cookie: str) -> None:
    assert read(Sessions(["k" * 32]), cookie) is None


def test_a_changed_cookie_is_no_session() -> None:
    sessions = Sessions(["k" * 32])
    cookie = cookie_of(sessions)
    middle = len(cookie) // 2
    changed = cookie[:middle] + ("A" if cookie[middle] != "A" else "B") + cookie[middle + 1 :]
    assert read(sessions, changed) is None


def test_a_session_ends_with_its_token_and_after_half_a_day() -> None:
    now = 1_000_000.0
    sessions = Sessions(["k" * 32], wall_clock=lambda: now)
    short, long = cookie_of(sessions, expires_at=now + 60), cookie_of(sessions)
    assert read(sessions, short) is not None
    now += 61
    assert read(sessions, short) is None
    assert read(sessions, long) is not None
    now += LONGEST_S
    assert read(sessions, long) is None


def test_what_no_browser_would_keep_is_refused() -> None:
    sessions = Sessions(["k" * 32])
    with pytest.raises(TokenTooLarge):
        cookie_of(sessions, "".join(random.Random(1).choices(string.ascii_letters, k=LARGEST)))
    assert len(cookie_of(sessions, "eyJ" + "a1B2c3D4" * 300)) < LARGEST
    assert "eyJ" not in repr(sessions.begin("eyJ", 1.0))
