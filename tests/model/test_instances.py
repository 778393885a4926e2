"""Which Pod is which instance: a state machine of Pods coming and going, and the rules one by one."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from service.model.instances import SHOWN, Instance, Numbered, Numbering, Slots, assign, instances
from service.model.pods import Pod, State
from service.model.process import Key
from tests.model.builders import pod


def pods(*uids: str) -> list[Pod]:
    """Oldest first."""
    return [pod(uid, created_at=age) for age, uid in enumerate(uids)]


def going(uid: str) -> Pod:
    return pod(uid, state=State.DOWN, deleting=True)


OUTDATED = {"rs-old"}


def old(uid: str, **fields: Any) -> Pod:
    """One of a ReplicaSet that is not the newest."""
    return pod(uid, replica_set="rs-old", **fields)


def places(slots: Slots) -> dict[str, int]:
    return {uid: index for index, uid in enumerate(slots) if uid}


some_pods = st.lists(
    st.builds(
        pod,
        st.sampled_from("abcdefgh"),
        created_at=st.integers(0, 3),
        state=st.sampled_from([State.RUNNING, State.STARTING, State.CRASHED]),
        ready=st.booleans(),
        deleting=st.sampled_from([False, False, True]),
        replica_set=st.sampled_from(["rs-1", "rs-old"]),
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
    made = assign(slots, found, desired, OUTDATED)
    held = [uid for uid in made if uid]
    assert len(held) == len(set(held))
    assert set(held) <= {each.uid for each in found}
    assert not made or made[-1]


@given(some_slots, some_pods, desired_numbers)
def test_every_pod_that_is_not_going_away_has_a_place(slots: Slots, found: list[Pod], desired: int) -> None:
    held = places(assign(slots, found, desired, OUTDATED))
    assert all(each.uid in held for each in found if not each.deleting)


@given(some_slots, some_pods, desired_numbers)
def test_what_is_agreed_needs_no_second_agreement(slots: Slots, found: list[Pod], desired: int) -> None:
    made = assign(slots, found, desired, OUTDATED)
    assert assign(made, found, desired, OUTDATED) == made


@given(some_slots, some_pods, desired_numbers)
def test_a_live_pod_keeps_a_place_below_the_number_but_for_a_label_or_one_of_the_newest(
    slots: Slots, found: list[Pod], desired: int
) -> None:
    made = assign(slots, found, desired, OUTDATED)
    labelled = {each.index for each in found if not each.deleting} - {None}
    of_labelled = {made[index] for index in labelled if index is not None}
    live = {each.uid: each for each in found if not each.deleting}
    for uid, index in places(slots).items():
        if index < desired and uid in live and index not in labelled and uid not in of_labelled:
            there = live[made[index]]
            assert there.uid == uid or (live[uid].replica_set == "rs-old" and there.replica_set != "rs-old")


@given(some_slots, some_pods, desired_numbers)
def test_one_being_deleted_is_where_it_was_or_nowhere(slots: Slots, found: list[Pod], desired: int) -> None:
    before, made = places(slots), assign(slots, found, desired, OUTDATED)
    live_before = assign(slots, [each for each in found if not each.deleting], desired, OUTDATED)
    for each in found:
        if each.deleting and each.uid in made:
            assert before[each.uid] == made.index(each.uid)
    # What is going takes nothing from anybody: to the others it is as if it were gone.
    going_too = {each.uid for each in found if each.deleting}
    assert {u: n for u, n in places(made).items() if u not in going_too} == places(live_before)


@given(some_slots, some_pods, desired_numbers)
def test_one_that_is_elsewhere_is_where_it_was_or_nowhere_and_takes_nothing_from_anybody(
    slots: Slots, found: list[Pod], desired: int
) -> None:
    elsewhere = {*places(slots)} - {each.uid for each in found}
    made = assign(slots, found, desired, OUTDATED, elsewhere.__contains__)
    assert assign(made, found, desired, OUTDATED, elsewhere.__contains__) == made
    before, after = places(slots), places(made)
    assert all(after[uid] == before[uid] for uid in elsewhere & after.keys())
    without = places(assign(slots, found, desired, OUTDATED))
    assert {uid: index for uid, index in after.items() if uid not in elsewhere} == without


@given(some_slots, some_pods, desired_numbers)
def test_nobody_waits_beyond_the_number_while_a_place_below_is_free(
    slots: Slots, found: list[Pod], desired: int
) -> None:
    made = assign(slots, found, desired, OUTDATED)
    by_uid = {each.uid: each for each in found}
    open_to_all = [index for index in range(min(desired, len(made))) if not made[index] or by_uid[made[index]].deleting]
    for index, uid in enumerate(made):
        if uid and index >= desired and by_uid[uid].index is None:
            assert not open_to_all or by_uid[uid].deleting


@given(some_slots, some_pods, desired_numbers)
def test_none_of_the_newest_waits_beyond_the_number_while_an_outdated_one_is_below(
    slots: Slots, found: list[Pod], desired: int
) -> None:
    made = assign(slots, found, desired, OUTDATED)
    by_uid = {each.uid: each for each in found if not each.deleting and each.index is None}
    kinds = [by_uid[uid].replica_set if uid in by_uid else "" for uid in made]
    assert "rs-1" not in kinds[desired:] or "rs-old" not in kinds[:desired]


@given(some_slots, some_pods, desired_numbers)
def test_a_label_is_the_index(slots: Slots, found: list[Pod], desired: int) -> None:
    made = assign(slots, found, desired, OUTDATED)
    live = [each for each in found if not each.deleting]
    for index in {each.index for each in live if each.index is not None}:
        assert made[index] in {each.uid for each in live if each.index == index}


@given(some_pods, desired_numbers)
def test_the_oldest_takes_the_lowest(found: list[Pod], desired: int) -> None:
    unlabelled = [each for each in found if each.index is None and not each.deleting]
    made = places(assign((), unlabelled, desired))
    assert [made[each.uid] for each in unlabelled] == list(range(len(unlabelled)))


@given(some_pods)
def test_the_newest_come_first_and_then_the_readiest_and_oldest(found: list[Pod]) -> None:
    unlabelled = [each for each in found if each.index is None and not each.deleting]
    made = [uid for uid in assign((), unlabelled, len(unlabelled), OUTDATED) if uid]
    by_uid = {each.uid: each for each in unlabelled}
    kinds = [(by_uid[uid].replica_set == "rs-old", by_uid[uid]) for uid in made]
    ranks = [(is_old, is_old and not each.ready) for is_old, each in kinds]
    assert ranks == sorted(ranks)


@given(some_slots, some_pods, desired_numbers)
def test_rows_are_one_an_index_and_show_whoever_is_there(slots: Slots, found: list[Pod], desired: int) -> None:
    made = assign(slots, found, desired, OUTDATED)
    rows = instances(made, found, desired)
    assert [row.index for row in rows] == list(range(min(desired, max(SHOWN, len(made)))))
    assert [row.pod.uid if row.pod else "" for row in rows[: len(made)]] == list(made[: len(rows)])
    assert all(row.pod is None for row in rows[len(made) :])


def test_pods_that_come_back_are_where_they_were_unless_others_have_come_meanwhile() -> None:
    away = {"a", "b"}
    assert assign(("a", "b"), [], 2, lives=away.__contains__) == ("a", "b")
    assert assign(("a", "b"), pods("c"), 2, lives=away.__contains__) == ("c", "b")
    assert assign(("a", "b"), pods("c", "d"), 2, lives=away.__contains__) == ("c", "d")
    assert assign(("a", "b"), pods("b", "a"), 2) == ("a", "b")


# Over time


class Lives(RuleBasedStateMachine):
    """One Deployment's Pods, and two replicas that look at it whenever they like, agreeing on one set of slots."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[str, Pod] = {}
        self.slots: Slots = ()
        self.desired = 3
        self.made = 0
        self.revision = 1

    def seen(self) -> list[Pod]:
        return sorted(self.alive.values(), key=lambda each: (each.created_at, each.uid))

    def outdated(self) -> set[str]:
        return {each.replica_set for each in self.alive.values()} - {f"rs-{self.revision}"}

    def assigned(self, slots: Slots) -> Slots:
        return assign(slots, self.seen(), self.desired, self.outdated())

    @precondition(lambda self: len(self.alive) < 10)
    @rule(same_second=st.booleans(), back=st.integers(0, 1), ready=st.booleans())
    def a_pod_is_made(self, same_second: bool, back: int, ready: bool) -> None:
        self.made += 1
        # Names of Pods of one second are in no order.
        uid = f"{self.made * 7 % 10}-{self.made}"
        made_at = self.made // (3 if same_second else 1)
        replica_set = f"rs-{max(1, self.revision - back)}"
        self.alive[uid] = pod(uid, created_at=made_at, replica_set=replica_set, ready=ready)

    @precondition(lambda self: self.alive)
    @rule(which=st.integers(0, 9), ready=st.booleans())
    def a_pod_becomes_ready_or_not(self, which: int, ready: bool) -> None:
        uid = list(self.alive)[which % len(self.alive)]
        self.alive[uid] = replace(self.alive[uid], ready=ready)

    @precondition(lambda self: self.alive)
    @rule(which=st.integers(0, 9))
    def a_pod_begins_to_stop(self, which: int) -> None:
        uid = list(self.alive)[which % len(self.alive)]
        self.alive[uid] = replace(self.alive[uid], deleting=True, state=State.DOWN)

    @precondition(lambda self: self.alive)
    @rule(which=st.integers(0, 9))
    def a_pod_is_gone(self, which: int) -> None:
        del self.alive[list(self.alive)[which % len(self.alive)]]

    @rule(desired=st.integers(0, 6))
    def it_is_scaled(self, desired: int) -> None:
        self.desired = desired

    @rule()
    def it_is_rolled_out(self) -> None:
        self.revision += 1

    @rule()
    def somebody_looks(self) -> None:
        before, outdated = self.slots, self.outdated()
        self.slots = self.assigned(before)
        kept, made = places(before), places(self.slots)
        newest = [uid for uid, each in self.alive.items() if each.replica_set not in outdated and not each.deleting]
        for uid in made.keys() & kept.keys():
            each = self.alive[uid]
            moved_down = kept[uid] >= self.desired > made[uid]
            gave_way = each.replica_set in outdated and made[uid] >= self.desired > kept[uid]
            assert made[uid] == kept[uid] or (not each.deleting and (moved_down or gave_way))
            if gave_way:
                assert self.slots[kept[uid]] in newest
        # Among those that have just come, age is the order; but one beyond the number may have moved down since.
        below = [made[each.uid] for each in self.seen() if each.uid in newest and each.uid not in kept]
        below = [index for index in below if index < self.desired]
        if not outdated:
            assert below == sorted(below)

    @invariant()
    def one_more_look_changes_nothing(self) -> None:
        made = self.assigned(self.slots)
        assert self.assigned(made) == made

    @invariant()
    def with_as_many_live_pods_as_are_wanted_only_live_ones_show(self) -> None:
        live = [each for each in self.alive.values() if not each.deleting]
        shown = [row.pod for row in instances(self.assigned(self.slots), self.seen(), self.desired)]
        if len(live) >= self.desired:
            assert all(each is not None and not each.deleting for each in shown)

    @invariant()
    def with_as_many_of_the_newest_as_are_wanted_only_those_show(self) -> None:
        outdated = self.outdated()
        newest = [each for each in self.alive.values() if each.replica_set not in outdated and not each.deleting]
        shown = [row.pod for row in instances(self.assigned(self.slots), self.seen(), self.desired)]
        if len(newest) >= self.desired:
            assert all(each in newest for each in shown)


