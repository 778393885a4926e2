"""The alerts and the dashboard, held against what a running service says.

A query for what is not there finds nothing, and says nothing.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from promql_parser import AggregateExpr, BinaryExpr, Call, Expr, VectorSelector

from service.settings import Settings
from tests.deploy.overlays import of_kind, render
from tests.support.api import running
from tests.support.metrics import Scrape, scrape

MONITORING = Path(__file__).parents[1] / "deploy" / "monitoring"
TARGET = {"job", "instance"}
"""Labels that Prometheus gives whatever it scrapes."""


@dataclass(frozen=True)
class Query:
    where: str
    text: str

    @property
    def parsed(self) -> Expr:
        """Grafana's variables filled in."""
        return promql_parser.parse(self.text.replace("$__rate_interval", "5m"))


def rules() -> list[dict[str, Any]]:
    manifest = yaml.safe_load((MONITORING / "alerts.yaml").read_text())
    return [rule for group in manifest["spec"]["groups"] for rule in group["rules"]]


def dashboard() -> Any:
    return json.loads((MONITORING / "dashboard.json").read_text())


def queries() -> list[Query]:
    found = [Query(rule["alert"], rule["expr"]) for rule in rules()]
    shown = dashboard()
    for panel in shown["panels"]:
        found += [Query(panel["title"], target["expr"]) for target in panel.get("targets", ())]
    found += [Query(f"annotation {each['name']}", each["expr"]) for each in shown["annotations"]["list"]]
    for variable in shown["templating"]["list"]:
        if variable["type"] == "query":
            selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()  # type: ignore[union-attr]
            found.append(Query(f"variable {variable['name']}", f"count by ({label}) ({selector})"))
    return found


def nodes(expr: Expr, kind: type) -> Iterator[Any]:
    seen: list[Expr] = []
    promql_parser.walk(expr, lambda node: seen.append(node))
    return (node for node in seen if isinstance(node, kind))


@pytest.fixture(scope="module")
async def exported(settings: Settings, operator_token: str) -> Scrape:
    """What a service says that has been asked something."""
    async with running(settings, token=operator_token) as api:
        for path in ("/v3/processes", "/v3/processes/none", "/nope"):
            await api.get(path)
        return await scrape(api)


every_query = pytest.mark.parametrize("query", queries(), ids=lambda query: query.where)


@every_query
def test_every_name_is_one_the_service_exports(query: Query, exported: Scrape) -> None:
    names = exported.labels()
    selectors = list(nodes(query.parsed, VectorSelector))
    assert selectors
    for selector in selectors:
        assert selector.name in names, selector.name


@every_query
def test_every_label_is_one_the_metric_has(query: Query, exported: Scrape) -> None:
    names = exported.labels()
    for selector in nodes(query.parsed, VectorSelector):
        for matcher in selector.matchers.matchers:
            assert matcher.name in names[selector.name] | TARGET, matcher
    for aggregate in nodes(query.parsed, AggregateExpr):
        grouped = set(aggregate.modifier.labels) if aggregate.modifier else set()
        for selector in nodes(aggregate.expr, VectorSelector):
            assert grouped <= names[selector.name] | TARGET, aggregate.prettify()


@every_query
def test_counters_are_read_as_rates_and_nothing_else_is(query: Query, exported: Scrape) -> None:
    counters = {
        sample.name
        for family in exported.families
        if family.type in ("counter", "histogram")
        for sample in family.samples
    }
    rated = [
        selector.name
        for call in nodes(query.parsed, Call)
        if call.func.name in ("rate", "increase")
        for selector in nodes(call, VectorSelector)
    ]
    everywhere = [selector.name for selector in nodes(query.parsed, VectorSelector)]
    assert sorted(name for name in everywhere if name in counters) == sorted(rated)


@every_query
def test_what_is_divided_or_compared_is_of_the_same_labels(query: Query) -> None:
    for binary in nodes(query.parsed, BinaryExpr):
        sides = [
            {tuple(sorted(each.modifier.labels)) if each.modifier else () for each in nodes(side, AggregateExpr)}
            for side in (binary.lhs, binary.rhs)
        ]
        if all(sides):
            assert sides[0] == sides[1], binary.prettify()


def test_every_alert_says_how_bad_it_is_and_what_to_do(exported: Scrape) -> None:
    names = exported.labels()
    assert len({rule["alert"] for rule in rules()}) == len(rules())
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert re.fullmatch(r"\d+m", rule["for"])
        assert rule["annotations"].keys() == {"summary", "description"}
        parsed = Query("", rule["expr"]).parsed
        left = set.union(*(names[selector.name] | TARGET for selector in nodes(parsed, VectorSelector)))
        for aggregate in nodes(parsed, AggregateExpr):
            left &= set(aggregate.modifier.labels)
        used = re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values()))
        assert set(used) <= left, rule["alert"]


def test_every_metric_of_ours_is_shown_or_watched(exported: Scrape) -> None:
    asked = {selector.name for query in queries() for selector in nodes(query.parsed, VectorSelector)}
    for name in exported.labels():
        family = re.sub("_(bucket|count|sum)$", "", name)
        assert not name.startswith("cf_processes_") or {name, f"{family}_bucket"} & asked, name


def test_both_reach_the_cluster_as_a_kustomization() -> None:
    objects = render(MONITORING)
    assert {each["metadata"]["namespace"] for each in objects} == {"processes"}
    (rule,) = of_kind(objects, "PrometheusRule").values()
    assert [each for group in rule["spec"]["groups"] for each in group["rules"]] == rules()
    (config_map,) = of_kind(objects, "ConfigMap").values()
    assert json.loads(config_map["data"]["dashboard.json"]) == dashboard()


def test_panels_do_not_lie_over_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_metric_that_operators_are_told_of_is_there(exported: Scrape) -> None:
    named = set(re.findall(r"`(cf_processes_\w+)`", (MONITORING.parent / "OPERATING.md").read_text()))
    assert named
    assert named <= {family.name + ("_total" if family.type == "counter" else "") for family in exported.families}
