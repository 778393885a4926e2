"""Which Pod is which instance: a state machine of Pods coming and going, and the rules one by one."""

from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from service.model.instances import SHOWN, Instance, Numbered, Numbering, Slots, assign, instances
from service.model.pods import Pod, State
from service.model.process import Key
from tests.model.builders import pod


def pods(*uids: str) -> list[Pod]:
    """Oldest first."""
    return [pod(uid, created_at=age) for age, uid in enumerate(uids)]


def stopping(uid: str) -> Pod:
    return pod(uid, state=State.STOPPING)


def places(slots: Slots) -> dict[str, int]:
    return {uid: index for index, uid in enumerate(slots) if uid}


some_pods = st.lists(
    st.builds(
        pod,
        st.sampled_from("abcdefgh"),
        created_at=st.integers(0, 3),
        state=st.sampled_from(State),
        index=st.sampled_from([None, None, None, 0, 1, 5, 5]),
    ),
    unique_by=lambda each: each.uid,
    max_size=8,
).map(lambda found: sorted(found, key=lambda each: (each.created_at, each.uid)))
some_slots = st.lists(st.sampled_from("abcdefghxyz"), unique=True, max_size=9).flatmap(
    lambda uids: st.tuples(*(st.sampled_from([uid, ""]) for uid in uids))
)
desired_numbers = st.integers(0, 9) | st.just(2**31 - 1)


# Whatever the slots and the Pods


@given(some_slots, some_pods, desired_numbers)
def test_no_pod_has_two_places_and_none_is_of_a_pod_that_is_gone(slots: Slots, found: list[Pod], desired: int) -> None:
    made = assign(slots, found, desired)
    held = [uid for uid in made if uid]
    assert len(held) == len(set(held))
    assert set(held) <= {each.uid for each in found}
    assert not made or made[-1]


@given(some_slots, some_pods, desired_numbers)
def test_every_pod_that_is_not_going_away_has_a_place(slots: Slots, found: list[Pod], desired: int) -> None:
    held = places(assign(slots, found, desired))
    assert all(each.uid in held for each in found if each.state is not State.STOPPING)


@given(some_slots, some_pods, desired_numbers)
def test_what_is_agreed_needs_no_second_agreement(slots: Slots, found: list[Pod], desired: int) -> None:
    made = assign(slots, found, desired)
    assert assign(made, found, desired) == made


@given(some_slots, some_pods, desired_numbers)
def test_a_place_below_the_number_is_kept_but_for_a_pod_labelled_with_it(
    slots: Slots, found: list[Pod], desired: int
) -> None:
    made = assign(slots, found, desired)
    labelled = {each.index for each in found} - {None}
    of_labelled = {made[index] for index in labelled if index is not None}
    there = {each.uid for each in found}
    for uid, index in places(slots).items():
        if index < desired and uid in there and index not in labelled and uid not in of_labelled:
            assert made[index] == uid


@given(some_slots, some_pods, desired_numbers)
def test_nobody_waits_beyond_the_number_while_a_place_below_is_free(
    slots: Slots, found: list[Pod], desired: int
) -> None:
    made = assign(slots, found, desired)
    by_uid = {each.uid: each for each in found}
    free = [index for index in range(min(desired, len(made))) if not made[index]]
    for index, uid in enumerate(made):
        if uid and index >= desired and by_uid[uid].index is None:
            assert not free or by_uid[uid].state is State.STOPPING


@given(some_slots, some_pods, desired_numbers)
def test_a_label_is_the_index(slots: Slots, found: list[Pod], desired: int) -> None:
    made = assign(slots, found, desired)
    for index in {each.index for each in found if each.index is not None}:
        assert made[index] in {each.uid for each in found if each.index == index}


@given(some_pods, desired_numbers)
def test_the_oldest_takes_the_lowest(found: list[Pod], desired: int) -> None:
    unlabelled = [each for each in found if each.index is None and each.state is not State.STOPPING]
    made = places(assign((), unlabelled, desired))
    assert [made[each.uid] for each in unlabelled] == list(range(len(unlabelled)))


@given(some_slots, some_pods, desired_numbers)
def test_rows_are_one_an_index_and_show_whoever_is_there(slots: Slots, found: list[Pod], desired: int) -> None:
    made = assign(slots, found, desired)
    rows = instances(made, found, desired)
    assert [row.index for row in rows] == list(range(min(desired, max(SHOWN, len(made)))))
    assert [row.pod.uid if row.pod else "" for row in rows[: len(made)]] == list(made[: len(rows)])
    assert all(row.pod is None for row in rows[len(made) :])


