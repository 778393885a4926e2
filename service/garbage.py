"""The garbage collector's tuning, all of it: memory here is a large set of records that stay, and next to no cycles.

Reference counting frees nearly everything at once. What is left for the collector is to look through all that there is
for cycles, again and again, and each look is a pause for everybody.
"""

import ctypes
import gc


def prepare() -> None:
    """Before anything is loaded: what is there now stays, and looks for cycles are to be rare."""
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
