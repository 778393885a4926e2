"""Who the caller is (TokenReview) and what they may see (SubjectAccessReview).

Answers are kept (service.cluster.reviews says how long) under the SHA-256 of the token, never under the token. Reviews
at a time are bounded. A token whose own expiry has passed is refused, whatever is kept.
"""

import asyncio
import base64
import binascii
import hashlib
import time
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
import orjson
from cachetools import LRUCache

from service.access import Caller, Permission, Verb
from service.cluster.client import Client, ClusterUnreachable, UnexpectedStatus
from service.cluster.reviews import ReviewCache
from service.errors import InvalidAuthToken, NotAuthenticated, NotAuthorized, ServiceUnavailable
from service.model.views import Visible
from service.telemetry import get_logger

log = get_logger(__name__)

API_PATH = "/v3/processes"
"""The nonResourceURL that stands for the whole API: a rule for `/v3/*` covers it."""
MAXIMUM_WAITING = 1024
"""Reviews under way and waiting; beyond, callers are told to come back."""
REFUSED_TOKEN_TTL_S = 10.0
_SIGHT_S = 1.0


class ClusterAccess:
    """kube-apiserver decides."""

    needs_token = True

    def __init__(
        self,
        client: Client,
        *,
        ttl_s: float,
        grace_s: float,
        timeout_s: float,
        concurrency: int,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._concurrency = concurrency
        self._clock = clock
        self._wall_clock = wall_clock
        self._slots = asyncio.Semaphore(concurrency)
        self._waiting = 0
        # A token that is not accepted is soon asked about again: it may belong to an account made this minute.
        self._callers: ReviewCache[Caller | None] = ReviewCache(
            ttl_s=ttl_s, negative_ttl_s=REFUSED_TOKEN_TTL_S, grace_s=grace_s, clock=clock
        )
        self._permissions: ReviewCache[bool] = ReviewCache(
            ttl_s=ttl_s, negative_ttl_s=ttl_s, grace_s=grace_s, clock=clock
        )
        self._sights: LRUCache[tuple[bytes, Verb], _Sight] = LRUCache(4096)

    @property
    def reviews(self) -> Mapping[str, ReviewCache[Any]]:
        """By what is reviewed."""
        return {"token": self._callers, "access": self._permissions}

    async def close(self) -> None:
        await self._callers.close()
        await self._permissions.close()

    async def authenticate(self, token: str | None) -> Caller:
        if token is None:
            raise NotAuthenticated
        key = _key(token)
        caller = await self._callers.get(key, lambda: self._review_token(token, key))
        if caller is None or caller.expires_at <= self._wall_clock():
            raise InvalidAuthToken
        if not await self._allowed(caller, {"nonResourceAttributes": {"path": API_PATH, "verb": "get"}}, (API_PATH,)):
            raise NotAuthorized
        return caller

    def knows(self, token: str) -> bool:
        return self._callers.remembers(_key(token))

    async def may_change(self, caller: Caller, permission: Permission, namespace: str) -> bool:
        attributes = {
            "group": permission.group,
            "resource": permission.resource,
            "verb": permission.verb,
            "namespace": namespace,
        }
        return await self._review_access(caller, {"resourceAttributes": attributes})

    async def visible(self, caller: Caller, namespaces: Set[str], *, verb: Verb = "list") -> Visible:
        # Looking thousands of answers up in the cache for every request would cost more than the page itself.
        key = (caller.key, verb)
        sight = self._sights.get(key)
        if sight is None or self._clock() >= sight.until:
            until = self._clock() + _SIGHT_S
            sight = _Sight(None if await self._may(caller, verb, "") else frozenset(), frozenset(), until)
        if sight.seen is None:
            self._sights[key] = sight
            return None
        if unknown := namespaces - sight.asked:
            allowed = await self._allowed_in(caller, verb, unknown)
            sight = _Sight(sight.seen.union(allowed), sight.asked.union(unknown), sight.until)
            self._sights[key] = sight
        return sight.seen

    async def _allowed_in(self, caller: Caller, verb: Verb, namespaces: Set[str]) -> set[str]:
        """Those of the namespaces whose Deployments the caller may get, or list."""
        kept = {name: self._permissions.peek((caller.key, verb, name), None) for name in namespaces}
        allowed = {name for name, answer in kept.items() if answer}
        unanswered = [name for name, answer in kept.items() if answer is None]
        # No more at a time than there are slots: one caller's many namespaces must not fill the queue for everyone.
        for start in range(0, len(unanswered), self._concurrency):
            batch = unanswered[start : start + self._concurrency]
            answers = await asyncio.gather(*(self._may(caller, verb, name) for name in batch))
            allowed.update(name for name, answer in zip(batch, answers, strict=True) if answer)
        return allowed

    async def _may(self, caller: Caller, verb: str, namespace: str) -> bool:
        attributes = {"group": "apps", "resource": "deployments", "verb": verb, "namespace": namespace}
        return await self._allowed(caller, {"resourceAttributes": attributes}, (verb, namespace))

    async def _allowed(self, caller: Caller, attributes: dict[str, Any], key: tuple[str, ...]) -> bool:
        return await self._permissions.get((caller.key, *key), lambda: self._review_access(caller, attributes))

    async def _review_token(self, token: str, key: bytes) -> Caller | None:
        status = await self._review("authentication.k8s.io/v1/tokenreviews", {"token": token}, _TokenReview)
        if not status.authenticated:
            return None
        user = status.user
        groups = tuple(user.groups or ())
        extra = tuple((name, tuple(values)) for name, values in sorted((user.extra or {}).items()))
        # Whoever leaves a group is somebody else: no permission of the former self may be found under the new key.
        identity = repr((user.username, user.uid, groups, extra)).encode()
        return Caller(
            name=user.username,
            key=hashlib.sha256(key + identity).digest(),
            uid=user.uid,
            groups=groups,
            extra=extra,
            expires_at=token_expiry(token),
        )

    async def _review_access(self, caller: Caller, attributes: dict[str, Any]) -> bool:
        spec = {
            "user": caller.name,
            "uid": caller.uid,
            "groups": list(caller.groups),
            "extra": {name: list(values) for name, values in caller.extra},
            **attributes,
        }
        return (await self._review("authorization.k8s.io/v1/subjectaccessreviews", spec, _AccessReview)).allowed

    async def _review(self, path: str, spec: dict[str, Any], kind: "type[_Review[_StatusT]]") -> "_StatusT":
        if self._waiting >= MAXIMUM_WAITING:
            raise ServiceUnavailable("Too many callers are waiting to be authorized", retry_after_s=1)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._timeout_s), self._slots:
                answer = await self._client.create(f"/apis/{path}", {"spec": spec})
            return msgspec.json.decode(answer, type=kind).status
        except TimeoutError as error:
            raise ClusterUnreachable(f"{path}: no review within {self._timeout_s} s") from error
        except UnexpectedStatus as error:
            # Our own account may not ask: callers can do nothing about it, the operator must see why.
            log.error("review refused", path=path, reason=str(error))
            raise ClusterUnreachable(str(error)) from error
        except msgspec.DecodeError as error:
            raise ClusterUnreachable(f"{path}: the answer is not a review") from error
        finally:
            self._waiting -= 1


@dataclass(frozen=True, slots=True)
class _Sight:
    """What a caller sees (None: everything) of the namespaces asked about.

    It lives for a moment: the reviews behind it are the truth.
    """

    seen: Visible
    asked: frozenset[str]
    until: float


_StatusT = TypeVar("_StatusT")


class _Review(msgspec.Struct, Generic[_StatusT]):
    status: _StatusT


class _User(msgspec.Struct):
    username: str = ""
    uid: str = ""
    groups: list[str] | None = None
    extra: dict[str, list[str]] | None = None


class _TokenReviewStatus(msgspec.Struct):
    authenticated: bool = False
    user: _User = msgspec.field(default_factory=_User)


class _AccessReviewStatus(msgspec.Struct):
    allowed: bool = False


_TokenReview = _Review[_TokenReviewStatus]
_AccessReview = _Review[_AccessReviewStatus]


def _key(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def token_expiry(token: str) -> float:
    """The `exp` of a JWT, seconds since the epoch; infinite where there is none. The cluster has verified it."""
    parts = token.split(".")
    if len(parts) != 3:
        return float("inf")
    try:
        claims = orjson.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return float(claims["exp"])
    except (binascii.Error, ValueError, KeyError, TypeError):
        return float("inf")
