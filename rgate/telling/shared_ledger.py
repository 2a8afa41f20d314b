"""The ledger that all workers write (core/ledger.py): a file in the directory that they share, which lives as
long as rgate does.
"""

import fcntl
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rgate.core.ledger import Ledger

log = logging.getLogger("rgate")

_WAIT_S: Final = 1.0
_PAUSE_S: Final = 0.005


class SharedLedger:
    """The ledger of all workers. Any thread may call.

    *directory*: which they share; None: there is one only, and it needs no file. *wait_s*: for so long a
    worker is waited for that has the file and hangs.
    """

    def __init__(self, directory: Path | None, wait_s: float = _WAIT_S) -> None:
        self._directory = directory
        self._wait_s = wait_s
        self._lock = threading.Lock()
        self._ledger = Ledger()

    def update(self, step: Callable[[Ledger], Ledger]) -> Ledger:
        """Put what *step* makes of the ledger in its place; return that. Never waits for long, never raises.

        Where the file cannot be read or written, this worker goes on by what it knows.
        """
        with self._lock:
            if self._directory is None:
                self._ledger = step(self._ledger)
                return self._ledger
            before = self._ledger
            try:
                self._update_file(self._directory / "ledger", step)
            except OSError as error:
                log.warning("metrics_not_shared error=%r", str(error))
                self._ledger = step(before)
            return self._ledger

    def _update_file(self, path: Path, step: Callable[[Ledger], Ledger]) -> None:
        with _locked(path.with_suffix(".lock"), self._wait_s):
            self._ledger = step(self._read(path))
            new = path.with_suffix(f".{os.getpid()}")
            new.write_text(json.dumps(self._ledger.as_json(), separators=(",", ":")), "ascii")
            new.replace(path)

    def _read(self, path: Path) -> Ledger:
        try:
            return Ledger.of_json(json.loads(path.read_bytes()))
        except FileNotFoundError:
            return self._ledger
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            log.error("metrics_ledger_unreadable file=%s error=%r", path, str(error))
            return self._ledger


@contextmanager
def _locked(path: Path, wait_s: float) -> Iterator[None]:
    """Hold a lock on *path*; who has it and hangs, is waited for only so long."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        until_s = time.monotonic() + wait_s
        while not _has_locked(descriptor) and time.monotonic() < until_s:
            time.sleep(_PAUSE_S)
        yield
    finally:
        os.close(descriptor)


def _has_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
