"""What a check finds, and how it is printed."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum

MAXIMUM_SKEW_S = 2.0
"""By how much a clock may differ from ours: what the network takes and whole seconds of a header are within it."""
FEW = 3
"""How many objects are named where there may be thousands."""

Clock = Callable[[], float]
"""A clock on the wall: seconds since the epoch."""


class Level(Enum):
    OK = "ok"
    WARNING = "warning"
    MISSING = "MISSING"


class Outcome(IntEnum):
    """What the check comes to: the exit status of `python -m service check`."""

    WELL = 0
    """There may be warnings."""
    MISSING = 1
    """The service could not work, or not fully."""
    WRONG_SETTINGS = 2


@dataclass(frozen=True)
class Finding:
    """The answer to one question; `advice` is what to do about it, empty where all is well."""

    level: Level
    subject: str
    text: str
    advice: str = ""

    def __str__(self) -> str:
        """A line, and one more for the advice: plain ASCII, in columns."""
        lines = [f"{self.level.value:<7}  {self.subject:<10}  {_plain(self.text)}"]
        if self.advice:
            lines.append(f"{'':<19}  -> {_plain(self.advice)}")
        return "\n".join(lines)


class Report:
    """Hands each finding to `on_finding` as it is made, and remembers the worst outcome of them."""

    def __init__(self, on_finding: Callable[[Finding], None]) -> None:
        self._on_finding = on_finding
        self.outcome = Outcome.WELL

    def ok(self, subject: str, text: str) -> None:
        self._on_finding(Finding(Level.OK, subject, text))

    def warn(self, subject: str, text: str, advice: str) -> None:
        self._on_finding(Finding(Level.WARNING, subject, text, advice))

    def miss(self, subject: str, text: str, advice: str, outcome: Outcome = Outcome.MISSING) -> None:
        self.outcome = max(self.outcome, outcome)
        self._on_finding(Finding(Level.MISSING, subject, text, advice))

    def clock(self, whose: str, ahead_s: tuple[float, float]) -> None:
        """Compare a clock with ours: it is ahead by a number of seconds between these two, negative if behind."""
        low, high = ahead_s
        skew = max(low, 0.0) + min(high, 0.0)
        if abs(skew) <= MAXIMUM_SKEW_S:
            self.ok("clock", f"{whose}'s and ours agree to within {max(abs(low), abs(high)):.1f} s")
            return
        self.warn(
            "clock",
            f"{whose}'s is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} ours",
            "set the clocks by NTP: tokens are refused early or late, and updated_at mixes times of all clocks",
        )


def count(number: int, noun: str) -> str:
    """A number with its noun, such as `1 process` and `2 processes`."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def few(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    rest = len(names) - FEW
    return ", ".join(names[:FEW]) + (f" and {rest} more" if rest > 0 else "")


def _plain(text: str) -> str:
    """One line of ASCII: what others wrote, such as an error's text, may hold control codes that move the cursor."""
    return re.sub(r"[^ -~]", "?", " ".join(text.split()))
