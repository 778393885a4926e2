"""Kubernetes quantities (`64Mi`, `1.5G`, `128974848000m`, `1e9`) as whole bytes, or whole billionths.

Grammar: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

import re
from decimal import ROUND_CEILING, Decimal, localcontext
from functools import lru_cache

MEBIBYTE = 1 << 20
NANOS = 1_000_000_000
MAXIMUM = (1 << 63) - 1
"""Where Kubernetes itself caps a quantity."""

# The exponent is held to two digits: "1e999999999" would otherwise take minutes to turn into an integer.
_QUANTITY = re.compile(r"(\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d{1,2}))?", re.ASCII)
_SUFFIX = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", start=1)},
    **{suffix + "i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", start=1)},
}


@lru_cache(maxsize=4096)
def parse_quantity(text: str) -> int:
    """Whole units, rounded up as Kubernetes does, at most 2^63-1. Raises ValueError for no amount, or below zero."""
    return _parse(text, 1)


@lru_cache(maxsize=4096)
def parse_nanos(text: str) -> int:
    """The quantity in billionths of a unit: an amount of CPU is often a small part of a core. Raises ValueError."""
    return _parse(text, NANOS)


def _parse(text: str, scale: int) -> int:
    match = _QUANTITY.fullmatch(text.removeprefix("+"))
    if match is None:
        raise ValueError(f"{text[:40]!r} is not an amount")
    number, suffix, exponent = match.groups()
    with localcontext(prec=120):
        amount = Decimal(number)
        if suffix:
            amount *= _SUFFIX[suffix]
        elif exponent:
            amount = amount.scaleb(int(exponent))
        return min(int((amount * scale).to_integral_value(ROUND_CEILING)), MAXIMUM)


@lru_cache(maxsize=4096)
def mebibytes(text: str) -> int:
    """The quantity in MiB, rounded up."""
    return -(-parse_quantity(text) // MEBIBYTE)
