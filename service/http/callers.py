"""Who sends a request: the token in its Authorization header, the caller it stands for, and how often they may ask."""

from aiohttp import web

from service.access import Access, Caller
from service.errors import InvalidAuthToken, NotAuthenticated, NotAuthorized
from service.http.keys import ACCESS, RATE_LIMITS
from service.pacing import SERVED

MAXIMUM_TOKEN = 16_384
"""Characters."""


async def authenticate(request: web.Request, authorization: str | None, *, anyone: bool = False) -> Caller:
    """The caller who sent the request. `authorization` is an Authorization header, or what stands for one.

    `anyone`: also one who may not use the API. Raises what `bearer_token`, Access.authenticate and for anyone
    Access.identify do, RateLimitExceeded and AddressRateLimitExceeded.
    """
    access, limits = request.app[ACCESS], request.app.get(RATE_LIMITS)
    accept = access.identify if anyone else access.authenticate
    SERVED.set(b"")
    if limits is None:
        caller = await accept(shown_token(access, authorization))
        SERVED.set(caller.person)
        return caller
    limits.require_room(request, lambda: _is_known(access, authorization))
    try:
        caller = await accept(shown_token(access, authorization))
    except (NotAuthenticated, InvalidAuthToken, NotAuthorized):
        limits.count_refusal(request)
        raise
    limits.count(request, caller.person)
    SERVED.set(caller.person)
    return caller


def shown_token(access: Access, authorization: str | None) -> str | None:
    """The token that an Authorization header shows; None where nobody needs one. Raises as `bearer_token` does."""
    return bearer_token(authorization) if access.needs_token else None


def bearer_token(authorization: str | None) -> str:
    """The token of an Authorization header. Raises NotAuthenticated, InvalidAuthToken."""
    if authorization is None or not authorization.strip():
        raise NotAuthenticated
    scheme, _, token = authorization.strip().partition(" ")
    token = token.strip()
    if scheme.lower() == "clientcert":
        # The cf CLI sends the certificate with its private key: taking it would mean acting as the caller for ever.
        raise InvalidAuthToken(
            "Invalid Auth Token: a client certificate carries its private key and is not accepted; "
            "use a kubeconfig user with a token"
        )
    if scheme.lower() != "bearer" or not token or len(token) > MAXIMUM_TOKEN or not token.isascii() or " " in token:
        raise InvalidAuthToken
    return token


def _is_known(access: Access, authorization: str | None) -> bool:
    try:
        token = shown_token(access, authorization)
    except (NotAuthenticated, InvalidAuthToken):
        return False
    return token is None or access.knows(token)
