"""What a change costs where many share a value: the index's own machine says that what it comes to is right."""

from dataclasses import replace

from service.model.collection import Collection
from service.model.index import APP_GUIDS, PROCESSES
from service.model.process import Process
from service.model.shape import GUIDS
from service.model.sharing import Sharing
from tests.model.builders import finish, index_of, workload

MANY = 2_000


def processes(**fields: str) -> list[Process]:
    """One app of very many types, all in one namespace."""
    made = index_of(workload(f"u{n}", app_guid="app", type=f"t{n}", namespace="crowd", **fields) for n in range(MANY))
    return made.processes.having(APP_GUIDS, "app")


def test_one_tenants_crowd_costs_a_change_a_look_at_one_of_them() -> None:
    looks = 0

    def namespace(process: Process) -> str:
        nonlocal looks
        looks += 1
        return process.workload.namespace

    collection = Collection(replace(PROCESSES, namespace=namespace))
    sharing = Sharing(collection, APP_GUIDS)
    crowd = processes()
    elsewhere = index_of([workload("late", app_guid="app", namespace="other")]).processes.having(APP_GUIDS, "app")
    for process in [*crowd, *elsewhere]:
        collection.put(process)
        looks = 0
        sharing.entered(process)
        assert looks <= 2
    assert finish(sharing.seen(None)) == {"app": {"crowd", "other"}}
    for process in [*crowd[1:], *elsewhere]:
        collection.remove(process.workload.uid)
        looks = 0
        sharing.left(process)
        assert looks <= 2
    assert len(sharing) == 0


def test_a_value_is_shared_from_the_second_namespace_on_and_no_longer_than_that() -> None:
    index = index_of([workload("a", guid="g", namespace="n1")])
    assert len(index.shared_guids) == 0
    index.put_workload(workload("b", guid="g", namespace="n2"))
    index.put_workload(workload("c", guid="g", namespace="n3"))
    assert finish(index.shared_guids.seen(None)) == {"g": {"n1", "n2", "n3"}}
    assert finish(index.shared_guids.seen(frozenset({"n1", "n4"}))) == {}
    index.remove_workload("a")
    index.put_workload(workload("b", guid="another", namespace="n2"))
    assert len(index.shared_guids) == len(index.shared_app_guids) == 0
    assert [each.workload.uid for each in index.processes.having(GUIDS, "g")] == ["c"]
