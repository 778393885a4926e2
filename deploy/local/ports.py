"""Free loopback ports that stay free: several stacks may start on one machine at the same moment."""

import random
import socket

from .errors import LocalStackError

# Below the kernel's ephemeral range (32768 on), where any outgoing connection could take a port between a stop and
# the next start of the program that owns it.
_FIRST, _LAST, _SIZE = 20000, 29984, 16


class PortBlock:
    """Consecutive free ports. The first is held for the block's life, as the claim that other stacks run into."""

    def __init__(self) -> None:
        for base in random.sample(range(_FIRST, _LAST, _SIZE), k=100):
            claim = _bind(base)
            if claim is None:
                continue
            if all(is_free(port) for port in range(base + 1, base + _SIZE)):
                self._claim = claim
                self._next = base + 1
                return
            claim.close()
        raise LocalStackError(f"no {_SIZE} free ports in a row between {_FIRST} and {_LAST} on 127.0.0.1")

    def take(self) -> int:
        """The next port of the block: each is handed out once."""
        self._next += 1
        return self._next - 1

    def close(self) -> None:
        self._claim.close()


def is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1:port now."""
    held = _bind(port, reuse=True)
    if held is None:
        return False
    held.close()
    return True


def _bind(port: int, *, reuse: bool = False) -> socket.socket | None:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if reuse:
        # As servers do: connections of a former server in TIME_WAIT do not count as taken.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(("127.0.0.1", port))
    except OSError:
        bound.close()
        return None
    return bound
