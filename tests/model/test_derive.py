"""Deployment → Workload, Namespace → Space, and their merge with stored metadata: the table of fields, row by row."""

import json
import shlex
import time
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.model.derive import Unparsable, derive_space, derive_workload, merge
from service.model.labels import PRESETS, Keys
from service.model.manifests import Deployment
from service.model.process import HealthCheck, Metadata, Process, SidecarContainer, Space, Workload
from service.model.texts import LONGEST_COMMAND, MOST_LABELS, MOST_PORTS, MOST_SIDECARS
from service.model.times import SECOND, microseconds, timestamp
from tests.model.builders import CREATED_AT, decode, deployment, deployment_dict, metadata, namespace, workload

KEYS = Keys()
APP = {"cloudfoundry.org/app-guid": "app-1"}
UUID_NAMESPACE = UUID("7c2f6c1e-5d0b-5e5c-9f43-0f6b8d2a91c4")


def derived(**manifest: Any) -> Workload:
    return derive_workload(deployment(**manifest), KEYS)


def merged(row: Metadata | None = None, space: Space | None = None, **manifest: Any) -> Process:
    return merge(derived(**manifest), row, space)


def at(text: str) -> int:
    return microseconds(datetime.fromisoformat(text))


# Identity


def test_takes_app_type_and_name_from_the_deployment() -> None:
    found = derived(labels={**APP, "cloudfoundry.org/process-type": "worker"})
    assert (found.app_guid, found.type) == ("app-1", "worker")
    assert (found.uid, found.namespace, found.name) == ("uid-1", "space-a", "app-web")


@pytest.mark.parametrize("labels", [APP, {**APP, "cloudfoundry.org/process-type": ""}], ids=["absent", "empty"])
def test_without_a_type_it_is_web(labels: Mapping[str, str]) -> None:
    assert derived(labels=labels).type == "web"


def test_guid_is_the_label_where_there_is_one() -> None:
    assert derived(labels={**APP, "cloudfoundry.org/process-guid": "p-1"}).guid == "p-1"


@pytest.mark.parametrize("labels", [APP, {**APP, "cloudfoundry.org/process-guid": ""}], ids=["absent", "empty"])
def test_guid_is_else_the_uuid5_of_namespace_app_and_type(labels: Mapping[str, str]) -> None:
    # Literal: whatever is changed in the code, the processes already out there keep their GUIDs.
    assert derived(labels=labels).guid == "c8cb31d6-9089-5682-9c52-7d74baaeb2c4"


def test_guid_outlives_the_deployment() -> None:
    manifest = deployment_dict()
    again = deployment_dict()
    again["metadata"] |= {"uid": "uid-2", "name": "other", "creationTimestamp": "2025-01-01T00:00:00Z"}
    first, second = (derive_workload(decode(m), KEYS) for m in (manifest, again))
    assert first.guid == second.guid
    assert first.uid != second.uid


@given(st.tuples(st.text(min_size=1), st.text(min_size=1)), st.tuples(st.text(min_size=1), st.text(min_size=1)))
def test_guids_of_different_label_values_differ(one: tuple[str, str], other: tuple[str, str]) -> None:
    # A label value has no slash, which is what parts app from type in the UUID's name.
    one, other = ((a.replace("/", "."), t.replace("/", ".")) for a, t in (one, other))
    guids = [
        derive_workload(
            deployment(labels={"cloudfoundry.org/app-guid": app, "cloudfoundry.org/process-type": kind}), KEYS
        ).guid
        for app, kind in (one, other)
    ]
    assert (guids[0] == guids[1]) == (one == other)
    assert UUID(guids[0]).version == 5


@pytest.mark.parametrize(
    "labels", [{}, {"cloudfoundry.org/app-guid": ""}, {"app": "app-1"}], ids=["none", "empty", "other"]
)
def test_without_an_app_guid_it_is_no_process(labels: Mapping[str, str]) -> None:
    with pytest.raises(Unparsable, match=r"cloudfoundry\.org/app-guid"):
        derived(labels=labels)


def test_null_labels_and_annotations_are_none_at_all() -> None:
    manifest = deployment_dict()
    manifest["metadata"] |= {"labels": None, "annotations": None, "managedFields": None}
    with pytest.raises(Unparsable, match="app-guid"):
        derive_workload(decode(manifest), KEYS)


