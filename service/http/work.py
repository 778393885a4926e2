"""How many requests are worked on at a time; those that wait for their client are not."""

from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import ServiceUnavailable


class Work:
    """Requests under way, each of which is work but for the time it waits for its client."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._under_way = 0

    def begin(self) -> None:
        """Take in a request, to be ended whatever comes of it. Raises ServiceUnavailable where there is no room."""
        if self._under_way >= self._most:
            raise _too_much()
        self._under_way += 1

    def end(self) -> None:
        """A request is over."""
        self._under_way -= 1

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """What is no work, of a request. Raises ServiceUnavailable afterwards, where others have become too many."""
        self._under_way -= 1
        try:
            yield
        finally:
            self._under_way += 1
        if self._under_way > self._most:
            raise _too_much()


def _too_much() -> ServiceUnavailable:
    return ServiceUnavailable("The service has too many requests to answer at the moment", retry_after_s=1)
