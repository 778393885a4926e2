"""Apps of many processes: as any other, and no more costly to change."""

import random
import time

from service.model.apps import SHOWN
from service.model.index import Index
from tests.model.builders import workload

MANY = 10_000


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