PRESET_LABELS = {
    "default": {
        "app_guid": "cloudfoundry.org/app-guid",
        "process_type": "cloudfoundry.org/process-type",
        "process_guid": "cloudfoundry.org/process-guid",
        "space_guid": "cloudfoundry.org/space-guid",
        "organization_guid": "cloudfoundry.org/org-guid",
    },
    "korifi": {
        "app_guid": "korifi.cloudfoundry.org/app-guid",
        "process_type": "korifi.cloudfoundry.org/process-type",
        "process_guid": "korifi.cloudfoundry.org/process-guid",
        "space_guid": "korifi.cloudfoundry.org/space-guid",
        "organization_guid": "korifi.cloudfoundry.org/org-guid",
    },
    "eirini": {
        "app_guid": "cloudfoundry.org/app_guid",
        "process_type": "cloudfoundry.org/process_type",
        "process_guid": "cloudfoundry.org/guid",
        "space_guid": "cloudfoundry.org/space_guid",
        "organization_guid": "cloudfoundry.org/org_guid",
    },
}


def test_there_are_three_presets() -> None:
    assert set(PRESETS) == set(PRESET_LABELS)
    assert PRESETS["default"] == Keys()


@pytest.mark.parametrize("preset", PRESET_LABELS)
def test_reads_the_labels_of_a_preset(preset: str) -> None:
    label = PRESET_LABELS[preset]
    wanted = {"app_guid": "a", "process_type": "worker", "process_guid": "p", "space_guid": "s"}
    labels = {label[field]: value for field, value in wanted.items()}
    process = merge(
        derive_workload(deployment(labels=labels), PRESETS[preset]),
        None,
        derive_space(namespace("space-a", {label["organization_guid"]: "o"}), PRESETS[preset]),
    )
    assert (process.workload.app_guid, process.workload.type, process.guid) == ("a", "worker", "p")
    assert (process.space_guid, process.organization_guid) == ("s", "o")


@pytest.mark.parametrize("preset", PRESET_LABELS)
def test_a_preset_reads_no_other_preset_s_labels(preset: str) -> None:
    for other in PRESET_LABELS.keys() - {preset}:
        with pytest.raises(Unparsable):
            derive_workload(deployment(labels={PRESET_LABELS[other]["app_guid"]: "a"}), PRESETS[preset])


@pytest.mark.parametrize("preset", PRESETS)
def test_the_keys_of_a_preset_differ_from_each_other(preset: str) -> None:
    keys = [getattr(PRESETS[preset], field.name) for field in fields(Keys)]
    assert len(set(keys)) == len(keys)


# Space and organization


def test_space_is_the_deployment_s_label_before_the_namespace_s() -> None:
    labels = {**APP, "cloudfoundry.org/space-guid": "own"}
    assert merged(labels=labels, space=Space("space-a", "theirs")).space_guid == "own"


def test_space_is_else_the_namespace_s() -> None:
    assert merged(space=Space("space-a", "theirs")).space_guid == "theirs"


def test_space_of_a_namespace_not_yet_known_is_its_name() -> None:
    process = merged()
    assert (process.space_guid, process.organization_guid) == ("space-a", "default")


def test_organization_is_the_namespace_s_also_under_an_own_space() -> None:
    labels = {**APP, "cloudfoundry.org/space-guid": "own", "cloudfoundry.org/org-guid": "ignored"}
    assert merged(labels=labels, space=Space("space-a", "theirs", "org")).organization_guid == "org"


@pytest.mark.parametrize(
    ("labels", "facts"),
    [
        (None, {}),
        ({}, {}),
        ({"space-guid": "s"}, {"guid": "s", "labelled": True}),
        ({"org-guid": "o"}, {"organization_guid": "o", "labelled": True}),
        ({"space-guid": "", "org-guid": "", "space-name": "", "org-name": ""}, {}),
        ({"space-name": "shop"}, {"name": "shop"}),
        ({"org-name": "retail"}, {"organization_name": "retail"}),
    ],
)
def test_a_namespace_says_which_space_it_is_and_of_which_organization(
    labels: Mapping[str, str] | None, facts: Mapping[str, Any]
) -> None:
    written = None if labels is None else {f"cloudfoundry.org/{key}": value for key, value in labels.items()}
    plain: dict[str, Any] = {"namespace": "n", "guid": "n", "name": "n"}
    times = {"created_at": CREATED_AT, "updated_at": CREATED_AT}
    assert derive_space(namespace("n", written), KEYS) == Space(**{**plain, **times, **facts})


# Times


def test_created_at_is_the_creation_timestamp() -> None:
    assert derived().created_at == CREATED_AT
    assert timestamp(derived().created_at) == "2024-01-02T03:04:05Z"


def test_updated_at_is_created_at_without_any_change() -> None:
    assert merged().updated_at == CREATED_AT


