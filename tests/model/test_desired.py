"""Started or stopped, and with how many instances: what a Deployment says, however it has come about."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.model.actions import RESTARTED_AT, Start, Stop
from service.model.changes import Change, Scale, Update
from service.model.derive import derive_workload
from service.model.desired import MOST_INSTANCES, Desired, desired
from service.model.labels import PRESETS, Keys
from service.model.snapshots import Snapshot
from tests.model.builders import decode, deployment_dict
from tests.model.kubernetes import patched

KEYS = Keys()
STOPPED, ZERO = KEYS.stopped_instances, KEYS.scaled_to_zero
STOP, START = Stop(app_started=True), Start("2024-01-02T03:04:05.000006Z")


def snapshot_of(manifest: Mapping[str, Any]) -> Snapshot:
    return Snapshot(derive_workload(decode(manifest), KEYS), manifest, 42, KEYS)


def after(manifest: Mapping[str, Any], *changes: Change) -> dict[str, Any]:
    result = dict(manifest)
    for change in changes:
        snapshot = snapshot_of(result)
        if patch := change.patch(snapshot):
            result = patched(result, snapshot.guarded(patch, None))
    return result


def wanted(manifest: Mapping[str, Any]) -> Desired:
    workload = snapshot_of(manifest).workload
    assert workload.replicas == manifest["spec"]["replicas"]
    return Desired(workload.started, workload.instances)


def said(manifest: Mapping[str, Any]) -> dict[str, str]:
    annotations = manifest["metadata"]["annotations"]
    return {key: annotations[key] for key in (STOPPED, ZERO) if key in annotations}


@pytest.mark.parametrize(
    ("replicas", "annotations", "wants"),
    [
        (3, {}, Desired(True, 3)),
        (0, {}, Desired(False, 0)),
        (0, {STOPPED: "3"}, Desired(False, 3)),
        (0, {STOPPED: "0"}, Desired(False, 0)),
        (0, {ZERO: "true"}, Desired(True, 0)),
        (0, {ZERO: ""}, Desired(True, 0)),
        (0, {STOPPED: "3", ZERO: "true"}, Desired(False, 3)),
        (0, {STOPPED: str(MOST_INSTANCES)}, Desired(False, MOST_INSTANCES)),
        (2, {STOPPED: "3", ZERO: "true"}, Desired(True, 2)),
    ],
)
def test_what_a_deployment_says(replicas: int, annotations: dict[str, str], wants: Desired) -> None:
    assert desired(replicas, annotations, KEYS) == wants


@pytest.mark.parametrize(
    "text", ["", "three", "-1", "+1", "1.0", "1e3", " 1", "1\n", "2147483648", "9" * 5000, "٣", "1_0", "0x3"]
)
def test_what_is_no_number_of_instances_says_nothing(text: str) -> None:
    assert desired(0, {STOPPED: text}, KEYS) == Desired(False, 0)
    # And what comes next puts it right.
    edited = deployment_dict(replicas=0, annotations={STOPPED: text})
    assert (wanted(after(edited, START)), said(after(edited, START))) == (Desired(True, 1), {})
    assert (wanted(after(edited, STOP)), said(after(edited, STOP))) == (Desired(False, 0), {STOPPED: "0"})


@pytest.mark.parametrize("instances", [0, 1, 5])
def test_start_brings_back_what_there_was_before_stop(instances: int) -> None:
    running = after(deployment_dict(replicas=9), Scale(instances=instances))
    stopped = after(running, STOP)
    assert (wanted(stopped), stopped["spec"]["replicas"]) == (Desired(False, instances), 0)
    del stopped["status"], running["status"]
    assert after(stopped, START) == running
    assert (wanted(running), said(running)) == (Desired(True, instances), {} if instances else {ZERO: "true"})


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("status", [None, {}, {"replicas": 0}, {"replicas": 1}, {"replicas": 3}])
@pytest.mark.parametrize("instances", [0, 1])
def test_start_leaves_nothing_of_what_has_not_stopped_yet(
    instances: int, status: dict[str, int] | None, paused: bool
) -> None:
    """What is paused is not rolled out anyway: it would be, unasked, once it is resumed."""
    stopped = after(deployment_dict(replicas=instances, paused=paused), STOP)
    started = after({**stopped, "status": status}, START)
    renewed = RESTARTED_AT in started["spec"]["template"].get("metadata", {}).get("annotations", {})
    assert renewed == bool(status and status.get("replicas") and instances and not paused)


def test_one_that_kubectl_has_scaled_to_zero_starts_with_one() -> None:
    started = after(deployment_dict(replicas=0), START)
    assert (wanted(started), said(started)) == (Desired(True, 1), {})


def test_stop_takes_it_for_none_where_the_rest_of_the_app_runs_and_leaves_it_alone_where_nothing_does() -> None:
    idle = deployment_dict(replicas=0)
    assert after(idle, Stop(app_started=False)) == idle
    assert wanted(after(idle, Stop(app_started=True), START)) == Desired(True, 0)


def test_scale_of_a_stopped_one_changes_what_it_will_have() -> None:
    stopped = after(deployment_dict(replicas=3), STOP, Scale(instances=5))
    assert (wanted(stopped), said(stopped)) == (Desired(False, 5), {STOPPED: "5"})
    assert not Scale(instances=5).patch(snapshot_of(stopped))
    assert wanted(after(stopped, Scale(instances=0), START)) == Desired(True, 0)


def test_both_again_change_nothing() -> None:
    running = deployment_dict(replicas=3)
    assert after(running, START) == running
    stopped = after(running, STOP)
    assert after(stopped, STOP) == stopped


@pytest.mark.parametrize("change", [Scale(instances=4), Update(command="run"), STOP])
def test_what_says_nothing_any_more_goes_with_the_next_write(change: Change) -> None:
    # Somebody has set replicas of a stopped process, and knows nothing of annotations.
    reverted = deployment_dict(replicas=2, annotations={STOPPED: "7", ZERO: "true"})
    assert wanted(reverted) == Desired(True, 2)
    assert said(after(reverted, change)) == ({STOPPED: "2"} if change is STOP else {})


changes = st.sampled_from([START, STOP, Stop(app_started=False), Update(command="run")]) | st.builds(
    Scale, instances=st.integers(0, 3)
)


@given(st.integers(0, 2), st.lists(changes | st.integers(0, 2), max_size=8))
def test_any_row_of_changes_ends_as_an_app_of_cloud_foundry_would(replicas: int, row: list[Change | int]) -> None:
    """A number among the changes is one that kubectl sets: above 0 it starts, and to 0 it stops."""
    manifest, model = deployment_dict(replicas=replicas), Desired(replicas > 0, replicas)
    is_noted = False
    for change in row:
        if isinstance(change, int):
            manifest["spec"]["replicas"] = change
            if change:
                model = Desired(True, change)
            elif model.replicas:
                model, is_noted = desired(0, said(manifest), KEYS), STOPPED in said(manifest)
            continue
        manifest = after(manifest, change)
        match change:
            case Start() if not model.started:
                model, is_noted = Desired(True, model.instances if is_noted else 1), False
            case Stop() if model.started or (change.app_started and not is_noted):
                model, is_noted = Desired(False, model.instances), True
            case Scale() if change.instances not in (None, model.instances):
                model = Desired(not is_noted or model.started, change.instances or 0)
        if model.started:
            is_noted = False
        assert wanted(manifest) == model


def test_keys_of_each_preset_are_its_own() -> None:
    for keys in PRESETS.values():
        assert len(set(keys.__dict__.values())) == len(keys.__dict__)
