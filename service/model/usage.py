"""One sample of what a container uses."""

import msgspec

from service.model.quantity import NANOS


class Usage(msgspec.Struct, frozen=True, gc=False):
    sampled_at: int
    cpu_nanos: int
    """Billionths of a core."""
    memory: int
    """Bytes."""

    @property
    def cpu(self) -> float:
        """Cores."""
        return self.cpu_nanos / NANOS

    def entitlement(self, requested_nanos: int | None) -> float | None:
        """The CPU used of that asked for; None where none was."""
        return self.cpu_nanos / requested_nanos if requested_nanos else None
