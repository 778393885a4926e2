"""What the containers of a Pod template say, be they the app or beside it. All functions here are pure."""

import shlex
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain, islice

from service.model.manifests import CommandedContainer, TemplateSpec
from service.model.process import LARGEST_INTEGER, SidecarContainer
from service.model.quantity import mebibytes
from service.model.texts import LONGEST_COMMAND, MOST_SIDECARS, shortened

SIDECARS_COMMANDS = 4 * LONGEST_COMMAND
"""Characters that are kept of the commands of all sidecars of a process: there may be hundreds of them."""


def command_text(command: Sequence[str] | None, args: Sequence[str] | None) -> str:
    """A container's command and arguments as one text, LONGEST_COMMAND at most; empty: it has none of its own."""
    # Each word takes two characters at least. There may be hundreds of thousands, and all but the first are not looked
    # at: this happens at each change of the Deployment, and whoever waits for the event loop waits for it.
    words = list(islice(chain(command or (), args or ()), LONGEST_COMMAND))
    if len(words) == 3 and words[0].rpartition("/")[2] == "sh" and words[1] == "-c":
        return shortened(words[2], LONGEST_COMMAND)
    quoted: list[str] = []
    room = LONGEST_COMMAND
    for word in words:
        quoted.append(shlex.quote(word[: LONGEST_COMMAND + 1]))
        room -= len(quoted[-1]) + 1
        if room < 0:
            break
    return shortened(" ".join(quoted), LONGEST_COMMAND)


def limit_in_mib(limit: str | None) -> int:
    """A limit as Kubernetes writes it, in MiB rounded up; 0: there is none. Raises ValueError."""
    return 0 if limit is None else min(mebibytes(limit), LARGEST_INTEGER)


def sidecars_beside(app: CommandedContainer, pod: TemplateSpec) -> tuple[SidecarContainer, ...]:
    """What runs beside the app for as long as it does, in the template's order.

    These are its other containers, and the init containers that are restarted always; of more than MOST_SIDECARS, the
    first.
    """
    room = SIDECARS_COMMANDS
    found = []
    for container in islice(_beside(app, pod), MOST_SIDECARS):
        found.append(_sidecar(container, room))
        room -= len(found[-1].command)
    return tuple(found)


def _beside(app: CommandedContainer, pod: TemplateSpec) -> Iterator[CommandedContainer]:
    for initial in pod.initContainers or ():
        if initial.restartPolicy == "Always":
            yield initial
    for container in pod.containers:
        if container is not app:
            yield container


def _sidecar(container: CommandedContainer, room: int) -> SidecarContainer:
    """`room` is for the characters of its command."""
    limits = (container.resources and container.resources.limits) or {}
    memory = limits.get("memory")
    try:
        memory_in_mb = limit_in_mib(None if memory is None else str(memory))
    except ValueError:
        # What is wrong beside the app is no reason to hide the app.
        memory_in_mb = 0
    command = command_text(container.command, container.args)[:room]
    return _one_of_its_kind(SidecarContainer(container.name, command, memory_in_mb))


@lru_cache(maxsize=256)
def _one_of_its_kind(sidecar: SidecarContainer) -> SidecarContainer:
    """One object for all that are equal: what is put beside apps is mostly alike everywhere."""
    return sidecar
