"""Says on a terminal what takes longer than a second, and nothing elsewhere (behaviour 9)."""

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Final

_PATIENCE_S: Final = 1.0
_CLEAR: Final = "\r\x1b[K"


@contextlib.contextmanager
def told_if_slow(what: str, patience_s: float = _PATIENCE_S) -> Iterator[None]:
    """Write *what* to standard error while it goes on for longer than *patience_s*, and take it away then."""
    if not sys.stderr.isatty():
        yield
        return
    stderr, said = sys.stderr, threading.Event()

    def say() -> None:
        said.set()
        stderr.write(f"rgate: {what} …")
        stderr.flush()

    timer = threading.Timer(patience_s, say)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        if said.is_set():
            stderr.write(_CLEAR)
            stderr.flush()
