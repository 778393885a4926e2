"""Which Pods are the instances, where Deployments and Pods are as people have them: the same on every replica."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import pytest

from service.settings import Settings
from tests.support.admission import injecting
from tests.support.api import Api, running
from tests.support.apps import MakeApp
from tests.support.kube import HOLD, Kube, deployment, eventually

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
Rows = list[dict[str, Any]]


def guids_of(rows: Rows) -> list[object]:
    return [row.get("instance_guid") for row in rows]


@dataclass
class Replicas:
    """Services that must say the same."""

    services: Sequence[Api]

    async def rows(self, app: str, check: Callable[[Rows], bool]) -> Rows:
        """The rows of stats, once they are as `check` wants them, and the same everywhere."""
        last: list[Rows] = []

        async def agreed() -> bool:
            nonlocal last
            replies = await asyncio.gather(*(each.get(f"/v3/apps/{app}/processes/web/stats") for each in self.services))
            assert [reply.status for reply in replies] == [200] * len(self.services), replies[0].body
            last = [reply.json["resources"] for reply in replies]
            return all(guids_of(rows) == guids_of(last[0]) and check(rows) for rows in last)

        try:
            await eventually(agreed, 20)
        except AssertionError:
            raise AssertionError(f"not so: {last}") from None
        return last[0]

    async def run(self, app: str, *guids: object) -> list[object]:
        """The uids of the Pods, once as many run; those given, other than None, are at their index."""

        def so(rows: Rows) -> bool:
            found = guids_of(rows)
            if [row["state"] for row in rows] != ["RUNNING"] * len(guids):
                return False
            return all(guid in (None, other) for guid, other in zip(guids, found, strict=True))

        return guids_of(await self.rows(app, so))

    async def run_others(self, app: str, count: int, *than: object) -> list[object]:
        """The same, once none of them is one of these."""

        def so(rows: Rows) -> bool:
            return [row["state"] for row in rows] == ["RUNNING"] * count and not {*than} & {*guids_of(rows)}

        return guids_of(await self.rows(app, so))

    async def terminate(self, app: str, index: int) -> None:
        """Through the last of them."""
        reply = await self.services[-1].delete(f"/v3/apps/{app}/processes/web/instances/{index}")
        assert reply.status == 204, reply.body

    @asynccontextmanager
    async def joined(self, settings: Settings) -> AsyncIterator["Replicas"]:
        """With one more, which has seen nothing of what was before."""
        async with running(settings, token=self.services[0].token) as newcomer:
            yield Replicas([*self.services, newcomer])


@pytest.fixture
async def replicas(api: Api, settings: Settings, operator_token: str) -> AsyncIterator[Replicas]:
    async with running(settings, token=operator_token) as other:
        yield Replicas([api, other])


@pytest.fixture
async def held(kube: Kube, space: str) -> AsyncIterator[str]:
    """The test's own namespace, in which whatever is held is let go at the end."""
    yield space
    await kube.let_go(space)


async def pods_by_uid(kube: Kube, namespace: str) -> dict[str, Any]:
    return {pod["metadata"]["uid"]: pod for pod in await kube.pods(namespace)}


async def names_of(kube: Kube, namespace: str, *uids: object) -> list[str]:
    pods = await pods_by_uid(kube, namespace)
    return [pods[str(uid)]["metadata"]["name"] for uid in uids]


async def is_going(kube: Kube, namespace: str, uid: object) -> bool:
    pod = (await pods_by_uid(kube, namespace)).get(str(uid))
    return pod is None or "deletionTimestamp" in pod["metadata"]


# Pods that do not go


async def test_one_that_hangs_in_termination_gives_its_index_to_its_replacement(
    kube: Kube, held: str, replicas: Replicas, settings: Settings, make_app: MakeApp
) -> None:
    app = await make_app("web", replicas=2)
    first, second = await replicas.run(app, None, None)
    await kube.hold_pods(held)
    await replicas.terminate(app, 0)
    third, _ = await replicas.rows(app, lambda rows: guids_of(rows)[0] not in (None, first))
    await replicas.run(app, third["instance_guid"], second)
    # Terminating reaches the one that is shown, and hanging Pods may be many.
    await kube.hold_pods(held, *await names_of(kube, held, third["instance_guid"]))
    await replicas.terminate(app, 0)
    assert await is_going(kube, held, third["instance_guid"])
    fourth, _ = await replicas.run_others(app, 2, first, third["instance_guid"])
    assert not await is_going(kube, held, second)
    async with replicas.joined(settings) as more:
        assert await more.run(app, fourth, second) == [fourth, second]
    await kube.let_go(held)
    assert await replicas.run(app, fourth, second) == [fourth, second]


