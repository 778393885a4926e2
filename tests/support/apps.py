"""What tests call apps of their own, people with rights, and the two addresses of a process."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

Address = Literal["by guid", "by app and type"]

MakeApp = Callable[..., Awaitable[str]]
PathTo = Callable[[str, str], str]


@dataclass
class Users:
    """Tokens of people with different rights; the `api` fixture's own user may do everything everywhere."""

    operator: str
    """May do everything in the test's own space."""
    viewer: str
    """May read the test's own space."""
    stranger: str
    """May read another space."""
    nobody: str
    """Is known to the cluster and may do nothing."""
