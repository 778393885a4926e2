"""The garbage collector's tuning, all of it: memory here is a large set of records that stay, and next to no cycles.

Reference counting frees nearly everything at once. What is left for the collector is to look through all that there is
for cycles, again and again, and each look is a pause for everybody.
"""

import ctypes
import gc

_NEXT_TO_NEVER = 1_000
"""Looks at what is young before one through all there is."""


def prepare() -> None:
    """Before anything is loaded: what is there now stays, and looks for cycles are to be rare."""
    gc.collect()
    gc.freeze()
    # By default a look through everything would come with each few thousand new objects, and so all through loading.
    gc.set_threshold(50_000, 20, _NEXT_TO_NEVER)


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
