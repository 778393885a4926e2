"""Permissions are kept by who somebody is, not by their token alone."""

from typing import Any, cast

import orjson

from service.cluster.access import ClusterAccess
from service.cluster.client import Client


class Cluster:
    """Reviews as kube-apiserver would answer them: members of `ops` may do everything."""

    groups: tuple[str, ...] = ("ops",)

    async def may_deny_too_soon(self) -> bool:
        return False

    async def create(self, path: str, body: Any) -> bytes:
        if path.endswith("tokenreviews"):
            user = {"username": "jane", "groups": list(self.groups)}
            return orjson.dumps({"status": {"authenticated": True, "user": user}})
        spec = body["spec"]
        allowed = "nonResourceAttributes" in spec or "ops" in spec["groups"]
        return orjson.dumps({"status": {"allowed": allowed}})


async def test_who_leaves_a_group_loses_what_it_gave_though_a_former_self_goes_on_asking() -> None:
    cluster, now = Cluster(), 0.0
    access = ClusterAccess(cast(Client, cluster), ttl_s=60, grace_s=900, timeout_s=5, concurrency=4, clock=lambda: now)
    former = await access.authenticate("token")
    assert await access.visible(former, {"space"}, verb="get") is None
    cluster.groups = ()
    now = 61.0
    assert await access.visible(former, {"space"}, verb="get") is None
    jane = await access.authenticate("token")
    assert await access.visible(jane, {"space"}, verb="get") == frozenset()
    assert await access.visible(jane, {"space"}) == frozenset()
    await access.close()
