"""What lists and answers mean for each other: pure, on objects as Kubernetes sends them."""

from typing import Any

import orjson
from msgspec.json import decode
from msgspec.structs import replace

from service.cluster.feeds import DeploymentFeed
from service.cluster.pod_feeds import PodFeed, ReplicaSetFeed
from service.model.derive import derive_workload
from service.model.index import Index
from service.model.labels import Keys
from service.model.manifests import Deployment
from service.model.pod_index import PodIndex
from service.model.pods import State
from service.model.process import Metadata, MetadataChange, Pending, Workload
from service.model.record import Record
from service.model.selection import Slice
from tests.support.kube import deployment


def raw_deployment(uid: str, version: int, *, name: str = "", app: str = "") -> bytes:
    manifest = deployment(name or uid, "space", app or f"app-{name or uid}")
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
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web-abc", "uid": "rs", "controller": True}],
        },
        "spec": {"containers": [{"name": "application"}]},
    }
    return orjson.dumps(pod)


def raw_replica_set(**spec: Any) -> bytes:
    owner = {"kind": "Deployment", "name": "web", "uid": "web", "controller": True}
    meta = {"uid": "rs", "name": "web-abc", "namespace": "space", "ownerReferences": [owner]}
    template = {"spec": {"containers": [{"name": "application"}]}}
    return orjson.dumps({"metadata": meta, "spec": {"template": template, **spec}})


def test_a_list_does_not_undo_an_answer_that_is_ahead_of_it() -> None:
    index, pods = Index(), PodIndex()
    deployment_feed, pod_feed = DeploymentFeed(index, Keys()), PodFeed(pods)
    deployment_feed.accept_answer(raw_deployment("late", 150), as_of=200)
    pod_feed.accept_answer(raw_pod("late", 150), as_of=200)
    for feed in (deployment_feed, pod_feed):
        feed.advance(140, listed=True)
        list(feed.retain(set()))
    assert len(index.processes) == len(pods) == 1
    # Its own event is older than the answer, and no loss; what is behind that counts again.
    deployment_feed.upsert("late", 150, raw_deployment("late", 150))
    pod_feed.upsert("late", 150, raw_pod("late", 150))
    for feed in (deployment_feed, pod_feed):
        feed.advance(300)
    assert len(index.processes) == len(pods) == 1


def test_what_a_later_list_does_not_have_is_gone_whatever_an_answer_said() -> None:
    index = Index()
    feed = DeploymentFeed(index, Keys())
    feed.accept_answer(raw_deployment("gone", 150), as_of=200)
    feed.advance(250, listed=True)
    list(feed.retain(set()))
    assert len(index.processes) == 0


def test_an_answer_slow_to_come_does_not_undo_what_a_list_has_shown_meanwhile() -> None:
    index = Index()
    feed = DeploymentFeed(index, Keys())
    feed.advance(100, listed=True)
    newer = orjson.loads(raw_deployment("web", 150))
    newer["spec"]["replicas"] = 7
    list(feed.upsert("web", 150, orjson.dumps(newer)))
    feed.accept_answer(raw_deployment("web", 140))
    feed.advance(200, listed=True)
    list(feed.retain({"web"}))
    process = index.find(("space", "app-web", "web"))
    assert process is not None
    assert process.workload.instances == 7


def test_a_pod_that_an_answer_has_shown_to_be_gone_does_not_come_back_with_older_events() -> None:
    pods = PodIndex()
    feed = PodFeed(pods)
    feed.advance(90, listed=True)
    list(feed.upsert("gone", 100, raw_pod("gone", 100)))
    feed.advance(100)
    feed.accept_absence("gone", 180)
    list(feed.upsert("gone", 150, raw_pod("gone", 150)))
    feed.advance(150)
    assert len(pods) == 0