def test_updated_at_is_the_latest_change_but_of_the_status() -> None:
    process = merged(
        managed=[
            {"manager": "kubectl", "time": "2024-02-01T00:00:00Z"},
            {"manager": "scaler", "time": "2024-03-01T00:00:00Z", "subresource": "scale"},
            {"manager": "helm", "time": "2024-02-15T00:00:00Z"},
            {"manager": "controller", "time": "2024-04-01T00:00:00Z", "subresource": "status"},
            {"manager": "no time", "time": None},
            {},
        ]
    )
    assert process.updated_at == at("2024-03-01T00:00:00Z")


def test_updated_at_is_the_row_s_where_that_is_later() -> None:
    managed = [{"time": "2024-02-01T00:00:00Z"}]
    later, earlier = at("2024-02-02T00:00:00Z"), at("2024-01-31T00:00:00Z")
    assert merged(metadata(updated_at=later), managed=managed).updated_at == later
    assert merged(metadata(updated_at=earlier), managed=managed).updated_at == at("2024-02-01T00:00:00Z")


aware = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))


@given(
    created=aware,
    managed=st.lists(st.tuples(aware, st.sampled_from([None, "", "status", "scale"])), max_size=4),
    stored=st.none() | st.integers(-SECOND, 2**52),
)
def test_updated_at_is_never_before_created_at(
    created: datetime, managed: list[tuple[datetime, str | None]], stored: int | None
) -> None:
    manifest = deployment_dict(managed=[{"time": t.isoformat(), "subresource": sub} for t, sub in managed])
    manifest["metadata"]["creationTimestamp"] = created.isoformat()
    found = derive_workload(decode(manifest), KEYS)
    process = merge(found, None if stored is None else metadata(updated_at=stored), None)
    assert found.created_at == microseconds(created)
    assert process.updated_at >= found.created_at
    assert process.updated_at in {
        found.created_at,
        stored,
        *(microseconds(t) for t, sub in managed if sub != "status"),
    }


@pytest.mark.parametrize("place", ["creationTimestamp", "managedFields"])
def test_a_time_without_an_offset_is_unparsable(place: str) -> None:
    manifest = deployment_dict(managed=[{"time": "2024-02-01T00:00:00Z"}])
    manifest["metadata"][place] = (
        "2024-01-02T03:04:05" if place == "creationTimestamp" else [{"time": "2024-02-01T00:00:00"}]
    )
    with pytest.raises((Unparsable, msgspec.ValidationError)):
        derive_workload(decode(manifest), KEYS)


# Version, command, user, instances

REVISION = "deployment.kubernetes.io/revision"
VERSION = "cloudfoundry.org/version"


@pytest.mark.parametrize(
    ("annotations", "version"),
    [
        ({VERSION: "v-1", REVISION: "7"}, "v-1"),
        ({VERSION: "v-1"}, "v-1"),
        ({VERSION: "", REVISION: "7"}, "7"),
        ({REVISION: "7"}, "7"),
        ({}, "0"),
    ],
)
def test_version_is_the_annotation_else_the_rollout_revision(annotations: Mapping[str, str], version: str) -> None:
    assert derived(annotations=annotations).version == version


@pytest.mark.parametrize(
    ("container", "command"),
    [
        ({}, ""),
        ({"command": None, "args": None}, ""),
        ({"command": [], "args": []}, ""),
        ({"command": ["rackup"]}, "rackup"),
        ({"args": ["--port", "8080"]}, "--port 8080"),
        ({"command": ["rackup"], "args": ["-p", "8080"]}, "rackup -p 8080"),
        (
            {"command": ["run", "two words", "it's", "", "$HOME", "a;b"]},
            "run 'two words' 'it'\"'\"'s' '' '$HOME' 'a;b'",
        ),
        ({"command": ["/bin/sh", "-c", "exec rackup -p $PORT"]}, "exec rackup -p $PORT"),
        ({"command": ["sh", "-c", "a && b"]}, "a && b"),
        ({"command": ["/usr/local/bin/sh", "-c", "a"]}, "a"),
        ({"command": ["/bin/sh", "-c"], "args": ["a 'b' && c"]}, "a 'b' && c"),
        ({"command": ["/bin/sh"], "args": ["-c", "a b"]}, "a b"),
        ({"args": ["sh", "-c", "a b"]}, "a b"),
        ({"command": ["/bin/sh", "-c", ""]}, ""),
        ({"command": ["/bin/sh", "-c", "echo $0", "name"]}, "/bin/sh -c 'echo $0' name"),
        ({"command": ["/bin/sh", "-ec", "a b"]}, "/bin/sh -ec 'a b'"),
        ({"command": ["/bin/sh", "-c"]}, "/bin/sh -c"),
        ({"command": ["bash", "-c", "a b"]}, "bash -c 'a b'"),
        ({"command": ["/bin/zsh", "-c", "a b"]}, "/bin/zsh -c 'a b'"),
    ],
)
def test_command_is_what_was_written_for_the_shell(container: Mapping[str, Any], command: str) -> None:
    assert derived(container=container).command == command


