"""What the manifests say, held against the service and against each other. No cluster is asked."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from service.model.quantity import parse_quantity
from service.settings import Settings
from tests.deploy.overlays import DEPLOY, OVERLAYS, copy, of_kind, render

ARRIVING = {"SESSION_SECRET"}
"""Settings that the service does not have yet."""


@pytest.fixture(scope="module", params=OVERLAYS)
def objects(request: pytest.FixtureRequest, overlays_directory: Path) -> list[dict[str, Any]]:
    return render(overlays_directory / request.param)


@pytest.fixture
def pod(objects: list[dict[str, Any]]) -> Any:
    """The spec of the service's Pods."""
    return of_kind(objects, "Deployment")["processes"]["spec"]["template"]["spec"]


@pytest.fixture
def container(pod: Any) -> Any:
    (container,) = pod["containers"]
    return container


@pytest.fixture
def variables(container: Any) -> dict[str, Any]:
    return {each["name"]: each.get("value") for each in container["env"]}


def test_base_renders_without_a_complaint() -> None:
    assert {"Namespace", "ServiceAccount", "ClusterRole", "Deployment", "Service", "PodDisruptionBudget"} <= {
        each["kind"] for each in render(DEPLOY / "base")
    }


def test_trial_comes_without_a_password(tmp_path: Path) -> None:
    trial = copy(tmp_path) / "trial"
    (trial / "database.env").unlink()
    with pytest.raises(AssertionError, match=r"database\.env"):
        render(trial)
    assert "/deploy/overlays/trial/database.env" in (DEPLOY.parent / ".gitignore").read_text().splitlines()


def test_every_variable_is_a_setting_or_part_of_one(variables: dict[str, Any]) -> None:
    parts = {name for value in variables.values() for name in re.findall(r"\$\((\w+)\)", value or "")}
    assert variables.keys() - parts <= {knob.name.upper() for knob in fields(Settings)} | ARRIVING


def test_parts_of_a_variable_come_before_it(variables: dict[str, Any]) -> None:
    known: set[str] = set()
    for name, value in variables.items():
        assert set(re.findall(r"\$\((\w+)\)", value or "")) <= known
        known.add(name)


def test_a_pod_has_time_to_stop(pod: Any, variables: dict[str, Any]) -> None:
    # aiohttp waits twice: for requests to finish, and for those it then cancels.
    longest = float(variables["DRAIN_S"]) + 2 * float(variables["SHUTDOWN_TIMEOUT_S"])
    assert pod["terminationGracePeriodSeconds"] > longest


def test_ports_are_those_the_service_listens_on(
    objects: list[dict[str, Any]], container: Any, variables: dict[str, Any]
) -> None:
    ports = {port["name"]: str(port["containerPort"]) for port in container["ports"]}
    assert ports == {"http": variables["PORT"], "management": variables["MANAGEMENT_PORT"]}
    assert {variables["HOST"], variables["MANAGEMENT_HOST"]} == {"0.0.0.0"}  # noqa: S104 - in a Pod of its own
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] == "management"
    # The port-forward of deploy/OPERATING.md.
    (port,) = of_kind(objects, "Service")["processes"]["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (8080, "http")


def test_management_port_is_on_no_service_with_an_address(objects: list[dict[str, Any]]) -> None:
    for service in of_kind(objects, "Service").values():
        if service["spec"].get("clusterIP") != "None":
            assert "management" not in {port["targetPort"] for port in service["spec"]["ports"]}


def test_image_is_of_this_version(container: Any) -> None:
    version = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]["version"]
    assert container["image"].endswith(f"cf-processes:{version}")


def test_memory_is_enough_for_the_processes_promised(container: Any) -> None:
    limit, requested = (parse_quantity(container["resources"][of]["memory"]) for of in ("limits", "requests"))
    assert requested <= limit
    assert limit >= (90 << 20) + 100_000 * 2048


def test_every_pod_is_under_a_policy_both_ways(objects: list[dict[str, Any]]) -> None:
    policies = [each["spec"] for each in of_kind(objects, "NetworkPolicy").values()]
    for workload in (*of_kind(objects, "Deployment").values(), *of_kind(objects, "StatefulSet").values()):
        labels = workload["spec"]["template"]["metadata"]["labels"].items()
        under = [spec["policyTypes"] for spec in policies if spec["podSelector"]["matchLabels"].items() <= labels]
        assert ["Ingress", "Egress"] in under


def test_nothing_selects_pods_that_are_not_there(objects: list[dict[str, Any]]) -> None:
    """Labels are plain text in each file: a slip in one would select nothing, in silence."""
    workloads = (*of_kind(objects, "Deployment").values(), *of_kind(objects, "StatefulSet").values())
    pods = [each["spec"]["template"]["metadata"]["labels"].items() for each in workloads]
    selectors = [each["spec"]["selector"] for each in of_kind(objects, "Service").values()]
    selectors += [each["spec"]["selector"]["matchLabels"] for each in of_kind(objects, "PodDisruptionBudget").values()]
    for policy in of_kind(objects, "NetworkPolicy").values():
        selectors.append(policy["spec"]["podSelector"]["matchLabels"])
        for rule in (*policy["spec"].get("ingress", ()), *policy["spec"].get("egress", ())):
            peers = (*rule.get("from", ()), *rule.get("to", ()))
            selectors += [peer["podSelector"]["matchLabels"] for peer in peers if "podSelector" in peer]
    for constraint in of_kind(objects, "Deployment")["processes"]["spec"]["template"]["spec"][
        "topologySpreadConstraints"
    ]:
        selectors.append(constraint["labelSelector"]["matchLabels"])
    for selector in selectors:
        assert any(selector.items() <= labels for labels in pods), selector
    services = [each["metadata"]["labels"].items() for each in of_kind(objects, "Service").values()]
    for monitor in of_kind(objects, "ServiceMonitor").values():
        selected = monitor["spec"]["selector"]["matchLabels"].items()
        assert len([labels for labels in services if selected <= labels]) == 1
