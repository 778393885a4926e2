"""Deployments that were changed lately: as many are remembered as are said to be, and with all that plans need."""

import orjson

from service.cluster.deployment_cache import DeploymentCache
from service.model.changes import Update
from service.model.derive import derive_workload
from service.model.snapshots import Snapshot
from tests.model.builders import decode, deployment_dict
from tests.support.kube import KEYS

# Of what a Deployment of a few writers has: more than the rest of it together.
MANAGED = [
    {
        "manager": f"writer-{number}",
        "operation": "Update",
        "time": "2024-01-02T03:04:05Z",
        "fieldsV1": {f"f:field-{each}": {"f:name": {}} for each in range(60)},
    }
    for number in range(4)
]


def put(cache: DeploymentCache, uid: str) -> Snapshot:
    """Put a Deployment into the cache. Returns it as it was sent."""
    found = deployment_dict(managed=MANAGED, annotations={"any": "one"})
    found["metadata"]["uid"] = uid
    workload = derive_workload(decode(found), KEYS)
    cache.put(workload, 42, orjson.dumps(found))
    return Snapshot(workload, found, 42, KEYS)


def test_five_hundred_that_are_changed_in_turn_are_all_remembered() -> None:
    cache, uids = DeploymentCache(), [f"uid-{number}" for number in range(500)]
    for uid in uids:
        put(cache, uid)
    assert [uid for uid in uids if cache.get(uid) is None] == []


def test_a_plan_is_the_same_by_what_is_remembered_as_by_what_was_sent() -> None:
    cache = DeploymentCache()
    sent = put(cache, "uid-1")
    kept = cache.get("uid-1")
    assert kept is not None
    remembered = Snapshot(kept.workload, orjson.loads(kept.raw), kept.version, KEYS)
    change = Update(command="exec other")
    assert change.patch(sent)
    assert remembered.guarded(change.patch(remembered), "id") == sent.guarded(change.patch(sent), "id")