@pytest.mark.parametrize(
    ("container", "pod", "user"),
    [
        ({"securityContext": {"runAsUser": 1000}}, {"securityContext": {"runAsUser": 2000}}, "1000"),
        ({"securityContext": {"runAsUser": 0}}, {"securityContext": {"runAsUser": 2000}}, "0"),
        ({"securityContext": {"runAsNonRoot": True}}, {"securityContext": {"runAsUser": 2000}}, "2000"),
        ({"securityContext": {"runAsUser": None}}, {"securityContext": {"runAsUser": 2000}}, "2000"),
        ({}, {"securityContext": {"runAsUser": 0}}, "0"),
        ({}, {"securityContext": {}}, None),
        ({}, {}, None),
    ],
)
def test_user_is_the_container_s_else_the_pod_s(
    container: Mapping[str, Any], pod: Mapping[str, Any], user: str | None
) -> None:
    assert derived(container=container, pod=pod).user == user


@pytest.mark.parametrize(("spec", "instances"), [({"replicas": 0}, 0), ({"replicas": 3}, 3), ({"replicas": None}, 1)])
def test_instances_are_the_replicas_and_one_where_none_are_given(spec: Mapping[str, Any], instances: int) -> None:
    assert derived(**spec).instances == instances


def test_instances_are_one_where_replicas_are_absent() -> None:
    manifest = deployment_dict()
    del manifest["spec"]["replicas"]
    assert derive_workload(decode(manifest), KEYS).instances == 1


# Limits


@pytest.mark.parametrize(
    ("limits", "memory", "disk"),
    [
        ({"memory": "64Mi", "ephemeral-storage": "1Gi"}, 64, 1024),
        ({"memory": "1"}, 1, 0),
        ({"ephemeral-storage": "1025Ki"}, 0, 2),
        ({"memory": "1G"}, 954, 0),
        ({"memory": 1048577, "ephemeral-storage": 1e9}, 2, 954),
        ({"memory": 2.5}, 1, 0),
        ({"cpu": "500m"}, 0, 0),
        ({}, 0, 0),
        (None, 0, 0),
    ],
)
def test_limits_are_mebibytes_rounded_up_and_none_is_zero(
    limits: Mapping[str, Any] | None, memory: int, disk: int
) -> None:
    found = derived(container={"resources": {"limits": limits, "requests": {"memory": "7Mi"}}})
    assert (found.memory_in_mb, found.disk_in_mb) == (memory, disk)
    assert {type(found.memory_in_mb), type(found.disk_in_mb)} == {int}


@pytest.mark.parametrize("container", [{}, {"resources": None}, {"resources": {}}])
def test_without_resources_memory_and_disk_are_zero(container: Mapping[str, Any]) -> None:
    found = derived(container=container)
    assert (found.memory_in_mb, found.disk_in_mb) == (0, 0)


@pytest.mark.parametrize("resource", ["memory", "ephemeral-storage"])
@pytest.mark.parametrize("quantity", ["", "lots", "-1Mi", "1K", "1e999999999", "٣Mi", 1e300])
def test_a_malformed_limit_is_unparsable_and_names_the_container(resource: str, quantity: str | float) -> None:
    with pytest.raises(Unparsable, match=r"container 'application': .* is not an amount"):
        derived(container={"resources": {"limits": {resource: quantity}}})


# App container

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
A, APPLICATION, Z = ({"name": name, "command": [name]} for name in ("a", "application", "z"))


@pytest.mark.parametrize(
    ("containers", "annotated", "chosen"),
    [
        ([A, APPLICATION, Z], "z", "z"),
        ([A, APPLICATION, Z], "application", "application"),
        ([A, APPLICATION, Z], "missing", "application"),
        ([A, APPLICATION, Z], "", "application"),
        ([A, APPLICATION, Z], None, "application"),
        ([A, Z], "missing", "a"),
        ([A, Z], None, "a"),
        ([Z, A], None, "z"),
    ],
)
def test_the_app_container_is_annotated_else_named_application_else_the_first(
    containers: list[Mapping[str, Any]], annotated: str | None, chosen: str
) -> None:
    pod_annotations = None if annotated is None else {DEFAULT_CONTAINER: annotated}
    assert derived(containers=containers, pod_annotations=pod_annotations).command == chosen


