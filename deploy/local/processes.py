"""The stack's processes: each is recorded by a pid file, and ended only if the pid is still that very process.

Ending by record rather than by handle works alike after a crash of the program that started them.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from .errors import LocalStackError

MARKER = "LOCAL_STACK_DIRECTORY"
"""Environment variable that every process of a stack carries; its value is the stack's directory."""

POLL_S = 0.02
_THREADS = 16
"""The place of the number of threads in /proc/PID/stat, counted from the one behind the state: proc(5)."""

# The shell writes its own pid before it becomes the program, so that no kill of ours falls between start and record.
_RECORD_AND_BECOME = 'echo $$ >"$1" && shift && exec "$@"'


def environment(directory: Path, **extra: str) -> dict[str, str]:
    """Ours, marked; without the variables that would send a program to another cluster or configuration."""
    inherited = {
        name: value for name, value in os.environ.items() if name != "KUBECONFIG" and not name.startswith("KWOK_")
    }
    return inherited | {MARKER: str(directory)} | extra


class Recorded(subprocess.Popen[bytes]):
    """A process that its record ends, so that dropping the handle of a running one is no mistake to warn of."""

    def __del__(self) -> None:
        self.poll()


def spawn(
    argv: Sequence[str | Path],
    *,
    pid_file: Path,
    env: Mapping[str, str],
    output: IO[bytes] | None = None,
    cwd: Path | None = None,
    user: tuple[int, int] | None = None,
) -> Recorded:
    """Start a recorded process in a session of its own: a Ctrl-C in the terminal must reach only the one who stops it.

    `output` takes stdout and stderr (None: ours). `user` is (uid, gid) to run as.
    """
    uid, gid = user or (None, None)
    return Recorded(
        ["/bin/sh", "-c", _RECORD_AND_BECOME, "sh", str(pid_file), *map(str, argv)],
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        user=uid,
        group=gid,
        extra_groups=None if user is None else [],
        start_new_session=True,
    )


def end(pid_file: Path, directory: Path, *steps: tuple[signal.Signals | None, float]) -> None:
    """End the recorded process of the stack in `directory`, if it still is one, and drop the record.

    Each step is (signal, seconds to wait for the end); None only waits. SIGKILL follows the last.
    """
    pid = recorded(pid_file, directory)
    if pid is not None:
        for number, seconds in (*steps, (signal.SIGKILL, 10.0)):
            if number is not None:
                send(pid, number)
            if wait_until(lambda: not _alive(pid), seconds):
                break
        else:
            raise LocalStackError(f"process {pid} ({pid_file.stem}) does not end")
    pid_file.unlink(missing_ok=True)


def send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def recorded(pid_file: Path, directory: Path) -> int | None:
    """The pid in the file, if that process lives and carries the marker of the stack in `directory`."""
    try:
        pid = int(pid_file.read_text())
        environ = Path(f"/proc/{pid}/environ").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if f"{MARKER}={directory}".encode() in environ.split(b"\0") and _alive(pid) else None


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def _alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    state, *fields = stat.rpartition(")")[2].split()
    # Of a process that was killed, one thread may be over before the others, which hold its ports until they are.
    if state not in {"Z", "X"} or int(fields[_THREADS]) > 1:
        return True
    # NB: a zombie is over; in a container nobody may reap the daemons that kwokctl leaves to pid 1. But ours is to go:
    # Postgres takes one that it finds in its lock file for another server.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return False
