"""A lock on a directory, among all processes that keep figures there."""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

WITHIN_S: Final = 5.0
_PAUSE_S: Final = 0.01


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold a lock on *directory*: no other process makes, removes or renames files there meanwhile. Raises
    OSError, also where another keeps it for long: any program may lock a directory.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    until_s = time.monotonic() + WITHIN_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() >= until_s:
                raise TimeoutError(errno.ETIMEDOUT, "another process keeps its directory locked") from error
        time.sleep(_PAUSE_S)
