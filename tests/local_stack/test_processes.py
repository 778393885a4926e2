"""The stack's own processes."""

import os
import signal
from pathlib import Path

from deploy.local import processes
from deploy.local.processes import environment, spawn, wait_until


def test_what_has_ended_leaves_nothing_behind(tmp_path: Path) -> None:
    """Postgres takes a zombie that it finds in its lock file for another server, and does not start."""
    pid = spawn(["sleep", "600"], pid_file=tmp_path / "pid", env=environment(tmp_path)).pid
    os.kill(pid, signal.SIGKILL)
    stat = Path(f"/proc/{pid}/stat")
    assert wait_until(lambda: ") Z " in stat.read_text(), 10)
    assert not processes._alive(pid)
    assert not stat.exists()