TestLives = Lives.TestCase


# One by one


def test_a_rolling_update_takes_the_indices_of_the_old_one_by_one() -> None:
    slots = assign((), pods("old0", "old1"), 2)
    old0, old1 = old("old0", created_at=0), old("old1", created_at=1)
    new0, new1 = pod("new0", created_at=2, ready=False), pod("new1", created_at=3, ready=False)
    for found, expected in (
        ([old0, old1], ("old0", "old1")),
        # One more than there are instances of: of the old, the youngest gives way.
        ([old0, old1, new0], ("old0", "new0", "old1")),
        ([old0, replace(old1, deleting=True), new0], ("old0", "new0", "old1")),
        ([old0, replace(old1, deleting=True), new0, new1], ("new1", "new0", "old0")),
        ([replace(old0, deleting=True), replace(old1, deleting=True), new0, new1], ("new1", "new0", "old0")),
        ([new0, new1], ("new1", "new0")),
    ):
        slots = assign(slots, found, 2, OUTDATED)
        assert slots == expected


def test_of_the_old_those_that_are_not_ready_give_way_first() -> None:
    old0, old1 = old("old0", created_at=0, ready=False), old("old1", created_at=1)
    assert assign(("old0", "old1"), [old0, old1, pod("new")], 2, OUTDATED) == ("new", "old1", "old0")
    # But not to one another: whoever has an index keeps it.
    assert assign(("old0",), [old0, old1], 1, OUTDATED) == ("old0", "old1")
    assert assign((), [old0, old1], 1, OUTDATED) == ("old1", "old0")


