"""Ingresses, HTTPRoutes and Services as rules and selectors: pure, on objects as Kubernetes sends them."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from service.model.derive import derive_workload
from service.model.labels import Keys
from service.model.route_manifests import HTTPRoute, Ingress, ServiceObject
from service.model.routes import (
    HTTP1,
    HTTP2,
    Backend,
    Port,
    Rule,
    derive_http_route,
    derive_ingress,
    derive_service,
    domain_guid,
)
from tests.model.builders import CREATED, CREATED_AT, decode, deployment_dict

META = {"name": "shop", "namespace": "space-a", "uid": "u", "creationTimestamp": CREATED}
SHOP, HELP = (
    {"service": {"name": name, "port": port}} for name, port in (("shop", {"number": 80}), ("help", {"name": "http"}))
)
TO_SHOP, TO_HELP = Backend("shop", 80), Backend("help", "http")


def ingress(**spec: Any) -> dict[tuple[str, str], tuple[Backend, ...]]:
    """The backends of its rules by host and path."""
    found = msgspec.convert({"metadata": META, "spec": spec}, Ingress)
    return by_host_and_path(derive_ingress(found))


def http_route(*rules: Mapping[str, Any], hostnames: Sequence[str] | None = ("a.test",)) -> Any:
    found = msgspec.convert({"metadata": META, "spec": {"hostnames": hostnames, "rules": list(rules)}}, HTTPRoute)
    return by_host_and_path(derive_http_route(found))


def by_host_and_path(steps: Any) -> dict[tuple[str, str], tuple[Backend, ...]]:
    rules: list[Rule] = [each for each in steps if each is not None]
    found = {(rule.host, rule.path): rule.backends for rule in rules}
    assert len(found) == len(rules)
    return found


def paths(*found: tuple[str | None, Any]) -> dict[str, Any]:
    return {"paths": [{"path": path, "backend": backend} for path, backend in found]}


def test_each_host_and_path_of_an_ingress_is_a_rule() -> None:
    assert ingress(
        rules=[
            {"host": "a.test", "http": paths(("/", SHOP), ("/help", HELP))},
            {"host": "*.b.test", "http": paths((None, SHOP))},
            {"http": paths(("/x", SHOP))},
        ]
    ) == {
        ("a.test", ""): (TO_SHOP,),
        ("a.test", "/help"): (TO_HELP,),
        ("*.b.test", ""): (TO_SHOP,),
        ("", "/x"): (TO_SHOP,),
    }


def test_rules_of_one_host_and_path_are_one() -> None:
    exact_and_prefix = paths(("/", SHOP), ("/", HELP), ("/", SHOP))
    assert ingress(rules=[{"host": "a.test", "http": exact_and_prefix}]) == {("a.test", ""): (TO_SHOP, TO_HELP)}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (None, {("", ""): (TO_HELP,)}),
        ([{"host": "a.test"}], {("a.test", ""): (TO_HELP,), ("", ""): (TO_HELP,)}),
        ([{"http": paths(("/", SHOP))}], {("", ""): (TO_SHOP,)}),
        ([{"http": paths(("/x", SHOP))}], {("", "/x"): (TO_SHOP,), ("", ""): (TO_HELP,)}),
    ],
    ids=["alone", "of a host without paths", "behind one that takes all", "behind one that does not"],
)
def test_a_default_backend_is_for_what_no_rule_takes(rules: Any, expected: Any) -> None:
    assert ingress(rules=rules, defaultBackend=HELP) == expected


def test_what_has_no_service_behind_it_is_no_rule_and_hides_no_other() -> None:
    bucket = {"resource": {"kind": "Bucket", "name": "x"}}
    assert ingress(rules=[{"host": "a.test", "http": paths(("/b", bucket), ("/s", SHOP))}, {"host": "b.test"}]) == {
        ("a.test", "/s"): (TO_SHOP,)
    }
    assert ingress() == {}


def test_each_host_with_each_path_of_an_http_route_is_a_rule() -> None:
    matches = [{"path": {"type": "PathPrefix", "value": "/"}}, {"path": {"type": "Exact", "value": "/x"}}, {}]
    rule = {"matches": matches, "backendRefs": [{"name": "shop", "port": 80}]}
    found = http_route(rule, hostnames=["a.test", "b.test"])
    assert found == dict.fromkeys(
        [("a.test", ""), ("a.test", "/x"), ("b.test", ""), ("b.test", "/x")], (Backend("shop", 80),)
    )
    assert http_route({"backendRefs": [{"name": "shop", "port": 80}]}, hostnames=None) == {
        ("", ""): (Backend("shop", 80),)
    }


def test_weights_are_of_rules_with_a_choice() -> None:
    alone = {"name": "shop", "port": 80, "weight": 5}
    assert http_route({"backendRefs": [alone]}) == {("a.test", ""): (Backend("shop", 80),)}
    assert http_route({"backendRefs": [alone, {"name": "help", "port": 80, "weight": 1}]}) == {
        ("a.test", ""): (Backend("shop", 80, 5), Backend("help", 80, 1))
    }


@pytest.mark.parametrize(
    "reference",
    [
        {"namespace": "space-b"},
        {"kind": "Bucket"},
        {"group": "multicluster.x-k8s.io", "kind": "ServiceImport"},
        {"weight": 0},
    ],
    ids=str,
)
def test_what_is_no_service_of_the_namespace_with_a_share_is_no_backend(reference: Mapping[str, Any]) -> None:
    assert http_route({"backendRefs": [{"name": "shop", "port": 80, **reference}]}) == {}


def test_its_own_namespace_and_kind_may_be_named() -> None:
    named = {"name": "shop", "port": 80, "namespace": "space-a", "kind": "Service", "group": ""}
    assert http_route({"backendRefs": [named]}) == {("a.test", ""): (Backend("shop", 80),)}


def rule(kind: type[Ingress | HTTPRoute] = Ingress, **spec: Any) -> Rule:
    found = msgspec.convert({"metadata": META, "spec": spec}, kind)
    derived = derive_ingress(found) if isinstance(found, Ingress) else derive_http_route(found)
    (only,) = [each for each in derived if each is not None]
    return only


def test_the_guid_is_the_uuid5_of_what_the_rule_is() -> None:
    one = rule(rules=[{"host": "a.test", "http": paths(("/x", SHOP))}])
    # Literal: whatever is changed in the code, a route keeps its GUID.
    assert one.guid() == "36f700c4-e26b-591a-9b4f-9bdb5dc233c4"
    assert rule(rules=[{"host": "a.test", "http": paths(("/x", HELP))}]).guid() == one.guid()
    other = rule(
        HTTPRoute,
        hostnames=["a.test"],
        rules=[{"matches": [{"path": {"value": "/x"}}], "backendRefs": [{"name": "s"}]}],
    )
    assert (other.host, other.path) == (one.host, one.path)
    assert other.guid() != one.guid()
    assert (one.origin.created_at, one.origin.updated_at) == (CREATED_AT, CREATED_AT)


def test_domains_differ_by_name() -> None:
    assert domain_guid("a.test") != domain_guid("b.test")


def service(**spec: Any) -> Any:
    return derive_service(msgspec.convert({"metadata": META, "spec": spec}, ServiceObject))


def test_a_service_is_its_selector_and_its_ports() -> None:
    ports = [
        {"port": 80, "name": "http", "targetPort": "web"},
        {"port": 81, "targetPort": 8081, "appProtocol": "kubernetes.io/h2c"},
        {"port": 82},
    ]
    found = service(selector={"b": "2", "a": "1"}, ports=ports)
    assert found.selector == (("a", "1"), ("b", "2"))
    assert found.ports == (Port(80, "http", "web", HTTP1), Port(81, "", 8081, HTTP2), Port(82, "", 82, HTTP1))
    assert [found.port(wanted) for wanted in (80, "http", 82, 83, "", None)] == [
        found.ports[0],
        found.ports[0],
        found.ports[2],
        None,
        None,
        None,
    ]


def test_a_service_that_names_another_host_selects_nothing() -> None:
    assert service(type="ExternalName", externalName="example.com", selector={"a": "1"}).selector == ()
    assert service().selector == ()


def test_labels_and_ports_of_pods_are_those_of_the_template() -> None:
    containers: list[dict[str, Any]] = [
        {"name": "application", "ports": [{"containerPort": 8080, "name": "http"}, {"containerPort": 1}]},
        {"name": "proxy", "ports": [{"containerPort": 9090, "name": "admin"}]},
    ]
    manifest = deployment_dict(containers=containers)
    manifest["spec"]["template"]["metadata"] = {"labels": {"z": "1", "cloudfoundry.org/app-guid": "app-1", "a": ""}}
    found = derive_workload(decode(manifest), Keys())
    assert list(found.labels_of_pods) == [("a", ""), ("cloudfoundry.org/app-guid", "app-1"), ("z", "1")]
    assert found.named_ports == (("http", 8080), ("admin", 9090))
    manifest["metadata"] |= {"uid": "other", "name": "other"}
    manifest["metadata"]["labels"] = {"cloudfoundry.org/app-guid": "app-2"}
    again = derive_workload(decode(manifest), Keys())
    assert again.named_ports is found.named_ports
    assert list(again.labels_of_pods) == list(found.labels_of_pods)
    assert all(one is other for one, other in zip(found.pod_labels, again.pod_labels, strict=True) if other != "app-1")


def test_labels_that_say_the_own_name_and_app_are_held_once_for_all_deployments() -> None:
    workloads = []
    for name, app in (("shop-web", "app-1"), ("blog-web", "app-2")):
        manifest = deployment_dict()
        manifest["metadata"] |= {"uid": name, "name": name, "labels": {"cloudfoundry.org/app-guid": app}}
        manifest["spec"]["template"]["metadata"] = {"labels": {"app": name, "cloudfoundry.org/app-guid": app, "x": "y"}}
        workloads.append(derive_workload(decode(manifest), Keys()))
    shop, blog = workloads
    assert list(shop.labels_of_pods) == [("app", "shop-web"), ("cloudfoundry.org/app-guid", "app-1"), ("x", "y")]
    assert list(blog.labels_of_pods) == [("app", "blog-web"), ("cloudfoundry.org/app-guid", "app-2"), ("x", "y")]
    assert shop.pod_labels is blog.pod_labels


def test_a_template_without_labels_has_none() -> None:
    found = derive_workload(decode(deployment_dict()), Keys())
    assert (found.pod_labels, found.named_ports) == ((), ())
