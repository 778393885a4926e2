"""What ends a list or a watch, and what that means for how to go on."""

from dataclasses import dataclass

import aiohttp
import msgspec

from service.cluster.client import ClusterUnreachable, UnexpectedStatus
from service.cluster.collection import Gone
from service.telemetry import get_logger

log = get_logger(__name__)


@dataclass(frozen=True)
class Failure:
    """Why an attempt to list or watch has ended."""

    reason: str
    """What the log and /readyz say."""
    resumable: bool
    """Whether nothing can have been missed up to the resourceVersion last seen. If not, everything is listed anew."""
    status: int = 0
    """The HTTP status of the refusal; 0: it is no refusal."""


EXPECTED = (
    Gone,
    UnexpectedStatus,
    ClusterUnreachable,
    aiohttp.ClientError,
    OSError,
    msgspec.DecodeError,
    UnicodeDecodeError,
)
"""What a cluster, or what is on the way to it, may do to us; anything else is a defect of ours."""


def failure_of(error: Exception) -> Failure:
    """What each of the expected errors means."""
    match error:
        case Gone():
            return Failure("the watch cannot be resumed where it was", resumable=False)
        case UnexpectedStatus():
            log.warning("watch refused", reason=str(error))
            # 410: the version to resume from, or the rest of a list in chunks, is no longer kept.
            return Failure(f"HTTP {error.status}", resumable=error.status != 410, status=error.status)
        case ClusterUnreachable():
            return Failure(error.reason, resumable=True)
        case aiohttp.ClientError() | OSError():
            return Failure(f"{type(error).__name__} while reading", resumable=True)
        case _:
            # Not what kube-apiserver sends: a proxy's page, say. What was lost in it is unknown.
            return Failure(f"{type(error).__name__}: the answer is not a watch", resumable=False)
