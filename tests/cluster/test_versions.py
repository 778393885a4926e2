"""How far a watch has come, what reads wait for, and what answers have shown in its place."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.cluster.versions import Versions, version_number

SOON, LATE = 0.02, 30.0


def reached(version: int) -> Versions[str]:
    made: Versions[str] = Versions()
    made.advance(version)
    return made


@pytest.mark.parametrize(
    ("text", "number"),
    [("42", 42), ("0", 0), ("9" * 30, int("9" * 30)), ("", 0), ("-1", 0), ("+1", 0), ("1.0", 0), ("abc", 0), ("٣", 0)],
)
def test_a_version_is_a_number_or_none(text: str, number: int) -> None:
    assert version_number(text) == number


# Expecting


def test_what_the_watch_has_told_is_not_expected() -> None:
    versions = reached(10)
    assert not versions.expect("a", 9)
    assert not versions.expect("a", 10)
    assert not versions.expect("a", 0)
    assert dict(versions.expected) == {}


def test_what_is_expected_is_so_until_the_watch_has_told_it() -> None:
    versions = reached(10)
    assert versions.expect("a", 20)
    assert versions.expect("b", 30)
    versions.advance(19)
    assert dict(versions.expected) == {"a": 20, "b": 30}
    versions.advance(20)
    assert dict(versions.expected) == {"b": 30}
    versions.advance(31)
    assert dict(versions.expected) == {}
    assert versions.reached == 31


def test_the_latest_is_expected_in_whatever_order_it_is_heard_of() -> None:
    versions = reached(10)
    versions.expect("a", 30)
    assert versions.expect("a", 20)
    versions.advance(25)
    assert dict(versions.expected) == {"a": 30}


def test_an_older_version_changes_nothing() -> None:
    versions = reached(10)
    versions.expect("a", 20)
    versions.advance(5)
    versions.advance(10, listed=True)
    assert versions.reached == 10
    assert dict(versions.expected) == {"a": 20}


# Answers


def test_an_answer_ahead_of_the_watch_is_news_and_events_up_to_it_are_not() -> None:
    versions = reached(10)
    assert versions.accept_answer("uid", 20)
    assert not versions.accept_event("uid", 19)
    assert not versions.accept_event("uid", 20)
    assert versions.accept_event("other", 11)
    versions.advance(19)
    assert not versions.accept_event("uid", 15)
    versions.advance(20)
    assert versions.accept_event("uid", 15)


def test_an_answer_behind_the_watch_or_another_answer_is_no_news() -> None:
    versions = reached(10)
    assert not versions.accept_answer("uid", 10)
    assert not versions.accept_answer("uid", 0)
    assert versions.accept_answer("uid", 20)
    assert not versions.accept_answer("uid", 19)
    assert versions.accept_answer("uid", 20)
    assert versions.accept_answer("uid", 21)
    assert not versions.accept_event("uid", 20)


def test_an_answer_older_than_what_a_list_has_told_is_no_news() -> None:
    versions = reached(10)
    assert versions.accept_event("uid", 30)
    assert not versions.accept_answer("uid", 29)
    assert versions.accept_answer("uid", 40)
    assert versions.accept_answer("other", 20)
    versions.advance(50, listed=True)
    assert not versions.accept_answer("uid", 50)


def test_a_list_that_begins_anew_tells_all_again() -> None:
    versions = reached(10)
    assert versions.accept_event("uid", 30)
    # The next may be of another history, and tell less.
    assert versions.accept_event("uid", 30)
    assert versions.accept_event("uid", 9)
    versions.advance(9, listed=True)
    assert versions.accept_answer("uid", 10)


def test_the_first_list_is_not_remembered_object_by_object() -> None:
    versions: Versions[str] = Versions()
    assert versions.accept_event("uid", 30)
    assert versions.accept_answer("uid", 20)


def test_what_an_answer_has_shown_is_not_expected_again() -> None:
    versions = reached(10)
    versions.expect("a", 20)
    versions.satisfy("a", 20)
    assert dict(versions.expected) == {}
    assert not versions.expect("a", 20)
    assert not versions.expect("a", 15)
    assert versions.expect("a", 21)
    assert versions.expect("b", 20)


def test_an_answer_does_not_settle_what_was_written_after_it_was_asked_for() -> None:
    versions = reached(10)
    versions.expect("a", 20)
    asked = versions.expected["a"]
    versions.expect("a", 25)
    versions.satisfy("a", asked)
    assert dict(versions.expected) == {"a": 25}
    versions.satisfy("a", 25)
    versions.satisfy("a", 20)
    assert not versions.expect("a", 25)


def test_settling_what_nobody_wants_is_no_trouble() -> None:
    versions = reached(10)
    versions.satisfy("a", 0)
    versions.satisfy("a", 99)
    assert versions.expect("a", 20)


# Another history


def test_a_list_from_an_earlier_version_begins_another_history() -> None:
    versions = reached(100)
    versions.accept_answer("uid", 200)
    versions.expect("a", 300)
    versions.expect("b", 400)
    versions.satisfy("b", 400)
    versions.advance(50, listed=True)
    assert versions.reached == 50
    # Whoever wrote it may have written since.
    assert dict(versions.expected) == {"a": 300}
    assert versions.accept_answer("uid", 51)
    assert versions.accept_event("uid", 52)
    assert versions.expect("b", 60)
    # The row says so, once it is known that the cluster has not come that far.
    versions.expect_only("a", 60)
    assert dict(versions.expected) == {"a": 60, "b": 60}
    versions.advance(60)
    assert dict(versions.expected) == {}


def test_another_history_is_one_though_its_versions_are_later() -> None:
    versions = reached(100)
    versions.accept_answer("uid", 200)
    versions.forget()
    # Its list may show what the answer did not, at an earlier version.
    assert versions.accept_event("uid", 150)
    assert versions.advance(160, listed=True)
    assert not versions.advance(170, listed=True)


# Waiting


async def test_nothing_to_wait_for_is_not_waited_for() -> None:
    versions = reached(10)
    versions.expect("other", 99)
    assert await asyncio.wait_for(versions.wait({"a": 5, "b": 5}, LATE), 1) == []
    assert await asyncio.wait_for(versions.wait({}, LATE), 1) == []


async def test_those_that_have_not_come_in_time_are_named() -> None:
    versions = reached(10)
    versions.expect("a", 20)
    versions.expect("b", 30)
    asyncio.get_running_loop().call_later(SOON / 2, versions.advance, 20)
    assert await versions.wait({"a": 20, "b": 30}, SOON * 2) == ["b"]


async def test_waiting_ends_when_the_last_has_come_by_whichever_way() -> None:
    versions = reached(10)
    for number, key in enumerate("abc", start=1):
        versions.expect(key, 10 + number)
    each = {"a": 11, "b": 12, "c": 13}
    waiting = [
        asyncio.create_task(versions.wait({key: each[key] for key in keys}, LATE)) for keys in ("a", "ab", "abc")
    ]
    await asyncio.sleep(0)
    versions.advance(11)
    assert await asyncio.wait_for(waiting[0], 1) == []
    assert not waiting[1].done()
    versions.satisfy("b", 12)
    assert await asyncio.wait_for(waiting[1], 1) == []
    assert not waiting[2].done()
    versions.advance(13)
    assert await asyncio.wait_for(waiting[2], 1) == []


async def test_what_is_written_meanwhile_is_not_waited_for() -> None:
    versions = reached(10)
    versions.expect("a", 20)
    waiting = asyncio.create_task(versions.wait({"a": 20}, LATE))
    await asyncio.sleep(0)
    versions.expect("a", 25)
    versions.advance(19)
    await asyncio.sleep(SOON)
    assert not waiting.done()
    versions.advance(20)
    assert await asyncio.wait_for(waiting, 1) == []
    assert dict(versions.expected) == {"a": 25}


async def test_another_history_lets_go_those_who_wait() -> None:
    versions = reached(100)
    versions.expect("a", 200)
    waiting = asyncio.create_task(versions.wait({"a": 200}, LATE))
    await asyncio.sleep(0)
    versions.advance(50, listed=True)
    # Not that it has come: it is to be asked for.
    assert await asyncio.wait_for(waiting, 1) == ["a"]


async def test_one_who_goes_away_does_not_keep_the_others_waiting() -> None:
    versions = reached(10)
    versions.expect("a", 20)
    gone, stays = (asyncio.create_task(versions.wait({"a": 20}, LATE)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    versions.advance(20)
    assert await asyncio.wait_for(stays, 1) == []


# Whatever happens

numbers = st.integers(0, 12)
keys = st.sampled_from("ab")
steps = st.one_of(
    st.tuples(st.just("expect"), keys, numbers),
    st.tuples(st.just("satisfy"), keys, numbers),
    st.tuples(st.just("advance"), st.just(""), numbers),
    st.tuples(st.just("accept_answer"), keys, numbers),
    st.tuples(st.just("accept_event"), keys, numbers),
)


@settings(deadline=None)
@given(st.lists(steps, max_size=30))
def test_nothing_written_is_taken_for_seen_before_it_is(events: list[tuple[str, str, int]]) -> None:
    """An oracle that keeps everything: the watch, the highest version expected and satisfied, the latest shown."""
    versions: Versions[str] = Versions()
    told = 0
    heard, shown, taken, listed = ({"a": 0, "b": 0} for _ in range(4))
    for step, key, number in events:
        if step == "expect":
            unseen = number > max(told, shown[key])
            assert versions.expect(key, number) == unseen
            if unseen:
                heard[key] = max(heard[key], number)
        elif step == "satisfy":
            if key in versions.expected:
                shown[key] = max(shown[key], number)
            versions.satisfy(key, number)
        elif step == "accept_answer":
            assert versions.accept_answer(key, number) == (number > told and number >= max(taken[key], listed[key]))
            taken[key] = number if number > told and number >= max(taken[key], listed[key]) else taken[key]
        elif step == "accept_event":
            later = taken[key] <= told or number > taken[key]
            assert versions.accept_event(key, number) == later
            listed[key] = number if later and number > told > 0 else listed[key]
        else:
            versions.advance(number)
            told = max(told, number)
        assert versions.reached == told
        assert set(versions.expected) == {each for each in "ab" if heard[each] > max(told, shown[each])}
        assert versions.ahead == {each for each in "ab" if taken[each] > told}
