"""Which autoscaler is of which Deployment."""

from typing import Any

import msgspec
import pytest

from service.cluster.autoscaler_feed import AutoscalerFeed
from service.model.autoscalers import Autoscaler, AutoscalerObject, Autoscalers, derive_autoscaler
from tests.model.builders import exhaust


def manifest(name: str = "shop", **spec: Any) -> dict[str, Any]:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    meta = {"name": name, "namespace": "a", "uid": f"uid-{name}", "creationTimestamp": "2026-01-02T03:04:05Z"}
    return {"metadata": meta, "spec": {"scaleTargetRef": target, "maxReplicas": 9, **spec}}


def derived(found: dict[str, Any]) -> Autoscaler | None:
    return derive_autoscaler(msgspec.convert(found, AutoscalerObject))


def test_says_its_bounds_and_one_is_the_least_unless_it_says_so() -> None:
    assert str(derived(manifest())) == "HorizontalPodAutoscaler shop (1 to 9 instances)"
    assert str(derived(manifest(minReplicas=0))) == "HorizontalPodAutoscaler shop (0 to 9 instances)"


@pytest.mark.parametrize("api_version", ["", "apps/v1", "apps/v2", "apps"])
def test_any_version_of_a_deployment_is_one(api_version: str) -> None:
    target = {"apiVersion": api_version, "kind": "Deployment", "name": "web"}
    assert derived(manifest(scaleTargetRef=target)) is not None
    assert derived(manifest(scaleTargetRef={**target, "apiVersion": "other.org/v1"})) is None
    assert derived(manifest(scaleTargetRef={**target, "kind": "StatefulSet"})) is None


def test_one_that_moves_on_leaves_what_it_was_of() -> None:
    autoscalers = Autoscalers()
    autoscalers.put("1", Autoscaler("a", "shop", "web", 1, 9))
    autoscalers.put("2", Autoscaler("a", "art", "web", 2, 3))
    assert (found := autoscalers.of("a", "web")) is not None
    assert found.name == "art"
    autoscalers.put("2", Autoscaler("a", "art", "worker", 2, 3))
    autoscalers.put("1", Autoscaler("a", "shop", "web", 1, 5))
    assert [str(autoscalers.of("a", name)) for name in ("web", "worker", "other")] == [
        "HorizontalPodAutoscaler shop (1 to 5 instances)",
        "HorizontalPodAutoscaler art (2 to 3 instances)",
        "None",
    ]
    assert autoscalers.of("b", "web") is None
    for uid in ("1", "2", "3"):
        autoscalers.remove(uid)
    assert (len(autoscalers), autoscalers.of("a", "web")) == (0, None)


def test_what_cannot_be_understood_is_none_and_is_counted() -> None:
    autoscalers = Autoscalers()
    feed = AutoscalerFeed(autoscalers)
    exhaust(feed.upsert("uid-shop", 1, msgspec.json.encode(manifest())))
    assert len(autoscalers) == 1
    exhaust(feed.upsert("uid-shop", 2, msgspec.json.encode(manifest(maxReplicas="many"))))
    assert (len(autoscalers), len(feed.skips)) == (0, 1)
    exhaust(feed.upsert("uid-shop", 3, msgspec.json.encode(manifest())))
    exhaust(feed.upsert("uid-art", 4, msgspec.json.encode(manifest("art"))))
    assert (len(autoscalers), len(feed.skips)) == (2, 0)
    exhaust(feed.retain({"uid-art"}))
    exhaust(feed.delete("uid-other", 5))
    assert set(autoscalers.uids()) == {"uid-art"}
