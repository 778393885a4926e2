"""The port to whoever decides about access: who a caller is, and what they may do.

service.cluster.access has the implementation that asks Kubernetes.
"""

from collections.abc import Set
from dataclasses import dataclass
from typing import Literal, Protocol

from service.model.views import Visible

Verb = Literal["get", "list"]


@dataclass(frozen=True)
class Caller:
    """Someone the cluster knows. `key` stands for their token and for who they are by it: a SHA-256 of both."""

    name: str
    key: bytes
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
    expires_at: float = float("inf")
    """The token's own expiry, seconds since the epoch."""


@dataclass(frozen=True)
class Permission:
    """To do something to a kind of object."""

    verb: str
    group: str
    resource: str


PATCH_DEPLOYMENTS = Permission("patch", "apps", "deployments")
DELETE_PODS = Permission("delete", "", "pods")


ANYONE = Caller(name="anyone", key=b"")


class Access(Protocol):
    """What operations ask of whoever decides about access."""

    needs_token: bool
    """False: everybody is let in, whether or not they show a token."""

    async def authenticate(self, token: str | None) -> Caller:
        """The caller whose bearer token this is.

        Raises NotAuthenticated (there is none), InvalidAuthToken, NotAuthorized (may not use the API at all),
        ServiceUnavailable.
        """

    def knows(self, token: str) -> bool:
        """Whether this token was accepted before, as far as is remembered. A guessed one never was."""

    async def visible(self, caller: Caller, namespaces: Set[str], *, verb: Verb = "list") -> Visible:
        """The namespaces whose Deployments the caller may list, or get: all of these that are, and maybe more such.

        Raises ServiceUnavailable.
        """

    async def may_change(self, caller: Caller, permission: Permission, namespace: str) -> bool:
        """Whether the caller may do this there now: asked anew each time. Raises ServiceUnavailable."""


class Unrestricted:
    """Everyone may read everything, and change nothing. Settings allow it on loopback only."""

    needs_token = False

    async def authenticate(self, token: str | None) -> Caller:
        return ANYONE

    def knows(self, token: str) -> bool:
        return True

    async def visible(self, caller: Caller, namespaces: Set[str], *, verb: Verb = "list") -> Visible:
        return None

    async def may_change(self, caller: Caller, permission: Permission, namespace: str) -> bool:
        return False
