"""The plans of a change: what is to change of a Deployment, and which version of it that is for.

A plan is made for the version in the cache, which saves a request, or for the one that is read now. Kubernetes refuses
a plan for any other than the present version, and then the next plan is made.
"""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass

from service.cluster.workloads import Conflict, Denied, Workloads
from service.errors import ServiceUnavailable, UnprocessableEntity
from service.model.changes import Change
from service.model.process import Process
from service.model.snapshots import Patch, Snapshot

ATTEMPTS = 12
"""How often the Deployment is read for one change. In a rollout its status alone changes a few times."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.01, 0.5

REFUSALS = (Conflict, Denied, UnprocessableEntity)
"""For a plan from the cache, each of these says no more than that the Deployment has to be read."""


@dataclass(frozen=True)
class Plan:
    snapshot: Snapshot
    """The Deployment that the patch is for."""
    patch: Patch
    is_read: bool
    """Whether the snapshot was read for this plan; else it is from the cache."""


class Overtaken(ServiceUnavailable):
    """Each plan was refused, as others had changed the Deployment meanwhile."""

    def __init__(self) -> None:
        super().__init__("The process is being changed by others all the time", retry_after_s=1)


class Plans:
    """The plans of one change. A request for the next one means that the last one was refused."""

    def __init__(self, workloads: Workloads, token: str, process: Process, change: Change) -> None:
        self._workloads = workloads
        self._token = token
        self._process = process
        self._change = change
        self._attempts = 0
        self._pause = FIRST_PAUSE_S

    def cached(self) -> Plan | None:
        """A plan for the version in the cache. None: there is none, or it is such that it has to be read anew."""
        snapshot = self._workloads.cached(self._process.workload)
        return None if snapshot is None else self.of(snapshot)

    def of(self, snapshot: Snapshot) -> Plan | None:
        """A plan for a version that is known from elsewhere; None: the change cannot be planned for it."""
        with suppress(UnprocessableEntity):
            if patch := self._change.patch(snapshot):
                return Plan(snapshot, patch, is_read=False)
        return None

    async def read(self) -> Plan:
        """A plan for the version that is read now, with the caller's token; after a pause, but for the first.

        Raises what Workloads.read does, UnprocessableEntity where the change cannot be made of that version, and
        Overtaken.
        """
        if self._attempts == ATTEMPTS:
            raise Overtaken
        if self._attempts:
            await asyncio.sleep(self._pause * random.uniform(0.5, 1.0))
            self._pause = min(self._pause * 2, LONGEST_PAUSE_S)
        self._attempts += 1
        snapshot = await self._workloads.read(self._token, self._process.workload)
        return Plan(snapshot, self._change.patch(snapshot), is_read=True)
