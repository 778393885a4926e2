"""What the app came with: kept by the first change, brought back by null, never put over what was deployed since."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec import UNSET

from service.errors import UnprocessableEntity
from service.model.changes import Update
from service.model.derive import derive_workload
from service.model.edits import User
from service.model.labels import Keys
from service.model.originals import annotated, kept
from service.model.probes import CheckChange
from service.model.process import HealthCheck, Workload
from service.model.snapshots import Patch, Snapshot
from tests.model.builders import decode, deployment_dict
from tests.model.kubernetes import defaulted, patched

KEYS = Keys()
BACK = Update(command=None, user=None, health_check=None, readiness_health_check=None)
"""All that null can bring back."""
EXEC = {"command": ["node", "server.js"], "args": ["--port", "$(PORT)"]}
PROBE: dict[str, Any] = defaulted(
    {"httpGet": {"path": "/live", "port": "admin", "httpHeaders": [{"name": "X", "value": "y"}]}}
)
RICH: dict[str, Any] = {
    **EXEC,
    "securityContext": {"runAsUser": 7, "readOnlyRootFilesystem": True},
    "ports": [{"containerPort": 80}],
    "livenessProbe": {**PROBE, "failureThreshold": 9},
    "startupProbe": defaulted({"exec": {"command": ["started"]}, "periodSeconds": 2, "failureThreshold": 30}),
    "readinessProbe": {**PROBE, "successThreshold": 3},
}
TOUCHED = {
    "command": Update(command="exec other"),
    "user": Update(user=User(2000, "vcap")),
    "health_check": Update(health_check=CheckChange("port", {"timeout": 60})),
    "readiness_health_check": Update(readiness_health_check=CheckChange("process")),
}


def derived(manifest: Mapping[str, Any]) -> Workload:
    return derive_workload(decode(manifest), KEYS)


def patch_of(manifest: Mapping[str, Any], update: Update) -> Patch:
    return update.patch(Snapshot(derived(manifest), manifest, 42, KEYS))


def after(manifest: Mapping[str, Any], *updates: Update) -> dict[str, Any]:
    result = deepcopy(dict(manifest))
    for update in updates:
        snapshot = Snapshot(derived(result), result, 42, KEYS)
        result = patched(result, snapshot.guarded(update.patch(snapshot), None))
    return result


def null(field: str) -> Update:
    asked: dict[str, Any] = {field: None}
    return Update(**asked)


def container_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    found: dict[str, Any] = container
    return found


def template_of(manifest: Mapping[str, Any]) -> Any:
    return manifest["spec"]["template"]


def annotations_of(manifest: Mapping[str, Any]) -> Any:
    return manifest["metadata"]["annotations"]


contexts = st.sampled_from([None, {"runAsUser": 0}, {"runAsUser": 7, "privileged": False}, {"privileged": False}])
probes = st.sampled_from([None, PROBE, RICH["startupProbe"], defaulted({"grpc": {"port": 80}, "timeoutSeconds": 4})])
manifests = st.builds(
    lambda pod, **container: deployment_dict(
        container={
            "ports": [{"containerPort": 80}],
            **{name: value for name, value in container.items() if value is not None},
        },
        pod=pod,
        annotations={"note": "kept"},
    ),
    pod=st.sampled_from([{}, {"securityContext": {"runAsUser": 9, "fsGroup": 3}}]),
    command=st.sampled_from([None, ["node"], ["/bin/sh", "-c", "one"]]),
    args=st.sampled_from([None, ["server.js"]]),
    securityContext=contexts,
    livenessProbe=probes,
    startupProbe=probes,
    readinessProbe=probes,
)
kinds, times = st.sampled_from([None, "http", "port", "process"]), st.sampled_from([None, 7, 60])
data = st.fixed_dictionaries(
    {}, optional={"interval": times, "invocation_timeout": times, "endpoint": st.sampled_from(["/", "/live"])}
)
given_or_not: st.SearchStrategy[Any] = st.sampled_from([UNSET, None])
updates = st.builds(
    Update,
    command=given_or_not | st.sampled_from(["one", "two", "node server.js"]),
    user=given_or_not | st.builds(User, st.sampled_from([0, 7, 9, 2000]), st.sampled_from([None, "vcap"])),
    health_check=given_or_not | st.builds(CheckChange, kinds, data),
    readiness_health_check=given_or_not | st.builds(CheckChange, kinds, data),
)


@given(manifests, st.lists(updates, max_size=5))
def test_null_brings_back_exactly_what_the_app_came_with(manifest: dict[str, Any], changes: list[Update]) -> None:
    try:
        changed = after(manifest, *changes)
    except UnprocessableEntity:
        assume(False)
    back = after(changed, BACK)
    # The very template: Kubernetes finds the ReplicaSet that it had for it.
    assert template_of(back) == template_of(manifest)
    assert annotations_of(back) == {"note": "kept"}


@given(manifests)
def test_null_where_nothing_was_changed_changes_nothing(manifest: dict[str, Any]) -> None:
    assert not patch_of(manifest, BACK)


@given(manifests, updates)
def test_what_is_read_and_sent_back_changes_nothing(manifest: dict[str, Any], change: Update) -> None:
    try:
        manifest = after(manifest, change)
    except UnprocessableEntity:
        assume(False)
    shown = derived(manifest)
    user = None if shown.user is None else User(int(shown.user)) if shown.user.isdigit() else User(1, shown.user)
    again = Update(
        command=shown.command,
        user=UNSET if user is None else user,
        health_check=_whole(shown.health_check),
        readiness_health_check=_whole(shown.readiness_health_check),
    )
    assert not patch_of(manifest, again)


def _whole(check: HealthCheck) -> CheckChange:
    names = ("timeout", "invocation_timeout", "interval", "endpoint")
    return CheckChange(check.type, {name: getattr(check, name) for name in names})


@pytest.mark.parametrize("field", TOUCHED)
def test_each_comes_back_alone(field: str) -> None:
    manifest = deployment_dict(container=RICH)
    changed = after(manifest, *TOUCHED.values())
    assert set(annotations_of(changed)) == {
        *(KEYS.original_command, KEYS.original_user, KEYS.original_health_check, KEYS.original_readiness_health_check),
        *(KEYS.user, KEYS.readiness_health_check),
    }
    back = after(changed, null(field))
    others = after(manifest, *(update for name, update in TOUCHED.items() if name != field))
    assert template_of(back) == template_of(others)
    assert annotations_of(back) == annotations_of(others)


@pytest.mark.parametrize("field", TOUCHED)
def test_the_first_is_kept_whatever_comes_after(field: str) -> None:
    manifest = deployment_dict(container=RICH)
    second = {
        "command": Update(command="exec third"),
        "user": Update(user=User(3)),
        "health_check": Update(health_check=CheckChange("http", {"endpoint": "/third"})),
        "readiness_health_check": Update(readiness_health_check=CheckChange("port")),
    }
    changed = after(manifest, TOUCHED[field], second[field], TOUCHED[field])
    assert template_of(after(changed, null(field))) == template_of(manifest)


@pytest.mark.parametrize(
    ("field", "by_hand"),
    [
        ("command", {"command": ["new"], "args": None}),
        ("command", {"args": ["more"]}),
        ("user", {"securityContext": {"runAsUser": 5}}),
        ("user", {"securityContext": None}),
        ("health_check", {"livenessProbe": PROBE}),
        ("health_check", {"startupProbe": None}),
        ("health_check", {"livenessProbe": None, "startupProbe": None}),
        ("readiness_health_check", {"readinessProbe": PROBE}),
    ],
)
def test_what_was_deployed_since_is_the_new_original(field: str, by_hand: dict[str, Any]) -> None:
    manifest = after(deployment_dict(container=RICH), TOUCHED[field])
    container = container_of(manifest)
    container.update(by_hand)
    for name in [name for name, value in container.items() if value is None]:
        del container[name]
    assert template_of(after(manifest, null(field))) == template_of(manifest)
    # And the next change keeps that one.
    changed = after(manifest, TOUCHED[field])
    assert template_of(after(changed, null(field))) == template_of(manifest)


def test_the_value_of_the_original_is_the_original() -> None:
    """Whoever sets back what they had read gets that, and not a shell around it or probes made anew."""
    manifest = deployment_dict(container=RICH)
    shown = derived(manifest)
    changed = after(manifest, *TOUCHED.values())
    back = after(
        changed,
        Update(
            command=shown.command,
            user=User(7),
            health_check=_whole(shown.health_check),
            readiness_health_check=_whole(shown.readiness_health_check),
        ),
    )
    assert template_of(back) == template_of(manifest)
    assert annotations_of(back) == {}


def test_a_time_to_start_longer_than_may_be_asked_for_can_be_sent_back_and_no_other() -> None:
    long = defaulted({"tcpSocket": {"port": 80}, "periodSeconds": 10, "failureThreshold": 30})
    manifest = deployment_dict(
        container={"ports": [{"containerPort": 80}], "livenessProbe": PROBE, "startupProbe": long}
    )
    assert derived(manifest).health_check.timeout == 300
    changed = after(manifest, Update(health_check=CheckChange(None, {"timeout": 300, "interval": 7})))
    assert derived(changed).health_check.timeout == 300
    with pytest.raises(UnprocessableEntity, match=r"'health_check\.data\.timeout' must be .* from 1 to 180"):
        patch_of(manifest, Update(health_check=CheckChange(None, {"timeout": 301})))


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "null", "[]", "{}", '{"original": 1, "replaced_by": {}}', "[" * 100_000, '{"original": {}}'],
    ids=lambda text: text[:12],
)
def test_an_annotation_of_somebodys_own_says_nothing(text: str) -> None:
    assert kept(text, {"command": ["a"], "args": None}) is None
    manifest = deployment_dict(container=EXEC, annotations={KEYS.original_command: text})
    assert not patch_of(manifest, Update(command=None))
    assert derived(after(manifest, Update(command="x"))).command == "x"


@pytest.mark.parametrize("original", [{"command": "text"}, {"command": [1]}, {"args": {}}], ids=str)
def test_an_original_that_is_none_is_for_kubernetes_to_refuse(original: dict[str, Any]) -> None:
    ours = {"command": ["/bin/sh", "-c", "x"], "args": None}
    manifest = deployment_dict(container=ours, annotations={KEYS.original_command: annotated(original, ours, ours)})
    assert derived(after(manifest, Update(command="y"))).command == "y"
    (container,) = patch_of(manifest, Update(command=None)).spec["template"]["spec"]["containers"]
    assert original.items() <= container.items()
