"""Memory that nobody uses goes back to the system."""

import os
import platform

import pytest

from bench.machine import resident_bytes
from rgate.engines.memory import give_back


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has no malloc_trim")
def test_what_is_free_between_what_is_used_goes_back() -> None:
    pieces = [bytes(9000) for _ in range(6000)]
    kept = pieces[::100]
    held = resident_bytes(os.getpid())
    del pieces
    give_back()
    assert resident_bytes(os.getpid()) < held - 6000 * 9000 / 2
    assert len(kept) == 60
