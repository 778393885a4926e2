"""Times: whole microseconds since the epoch, UTC.

Both stores' precision fits, they compare as integers, and 100,000 of them cost little.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = EPOCH.replace(tzinfo=None)
SECOND = 1_000_000
"""One second in the unit of every time in the model."""
_MINUTES = [f"{minute // 60:02}:{minute % 60:02}:" for minute in range(24 * 60)]
"""Of a day, with the colon after each: each row of a list has two times."""
_SECONDS = [f"{second:02}Z" for second in range(60)]


def microseconds(moment: datetime) -> int:
    """The model's time of an aware datetime. Raises OverflowError for one that is not in the years 1 to 9999 of UTC."""
    since = (moment if moment.tzinfo is UTC else moment.astimezone(UTC)) - EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds


def timestamp(moment: int) -> str:
    """`2006-01-02T15:04:05Z`: whole seconds, cut off and not rounded, as the API writes times."""
    minutes, second = divmod(moment // SECOND, 60)
    day, minute = divmod(minutes, 24 * 60)
    return _date(day) + _MINUTES[minute] + _SECONDS[second]


@lru_cache(maxsize=1024)
def _date(day: int) -> str:
    """Of a day since the epoch, with the `T` after it. Many of what is shown are of the same days."""
    return f"{(_NAIVE_EPOCH + timedelta(days=day)).date().isoformat()}T"