def test_the_default_container_is_annotated_on_the_pod_and_not_the_deployment() -> None:
    assert derived(containers=[A, Z], annotations={DEFAULT_CONTAINER: "z"}).command == "a"


def test_every_field_is_of_the_app_container() -> None:
    app = {
        "name": "application",
        "command": ["app"],
        "resources": {"limits": {"memory": "1Mi", "ephemeral-storage": "2Mi"}},
        "livenessProbe": {"httpGet": {"path": "/live"}},
        "readinessProbe": {"httpGet": {"path": "/ready"}},
        "securityContext": {"runAsUser": 7},
    }
    assert derived(containers=[A, app]) == derived(containers=[app, A])
    found = derived(containers=[{"name": "sidecar", "resources": {"limits": {"memory": "nonsense"}}}, app])
    assert found.sidecars == (SidecarContainer("sidecar", "", 0),)
    assert (found.command, found.memory_in_mb, found.disk_in_mb, found.user) == ("app", 1, 2, "7")
    assert (found.health_check.endpoint, found.readiness_health_check.endpoint) == ("/live", "/ready")


def test_sidecars_are_the_other_containers_and_the_init_containers_that_go_on() -> None:
    found = derived(
        containers=[
            {"name": "proxy", "command": ["/bin/sh", "-c", "envoy"], "resources": {"limits": {"memory": "1500k"}}},
            {"name": "application", "command": ["app"]},
            {"name": "logs", "args": ["--to", "a b"]},
        ],
        pod={
            "initContainers": [
                {"name": "migrate", "command": ["once"]},
                {"name": "mesh", "restartPolicy": "Always", "image": "registry.test/mesh:1"},
            ]
        },
    )
    assert found.sidecars == (
        SidecarContainer("mesh", "", 0),
        SidecarContainer("proxy", "envoy", 2),
        SidecarContainer("logs", "--to 'a b'", 0),
    )


def test_without_sidecars_all_share_one_empty_tuple() -> None:
    assert derived().sidecars is derived(labels={**APP, "cloudfoundry.org/process-type": "worker"}).sidecars


def test_a_sidecars_command_is_kept_as_far_as_it_is_shown() -> None:
    (sidecar,) = derived(containers=[{"name": "application"}, {"name": "b", "args": ["x" * 5000]}]).sidecars
    assert sidecar.command == "x" * (LONGEST_COMMAND - 1) + "…"


def test_equal_sidecars_are_one_object() -> None:
    beside = [{"name": "application"}, {"name": "proxy", "args": ["a"]}]
    one, other = (derived(labels={**APP, "cloudfoundry.org/process-type": kind}, containers=beside) for kind in "ab")
    assert one.sidecars[0] is other.sidecars[0]


def test_numbers_fit_what_clients_keep() -> None:
    found = derived(
        container={
            "resources": {"limits": {"memory": "4Pi", "ephemeral-storage": "8Ei"}},
            "startupProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 2**31 - 1, "failureThreshold": 2**31 - 1},
        }
    )
    assert found.memory_in_mb == found.disk_in_mb == found.health_check.timeout == 2**31 - 1


def test_no_containers_is_unparsable() -> None:
    with pytest.raises(Unparsable, match="no container"):
        derived(containers=[])


def test_two_hundred_containers_are_no_trouble() -> None:
    containers = [{"name": f"c{number}", "command": [f"run-{number}"]} for number in range(200)]
    manifest = deployment(containers=containers, pod_annotations={DEFAULT_CONTAINER: "c199"})
    started = time.perf_counter()
    assert derive_workload(manifest, KEYS).command == "run-199"
    assert time.perf_counter() - started < 0.05


# Health checks

PERIODS = {"timeoutSeconds": 3, "periodSeconds": 10, "failureThreshold": 6}


