"""What the containers of a Pod template say, be they the app or beside it. All functions here are pure."""

import shlex
from collections.abc import Iterator, Sequence
from functools import lru_cache

from service.model.manifests import CommandedContainer, TemplateSpec
from service.model.process import LARGEST_INTEGER, SidecarContainer
from service.model.quantity import mebibytes

LONGEST_COMMAND = 4096
"""Characters of a sidecar's command that are kept: a Deployment may have hundreds of containers."""


def command_text(command: Sequence[str] | None, args: Sequence[str] | None) -> str:
    """A container's command and arguments as one text; empty: it has none of its own."""
    words = [*(command or ()), *(args or ())]
    if len(words) == 3 and words[0].rpartition("/")[2] == "sh" and words[1] == "-c":
        return words[2]
    return shlex.join(words)


def limit_in_mib(limit: str | None) -> int:
    """A limit as Kubernetes writes it, in MiB rounded up; 0: there is none. Raises ValueError."""
    return 0 if limit is None else min(mebibytes(limit), LARGEST_INTEGER)


def sidecars_beside(app: CommandedContainer, pod: TemplateSpec) -> tuple[SidecarContainer, ...]:
    """What runs beside the app for as long as it does, in the template's order.

    These are its other containers, and the init containers that are restarted always.
    """
    return tuple(_sidecar(container) for container in _beside(app, pod))


def _beside(app: CommandedContainer, pod: TemplateSpec) -> Iterator[CommandedContainer]:
    for initial in pod.initContainers or ():
        if initial.restartPolicy == "Always":
            yield initial
    for container in pod.containers:
        if container is not app:
            yield container


def _sidecar(container: CommandedContainer) -> SidecarContainer:
    limits = (container.resources and container.resources.limits) or {}
    memory = limits.get("memory")
    try:
        memory_in_mb = limit_in_mib(None if memory is None else str(memory))
    except ValueError:
        # What is wrong beside the app is no reason to hide the app.
        memory_in_mb = 0
    command = command_text(container.command, container.args)[:LONGEST_COMMAND]
    return _one_of_its_kind(SidecarContainer(container.name, command, memory_in_mb))


@lru_cache(maxsize=1024)
def _one_of_its_kind(sidecar: SidecarContainer) -> SidecarContainer:
    """The same object for equal ones: what is put beside apps is mostly the same everywhere."""
    return sidecar
