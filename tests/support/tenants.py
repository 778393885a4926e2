"""A victim and an attacker, each of whom may do everything in a namespace of their own, and others who see both."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

from service.model.guids import process_guid
from tests.support.api import Api
from tests.support.kube import KEYS, Kube, deployment, eventually

PRIVATE = "the-victims-own"
FORGED = "the-attackers-own"

Copied = Literal["app", "process", "space"]
"""Whose GUIDs an attacker copies; with the space's goes the organization's."""
EVERYTHING: tuple[Copied, ...] = ("app", "process", "space")
Older = Literal["the victim's is older", "the attacker's is older"]


@dataclass
class Tenants:
    api: Api
    """May do everything everywhere."""
    kube: Kube
    mine: str
    """The victim's namespace, and theirs the attacker's."""
    theirs: str
    space: str
    """What the victim's namespace says it is."""
    organization: str
    app: str
    guid: str
    """Of the victim's web process."""
    victim: Api
    attacker: Api
    both: Api
    """May do everything in both namespaces."""
    half: Api
    """May do everything in the victim's, and read the other."""
    reader: Api
    """May read both."""

    @property
    def addresses(self) -> list[str]:
        return [f"/v3/processes/{self.guid}", f"/v3/apps/{self.app}/processes/web"]

    @property
    def places(self) -> list[tuple[str, str]]:
        """The two Deployments, the victim's first."""
        return [(self.mine, "web"), (self.theirs, "forged")]

    def manifest(self, name: str, namespace: str, kind: str = "web", **more: Any) -> dict[str, Any]:
        return deployment(name, namespace, self.app, kind, replicas=1, **more)

    def web(self, command: str) -> dict[str, Any]:
        """The victim's web process."""
        derived = self.guid == process_guid(self.mine, self.app, "web")
        return self.manifest(
            "web", self.mine, labels={} if derived else {KEYS.process_guid: self.guid}, command=[command]
        )

    async def settle(self, older: Older) -> None:
        """The victim's processes run, and the attacker has a Deployment that is not labelled yet."""
        steps = [
            lambda: self.kube.create(self.manifest("forged", self.theirs, labels={"a": "b"}, command=[FORGED])),
            lambda: self.kube.create(self.web(PRIVATE)),
        ]
        for step in steps if older == "the attacker's is older" else reversed(steps):
            await step()
            await asyncio.sleep(1.1)  # Kubernetes' creation times are whole seconds
        removed = [key.replace("/", "~1") for key in (KEYS.app_guid, KEYS.process_type)]
        operations = [{"op": "remove", "path": f"/metadata/labels/{key}"} for key in removed]
        await self.kube.patch_json(self.theirs, "forged", operations)
        await self.kube.create(self.manifest("worker", self.mine, "worker"))
        await shown(self.victim, f"/v3/apps/{self.app}/processes", 2)
        await running_web(self.victim, self.app)
        body = {"metadata": {"labels": {PRIVATE: "yes"}, "annotations": {PRIVATE: "secret"}}}
        assert (await self.victim.patch(self.addresses[0], body)).status == 200

    async def attack(self, *copied: Copied) -> None:
        """The attacker labels what is theirs with GUIDs of the victim's: all of them, unless told which."""
        copied = copied or EVERYTHING
        labels = {KEYS.process_type: "web", KEYS.app_guid: self.app if "app" in copied else str(uuid4())}
        if "process" in copied:
            labels[KEYS.process_guid] = self.guid
        if "space" in copied:
            labels[KEYS.space_guid] = self.space
            claimed = {KEYS.space_guid: self.space, KEYS.organization_guid: self.organization}
            namespace = f"/api/v1/namespaces/{self.theirs}"
            patch = {"metadata": {"labels": claimed}}
            await self.kube.request("PATCH", namespace, patch, kind="application/merge-patch+json")
        pods = {"metadata": {"labels": {KEYS.app_guid: labels[KEYS.app_guid]}}}
        await self.kube.patch(self.theirs, "forged", {"metadata": {"labels": labels}, "spec": {"template": pods}})
        await running_web(self.attacker, labels[KEYS.app_guid])


@asynccontextmanager
async def two_tenants(api: Api, kube: Kube, *, labelled: bool = False) -> AsyncIterator[Tenants]:
    """Two namespaces and people. `labelled`: the victim's web process is called what a label says."""
    space, organization, app = (str(uuid4()) for _ in range(3))
    mine = await kube.create_namespace({KEYS.space_guid: space, KEYS.organization_guid: organization})
    theirs = await kube.create_namespace()

    async def person(**roles_in: str) -> Api:
        places = {"mine": mine, "theirs": theirs}
        roles = {places[name]: cluster_role for name, cluster_role in roles_in.items()}
        return api.as_user(await kube.token_of_new_user(cluster_roles=("processes-api",), roles_in=roles))

    operator, reader = "processes-operator", "processes-reader"
    tenants = Tenants(
        api=api,
        kube=kube,
        mine=mine,
        theirs=theirs,
        space=space,
        organization=organization,
        app=app,
        guid=str(uuid4()) if labelled else process_guid(mine, app, "web"),
        victim=await person(mine=operator),
        attacker=await person(theirs=operator),
        both=await person(mine=operator, theirs=operator),
        half=await person(mine=operator, theirs=reader),
        reader=await person(mine=reader, theirs=reader),
    )
    yield tenants
    for namespace in (mine, theirs):
        # At once: Kubernetes takes its time to empty a namespace that is deleted.
        await kube.request("DELETE", f"/apis/apps/v1/namespaces/{namespace}/deployments")
        await kube.delete_namespace(namespace)
    # Whoever counts shared GUIDs next would count these, until they are gone.
    for filtered in (f"guids={tenants.guid}", f"app_guids={app}"):
        await shown(api, f"/v3/processes?{filtered}", 0)


async def shown(user: Api, path: str, count: int) -> None:
    """Comes back when a list has that many items."""

    async def done() -> bool:
        reply = await user.get(path)
        return reply.status == 200 and reply.json["total_results"] == count

    await eventually(done)


async def running_web(user: Api, app: str) -> None:
    """Comes back when the web process of an app runs its one instance, and no other."""

    async def done() -> bool:
        reply = await user.get(f"/v3/apps/{app}/processes/web/stats")
        return reply.status == 200 and [row["state"] for row in reply.json["resources"]] == ["RUNNING"]

    await eventually(done)