async def test_one_that_nothing_replaces_is_shown_as_long_as_it_hangs_and_after_a_restart(
    kube: Kube, held: str, replicas: Replicas, settings: Settings, make_app: MakeApp
) -> None:
    app = await make_app("web", replicas=2)
    first, second = await replicas.run(app, None, None)
    await kube.hold_pods(held)
    # Nothing is wanted in its place, and its ReplicaSet has nothing more to do.
    await kube.patch(held, f"web-{app}", {"spec": {"replicas": 0}})

    async def both_are_going() -> bool:
        return await is_going(kube, held, first) and await is_going(kube, held, second)

    await eventually(both_are_going)
    await kube.limit_pods(held, 0)
    await kube.patch(held, f"web-{app}", {"spec": {"replicas": 3}})
    stopping = replace(settings, instance_stopping_state=True)
    async with replicas.joined(settings) as more, running(stopping, token=more.services[0].token) as other:
        await more.rows(app, lambda rows: [row["state"] for row in rows] == ["DOWN"] * 3)
        (going, _, missing) = await more.rows(app, lambda rows: "quota" in (rows[2]["details"] or ""))
        assert (going["details"], going["routable"]) == ("The Pod is being deleted", False)
        assert going["uptime"] >= missing["uptime"] == 0
        rows = await Replicas([other]).rows(app, lambda rows: rows[2]["details"] is not None)
        assert [(row["state"], row.get("instance_guid"), row["routable"]) for row in rows] == [
            ("STOPPING", first, False),
            ("STOPPING", second, False),
            ("DOWN", None, False),
        ]
    await kube.let_go(held)

    def all_gone(rows: Rows) -> bool:
        return all("quota" in (row["details"] or "") for row in rows)

    await replicas.rows(app, all_gone)


async def test_one_whose_replica_set_is_done_with_is_known_after_a_restart_by_what_was_agreed(
    kube: Kube, held: str, replicas: Replicas, settings: Settings, make_app: MakeApp
) -> None:
    app = await make_app("web", replicas=2)
    old = await replicas.run(app, None, None)
    await kube.hold_pods(held)
    # The old ones must be gone before there is a new one.
    template = {"metadata": {"annotations": {"changed": "yes"}}}
    recreate = {"strategy": {"type": "Recreate", "rollingUpdate": None}, "template": template}
    await kube.patch(held, f"web-{app}", {"spec": recreate})

    async def is_done_with() -> bool:
        (only,) = await kube.replica_sets(held)
        return (only["spec"]["replicas"], only["status"]["replicas"]) == (0, 0)

    await eventually(is_done_with)
    stopping = replace(settings, instance_stopping_state=True)
    async with running(stopping, token=replicas.services[0].token) as other:
        for _ in range(3):
            await replicas.rows(app, lambda rows: [row["state"] for row in rows] == ["DOWN", "DOWN"])
            assert guids_of(await Replicas([other]).rows(app, lambda rows: True)) == old
    await kube.let_go(held)
    await replicas.run_others(app, 2, *old)