@pytest.mark.parametrize(
    ("action", "kind", "endpoint"),
    [
        ({"httpGet": {"path": "/health", "port": 8080}}, "http", "/health"),
        ({"httpGet": {"port": 8080}}, "http", "/"),
        ({"httpGet": {"path": "", "port": "http"}}, "http", "/"),
        ({"tcpSocket": {"port": 8080}}, "port", None),
        ({"grpc": {"port": 8080, "service": "s"}}, "port", None),
        ({"exec": {"command": ["true"]}}, "process", None),
        ({}, "process", None),
    ],
    ids=["http", "http without a path", "http with an empty path", "tcp", "grpc", "exec", "nothing"],
)
class TestProbe:
    def test_liveness(self, action: Mapping[str, Any], kind: str, endpoint: str | None) -> None:
        found = derived(container={"livenessProbe": {**action, **PERIODS}})
        assert found.health_check == HealthCheck(kind, None, 3, 10, endpoint)
        assert found.readiness_health_check == HealthCheck("process")

    def test_readiness(self, action: Mapping[str, Any], kind: str, endpoint: str | None) -> None:
        found = derived(container={"readinessProbe": {**action, **PERIODS}})
        assert found.readiness_health_check == HealthCheck(kind, None, 3, 10, endpoint)
        assert found.health_check == HealthCheck("process")

    def test_startup_alone_is_the_health_check_and_its_timeout(
        self, action: Mapping[str, Any], kind: str, endpoint: str | None
    ) -> None:
        found = derived(container={"startupProbe": {**action, **PERIODS}})
        assert found.health_check == HealthCheck(kind, 60, 3, 10, endpoint)
        assert found.readiness_health_check == HealthCheck("process")

    def test_startup_beside_liveness_gives_the_timeout_only(
        self, action: Mapping[str, Any], kind: str, endpoint: str | None
    ) -> None:
        found = derived(
            container={
                "livenessProbe": {**action, **PERIODS},
                "startupProbe": {"httpGet": {"path": "/start"}, "timeoutSeconds": 1, "periodSeconds": 2}
                | {"failureThreshold": 45},
                "readinessProbe": {"tcpSocket": {"port": 1}},
            }
        )
        assert found.health_check == HealthCheck(kind, 90, 3, 10, endpoint)
        assert found.readiness_health_check == HealthCheck("port")


def test_without_probes_both_checks_are_of_the_process() -> None:
    found = derived()
    assert found.health_check == found.readiness_health_check == HealthCheck("process", None, None, None, None)


@pytest.mark.parametrize("missing", ["periodSeconds", "failureThreshold"])
def test_half_a_startup_period_is_no_timeout(missing: str) -> None:
    probe = {"tcpSocket": {"port": 1}, **PERIODS, missing: None}
    assert derived(container={"startupProbe": probe}).health_check.timeout is None


# Revision and registry credential

REVISION_GUID = "cloudfoundry.org/revision-guid"
CREDENTIAL = "cloudfoundry.org/registry-credential-guid"
SYNCED = "cloudfoundry.org/registry-credential-last-synced-at"
PULL_SECRET = {"imagePullSecrets": [{"name": "pull"}, {"name": "other"}]}
PULL_SECRET_GUID = str(uuid5(UUID_NAMESPACE, "registry-credential/space-a/pull"))


@pytest.mark.parametrize(
    ("annotations", "row", "guid"),
    [
        ({REVISION_GUID: "annotated"}, metadata(revision_guid="stored"), "annotated"),
        ({REVISION_GUID: ""}, metadata(revision_guid="stored"), "stored"),
        ({}, metadata(revision_guid="stored"), "stored"),
        ({}, metadata(), None),
        ({}, None, None),
    ],
)
def test_revision_is_the_annotation_else_stored(
    annotations: Mapping[str, str], row: Metadata | None, guid: str | None
) -> None:
    assert merged(row, annotations=annotations).revision_guid == guid


@pytest.mark.parametrize(
    ("annotations", "row", "pod", "guid"),
    [
        ({CREDENTIAL: "annotated"}, metadata(registry_credential_guid="stored"), PULL_SECRET, "annotated"),
        ({CREDENTIAL: ""}, metadata(registry_credential_guid="stored"), PULL_SECRET, "stored"),
        ({}, metadata(registry_credential_guid="stored"), PULL_SECRET, "stored"),
        ({}, metadata(), PULL_SECRET, PULL_SECRET_GUID),
        ({}, None, PULL_SECRET, PULL_SECRET_GUID),
        ({}, None, {"imagePullSecrets": [{}, {"name": ""}, {"name": "pull"}]}, PULL_SECRET_GUID),
        ({}, None, {"imagePullSecrets": []}, None),
        ({}, None, {"imagePullSecrets": None}, None),
        ({}, None, {}, None),
    ],
)
def test_registry_credential_is_the_annotation_else_stored_else_the_pull_secret(
    annotations: Mapping[str, str], row: Metadata | None, pod: Mapping[str, Any], guid: str | None
) -> None:
    assert merged(row, annotations=annotations, pod=pod).registry_credential_guid == guid


def test_the_pull_secret_s_guid_is_fixed() -> None:
    manifest = deployment_dict(pod=PULL_SECRET)
    manifest["metadata"]["namespace"] = "ns"
    assert derive_workload(decode(manifest), KEYS).pull_secret_guid == "1f71c79f-75b6-5966-8212-e2ace1d3e78a"


