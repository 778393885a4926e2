"""Whether a process is to run, and how many instances it is to have: what a Deployment says of it.

Cloud Foundry knows two things of a process, a state and a number, and keeps the number of one that is stopped.
Kubernetes knows the number of replicas alone. So at 0 replicas an annotation says what is meant:

* *stopped instances* is the number that a stopped process is to have once it is started;
* *scaled to zero* tells a started process of no instances from a stopped one.

With neither it is stopped, and nobody knows how many it had. Above 0 replicas it is started, whoever has set them, and
the annotations say nothing.
"""

from collections.abc import Mapping
from typing import NamedTuple

from service.model.labels import Keys

MOST_INSTANCES = (1 << 31) - 1
"""Kubernetes' own limit of a number of replicas."""


class Desired(NamedTuple):
    started: bool
    instances: int
    """How many it is to have; for a stopped process, once it is started."""

    @property
    def replicas(self) -> int:
        return self.instances if self.started else 0

    def annotations(self, keys: Keys) -> dict[str, str | None]:
        """What the annotations are to say beside the replicas. None: nothing."""
        return {
            keys.stopped_instances: None if self.started else str(self.instances),
            keys.scaled_to_zero: "true" if self.started and not self.instances else None,
        }


def desired(replicas: int, annotations: Mapping[str, str], keys: Keys) -> Desired:
    """What a Deployment with these replicas and annotations wants."""
    if replicas:
        return Desired(True, replicas)
    kept = remembered(annotations, keys)
    return Desired(keys.scaled_to_zero in annotations, 0) if kept is None else Desired(False, kept)


def remembered(annotations: Mapping[str, str], keys: Keys) -> int | None:
    """The number that the annotation of a stopped process has kept. None: there is none that can be one."""
    text = annotations.get(keys.stopped_instances, "")
    # The length is checked first: a number of a million digits takes its time.
    if len(text) <= 10 and text.isascii() and text.isdigit() and int(text) <= MOST_INSTANCES:
        return int(text)
    return None