async def test_after_a_rollout_the_rows_are_the_new_ones_however_long_the_old_take_to_go(
    kube: Kube, held: str, replicas: Replicas, settings: Settings, make_app: MakeApp
) -> None:
    app = await make_app("web", replicas=2)
    old = await replicas.run(app, None, None)
    await kube.hold_pods(held)
    assert (await replicas.services[0].patch(f"/v3/apps/{app}/processes/web", {"command": "another"})).status == 200
    new = await replicas.run_others(app, 2, *old)
    pods = await pods_by_uid(kube, held)
    assert pods.keys() == {*old, *new}
    async with replicas.joined(settings) as more:
        assert await more.run(app, *new) == new
        await more.terminate(app, 1)
    assert await is_going(kube, held, new[1])
    assert not await is_going(kube, held, new[0])
    (_, last) = await replicas.run_others(app, 2, *old, new[1])
    # And back: the ReplicaSet that is the newest now is the older one.
    await kube.hold_pods(held)
    back = {"template": {"spec": {"containers": [{"name": "application", "command": None}]}}}
    await kube.request(
        "PATCH",
        f"/apis/apps/v1/namespaces/{held}/deployments/web-{app}",
        {"spec": back},
        kind="application/strategic-merge-patch+json",
    )
    newest = await replicas.run_others(app, 2, *old, *new, last)
    sets = {each["metadata"]["uid"]: each for each in await kube.replica_sets(held)}
    assert len(sets) == 2
    owners = {(await pods_by_uid(kube, held))[str(uid)]["metadata"]["ownerReferences"][0]["uid"] for uid in newest}
    assert [sets[uid]["metadata"]["annotations"]["deployment.kubernetes.io/revision"] for uid in owners] == ["3"]


@pytest.mark.parametrize("goes", [0, 1])
async def test_scaled_down_the_row_is_the_one_that_stays(
    kube: Kube, held: str, replicas: Replicas, make_app: MakeApp, goes: int
) -> None:
    app = await make_app("web", replicas=2)
    before = await replicas.run(app, None, None)
    await kube.hold_pods(held)
    (name,) = await names_of(kube, held, before[goes])
    await kube.annotate_pod(held, name, {DELETION_COST: "-100"})
    path = f"/v3/apps/{app}/processes/web/actions/scale"
    assert (await replicas.services[0].post(path, {"instances": 1})).status == 202
    await replicas.run(app, before[1 - goes])
    assert await is_going(kube, held, before[goes])
    await kube.hold_pods(held, *await names_of(kube, held, before[1 - goes]))
    await replicas.terminate(app, 0)
    assert await is_going(kube, held, before[1 - goes])
    await replicas.run_others(app, 1, *before)


# Whose they are


async def test_what_a_former_deployment_of_the_same_name_left_behind_is_not_shown_and_not_terminated(
    kube: Kube, space: str, replicas: Replicas, settings: Settings
) -> None:
    app = str(uuid4())
    former = deployment("web", space, app, replicas=2)
    await kube.create(former)

    async def served() -> bool:
        return all([(await each.get(f"/v3/apps/{app}/processes/web")).status == 200 for each in replicas.services])

    await eventually(served)
    left = await replicas.run(app, None, None)
    await kube.delete(space, "web", propagation="Orphan")

    async def is_gone() -> bool:
        found = (await kube.request("GET", f"/apis/apps/v1/namespaces/{space}/deployments"))["items"]
        return not found and all("ownerReferences" not in each["metadata"] for each in await kube.replica_sets(space))

    await eventually(is_gone)
    successor = deployment("web", space, app, replicas=1)
    successor["spec"]["selector"]["matchLabels"] = {"test": "another"}
    successor["spec"]["template"]["metadata"]["labels"]["test"] = "another"
    await kube.create(successor)
    await eventually(served)
    (own,) = await replicas.run_others(app, 1, *left)
    async with replicas.joined(settings) as more:
        assert await more.run(app, own) == [own]
        await more.terminate(app, 0)
    await replicas.run_others(app, 1, own, *left)
    assert not any([await is_going(kube, space, uid) for uid in left])


