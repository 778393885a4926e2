"""What lists and answers mean for each other: pure, on objects as Kubernetes sends them."""

from typing import Any

import orjson
from msgspec.json import decode

from service.cluster.feeds import DeploymentFeed, PodFeed
from service.model.derive import derive_workload
from service.model.index import Index
from service.model.labels import Keys
from service.model.manifests import Deployment
from service.model.pods import PodIndex
from tests.support.kube import deployment


def raw_deployment(uid: str, version: int) -> bytes:
    manifest = deployment(uid, "space", f"app-{uid}")
    manifest["metadata"] |= {
        "uid": uid,
        "resourceVersion": str(version),
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    return orjson.dumps(manifest)


def raw_pod(uid: str, version: int) -> bytes:
    pod: dict[str, Any] = {
        "metadata": {
            "uid": uid,
            "name": uid,
            "namespace": "space",
            "resourceVersion": str(version),
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"pod-template-hash": "abc"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web-abc", "controller": True}],
        },
        "spec": {"containers": [{"name": "application"}]},
    }
    return orjson.dumps(pod)


def test_a_list_does_not_undo_an_answer_that_is_ahead_of_it() -> None:
    index, pods = Index(), PodIndex()
    deployment_feed, pod_feed = DeploymentFeed(index, Keys()), PodFeed(pods)
    deployment_feed.take(raw_deployment("late", 150), as_of=200)
    pod_feed.take(raw_pod("late", 150), as_of=200)
    for feed in (deployment_feed, pod_feed):
        feed.reach(140, listed=True)
        list(feed.retain(set()))
    assert len(index.processes) == len(pods) == 1
    # Its own event is older than the answer, and no loss; what is behind that counts again.
    deployment_feed.put("late", 150, raw_deployment("late", 150))
    pod_feed.put("late", 150, raw_pod("late", 150))
    for feed in (deployment_feed, pod_feed):
        feed.reach(300)
    assert len(index.processes) == len(pods) == 1


def test_what_a_later_list_does_not_have_is_gone_whatever_an_answer_said() -> None:
    index = Index()
    feed = DeploymentFeed(index, Keys())
    feed.take(raw_deployment("gone", 150), as_of=200)
    feed.reach(250, listed=True)
    list(feed.retain(set()))
    assert len(index.processes) == 0


def test_an_answer_slow_to_come_does_not_undo_what_a_list_has_shown_meanwhile() -> None:
    index = Index()
    feed = DeploymentFeed(index, Keys())
    feed.reach(100, listed=True)
    newer = orjson.loads(raw_deployment("web", 150))
    newer["spec"]["replicas"] = 7
    list(feed.put("web", 150, orjson.dumps(newer)))
    feed.take(raw_deployment("web", 140))
    feed.reach(200, listed=True)
    list(feed.retain({"web"}))
    process = index.find(("space", "app-web", "web"))
    assert process is not None
    assert process.workload.instances == 7


def test_a_pod_that_an_answer_has_shown_to_be_gone_does_not_come_back_with_older_events() -> None:
    pods = PodIndex()
    feed = PodFeed(pods)
    feed.reach(90, listed=True)
    list(feed.put("gone", 100, raw_pod("gone", 100)))
    feed.reach(100)
    feed.take_absence("gone", 180)
    list(feed.put("gone", 150, raw_pod("gone", 150)))
    feed.reach(150)
    assert len(pods) == 0


def test_an_answer_slow_to_come_does_not_take_away_what_a_list_has_shown_meanwhile() -> None:
    pods = PodIndex()
    feed = PodFeed(pods)
    feed.reach(100, listed=True)
    list(feed.put("new", 150, raw_pod("new", 150)))
    feed.take_absence("new", 140)
    feed.reach(200, listed=True)
    list(feed.retain({"new"}))
    assert len(pods) == 1
    # Nor does one from before that list.
    feed.take_absence("new", 190)
    assert len(pods) == 1


def test_a_deployment_kept_for_its_next_change_is_the_latest_known() -> None:
    feed = DeploymentFeed(Index(), Keys())
    feed.reach(100, listed=True)
    recent, workload = feed.recent, derive_workload(decode(raw_deployment("web", 110), type=Deployment), Keys())
    recent.put(workload, 110, raw_deployment("web", 110))
    list(feed.put("web", 120, raw_deployment("web", 120)))
    feed.reach(120)
    # What an earlier change has left is heard of late.
    recent.put(workload, 115, raw_deployment("web", 115))
    kept = recent.get("web")
    assert kept is not None
    assert (kept.version, orjson.loads(kept.raw)["metadata"]["resourceVersion"]) == (120, "120")
    # A list of a cluster restored from a backup: that version may never come.
    feed.reach(50, listed=True)
    assert recent.get("web") is None


def test_a_label_taken_off_and_put_back_before_an_answer_showed_it_takes_nothing_away() -> None:
    index, pods = Index(), PodIndex()
    deployment_feed, pod_feed = DeploymentFeed(index, Keys()), PodFeed(pods)
    for feed in (deployment_feed, pod_feed):
        feed.reach(100, listed=True)
    deployment_feed.take(raw_deployment("web", 180), as_of=200)
    pod_feed.take(raw_pod("web", 180), as_of=200)
    # The watch is late.
    list(deployment_feed.delete("web", 150))
    list(pod_feed.delete("web", 150))
    list(deployment_feed.put("web", 180, raw_deployment("web", 180)))
    list(pod_feed.put("web", 180, raw_pod("web", 180)))
    assert len(index.processes) == len(pods) == 1
    list(deployment_feed.delete("web", 210))
    list(pod_feed.delete("web", 210))
    assert len(index.processes) == len(pods) == 0


def test_what_the_answer_to_its_deletion_shows_goes_with_the_event_of_the_same_version() -> None:
    index, pods = Index(), PodIndex()
    deployment_feed, pod_feed = DeploymentFeed(index, Keys()), PodFeed(pods)
    for feed in (deployment_feed, pod_feed):
        feed.reach(100, listed=True)
    # Nothing kept it from going at once, so that this is the last of it.
    deployment_feed.take(raw_deployment("web", 150))
    pod_feed.take(raw_pod("web", 150))
    list(deployment_feed.delete("web", 150))
    list(pod_feed.delete("web", 150))
    assert len(index.processes) == len(pods) == 0
