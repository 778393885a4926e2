"""What pages draw: a cell for each instance, and bars of what is used. The templates make SVG of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from service.dashboard import text
from service.model.instances import Instance
from service.model.pods import Pod, State
from service.model.usage import Usage
from service.operations.instances import Stats
from service.operations.overview import Tally

CELLS = 16
"""Instances that are drawn one by one in a list."""
HIGH = 0.9
"""The part of a limit from which on one should look."""
_WORDS = ((State.RUNNING, "running"), (State.CRASHED, "crashed"), (State.STARTING, "starting"))
_LESS = ((State.STOPPING, "stopping"), (State.DOWN, "down"))
_STOPPED = "stopped"


@dataclass(frozen=True)
class Strip:
    """The instances of a process at a glance."""

    cells: Sequence[str]
    """States in lower case, by index."""
    more: int
    """Instances that are not drawn."""
    desired: int
    running: int
    summary: str
    level: str
    """`well`, `some` (not all run), `bad` (one has crashed) or `none` (none is wanted)."""


def strip(instances: Sequence[Instance], desired: int, cells: int = CELLS, *, started: bool = True) -> Strip:
    """`desired` may be more than there are rows for."""
    if not started:
        return Strip((), 0, 0, 0, _STOPPED, "none")
    return _drawn([_state(instance) for instance in instances], desired, cells)


def strip_of(tally: Tally, *, started: bool, cells: int = CELLS) -> Strip:
    """The strip of instances that are counted, and not told apart."""
    if not started:
        return Strip((), 0, 0, 0, _STOPPED, "none")
    counted = {**tally.states, State.RUNNING: tally.running}
    states = [state for state, _ in (*_WORDS, *_LESS) for _ in range(counted.get(state, 0))][: tally.desired]
    # More than these are not drawn: somebody may ask for a thousand million.
    missing = min(tally.desired, cells) - len(states)
    return _drawn([*states, *[State.DOWN] * missing], tally.desired, cells)


def _drawn(states: Sequence[State], desired: int, cells: int) -> Strip:
    counted = Counter(states)
    running = counted[State.RUNNING]
    if not desired:
        return Strip((), 0, 0, 0, "scaled to 0", "none")
    parts = [f"{counted[state]} {word}" for state, word in (*_WORDS, *_LESS) if counted[state]]
    level = "bad" if counted[State.CRASHED] else "well" if running == desired else "some"
    summary = f"{desired} wanted: {', '.join(parts)}"
    shown = [state.value.lower() for state in states[:cells]]
    return Strip(shown, desired - len(shown), desired, running, summary, level)


@dataclass(frozen=True)
class Bar:
    """An amount used, of what there is of it."""

    used: str
    of: str
    """Empty: there is no limit to compare it with."""
    percent: int
    """Of the limit, in hundredths; it may be more than 100."""
    level: str
    """`well`, `high` or `over`."""

    @property
    def width(self) -> int:
        """How much of the bar is filled, in hundredths."""
        return min(100, self.percent)


@dataclass(frozen=True)
class Row:
    """One instance as it stands in the table."""

    instance: Instance
    state: str
    details: str | None
    cpu: Bar | None
    memory: Bar | None

    @property
    def pod(self) -> Pod | None:
        return self.instance.pod


def rows(stats: Stats) -> list[Row]:
    return [_row(stats, instance) for instance in stats.instances]


def _row(stats: Stats, instance: Instance) -> Row:
    pod = instance.pod
    details = stats.process.workload.absence if pod is None else pod.details
    usage = None if pod is None else (stats.usage or {}).get((pod.name, pod.container))
    cpu, memory = (None, None) if pod is None or usage is None else _bars(usage, pod)
    return Row(instance, _state(instance).value.lower(), details, cpu, memory)


def _bars(usage: Usage, pod: Pod) -> tuple[Bar, Bar]:
    cpu = bar(usage.cpu_nanos, pod.cpu_nanos, text.cores(usage.cpu_nanos), text.cores(pod.cpu_nanos or 0))
    return cpu, bar(usage.memory, pod.memory, text.amount(usage.memory), text.amount(pod.memory))


def bar(used: int, limit: int | None, used_text: str, limit_text: str) -> Bar:
    if not limit:
        return Bar(used_text, "", 0, "well")
    ratio = used / limit
    level = "over" if ratio > 1 else "high" if ratio >= HIGH else "well"
    return Bar(used_text, limit_text, round(ratio * 100), level)


def _state(instance: Instance) -> State:
    return State.DOWN if instance.pod is None else instance.pod.state
