"""Statistics as they are polled: made once a second, and never those of another state. Pure: no server is asked."""

from collections.abc import Callable

import orjson
import pytest

from service.api.resources.instances.bodies import StatsBodies
from service.api.resources.instances.presenter import present_stats
from service.model.instances import Instance
from service.model.times import SECOND
from service.operations.instances import Stats
from tests.api.test_presenters import NOW, SAMPLE, process
from tests.model.builders import pod

QUOTA = 16384
POD = pod("pod-1")
FIRST = Stats(process(), [Instance(0, POD), Instance(1, None)], {("pod-1", "application"): SAMPLE})

OTHERS: dict[str, Callable[[], Stats]] = {
    "another state of the process": lambda: Stats(process("no quota"), FIRST.instances, FIRST.usage),
    "another Pod": lambda: Stats(FIRST.process, [Instance(0, pod("pod-2")), Instance(1, None)], FIRST.usage),
    "the Pod in another state": lambda: Stats(
        FIRST.process, [Instance(0, pod("pod-1", ready=False)), Instance(1, None)], FIRST.usage
    ),
    "one instance less": lambda: Stats(FIRST.process, FIRST.instances[:1], FIRST.usage),
    "no usage": lambda: Stats(FIRST.process, FIRST.instances, None),
    "a later sample": lambda: Stats(FIRST.process, FIRST.instances, {}),
}


def test_is_what_is_presented_as_of_the_second() -> None:
    encoded, _ = StatsBodies(QUOTA).encode(FIRST, NOW)
    assert orjson.loads(encoded) == present_stats(FIRST, NOW // SECOND * SECOND, QUOTA)


def test_is_made_once_a_second() -> None:
    bodies = StatsBodies(QUOTA)
    first, again = (
        bodies.encode(FIRST, NOW),
        bodies.encode(Stats(FIRST.process, list(FIRST.instances), FIRST.usage), NOW),
    )
    assert first[0] is again[0]
    later = bodies.encode(FIRST, NOW + SECOND)
    assert later != first
    assert orjson.loads(later[0])["resources"][0]["uptime"] == orjson.loads(first[0])["resources"][0]["uptime"] + 1


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
def test_shows_what_is_now(other: Callable[[], Stats]) -> None:
    bodies, now = StatsBodies(QUOTA), other()
    bodies.encode(FIRST, NOW)
    encoded, etag = bodies.encode(now, NOW)
    assert (encoded, etag) == StatsBodies(QUOTA).encode(now, NOW)
    assert orjson.loads(encoded) == present_stats(now, NOW // SECOND * SECOND, QUOTA)
