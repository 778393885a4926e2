"""One line for each attempt to change something: who, what, which process, and what came of it.

Never what was in the request: a command may hold a password.
"""

import time
from collections.abc import Iterator
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
        log.info(
            "audit",
            user=user,
            action=action,
            outcome=outcome,
            process=workload and workload.guid,
            app_guid=workload and workload.app_guid,
            process_type=workload and workload.type,
            namespace=workload and workload.namespace,
            deployment=workload and workload.name,
            changes=entry.changes,
            pod=entry.pod,
            duration_ms=round((time.perf_counter() - started) * 1000, 1),
        )
