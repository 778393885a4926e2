"""How memory is given back, all of it: memory here is a large set of records that stay, and next to no cycles.

Reference counting frees nearly everything at once. What is left for the collector is to look through all that there is
for cycles, again and again, and each look is a pause for everybody.
"""

import ctypes
import gc

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt."""
_LARGE = 128 * 1024
"""Bytes of what is given back to the system as soon as it is freed."""
_SPARE = 16 << 20
"""Bytes that are kept for what comes next."""


def prepare() -> None:
    """Before anything is loaded: what is there now stays, and looks for cycles are to be rare."""
    # Else glibc takes the largest it has seen freed for something to keep: a hundred lists, once, stay for ever.
    if set_option := getattr(ctypes.CDLL(None), "mallopt", None):
        set_option(_MMAP_THRESHOLD, _LARGE)
        set_option(_TRIM_THRESHOLD, _SPARE)
    gc.collect()
    gc.freeze()
    # A look at what is young goes through all that it holds, and while 100,000 processes come in, their dictionaries
    # are young: it would be a pause of 20 ms and more.
    gc.set_threshold(500_000, 20, 50)


def loaded() -> None:
    """Everything has been loaded, and stays: the collector need not look through it any more."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    _give_back()


def _give_back() -> None:
    """Give back to the system what loading has freed in between of what stays: the GNU C library would keep it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
