"""The dashboard's own files: read once, named with a digest of what is in them, so that browsers may keep them."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from aiohttp import hdrs, web

from service.errors import UnknownRequest

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Asset:
    body: bytes
    content_type: str
    digest: str


@cache
def assets() -> dict[str, Asset]:
    """By name."""
    found = {}
    for file in files("service.dashboard").joinpath("static").iterdir():
        body, kind = file.read_bytes(), file.name.rpartition(".")[2]
        if kind in _TYPES:
            found[file.name] = Asset(body, _TYPES[kind], hashlib.blake2b(body, digest_size=8).hexdigest())
    return found


def asset_href(name: str) -> str:
    """Where a file is, as it is now."""
    return f"/ui/static/{name}?{assets()[name].digest}"


async def static(request: web.Request) -> web.Response:
    """GET /ui/static/{name}, without a session: there is nothing of anybody's in it."""
    asset = assets().get(request.match_info["name"])
    if asset is None:
        raise UnknownRequest
    current = request.query_string == asset.digest
    headers = {hdrs.ETAG: f'"{asset.digest}"', hdrs.CACHE_CONTROL: _FOR_EVER if current else "no-cache"}
    if request.headers.get(hdrs.IF_NONE_MATCH) == headers[hdrs.ETAG]:
        return web.Response(status=304, headers=headers)
    return web.Response(body=asset.body, content_type=asset.content_type, charset="utf-8", headers=headers)
