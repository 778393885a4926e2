"""Whose rows of Postgres are kept: those of processes and apps that are there, or may be."""

from service.cluster.feeds import DeploymentFeed
from service.model.apps import APP_TYPE
from service.model.labels import Keys
from service.operations.pruning import is_present
from tests.model.builders import index_of, workload


def test_the_row_of_an_app_is_kept_while_the_app_has_a_process() -> None:
    index = index_of(
        [workload("one", namespace="n", app_guid="a"), workload("two", namespace="n", app_guid="a", type="x")]
    )
    feed = DeploymentFeed(index, Keys())
    row = ("n", "a", APP_TYPE)
    assert is_present(index, feed)(row)
    for elsewhere in (("n", "b", APP_TYPE), ("m", "a", APP_TYPE)):
        assert not is_present(index, feed)(elsewhere)
    index.remove_workload("one")
    assert is_present(index, feed)(row)
    index.remove_workload("two")
    assert not is_present(index, feed)(row)


def test_the_row_of_an_app_is_kept_whose_only_deployment_has_lost_to_an_older_one() -> None:
    older = workload("older", namespace="n", app_guid="a", guid="same", created_at=1)
    loser = workload("loser", namespace="n", app_guid="b", guid="same", created_at=2)
    index = index_of([older, loser])
    assert "loser" in index.conflicts
    assert is_present(index, DeploymentFeed(index, Keys()))(("n", "b", APP_TYPE))
