"""What is no finding, since no schema can say it. Runs in schemathesis' process."""

from typing import Any

import schemathesis
from schemathesis.openapi.checks import RejectedPositiveData

MAXIMUM_LINE = 64 * 1024
"""service.http.server's, which cannot be imported there."""


def _written_with_fraction(body: Any) -> bool:
    """Whether it holds something like `5.0`, which is an integer to JSON Schema and, by design, none to this API."""
    if isinstance(body, dict):
        return any(_written_with_fraction(each) for each in body.values())
    return isinstance(body, float) and body.is_integer()


def filter_failure(_context: Any, failure: Any, case: Any, response: Any) -> bool:
    """False for valid data that is refused for its length as a whole, or for how a number is written."""
    if not isinstance(failure, RejectedPositiveData):
        return True
    if response.status_code == 400:
        return len(response.request.url) <= MAXIMUM_LINE
    return response.status_code != 422 or not _written_with_fraction(case.body)


schemathesis.hook(filter_failure)
