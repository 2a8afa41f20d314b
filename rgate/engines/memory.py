"""Memory that nobody uses any more, given back to the system."""

import contextlib
from typing import Final

GIVE_BACK_S: Final = 60.0
"""So often it is worth the few milliseconds that it takes."""


def give_back() -> None:
    """Give free memory back, as far as this system's C library can (malloc_trim of glibc).

    By itself glibc gives back only what is free at the end of a heap. What threads leave free in between adds
    up over hours: 26 MiB beside 24 that were used, after ten minutes of mixed traffic.
    """
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0))
