"""The Cloud Foundry error catalogue: one class per (status, code, title). No I/O.

A reply's `detail` is the exception's message, so a message is written for the person who called the API:
it never holds another exception's text, a token or a value read from a store. What an operator needs to know
travels as `__cause__` and ends in the log.
"""

from collections.abc import Sequence
from copy import copy
from typing import Any, ClassVar, Self


class CloudFoundryError(Exception):
    """An answer other than success: HTTP `status`, and `code`, `title`, `detail` of the error object."""

    status: ClassVar[int]
    code: ClassVar[int]
    title: ClassVar[str]
    default_detail: ClassVar[str] = ""

    def __init__(self, detail: str | None = None, *, retry_after_s: int | None = None) -> None:
        self.detail = self.default_detail if detail is None else detail
        self.retry_after_s = retry_after_s
        self.stale: Sequence[str] = ()
        """Why it may be out of date, for the caller: it says what is not there, by what was last known."""
        super().__init__(self.detail)

    def saying_more(self, words: str) -> Self:
        """This error, with a sentence added to its detail."""
        longer = copy(self)
        longer.detail = f"{self.detail.rstrip('.')}. {words}"
        return longer

    def body(self) -> dict[str, Any]:
        """`{"errors": [{"detail", "title", "code"}]}`."""
        return {"errors": [{"detail": self.detail, "title": self.title, "code": self.code}]}


class InvalidRequest(CloudFoundryError):
    """The request line or a header cannot be decoded."""

    status, code, title = 400, 10004, "CF-InvalidRequest"


class BadQueryParameter(CloudFoundryError):
    """A query parameter is unknown or its value is not one it accepts."""

    status, code, title = 400, 10005, "CF-BadQueryParameter"

    def __init__(self, complaint: str) -> None:
        super().__init__(f"The query parameter is invalid: {complaint}")


class NotAuthenticated(CloudFoundryError):
    """There is no Authorization header."""

    status, code, title = 401, 10002, "CF-NotAuthenticated"
    default_detail = "Authentication error"


class InvalidAuthToken(CloudFoundryError):
    """The Authorization header is not a Bearer token the cluster accepts."""

    status, code, title = 401, 1000, "CF-InvalidAuthToken"
    default_detail = "Invalid Auth Token"


class NotAuthorized(CloudFoundryError):
    """The caller is known and may not do this."""

    status, code, title = 403, 10003, "CF-NotAuthorized"
    default_detail = "You are not authorized to perform the requested action"


class UnknownRequest(CloudFoundryError):
    """No operation has this path and method."""

    status, code, title = 404, 10000, "CF-NotFound"
    default_detail = "Unknown request"


class ResourceNotFound(CloudFoundryError):
    """The resource does not exist, or the caller may not know that it does."""

    status, code, title = 404, 10010, "CF-ResourceNotFound"


class RequestTimeout(CloudFoundryError):
    """The client has not sent in time what it began to send."""

    status, code, title = 408, 10004, "CF-InvalidRequest"
    default_detail = "The request was not sent in time: nothing was changed"


class BodyTooLarge(CloudFoundryError):
    """The request body is over the limit."""

    status, code, title = 413, 10008, "CF-UnprocessableEntity"
    default_detail = "The request body is too large"


class MessageParseError(CloudFoundryError):
    """The request body is not JSON."""

    status, code, title = 400, 1001, "CF-MessageParseError"
    default_detail = "Request invalid due to parse error: invalid request body"


class UnprocessableEntity(CloudFoundryError):
    """The body breaks a rule of this API, or what it asks for a rule of Kubernetes."""

    status, code, title = 422, 10008, "CF-UnprocessableEntity"


class MetadataUnreadable(UnprocessableEntity):
    """Somebody has edited what is stored of the process in such a way that it cannot be understood: to change it would
    be to lose it."""

    default_detail = (
        "The metadata that is stored of this process cannot be understood: somebody has to mend it in the database "
        "before it can be changed"
    )


class LabelLimitExceeded(UnprocessableEntity):
    """The process would have too many labels."""

    code, title = 390020, "CF-LabelLimitExceeded"


class AnnotationLimitExceeded(UnprocessableEntity):
    """The process would have too many annotations."""

    code, title = 390023, "CF-AnnotationLimitExceeded"


class RateLimitExceeded(CloudFoundryError):
    """The caller has made as many requests as one may in a while."""

    status, code, title = 429, 10013, "CF-RateLimitExceeded"
    default_detail = "Rate Limit Exceeded"


class AddressRateLimitExceeded(CloudFoundryError):
    """As many requests without a valid token have come from the caller's address as may in a while."""

    status, code, title = 429, 10014, "CF-IPBasedRateLimitExceeded"
    default_detail = (
        "Rate Limit Exceeded: Unauthenticated requests from this IP address have exceeded the limit. Please log in."
    )


class UnknownError(CloudFoundryError):
    """A defect of the service. Its text is fixed: the cause belongs in the log."""

    status, code, title = 500, 10001, "UnknownError"
    default_detail = "An unknown error occurred."


class ServiceUnavailable(CloudFoundryError):
    """A store or the cluster is away, or the service has as much work as it can hold."""

    status, code, title = 503, 10015, "CF-ServiceUnavailable"

    def __init__(self, detail: str, *, retry_after_s: int = 5) -> None:
        super().__init__(detail, retry_after_s=retry_after_s)


class StatsUnavailable(CloudFoundryError):
    """The Pods of a process cannot be known."""

    status, code, title = 503, 200002, "CF-StatsUnavailable"

    def __init__(self, detail: str, *, retry_after_s: int = 5) -> None:
        super().__init__(detail, retry_after_s=retry_after_s)