def test_an_answer_slow_to_come_does_not_take_away_what_a_list_has_shown_meanwhile() -> None:
    pods = PodIndex()
    feed = PodFeed(pods)
    feed.advance(100, listed=True)
    list(feed.upsert("new", 150, raw_pod("new", 150)))
    feed.accept_absence("new", 140)
    feed.advance(200, listed=True)
    list(feed.retain({"new"}))
    assert len(pods) == 1
    # Nor does one from before that list.
    feed.accept_absence("new", 190)
    assert len(pods) == 1


def test_a_deployment_kept_for_its_next_change_is_the_latest_known() -> None:
    feed = DeploymentFeed(Index(), Keys())
    feed.advance(100, listed=True)
    cache, workload = feed.cache, derive_workload(decode(raw_deployment("web", 110), type=Deployment), Keys())
    cache.put(workload, 110, raw_deployment("web", 110))
    list(feed.upsert("web", 120, raw_deployment("web", 120)))
    feed.advance(120)
    # What an earlier change has left is heard of late.
    cache.put(workload, 115, raw_deployment("web", 115))
    kept = cache.get("web")
    assert kept is not None
    assert (kept.version, orjson.loads(kept.raw)["metadata"]["resourceVersion"]) == (120, "120")
    # A list of a cluster restored from a backup: that version may never come.
    feed.advance(50, listed=True)
    assert cache.get("web") is None


def test_a_label_taken_off_and_put_back_before_an_answer_showed_it_takes_nothing_away() -> None:
    index, pods = Index(), PodIndex()
    deployment_feed, pod_feed = DeploymentFeed(index, Keys()), PodFeed(pods)
    for feed in (deployment_feed, pod_feed):
        feed.advance(100, listed=True)
    deployment_feed.accept_answer(raw_deployment("web", 180), as_of=200)
    pod_feed.accept_answer(raw_pod("web", 180), as_of=200)
    # The watch is late.
    list(deployment_feed.delete("web", 150))
    list(pod_feed.delete("web", 150))
    list(deployment_feed.upsert("web", 180, raw_deployment("web", 180)))
    list(pod_feed.upsert("web", 180, raw_pod("web", 180)))
    assert len(index.processes) == len(pods) == 1
    list(deployment_feed.delete("web", 210))
    list(pod_feed.delete("web", 210))
    assert len(index.processes) == len(pods) == 0


def test_what_the_answer_to_its_deletion_shows_goes_with_the_event_of_the_same_version() -> None:
    index, pods = Index(), PodIndex()
    deployment_feed, pod_feed = DeploymentFeed(index, Keys()), PodFeed(pods)
    for feed in (deployment_feed, pod_feed):
        feed.advance(100, listed=True)
    # Nothing kept it from going at once, so that this is the last of it.
    deployment_feed.accept_answer(raw_deployment("web", 150))
    pod_feed.accept_answer(raw_pod("web", 150))
    list(deployment_feed.delete("web", 150))
    list(pod_feed.delete("web", 150))
    assert len(index.processes) == len(pods) == 0


def test_a_pod_that_cannot_be_understood_hides_no_other() -> None:
    pods = PodIndex()
    pod_feed, set_feed = PodFeed(pods), ReplicaSetFeed(pods)
    list(set_feed.upsert("rs", 1, raw_replica_set()))
    for uid in ("good", "odd"):
        list(pod_feed.upsert(uid, 100, raw_pod(uid, 100)))
    assert [pod.uid for pod in pods.of("space", "web")] == ["good", "odd"]
    odd = orjson.loads(raw_pod("odd", 110))
    shapes: list[dict[str, Any]] = [
        {"spec": {"containers": []}},
        {"spec": {"containers": None}},
        {"spec": {}},
        {"status": {"containerStatuses": {"application": "running"}}},
        {"status": {"phase": 7}},
        {"status": {"conditions": [{"kind": "Ready"}]}},
        {"metadata": {**odd["metadata"], "ownerReferences": "web-abc"}},
        {"metadata": {**odd["metadata"], "ownerReferences": [{"uid": 7}]}},
        {"metadata": {**odd["metadata"], "creationTimestamp": "yesterday"}},
    ]
    for version, shape in enumerate(shapes, start=110):
        list(pod_feed.upsert("odd", version, orjson.dumps({**odd, **shape})))
        assert [pod.uid for pod in pods.of("space", "web")] == ["good"]
    list(pod_feed.upsert("odd", 200, raw_pod("odd", 200)))
    assert len(pods.of("space", "web")) == 2


