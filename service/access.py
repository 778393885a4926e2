"""The port to whoever decides about access: who a caller is, and what they may do.

service.cluster.access has the implementation that asks Kubernetes.
"""

import hashlib
from collections.abc import Set
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal, Protocol

from service.model.views import Visible

Verb = Literal["get", "list"]
"""The two ways to read Deployments in Kubernetes' RBAC: `get` one by its name, `list` those of a namespace."""


class Unknown(Enum):
    """What stands for an answer that somebody would have to be asked for."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN


@dataclass(frozen=True, slots=True)
class Caller:
    """Someone the cluster knows."""

    name: str
    key: bytes
    """A SHA-256 of their token and of who they are by it."""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
    expires_at: float = float("inf")
    """The token's own expiry, seconds since the epoch."""
    token_hash: bytes = b""
    """Of the token they have shown."""
    person: bytes = field(init=False, compare=False)
    """Stands for whoever it is, whichever of their tokens they show; short, however long the name."""

    def __post_init__(self) -> None:
        # Made once, not with each request of theirs.
        person = hashlib.blake2b(f"{self.uid}\0{self.name}".encode(), digest_size=16).digest()
        object.__setattr__(self, "person", person)


@dataclass(frozen=True)
class Permission:
    """A permission to change objects of a kind, in the words of Kubernetes' RBAC."""

    verb: str
    group: str
    resource: str


PATCH_DEPLOYMENTS = Permission("patch", "apps", "deployments")
DELETE_PODS = Permission("delete", "", "pods")

ANYONE = Caller(name="anyone", key=b"")


class Access(Protocol):
    """Decides who callers are and what they may do."""

    needs_token: bool
    """False: everybody is let in, whether or not they show a token."""

    async def identify(self, token: str | None) -> Caller:
        """The caller whose bearer token this is, whether or not they may use the API.

        Raises NotAuthenticated (there is none), InvalidAuthToken, ServiceUnavailable.
        """

    async def authenticate(self, token: str | None) -> Caller:
        """Whose token this is, if they may use the API; else it raises NotAuthorized, or what `identify` does."""

    def knows(self, token: str) -> bool:
        """Whether this token was accepted lately, without asking anybody. A guessed one never was."""

    def recognize(self, token_hash: bytes) -> Caller | None:
        """Whom `authenticate` would return for a token at once; None: nobody, or somebody would have to be asked."""

    def recall(self, caller: Caller, namespaces: Set[str], *, verb: Verb = "list") -> Visible | Unknown:
        """What `visible` would return at once; UNKNOWN: somebody would have to be asked."""

    async def visible(self, caller: Caller, namespaces: Set[str], *, verb: Verb = "list") -> Visible:
        """The namespaces in whose Deployments the caller may read by this verb; None: in all there are.

        All of `namespaces` that are such, and maybe some more. Raises ServiceUnavailable.
        """

    async def may_change(self, caller: Caller, permission: Permission, namespace: str, name: str) -> bool:
        """Whether the caller may do this now to the object of this name; with none (""), to any of the namespace.

        Asked anew each time. Raises ServiceUnavailable.
        """

    async def could_change(self, caller: Caller, permission: Permission, namespace: str, name: str) -> bool:
        """As `may_change`, but if it was so a while ago that will do: for what Kubernetes itself then decides."""


class Unrestricted:
    """Everyone may read everything, and change nothing. Settings allow it on loopback only."""

    needs_token = False

    async def identify(self, token: str | None) -> Caller:
        return ANYONE

    async def authenticate(self, token: str | None) -> Caller:
        return ANYONE

    def knows(self, token: str) -> bool:
        return True

    def recognize(self, token_hash: bytes) -> Caller | None:
        return ANYONE

    def recall(self, caller: Caller, namespaces: Set[str], *, verb: Verb = "list") -> Visible | Unknown:
        return None

    async def visible(self, caller: Caller, namespaces: Set[str], *, verb: Verb = "list") -> Visible:
        return None

    async def may_change(self, caller: Caller, permission: Permission, namespace: str, name: str) -> bool:
        return False

    async def could_change(self, caller: Caller, permission: Permission, namespace: str, name: str) -> bool:
        return False
