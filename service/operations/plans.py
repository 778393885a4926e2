"""How a change of a Deployment is planned: of which state of it, and again when that has passed.

A plan is made of the Deployment either as a change has lately left it, which saves a request, or as it is read now.
Kubernetes refuses a plan that is made of any other than the present state.
"""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass

from service.cluster.workloads import Conflict, Denied, Workloads
from service.errors import ServiceUnavailable, UnprocessableEntity
from service.model.changes import Change, Live, Patch
from service.model.process import Process

ATTEMPTS = 12
"""How often a plan is made anew. In a rollout the status of a Deployment alone changes a few times."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.01, 0.5

REFUSALS = (Conflict, Denied, UnprocessableEntity)
"""Where the plan was made of a remembered state, each of these only says that the Deployment has to be read."""


@dataclass(frozen=True)
class Plan:
    """What is to change of a Deployment, and of which state of it."""

    live: Live
    patch: Patch
    is_read: bool
    """The state was read for this plan, and is not one that was remembered."""


class Overtaken(ServiceUnavailable):
    """Each plan was refused, as others had changed the Deployment meanwhile."""

    def __init__(self) -> None:
        super().__init__("The process is being changed by others all the time", retry_after_s=1)


class Plans:
    """The plans of one change, one after the other: whoever asks for the next says that the last one was refused."""

    def __init__(self, workloads: Workloads, token: str, process: Process, change: Change) -> None:
        self._workloads = workloads
        self._token = token
        self._process = process
        self._change = change
        self._attempts = 0
        self._pause = FIRST_PAUSE_S

    def remembered(self) -> Plan | None:
        """A plan of the remembered state; None: nothing is remembered, or that is not enough to make a plan of."""
        live = self._workloads.recall(self._process.workload)
        if live is None:
            return None
        with suppress(UnprocessableEntity):
            if patch := self._change.patch(live):
                return Plan(live, patch, is_read=False)
        return None

    async def read(self) -> Plan:
        """A plan of the state as it is read now, with the caller's token; after a pause, but for the first.

        Raises what reading does, UnprocessableEntity where the change cannot be made of what is read, and Overtaken.
        """
        if self._attempts == ATTEMPTS:
            raise Overtaken
        if self._attempts:
            await asyncio.sleep(self._pause * random.uniform(0.5, 1.0))
            self._pause = min(self._pause * 2, LONGEST_PAUSE_S)
        self._attempts += 1
        live = await self._workloads.read(self._token, self._process.workload)
        return Plan(live, self._change.patch(live), is_read=True)
