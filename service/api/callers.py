"""Who asks: the step before everything else, with the limits on how often."""

from aiohttp import web

from service.api.keys import ACCESS, RATE_LIMITS
from service.cluster.access import Caller


async def authenticate(request: web.Request, authorization: str | None) -> Caller:
    """Who has sent the request, by an Authorization header or what stands for one.

    Raises what Access.authenticate does, RateLimitExceeded and AddressRateLimitExceeded.
    """
    access, limits = request.app[ACCESS], request.app.get(RATE_LIMITS)
    if limits is not None:
        return await limits.admit(request, access, authorization)
    return await access.authenticate(authorization)