SYNC_TIME = at("2024-05-06T07:08:09Z")


@pytest.mark.parametrize(
    ("annotations", "stored", "synced_at"),
    [
        ({SYNCED: "2024-05-06T07:08:09Z"}, 1, SYNC_TIME),
        ({SYNCED: "2024-05-06T09:08:09+02:00"}, None, SYNC_TIME),
        ({SYNCED: "1970-01-01T00:00:00Z"}, 1, 0),
        ({}, SYNC_TIME, SYNC_TIME),
        ({}, 0, 0),
        ({}, None, None),
    ],
)
def test_last_sync_is_the_annotation_else_stored(
    annotations: Mapping[str, str], stored: int | None, synced_at: int | None
) -> None:
    process = merged(metadata(registry_credential_last_synced_at=stored), annotations=annotations)
    assert process.registry_credential_last_synced_at == synced_at


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "yesterday",
        "1714979289",
        "2024-05-06",
        "2024-05-06T07:08:09",
        "2024-02-30T00:00:00Z",
        "2024-05-06T24:00:00Z",
        "99999-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "null",
        "\x00",
        "٢٠٢٤-05-06T07:08:09Z",
    ],
)
def test_annotated_nonsense_is_no_reason_to_hide_the_process(text: str) -> None:
    process = merged(metadata(registry_credential_last_synced_at=SYNC_TIME), annotations={SYNCED: text})
    assert process.registry_credential_last_synced_at == SYNC_TIME


@given(st.text() | st.datetimes(timezones=st.timezones()).map(datetime.isoformat))
def test_any_annotation_leaves_a_process(text: str) -> None:
    annotations = {SYNCED: text, VERSION: text, REVISION_GUID: text, CREDENTIAL: text, REVISION: text}
    found = derived(annotations=annotations)
    assert found.version == text or (text == "" and found.version == "0")
    assert found.revision_guid == found.registry_credential_guid == (text or None)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_an_annotated_time_can_always_be_written_out(text: str) -> None:
    synced_at = merged(annotations={SYNCED: text}).registry_credential_last_synced_at
    assert synced_at is None or timestamp(synced_at)


# What Postgres keeps


def test_without_a_row_log_rate_is_unlimited_and_metadata_empty() -> None:
    process = merged()
    assert process.metadata.log_rate_limit_in_bytes_per_second == -1
    assert (process.metadata.labels, process.metadata.annotations) == ({}, {})
    assert (process.metadata.app_guid, process.metadata.type) == ("app-1", "web")


def test_log_rate_labels_and_annotations_are_stored() -> None:
    row = metadata("app-1", labels={"a": "b"}, annotations={"c": "d"}, log_rate_limit_in_bytes_per_second=2**63 - 1)
    assert merged(row).metadata is row


def test_labels_of_the_deployment_are_not_the_process_s() -> None:
    assert merged(labels={**APP, "team": "x"}, annotations={"note": "y"}).metadata.labels == {}


def test_merging_keeps_the_workload_as_it_is() -> None:
    found = workload()
    assert merge(found, metadata(updated_at=5), Space("space-a", "s")).workload is found


# Decoding


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec",), None),
        (("spec", "template", "spec", "containers"), None),
        (("spec", "replicas"), "3"),
        (("metadata", "labels"), {"cloudfoundry.org/app-guid": None}),
        (("metadata", "creationTimestamp"), None),
        (("spec", "template", "spec", "containers"), [{"command": "not a list"}]),
        (("spec", "template", "spec", "containers"), [{"resources": {"limits": {"memory": True}}}]),
    ],
)
def test_another_shape_fails_decoding_and_nothing_else(path: tuple[str, ...], value: Any) -> None:
    manifest = deployment_dict()
    at_path = manifest
    for key in path[:-1]:
        at_path = at_path[key]
    at_path[path[-1]] = value
    with pytest.raises(msgspec.ValidationError):
        decode(manifest)


def test_unknown_fields_are_passed_over() -> None:
    manifest = deployment_dict()
    expected = derive_workload(decode(manifest), KEYS)
    manifest["spec"]["template"]["spec"]["containers"][0]["futureField"] = {"a": [1, 2.5, None]}
    manifest["futureField"] = "x"
    assert derive_workload(msgspec.json.decode(json.dumps(manifest), type=Deployment), KEYS) == expected


# Rolling out


def status_of(*conditions: Mapping[str, Any]) -> Workload:
    return derive_workload(decode({**deployment_dict(), "status": {"conditions": list(conditions)}}), KEYS)