def test_a_replica_set_that_cannot_be_understood_changes_nothing_of_its_pods() -> None:
    pods = PodIndex()
    pod_feed, set_feed = PodFeed(pods), ReplicaSetFeed(pods)
    list(set_feed.upsert("rs", 1, orjson.dumps({"metadata": {"uid": "rs"}, "spec": None})))
    list(pod_feed.upsert("pod", 100, raw_pod("pod", 100)))
    assert pods.of("space", "web") == []
    list(set_feed.upsert("rs", 2, raw_replica_set()))
    list(set_feed.upsert("rs", 3, raw_replica_set(template={"spec": {"containers": []}})))
    set_feed.advance(3)
    assert len(pods.of("space", "web")) == 1
    list(set_feed.retain(set()))
    list(set_feed.delete("rs", 4))
    assert len(pods.of("space", "web")) == 1


def test_a_pod_that_is_being_deleted_is_in_the_state_that_was_chosen_for_it() -> None:
    for state in (State.DOWN, State.STOPPING):
        pods = PodIndex()
        feed = PodFeed(pods, state)
        leaving = orjson.loads(raw_pod("pod", 100))
        leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:01:00Z"
        list(feed.upsert("pod", 100, orjson.dumps(leaving)))
        waiting = pods.waiting("space", "pod")
        assert waiting is not None
        assert waiting.state is state


def listed(feed: DeploymentFeed, version: int) -> None:
    """The feed after a complete list, with Postgres there."""
    feed.advance(version, listed=True)
    list(feed.retain(set()))
    feed.joins.ask()
    list(feed.joins.answer())


def test_one_made_anew_under_its_name_takes_the_place_of_the_former_that_an_answer_shows_gone() -> None:
    index = Index()
    feed = DeploymentFeed(index, Keys())
    listed(feed, 90)
    list(feed.upsert("old", 100, raw_deployment("old", 100, name="web")))
    feed.advance(100)
    workload = derive_workload(decode(raw_deployment("new", 150, name="web"), type=Deployment), Keys())
    feed.accept_workload(workload, 150)
    assert index.workload("old") is None
    assert index.workload("new") is not None
    # What the watch brings late of the former changes nothing, and its end neither.
    list(feed.upsert("old", 120, raw_deployment("old", 120, name="web")))
    assert index.workload("old") is None
    list(feed.delete("old", 130))
    list(feed.upsert("new", 140, raw_deployment("new", 140, name="web")))
    feed.advance(150)
    assert {process.workload.uid for process in index.processes.page(None, Slice()).items} == {"new"}


def workload_of(uid: str, version: int, write_id: str) -> Workload:
    """One of several that were made under the same name."""
    found = derive_workload(decode(raw_deployment(uid, version, name="web"), type=Deployment), Keys())
    return replace(found, write_id=write_id)


def row_of(stamp: int, version: int, *, pending: str = "") -> Record:
    """A row that was last folded with this version of the Deployment."""
    waiting = {pending: Pending(MetadataChange({"of": "pending"}), version)} if pending else {}
    row = Metadata(namespace="space", app_guid="app-web", type="web", labels={"of": str(stamp)}, pending=waiting)
    return Record(metadata=row, folded_version=version, deployment_version=version, stamp=stamp)


def test_one_made_anew_takes_the_place_of_a_former_that_is_held_too() -> None:
    index = Index()
    feed = DeploymentFeed(index, Keys())
    listed(feed, 90)
    feed.accept_workload(workload_of("a-old", 100, "made-up"), 100)
    assert feed.joins.holds(("space", "app-web", "web"))
    feed.joins.put_row(row_of(1, 0, pending="w"))
    feed.accept_workload(workload_of("b-new", 150, "w"), 150)
    feed.joins.put_row(row_of(2, 150))
    process = index.find(("space", "app-web", "web"))
    assert process is not None
    assert (process.workload.uid, process.metadata.labels) == ("b-new", {"of": "2"})
    assert index.workload("a-old") is None
    assert len(feed.joins) == 0


