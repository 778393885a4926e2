"""What has a value, by namespace: the same whether a crowd has it or not, and no look at those of other namespaces."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.model import crowds
from service.model.collection import Collection
from service.model.index import APP_GUIDS, PROCESSES
from service.model.process import Process
from service.model.selection import Slice
from tests.model.builders import index_of, workload

MANY = 10_000
apps, namespaces = st.sampled_from(["a0", "a1"]), st.sampled_from(["n0", "n1", "n2"])
changes = st.tuples(st.integers(0, 9), st.none() | st.tuples(apps, namespaces))
"""The number of an item, and what it becomes: its app and namespace, or nothing."""


def process(number: int, app: str, namespace: str) -> Process:
    (made,) = index_of([workload(f"u{number}", app_guid=app, namespace=namespace)]).processes.having(APP_GUIDS, app)
    return made


@given(st.lists(changes, max_size=40), st.none() | st.frozensets(namespaces))
def test_the_same_is_found_as_by_looking_at_all(
    made: list[tuple[int, tuple[str, str] | None]], visible: frozenset[str] | None
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crowds, "CROWD", 4)
        collection, held = Collection(PROCESSES), dict[str, Process]()
        for number, place in made:
            if place is None:
                collection.remove(f"u{number}")
                held.pop(f"u{number}", None)
            else:
                held[f"u{number}"] = process(number, *place)
                collection.put(held[f"u{number}"])
            for app in ("a0", "a1"):
                all_of_it = {uid: each for uid, each in held.items() if each.workload.app_guid == app}
                seen = {uid for uid, each in all_of_it.items() if visible is None or each.workload.namespace in visible}
                assert collection.keys_having(APP_GUIDS, app, visible) == seen
                assert collection.namespaces_having(APP_GUIDS, app) == {
                    each.workload.namespace for each in all_of_it.values()
                }


def test_whose_app_a_crowd_claims_in_another_namespace_waits_for_none_of_them() -> None:
    looks = 0

    def namespace(item: Process) -> str:
        nonlocal looks
        looks += 1
        return item.workload.namespace

    collection = Collection(replace(PROCESSES, namespace=namespace))
    crowd = index_of(workload(f"u{n}", app_guid="app", type=f"t{n}", namespace="crowd") for n in range(MANY))
    for each in (*crowd.processes.having(APP_GUIDS, "app"), process(MANY, "app", "mine")):
        collection.put(each)
    looks = 0
    mine = frozenset({"mine"})
    assert collection.namespaces_having(APP_GUIDS, "app") == {"crowd", "mine"}
    assert collection.keys_having(APP_GUIDS, "app", mine) == {f"u{MANY}"}
    few = collection.page_having(APP_GUIDS, "app", mine, Slice(), most=1)
    assert few is not None
    assert few.total_results == 1
    assert collection.page_having(APP_GUIDS, "app", None, Slice(), most=MANY) is None
    assert looks <= 4