# Over time


class Lives(RuleBasedStateMachine):
    """One Deployment's Pods, and two replicas that look at it whenever they like, agreeing on one set of slots."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[str, Pod] = {}
        self.slots: Slots = ()
        self.desired = 3
        self.made = 0

    def seen(self) -> list[Pod]:
        return sorted(self.alive.values(), key=lambda each: (each.created_at, each.uid))

    @precondition(lambda self: len(self.alive) < 10)
    @rule(same_second=st.booleans())
    def a_pod_is_made(self, same_second: bool) -> None:
        self.made += 1
        # Names of Pods of one second are in no order.
        uid = f"{self.made * 7 % 10}-{self.made}"
        self.alive[uid] = pod(uid, created_at=self.made // (3 if same_second else 1))

    @precondition(lambda self: self.alive)
    @rule(which=st.integers(0, 9))
    def a_pod_begins_to_stop(self, which: int) -> None:
        uid = list(self.alive)[which % len(self.alive)]
        self.alive[uid] = pod(uid, created_at=self.alive[uid].created_at, state=State.STOPPING)

    @precondition(lambda self: self.alive)
    @rule(which=st.integers(0, 9))
    def a_pod_is_gone(self, which: int) -> None:
        del self.alive[list(self.alive)[which % len(self.alive)]]

    @rule(desired=st.integers(0, 6))
    def it_is_scaled(self, desired: int) -> None:
        self.desired = desired

    @rule()
    def somebody_looks(self) -> None:
        before, found = self.slots, self.seen()
        self.slots = assign(before, found, self.desired)
        kept, made = places(before), places(self.slots)
        arrived = [each.uid for each in found if each.uid not in kept and each.state is not State.STOPPING]
        for uid in made.keys() & kept.keys():
            moved_down = kept[uid] >= self.desired > made[uid]
            assert made[uid] == kept[uid] or moved_down
            assert self.alive[uid].state is not State.STOPPING or made[uid] == kept[uid]
        # Among those that have just come, age is the order; but one beyond the number may have moved down since.
        below = [made[uid] for uid in arrived if made[uid] < self.desired]
        assert below == sorted(below)

    @invariant()
    def one_more_look_changes_nothing(self) -> None:
        made = assign(self.slots, self.seen(), self.desired)
        assert assign(made, self.seen(), self.desired) == made

    @invariant()
    def with_as_many_pods_as_are_wanted_all_of_them_show(self) -> None:
        found = self.seen()
        made = assign(self.slots, found, self.desired)
        if all(each.state is not State.STOPPING for each in found) and len(found) >= self.desired:
            assert all(row.pod is not None for row in instances(made, found, self.desired))


TestLives = Lives.TestCase


# One by one


def test_a_rolling_update_ends_with_the_indices_it_began_with() -> None:
    slots = assign((), pods("old0", "old1"), 2)
    old0, old1, new0, new1 = pods("old0", "old1", "new0", "new1")
    for found, expected in (
        ([old0, old1], ("old0", "old1")),
        ([old0, old1, new0], ("old0", "old1", "new0")),
        ([stopping("old0"), old1, new0], ("old0", "old1", "new0")),
        ([stopping("old0"), old1, new0, new1], ("old0", "old1", "new0", "new1")),
        ([old1, new0, new1], ("new0", "old1", "", "new1")),
        ([stopping("old1"), new0, new1], ("new0", "old1", "", "new1")),
        ([new0, new1], ("new0", "new1")),
    ):
        slots = assign(slots, found, 2)
        assert slots == expected


def test_scaled_down_the_survivors_move_below_the_number() -> None:
    slots = assign((), pods("a", "b", "c", "d"), 4)
    a, b, c, d = pods("a", "b", "c", "d")
    slots = assign(slots, [a, b, c, d], 2)
    assert slots == ("a", "b", "c", "d")
    slots = assign(slots, [stopping("a"), b, stopping("c"), d], 2)
    assert slots == ("a", "b", "c", "d")
    assert assign(slots, [b, d], 2) == ("d", "b")


def test_scaled_up_those_beyond_the_number_are_where_they_are() -> None:
    slots = assign(("a", "", "c"), pods("a", "c"), 1)
    assert slots == ("a", "", "c")
    assert assign(slots, pods("a", "c", "e"), 3) == ("a", "e", "c")


def test_one_that_is_replaced_leaves_its_index_to_the_next() -> None:
    slots = assign((), pods("a", "b", "c"), 3)
    assert assign(slots, pods("a", "c"), 3) == ("a", "", "c")
    assert assign(slots, pods("a", "c", "e"), 3) == ("a", "e", "c")


def test_one_going_away_keeps_its_place_and_takes_none() -> None:
    assert assign(("a",), [stopping("a"), *pods("b")], 1) == ("a", "b")
    assert assign((), [stopping("a"), *pods("b")], 1) == ("b",)
    assert assign(("", "", "a"), [stopping("a")], 1) == ("", "", "a")


def test_of_two_labelled_alike_one_is_placed_elsewhere() -> None:
    found = [pod("a", index=1), pod("b", index=1)]
    assert places(assign((), found, 2)) == {"b": 1, "a": 0}
    assert places(assign(("x", "a"), found, 2)) == {"b": 1, "a": 0}


def test_a_label_takes_the_place_of_whoever_has_it() -> None:
    assert assign(("a", "b"), [*pods("a", "b"), pod("c", index=0)], 3) == ("c", "b", "a")
    assert assign((), [pod("a", index=4)], 2) == ("", "", "", "", "a")


def test_a_huge_number_makes_no_more_rows_than_are_shown() -> None:
    rows = instances(("a",), pods("a"), 2**31 - 1)
    assert len(rows) == SHOWN
    assert rows[0] == Instance(0, pods("a")[0])
    assert {row.pod for row in rows[1:]} == {None}
    many = pods(*(f"{number:05}" for number in range(SHOWN + 3)))
    assert len(instances(assign((), many, 2**31 - 1), many, 2**31 - 1)) == SHOWN + 3


def test_none_wanted_is_none_shown() -> None:
    assert instances(assign((), pods("a"), 0), pods("a"), 0) == ()


@given(st.permutations(range(6)), st.integers(0, 6))
@example([5, 4, 3, 2, 1, 0], 3)
def test_the_order_in_which_pods_go_does_not_matter_to_who_stays(order: list[int], count: int) -> None:
    found = pods(*"abcdef")
    slots = assign((), found, 6)
    going = {found[number].uid for number in order[:count]}
    one_by_one, left = slots, found
    for number in order[:count]:
        left = [each for each in left if each.uid != found[number].uid]
        one_by_one = assign(one_by_one, left, 6)
    at_once = assign(slots, [each for each in found if each.uid not in going], 6)
    assert places(one_by_one) == places(at_once) == {u: n for u, n in places(slots).items() if u not in going}


# What has been agreed


def numbering(known: Iterable[Key]) -> Numbering:
    made = Numbering()
    for key in known:
        made.put(key, Numbered(("uid",), 1))
    return made


def test_what_is_agreed_is_of_a_namespace_app_and_type() -> None:
    made = numbering([("n", "a", "web")])
    assert made.of(("n", "a", "web")) == Numbered(("uid",), 1)
    assert (
        made.of(("n", "a", "worker")) == made.of(("n", "b", "web")) == made.of(("other", "a", "web")) == Numbered((), 0)
    )


@pytest.mark.parametrize("nothing", [Numbered(), Numbered((), 0)])
def test_nothing_agreed_is_as_never_agreed(nothing: Numbered) -> None:
    made = numbering([("n", "a", "web")])
    made.put(("n", "a", "web"), nothing)
    made.put(("n", "b", "web"), nothing)
    assert made.of(("n", "a", "web")) == Numbered()


def test_all_but_some_are_forgotten() -> None:
    made = numbering([("n", "a", "web"), ("n", "b", "web"), ("n", "c", "web")])
    made.retain({("n", "b", "web"), ("n", "d", "web")})
    assert [made.of(("n", app, "web")).slots for app in "abcd"] == [(), ("uid",), (), ()]


def test_no_more_rows_than_asked_for_but_where_something_runs() -> None:
    assert len(instances((), [], 2**31 - 1, 100)) == 100
    assert len(instances(("",) * 150 + ("uid",), [], 2**31 - 1, 100)) == 151