def test_why_no_pod_can_be_made_is_what_the_condition_says() -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    assert status_of({"type": "Available", "status": "True"}, failure).replica_failure == "exceeded quota"
    assert status_of(failure).absence == "exceeded quota"
    assert status_of({**failure, "status": "False"}).replica_failure is None
    assert status_of({**failure, "message": "x" * 5000}).replica_failure == "x" * 999 + "…"


def test_paused_before_its_first_rollout_nothing_runs_for_that_reason() -> None:
    before = derived(paused=True)
    assert before.absence == "The Deployment is paused, and has not been rolled out yet"
    assert derived(paused=True, annotations={"deployment.kubernetes.io/revision": "1"}).absence is None
    assert derived(paused=False).absence is None
    assert derived(paused=None).absence is None


@pytest.mark.parametrize(
    ("text", "rollout"), [("7", 7), ("0", 0), ("", 0), ("-1", 0), ("x", 0), ("\u0663", 0), ("9" * 5000, 0)]
)
def test_the_rollout_is_the_revision_where_it_can_be_read(text: str, rollout: int) -> None:
    assert derived(annotations={"deployment.kubernetes.io/revision": text}).rollout == rollout


def test_being_deleted_is_the_timestamp() -> None:
    manifest = deployment_dict()
    assert not derive_workload(decode(manifest), KEYS).deleting
    manifest["metadata"]["deletionTimestamp"] = "2024-01-02T03:05:00Z"
    assert derive_workload(decode(manifest), KEYS).deleting


def test_limits_of_the_whole_pod_are_the_apps_where_its_container_has_none() -> None:
    whole = {"resources": {"limits": {"memory": "64Mi", "ephemeral-storage": "1Gi"}}}
    found = derived(pod=whole)
    assert (found.memory_in_mb, found.disk_in_mb) == (64, 1024)
    found = derived(pod=whole, container={"resources": {"limits": {"memory": "16Mi"}}})
    assert (found.memory_in_mb, found.disk_in_mb) == (16, 1024)
    assert derived(pod={"resources": {"limits": None}}).memory_in_mb == 0


# What somebody may write a lot of


def test_what_is_kept_of_a_deployment_is_small_whatever_it_holds() -> None:
    long = "x" * 200_000
    keys = [getattr(KEYS, field.name) for field in fields(KEYS)]
    texts = [long, f"{long}=7", json.dumps({"type": "http", "endpoint": f"/{long}"}), json.dumps({"type": long})]
    for annotation in texts:
        found = derived(
            annotations=dict.fromkeys([*keys, "deployment.kubernetes.io/revision"], annotation),
            container={
                "command": [long] * 5,
                "args": [long] * 5,
                "livenessProbe": {"httpGet": {"path": f"/{long}"}},
                "readinessProbe": {"httpGet": {"path": f"/{long}"}},
                "securityContext": {"runAsUser": 7},
            },
            pod={"securityContext": {"runAsUser": 7}},
        )
        assert len(msgspec.json.encode(found)) < 8_000


def test_of_thousands_of_labels_ports_and_containers_the_first_are_kept() -> None:
    app = {"name": "application", "ports": [{"containerPort": 1 + n, "name": f"p{n}"} for n in range(15_000)]}
    manifest = deployment_dict(containers=[app, *({"name": f"beside-{n}"} for n in range(4_000))])
    manifest["spec"]["template"]["metadata"] = {"labels": {f"k{n:05}": "v" for n in range(20_000)}}
    found = derive_workload(decode(manifest), KEYS)
    assert len(list(found.labels_of_pods)) == MOST_LABELS
    assert ("k00000", "v") in found.labels_of_pods
    assert len(found.named_ports) == MOST_PORTS
    assert [each.name for each in found.sidecars] == [f"beside-{n}" for n in range(MOST_SIDECARS)]


def test_a_command_of_a_quarter_of_a_million_words_costs_no_more_than_what_is_shown() -> None:
    manifest = deployment(container={"args": ["--verbose"] * 250_000})
    took = []
    for _ in range(5):
        began = time.perf_counter()
        found = derive_workload(manifest, KEYS)
        took.append(time.perf_counter() - began)
    assert found.command.startswith("--verbose --verbose ")
    assert (len(found.command), found.command[-1]) == (4096, "…")
    assert min(took) < 0.02


@given(st.lists(st.text(max_size=12), max_size=12), st.integers(0, 3))
def test_a_command_that_fits_is_shown_as_a_shell_would_take_it(words: list[str], own: int) -> None:
    if len(words) == 3 and words[1] == "-c":
        return
    found = derived(container={"command": words[:own], "args": words[own:]})
    assert shlex.split(found.command) == words
