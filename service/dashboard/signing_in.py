"""Signing in, with a token of the cluster in the password's place, and out."""

from urllib.parse import urlsplit

from aiohttp import web

from service.dashboard.frame import SIGN_IN, User, check_origin, fenced, is_secure, render, see, session_of
from service.dashboard.keys import SESSIONS
from service.dashboard.sessions import TokenTooLarge
from service.errors import CloudFoundryError, InvalidAuthToken, UnprocessableEntity
from service.http.callers import authenticate
from service.http.keys import SETTINGS
from service.http.receiving import read_form

_ENDED = "ended"


@fenced
async def ask_token(request: web.Request) -> web.StreamResponse:
    """GET /ui/sign-in"""
    if session_of(request) is not None and request.query.get("why") != _ENDED:
        return see(_local(request.query.get("next", "")))
    return await _form(request, request.query.get("next", ""), ended=request.query.get("why") == _ENDED)


@fenced
async def sign_in(request: web.Request) -> web.StreamResponse:
    """POST /ui/sign-in"""
    check_origin(request)
    form = await read_form(request)
    following = form.get("next", "")
    # What a terminal has wrapped, or a header it was copied from.
    token = "".join(form.get("token", "").split()).removeprefix("Bearer")
    sessions = request.app[SESSIONS]
    try:
        if not token:
            raise InvalidAuthToken("Paste a token first")
        caller = await authenticate(request, f"Bearer {token}")
        session = sessions.begin(token, caller.expires_at)
        response = see(_local(following))
        sessions.write(session, response, secure=is_secure(request))
    except TokenTooLarge:
        error = UnprocessableEntity(
            "This token is too large for a browser's cookie: use one with fewer groups or claims"
        )
        return await _form(request, following, error=error)
    except CloudFoundryError as error:
        return await _form(request, following, error=error)
    return response


async def sign_out(request: web.Request, user: User) -> web.StreamResponse:
    """POST /ui/sign-out"""
    response = see(SIGN_IN)
    request.app[SESSIONS].end(response, secure=is_secure(request))
    return response


async def _form(
    request: web.Request, following: str, *, error: CloudFoundryError | None = None, ended: bool = False
) -> web.StreamResponse:
    context = {
        "next": _local(following),
        "error": error,
        "ended": ended,
        "kept": bool(request.app[SETTINGS].session_secret),
    }
    return await render(request, "sign_in.html", context, user=None, status=error.status if error else 200)


def _local(target: str) -> str:
    """A page of ours, whatever was asked for: nobody is to be sent elsewhere from here."""
    try:
        url = urlsplit(target)
    except ValueError:
        return "/"
    known = url.path == "/" or url.path.startswith("/ui/")
    # NB: browsers take a backslash for a slash, and leave out tabs and newlines.
    plain = target.isascii() and target.isprintable() and not any(odd in target for odd in ("\\", '"', " "))
    return target if known and plain and not url.scheme and not url.netloc and not target.startswith("//") else "/"
