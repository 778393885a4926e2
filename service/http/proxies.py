"""What proxies in front say, believed only of those that are trusted."""

import ipaddress
from functools import lru_cache

from aiohttp import hdrs, web

LONGEST_ADDRESS = 45
"""Characters, of IPv6 with an IPv4 address at its end."""


@lru_cache(maxsize=1024)
def is_trusted(remote: str | None, networks: tuple[str, ...]) -> bool:
    """Whether an address is in one of the networks."""
    try:
        address = ipaddress.ip_address(remote or "")
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        # How a socket that listens on :: shows a peer that came over IPv4.
        address = address.ipv4_mapped
    return any(address in ipaddress.ip_network(network) for network in networks)


def client_address(request: web.Request, trusted_proxies: tuple[str, ...]) -> str:
    """Who sent the request, as the nearest proxy that is trusted saw it; the peer itself where that is none."""
    address = request.remote or ""
    if not is_trusted(address, trusted_proxies):
        return address
    hops = ",".join(request.headers.getall(hdrs.X_FORWARDED_FOR, ())).split(",")
    while hops and is_trusted(address, trusted_proxies):
        # Each proxy adds its peer at the end: what is before that anyone may have written.
        address = hops.pop().strip()[:LONGEST_ADDRESS] or address
    return address
