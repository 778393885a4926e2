"""The stack as the tests and `make run` use it: a control plane with the service's account in it, and a Postgres."""

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from . import binaries
from .control_plane import ControlPlane
from .errors import LocalStackError
from .keeper import keep
from .ports import PortBlock
from .postgres import Postgres

_BASE = Path(__file__).parents[1] / "base"
_ACCOUNT = [_BASE / name for name in ("namespace.yaml", "service-account.yaml", "rbac.yaml")]


@dataclass(frozen=True)
class Stack:
    """A running stack."""

    directory: Path
    kubeconfig: Path
    """The cluster admin's."""
    service_kubeconfig: Path
    """Of ServiceAccount processes/processes, which the service runs as."""
    database_url: str = field(repr=False)
    control_plane: ControlPlane
    postgres: Postgres


@contextlib.contextmanager
def local_stack(directory: Path, *, nodes: int = 4, metrics: bool = False) -> Iterator[Stack]:
    """A fresh stack in `directory`, with deploy/base/rbac.yaml applied; all of it is ended and its data removed after.

    A node takes 250 Pods; `metrics` is ControlPlane's. KUBECONFIG and DATABASE_URL are not looked at; LOCAL_STACK_BIN
    is. Blocks for seconds, on first use for the minutes of a build. Raises LocalStackError.
    """
    require_linux()
    directory = directory.resolve()
    programs = binaries.find_or_build()
    with keep(directory), contextlib.closing(PortBlock()) as ports:
        control_plane = ControlPlane(directory, programs, ports, metrics=metrics)
        begun = control_plane.begin()
        postgres = Postgres(directory, ports.take())
        postgres.create()
        control_plane.finish(begun, nodes=nodes)
        yield Stack(
            directory=directory,
            kubeconfig=control_plane.kubeconfig,
            service_kubeconfig=admit_service(control_plane, directory),
            database_url=postgres.url,
            control_plane=control_plane,
            postgres=postgres,
        )


def admit_service(control_plane: ControlPlane, directory: Path) -> Path:
    """Create the service's account and roles; the kubeconfig of that account."""
    for manifest in _ACCOUNT:
        control_plane.apply(manifest)
    path = directory / "service-kubeconfig"
    write_private(path, control_plane.kubeconfig_for(control_plane.create_token("processes", "processes")))
    return path


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, at no moment anyone else."""
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def require_linux() -> None:
    if sys.platform != "linux":
        raise LocalStackError("the local stack runs on Linux only: it knows its processes through /proc")
