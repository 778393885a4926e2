"""What surrounds every page: who looks at it, what is said when it fails, and the headers that fence it in."""

from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from aiohttp import hdrs, web
from aiohttp_jinja2 import get_env

from service.access import Caller
from service.dashboard.keys import PROBLEMS, SESSIONS
from service.dashboard.sessions import OPEN, Session
from service.errors import (
    CloudFoundryError,
    InvalidAuthToken,
    InvalidRequest,
    NotAuthenticated,
    NotAuthorized,
    UnknownError,
    UnknownRequest,
)
from service.http.callers import authenticate
from service.http.keys import SETTINGS
from service.http.receiving import read_form
from service.http.replies import base_url, page_response
from service.operations.authority import Actor
from service.operations.problems import Found
from service.pacing import Turns
from service.telemetry import get_logger, outline, request_id

log = get_logger(__name__)

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # NB: under no-referrer browsers send `Origin: null` with our own forms too.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
SIGN_IN = "/ui/sign-in"

_TURNS = Turns()


@dataclass(frozen=True)
class User:
    """Who looks at a page."""

    caller: Caller
    session: Session

    @property
    def actor(self) -> Actor:
        return Actor(self.caller, self.session.token)

    @property
    def name(self) -> str:
        """Short: of a ServiceAccount, its own name."""
        return self.caller.name.rpartition(":")[2] or self.caller.name


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
View = Callable[[web.Request, User], Awaitable[web.StreamResponse]]


def fenced(handler: Handler) -> Handler:
    """A handler whose failures are pages, and whose replies nobody else may frame, keep or add to."""

    async def fence(request: web.Request) -> web.StreamResponse:
        try:
            response = await handler(request)
        except CloudFoundryError as error:
            if error.status >= 500:
                log.warning("request failed", detail=error.detail, reason=getattr(error, "reason", None))
            response = await failed(request, error)
        except web.HTTPException:
            response = await failed(request, InvalidRequest("The request is not one the dashboard understands"))
        except Exception as error:  # noqa: BLE001 - a defect: logged without what was sent, and answered
            log.error("request failed", **outline(error))
            response = await failed(request, UnknownError())
        response.headers.update(HEADERS)
        response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
        return response

    return fence


def page(view: View) -> Handler:
    """A handler for those who have signed in; others are sent to where they can."""

    @fenced
    async def handle(request: web.Request) -> web.StreamResponse:
        session = session_of(request)
        if session is None:
            if request.headers.get("Sec-Fetch-Site") == "cross-site" and request.method in ("GET", "HEAD"):
                # A link from elsewhere: a strict cookie was not sent, and will be with the next request, from here.
                return await render(request, "again.html", {"target": request.path_qs}, user=None)
            return sign_in_first(request)
        try:
            caller = await authenticate(request, session.authorization)
        except (InvalidAuthToken, NotAuthenticated):
            response = sign_in_first(request, "ended")
            request.app[SESSIONS].end(response, secure=is_secure(request))
            return response
        return await view(request, User(caller, session))

    return handle


def action(view: View) -> Handler:
    """The handler of a view that changes something: only forms of the very session are taken."""

    async def guarded(request: web.Request, user: User) -> web.StreamResponse:
        check_origin(request)
        if not user.session.sent((await read_form(request)).get("form_token", "")):
            raise NotAuthorized("This form is not one of your session: nothing was changed. Go back and load it anew")
        return await view(request, user)

    return page(guarded)


def check_origin(request: web.Request) -> None:
    """Raises NotAuthorized for a form that was not sent by a page of ours, or by who knows what."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get(hdrs.ORIGIN)
    if site is not None and site != "same-origin":
        raise NotAuthorized("This form was sent by a page of another site: nothing was changed")
    own = {request.headers.get(hdrs.HOST, ""), urlsplit(base_url(request)).netloc}
    if site is None and (origin is None or origin.partition("://")[2] not in own - {""}):
        raise NotAuthorized("It is not known which page has sent this form: nothing was changed")


def session_of(request: web.Request) -> Session | None:
    if request.app[SETTINGS].authentication == "none":
        return OPEN
    return request.app[SESSIONS].read(request, secure=is_secure(request))


def is_secure(request: web.Request) -> bool:
    """Whether the browser came by https, however many proxies ago."""
    return base_url(request).startswith("https://")


def sign_in_first(request: web.Request, why: str = "") -> web.Response:
    """To where one signs in, and from there back here."""
    query = {"why": why} if why else {}
    if request.method in ("GET", "HEAD") and request.path_qs != "/":
        query["next"] = request.path_qs
    return see(SIGN_IN + (f"?{urlencode(query)}" if query else ""))


def see(location: str) -> web.Response:
    """To another page of ours, to be fetched."""
    return web.Response(status=303, headers={hdrs.LOCATION: location})


async def failed(request: web.Request, error: CloudFoundryError) -> web.StreamResponse:
    """A page that says what is wrong, in the API's words."""
    try:
        session = session_of(request)
    except CloudFoundryError:
        session = None
    context = {"error": error, "request_id": request_id.get(), "session": session, "form_token": ""}
    if session is not None:
        context["form_token"] = session.form_token
    response = await render(request, "error.html", context, user=None, status=error.status)
    if error.retry_after_s is not None:
        response.headers[hdrs.RETRY_AFTER] = str(error.retry_after_s)
    return response


@fenced
async def unknown(request: web.Request) -> web.StreamResponse:
    """Any other path of the dashboard."""
    raise UnknownRequest


async def render(
    request: web.Request, template: str, context: Mapping[str, Any], *, user: User | None, status: int = 200
) -> web.Response:
    """A whole page. What it says of problems is of what the user may see."""
    problems = await request.app[PROBLEMS].find(user.caller) if user is not None else Found()
    text = await fragment(
        request.app,
        template,
        {
            "user": user,
            "session": user.session if user is not None else None,
            "form_token": user.session.form_token if user is not None else "",
            "problems": problems,
            "path": request.path,
            **context,
        },
    )
    return page_response(request, text.encode(), status)


async def fragment(app: web.Application, template: str, context: Mapping[str, Any]) -> str:
    """A template filled in, others having their turn meanwhile."""
    return await _TURNS.run(_generate(get_env(app).get_template(template).generate(context)))


def _generate(parts: Any) -> Generator[None, None, str]:
    found = []
    for number, part in enumerate(parts, 1):
        found.append(part)
        if number % 64 == 0:
            yield
    return "".join(found)
