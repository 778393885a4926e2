"""The programs of the control plane: given (LOCAL_STACK_BIN), kept from an earlier build, or built by Go."""

import contextlib
import fcntl
import hashlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from . import golang
from .errors import LocalStackError
from .golang import Go

_MODULE = Path(__file__).parent
_PACKAGES = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    "kwok": "sigs.k8s.io/kwok/cmd/kwok",
    "kwokctl": "sigs.k8s.io/kwok/cmd/kwokctl",
    "metrics-server": "sigs.k8s.io/metrics-server/cmd/metrics-server",
}
# kwokctl asks every program for its version, and a Kubernetes built without these says v0.0.0.
_LDFLAGS = "-s -w " + " ".join(
    f"-X k8s.io/component-base/version.{key}={value}"
    for key, value in {"gitVersion": "v1.36.3", "gitMajor": "1", "gitMinor": "36"}.items()
)


def find_or_build() -> Path:
    """The directory that holds the programs, built into the user's cache on first use (minutes).

    Raises LocalStackError where LOCAL_STACK_BIN is incomplete, there is no Go to be had, or building fails.
    """
    if given := os.environ.get("LOCAL_STACK_BIN"):
        directory = Path(given).resolve()
        if missing := [name for name in _PACKAGES if not os.access(directory / name, os.X_OK)]:
            raise LocalStackError(f"LOCAL_STACK_BIN={given} lacks {', '.join(missing)}")
        return directory
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cf-processes" / "local-stack"
    directory = cache / _key()
    if not directory.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with _alone(cache):
            if not directory.exists():
                _build(directory, golang.find(_wanted_go(), cache))
    return directory


def _key() -> str:
    """What the programs depend on, as a name: another version or machine builds its own."""
    parts = [(_MODULE / name).read_bytes() for name in ("go.mod", "go.sum")]
    parts += [repr(item).encode() for item in (_PACKAGES, _LDFLAGS, platform.system(), platform.machine())]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _wanted_go() -> str:
    """The version that go.mod asks for."""
    found = re.search(r"^go (\S+)", (_MODULE / "go.mod").read_text(), re.MULTILINE)
    return found[1] if found else ""


@contextlib.contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """One builder at a time: a second one waits, and finds the first one's programs."""
    with (cache / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another build is running: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(directory: Path, go: Go) -> None:
    """Build beside, then rename: `directory` exists whole or not at all."""
    for left_behind in directory.parent.glob(".building-*"):
        shutil.rmtree(left_behind)
    _say("building the local control plane from its Go modules: once, 5 to 10 minutes")
    with tempfile.TemporaryDirectory(prefix=".building-", dir=directory.parent) as made:
        for number, (name, package) in enumerate(_PACKAGES.items(), start=1):
            _go_build(go, f"[{number}/{len(_PACKAGES)}] {name}", package, Path(made) / name)
        # The parent goes away with its name, so what is renamed is a directory of its own.
        finished = Path(made) / "finished"
        finished.mkdir()
        for name in _PACKAGES:
            (Path(made) / name).rename(finished / name)
        finished.rename(directory)


def _go_build(go: Go, label: str, package: str, program: Path) -> None:
    started = time.monotonic()
    on_terminal = sys.stderr.isatty()
    if not on_terminal:
        _say(f"{label} …")
    with tempfile.TemporaryFile() as output:
        # A session of its own, so that the compilers below `go` can be ended with it.
        build = subprocess.Popen(
            [go.program, "build", "-o", str(program), "-ldflags", _LDFLAGS, package],
            cwd=_MODULE,
            env=go.environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            while (code := _wait(build)) is None:
                if on_terminal:
                    _say(f"\r{label} … {time.monotonic() - started:.0f} s", end="")
        except BaseException:
            os.killpg(build.pid, signal.SIGKILL)
            build.wait()
            raise
        output.seek(0)
        complaint = output.read().decode(errors="replace").strip()
    if code:
        raise LocalStackError(f"go build {package} failed ({code}):\n{complaint}")
    _say(f"{chr(13) if on_terminal else ''}{label} built in {time.monotonic() - started:.0f} s")


def _wait(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(timeout=1.0)
    except subprocess.TimeoutExpired:
        return None


def _say(text: str, end: str = "\n") -> None:
    print(text, end=end, file=sys.stderr, flush=True)