def test_a_rollout_that_is_stuck_shows_what_it_is_stuck_with() -> None:
    running = [old(f"old{n}", created_at=n) for n in range(3)]
    stuck = pod("new", created_at=9, state=State.CRASHED, ready=False)
    slots = assign(("old0", "old1", "old2"), [*running, stuck], 3, OUTDATED)
    assert slots == ("old0", "old1", "new", "old2")
    # Nothing is forgotten when it is taken back.
    assert assign(slots, running, 3) == ("old0", "old1", "old2")


def test_however_long_the_old_take_to_go_the_rows_are_the_new_ones() -> None:
    lingering = [old(uid, deleting=True, state=State.DOWN) for uid in ("old0", "old1")]
    slots = assign(("old0", "old1"), [*lingering, *pods("new0", "new1")], 2, OUTDATED)
    assert slots == ("new0", "new1")


def test_scaled_down_the_one_that_stays_is_shown_and_not_the_one_that_goes() -> None:
    for goes, stays in (("a", "b"), ("b", "a")):
        slots = assign(("a", "b"), sorted([going(goes), pod(stays)], key=lambda each: each.uid), 1)
        assert slots[0] == stays


def test_scaled_down_the_survivors_move_below_the_number() -> None:
    slots = assign((), pods("a", "b", "c", "d"), 4)
    a, b, c, d = pods("a", "b", "c", "d")
    slots = assign(slots, [a, b, c, d], 2)
    assert slots == ("a", "b", "c", "d")
    slots = assign(slots, [going("a"), b, going("c"), d], 2)
    assert slots == ("d", "b", "c")
    assert assign(slots, [b, d], 2) == ("d", "b")


