"""Numbers, amounts and times as people read them."""

from collections.abc import Callable
from datetime import UTC, datetime

from service.model.times import SECOND, microseconds, timestamp

KIB = 1024
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_MEASURES = ((86400 * 365, "year"), (86400 * 30, "month"), (86400, "day"), (3600, "hour"), (60, "minute"))


def now() -> int:
    """In the model's unit."""
    return microseconds(datetime.now(UTC))


def amount(number: int | None) -> str:
    """Bytes in the largest unit that leaves a number of 1 or more: three figures, and no more than are known."""
    if number is None:
        return "no limit"
    value, unit = float(number), 0
    # What rounds to 1024 of one unit is 1 of the next.
    while round(value, 1) >= KIB and unit < len(_UNITS) - 1:
        value, unit = value / KIB, unit + 1
    text = f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"
    return f"{text.removesuffix('.0')} {_UNITS[unit]}"


def mebibytes(number: int) -> str:
    """A limit in MiB, where 0 is none."""
    return amount(number * KIB * KIB or None)


def cores(nanos: int) -> str:
    """An amount of CPU as Kubernetes writes it: in thousandths below one core."""
    if nanos >= 1_000_000_000:
        return f"{nanos / 1_000_000_000:.2f}".rstrip("0").rstrip(".")
    thousandths = nanos / 1_000_000
    return f"{thousandths:.0f}m" if thousandths >= 1 or not nanos else "<1m"


def log_rate(number: int) -> str:
    return "unlimited" if number < 0 else f"{amount(number)}/s"


def count(number: int) -> str:
    """With separators."""
    return f"{number:,}"


def ago(moment: int, at: int) -> str:
    """How long before `at` a moment was: `3 days ago`. The script of the pages says the same as time goes on."""
    return f"{lasted(moment, at)} ago"


def lasted(moment: int, at: int) -> str:
    """How long it is from a moment to `at`, in one unit."""
    seconds = max(0, (at - moment) // SECOND)
    for length, name in _MEASURES:
        if seconds >= length:
            number = seconds // length
            return f"{number} {name}{'s' if number > 1 else ''}"
    return f"{seconds} s"


def exact(moment: int) -> str:
    """`2006-01-02 15:04:05 UTC`, for titles."""
    return timestamp(moment).replace("T", " ").replace("Z", " UTC")


def short(guid: str) -> str:
    """Enough of a UUID to tell it from others on the page; other GUIDs as they are, unless they are long."""
    return guid[:8] if len(guid) == 36 and guid.count("-") == 4 else guid if len(guid) <= 24 else f"{guid[:23]}…"


def image(reference: str) -> str:
    """An image without its registry and with a short digest, as it is told from others."""
    name, at, digest = reference.partition("@")
    host, slash, rest = name.partition("/")
    if slash and ("." in host or ":" in host or host == "localhost"):
        name = rest
    return f"{name}@{digest.rpartition(':')[2][:12]}" if at else name


FILTERS: dict[str, Callable[..., str]] = {
    "amount": amount,
    "mebibytes": mebibytes,
    "cores": cores,
    "log_rate": log_rate,
    "count": count,
    "ago": ago,
    "lasted": lasted,
    "exact": exact,
    "timestamp": timestamp,
    "short": short,
    "image": image,
}
