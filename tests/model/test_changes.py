"""Requests as patches of a Deployment: what they change, and all that they must not."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from service.errors import UnprocessableEntity
from service.model.changes import Scale, Update
from service.model.derive import DEFAULT_CONTAINER, derive_workload
from service.model.edits import User
from service.model.labels import Keys
from service.model.probes import CheckChange
from service.model.process import MetadataChange, Workload
from service.model.snapshots import Patch, Snapshot
from tests.model.builders import decode, deployment_dict
from tests.model.kubernetes import patched

KEYS = Keys()
SECRET = "s3cret-value"


def snapshot_of(manifest: Mapping[str, Any]) -> Snapshot:
    return Snapshot(derived(manifest), manifest, int(manifest["metadata"]["resourceVersion"]), KEYS)


def derived(manifest: Mapping[str, Any]) -> Workload:
    return derive_workload(decode(manifest), KEYS)


def after(manifest: Mapping[str, Any], change: Scale | Update, write_id: str | None = None) -> dict[str, Any]:
    snapshot = snapshot_of(manifest)
    return patched(manifest, snapshot.guarded(change.patch(snapshot), write_id))


def containers_of(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = manifest["spec"]["template"]["spec"]["containers"]
    return found


# Which container

A, APPLICATION, Z = ({"name": name, "image": f"registry.test/{name}:1"} for name in ("a", "application", "z"))


@pytest.mark.parametrize(
    ("containers", "annotations", "app"),
    [
        ([A, APPLICATION, Z], {DEFAULT_CONTAINER: "z"}, 2),
        ([A, APPLICATION, Z], {DEFAULT_CONTAINER: "missing"}, 1),
        ([A, APPLICATION, Z], None, 1),
        ([A, Z], {}, 0),
        ([Z, A], None, 0),
        ([A], {DEFAULT_CONTAINER: ""}, 0),
    ],
)
@pytest.mark.parametrize(
    "change",
    [Scale(memory_in_mb=64), Scale(disk_in_mb=64), Update(command="run"), Update(user=User(7))],
    ids=["memory", "disk", "command", "user"],
)
def test_only_the_app_container_changes(
    containers: Sequence[dict[str, Any]], annotations: dict[str, str] | None, app: int, change: Scale | Update
) -> None:
    manifest = deployment_dict(containers=containers, pod_annotations=annotations)
    made = containers_of(after(manifest, change))
    assert [each["name"] for each in made] == [each["name"] for each in containers]
    assert [made[n] == containers[n] for n in range(len(made))] == [n != app for n in range(len(made))]


def test_the_template_s_null_annotations_are_none() -> None:
    manifest = deployment_dict(containers=[A, APPLICATION])
    manifest["spec"]["template"]["metadata"] = {"creationTimestamp": None, "annotations": None}
    assert snapshot_of(manifest).container == APPLICATION


# Scale


def test_scaling_instances_touches_nothing_else() -> None:
    manifest = deployment_dict()
    changed = after(manifest, Scale(instances=0))
    assert changed["spec"].pop("replicas") == 0
    assert changed["metadata"]["annotations"].pop(KEYS.scaled_to_zero) == "true"
    manifest["spec"].pop("replicas")
    assert changed == manifest
    assert Scale(instances=0).patch(snapshot_of(deployment_dict())).spec == {"replicas": 0}


def test_memory_and_disk_are_limit_and_request_of_the_app_container() -> None:
    resources = {
        "limits": {"memory": "1Gi", "cpu": "2", "example.org/gpu": "1"},
        "requests": {"memory": "512Mi", "cpu": "100m"},
        "claims": [{"name": "gpu"}],
    }
    changed = after(
        deployment_dict(container={"resources": resources}), Scale(instances=3, memory_in_mb=64, disk_in_mb=2**31 - 1)
    )
    assert changed["spec"]["replicas"] == 3
    assert containers_of(changed)[0]["resources"] == {
        "limits": {"memory": "64Mi", "ephemeral-storage": "2147483647Mi", "cpu": "2", "example.org/gpu": "1"},
        "requests": {"memory": "64Mi", "ephemeral-storage": "2147483647Mi", "cpu": "100m"},
        "claims": [{"name": "gpu"}],
    }


@pytest.mark.parametrize("resources", [{}, {"resources": {}}, {"resources": None}, {"resources": {"limits": None}}])
def test_memory_where_no_resources_are_named(resources: dict[str, Any]) -> None:
    changed = after(deployment_dict(container=resources), Scale(memory_in_mb=1))
    assert containers_of(changed)[0]["resources"] == {"limits": {"memory": "1Mi"}, "requests": {"memory": "1Mi"}}


amounts = st.none() | st.integers(1, 2**31 - 1)


@given(st.none() | st.integers(0, 2**31 - 1), amounts, amounts)
def test_a_scaled_process_reads_back_as_scaled(instances: int | None, memory: int | None, disk: int | None) -> None:
    change = Scale(instances=instances, memory_in_mb=memory, disk_in_mb=disk)
    manifest = deployment_dict(container={"resources": {"limits": {"memory": "77Mi", "ephemeral-storage": "88Mi"}}})
    found = derived(after(manifest, change))
    assert found.instances == (1 if instances is None else instances)
    assert found.memory_in_mb == (memory or 77)
    assert found.disk_in_mb == (disk or 88)
    asks = instances not in (None, 1) or memory not in (None, 77) or disk not in (None, 88)
    assert bool(change.patch(snapshot_of(manifest))) == asks


ROUNDED = {
    "limits": {"memory": "1500M", "ephemeral-storage": "1G", "cpu": "2"},
    "requests": {"memory": "100Mi", "ephemeral-storage": "1M"},
}


def test_limits_as_they_show_are_left_as_they_are_written() -> None:
    manifest = deployment_dict(container={"resources": ROUNDED})
    shown = derived(manifest)
    assert (shown.memory_in_mb, shown.disk_in_mb) == (1431, 954)
    assert not Scale(memory_in_mb=1431, disk_in_mb=954).patch(snapshot_of(manifest))
    # What is another changes alone.
    changed = containers_of(after(manifest, Scale(instances=1, memory_in_mb=1432, disk_in_mb=954)))[0]["resources"]
    assert changed["limits"] == {**ROUNDED["limits"], "memory": "1432Mi"}
    assert changed["requests"] == {**ROUNDED["requests"], "memory": "1432Mi"}


@pytest.mark.parametrize("limits", [{}, {"memory": "0", "ephemeral-storage": "0"}], ids=["none", "zero"])
def test_no_limit_shows_as_zero_which_may_be_sent_back(limits: dict[str, str]) -> None:
    manifest = deployment_dict(container={"resources": {"limits": limits}})
    assert not Scale(memory_in_mb=0, disk_in_mb=0).patch(snapshot_of(manifest))


def test_a_limit_cannot_be_taken_away() -> None:
    manifest = deployment_dict(container={"resources": ROUNDED})
    with pytest.raises(UnprocessableEntity, match=r"'memory_in_mb' must be 1 or more.*, 'disk_in_mb' must"):
        Scale(instances=2, memory_in_mb=0, disk_in_mb=0).patch(snapshot_of(manifest))


# Command


@pytest.mark.parametrize(
    "before", [{}, {"command": ["a"], "args": ["b"]}, {"args": ["b"]}], ids=["none", "both", "args"]
)
def test_a_command_is_run_by_a_shell_without_the_arguments_of_old(before: dict[str, Any]) -> None:
    changed = after(deployment_dict(container=before), Update(command="exec app --port $PORT"))
    assert containers_of(changed)[0]["command"] == ["/bin/sh", "-c", "exec app --port $PORT"]
    assert "args" not in containers_of(changed)[0]
    assert derived(changed).command == "exec app --port $PORT"


@pytest.mark.parametrize(
    "container",
    [
        {"command": ["node", "server.js"]},
        {"command": ["node"], "args": ["server.js"]},
        {"args": ["node", "server.js"]},
        {"command": ["/bin/sh", "-c", "node server.js"]},
        {"command": ["/busybox/sh", "-c"], "args": ["node server.js"]},
    ],
)
def test_a_command_as_it_shows_is_left_as_it_is_written(container: dict[str, Any]) -> None:
    assert not Update(command="node server.js").patch(snapshot_of(deployment_dict(container=container)))


def test_no_command_shows_as_empty_which_may_be_sent_back() -> None:
    assert not Update(command="").patch(snapshot_of(deployment_dict()))
    with pytest.raises(UnprocessableEntity, match="'command' must be a text of 1 character or more"):
        Update(command="").patch(snapshot_of(deployment_dict(container={"command": ["a"]})))


@given(st.text(min_size=1, max_size=4096))
def test_any_command_reads_back(command: str) -> None:
    assert derived(after(deployment_dict(), Update(command=command))).command == command


# User

CONTEXT = {"readOnlyRootFilesystem": True}


@pytest.mark.parametrize("uid", [0, 7, 2**31 - 1])
def test_a_user_is_the_app_container_s(uid: int) -> None:
    manifest = deployment_dict(
        container={"securityContext": {"runAsUser": 1, **CONTEXT}},
        pod={"securityContext": {"runAsUser": 2, "fsGroup": 3}},
    )
    changed = after(manifest, Update(user=User(uid)))
    assert containers_of(changed)[0]["securityContext"] == {"runAsUser": uid, **CONTEXT}
    assert changed["spec"]["template"]["spec"]["securityContext"] == {"runAsUser": 2, "fsGroup": 3}
    assert derived(changed).user == str(uid)


@pytest.mark.parametrize(
    ("container", "pod"),
    [
        ({"securityContext": {"runAsUser": 7}}, {}),
        ({}, {"securityContext": {"runAsUser": 7}}),
        ({"securityContext": {"runAsUser": 7}}, {"securityContext": {"runAsUser": 8}}),
    ],
    ids=["container", "pod", "both"],
)
def test_a_user_as_it_shows_is_left_where_it_is_written(container: dict[str, Any], pod: dict[str, Any]) -> None:
    manifest = deployment_dict(container=container, pod=pod)
    assert not Update(user=User(7)).patch(snapshot_of(manifest))
    # The name alone is no reason to roll out.
    named = Update(user=User(7, "app")).patch(snapshot_of(manifest))
    assert (named.spec, named.annotations) == ({}, {KEYS.user: "app=7"})
    manifest = after(manifest, Update(user=User(7, "app")))
    assert derived(manifest).user == "app"
    assert not Update(user=User(7, "app")).patch(snapshot_of(manifest))
    # Nor that it stands for another uid by now: it reads as it is sent.
    assert not Update(user=User(9, "app")).patch(snapshot_of(manifest))


# All of it


class Wants(NamedTuple):
    """What a Deployment says of its instances, by whoever's hand."""

    replicas: int
    annotations: Mapping[str, str]