def test_scaled_up_those_beyond_the_number_are_where_they_are() -> None:
    slots = assign(("a", "", "c"), pods("a", "c"), 1)
    assert slots == ("a", "", "c")
    assert assign(slots, pods("a", "c", "e"), 3) == ("a", "e", "c")


def test_one_that_is_replaced_leaves_its_index_to_the_next() -> None:
    slots = assign((), pods("a", "b", "c"), 3)
    assert assign(slots, pods("a", "c"), 3) == ("a", "", "c")
    assert assign(slots, pods("a", "c", "e"), 3) == ("a", "e", "c")


def test_one_being_deleted_is_shown_until_a_live_one_needs_its_index() -> None:
    assert assign(("a",), [going("a")], 1) == ("a",)
    assert assign(("a",), [going("a"), *pods("b")], 1) == ("b",)
    # The lowest that no live one has, whether one being deleted is there or nobody.
    assert assign(("a", "b", ""), [going("a"), *pods("b", "c")], 3) == ("c", "b")
    assert assign(("", "", "a"), [going("a")], 1) == ("", "", "a")


def test_one_being_deleted_takes_no_index_and_none_back() -> None:
    assert assign((), [going("a"), *pods("b")], 1) == ("b",)
    assert assign((), [going("a")], 1) == ()
    assert assign((), [pod("a", deleting=True, index=0)], 1) == ()
    slots = assign(("a",), [going("a"), *pods("b")], 1)
    assert assign(slots, [going("a")], 1) == ()


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


def test_what_is_agreed_is_of_a_namespace_an_app_and_a_type() -> None:
    made = numbering([("n", "a", "web")])
    assert made.of(("n", "a", "web")) == Numbered(("uid",), 1)
    assert made.of(("n", "a", "worker")) == made.of(("n", "b", "web")) == made.of(("m", "a", "web")) == Numbered((), 0)


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
