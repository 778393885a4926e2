"""How many requests are worked on at a time; those that wait for their client are not."""

from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import ServiceUnavailable


class Work:
    """Requests under way, each of which is work but for the time it waits for its client."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._under_way = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """A request, for the length of a block. Raises ServiceUnavailable where as many are under way as may be."""
        if self._under_way >= self._most:
            raise _too_much()
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """What is no work, within one. Raises ServiceUnavailable afterwards, where others have become too many."""
        self._under_way -= 1
        try:
            yield
        finally:
            self._under_way += 1
        if self._under_way > self._most:
            raise _too_much()


def _too_much() -> ServiceUnavailable:
    return ServiceUnavailable("The service has too many requests to answer at the moment", retry_after_s=1)
