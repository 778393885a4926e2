"""Health checks and the probes that make them, both ways: what is asked for is what reads back, and the rest stays."""

import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType

from service.errors import UnprocessableEntity
from service.model.changes import Update
from service.model.derive import derive_workload
from service.model.labels import Keys
from service.model.probes import CheckChange, changed_check, liveness_probes, readiness_probe, recorded
from service.model.process import HealthCheck, Workload
from service.model.snapshots import Snapshot
from tests.model.builders import decode, deployment_dict
from tests.model.kubernetes import PROBES, defaulted, patched, refusals

KEYS = Keys()
PORTS = [{"name": "web", "containerPort": 8080}, {"name": "admin", "containerPort": 9090}]
SHOWN = {"timeoutSeconds", "periodSeconds"}

actions = st.sampled_from(
    [
        {"httpGet": {"port": 8080}},
        {"httpGet": {"path": "/live", "port": "web", "scheme": "HTTPS"}},
        {"httpGet": {"path": "/start", "port": 9090, "httpHeaders": [{"name": "X-Probe", "value": "yes"}]}},
        {"tcpSocket": {"port": "admin"}},
        {"tcpSocket": {"port": 8080, "host": "127.0.0.1"}},
        {"grpc": {"port": 9090, "service": "health"}},
        {"exec": {"command": ["cat", "/run/up"]}},
    ]
)
small = st.integers(1, 9)
tuned = st.fixed_dictionaries(
    {},
    optional={
        "timeoutSeconds": small,
        "periodSeconds": small,
        "failureThreshold": small,
        "initialDelaySeconds": st.integers(0, 9),
        "terminationGracePeriodSeconds": small,
    },
)


