"""Ends a stack whose owner is gone: `python -m deploy.local.keeper DIRECTORY`, run beside every stack.

The owner holds the other end of stdin. Whatever becomes of it (SIGKILL included), stdin ends then, and everything
recorded in the directory is ended. Until that is done the keeper shares the owner's lock on the directory, so that
no new stack can start there in between.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from . import control_plane, postgres
from .errors import LocalStackError
from .processes import end, environment, wait_until

SERVICE_PID = "service.pid"
HANDED_OUT = (
    *("kubeconfig", "service-kubeconfig", "people-kubeconfig"),
    *("database-url", "token", "token-viewer", "url", "management-url"),
)
"""Files that are of use only while the stack runs."""

_REPOSITORY = Path(__file__).parents[2]
_LOCK_S = 15.0  # longer than a keeper takes to end a stack


@contextlib.contextmanager
def keep(directory: Path) -> Iterator[None]:
    """Own a stack's directory (created 0700): what a crash left behind is ended first, and ours in the end, always.

    Raises LocalStackError where another stack runs in the directory.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (directory / "lock").open("a+") as lock:
        if not wait_until(lambda: _try_lock(lock) or _owner_lives(lock), _LOCK_S) or not _try_lock(lock):
            raise LocalStackError(f"another local stack is running in {directory}")
        lock.truncate(0)
        print(os.getpid(), file=lock, flush=True)
        end_everything(directory)
        _remove_logs(directory)
        # Leaving Popen's context closes stdin and waits.
        with subprocess.Popen(
            [sys.executable, "-m", __name__, str(directory)],
            cwd=_REPOSITORY,
            env=environment(directory),
            stdin=subprocess.PIPE,
            pass_fds=[lock.fileno()],
            start_new_session=True,
        ):
            try:
                yield
            finally:
                end_everything(directory)


def end_everything(directory: Path) -> None:
    """End all processes recorded in the directory, and remove their data and the files handed out."""
    end(directory / SERVICE_PID, directory, (signal.SIGTERM, 10.0))
    control_plane.remove_recorded(directory)
    postgres.remove_recorded(directory)
    for name in HANDED_OUT:
        (directory / name).unlink(missing_ok=True)


def _remove_logs(directory: Path) -> None:
    """Those of the last run, which stay for the curious until the next."""
    shutil.rmtree(directory / "kwok", ignore_errors=True)
    for path in directory.glob("*.log"):
        path.unlink()


def _try_lock(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner_lives(lock: IO[str]) -> bool:
    """Whether it is the owner who holds the lock, rather than a keeper that is about to let go."""
    lock.seek(0)
    owner = lock.read().strip()
    return owner.isdigit() and Path(f"/proc/{owner}").exists()


if __name__ == "__main__":
    sys.stdin.buffer.read()
    end_everything(Path(sys.argv[1]))
