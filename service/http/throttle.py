"""How fast large bodies are taken: what is sent as fast as the network brings it takes the machine from all others."""

from collections import OrderedDict
from collections.abc import Callable, Hashable

WANTED_PER_S = 4 << 20
"""Bytes a second of what one person sends beyond what is read ahead: a quarter of one for the largest body there is."""
UNWANTED_PER_S = 8 << 20
"""Bytes a second, of all clients together, of bodies whose requests are answered already."""
_CAPACITY = 10_000
"""Senders that are counted at a time. Beyond, the one who has sent nothing for longest starts anew."""


class Throttle:
    """Counts bytes by who sends them, and tells how long to wait so that nobody's are more than so many a second."""

    def __init__(self, per_s: int, clock: Callable[[], float]) -> None:
        """`clock` is in seconds, and does not go back."""
        self._per_s = per_s
        self._clock = clock
        self._free_at: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._free_at)

    def took(self, sender: Hashable, size: int) -> float:
        """Count so many bytes. Returns for how many seconds no more of this sender are to be taken."""
        now = self._clock()
        free_at = max(now, self._free_at.pop(sender, now)) + size / self._per_s
        self._free_at[sender] = free_at
        while self._free_at and (len(self._free_at) > _CAPACITY or next(iter(self._free_at.values())) <= now):
            self._free_at.popitem(last=False)
        return free_at - now