def probe_of(action: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    return defaulted({**action, **settings})


probes = st.builds(probe_of, actions, tuned)
readiness_probes = st.builds(
    lambda probe, successes: {**probe, "successThreshold": successes},
    probes.map(lambda probe: {k: v for k, v in probe.items() if k != "terminationGracePeriodSeconds"}),
    small,
)


@st.composite
def containers(draw: st.DrawFn) -> dict[str, Any]:
    made: dict[str, Any] = {"ports": PORTS} if draw(st.booleans()) else {}
    for name, some in (("livenessProbe", probes), ("startupProbe", probes), ("readinessProbe", readiness_probes)):
        if (probe := draw(st.none() | some)) is not None:
            made[name] = probe
    return made


amounts = st.none() | st.sampled_from([1, 5, 7, 10, 59, 60, 179, 180])
LEAVES = {"invocation_timeout": amounts, "interval": amounts, "endpoint": st.sampled_from(["/live", "/", "/new"])}
kinds = st.sampled_from([None, "http", "port", "process"])
checks = st.builds(CheckChange, kinds, st.fixed_dictionaries({}, optional={**LEAVES, "timeout": amounts}))
readiness_checks = st.builds(CheckChange, kinds, st.fixed_dictionaries({}, optional=LEAVES))


def snapshot_of(manifest: Mapping[str, Any]) -> Snapshot:
    return Snapshot(derived(manifest), manifest, 42, KEYS)


def derived(manifest: Mapping[str, Any]) -> Workload:
    return derive_workload(decode(manifest), KEYS)


def after(manifest: Mapping[str, Any], update: Update) -> dict[str, Any]:
    """The Deployment as the update leaves it."""
    snapshot = snapshot_of(manifest)
    return patched(manifest, snapshot.guarded(update.patch(snapshot), None))


def container_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    found: dict[str, Any] = container
    return found


def asked(current: HealthCheck, change: CheckChange | UnsetType | None) -> HealthCheck:
    """What the API promises of the change: the leaves it names, and no endpoint but of http."""
    if not isinstance(change, CheckChange):
        return current
    named = {**({"type": change.type} if change.type else {}), **change.data}
    wanted = {**msgspec.structs.asdict(current), **named}
    return HealthCheck(**{**wanted, "endpoint": wanted["endpoint"] if wanted["type"] == "http" else None})


def updated(manifest: Mapping[str, Any], update: Update) -> dict[str, Any]:
    """The same, of changes that can be made."""
    try:
        return after(manifest, update)
    except UnprocessableEntity:
        assume(False)
        raise


# Properties


@given(
    containers(),
    st.lists(st.builds(Update, health_check=checks | st.just(UNSET), readiness_health_check=readiness_checks)),
)
@example({"ports": PORTS}, [Update(health_check=CheckChange("process", {"timeout": 180, "interval": None}))])
@example(
    {
        "livenessProbe": probe_of({"httpGet": {"port": 1}}, {}),
        "startupProbe": probe_of({"exec": {"command": ["x"]}}, {}),
    },
    [Update(health_check=CheckChange("process", {"interval": 7}), readiness_health_check=CheckChange())],
)
def test_what_was_asked_for_is_what_reads_back(container: dict[str, Any], updates: list[Update]) -> None:
    manifest = deployment_dict(container=container)
    for update in updates:
        before = derived(manifest)
        manifest = updated(manifest, update)
        found = derived(manifest)
        assert found.health_check == asked(before.health_check, update.health_check)
        assert found.readiness_health_check == asked(before.readiness_health_check, update.readiness_health_check)
        made = container_of(manifest)
        assert [why for name in PROBES if name in made for why in refusals(made[name], name)] == []


@given(containers(), checks, readiness_checks)
def test_asking_for_what_is_changes_nothing(
    container: dict[str, Any], change: CheckChange, readiness: CheckChange
) -> None:
    update = Update(health_check=change, readiness_health_check=readiness)
    manifest = updated(deployment_dict(container=container), update)
    assert not update.patch(snapshot_of(manifest))


@given(containers(), checks)
def test_one_check_leaves_the_other_s_probes_alone(container: dict[str, Any], change: CheckChange) -> None:
    manifest = deployment_dict(container=container)
    one = container_of(updated(manifest, Update(health_check=change)))
    assert one.get("readinessProbe") == container.get("readinessProbe")
    readiness = CheckChange(change.type, {name: leaf for name, leaf in change.data.items() if name != "timeout"})
    other = container_of(updated(manifest, Update(readiness_health_check=readiness)))
    assert {name: other.get(name) for name in PROBES[:2]} == {name: container.get(name) for name in PROBES[:2]}


@given(containers(), checks.filter(lambda change: change.type is None))
def test_what_no_check_can_say_survives(container: dict[str, Any], change: CheckChange) -> None:
    """Of a probe that stays of its kind: ports, headers, schemes, commands, thresholds and delays."""
    made = container_of(updated(deployment_dict(container=container), Update(health_check=change)))
    for name in ("livenessProbe", "startupProbe"):
        if name in container and name in made:
            shown = SHOWN | ({"failureThreshold"} if name == "startupProbe" else set())
            assert _unshown(made[name], shown) == _unshown(container[name], shown)


def _unshown(probe: Mapping[str, Any], shown: set[str]) -> dict[str, Any]:
    left = deepcopy({name: value for name, value in probe.items() if name not in shown})
    left.get("httpGet", {}).pop("path", None)
    return left


@given(containers(), checks, probes)
def test_probes_changed_by_hand_are_believed(container: dict[str, Any], change: CheckChange, by_hand: Any) -> None:
    manifest = updated(deployment_dict(container=container), Update(health_check=change))
    told = derived(manifest).health_check
    container_of(manifest)["livenessProbe"] = by_hand
    bare = {**manifest, "metadata": {**manifest["metadata"], "annotations": {}}}
    found, plain = derived(manifest).health_check, derived(bare).health_check
    # What shows either way is what the probes say; the annotation may only tell "not set" from the default.
    if found != plain:
        assert found == told
        assert (plain.type, plain.endpoint, plain.timeout) == (told.type, told.endpoint, told.timeout)
        assert (plain.interval, plain.invocation_timeout) == (told.interval or 10, told.invocation_timeout or 1)


@given(containers(), checks)
def test_without_ports_a_check_that_needs_one_complains(container: dict[str, Any], change: CheckChange) -> None:
    container.pop("ports", None)
    snapshot = snapshot_of(deployment_dict(container=container))
    wanted = changed_check(snapshot.workload.health_check, change)
    of_type = [name for name in PROBES[:2] if name in container and _kind(container[name]) == wanted.type]
    complaint = ""
    try:
        Update(health_check=change).patch(snapshot)
    except UnprocessableEntity as error:
        complaint = error.detail
    if complaint:
        assert "'health_check' of type " in complaint
        assert (wanted.type == "http" and wanted.endpoint is None) or not of_type
    else:
        assert wanted.type == "process" or of_type or wanted == snapshot.workload.health_check


def _kind(probe: Mapping[str, Any]) -> str:
    return "http" if "httpGet" in probe else "process" if "exec" in probe else "port"


# What a Kubernetes engineer would have written


@pytest.mark.parametrize(
    ("check", "liveness", "startup", "annotated"),
    [
        (HealthCheck("process"), None, None, False),
        (HealthCheck("process", timeout=60), None, None, True),
        (HealthCheck("port"), {"tcpSocket": {"port": 8080}}, None, True),
        (
            HealthCheck("port", 60, 2, 20),
            {"tcpSocket": {"port": 8080}, "periodSeconds": 20, "timeoutSeconds": 2},
            {"tcpSocket": {"port": 8080}, "periodSeconds": 5, "failureThreshold": 12, "timeoutSeconds": 2},
            False,
        ),
        (
            HealthCheck("http", 179, None, 30, "/health"),
            {"httpGet": {"port": 8080, "path": "/health"}, "periodSeconds": 30},
            {"httpGet": {"port": 8080, "path": "/health"}, "periodSeconds": 1, "failureThreshold": 179},
            True,
        ),
        (
            HealthCheck("http", 4, 1, 10, "/"),
            {"httpGet": {"port": 8080, "path": "/"}, "periodSeconds": 10, "timeoutSeconds": 1},
            {"httpGet": {"port": 8080, "path": "/"}, "periodSeconds": 4, "failureThreshold": 1, "timeoutSeconds": 1},
            False,
        ),
    ],
    ids=["process", "process with a timeout", "bare port", "port", "http, a prime timeout", "http, a short timeout"],
)
def test_probes_from_nothing(check: HealthCheck, liveness: Any, startup: Any, annotated: bool) -> None:
    made, annotation = liveness_probes({"ports": PORTS}, check)
    assert made == {"livenessProbe": liveness, "startupProbe": startup}
    assert (annotation is not None) == annotated


def test_readiness_has_no_startup_probe() -> None:
    made, annotation = readiness_probe({"ports": PORTS}, HealthCheck("http", None, 3, 7, "/ready"))
    assert made == {
        "readinessProbe": {
            "httpGet": {"port": 8080, "path": "/ready"},
            "periodSeconds": 7,
            "timeoutSeconds": 3,
        }
    }
    assert annotation is None


def test_a_time_to_start_that_is_right_already_is_left_as_it_was_cut() -> None:
    startup = probe_of({"tcpSocket": {"port": "web"}}, {"periodSeconds": 7, "failureThreshold": 3})
    container = {"ports": PORTS, "livenessProbe": probe_of({"tcpSocket": {"port": "web"}}, {}), "startupProbe": startup}
    made, _ = liveness_probes(container, HealthCheck("port", 21, 1, 30))
    assert made["startupProbe"] == startup
    made, _ = liveness_probes(container, HealthCheck("port", 22, 1, 30))
    assert made["startupProbe"] == {**startup, "periodSeconds": 2, "failureThreshold": 11}


def test_another_type_is_on_the_first_port() -> None:
    manifest = deployment_dict(
        container={"ports": PORTS, "livenessProbe": probe_of({"httpGet": {"path": "/live", "port": 9090}}, {})}
    )
    made = container_of(after(manifest, Update(health_check=CheckChange("port"))))
    assert made["livenessProbe"] == defaulted({"tcpSocket": {"port": 8080}})
    assert "startupProbe" not in made


def test_a_new_timeout_starts_as_the_liveness_probe_does() -> None:
    http = {
        "httpGet": {"path": "/live", "port": "web", "httpHeaders": [{"name": "a", "value": "b"}], "scheme": "HTTPS"}
    }
    liveness = probe_of(http, {"failureThreshold": 9, "initialDelaySeconds": 4, "terminationGracePeriodSeconds": 8})
    made = container_of(
        after(
            deployment_dict(container={"livenessProbe": liveness}),
            Update(health_check=CheckChange(None, {"timeout": 90, "endpoint": "/up"})),
        )
    )
    action = {"httpGet": {**http["httpGet"], "path": "/up"}}
    assert made["livenessProbe"] == {**liveness, **action}
    assert made["startupProbe"] == defaulted({**action, "periodSeconds": 5, "failureThreshold": 18})


STARTUPS = {
    "a command": {"exec": {"command": ["test", "-f", "/migrated"]}},
    "another path": {"httpGet": {"path": "/started", "port": 9090, "scheme": "HTTP"}},
    "another protocol": {"tcpSocket": {"port": "admin"}},
}


@pytest.mark.parametrize("action", STARTUPS.values(), ids=STARTUPS)
@pytest.mark.parametrize(
    "leaf", [{"interval": 30}, {"invocation_timeout": 7}, {"endpoint": "/up"}], ids=lambda leaf: next(iter(leaf))
)
def test_a_startup_probe_that_does_otherwise_goes_on_doing_so(action: dict[str, Any], leaf: dict[str, Any]) -> None:
    startup = probe_of(action, {"timeoutSeconds": 4, "periodSeconds": 2, "failureThreshold": 45})
    liveness = probe_of({"httpGet": {"path": "/live", "port": "web"}}, {})
    manifest = deployment_dict(container={"ports": PORTS, "livenessProbe": liveness, "startupProbe": startup})
    changed = after(manifest, Update(health_check=CheckChange(None, leaf)))
    assert container_of(changed)["startupProbe"] == startup
    assert derived(changed).health_check == HealthCheck(
        **{"type": "http", "timeout": 90, "invocation_timeout": 1, "interval": 10, "endpoint": "/live", **leaf}
    )


def test_a_startup_probe_that_does_the_same_goes_along() -> None:
    probe = probe_of({"httpGet": {"path": "/live", "port": "web"}}, {"failureThreshold": 6})
    manifest = deployment_dict(container={"ports": PORTS, "livenessProbe": probe, "startupProbe": probe})
    made = container_of(after(manifest, Update(health_check=CheckChange(None, {"endpoint": "/up", "interval": 7}))))
    assert made["livenessProbe"] == {**probe, "periodSeconds": 7, "httpGet": {**probe["httpGet"], "path": "/up"}}
    assert made["startupProbe"] == {**probe, "httpGet": {**probe["httpGet"], "path": "/up"}}


def test_no_time_to_start_is_no_startup_probe() -> None:
    probe = probe_of({"tcpSocket": {"port": "web"}}, {})
    manifest = deployment_dict(container={"livenessProbe": probe, "startupProbe": probe})
    made = container_of(after(manifest, Update(health_check=CheckChange(None, {"timeout": None}))))
    assert made["livenessProbe"] == probe
    assert "startupProbe" not in made


# Complaints


@pytest.mark.parametrize("change", [CheckChange("http"), CheckChange("http", {"endpoint": None})])
def test_http_needs_an_endpoint(change: CheckChange) -> None:
    with pytest.raises(UnprocessableEntity) as caught:
        after(deployment_dict(container={"ports": PORTS}), Update(health_check=change, readiness_health_check=change))
    assert caught.value.detail == (
        "'health_check' of type http needs an endpoint, 'readiness_health_check' of type http needs an endpoint"
    )


@pytest.mark.parametrize(
    "ports",
    [{}, {"ports": None}, {"ports": []}, {"ports": [{"containerPort": 53, "protocol": "UDP"}]}],
    ids=["absent", "null", "empty", "UDP"],
)
def test_a_port_or_http_check_needs_a_port(ports: dict[str, Any]) -> None:
    update = Update(
        health_check=CheckChange("port"), readiness_health_check=CheckChange("http", {"endpoint": "/ready"})
    )
    with pytest.raises(UnprocessableEntity) as caught:
        after(deployment_dict(container=ports), update)
    assert caught.value.detail == (
        "'health_check' of type port cannot be made: the app's container has no TCP port, "
        "'readiness_health_check' of type http cannot be made: the app's container has no TCP port"
    )


def test_a_stored_endpoint_is_enough_and_another_type_clears_it() -> None:
    manifest = deployment_dict(container={"ports": PORTS})
    manifest = after(manifest, Update(health_check=CheckChange("http", {"endpoint": "/live"})))
    manifest = after(manifest, Update(health_check=CheckChange("http", {"interval": 7})))
    assert derived(manifest).health_check == HealthCheck("http", interval=7, endpoint="/live")
    manifest = after(manifest, Update(health_check=CheckChange("port", {"endpoint": "/ignored"})))
    assert derived(manifest).health_check == HealthCheck("port", interval=7)
    with pytest.raises(UnprocessableEntity, match="needs an endpoint"):
        after(manifest, Update(health_check=CheckChange("http")))


# The annotation


def test_what_the_probes_say_needs_no_annotation() -> None:
    manifest = deployment_dict(container={"ports": PORTS})
    manifest = after(manifest, Update(health_check=CheckChange("port")))
    assert json.loads(manifest["metadata"]["annotations"][KEYS.health_check])["interval"] is None
    manifest = after(manifest, Update(health_check=CheckChange("port", {"interval": 10, "invocation_timeout": 1})))
    assert KEYS.health_check not in manifest["metadata"]["annotations"]


@given(st.text() | st.binary().map(repr))
@example("null")
@example("[]")
@example('{"type":"process","timeout":100000000000000000000000000000000}')
@example('{"type":"process","interval":0}')
@example('{"type":"process","invocation_timeout":-1}')
@example('{"type":"process","timeout":"60"}')
@example('{"type":"port","timeout":60}')
@example('{"type":"process","x":' + "[" * 100_000 + "]" * 100_000 + "}")
def test_somebody_s_own_annotation_is_passed_over(text: str) -> None:
    found = derived(deployment_dict(annotations={KEYS.health_check: text})).health_check
    assert found == HealthCheck("process")
    assert orjson.dumps(found.timeout)


@given(st.integers() | st.floats(allow_nan=False), st.sampled_from(["timeout", "interval", "invocation_timeout"]))
@example(2**63, "timeout")
@example(2**63 - 1, "timeout")
def test_whatever_is_annotated_can_be_written_out(number: float, leaf: str) -> None:
    found = recorded(json.dumps({"type": "process", leaf: number}), HealthCheck("process"))
    orjson.dumps(msgspec.structs.asdict(found))


def test_the_first_tcp_port_is_looked_at() -> None:
    ports = [{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 80, "protocol": "TCP"}, {"containerPort": 81}]
    changed = after(deployment_dict(container={"ports": ports}), Update(health_check=CheckChange("port")))
    assert container_of(changed)["livenessProbe"]["tcpSocket"] == {"port": 80}


def test_a_command_of_the_start_does_not_become_what_the_app_lives_by() -> None:
    container = {
        "livenessProbe": {"httpGet": {"path": "/", "port": 80}},
        "startupProbe": {"exec": {"command": ["started"]}, "periodSeconds": 2, "failureThreshold": 30},
    }
    changed = after(deployment_dict(container=container), Update(health_check=CheckChange("process")))
    assert not container_of(changed).keys() & {"livenessProbe", "startupProbe"}
