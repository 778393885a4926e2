"""What a Deployment's status says of its newest rollout, as `kubectl rollout status` reads it."""

from collections.abc import Mapping
from typing import Any

import pytest

from service.model.apps import newest_rollout
from service.model.derive import derive_workload
from service.model.guids import rollout_guid
from service.model.labels import Keys
from service.model.process import Workload
from service.model.rollouts import ROLLOUT_REVISION
from service.model.times import SECOND
from tests.model.builders import CREATED, CREATED_AT, decode, deployment_dict

COMPLETE = {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}
TEMPLATE: dict[str, Any] = {"f:spec": {"f:template": {"f:spec": {}}}}
AT_10, AT_20, AT_30 = ("2024-01-02T03:04:15Z", "2024-01-02T03:04:25Z", "2024-01-02T03:04:35Z")
"""So many seconds after CREATED."""


def derived(status: Mapping[str, Any], managed: Any = None, *, replicas: int | None = 3, **spec: Any) -> Workload:
    manifest = deployment_dict(managed=managed, replicas=replicas, **spec)
    manifest["metadata"]["generation"] = 2
    return derive_workload(decode({**manifest, "status": dict(status)}), Keys())


def progressing(at: str = AT_20, **condition: Any) -> dict[str, Any]:
    return {"conditions": [{"type": "Progressing", "status": "True", "lastUpdateTime": at, **condition}]}


def managed(time: str, fields: Mapping[str, Any] = TEMPLATE, **more: Any) -> dict[str, Any]:
    return {"manager": "somebody", "operation": "Update", "time": time, "fieldsV1": dict(fields), **more}


@pytest.mark.parametrize(
    "missing",
    [
        {"observedGeneration": 1},
        {"updatedReplicas": 2},
        {"replicas": 4},
        {"availableReplicas": 2},
        {"observedGeneration": None, "updatedReplicas": None},
    ],
)
def test_a_rollout_is_complete_when_all_pods_are_new_and_available(missing: dict[str, Any]) -> None:
    assert derived(COMPLETE).rolled_out
    assert not derived({**COMPLETE, **missing}).rolled_out


@pytest.mark.parametrize(
    "scaled", [{"replicas": 1, "updatedReplicas": 1}, {"availableReplicas": 2}, {"replicas": None}]
)
def test_one_that_was_complete_stays_so_while_it_is_scaled_or_a_pod_is_replaced(scaled: dict[str, Any]) -> None:
    assert derived({**COMPLETE, **progressing(reason="NewReplicaSetAvailable"), **scaled}).rolled_out
    going = {**COMPLETE, **progressing(reason="NewReplicaSetAvailable"), "updatedReplicas": 1}
    assert not derived(going).rolled_out, "its old Pods are to go: it was rolled out back"
    assert not derived({**going, "observedGeneration": 1}).rolled_out


def test_one_of_no_replicas_is_complete_as_soon_as_it_has_been_noticed() -> None:
    assert derived({"observedGeneration": 2}, replicas=0).rolled_out
    assert not derived({}, replicas=0).rolled_out


def test_one_that_exceeds_its_deadline_says_why_until_it_is_complete() -> None:
    stuck = progressing(reason="ProgressDeadlineExceeded", message="no progress")
    assert derived({**COMPLETE, "updatedReplicas": 1, **stuck}).rollout_failure == "no progress"
    assert derived({**COMPLETE, **stuck}).rollout_failure is None
    assert (
        derived({**COMPLETE, "updatedReplicas": 1, **progressing(reason="ReplicaSetUpdated")}).rollout_failure is None
    )
    long = progressing(reason="ProgressDeadlineExceeded", message="x" * 5000)
    assert len(derived(long).rollout_failure or "") == 1000


