"""Pods as instances: every row of the contract's table of states, and whose Pods they are."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.model.manifests import PodObject
from service.model.pods import BEING_DELETED, MOST_CONTAINERS, Pod, State, derive_pods
from service.model.times import microseconds
from tests.model.builders import CREATED_AT, decode_pod, pod_dict

KNOWN = {"rs-1": "application"}.get
UNKNOWN = dict[str, str]().get


def derived(manifest: Mapping[str, Any]) -> Pod:
    """Of a ReplicaSet that nothing is known of, the likeliest container taken for the app."""
    return derive_pods(decode_pod(manifest), UNKNOWN)[0]


def made(**manifest: Any) -> Pod:
    return derived(pod_dict(**manifest))


def at(second: str) -> int:
    return microseconds(datetime.fromisoformat(f"2024-01-02T03:{second}+00:00"))


CREATED = "2024-01-02T03:04:05Z"
PLACED = {"status": "True", "lastTransitionTime": "2024-01-02T03:04:06Z"}
UNREADY = {"status": "False", "lastTransitionTime": "2024-01-02T03:04:20Z", "reason": "ContainersNotReady"}
DOWNED = {"PodScheduled": PLACED, "Ready": UNREADY}
EXIT = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2024-01-02T03:04:30Z"}
BACK_OFF = {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}
STARTED = {"started": True, "state": {"running": {"startedAt": "2024-01-02T03:04:10Z"}}}
WAITING = {"state": {"waiting": {"reason": "PodInitializing"}}, "started": False}


def state_of(**manifest: Any) -> tuple[State, int, str | None]:
    found = made(**manifest)
    return found.state, found.since, found.details


# States


def test_started_is_running_since_then() -> None:
    assert state_of() == (State.RUNNING, at("04:10"), None)


NOT_STARTED = pytest.mark.parametrize(
    "started", [{"started": False}, {"started": None}, {}], ids=["false", "null", "absent"]
)


@NOT_STARTED
@pytest.mark.parametrize("ready", [{"ready": False}, {"ready": None}, {}], ids=["false", "null", "absent"])
def test_running_and_neither_started_nor_ready_is_starting(started: dict[str, Any], ready: dict[str, Any]) -> None:
    found = state_of(conditions=DOWNED, **started, **ready, state=STARTED["state"])
    assert found == (State.STARTING, at("04:10"), None)


@NOT_STARTED
def test_ready_means_started_where_the_node_does_not_say_so(started: dict[str, Any]) -> None:
    for ready in ({"conditions": None}, {"conditions": DOWNED, "ready": True}):
        assert state_of(**ready, **started, state=STARTED["state"]) == (State.RUNNING, at("04:10"), None)


@pytest.mark.parametrize("reason", ["ContainerCreating", "PodInitializing", "", None])
def test_a_container_being_made_is_starting_since_it_was_placed(reason: str | None) -> None:
    assert state_of(conditions=DOWNED, state={"waiting": {"reason": reason}}) == (State.STARTING, at("04:06"), None)


@pytest.mark.parametrize("status", [{"containerStatuses": None}, {"containerStatuses": []}], ids=["null", "none"])
def test_placed_and_not_yet_heard_of_is_starting(status: dict[str, Any]) -> None:
    found = made(conditions={"PodScheduled": PLACED}, status=status)
    assert (found.state, found.since, found.ready) == (State.STARTING, at("04:06"), False)


def test_no_verdict_of_the_scheduler_yet_is_starting_since_it_was_made() -> None:
    manifest = pod_dict(conditions={}, spec={"nodeName": None}, status={"phase": "Pending", "containerStatuses": None})
    found = derived(manifest)
    assert (found.state, found.since, found.details) == (State.STARTING, CREATED_AT, None)
    manifest["status"] = {}
    assert derived(manifest).state is State.STARTING
    del manifest["status"]
    assert (derived(manifest).host, derived(manifest).ip) == ("", "")


@pytest.mark.parametrize(
    ("reason", "message", "details"),
    [
        ("Unschedulable", "0/3 nodes are available", "Unschedulable: 0/3 nodes are available"),
        ("SchedulingGated", None, "SchedulingGated"),
        (None, "no words", "no words"),
        (None, None, None),
    ],
)
def test_not_placed_is_down_and_says_why(reason: str | None, message: str | None, details: str | None) -> None:
    verdict = {"status": "False", "lastTransitionTime": "2024-01-02T03:04:09Z", "reason": reason, "message": message}
    manifest = {"conditions": {"PodScheduled": verdict}, "spec": {"nodeName": None}, "status": {"phase": "Pending"}}
    assert state_of(**manifest) == (State.DOWN, at("04:09"), details)


@pytest.mark.parametrize(
    "reason",
    ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError", "RunContainerError"],
)
def test_what_cannot_start_has_crashed_since_it_was_last_ready(reason: str) -> None:
    waiting = {"waiting": {"reason": reason, "message": "why"}}
    assert state_of(conditions=DOWNED, state=waiting) == (State.CRASHED, at("04:20"), f"{reason}: why")
    placed = {"PodScheduled": PLACED}
    assert state_of(conditions=placed, state=waiting) == (State.CRASHED, at("04:06"), f"{reason}: why")
    assert state_of(conditions={}, state=waiting) == (State.CRASHED, CREATED_AT, f"{reason}: why")


def test_crash_loop_tells_of_the_last_exit() -> None:
    assert state_of(conditions=DOWNED, state={"waiting": BACK_OFF}, lastState={"terminated": EXIT}) == (
        State.CRASHED,
        at("04:30"),
        "CrashLoopBackOff: back-off 10s restarting failed container; exited with 137: OOMKilled",
    )


def test_crash_loop_after_success_is_one_too() -> None:
    last = {"exitCode": 0, "reason": "Completed", "finishedAt": "2024-01-02T03:04:30Z"}
    assert state_of(conditions=DOWNED, state={"waiting": BACK_OFF}, lastState={"terminated": last}) == (
        State.CRASHED,
        at("04:30"),
        "CrashLoopBackOff: back-off 10s restarting failed container; exited with 0: Completed",
    )


def test_exited_with_an_error_has_crashed_when_it_did() -> None:
    exited = {"terminated": {**EXIT, "message": "out of memory"}}
    assert state_of(conditions=DOWNED, state=exited) == (
        State.CRASHED,
        at("04:30"),
        "exited with 137: OOMKilled: out of memory",
    )
    assert state_of(conditions=DOWNED, state={"terminated": {"exitCode": -1}}) == (
        State.CRASHED,
        at("04:20"),
        "exited with -1",
    )


def test_exited_without_an_error_has_crashed_too() -> None:
    exited = {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": "2024-01-02T03:04:30Z"}}
    assert state_of(conditions=DOWNED, state=exited) == (State.CRASHED, at("04:30"), "exited with 0: Completed")


def test_running_again_after_a_crash_is_running() -> None:
    assert state_of(**STARTED, lastState={"terminated": EXIT}) == (State.RUNNING, at("04:10"), None)


def test_nothing_lasts_longer_than_the_pod() -> None:
    early = {"running": {"startedAt": "2024-01-02T03:04:04Z"}}
    assert state_of(started=True, state=early) == (State.RUNNING, CREATED_AT, None)


@pytest.mark.parametrize(("grace", "begun"), [(30, at("04:30")), (0, at("05:00")), (None, at("05:00"))])
@pytest.mark.parametrize(
    "status",
    [
        STARTED,
        {"state": {"waiting": BACK_OFF}},
        {"state": {"terminated": EXIT}},
    ],
    ids=["running", "crash loop", "exited"],
)
def test_deleting_is_down_or_stopping_since_it_was_asked_to_whatever_else(
    grace: int | None, begun: int, status: dict[str, Any]
) -> None:
    meta = {"deletionTimestamp": "2024-01-02T03:05:00Z", "deletionGracePeriodSeconds": grace}
    manifest = pod_dict(meta=meta, **status)
    (stopping,) = derive_pods(decode_pod(manifest), KNOWN, State.STOPPING)
    assert (stopping.state, stopping.since, stopping.details) == (State.STOPPING, begun, None)
    (down,) = derive_pods(decode_pod(manifest), KNOWN)
    assert (down.state, down.since, down.details) == (State.DOWN, begun, BEING_DELETED)
    for each in (stopping, down):
        assert each.deleting
        assert not each.ready


def test_ready_is_the_condition_and_nothing_else() -> None:
    assert made().ready
    assert not made(conditions={"PodScheduled": PLACED, "Ready": {"status": "Unknown"}}).ready
    assert not made(conditions=DOWNED, **STARTED).ready
    assert not made(conditions={"PodScheduled": PLACED, "ContainersReady": {"status": "True"}}).ready


# Other containers


@pytest.mark.parametrize(
    ("init", "details"),
    [
        ({"state": {"terminated": EXIT}}, "exited with 137: OOMKilled"),
        (
            {"state": {"waiting": BACK_OFF}, "lastState": {"terminated": EXIT}},
            "CrashLoopBackOff: back-off 10s restarting failed container; exited with 137: OOMKilled",
        ),
    ],
)
def test_an_init_container_that_fails_keeps_the_app_from_running(init: dict[str, Any], details: str) -> None:
    inits = [{"name": "done", "state": {"terminated": {"exitCode": 0}}}, {"name": "broken", **init}]
    found = state_of(conditions=DOWNED, status={"initContainerStatuses": inits}, **WAITING)
    assert found == (State.CRASHED, at("04:30"), details)


def test_an_init_container_at_work_is_starting() -> None:
    inits = [{"name": "one", **STARTED}, {"name": "two", **WAITING}]
    found = state_of(conditions=DOWNED, status={"initContainerStatuses": inits}, **WAITING)
    assert found == (State.STARTING, at("04:06"), None)


FAILING = [{"state": {"terminated": EXIT}}, {"state": {"waiting": BACK_OFF}}]


@pytest.mark.parametrize("failing", FAILING, ids=["exited", "crash loop"])
@pytest.mark.parametrize(("started", "state"), [(True, State.RUNNING), (False, State.STARTING)])
def test_a_failing_sidecar_is_not_the_app(failing: dict[str, Any], started: bool, state: State) -> None:
    statuses = [{"name": "sidecar", **failing}, {"name": "application", **STARTED, "started": started}]
    assert state_of(conditions=DOWNED, status={"containerStatuses": statuses}) == (state, at("04:10"), None)
    inits = [{"name": "proxy", **failing}]
    restartable = {"initContainerStatuses": inits, "containerStatuses": statuses[1:]}
    assert state_of(conditions=DOWNED, status=restartable) == (state, at("04:10"), None)


def test_the_app_s_own_failure_comes_first() -> None:
    inits = [{"name": "proxy", "state": {"waiting": BACK_OFF}}]
    found = state_of(conditions=DOWNED, status={"initContainerStatuses": inits}, state={"terminated": EXIT})
    assert found == (State.CRASHED, at("04:30"), "exited with 137: OOMKilled")


def test_the_app_container_is_chosen_as_in_the_deployment() -> None:
    containers = [{"name": "a"}, {"name": "b", "resources": {"limits": {"memory": "1Mi"}}}]
    statuses = [{"name": "a", "state": {"terminated": EXIT}}, {"name": "b", **STARTED}]
    annotations = {"kubectl.kubernetes.io/default-container": "b"}
    found = made(
        meta={"annotations": annotations}, spec={"containers": containers}, status={"containerStatuses": statuses}
    )
    assert (found.container, found.state, found.memory) == ("b", State.RUNNING, 1 << 20)
    assert made(spec={"containers": containers}, status={"containerStatuses": statuses}).state is State.CRASHED


PROXIED: Mapping[str, Any] = {
    "spec": {
        "containers": [
            {"name": "proxy", "resources": {"limits": {"memory": "9Mi"}}, "ports": [{"containerPort": 15001}]},
            {"name": "app", "resources": {"limits": {"memory": "1Mi"}}, "ports": [{"containerPort": 8080}]},
        ]
    },
    "status": {"containerStatuses": [{"name": "proxy", "state": {"terminated": EXIT}}, {"name": "app", **STARTED}]},
}


def test_an_injected_container_is_not_the_app_where_its_name_is_known() -> None:
    (found,) = derive_pods(decode_pod(pod_dict(**PROXIED)), {"rs-1": "app"}.get)
    assert (found.container, found.state) == ("app", State.RUNNING)
    assert (found.memory, found.ports) == (1 << 20, ((8080, 8080),))


def test_until_the_name_is_known_each_container_may_be_the_app() -> None:
    found = derive_pods(decode_pod(pod_dict(**PROXIED)), UNKNOWN)
    assert [(each.container, each.state, each.memory) for each in found] == [
        ("proxy", State.CRASHED, 9 << 20),
        ("app", State.RUNNING, 1 << 20),
    ]
    assert len({each.uid for each in found}) == 1


def test_a_name_that_no_container_has_leaves_the_likeliest() -> None:
    (found,) = derive_pods(decode_pod(pod_dict(**PROXIED)), {"rs-1": "renamed"}.get)
    assert found.container == "proxy"


# Whose they are


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_a_pod_that_is_over_is_none(phase: str) -> None:
    assert derive_pods(decode_pod(pod_dict(status={"phase": phase, "reason": "Evicted"})), KNOWN) == ()
    deleting = {"deletionTimestamp": "2024-01-02T03:05:00Z"}
    assert derive_pods(decode_pod(pod_dict(meta=deleting, status={"phase": phase})), KNOWN) == ()


OWNER = {"kind": "ReplicaSet", "name": "app-web-5d9c", "uid": "rs-7", "controller": True}


@pytest.mark.parametrize(
    "meta",
    [
        {"ownerReferences": None},
        {"ownerReferences": []},
        {"ownerReferences": [{}]},
        {"ownerReferences": [{**OWNER, "controller": False}]},
        {"ownerReferences": [{**OWNER, "controller": None}]},
        {"ownerReferences": [{**OWNER, "kind": "Job"}]},
        {"ownerReferences": [{**OWNER, "kind": "StatefulSet"}]},
        {"ownerReferences": [{**OWNER, "uid": ""}]},
    ],
    ids=str,
)
def test_a_pod_that_no_replica_set_made_is_none(meta: dict[str, Any]) -> None:
    assert derive_pods(decode_pod(pod_dict(meta=meta)), KNOWN) == ()


def test_of_several_owners_the_controller_is_the_one() -> None:
    owners = [{"kind": "ReplicaSet", "name": "x", "uid": "rs-6"}, {"kind": "Node", "name": "x", "uid": "n"}, OWNER]
    assert made(meta={"ownerReferences": owners}).replica_set == "rs-7"


@pytest.mark.parametrize(
    ("label", "index"),
    [
        ("0", 0),
        ("7", 7),
        ("9999", 9999),
        ("10000", None),
        ("007", 7),
        ("100000", None),
        ("999999999", None),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1.0", None),
        ("x", None),
        ("٣", None),
        ("²", None),
        ("1" * 5000, None),
    ],
)
def test_an_index_is_a_label_of_few_digits(label: str, index: int | None) -> None:
    assert made(labels={"apps.kubernetes.io/pod-index": label}).index == index


def test_without_the_label_there_is_no_index() -> None:
    assert made().index is None


# Amounts, ports, addresses


def test_what_is_set_for_the_whole_pod_is_the_apps_where_its_container_has_none() -> None:
    whole = {"resources": {"limits": {"memory": "64Mi", "ephemeral-storage": "1Gi"}}}
    assert (made(spec=whole).memory, made(spec=whole).disk) == (64 << 20, 1 << 30)
    found = made(spec=whole, container={"resources": {"limits": {"memory": "16Mi"}}})
    # The container's fields are in `spec` too, unless they are given.
    assert found.memory == 16 << 20


def test_amounts_are_bytes_and_billionths_of_a_core() -> None:
    resources = {
        "limits": {"memory": "1.5Gi", "ephemeral-storage": 1000, "cpu": "9"},
        "requests": {"memory": "1", "cpu": "250m"},
    }
    found = made(container={"resources": resources})
    assert (found.memory, found.disk, found.cpu_nanos) == (3 << 29, 1000, 250_000_000)


@pytest.mark.parametrize("resources", [{}, {"resources": None}, {"resources": {"limits": None, "requests": {}}}])
def test_without_limits_there_are_none(resources: dict[str, Any]) -> None:
    found = made(container=resources)
    assert (found.memory, found.disk, found.cpu_nanos) == (None, None, None)


@pytest.mark.parametrize("limits", [{"memory": "much"}, {"ephemeral-storage": "-1"}])
def test_an_amount_that_is_none_is_a_value_error(limits: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is not an amount"):
        made(container={"resources": {"limits": limits}})


def test_ports_are_those_of_the_host_where_they_are_bound_to_it() -> None:
    ports = [{"containerPort": 8080}, {"containerPort": 9090, "hostPort": 30000}, {"containerPort": 1, "hostPort": 0}]
    assert made(container={"ports": ports}).ports == ((8080, 8080), (30000, 9090), (1, 1))
    assert made(container={"ports": None}).ports == made().ports == ()


def test_where_it_runs_and_what_it_is_called() -> None:
    found = made()
    assert (found.uid, found.namespace, found.name) == ("pod-1", "space-a", "app-web-5d9c-x2x4z")
    assert (found.host, found.ip, found.container) == ("10.0.0.1", "10.1.0.1", "application")
    assert found.created_at == CREATED_AT


@given(st.text(max_size=8), st.dictionaries(st.text(max_size=8), st.text(max_size=8)))
def test_any_labels_leave_a_pod(index: str, labels: dict[str, str]) -> None:
    assert made(labels={**labels, "apps.kubernetes.io/pod-index": index}).uid == "pod-1"


def test_another_shape_fails_decoding_and_nothing_else() -> None:
    manifest = pod_dict()
    manifest["spec"]["containers"] = None
    with pytest.raises(msgspec.ValidationError):
        decode_pod(manifest)
    manifest["spec"]["containers"] = []
    with pytest.raises(ValueError, match="no container"):
        derive_pods(decode_pod(manifest), KNOWN)
    assert isinstance(decode_pod(pod_dict()), PodObject)


def test_what_is_kept_of_a_pod_is_small_whatever_it_holds() -> None:
    long = "x" * 200_000
    found = made(
        container={"ports": [{"containerPort": port} for port in range(1, 10_000)]},
        state={"waiting": {"reason": long, "message": long}},
        lastState={"terminated": {"exitCode": 1, "reason": long, "message": long}},
        started=False,
    )
    assert found.state is State.CRASHED
    assert len(msgspec.json.encode(found)) < 4_000
    assert found.ports[-1] == (32, 32)


def test_of_a_pod_of_thousands_of_containers_that_nobody_knows_few_are_tried_the_likeliest_first() -> None:
    manifest = pod_dict()
    likeliest = manifest["spec"]["containers"][0]["name"]
    manifest["spec"]["containers"] += [{"name": f"c{n}", "image": "registry.test/app:1"} for n in range(10_000)]
    found = derive_pods(decode_pod(manifest), UNKNOWN)
    assert [each.container for each in found] == [likeliest, *(f"c{n}" for n in range(MOST_CONTAINERS - 1))]
