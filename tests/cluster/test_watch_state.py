"""How old what is held may be, by what is known of the watch. Times are seconds of a clock that the test moves."""

import pytest

from service.cluster.watch_state import GRACE_S, WatchState

INSTANT = GRACE_S / 100


@pytest.fixture
def followed() -> WatchState:
    """A watch opened at 0, which has brought something at 10."""
    state = WatchState()
    state.opened(0)
    state.heard(10)
    return state


def test_open_watch_is_in_step_however_long_it_is_silent(followed: WatchState) -> None:
    assert followed.age_s(10_000) == 0


def test_age_counts_from_what_was_heard_last_once_the_grace_is_over(followed: WatchState) -> None:
    followed.closed(100)
    assert followed.age_s(100 + GRACE_S) == 0
    assert followed.age_s(100 + GRACE_S + INSTANT) == pytest.approx(90 + GRACE_S + INSTANT)


def test_silent_watch_opened_anew_at_once_is_in_step_at_every_moment(followed: WatchState) -> None:
    followed.closed(100)
    followed.opened(100 + INSTANT)
    for after in (2 * INSTANT, GRACE_S, GRACE_S + INSTANT / 2, GRACE_S + 2 * INSTANT, 1000):
        assert followed.age_s(100 + after) == 0


def test_watch_opened_late_is_in_step_when_it_has_brought_something_or_has_held(followed: WatchState) -> None:
    followed.closed(100)
    followed.opened(200)
    assert followed.age_s(200) == 190
    assert followed.age_s(200 + GRACE_S + INSTANT) == 0
    followed.heard(200)
    assert followed.age_s(200) == 0


def test_watches_that_end_at_once_do_not_make_it_young(followed: WatchState) -> None:
    for moment in range(100, 110):
        followed.closed(moment)
        followed.opened(moment + INSTANT)
    followed.closed(110)
    assert followed.age_s(110) == 100