@pytest.mark.parametrize(
    ("managers", "progressed", "seconds"),
    [
        (None, AT_20, 0),
        ([managed(CREATED)], AT_20, 0),
        ([managed(CREATED), managed(AT_10)], AT_20, 10),
        ([managed(CREATED), managed(AT_10, {"f:metadata": {"f:labels": {}}})], AT_20, 0),
        ([managed(AT_10), managed(AT_30, {"f:spec": {"f:replicas": {}}}, subresource="scale")], AT_20, 10),
        ([managed(AT_10), managed(AT_30, subresource="status")], AT_20, 10),
        ([managed(AT_30)], AT_20, 20),
    ],
)
def test_it_began_when_the_template_was_set_but_not_after_it_came_to_anything(
    managers: list[dict[str, Any]] | None, progressed: str, seconds: int
) -> None:
    found = derived({**COMPLETE, **progressing(progressed)}, managers)
    assert found.rollout_began_at == CREATED_AT + seconds * SECOND
    assert found.rollout_changed_at == CREATED_AT + 20 * SECOND
    assert derived(progressing(progressed), managers).rollout_changed_at == found.rollout_began_at


@pytest.mark.parametrize(
    ("strategy", "replicas", "most"),
    [
        (None, 3, 1),
        (None, 10, 5),
        ({"type": "Recreate"}, 7, 7),
        ({"type": "Recreate"}, 0, 1),
        ({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2, "maxUnavailable": 3}}, 10, 5),
        ({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "10%", "maxUnavailable": "0%"}}, 11, 2),
        ({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": "19%"}}, 10, 1),
        ({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "much", "maxUnavailable": 0}}, 10, 1),
    ],
)
def test_so_many_pods_may_change_at_a_time(strategy: dict[str, Any] | None, replicas: int, most: int) -> None:
    spec = {} if strategy is None else {"strategy": strategy}
    assert derived(COMPLETE, replicas=replicas, **spec).max_in_flight == most


@pytest.mark.parametrize(
    ("revision", "named", "cancelled"),
    [
        ("2", rollout_guid("uid-1", 2), 2),
        ("3", rollout_guid("uid-1", 2), 2),
        ("4", rollout_guid("uid-1", 2), 0),
        ("1", rollout_guid("uid-1", 2), 0),
        ("1", rollout_guid("uid-1", 0), 0),
        ("3", rollout_guid("uid-2", 2), 0),
        ("3", "2", 0),
        ("3", "", 0),
        ("nonsense", rollout_guid("uid-1", -1), 0),
        (None, rollout_guid("uid-1", 0), 0),
        ("3", None, 0),
    ],
)
def test_the_rollout_after_one_that_was_cancelled_is_the_way_back_from_it(
    revision: str | None, named: str | None, cancelled: int
) -> None:
    """What names the cancelled one stays there, is copied with the Deployment, and can be edited by anyone."""
    annotations = {ROLLOUT_REVISION: revision, Keys().cancelled_deployment: named}
    manifest = deployment_dict(annotations={key: value for key, value in annotations.items() if value is not None})
    manifest["metadata"]["uid"] = "uid-1"
    found = derive_workload(decode(manifest), Keys())
    assert found.cancelled_rollout == cancelled
    assert newest_rollout(found) == rollout_guid("uid-1", cancelled or found.rollout)


@pytest.mark.parametrize(("status", "began"), [({"updatedReplicas": 2}, 20), ({}, 10)])
def test_the_way_back_began_with_the_cancel_whatever_came_to_progress_before(
    status: dict[str, Any], began: int
) -> None:
    """Once it is complete, that is the last progress, and what was set later on began nothing."""
    manifest = deployment_dict(
        managed=[managed(AT_20)],
        replicas=3,
        annotations={ROLLOUT_REVISION: "3", Keys().cancelled_deployment: rollout_guid("uid-1", 2)},
    )
    manifest["metadata"].update(uid="uid-1", generation=2)
    manifest["status"] = {**COMPLETE, **progressing(AT_10), **status}
    assert derive_workload(decode(manifest), Keys()).rollout_began_at == CREATED_AT + began * SECOND
