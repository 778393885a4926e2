"""Statistics as bytes: whoever polls the same process within the same second is sent the same."""

import hashlib
from collections.abc import Mapping, Sequence

import msgspec
import orjson
from aiohttp import web

from service.api.resources.instances.presenter import present_stats
from service.cache import RecencyCache
from service.model.instances import Instance
from service.model.process import Key, Process
from service.model.times import SECOND
from service.model.usage import Usage
from service.operations.instances import Stats

STATS_BYTES = 1 << 20
"""What is kept of bodies and of what they show."""


class _Body(msgspec.Struct, frozen=True):
    process: Process
    instances: Sequence[Instance]
    usage: Mapping[tuple[str, str], Usage] | None
    second: int
    encoded: bytes
    etag: str


class StatsBodies:
    def __init__(self, fds_quota: int, capacity: int = STATS_BYTES) -> None:
        """`fds_quota` is the setting of that name; `capacity` is in bytes."""
        self._fds_quota = fds_quota
        self._bodies: RecencyCache[Key, _Body] = RecencyCache(capacity)

    def encode(self, stats: Stats, now: int) -> tuple[bytes, str]:
        """The body, and its ETag. Uptimes are those at the beginning of the second."""
        body, second = self._bodies.get(stats.process.key), now // SECOND
        if (
            body is None
            or body.second != second
            or body.process is not stats.process
            or body.usage is not stats.usage
            or body.instances != stats.instances
        ):
            encoded = bytes(memoryview(orjson.dumps(present_stats(stats, second * SECOND, self._fds_quota))))
            etag = hashlib.blake2b(encoded, digest_size=16).hexdigest()
            body = _Body(stats.process, stats.instances, stats.usage, second, encoded, etag)
            self._bodies.put(stats.process.key, body, 2 * len(encoded))
        return body.encoded, body.etag


STATS_BODIES = web.AppKey("stats_bodies", StatsBodies)
