"""Who makes a change, and whether they may."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from service.access import PATCH_DEPLOYMENTS, Access, Caller, Permission
from service.cluster.workloads import Denied, Refused, WebhookFailed
from service.errors import CloudFoundryError, NotAuthorized
from service.model.process import Process
from service.pacing import in_batches

AT_A_TIME = 8


@dataclass(frozen=True)
class Actor:
    """Who writes, and the token they do it with."""

    caller: Caller
    token: str | None = field(repr=False)

    def require_token(self) -> str:
        """The token. Raises NotAuthorized: without one nothing can be changed."""
        if self.token is None:
            raise NotAuthorized
        return self.token


class Authority:
    """Asks, before a change is begun or after Kubernetes has refused it, whether the actor may do such a thing."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def may(self, actor: Actor, process: Process, permission: Permission, name: str) -> bool:
        """Whether the actor may do this to the object of this name in the process's namespace; "": to any."""
        return await self._access.may_change(actor.caller, permission, process.workload.namespace, name)

    async def authorize(self, actor: Actor, process: Process, permission: Permission, name: str) -> None:
        """Raises NotAuthorized unless the actor may do this to the object of this name that runs the process."""
        if not await self.may(actor, process, permission, name):
            raise NotAuthorized

    def leave(self, actor: Actor, process: Process, permission: Permission, name: str) -> "Leave":
        """The actor's leave to do this, which is asked for when it is known who else will be."""
        return Leave(self, self._access, actor, process, permission, name)

    async def authorize_all(self, actor: Actor, processes: Sequence[Process]) -> None:
        """Raises NotAuthorized unless the actor may change the Deployment of each process."""
        await in_batches(
            (self.authorize(actor, each, PATCH_DEPLOYMENTS, each.workload.name) for each in processes), AT_A_TIME
        )

    @asynccontextmanager
    async def answering(self, actor: Actor, process: Process, permission: Permission, name: str) -> AsyncIterator[None]:
        """Turns a refusal by Kubernetes, of a request of the actor inside of the block, into what the actor is told."""
        try:
            yield
        except Denied as error:
            raise await self._refusal(actor, process, permission, name, error) from error
        except WebhookFailed as error:
            raise Refused(error) from error

    async def _refusal(
        self, actor: Actor, process: Process, permission: Permission, name: str, denied: Denied
    ) -> CloudFoundryError:
        """What a 403 of Kubernetes means: NotAuthorized, or Refused where the actor may do such things."""
        if denied.is_of_caller:
            # Whatever is the answer by now: it was not about what they want.
            return NotAuthorized()
        return Refused(denied) if await self.may(actor, process, permission, name) else NotAuthorized()


@dataclass(frozen=True)
class Leave:
    """An actor's leave to do something to one object. Each way of asking for it raises NotAuthorized."""

    _authority: Authority
    _access: Access
    _actor: Actor
    _process: Process
    _permission: Permission
    _name: str

    async def now(self) -> None:
        """As it is now: nobody else will be asked."""
        await self._authority.authorize(self._actor, self._process, self._permission, self._name)

    async def lately(self) -> None:
        """As it is now, or was a while ago: Kubernetes will decide, and this spares it those who will be refused."""
        namespace = self._process.workload.namespace
        if not await self._access.could_change(self._actor.caller, self._permission, namespace, self._name):
            raise NotAuthorized
