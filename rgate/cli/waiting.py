"""Says on a terminal what takes longer than a second, and nothing elsewhere (behaviour 9).

    @told_if_slow("asking Docker")                  # a function, or a part of one:
    with told_if_slow(f"asking {url}"): …

What begins meanwhile is a part of it, and is not told by itself.
"""

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Final, TextIO

from rgate.core.escape import in_one_line

_PATIENCE_S: Final = 1.0
_telling: Final = threading.Lock()


@contextlib.contextmanager
def told_if_slow(what: str, patience_s: float = _PATIENCE_S) -> Iterator[None]:
    """Write *what* to standard error while it goes on for longer than *patience_s*, and take it away then."""
    if not sys.stderr.isatty() or not _telling.acquire(blocking=False):
        yield
        return
    try:
        with _told(f"rgate: {in_one_line(what)} …", sys.stderr, patience_s):
            yield
    finally:
        _telling.release()


@contextlib.contextmanager
def _told(line: str, terminal: TextIO, patience_s: float) -> Iterator[None]:
    said = threading.Event()

    def say(text: str) -> None:
        said.set()
        terminal.write(text)
        terminal.flush()

    timer = threading.Timer(patience_s, say, (line,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        if said.is_set():
            say(f"\r{' ' * len(line)}\r")  # any terminal knows that
