"""Times as the model counts them and as the API writes them."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import example, given
from hypothesis import strategies as st

from service.model.times import EPOCH, SECOND, microseconds, timestamp


@given(st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)))
@example(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))
@example(datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))
def test_is_written_in_whole_seconds_cut_off(moment: datetime) -> None:
    assert timestamp(microseconds(moment)) == moment.replace(microsecond=0, tzinfo=None).isoformat() + "Z"


@given(st.datetimes(timezones=st.just(UTC)))
def test_keeps_every_microsecond(moment: datetime) -> None:
    assert EPOCH + timedelta(microseconds=microseconds(moment)) == moment


def test_another_time_zone_is_the_same_moment() -> None:
    there = datetime(2024, 1, 2, 5, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    assert timestamp(microseconds(there)) == "2024-01-02T03:04:05Z"
    assert microseconds(there) == 1_704_164_645 * SECOND


def test_a_year_has_four_digits() -> None:
    assert timestamp(microseconds(datetime(999, 1, 1, tzinfo=UTC))) == "0999-01-01T00:00:00Z"
