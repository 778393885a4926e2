"""What people are to know of a change that was made."""

from collections.abc import Iterable

from service.http.replies import LAGGING
from service.operations.outcomes import Written


def of_writes(done: Iterable[Written]) -> list[str | None]:
    """What callers are warned of after changes of one process, or of all of an app; each text once."""
    done = list(done)
    said = dict.fromkeys(text for each in done for text in each.warnings)
    return [LAGGING if any(each.lagging for each in done) else None, *said]
