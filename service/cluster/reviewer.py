"""Reviews asked of kube-apiserver: who a token belongs to, and what somebody may do.

Nothing is kept here: service.cluster.access does that. Reviews at a time are bounded.
"""

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import msgspec
import orjson

from service.access import Caller
from service.cluster.client import Client, ClusterUnreachable, UnexpectedStatus
from service.errors import ServiceUnavailable
from service.telemetry import get_logger

log = get_logger(__name__)

MAXIMUM_WAITING = 1024
"""Reviews under way and waiting; beyond, callers are told to come back."""

Attributes = Mapping[str, Mapping[str, str]]
"""What a SubjectAccessReview asks about: `resourceAttributes` or `nonResourceAttributes`, as Kubernetes spells them."""


def token_hash(token: str) -> bytes:
    """What stands for a token wherever something is kept: its SHA-256."""
    return hashlib.sha256(token.encode()).digest()


class Reviewer:
    """Methods raise ServiceUnavailable: ClusterUnreachable, or that too many reviews are under way."""

    def __init__(self, client: Client, *, timeout_s: float, concurrency: int) -> None:
        """`timeout_s` is for one review, the wait for its turn included; `concurrency`: reviews asked at a time."""
        self._client = client
        self._timeout_s = timeout_s
        self._slots = asyncio.Semaphore(concurrency)
        self._waiting = 0

    async def identify(self, token: str) -> Caller | None:
        """Whose token this is; None: nobody's, as far as the cluster knows."""
        while True:
            status = await self._review("authentication.k8s.io/v1/tokenreviews", {"token": token}, _TokenReview)
            if status.authenticated:
                break
            if not await self._client.may_deny_too_soon():
                return None
        user = status.user
        groups = tuple(user.groups or ())
        extra = tuple((name, tuple(values)) for name, values in sorted((user.extra or {}).items()))
        # Whoever leaves a group is somebody else: no permission of the former self may be found under the new key.
        identity = repr((user.username, user.uid, groups, extra)).encode()
        return Caller(
            name=user.username,
            key=hashlib.sha256(token_hash(token) + identity).digest(),
            uid=user.uid,
            groups=groups,
            extra=extra,
            expires_at=token_expiry(token),
            token_hash=token_hash(token),
        )

    async def allows(self, caller: Caller, attributes: Attributes) -> bool:
        """Whether the caller may do this."""
        spec = {
            "user": caller.name,
            "uid": caller.uid,
            "groups": list(caller.groups),
            "extra": {name: list(values) for name, values in caller.extra},
            **attributes,
        }
        while True:
            review = await self._review("authorization.k8s.io/v1/subjectaccessreviews", spec, _AccessReview)
            if review.allowed or not await self._client.may_deny_too_soon():
                return review.allowed

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