def test_one_of_which_the_late_watch_tells_after_the_next_of_its_name_was_shown_is_history() -> None:
    index = Index()
    feed = DeploymentFeed(index, Keys())
    listed(feed, 90)
    # An answer to a write shows the second that was made; of the first nothing was heard yet.
    feed.accept_workload(workload_of("b-second", 150, ""), 150)
    list(feed.upsert("a-first", 100, raw_deployment("a-first", 100, name="web")))
    assert feed.accept_answer(raw_deployment("a-first", 110, name="web")) == "a-first"
    assert index.workload("a-first") is None
    assert not feed.joins.knows("a-first")
    list(feed.delete("a-first", 120))
    feed.advance(150)
    # A third is none.
    list(feed.upsert("c-third", 170, raw_deployment("c-third", 170, name="web")))
    assert {process.workload.uid for process in index.processes.page(None, Slice()).items} == {"c-third"}


def test_a_list_of_another_history_brings_back_the_former_of_one_that_an_answer_has_shown() -> None:
    index = Index()
    feed = DeploymentFeed(index, Keys())
    listed(feed, 90)
    feed.accept_workload(workload_of("b-second", 150, ""), 150)
    list(feed.upsert("a-first", 50, raw_deployment("a-first", 50, name="web")))
    feed.advance(60, listed=True)
    list(feed.retain({"a-first"}))
    assert {process.workload.uid for process in index.processes.page(None, Slice()).items} == {"a-first"}


def test_what_an_answer_does_not_have_is_gone_from_that_app_and_from_no_other() -> None:
    index = Index()
    feed = DeploymentFeed(index, Keys())
    listed(feed, 90)
    list(feed.upsert("web", 100, raw_deployment("web", 100, app="one")))
    feed.advance(100)
    feed.accept_absence("web", ("space", "one"), 150)
    assert index.workload("web") is None
    list(feed.upsert("web", 110, raw_deployment("web", 110, app="one")))
    assert index.workload("web") is None
    list(feed.upsert("web", 120, raw_deployment("web", 120, app="two")))
    assert index.workload("web") is not None
    # Nothing of it is remembered once the watch is there.
    feed.advance(160)
    list(feed.upsert("web", 170, raw_deployment("web", 170, app="one")))
    assert index.find(("space", "one", "web")) is not None


def test_an_answer_slow_to_come_takes_away_nothing_that_is_newer() -> None:
    index = Index()
    feed = DeploymentFeed(index, Keys())
    listed(feed, 90)
    list(feed.upsert("web", 160, raw_deployment("web", 160)))
    feed.advance(160)
    feed.accept_absence("web", ("space", "app-web"), 150)
    assert index.workload("web") is not None


def test_a_list_shows_no_row_of_one_made_anew_with_the_former_that_it_has_no_more() -> None:
    index = Index()
    feed = DeploymentFeed(index, Keys())
    listed(feed, 90)
    list(feed.upsert("a-old", 100, raw_deployment("a-old", 100, name="web", app="app")))
    feed.advance(100)
    row = Metadata(namespace="space", app_guid="app", type="web", labels={"of": "new"})
    feed.joins.put_row(Record(metadata=row, folded_version=150, deployment_version=150, stamp=1))

    def shown() -> tuple[str, str | None]:
        process = index.find(("space", "app", "web"))
        assert process is not None
        return process.workload.uid, process.metadata.labels.get("of")

    list(feed.upsert("b-new", 150, raw_deployment("b-new", 150, name="web", app="app")))
    assert shown() == ("b-new", "new")
    feed.advance(200, listed=True)
    list(feed.retain({"b-new"}))
    assert shown() == ("b-new", "new")
