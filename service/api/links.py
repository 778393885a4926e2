"""Links to resources: an absolute address, and the method where it is another one than GET."""

from urllib.parse import quote


def quoted(segment: str) -> str:
    """A segment of an address, which may hold any characters; a GUID stands there as it is."""
    return segment if segment.isascii() and segment.replace("-", "").isalnum() else quote(segment, safe="")


def href(base: str, *path: str) -> str:
    """The address below `/v3` at these segments, which may hold any characters. `base` is what stands before `/v3`."""
    return f"{base}/v3/" + "/".join(quoted(segment) for segment in path)


def to(base: str, *path: str) -> dict[str, str]:
    return {"href": href(base, *path)}


def action(base: str, *path: str) -> dict[str, str]:
    """To what is done by a POST."""
    return {"href": href(base, *path), "method": "POST"}
