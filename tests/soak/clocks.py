"""A replica's clock on the wall, which somebody may move while it runs: by libfaketime, where that is installed."""

from pathlib import Path

_FOUND = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
CAN_BE_MOVED = bool(_FOUND)
SEEN_AFTER_S = 1.0
"""So often a process looks how its clock was moved."""


class Clock:
    def __init__(self, file: Path) -> None:
        self._file = file
        self.move(0)

    @property
    def environ(self) -> dict[str, str]:
        """What a process is started with to have this clock. What it times by the monotonic clock stays as it is."""
        if not CAN_BE_MOVED:
            return {}
        return {
            "LD_PRELOAD": str(_FOUND[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": f"{SEEN_AFTER_S:.0f}",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def move(self, seconds: int) -> None:
        """Put it so far ahead of the real one, or behind it where that is negative."""
        self._file.write_text(f"{seconds:+d}\n")
