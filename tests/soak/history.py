"""What was written to one field, and whether what is read of it can be true. Pure: times are given.

One writer writes a field, one write after the other, each through any replica. A read without a mark must show the last
write that was acknowledged before the read began, or one that came later and was not refused; and no replica goes back
to what is older than what it has shown. A write whose reply was lost may take effect until somebody has looked what
became of it (`settle`).
"""

from collections import deque
from dataclasses import dataclass, field
from enum import Enum

TOLD = 40
"""Events that a trace shows."""


class Outcome(Enum):
    UNDER_WAY = "under way"
    DONE = "acknowledged"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass
class Write:
    number: int
    value: str
    replica: int
    began: float
    ended: float = float("inf")
    outcome: Outcome = Outcome.UNDER_WAY


@dataclass(frozen=True)
class Seen:
    """What one answer has shown of the field."""

    value: str
    replica: int
    began: float
    ended: float
    marked: bool
    """It has said itself that it may be out of date."""


@dataclass
class Register:
    """One field of one process."""

    name: str
    writes: list[Write] = field(default_factory=list)
    """Those that a read may still show, in their order; the first is what there was when all was last settled."""
    shown: dict[int, int] = field(default_factory=dict)
    """By replica the number of the latest write that it has shown unmarked."""
    events: deque[str] = field(default_factory=lambda: deque(maxlen=TOLD))

    def settle(self, value: str, now: float) -> None:
        """Nothing is under way, and this is what the stores hold: what came before is history."""
        number = self.writes[-1].number + 1 if self.writes else 0
        self.writes = [Write(number, value, -1, now, now, Outcome.DONE)]
        self.shown = {}
        self.events.append(f"{now:9.3f}           settled as {value!r}")

    def begin(self, value: str, replica: int, now: float) -> Write:
        write = Write(self.writes[-1].number + 1, value, replica, now)
        self.writes.append(write)
        self.events.append(f"{now:9.3f} replica {replica} write {write.number} of {value!r} begins")
        return write

    def end(self, write: Write, outcome: Outcome, now: float, reply: str) -> None:
        write.outcome, write.ended = outcome, now
        self.events.append(
            f"{now:9.3f} replica {write.replica} write {write.number} of {write.value!r} {outcome.value}: {reply}"
        )
        self._forget()

    def see(self, seen: Seen) -> str | None:
        """Take in what a read has shown; what is wrong with it, or None."""
        self.events.append(
            f"{seen.ended:9.3f} replica {seen.replica} shows {seen.value!r}, asked at {seen.began:.3f}"
            + (", marked" if seen.marked else "")
        )
        possible = [w for w in self.writes if w.outcome is not Outcome.REFUSED and w.began <= seen.ended]
        if seen.marked:
            # It may show what is older than all that is remembered, but nothing that was refused.
            known = {w.value for w in self.writes if w.outcome is Outcome.REFUSED} - {w.value for w in possible}
            return f"shows {seen.value!r}, which was refused" if seen.value in known else None
        floor = max(self._acknowledged_before(seen.began), self.shown.get(seen.replica, 0))
        fitting = [w for w in possible if w.value == seen.value and (w.number >= floor or w.outcome is Outcome.UNKNOWN)]
        if not fitting:
            allowed = sorted({w.value for w in possible if w.number >= floor or w.outcome is Outcome.UNKNOWN})
            return f"shows {seen.value!r}, which must be one of {allowed}"
        least = min(fitting, key=lambda w: w.number)
        if least.outcome is not Outcome.UNKNOWN:
            self.shown[seen.replica] = max(floor, least.number)
        return None

    def trace(self) -> str:
        return "\n".join(self.events)

    def _acknowledged_before(self, moment: float) -> int:
        return max((w.number for w in self.writes if w.outcome is Outcome.DONE and w.ended < moment), default=0)

    def _forget(self) -> None:
        """Let go what no read may show any more: not even one that began long ago."""
        if len(self.writes) > 400:
            kept = self.writes[-200:]
            self.writes = [w for w in self.writes[:-200] if w.outcome is Outcome.UNKNOWN] + kept
