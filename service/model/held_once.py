"""What many Deployments say alike, held once for all of them: each decoded object brings its own copy of all it says.

What is remembered is bounded, in number and in size: nobody can fill memory by saying something else each time.
"""

from collections.abc import Mapping
from functools import lru_cache
from heapq import nsmallest

from service.model.process import HealthCheck
from service.model.texts import LONGEST_NAME, MOST_LABELS


@lru_cache(maxsize=4096)
def shared_text(text: str) -> str:
    """One object for all equal texts of late. For short ones: as many are remembered."""
    return text


def shared_command(command: str) -> str:
    """A platform starts many apps alike. What is long is somebody's own."""
    return command if len(command) > LONGEST_NAME else shared_text(command)


def flat_labels(labels: Mapping[str, str], stand_ins: Mapping[str, str]) -> tuple[str, ...]:
    """Labels as a workload holds them; `stand_ins` are for values that no other Deployment has.

    Of more than MOST_LABELS, those whose keys come first.
    """
    flat: list[str] = []
    for key in sorted(labels) if len(labels) <= MOST_LABELS else nsmallest(MOST_LABELS, labels):
        value = labels[key]
        flat += (key, stand_ins.get(value, value))
    return _shared_labels(tuple(flat))


@lru_cache(maxsize=4096)
def _shared_labels(flat: tuple[str, ...]) -> tuple[str, ...]:
    """One object for all that are equal; and where a few values differ, the others are held once."""
    return tuple(map(shared_text, flat))


@lru_cache(maxsize=1024)
def shared_check(check: HealthCheck) -> HealthCheck:
    """Most processes are checked like many others."""
    return check


@lru_cache(maxsize=4096)
def shared_ports(ports: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    return ports
