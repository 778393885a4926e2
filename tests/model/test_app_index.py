"""Apps of many processes: as any other, and no more costly to change."""

import random
import time
from itertools import chain, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.model import app_index
from service.model.apps import APP_TYPE, SHOWN
from service.model.index import Index
from service.model.process import Metadata, Space, Workload
from tests.model.builders import exhaust, metadata, workload

MANY = 10_000

namespaces, app_guids = st.sampled_from(["n0", "n1"]), st.sampled_from(["a0", "a1"])
types = st.sampled_from([APP_TYPE, "web", "worker"])
workloads = st.builds(
    lambda number, namespace, app, instances: workload(
        f"u{number}",
        namespace=namespace,
        app_guid=app,
        type=f"t{number}" if number else "web",
        created_at=number * 7 % 5,
        started=bool(instances),
    ),
    st.integers(0, 7),
    namespaces,
    app_guids,
    st.booleans(),
)
rows = st.builds(
    lambda namespace, app, process_type, value: metadata(app, process_type, namespace, labels={"label": value}),
    namespaces,
    app_guids,
    types,
    st.sampled_from("xy"),
)
spaces = st.builds(Space, namespaces, st.sampled_from(["s0", "s1"]))
Change = Workload | Metadata | Space | str
"""A str is the uid of a Deployment that goes."""
changes: st.SearchStrategy[Change] = workloads | rows | spaces | st.integers(0, 7).map("u{}".format)


def change(index: Index, what: Change) -> None:
    match what:
        case Workload():
            index.put_workload(what)
        case Metadata():
            index.put_metadata(what)
        case Space():
            exhaust(index.put_space(what))
        case _:
            index.remove_workload(what)


def apps_of(index: Index) -> dict[str, object]:
    """All that is known of them, by key; and that no process is in another state there than where it is found."""
    for made in index.apps.having("guids", "a0") + index.apps.having("guids", "a1"):
        for process in made.processes:
            assert index.processes.get(process.workload.uid) is process
    return {
        key: (
            [each.workload for each in app.processes],
            app.lead.workload.uid,
            app.lead.space_guid,
            app.stored,
            app.is_started,
        )
        for key in sorted(index.apps.keys())
        if (app := index.apps.get(key)) is not None
    }


@given(
    st.lists(workloads, max_size=12),
    st.lists(changes, max_size=12),
    st.lists(rows | spaces, max_size=6),
    st.integers(0, 8),
)
def test_apps_that_are_made_when_all_has_come_are_what_they_had_been(
    first: list[Change], then: list[Change], between: list[Change], broken_off_after: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app_index, "SHOWN", 2)
        waiting, plain = Index(), Index()
        waiting.await_workloads()
        for what in first + then:
            change(waiting, what)
            change(plain, what)
        uids = plain.processes.keys() - {"u1"}
        exhaust(plain.retain_workloads(uids))
        late = list(between)
        for _ in chain(islice(waiting.retain_workloads(uids), broken_off_after), waiting.retain_workloads(uids)):
            assert all(
                waiting.is_claimed((process.workload.namespace, process.workload.app_guid, APP_TYPE))
                for process in map(waiting.processes.get, waiting.processes.keys())
                if process is not None
            )
            if late:
                change(waiting, late[-1])
                change(plain, late.pop())
        assert apps_of(waiting) == apps_of(plain)


def crowd(count: int) -> Index:
    index = Index()
    for n in range(count):
        index.put_workload(workload(f"u{n:05}", app_guid="a", type=f"t{n}", created_at=n * 7919 % count, started=False))
    return index


def test_the_oldest_of_an_app_of_many_are_shown_and_its_web_process_tells_of_it() -> None:
    count = SHOWN + 50
    index = crowd(count)
    (app,) = index.apps.having("guids", "a")
    assert [each.workload.created_at for each in app.processes] == list(range(SHOWN))
    assert (app.lead, app.state) == (app.processes[0], "STOPPED")
    index.put_workload(workload("web", app_guid="a", type="web", created_at=count, started=True, app_name="shop"))
    (app,) = index.apps.having("guids", "a")
    assert (app.name, app.state, app.created_at) == ("shop", "STARTED", 0)
    index.remove_workload("web")
    (app,) = index.apps.having("guids", "a")
    assert (app.name, app.state) == (app.processes[0].workload.name, "STOPPED")


def test_an_app_that_loses_all_but_a_few_is_as_if_it_had_never_had_more() -> None:
    index, others = crowd(SHOWN + 20), [f"u{n:05}" for n in range(SHOWN + 20)]
    random.Random(1).shuffle(others)
    for uid in others[3:]:
        index.remove_workload(uid)
    (app,) = index.apps.having("guids", "a")
    assert {each.workload.uid for each in app.processes} == set(others[:3])
    assert [p.workload.created_at for p in app.processes] == sorted(p.workload.created_at for p in app.processes)
    for uid in others[:3]:
        index.remove_workload(uid)
    assert not len(index.apps)
    assert not index._apps._crowds


def test_each_change_of_an_app_of_ten_thousand_costs_little() -> None:
    """Measured against one of a tenth of it: a change that cost in proportion would be ten times as slow."""

    def seconds(count: int) -> float:
        best = float("inf")
        for _ in range(3):
            index = crowd(count)
            begun = time.process_time()
            for n in range(500):
                index.put_workload(workload(f"new{n}", app_guid="a", type=f"n{n}", created_at=n))
                index.remove_workload(f"new{n}")
            best = min(best, time.process_time() - begun)
        return best

    assert seconds(MANY) < 3 * seconds(MANY // 10)
