"""ReplicaSets: whose their Pods are, which revision they are of, and which container of them is the app."""

import json
from typing import Any

import msgspec
import pytest

from service.model.derive import Unparsable
from service.model.manifests import ReplicaSetObject
from service.model.replica_sets import ReplicaSet, derive_replica_set
from tests.model.builders import replica_set_dict

OWNER = {"kind": "Deployment", "name": "app-web", "uid": "uid-1", "controller": True}


def made(**manifest: Any) -> ReplicaSet:
    return derive_replica_set(msgspec.json.decode(json.dumps(replica_set_dict(**manifest)), type=ReplicaSetObject))


def test_it_is_of_the_deployment_that_controls_it() -> None:
    assert made() == ReplicaSet(uid="rs-1", deployment="uid-1", revision=3, container="application", spent=False)


@pytest.mark.parametrize(
    "owners",
    [
        None,
        [],
        [{}],
        [{**OWNER, "controller": False}],
        [{**OWNER, "controller": None}],
        [{**OWNER, "kind": "Rollout"}],
        [{**OWNER, "uid": ""}],
    ],
    ids=str,
)
def test_without_a_deployment_that_controls_it_it_is_of_none(owners: list[Any] | None) -> None:
    assert made(meta={"ownerReferences": owners}).deployment is None


def test_of_several_owners_the_controller_is_the_one() -> None:
    owners = [{**OWNER, "uid": "uid-0", "controller": False}, OWNER, {"kind": "Thing", "name": "x", "uid": "y"}]
    assert made(meta={"ownerReferences": owners}).deployment == "uid-1"


@pytest.mark.parametrize("text", ["", "-1", "1.0", "x", "\u0663", "9" * 19, None])
def test_a_revision_that_cannot_be_read_is_the_oldest(text: str | None) -> None:
    annotations = None if text is None else {"deployment.kubernetes.io/revision": text}
    assert made(meta={"annotations": annotations}).revision == 0


@pytest.mark.parametrize(
    ("replicas", "status", "spent"),
    [
        (0, {"replicas": 0}, True),
        (0, {"replicas": None}, True),
        (0, {"replicas": 1}, False),
        (1, {"replicas": 0}, False),
    ],
)
def test_it_is_spent_when_it_neither_wants_nor_has_a_pod(replicas: int, status: dict[str, Any], spent: bool) -> None:
    assert made(replicas=replicas, status=status).spent is spent


def test_how_many_it_wants_is_one_where_it_does_not_say() -> None:
    assert not made(replicas=None, status={"replicas": None}).spent


@pytest.mark.parametrize(
    ("template", "container"),
    [
        ({"spec": {"containers": [{"name": "app"}, {"name": "other"}]}}, "app"),
        ({"spec": {"containers": [{"name": "other"}, {"name": "application"}]}}, "application"),
        (
            {
                "metadata": {"annotations": {"kubectl.kubernetes.io/default-container": "b"}},
                "spec": {"containers": [{"name": "a"}, {"name": "b"}]},
            },
            "b",
        ),
    ],
)
def test_the_app_container_is_chosen_as_in_the_deployment(template: dict[str, Any], container: str) -> None:
    assert made(template=template).container == container


def test_another_shape_is_a_value_error() -> None:
    with pytest.raises(Unparsable):
        made(template={"spec": {"containers": []}})
    shapes: list[dict[str, Any]] = [
        {"meta": {"ownerReferences": "x"}},
        {"template": {"spec": {}}},
        {"status": {"replicas": "x"}},
    ]
    for shape in shapes:
        with pytest.raises(msgspec.ValidationError):
            made(**shape)
