"""The index of Pods, by the Deployment that owns their ReplicaSet."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from service.model.pod_index import PodIndex
from service.model.pods import Pod, State
from service.model.replica_sets import ReplicaSet
from tests.model.builders import exhaust, pod, replica_set


def index_of(*told: ReplicaSet) -> PodIndex:
    index = PodIndex()
    for each in told:
        index.put_set(each)
    return index


def uids(index: PodIndex, deployment: str = "uid-1", namespace: str = "space-a") -> list[str]:
    return [each.uid for each in index.of(namespace, deployment)]


# Whose they are


def test_pods_of_a_deployment_are_those_of_its_replica_sets_oldest_first() -> None:
    index = index_of(replica_set("rs-1"), replica_set("rs-2"), replica_set("rs-3", "uid-2"))
    for each in (
        pod("young", created_at=3),
        pod("b", created_at=1, replica_set="rs-2"),
        pod("a", created_at=1),
        pod("c", replica_set="rs-3"),
    ):
        index.put((each,), 1)
    assert uids(index) == ["a", "b", "young"]
    assert uids(index, "uid-2") == ["c"]
    assert uids(index, "uid-3") == []
    assert len(index) == 4


def test_a_pod_that_is_heard_of_first_is_its_deployments_as_soon_as_the_replica_set_is() -> None:
    index = PodIndex()
    index.put((pod("a"),), 10)
    assert uids(index) == []
    assert index.any_waiting
    assert index.waiting("space-a", "a") == pod("a")
    index.put_set(replica_set())
    assert (uids(index), index.version("uid-1")) == (["a"], 10)
    assert (index.any_waiting, index.waiting("space-a", "a")) == (False, None)


def test_pods_follow_their_replica_set_to_whoever_owns_it_now() -> None:
    index = index_of(replica_set(deployment="uid-1"))
    index.put((pod("a"),), 10)
    index.put_set(replica_set(deployment=None))
    assert (uids(index), len(index), index.waiting("space-a", "a")) == ([], 1, None)
    index.put_set(replica_set(deployment="uid-2"))
    assert (uids(index, "uid-1"), uids(index, "uid-2"), index.version("uid-2")) == ([], ["a"], 10)


def test_what_names_an_owner_in_another_namespace_is_not_believed() -> None:
    index = index_of(replica_set())
    index.put((pod("a", namespace="space-b"),), 1)
    index.put((pod("b", namespace="space-b", replica_set="rs-9"),), 1)
    assert uids(index) == []
    assert index.waiting("space-a", "b") is None
    assert index.waiting("space-b", "b") is not None


def test_a_pod_that_changes_its_owner_changes_sides() -> None:
    index = index_of(replica_set("rs-1"), replica_set("rs-2", "uid-2"))
    index.put((pod("a"),), 1)
    index.put((pod("a", replica_set="rs-2"),), 2)
    assert (uids(index), uids(index, "uid-2"), len(index)) == ([], ["a"], 1)


def test_a_replica_set_that_is_gone_leaves_its_pods_what_they_were_until_they_are_gone_too() -> None:
    index = index_of(replica_set())
    index.put((pod("a"),), 1)
    index.remove_set("rs-1")
    index.put((pod("a", deleting=True),), 2)
    assert uids(index) == ["a"]
    index.remove("a", 3)
    index.put((pod("b"),), 4)
    assert uids(index) == []


def test_all_replica_sets_but_some_are_gone_step_by_step() -> None:
    index = index_of(replica_set("rs-1"), replica_set("rs-2"), replica_set("rs-3"))
    index.put((pod("a"),), 1)
    exhaust(index.retain_sets({"rs-2"}))
    index.remove("a", 1)
    for name in ("1", "2", "3"):
        index.put((pod(f"new-{name}", replica_set=f"rs-{name}"),), 2)
    assert uids(index) == ["new-2"]


def test_what_neither_has_nor_wants_pods_is_not_kept() -> None:
    index = index_of(replica_set("rs-1", spent=True), replica_set("rs-2"))
    index.put((pod("a", replica_set="rs-2"),), 1)
    index.put_set(replica_set("rs-2", spent=True))
    assert uids(index) == ["a"]
    index.remove("a", 2)
    for each in ("rs-1", "rs-2"):
        index.put((pod(each, replica_set=each),), 3)
    assert uids(index) == []
    # A rollback tells of it again.
    index.put_set(replica_set("rs-1", revision=4))
    assert uids(index) == ["rs-1"]


# Which of them are the newest, and which container is the app


def test_outdated_are_those_of_an_older_revision_than_the_deployments() -> None:
    index = index_of(
        *(replica_set(f"rs-{n}", revision=n) for n in (1, 2, 3)), replica_set("other", "uid-2", revision=0)
    )
    assert index.outdated("uid-1", 3) == {"rs-1", "rs-2"}
    # Its own word may come later than that of its ReplicaSets.
    assert index.outdated("uid-1", 2) == {"rs-1"}
    assert index.outdated("uid-1", 0) == index.outdated("nobody", 3) == set()
    index.put_set(replica_set("rs-1", revision=4))
    assert index.outdated("uid-1", 4) == {"rs-2", "rs-3"}
    # A rollout back to one of them, which is not said of it yet.
    assert index.outdated("uid-1", 5) == set()


def test_the_app_container_is_the_one_that_the_replica_set_names_whichever_comes_first() -> None:
    candidates = pod(container="proxy", memory=1), pod(container="app", memory=2)
    early, late = PodIndex(), index_of(replica_set(container="app"))
    early.put(candidates, 1)
    assert early.app_container("rs-1") is None
    early.put_set(replica_set(container="app"))
    late.put(candidates, 1)
    for index in (early, late):
        assert [each.memory for each in index.of("space-a", "uid-1")] == [2]
        assert index.app_container("rs-1") == "app"


def test_where_it_names_none_of_them_the_likeliest_is_the_app() -> None:
    index = index_of(replica_set(container="renamed"))
    index.put((pod(container="proxy"), pod(container="app")), 1)
    assert [each.container for each in index.of("space-a", "uid-1")] == ["proxy"]


# Coming and going


def test_a_pod_put_again_is_its_new_state() -> None:
    index = index_of(replica_set())
    index.put((pod("a"),), 1)
    index.put((pod("a", state=State.CRASHED),), 2)
    assert [each.state for each in index.of("space-a", "uid-1")] == [State.CRASHED]
    assert (index.version("uid-1"), len(index)) == (2, 1)


def test_the_version_is_the_latest_heard_of_any() -> None:
    index = index_of(replica_set())
    index.put((pod("a"),), 10)
    index.put((pod("b"),), 20)
    assert index.version("uid-1") == 20
    index.remove("b", 50)
    assert index.version("uid-1") == 50
    index.put((pod("a"),), 10)
    assert index.version("uid-1") == 50
    assert index.version("uid-2") == 0


def test_versions_of_a_history_that_has_ended_are_forgotten() -> None:
    index = index_of(replica_set("rs-1"), replica_set("rs-2", "uid-2"), replica_set("rs-3", "uid-3"))
    for uid, owner, version in (("a", "rs-1", 900), ("b", "rs-2", 40), ("c", "rs-3", 901)):
        index.put((pod(uid, replica_set=owner),), version)
    index.forget_versions(50)
    assert [index.version(each) for each in ("uid-1", "uid-2", "uid-3")] == [50, 40, 50]
    index.put((pod("a", replica_set="rs-1"),), 60)
    assert index.version("uid-1") == 60
    # Nor do they come back with a ReplicaSet that changes its owner.
    index.put_set(replica_set("rs-3", "uid-4"))
    assert index.version("uid-4") == 50


def test_an_unknown_pod_is_removed_without_a_word() -> None:
    index = index_of(replica_set())
    index.put((pod("a"),), 10)
    index.remove("b", 50)
    index.remove("b", 51)
    index.remove_set("rs-9")
    assert index.version("uid-1") == 10


def test_all_but_some_are_forgotten_step_by_step() -> None:
    index = index_of(replica_set())
    for uid in "abcd":
        index.put((pod(uid),), 1)
    steps = index.retain({"b", "unknown"})
    next(steps)
    # What comes meanwhile is news: it stays, and what goes meanwhile is no trouble.
    index.put((pod("e"),), 2)
    index.remove("d", 2)
    exhaust(steps)
    assert uids(index) == ["b", "e"]


@dataclass
class Known:
    """What has been told, plainly kept."""

    pods: dict[str, Pod] = field(default_factory=dict)
    sets: dict[str, ReplicaSet] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    def forget(self) -> None:
        """A ReplicaSet that is spent or gone, and has no Pods."""
        having = {each.replica_set for each in self.pods.values()}
        for uid in [uid for uid, told in self.sets.items() if uid not in having and (told.spent or uid in self.gone)]:
            del self.sets[uid]

    def of(self, deployment: str) -> list[Pod]:
        owned = [each for each in self.pods.values() if each.replica_set in self.sets]
        found = [each for each in owned if self.sets[each.replica_set].deployment == deployment]
        return sorted(found, key=lambda each: (each.created_at, each.uid))

    def waiting(self) -> set[str]:
        return {uid for uid, each in self.pods.items() if each.replica_set not in self.sets}


sets = st.sampled_from(["rs-1", "rs-2", "rs-3"])
events = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from("abcd"), sets, st.integers(0, 3)),
        st.tuples(st.just("remove"), st.sampled_from("abcd")),
        st.tuples(st.just("retain"), st.sampled_from("abcd")),
        st.tuples(st.just("told"), sets, st.sampled_from(["one", "two", None]), st.booleans(), st.integers(0, 2)),
        st.tuples(st.just("set gone"), sets),
        st.tuples(st.just("sets retained"), sets),
    ),
    max_size=40,
)


def happen(index: PodIndex, known: Known, event: tuple[object, ...], version: int) -> None:
    match event:
        case "put", str(uid), str(owner), int(age):
            known.pods[uid] = pod(uid, replica_set=owner, created_at=age)
            index.put((known.pods[uid],), version)
        case "remove", str(uid):
            known.pods.pop(uid, None)
            index.remove(uid, version)
        case "retain", str(uid):
            known.pods = {each: it for each, it in known.pods.items() if each == uid}
            exhaust(index.retain({uid}))
        case "told", str(uid), owner, bool(spent), int(revision):
            assert owner is None or isinstance(owner, str)
            told = known.sets[uid] = replica_set(uid, owner, spent=spent, revision=revision)
            known.gone.discard(uid)
            index.put_set(told)
        case "set gone", str(uid):
            known.gone.add(uid)
            index.remove_set(uid)
        case _, str(uid):
            known.gone |= known.sets.keys() - {uid}
            exhaust(index.retain_sets({uid}))
    known.forget()


@given(events)
def test_the_index_is_what_was_told_and_not_taken_back(told: list[tuple[object, ...]]) -> None:
    index, known = PodIndex(), Known()
    for version, event in enumerate(told, start=1):
        happen(index, known, event, version)
        for deployment in ("one", "two"):
            assert index.of("space-a", deployment) == known.of(deployment)
            revisions = {uid: each.revision for uid, each in known.sets.items() if each.deployment == deployment}
            outdated = {uid for uid, revision in revisions.items() if revision < 2}
            assert index.outdated(deployment, 2) == (outdated if max(revisions.values(), default=0) >= 2 else set())
        assert {uid for uid in "abcd" if index.waiting("space-a", uid)} == known.waiting()
        assert index.any_waiting == bool(known.waiting())
        assert len(index) == len(known.pods)


@given(st.permutations(range(6)))
def test_the_order_in_which_all_is_told_does_not_matter(order: list[int]) -> None:
    index = PodIndex()
    for number in order:
        if number < 2:
            index.put_set(replica_set(f"rs-{number}", revision=number))
        else:
            index.put((pod(f"pod-{number}", created_at=number, replica_set=f"rs-{number % 2}"),), number)
    assert uids(index) == ["pod-2", "pod-3", "pod-4", "pod-5"]
    assert (index.version("uid-1"), index.outdated("uid-1", 1), index.any_waiting) == (5, {"rs-0"}, False)
