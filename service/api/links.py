"""Links to resources: an absolute address, and the method where it is another one than GET."""

from urllib.parse import quote


def href(base: str, *path: str) -> str:
    """The address below `/v3` at these segments, which may hold any characters. `base` is what stands before `/v3`."""
    return f"{base}/v3/" + "/".join(quote(segment, safe="") for segment in path)


def to(base: str, *path: str) -> dict[str, str]:
    return {"href": href(base, *path)}


def action(base: str, *path: str) -> dict[str, str]:
    """To what is done by a POST."""
    return {"href": href(base, *path), "method": "POST"}