async def test_a_replica_set_taken_over_by_a_deployment_of_another_name_takes_its_pods_along(
    kube: Kube, space: str, replicas: Replicas, settings: Settings
) -> None:
    app = str(uuid4())
    manifest = deployment("before", space, app, replicas=2)
    await kube.create(manifest)

    async def served() -> bool:
        return all([(await each.get(f"/v3/apps/{app}/processes/web")).status == 200 for each in replicas.services])

    await eventually(served)
    running_ones = await replicas.run(app, None, None)
    await kube.delete(space, "before", propagation="Orphan")

    async def is_gone() -> bool:
        return (await replicas.services[0].get(f"/v3/apps/{app}/processes/web")).status == 404

    await eventually(is_gone)
    manifest["metadata"]["name"] = "after"
    await kube.create(manifest)
    await eventually(served)
    assert await replicas.run(app, *running_ones) == running_ones
    async with replicas.joined(settings) as more:
        assert await more.run(app, *running_ones) == running_ones
        await more.terminate(app, 1)
    await replicas.run(app, running_ones[0], None)
    assert await is_going(kube, space, running_ones[1])


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
async def test_a_deployment_that_is_being_deleted_gives_way_to_its_successor(
    kube: Kube, held: str, replicas: Replicas, settings: Settings, propagation: str
) -> None:
    app = str(uuid4())
    former = deployment("former", held, app, replicas=1)
    former["metadata"]["finalizers"] = [HOLD]
    await kube.create(former)

    async def served() -> bool:
        return all([(await each.get(f"/v3/apps/{app}/processes/web")).status == 200 for each in replicas.services])

    await eventually(served)
    (old,) = await replicas.run(app, None)
    await kube.hold_pods(held)
    await kube.delete(held, "former", propagation=propagation)
    # Without a successor it is what there is.
    assert await served()
    await kube.create(deployment("successor", held, app, replicas=1))
    (new,) = await replicas.run_others(app, 1, old)
    async with replicas.joined(settings) as more:
        assert await more.run(app, new) == [new]
        path = f"/v3/apps/{app}/processes/web/actions/scale"
        assert (await more.services[-1].post(path, {"instances": 2})).status == 202
        await more.run(app, new, None)
    assert (await kube.get(held, "successor"))["spec"]["replicas"] == 2
    assert (await kube.get(held, "former"))["spec"]["replicas"] == 1


async def test_an_injected_container_is_not_the_app(
    kube: Kube, space: str, replicas: Replicas, settings: Settings, make_app: MakeApp
) -> None:
    proxy = {
        "name": "proxy",
        "image": "registry.test/proxy:1",
        "ports": [{"containerPort": 15001}],
        "resources": {"limits": {"memory": "500Mi"}},
    }
    limits = {"limits": {"memory": "64Mi"}}
    async with injecting(kube, space, proxy):
        app = await make_app("web", replicas=1, name="server", resources=limits, ports=[{"containerPort": 8080}])
        await replicas.run(app, None)
        (pod,) = await kube.pods(space)
        assert [each["name"] for each in pod["spec"]["containers"]] == ["proxy", "server"]
        async with replicas.joined(settings) as more:
            (row,) = await more.rows(app, lambda rows: rows[0]["state"] == "RUNNING")
    assert row["mem_quota"] == 64 << 20
    assert [port["internal"] for port in row["instance_ports"]] == [8080]


# Rollouts that take their time


async def test_during_a_rollout_that_is_stuck_replicas_agree_and_terminate_what_they_show(
    kube: Kube, space: str, replicas: Replicas, settings: Settings, make_app: MakeApp
) -> None:
    app = await make_app("web", replicas=3)
    old = await replicas.run(app, None, None, None)
    template = {"metadata": {"annotations": {"local-stack/failing-probe": "startup"}}}
    await kube.patch(space, f"web-{app}", {"spec": {"template": template}})

    def one_is_new(rows: Rows) -> bool:
        return sorted(row["state"] for row in rows) == ["RUNNING", "RUNNING", "STARTING"]

    rows = await replicas.rows(app, one_is_new)
    (at,) = (row["index"] for row in rows if row["state"] == "STARTING")
    # The two oldest of the others are where they were.
    assert [guid for index, guid in enumerate(guids_of(rows)) if index != at] == [
        guid for index, guid in enumerate(old) if index != at
    ]
    new = rows[at]["instance_guid"]
    async with replicas.joined(settings) as more:
        for _ in range(5):
            assert guids_of(await more.rows(app, one_is_new)) == guids_of(rows)
        await more.terminate(app, at)
    assert await is_going(kube, space, new)

    def another_is_new(rows: Rows) -> bool:
        return one_is_new(rows) and new not in guids_of(rows)

    rows = await replicas.rows(app, another_is_new)
    # It is let on.
    unstuck = {"metadata": {"annotations": {"local-stack/failing-probe": None}}}
    await kube.patch(space, f"web-{app}", {"spec": {"template": unstuck}})
    back = await replicas.run(app, None, None, None)
    assert len({*back} & {*old}) >= 2