commands: st.SearchStrategy[Any] = st.just(UNSET) | st.none() | st.just("run")
users: st.SearchStrategy[Any] = (
    st.sampled_from([UNSET, None])
    | st.builds(User, st.integers(0, 5))
    | st.builds(User, st.integers(0, 5), st.sampled_from(["vcap", "app"]))
)
check_changes: st.SearchStrategy[Any] = st.sampled_from([UNSET, None]) | st.builds(
    CheckChange, st.sampled_from(["port", "process"]), st.sampled_from([{}, {"interval": 7}, {"timeout": None}])
)
updates = st.builds(Update, command=commands, user=users, health_check=check_changes)
scales = st.builds(Scale, instances=st.none() | st.integers(0, 3), memory_in_mb=st.none() | st.integers(1, 3))
manifests = st.builds(
    lambda container, pod, wants: deployment_dict(
        container={"ports": [{"containerPort": 80}], **container},
        pod=pod,
        annotations={"note": "kept", **wants.annotations},
        replicas=wants.replicas,
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "command": st.just(["a"]),
            "args": st.just(["b"]),
            "securityContext": st.just({"runAsUser": 1}),
            "livenessProbe": st.just({"tcpSocket": {"port": 80}, "timeoutSeconds": 1, "periodSeconds": 10}),
        },
    ),
    st.sampled_from([{}, {"securityContext": {"runAsUser": 2}}]),
    st.builds(
        Wants,
        st.integers(0, 2),
        st.dictionaries(st.sampled_from([KEYS.stopped_instances, KEYS.scaled_to_zero]), st.sampled_from(["2", "true"])),
    ),
)


