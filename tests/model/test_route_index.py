"""The join of rules, Services and processes: whatever comes in whichever order, it is what a plain model says."""

import gc
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import pytest

from service.cluster.route_feeds import INGRESSES, SERVICES, route_feeds
from service.model.index import Index
from service.model.process import Space, Workload
from service.model.route_index import MOST_DESTINATIONS
from service.model.routes import HTTP1, MOST_BACKENDS, Backend, Destination, Origin, Port, Route, Rule, Service
from service.model.texts import MOST_LABELS
from tests.model.builders import exhaust, workload

NAMESPACES, NAMES = ("a", "a", "a", "b"), ("one", "two")
LABELS = [{"k": "1"}, {"k": "2"}, {"k": "1", "l": "1"}, {"k": "1", "m": "1"}]
SELECTORS = [{"k": "1"}, {"k": "1"}, {"k": "2"}, {"k": "1", "l": "1"}, {}]


def flat(labels: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(part for pair in sorted(labels.items()) for part in pair)


class Draw:
    """Changes at random, from a seed: few of each kind, so that most have to do with each other."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def change(self) -> tuple[str, Any]:
        process, service, rules = self.process, self.service, self.rules
        what, draw = self._random.choice(
            [
                ("put process", process),
                ("put process", process),
                ("remove process", process),
                ("put service", service),
                ("put service", service),
                ("remove service", service),
                ("put rules", rules),
                ("put rules", rules),
                ("remove rules", rules),
                ("put space", lambda: self._one_of(NAMESPACES)),
                ("list", lambda: {n for n in range(10) if self._random.random() < 0.8}),
                ("settle", lambda: self._one_of([1, 3, 500])),
                ("settle", lambda: self._one_of([1, 3, 500])),
            ]
        )
        return what, draw()

    def _one_of(self, choices: Sequence[Any]) -> Any:
        return self._random.choice(choices)

    def process(self) -> Workload:
        number, namespace, port = self._one_of(range(4)), self._one_of(NAMESPACES), self._one_of([0, 8080, 9090])
        return workload(
            f"{namespace}-{number}",
            namespace=namespace,
            app_guid=f"app-{number // 2}",
            type=("web", "worker")[number % 2],
            guid=f"guid-{number}",
            pod_labels=flat(self._one_of(LABELS)),
            named_ports=(("http", port),) if port else (),
            space_guid=self._one_of([None, None, "own"]),
        )

    def service(self) -> Service:
        namespace, name, generation = self._one_of(NAMESPACES), self._one_of(NAMES), self._one_of([0, 0, 1])
        port = Port(self._one_of([80, 80, 81]), "http", self._one_of([80, "http", "other"]), HTTP1)
        selector = tuple(sorted(self._one_of(SELECTORS).items()))
        return Service(f"{namespace}-{name}-{generation}", namespace, name, selector, (port,))

    def rules(self) -> tuple[Origin, list[Rule]]:
        """An object in a state, with its rules."""
        namespace, kind, name = self._one_of(NAMESPACES), self._one_of(["Ingress", "HTTPRoute"]), self._one_of(NAMES)
        uid = f"{namespace}-{kind}-{name}-{self._one_of([0, 0, 1])}"
        origin = Origin(uid, kind, namespace, name, 0, self._one_of([0, 1]))
        rules = []
        for host in self._one_of([(), ("",), ("x.test",), ("", "x.test")]):
            behind = [Backend(self._one_of(NAMES), self._one_of([80, 81, "http"])) for _ in range(self._one_of([1, 2]))]
            rules.append(Rule(origin, host, "", tuple(dict.fromkeys(behind))))
        return origin, rules


class Model:
    """The same as the index, by comparing each with each."""

    def __init__(self) -> None:
        self.index = Index()
        self.services: dict[tuple[str, str], Service] = {}
        self.rules: dict[tuple[str, str, str], tuple[Origin, list[Rule]]] = {}
        self.settling: Any = iter(())

    def apply(self, what: str, change: Any) -> None:
        getattr(self, what.replace(" ", "_"))(change)

    def put_process(self, change: Workload) -> None:
        self.index.put_workload(change)

    def remove_process(self, change: Workload) -> None:
        self.index.remove_workload(change.uid)

    def put_service(self, change: Service) -> None:
        self.services[change.namespace, change.name] = change
        self.index.routing.put_service(change)

    def remove_service(self, change: Service) -> None:
        key = change.namespace, change.name
        if key in self.services and self.services[key].uid == change.uid:
            del self.services[key]
        self.index.routing.remove_service(change.uid)

    def put_rules(self, change: tuple[Origin, list[Rule]]) -> None:
        self.rules[change[0].key] = change
        exhaust(self.index.routing.put_rules(*change))

    def remove_rules(self, change: tuple[Origin, list[Rule]]) -> None:
        key = change[0].key
        if key in self.rules and self.rules[key][0].uid == change[0].uid:
            del self.rules[key]
        exhaust(self.index.routing.remove_origin(change[0].uid))

    def put_space(self, change: str) -> None:
        exhaust(self.index.put_space(Space(change, f"space-{change}", f"org-{change}")))

    def settle(self, steps: int) -> None:
        """A few steps of it, with changes before the next ones."""
        for _ in range(steps):
            if next(self.settling, self) is self:
                self.settling = self.index.routing.settle()

    def list(self, kept: set[int]) -> None:
        """A list that has only some of the Services and of the Ingresses."""
        there = {each.uid for number, each in enumerate(self.services.values()) if number in kept}
        self.services = {key: each for key, each in self.services.items() if each.uid in there}
        exhaust(self.index.routing.retain_services(there))
        uids = {each[0].uid for number, each in enumerate(self.rules.values()) if number in kept}
        self.rules = {key: each for key, each in self.rules.items() if each[0].uid in uids or each[0].kind != "Ingress"}
        exhaust(self.index.routing.retain_origins("Ingress", uids))

    def expected(self) -> dict[str, Route]:
        found = {}
        for _, rules in self.rules.values():
            for rule in rules:
                route = self.route(rule)
                if route is not None:
                    found[route.guid] = route
        return found

    def route(self, rule: Rule) -> Route | None:
        destinations: dict[Destination, Any] = {}
        for backend in rule.backends:
            service = self.services.get((rule.origin.namespace, backend.service))
            port = None if service is None else service.port(backend.port)
            if service is None or port is None:
                continue
            for process in sorted(
                self.index.processes.of_namespace(rule.origin.namespace),
                key=lambda each: (each.workload.app_guid, each.workload.type),
            ):
                if service.selector and set(service.selector) <= set(process.workload.labels_of_pods):
                    names = dict(process.workload.named_ports)
                    number = names.get(port.target) if isinstance(port.target, str) else port.target
                    one = Destination(
                        process.workload.app_guid, process.workload.type, number, backend.weight, port.protocol
                    )
                    destinations.setdefault(one, process)
        if not destinations:
            return None
        first = next(iter(destinations.values()))
        return Route(rule.guid(), rule, tuple(destinations), first.space_guid, first.organization_guid)


def shown(index: Index) -> dict[str, Route]:
    routes = index.routes
    return {guid: route for guid in routes.values("guids") if (route := routes.get(guid)) is not None}


@pytest.mark.parametrize("step", [1, 500], ids="{} processes a step".format)
def test_routes_are_what_a_plain_comparison_finds(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    monkeypatch.setattr("service.model.pod_labels.STEP", step)
    compared = 0
    for seed in range(300):
        model, draw = Model(), Draw(seed)
        for _ in range(60):
            model.apply(*draw.change())
        exhaust(model.settling)
        exhaust(model.index.routing.settle())
        expected = model.expected()
        assert shown(model.index) == expected, seed
        compared += len(expected)
    assert compared > 100, "hardly anything was drawn that leads anywhere"


def test_nothing_is_kept_of_what_is_gone() -> None:
    for seed in range(50):
        model, draw = Model(), Draw(seed)
        for _ in range(60):
            model.apply(*draw.change())
        exhaust(model.settling)
        routing = model.index.routing
        exhaust(routing.retain_services(set()))
        for kind in ("Ingress", "HTTPRoute"):
            exhaust(routing.retain_origins(kind, set()))
        exhaust(routing.settle())
        for each in (routing._places, routing._rules, routing._origins, routing._uids, routing._stale_rules):
            assert not each
        assert not routing._services.uids()
        assert len(model.index.routes) == 0


# How much it takes. Steps are what others wait for; all of them together must not grow with the square.


def populated(count: int) -> Index:
    """As many Deployments in one namespace, each an app of its own."""
    index = Index()
    for n in range(count):
        index.put_workload(workload(f"uid-{n}", pod_labels=("app", f"app-{n}", "tier", "front"), namespace="a"))
    return index


def selecting(n: int, *pairs: tuple[str, str]) -> Service:
    return Service(f"s-{n}", "a", f"s-{n}", pairs or (("app", f"app-{n}"),), (Port(80, "", 8080, HTTP1),))


def one_ingress(rules: int, behind: Any = lambda n: f"s-{n}") -> tuple[Origin, list[Rule]]:
    origin = Origin("i", "Ingress", "a", "i", 0, 0)
    return origin, [Rule(origin, f"h{n}.test", "", (Backend(behind(n), 80),)) for n in range(rules)]


def timed(steps: Iterable[None]) -> tuple[float, float]:
    """Seconds of all steps, and of the longest: of our own, for other programs run beside the tests."""
    longest = total = 0.0
    work = iter(steps)
    # What the tests before have left is not to be looked through meanwhile.
    gc.disable()
    try:
        while True:
            began = time.thread_time()
            done = next(work, work) is work
            took = time.thread_time() - began
            longest, total = max(longest, took), total + took
            if done:
                return total, longest
    finally:
        gc.enable()


def cost(count: int) -> tuple[float, float]:
    """Of a namespace with as many Deployments, Services and rules of one Ingress, from nothing to all routes."""
    index = populated(count)
    told = timed(index.routing.put_rules(*one_ingress(count)))
    began = time.thread_time()
    for n in range(count):
        index.routing.put_service(selecting(n))
    services_took = time.thread_time() - began
    settled = timed(index.routing.settle())
    assert len(index.routes) == count
    return told[0] + services_took + settled[0], max(told[1], settled[1])


def test_many_rules_take_short_steps_and_no_time_that_grows_with_the_square() -> None:
    # In turns: what else the machine does may take time of both.
    small, large = zip(*((cost(500), cost(5_000)) for _ in range(4)), strict=True)
    assert min(longest for _, longest in large) < 0.02
    # By the square it would be a hundred times as much.
    assert min(total for total, _ in large) < 40 * min(total for total, _ in small), (small, large)


def test_an_ingress_as_large_as_etcd_takes_is_taken_in_and_let_go_in_short_steps() -> None:
    """1.4 MiB of it."""
    behind = {"service": {"name": "s-0", "port": {"number": 80}}}
    rules = [{"host": f"h{n}.test", "http": {"paths": [{"path": "/", "backend": behind}]}} for n in range(13_500)]
    meta = {"name": "i", "uid": "i", "namespace": "a", "creationTimestamp": "2026-01-01T00:00:00Z"}
    raw = msgspec.json.encode({"metadata": meta, "spec": {"rules": rules}})
    assert 1 << 20 < len(raw) < 3 << 19
    index = populated(1)
    feed = route_feeds(index.routing)[INGRESSES]
    _, told = timed(feed.upsert("i", 1, raw))
    index.routing.put_service(selecting(0))
    _, settled = timed(index.routing.settle())
    assert len(index.routes) == 13_500
    _, gone = timed(feed.delete("i", 2))
    assert len(index.routes) == 0
    assert max(told, settled, gone) < 0.02


def test_thousands_of_services_behind_one_path_are_followed_as_far_as_takes_short_steps() -> None:
    index = populated(99)
    for n in range(MOST_BACKENDS + 50):
        index.routing.put_service(selecting(n, ("tier", "front")))
    rules = [
        {
            "host": "h.test",
            "http": {"paths": [{"path": "/", "backend": {"service": {"name": f"s-{n}", "port": {"number": 80}}}}]},
        }
        for n in range(13_000)
    ]
    meta = {"name": "i", "uid": "i", "namespace": "a", "creationTimestamp": "2026-01-01T00:00:00Z"}
    raw = msgspec.json.encode({"metadata": meta, "spec": {"rules": rules}})
    _, told = timed(route_feeds(index.routing)[INGRESSES].upsert("i", 1, raw))
    _, settled = timed(index.routing.settle())
    assert max(told, settled) < 0.02
    (route,) = shown(index).values()
    assert len(route.rule.backends) == MOST_BACKENDS


def test_a_service_that_asks_for_as_many_labels_as_etcd_takes_is_looked_up_in_short_steps() -> None:
    index = populated(400)
    exhaust(index.routing.put_rules(*one_ingress(3)))
    for count in (MOST_LABELS, 20_000):
        selector = {f"k{n}": "v" for n in range(count)}
        meta = {"name": "s-0", "namespace": "a", "uid": f"s-{count}", "creationTimestamp": "2026-01-01T00:00:00Z"}
        raw = msgspec.json.encode({"metadata": meta, "spec": {"selector": selector, "ports": [{"port": 80}] * 8_000}})
        _, told = timed(route_feeds(index.routing)[SERVICES].upsert(f"s-{count}", 1, raw))
        _, settled = timed(index.routing.settle())
        assert max(told, settled) < 0.02
    assert not shown(index)


def test_services_that_select_everything_take_short_steps_and_show_a_bounded_part() -> None:
    index = populated(5_000)
    exhaust(index.routing.put_rules(*one_ingress(300)))
    for n in range(300):
        index.routing.put_service(selecting(n, ("tier", "front")))
    _, longest = timed(index.routing.settle())
    assert longest < 0.02
    routes = list(shown(index).values())
    assert len(routes) == 300
    assert {len(route.destinations) for route in routes} == {MOST_DESTINATIONS}
    expected = sorted(f"app-uid-{n}" for n in range(5_000))[:MOST_DESTINATIONS]
    assert [each.app_guid for each in routes[0].destinations] == expected


def test_a_scale_makes_nothing_stale() -> None:
    index = populated(10)
    exhaust(index.routing.put_rules(*one_ingress(10)))
    for n in range(10):
        index.routing.put_service(selecting(n))
    exhaust(index.routing.settle())
    told: list[None] = []
    index.routing.on_stale = lambda: told.append(None)
    version = index.routes.version
    scaled = workload("uid-3", pod_labels=("app", "app-3", "tier", "front"), namespace="a", instances=7)
    index.put_workload(scaled)
    assert not told
    index.put_workload(msgspec.structs.replace(scaled, pod_labels=("app", "app-4")))
    assert told
    exhaust(index.routing.settle())
    assert index.routes.version > version
