"""One line for each attempt to change something: who, what, which process or app, and what came of it.

Never what was in the request: a command, or an environment variable, may hold a password.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from service.errors import CloudFoundryError
from service.model.process import Process
from service.telemetry import get_logger

log = get_logger(__name__)


@dataclass
class Entry:
    """What is known of an attempt by the time it ends."""

    process: Process | None = None
    of_app: Sequence[Process] = ()
    """All processes of an app, where that is what is changed."""
    changes: list[str] = field(default_factory=list)
    """Names of what was to be changed."""
    pod: str | None = None


@contextmanager
def audited(action: str, user: str) -> Iterator[Entry]:
    """Log the attempt when the block ends, however it does. The request's id is in every line anyway."""
    entry, started, outcome = Entry(), time.perf_counter(), "broken off"
    try:
        yield entry
        outcome = "done"
    except CloudFoundryError as error:
        outcome = error.title
        raise
    except Exception:
        outcome = "defect"
        raise
    finally:
        workload = entry.process.workload if entry.process is not None else None
        one = workload or next((each.workload for each in entry.of_app), None)
        log.info(
            "audit",
            user=user,
            action=action,
            outcome=outcome,
            process=workload and workload.guid,
            app_guid=one and one.app_guid,
            process_type=workload and workload.type,
            namespace=one and one.namespace,
            deployment=workload and workload.name,
            deployments=[each.workload.name for each in entry.of_app] or None,
            changes=entry.changes,
            pod=entry.pod,
            duration_ms=round((time.perf_counter() - started) * 1000, 1),
        )