@given(manifests, updates | scales)
def test_a_patch_holds_for_one_version_only_and_names_no_neighbour(
    manifest: dict[str, Any], change: Scale | Update
) -> None:
    kept = deepcopy(manifest)
    body = snapshot_of(manifest).guarded(change.patch(snapshot_of(manifest)), "write-1")
    assert manifest == kept
    assert (body["metadata"]["uid"], body["metadata"]["resourceVersion"]) == ("uid-1", "42")
    assert body["metadata"].keys() <= {"uid", "resourceVersion", "annotations"}
    assert body.keys() == {"metadata", "spec"}
    assert body["spec"].keys() <= {"replicas", "template"}
    assert body["metadata"]["annotations"].keys() <= {
        KEYS.last_write,
        KEYS.health_check,
        KEYS.readiness_health_check,
        KEYS.user,
        KEYS.original_command,
        KEYS.original_user,
        KEYS.original_health_check,
        KEYS.stopped_instances,
        KEYS.scaled_to_zero,
    }
    changed = after(manifest, change, "write-1")
    assert changed["metadata"]["annotations"]["note"] == "kept"
    assert derived(changed).write_id == "write-1"


@given(manifests, updates | scales)
def test_doing_it_twice_is_doing_it_once(manifest: dict[str, Any], change: Scale | Update) -> None:
    once = after(manifest, change)
    assert after(once, change) == once


