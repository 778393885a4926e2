"""The index of Pods, by the Deployment that made them."""

from hypothesis import given
from hypothesis import strategies as st

from service.model.pods import Pod, PodIndex, State
from tests.model.builders import exhaust, pod


def test_pods_of_a_deployment_are_its_own_oldest_first() -> None:
    index = PodIndex()
    for each in (
        pod("young", created_at=3),
        pod("b", created_at=1),
        pod("a", created_at=1),
        pod("c", deployment="other"),
        pod("d", namespace="space-b"),
    ):
        index.put(each, 1)
    assert [each.uid for each in index.of("space-a", "app-web")] == ["a", "b", "young"]
    assert [each.uid for each in index.of("space-b", "app-web")] == ["d"]
    assert index.of("space-b", "other") == []
    assert len(index) == 5


def test_a_pod_put_again_is_its_new_state_and_moves_where_it_belongs() -> None:
    index = PodIndex()
    index.put(pod("a"), 1)
    index.put(pod("a", state=State.CRASHED), 2)
    assert [each.state for each in index.of("space-a", "app-web")] == [State.CRASHED]
    index.put(pod("a", deployment="other"), 3)
    assert index.of("space-a", "app-web") == []
    assert [each.uid for each in index.of("space-a", "other")] == ["a"]
    assert (index.version("space-a", "app-web"), index.version("space-a", "other"), len(index)) == (0, 3, 1)


def test_the_version_is_the_latest_heard_of_any() -> None:
    index = PodIndex()
    index.put(pod("a"), 10)
    index.put(pod("b"), 20)
    assert index.version("space-a", "app-web") == 20
    index.remove("b", 50)
    assert index.version("space-a", "app-web") == 50
    index.put(pod("a"), 10)
    assert index.version("space-a", "app-web") == 50
    index.remove("a", 60)
    assert (index.version("space-a", "app-web"), len(index)) == (0, 0)


def test_an_unknown_pod_is_removed_without_a_word() -> None:
    index = PodIndex()
    index.put(pod("a"), 10)
    index.remove("b", 50)
    index.remove("b", 51)
    assert index.version("space-a", "app-web") == 10


def test_all_but_some_are_forgotten_step_by_step() -> None:
    index = PodIndex()
    for uid in "abcd":
        index.put(pod(uid, deployment=uid), 1)
    steps = index.retain({"b", "unknown"})
    next(steps)
    # What comes meanwhile is news: it stays, and what goes meanwhile is no trouble.
    index.put(pod("e", deployment="e"), 2)
    index.remove("d", 2)
    exhaust(steps)
    assert [uid for uid in "abcde" if index.of("space-a", uid)] == ["b", "e"]


pod_events = st.lists(
    st.tuples(
        st.sampled_from(["put", "remove", "retain"]),
        st.sampled_from("abcd"),
        st.sampled_from(["one", "two"]),
        st.integers(0, 3),
    ),
    max_size=40,
)


@given(pod_events)
def test_the_index_is_what_was_put_and_not_taken_back(events: list[tuple[str, str, str, int]]) -> None:
    index, known, latest = PodIndex(), dict[str, Pod](), dict[str, int]()
    for version, (event, uid, deployment, age) in enumerate(events, start=1):
        before = known.get(uid)
        if event == "put":
            known[uid] = pod(uid, deployment=deployment, created_at=age)
            index.put(known[uid], version)
            latest[deployment] = version
        elif event == "remove":
            known.pop(uid, None)
            index.remove(uid, version)
            if before is not None:
                latest[before.deployment] = version
        else:
            known = {uid: before} if before is not None else {}
            exhaust(index.retain({uid}))
        for name in ("one", "two"):
            own = sorted((p for p in known.values() if p.deployment == name), key=lambda p: (p.created_at, p.uid))
            assert index.of("space-a", name) == own
            if own:
                assert index.version("space-a", name) == latest[name]
            else:
                latest.pop(name, None)
                assert index.version("space-a", name) == 0
        assert len(index) == len(known)
