"""Rows of stats and instances as they are sent: keys, their order, whole seconds. Pure: no server is asked."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.pages import encode_row
from service.api.resources.instances.presenter import present_instances, present_process_instances, present_stats
from service.api.resources.processes.presenter import present_listed
from service.api.resources.processes.resource import READABLE as PROCESSES
from service.model.derive import merge
from service.model.instances import Instance
from service.model.pods import Pod, State
from service.model.process import HealthCheck, Process
from service.model.quantity import MAXIMUM
from service.model.times import SECOND
from service.model.usage import Usage
from service.operations.instances import Stats
from tests.model.builders import CREATED_AT, metadata, pod, workload

NOW = CREATED_AT + 90 * SECOND + 999_999
DOWN_KEYS = ["type", "index", "state", "routable", "uptime", "isolation_segment", "details"]
RUNNING_KEYS = ["instance_guid", "host", "instance_internal_ip", "mem_quota", "disk_quota", "log_rate_limit"]
RUNNING_KEYS += ["fds_quota", "instance_ports", "usage"]
SAMPLE = Usage(sampled_at=CREATED_AT + 7_654_321, cpu_nanos=250_000_000, memory=64 << 20)


def process(replica_failure: str | None = None) -> Process:
    return merge(
        workload(type="worker", guid="p-1", replica_failure=replica_failure),
        metadata(log_rate_limit_in_bytes_per_second=1024),
        None,
    )


def stats_of(
    *pods: Pod | None, usage: Mapping[tuple[str, str], Usage] | None = None, of: Process | None = None
) -> list[dict[str, Any]]:
    rows: Sequence[Instance] = [Instance(index, each) for index, each in enumerate(pods)]
    body = present_stats(Stats(of or process(), rows, usage), NOW, 16384)
    assert list(body) == ["resources"]
    found: list[dict[str, Any]] = body["resources"]
    return found


def test_an_index_nothing_runs_at_is_down_and_says_no_more() -> None:
    (row,) = stats_of(None)
    assert list(row) == DOWN_KEYS
    assert list(row.values()) == ["worker", 0, "DOWN", False, 0, None, None]


def test_an_index_nothing_can_be_made_for_says_why() -> None:
    (row,) = stats_of(None, of=process(replica_failure="exceeded quota"))
    assert list(row) == DOWN_KEYS
    assert row["details"] == "exceeded quota"


def test_a_pod_that_is_not_placed_is_down_with_its_own_reason() -> None:
    waiting = pod(state=State.DOWN, ready=False, host="", ip="", details="Unschedulable: no room")
    (row,) = stats_of(waiting, of=process(replica_failure="exceeded quota"))
    assert list(row) == DOWN_KEYS
    assert (row["state"], row["uptime"], row["details"]) == ("DOWN", 90, "Unschedulable: no room")


@pytest.mark.parametrize("state", [each for each in State if each is not State.DOWN])
def test_every_other_state_has_every_key_in_order(state: State) -> None:
    ports = ((30000, 8080), (9090, 9090))
    running = pod("pod-9", state=state, memory=64 << 20, disk=MAXIMUM, ports=ports, details="why")
    row = stats_of(None, running)[1]
    assert list(row) == DOWN_KEYS + RUNNING_KEYS
    shown = [
        [("external", out), ("internal", in_), ("external_tls_proxy_port", None), ("internal_tls_proxy_port", None)]
        for out, in_ in ports
    ]
    assert [list(port.items()) for port in row.pop("instance_ports")] == shown
    assert list(row.values()) == [
        *("worker", 1, state.name, True, 90, None, "why"),
        *("pod-9", "10.0.0.1", "10.1.0.1", 64 << 20, MAXIMUM, 1024, 16384, {}),
    ]


def test_without_limits_quotas_are_null_and_without_ports_there_are_none() -> None:
    (row,) = stats_of(pod(state=State.STARTING, ready=False, host="", ip=""))
    assert (row["mem_quota"], row["disk_quota"], row["instance_ports"]) == (None, None, [])
    assert (row["host"], row["instance_internal_ip"], row["routable"]) == ("", "", False)


def test_usage_is_of_the_app_container_at_the_sample_s_own_time() -> None:
    usage = {("pod-1", "application"): SAMPLE, ("pod-1", "sidecar"): Usage(0, 1, 1)}
    (row,) = stats_of(pod(cpu_nanos=1_000_000_000), usage=usage)
    assert list(row["usage"].items()) == [
        ("time", "2024-01-02T03:04:12Z"),
        ("cpu", 0.25),
        ("cpu_entitlement", 0.25),
        ("mem", 64 << 20),
        ("disk", None),
        ("log_rate", None),
    ]


@pytest.mark.parametrize(("requested", "entitlement"), [(500_000_000, 0.5), (1, 250e6), (0, None), (None, None)])
def test_entitlement_is_of_what_was_asked_for(requested: int | None, entitlement: float | None) -> None:
    (row,) = stats_of(pod(cpu_nanos=requested), usage={("pod-1", "application"): SAMPLE})
    assert row["usage"]["cpu_entitlement"] == entitlement


@pytest.mark.parametrize("usage", [None, {}, {("pod-2", "application"): SAMPLE}, {("pod-1", "sidecar"): SAMPLE}])
def test_without_a_sample_usage_is_empty(usage: Mapping[tuple[str, str], Usage] | None) -> None:
    assert stats_of(pod(), usage=usage)[0]["usage"] == {}


@pytest.mark.parametrize(
    ("since", "seconds"),
    [(NOW, 0), (NOW - SECOND + 1, 0), (NOW - SECOND, 1), (NOW - 3600 * SECOND, 3600), (NOW + 5 * SECOND, 0)],
    ids=["now", "just", "a second", "an hour", "a clock ahead"],
)
def test_time_in_a_state_is_whole_seconds_and_never_below_none(since: int, seconds: int) -> None:
    (row,) = stats_of(pod(since=since))
    assert row["uptime"] == seconds
    assert type(row["uptime"]) is int
    assert present_instances([Instance(0, pod(since=since))], NOW)[0]["since"] == seconds


def test_instances_are_three_keys_each() -> None:
    rows = [Instance(0, pod()), Instance(1, None), Instance(2, pod("pod-2", state=State.DOWN, since=NOW))]
    assert [list(row.items()) for row in present_instances(rows, NOW)] == [
        [("index", 0), ("state", "RUNNING"), ("since", 90)],
        [("index", 1), ("state", "DOWN"), ("since", None)],
        [("index", 2), ("state", "DOWN"), ("since", 0)],
    ]


def test_instances_of_a_process_link_to_it() -> None:
    assert present_process_instances(process(), [], "https://api.test", NOW) == {
        "resources": [],
        "links": {
            "self": {"href": "https://api.test/v3/processes/p-1/process_instances", "method": "GET"},
            "process": {"href": "https://api.test/v3/processes/p-1", "method": "GET"},
        },
    }


amounts = st.none() | st.integers(0, MAXIMUM)


@given(
    st.builds(
        pod,
        state=st.sampled_from(State),
        since=st.integers(0, 2 * NOW),
        memory=amounts,
        disk=amounts,
        cpu_nanos=amounts,
    ),
    st.builds(Usage, sampled_at=st.just(NOW), cpu_nanos=st.integers(0, MAXIMUM), memory=st.integers(0, MAXIMUM)),
)
def test_every_row_can_be_written_out(one: Pod, sample: Usage) -> None:
    rows = stats_of(one, usage={("pod-1", "application"): sample})
    assert orjson.loads(orjson.dumps(rows)) == rows


texts = st.text(max_size=12) | st.sampled_from(
    ['a"b', "\\", "\n", "ä/ü", 'x","relationships":null', "\u2028", "a b%2F"]
)
guids = texts.filter(bool) | st.uuids().map(str)
checks = st.builds(
    HealthCheck,
    texts,
    st.none() | st.integers(0, 1 << 31),
    st.none() | st.integers(0, 9),
    st.none() | st.integers(0, 9),
    st.none() | texts,
)
rows = st.none() | st.builds(
    metadata,
    labels=st.dictionaries(texts, texts, max_size=2),
    annotations=st.dictionaries(texts, texts, max_size=2),
    log_rate_limit_in_bytes_per_second=st.integers(-1, 1 << 40),
    revision_guid=st.none() | guids,
    registry_credential_guid=st.none() | guids,
    registry_credential_last_synced_at=st.none() | st.integers(0, CREATED_AT),
)
workloads = st.builds(
    workload,
    guid=guids,
    app_guid=guids,
    type=texts,
    space_guid=st.none() | guids,
    created_at=st.integers(-CREATED_AT, CREATED_AT),
    changed_at=st.integers(-CREATED_AT, CREATED_AT),
    version=texts,
    command=texts,
    user=st.none() | texts,
    instances=st.integers(0, 1 << 31),
    health_check=checks,
    readiness_health_check=checks,
    revision_guid=st.none() | guids,
    registry_credential_guid=st.none() | guids,
    pull_secret_guid=st.none() | guids,
    registry_credential_last_synced_at=st.none() | st.integers(0, CREATED_AT),
)


@given(workloads, rows, st.sampled_from(["http://localhost:8080", "https://ä.example/\"'"]))
def test_the_fast_way_to_the_row_of_a_list_gives_the_same_bytes(put: Any, stored: Any, base: str) -> None:
    shown = merge(put, stored, None)
    encoded, place = encode_row(PROCESSES.row_kind, shown, base)
    expected = orjson.dumps(present_listed(shown, base))
    assert encoded == expected
    assert orjson.loads(encoded[: place - 1] + b"}") == {
        name: value for name, value in orjson.loads(expected).items() if name in list(orjson.loads(expected))[:14]
    }
    assert encoded[place:].startswith(b'"relationships":')