@given(manifests, updates | scales)
def test_what_names_nothing_has_no_patch(manifest: dict[str, Any], change: Scale | Update) -> None:
    assert change.names() or not change.patch(snapshot_of(manifest))


def test_without_a_write_id_the_last_one_stays() -> None:
    manifest = deployment_dict(annotations={KEYS.last_write: "write-1"})
    body = snapshot_of(manifest).guarded(Patch({"replicas": 1}), None)
    assert body == {"metadata": {"uid": "uid-1", "resourceVersion": "42"}, "spec": {"replicas": 1}}
    assert derived(patched(manifest, body)).write_id == "write-1"


@pytest.mark.parametrize(
    ("patch", "is_one"),
    [(Patch({}), False), (Patch({}, {}), False), (Patch({"replicas": 0}), True), (Patch({}, {"a": None}), True)],
    ids=["empty", "no annotations", "zero", "an annotation taken away"],
)
def test_an_empty_patch_is_none(patch: Patch, is_one: bool) -> None:
    assert bool(patch) == is_one


# What the audit log shows


def test_names_are_of_fields_and_never_hold_values() -> None:
    metadata = MetadataChange(labels={SECRET: SECRET}, annotations={SECRET: None})
    update = Update(
        command=SECRET,
        user=User(4242),
        health_check=CheckChange("http", {"endpoint": SECRET}),
        readiness_health_check=CheckChange(),
        metadata=metadata,
    )
    assert update.names() == ["command", "user", "health_check", "readiness_health_check", "labels", "annotations"]
    scale = Scale(
        instances=0, memory_in_mb=1, disk_in_mb=1, metadata=MetadataChange(log_rate_limit_in_bytes_per_second=-1)
    )
    assert scale.names() == ["instances", "memory_in_mb", "disk_in_mb", "log_rate_limit_in_bytes_per_second"]


def test_nulls_are_named_and_nothing_is_not() -> None:
    assert Update(command=None, user=None).names() == ["command", "user"]
    assert Update().names() == Scale().names() == []


def test_a_user_reads_back_by_the_name_it_was_written_with_as_long_as_that_is_true() -> None:
    named = after(deployment_dict(), Update(user=User(2000, "vcap")))
    assert derived(named).user == "vcap"
    assert containers_of(named)[0]["securityContext"]["runAsUser"] == 2000
    containers_of(named)[0]["securityContext"]["runAsUser"] = 7
    assert derived(named).user == "7"


@pytest.mark.parametrize("user", [None, User(2000)], ids=["none", "the same uid without the name"])
def test_a_name_goes_with_the_user(user: User | None) -> None:
    named = after(deployment_dict(), Update(user=User(2000, "vcap")))
    changed = after(named, Update(user=user))
    assert derived(changed).user == (None if user is None else "2000")
    assert KEYS.user not in changed["metadata"]["annotations"]
