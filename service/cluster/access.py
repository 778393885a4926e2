"""Who callers are and what they may do, as kube-apiserver decides: the implementation of service.access.

Answers are kept for a while (service.cluster.reviews), under hashes of tokens and questions: no token is kept. What is
kept is bounded: CALLERS_BYTES + PERMISSIONS_BYTES + CHANGES_BYTES + SIGHTS_BYTES, 32 MiB in all, whatever callers there
are. A token whose own expiry has passed is refused, whatever is kept.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Set
from typing import Any

from service.access import UNKNOWN, Caller, Permission, Unknown, Verb
from service.cache import memory_of
from service.cluster.client import Client
from service.cluster.reviewer import Attributes, Reviewer, token_hash
from service.cluster.reviews import ReviewCache, review_key
from service.cluster.sights import Sight, Sights
from service.errors import InvalidAuthToken, NotAuthenticated, NotAuthorized
from service.model.views import Visible
from service.pacing import Pace

API_PATH = "/v3/processes"
"""The nonResourceURL that stands for the whole API: a rule for `/v3/*` covers it."""
REFUSED_TOKEN_TTL_S = 10.0
"""How long a token that was refused is so without asking again: it may belong to an account made this minute."""
CALLERS_BYTES = 8 << 20
"""Callers by token: some 8,000 with the claims of a ServiceAccount, fewer where a provider sends many groups."""
PERMISSIONS_BYTES = 15 << 20
"""Answers about what callers may do: 40,000 of them."""
CHANGES_BYTES = 1 << 20
"""Answers about what callers could change: 2,500 of them."""
SIGHTS_BYTES = 8 << 20
"""The namespaces that callers may see, where these are not all: some 15,000 callers of the same rights."""
FEW = 8
"""Namespaces whose reviews are looked up one by one."""


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
        """`ttl_s`: how long an answer is used; `grace_s`: for how much longer, while kube-apiserver cannot be asked.

        `timeout_s` is for one review, `concurrency` how many are asked at a time.
        """
        self._reviewer = Reviewer(client, timeout_s=timeout_s, concurrency=concurrency)
        self._concurrency = concurrency
        self._clock = clock
        self._wall_clock = wall_clock
        self._callers: ReviewCache[Caller | None] = ReviewCache(
            capacity=CALLERS_BYTES,
            ttl_s=ttl_s,
            negative_ttl_s=REFUSED_TOKEN_TTL_S,
            grace_s=grace_s,
            size_of=_memory_of,
            clock=clock,
        )
        self._permissions: ReviewCache[bool] = ReviewCache(
            capacity=PERMISSIONS_BYTES, ttl_s=ttl_s, negative_ttl_s=ttl_s, grace_s=grace_s, clock=clock
        )
        # Who may not, and now may, is not to wait: a refusal is not kept.
        self._changes: ReviewCache[bool] = ReviewCache(
            capacity=CHANGES_BYTES, ttl_s=ttl_s, negative_ttl_s=0, grace_s=0, clock=clock
        )
        self._sights = Sights(SIGHTS_BYTES)

    @property
    def reviews(self) -> Mapping[str, ReviewCache[Any]]:
        """The caches, by what is reviewed."""
        return {"token": self._callers, "access": self._permissions, "change": self._changes}

    async def close(self) -> None:
        await self._callers.close()
        await self._permissions.close()
        await self._changes.close()

    async def identify(self, token: str | None) -> Caller:
        if token is None:
            raise NotAuthenticated
        known_by = token_hash(token)
        caller = self._callers.fresh(known_by, None)
        if caller is None:
            caller = await self._callers.get(known_by, lambda: self._reviewer.identify(token))
        if caller is None or caller.expires_at <= self._wall_clock():
            raise InvalidAuthToken
        return caller

    async def authenticate(self, token: str | None) -> Caller:
        caller = await self.identify(token)
        key = _api_key(caller)
        allowed = self._permissions.fresh(key, None)
        if allowed is None:
            attributes = {"nonResourceAttributes": {"path": API_PATH, "verb": "get"}}
            allowed = await self._allows(caller, key, attributes)
        if not allowed:
            raise NotAuthorized
        return caller

    def knows(self, token: str) -> bool:
        return self._callers.accepted(token_hash(token))

    async def may_change(self, caller: Caller, permission: Permission, namespace: str, name: str) -> bool:
        return await self._reviewer.allows(caller, _attributes(permission, namespace, name))

    async def could_change(self, caller: Caller, permission: Permission, namespace: str, name: str) -> bool:
        key = review_key(caller.key, permission.resource, permission.verb, namespace, name)
        return await self._changes.get(key, lambda: self.may_change(caller, permission, namespace, name))

    def recognize(self, token_hash: bytes) -> Caller | None:
        caller = self._callers.fresh(token_hash, None)
        if caller is None or caller.expires_at <= self._wall_clock():
            return None
        return caller if self._permissions.fresh(_api_key(caller), None) else None

    def recall(self, caller: Caller, namespaces: Set[str], *, verb: Verb = "list") -> Visible | Unknown:
        everywhere = self._permissions.fresh(_namespace_key(caller, verb, ""), None)
        if everywhere is None:
            return UNKNOWN
        if everywhere:
            return None
        if len(namespaces) > FEW:
            sight = self._sights.get(caller.key + _VERBS[verb])
            if sight is None or self._clock() >= sight.until or not namespaces <= sight.asked:
                return UNKNOWN
            return sight.seen
        allowed = []
        for name in tuple(namespaces):
            answer = self._permissions.fresh(_namespace_key(caller, verb, name), None)
            if answer is None:
                return UNKNOWN
            if answer:
                allowed.append(name)
        return frozenset(allowed)

    async def visible(self, caller: Caller, namespaces: Set[str], *, verb: Verb = "list") -> Visible:
        # Nearly each request asks twice, and nothing has to be awaited for that.
        known = self.recall(caller, namespaces, verb=verb)
        if known is not UNKNOWN:
            return known
        if await self._may(caller, verb, ""):
            return None
        if len(namespaces) <= FEW:
            return frozenset(await self._allowed(caller, namespaces, verb))
        key = caller.key + _VERBS[verb]
        sight = self._sights.get(key)
        if sight is None or self._clock() >= sight.until:
            sight = Sight(frozenset(), frozenset(), float("inf"))
        if unknown := namespaces - sight.asked:
            allowed = await self._allowed(caller, unknown, verb)
            until = min(self._permissions.fresh_until(_namespace_key(caller, verb, name)) for name in unknown)
            sight = Sight(sight.seen | allowed, sight.asked | unknown, min(sight.until, until))
            sight = self._sights.put(key, sight)
        return sight.seen

    async def _allowed(self, caller: Caller, namespaces: Set[str], verb: Verb) -> set[str]:
        """Those of the namespaces whose Deployments the caller may read by this verb."""
        allowed: set[str] = set()
        unanswered: list[str] = []
        pace = Pace()
        for name in tuple(namespaces):
            answer = self._permissions.fresh(_namespace_key(caller, verb, name), None)
            if answer is None:
                unanswered.append(name)
            elif answer:
                allowed.add(name)
            await pace.breathe()
        # No more at a time than there are slots: one caller's many namespaces must not fill the queue for everyone.
        for start in range(0, len(unanswered), self._concurrency):
            batch = unanswered[start : start + self._concurrency]
            answers = await asyncio.gather(*(self._may(caller, verb, name) for name in batch))
            allowed.update(name for name, answer in zip(batch, answers, strict=True) if answer)
        return allowed

    async def _may(self, caller: Caller, verb: Verb, namespace: str) -> bool:
        """Whether the caller may read the namespace's Deployments by this verb; "" stands for all namespaces."""
        attributes = {"group": "apps", "resource": "deployments", "verb": verb, "namespace": namespace}
        return await self._allows(caller, _namespace_key(caller, verb, namespace), {"resourceAttributes": attributes})

    async def _allows(self, caller: Caller, key: bytes, attributes: Attributes) -> bool:
        return await self._permissions.get(key, lambda: self._reviewer.allows(caller, attributes))


def _api_key(caller: Caller) -> bytes:
    return caller.key + b"api"


_VERBS: Mapping[Verb, bytes] = {"get": b"get", "list": b"list"}


def _namespace_key(caller: Caller, verb: Verb, namespace: str) -> bytes:
    # The question that each request asks goes without the microseconds of a hash: its words are few, and ours.
    return review_key(caller.key, verb, namespace) if namespace else caller.key + _VERBS[verb]


def _attributes(permission: Permission, namespace: str, name: str) -> Attributes:
    return {
        "resourceAttributes": {
            "group": permission.group,
            "resource": permission.resource,
            "verb": permission.verb,
            "namespace": namespace,
            "name": name,
        }
    }


def _memory_of(caller: Caller | None) -> int:
    """Bytes of a caller: an identity provider chooses how long their names are, and how many groups they have."""
    if caller is None:
        return 0
    return memory_of(
        (
            caller.name,
            caller.key,
            caller.uid,
            caller.groups,
            caller.extra,
            caller.expires_at,
            caller.token_hash,
            caller.person,
        )
    )
