"""Texts that somebody else writes, cut to what may be kept of them, and how many things there may be of a kind.

Annotations and Pod templates hold texts of a megabyte, and everything of every tenant is in the memory of each replica.
A text that was cut ends in `…`, and is exactly as long as one may be. So it can be seen that it was cut, and sent back:
what is sent back as it was shown changes nothing.
"""

LONGEST_COMMAND = 4096
"""Characters, as many as the API accepts."""
LONGEST_ENDPOINT = 255
"""Characters of the path of a health check, likewise."""
LONGEST_NAME = 255
"""Characters of names and GUIDs that no rule of Kubernetes keeps short."""
LONGEST_REASON = 1000
"""Characters of what Kubernetes says: it goes into a header, and an admission webhook may say anything."""

MOST_LABELS = 100
"""Labels of its Pods by which a Deployment is found, and pairs of a Service's selector: a Service that asks for more
selects nothing that is known here. Kubernetes limits neither, and each is looked at for each of the others."""
MOST_PORTS = 250
"""Ports of a Service, and named ports of a Deployment's Pods."""
MOST_SIDECARS = 250
"""Containers beside an app: each is a resource."""

CUT = "…"


def shortened(text: str, longest: int) -> str:
    """The text, or the beginning of one that has more characters."""
    return text if len(text) <= longest else text[: longest - 1] + CUT


def is_shortened(text: str, longest: int) -> bool:
    """Whether this is all that is known of a longer text."""
    return len(text) == longest and text.endswith(CUT)


def name_or_none(text: str | None, longest: int = LONGEST_NAME) -> str | None:
    """A name that stands for something else: None where it is empty or too long, as half of it would mean nothing."""
    return text if text and len(text) <= longest else None
