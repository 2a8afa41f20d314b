"""The file of a SQLite database, seen beside SQLite: whether it is still the one that was opened, and how
it is set aside (behaviour 7).

SQLite has pages in memory and in its write-ahead log. So it may not notice for hours that the file was
overwritten, or is no longer under its name; and what it writes then goes nowhere, or into what is
somebody else's.
"""

import contextlib
import os
import secrets
import stat
import threading
import time
from pathlib import Path
from typing import Final, NamedTuple

from rgate.stats.locking import locked

# The fields of a database's first page: https://www.sqlite.org/fileformat.html#the_database_header
_MAGIC: Final = b"SQLite format 3\0"
_APPLICATION_ID: Final = slice(68, 72)
_HEADER_BYTES: Final = 100

_OF_RGATE: Final = 0x7267 << 16  # "rg", and a number of the database's own
_MODE: Final = 0o640  # SQLite gives the same to what it puts beside the file
_NAMED_AS_ONE: Final = (".db", ".sqlite", ".sqlite3")
_BESIDE: Final = ("-wal", "-shm", "-journal")


EMPTY: Final = -2
NO_DATABASE: Final = -1


class Seen(NamedTuple):
    """What stands at the path. *mark*: the application id of a SQLite database, or EMPTY, or NO_DATABASE."""

    device: int
    inode: int
    mark: int


def new_mark() -> int:
    """Return a mark for a new database: that of another rgate is another."""
    return _OF_RGATE + 1 + secrets.randbelow(0xFFFF)


def was_rgates(path: Path, seen: Seen | None) -> bool:
    """Whether what is broken, or no database, at *path* was a database of rgate's, as far as one can tell: by
    its mark, or by its name where it has no mark any more.
    """
    mark = NO_DATABASE if seen is None else seen.mark
    if mark > 0:
        return mark & ~0xFFFF == _OF_RGATE
    return path.suffix in _NAMED_AS_ONE


class _Descriptors:
    """Descriptors to look into databases with, one for each file.

    To close any descriptor of a file ends all locks that the process has on it, those of SQLite too: so one
    is closed only after all connections are (https://www.sqlite.org/howtocorrupt.html 2.2).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[tuple[int, int], tuple[int, int]] = {}  # the descriptor, and how many use it

    def take(self, path: Path, status: os.stat_result) -> int:
        """Return a descriptor of the file at *path*, which has this *status*. Raises OSError."""
        key = (status.st_dev, status.st_ino)
        with self._lock:
            descriptor, users = self._open.get(key, (-1, 0))
            if not users:
                descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            self._open[key] = (descriptor, users + 1)
        return descriptor

    def give_back(self, key: tuple[int, int]) -> None:
        """Use the descriptor of a file no longer."""
        with self._lock:
            descriptor, users = self._open.pop(key)
            if users > 1:
                self._open[key] = (descriptor, users - 1)
            else:
                os.close(descriptor)


_DESCRIPTORS: Final = _Descriptors()


class DatabaseFile:
    """The file at *path*, an absolute one without links, and those that SQLite puts beside it. Used by one
    thread at a time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: Seen | None = None
        self._mark = EMPTY  # the one that the database says it has; it may be in the log only
        self._beside: dict[str, int] = {}  # the inodes of what belongs to the known file
        self._descriptors: dict[tuple[int, int], int] = {}

    def make(self) -> None:
        """Make an empty file where there is none, for its owner and group at most. Raises OSError."""
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE))

    def look(self) -> Seen | None:
        """Return what is at the path now; None: nothing, or nothing that can be looked at."""
        try:
            status = _status(self.path)
            key = (status.st_dev, status.st_ino)
            if not stat.S_ISREG(status.st_mode):
                return Seen(*key, NO_DATABASE)
            if key not in self._descriptors:
                self._descriptors[key] = _DESCRIPTORS.take(self.path, status)
            header = os.pread(self._descriptors[key], _HEADER_BYTES, 0)
        except OSError:
            return None
        if not header.startswith(_MAGIC) or len(header) < _HEADER_BYTES:
            return Seen(*key, NO_DATABASE if header else EMPTY)
        return Seen(*key, int.from_bytes(header[_APPLICATION_ID], "big"))

    def know(self, mark: int) -> None:
        """Take what is there for the database, which says that it has this *mark*."""
        self._known, self._mark = self.look(), mark
        self._note_beside()

    def is_known(self) -> bool:
        """Whether what is there is what was taken for the database."""
        known, now = self._known, self.look()
        if known is None or now is None or known[:2] != now[:2] or now.mark not in (known.mark, self._mark):
            return False
        self._note_beside()
        return True

    def set_aside(self, seen: Seen | None) -> Path | None:
        """Rename the file, if *seen* is what is there, and what belongs to it. Raises OSError.

        Return its new name; None where it is not there any more. Connections have to be closed behind this:
        SQLite writes its log into the file before it closes the last one, unless it was moved.
        """
        end = f".aside-{time.strftime('%Y%m%dT%H%M%S')}-{secrets.token_hex(2)}"
        with locked(self.path.parent):
            is_there = seen is not None and seen == self.look()
            if is_there:
                self.path.rename(self.path.with_name(self.path.name + end))
            for name in _BESIDE:
                beside = self.path.with_name(self.path.name + name)
                inode = _inode(beside)
                # What belongs to a file that another process has put there meanwhile stays.
                if inode is not None and (is_there or inode == self._beside.get(name)):
                    beside.rename(beside.with_name(beside.name + end))
        self._known, self._beside = None, {}
        return self.path.with_name(self.path.name + end) if is_there else None

    @property
    def known(self) -> Seen | None:
        """What was taken for the database."""
        return self._known

    def close(self) -> None:
        """Look no more. All connections are closed."""
        for key in self._descriptors:
            _DESCRIPTORS.give_back(key)
        self._descriptors = {}

    def _note_beside(self) -> None:
        found = {name: _inode(self.path.with_name(self.path.name + name)) for name in _BESIDE}
        self._beside |= {name: inode for name, inode in found.items() if inode is not None}


def _status(path: Path) -> os.stat_result:
    """Return the status of the file at *path*, or of a link there that leads nowhere. Raises OSError."""
    try:
        return path.stat()
    except OSError:
        return path.lstat()


def _inode(path: Path) -> int | None:
    try:
        return path.lstat().st_ino
    except OSError:
        return None
