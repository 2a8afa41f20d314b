"""The counts of the last moments, in a memory-mapped file: what is written there outlives SIGKILL.

A file belongs to one process, which holds a lock on it while it lives. It has two arenas: one is
counted into while the other is folded into the database. An arena has a generation, which the
database remembers with what it took: so folding an arena again, after a crash between the two
steps, changes nothing. Numbers are in the machine's own byte order, as the file never leaves it.

    file   = head, arena, arena
    head   = magic, id of the file                                       (4096 bytes)
    arena  = generation, rows used, bytes of labels used                 (64 bytes)
             labels: each its length, its CRC-32, and a JSON list        (LABEL_BYTES)
             rows: label, minute (u32), sum in ns (u64),
                   how many latencies in each bucket (u32 each)          (ROWS times)

A row is one minute of one label, with all its buckets, so that counting is two additions at known
places and never a search. A row is written before it is counted as used, a label before the row
that names it: whenever the process is killed, what is marked as used is whole.
"""

import errno
import fcntl
import json
import logging
import mmap
import os
import re
import secrets
import stat
import struct
import zlib
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from rgate.stats.figures import Label
from rgate.stats.histogram import BUCKETS, SUB_BUCKET_BITS, Histogram
from rgate.stats.locking import locked

ROWS: Final = 512
LABEL_BYTES: Final = 1 << 18

_NAME: Final = b"rgateLF"
_MAGIC: Final = struct.pack("=7sBI", _NAME, 3, 0x01020304)  # the number tells the byte order
# Its labels have no reason. All else is the same.
_MAGIC_BEFORE: Final = struct.pack("=7sBI", _NAME, 2, 0x01020304)
_HEAD_BYTES: Final = 4096
_ARENA_HEAD_BYTES: Final = 64
_ROW_HEAD_BYTES: Final = 16
_ROW_BYTES: Final = _ROW_HEAD_BYTES + 4 * BUCKETS
_ARENA_BYTES: Final = _ARENA_HEAD_BYTES + LABEL_BYTES + ROWS * _ROW_BYTES
FILE_BYTES: Final = _HEAD_BYTES + 2 * _ARENA_BYTES

_GENERATION, _ROWS_USED, _LABEL_BYTES_USED = range(3)
_EMPTY_ROW: Final = bytes(_ROW_BYTES)
_EMPTY_COUNTS: Final = bytes(4 * BUCKETS)
_OCTAVE: Final = 1 << SUB_BUCKET_BITS
_EMPTY_OCTAVE: Final = bytes(4 * _OCTAVE)
_LABEL_HEAD: Final = struct.Struct("=II")
_MOST_MINUTES: Final = 1 << 32
_MOST_LOOKS: Final = 3

_log: Final = logging.getLogger("rgate")

Counts = dict[tuple[int, Label], Histogram]
"""Histograms by minute (since the epoch) and label."""


class Key(NamedTuple):
    """What a row counts. Plain tuples of the same shape are equal to it, and faster to make."""

    minute: int
    route: str
    backend: str
    container: str
    status: int
    cut: bool
    reason: str

    @property
    def label(self) -> Label:
        """What tells it from others of the same minute."""
        return Label(*self[1:])


class TornError(Exception):
    """A live file holds what no rgate wrote there: a torn write, or another program's."""


class Row:
    """One minute of one label, in an arena's buffer. Counting is `sum[0] += ns; counts[bucket] += 1`."""

    __slots__ = ("counts", "head", "sum")

    def __init__(self, buffer: memoryview) -> None:
        self.head = buffer[:8].cast("I")  # label, minute
        self.sum = buffer[8:_ROW_HEAD_BYTES].cast("Q")
        self.counts = buffer[_ROW_HEAD_BYTES:].cast("I")

    def histogram(self) -> Histogram:
        """Return what was counted here."""
        written = self.counts.tobytes()
        octaves = [  # most powers of two are empty, and passed over at once
            first
            for first in range(0, BUCKETS, _OCTAVE)
            if written[4 * first : 4 * (first + _OCTAVE)] != _EMPTY_OCTAVE
        ]
        if not octaves:
            return Histogram()
        counts = array("Q", self.counts[octaves[0] : octaves[-1] + _OCTAVE].tolist())
        return Histogram.of_counts(octaves[0], counts, self.sum[0])


class Arena:
    """A fixed number of rows in a buffer, and a dictionary for what does not fit in. Not locked.

    *spill* is not in the buffer: only as long as the process lives.
    """

    def __init__(self, live_id: str, buffer: memoryview, generation: int | None = None) -> None:
        """Take *buffer* as it is, or empty it for *generation*. Raises TornError."""
        self.live_id = live_id
        self.rows: dict[tuple[int, str, str, str, int, bool, str], Row] = {}
        self.spill: dict[Key, Histogram] = {}
        self._label_numbers: dict[Label, int] = {}
        labels_end = _ARENA_HEAD_BYTES + LABEL_BYTES
        self._head = buffer[:_ARENA_HEAD_BYTES].cast("Q")
        self._labels = buffer[_ARENA_HEAD_BYTES:labels_end]
        self._row_bytes = buffer[labels_end:_ARENA_BYTES]
        if generation is None:
            self._read()
        else:
            self.begin(generation)

    @classmethod
    def in_memory(cls, live_id: str, generation: int) -> "Arena":
        """Return an empty one that ends with the process."""
        return cls(live_id, memoryview(bytearray(_ARENA_BYTES)), generation)

    def __repr__(self) -> str:
        return f"<Arena {self.live_id}, generation {self.generation}: {len(self.rows)} rows>"

    @property
    def generation(self) -> int:
        """Which filling of an arena of this file this is; grows with each."""
        return self._head[_GENERATION]

    @property
    def is_empty(self) -> bool:
        """Whether nothing was counted here."""
        return not self.rows and not self.spill

    def begin(self, generation: int) -> None:
        """Forget everything, and be the arena of *generation*."""
        self._head[_ROWS_USED] = 0
        self._head[_LABEL_BYTES_USED] = 0
        self._head[_GENERATION] = generation
        self.rows = {}
        self.spill = {}
        self._label_numbers = {}

    def add_row(self, key: Key, bucket: int, latency_ns: int) -> bool:
        """Count a latency in a new row; False where it does not fit in."""
        number = len(self.rows)
        if number == ROWS or not 0 <= key.minute < _MOST_MINUTES or latency_ns >> 64:
            return False
        if not self._has_label(key.label):
            return False
        buffer = self._row_bytes[number * _ROW_BYTES : (number + 1) * _ROW_BYTES]
        buffer[:] = _EMPTY_ROW
        row = Row(buffer)
        row.head[0], row.head[1] = self._label_numbers[key.label], key.minute
        row.sum[0] = latency_ns
        row.counts[bucket] = 1
        self._head[_ROWS_USED] = number + 1
        self.rows[key] = row
        return True

    def add_spill(self, key: Key, bucket: int, latency_ns: int) -> None:
        """Count a latency in memory only."""
        self.spill.setdefault(key, Histogram()).add(bucket, 1, latency_ns)

    def _has_label(self, label: Label) -> bool:
        """Write *label* down where it is new; False where it does not fit in."""
        if label in self._label_numbers:
            return True
        text = json.dumps(label).encode()
        start = self._head[_LABEL_BYTES_USED]
        end = start + _LABEL_HEAD.size + len(text)
        if end > LABEL_BYTES:
            return False
        self._labels[start:end] = _LABEL_HEAD.pack(len(text), zlib.crc32(text)) + text
        self._head[_LABEL_BYTES_USED] = end
        self._label_numbers[label] = len(self._label_numbers)
        return True

    def histograms(self) -> Counts:
        """Return all that was counted here."""
        histograms: Counts = {}
        for (minute, *label), row in self.rows.items():
            histograms[minute, Label(*label)] = row.histogram()  # type: ignore[arg-type]  # a Key's fields
        for key, spilt in self.spill.items():
            histograms.setdefault((key.minute, key.label), Histogram()).merge(spilt)
        return histograms

    def _read(self) -> None:
        """Find again what the buffer holds. Raises TornError."""
        labels = list(self._read_labels())
        self._label_numbers = {label: number for number, label in enumerate(labels)}
        used = self._head[_ROWS_USED]
        if used > ROWS:
            raise TornError(f"{used} rows are used, of {ROWS}")
        for number in range(used):
            row = Row(self._row_bytes[number * _ROW_BYTES : (number + 1) * _ROW_BYTES])
            label, minute = row.head
            if label >= len(labels) or row.counts.tobytes() == _EMPTY_COUNTS:
                raise TornError(f"row {number} is of no label, or counts nothing")
            self.rows[Key(minute, *labels[label])] = row
        if len(self.rows) != used:
            raise TornError("two rows count the same")

    def _read_labels(self) -> Iterator[Label]:
        used = self._head[_LABEL_BYTES_USED]
        if used > LABEL_BYTES:
            raise TornError(f"{used} bytes of labels are used, of {LABEL_BYTES}")
        start = 0
        while start < used:
            if start + _LABEL_HEAD.size > used:
                raise TornError("the last label is cut off")
            length, checksum = _LABEL_HEAD.unpack_from(self._labels, start)
            start += _LABEL_HEAD.size
            text = bytes(self._labels[start : start + length])
            if start + length > used or zlib.crc32(text) != checksum:
                raise TornError("a label does not match its checksum")
            start += length
            yield _label(text)


def _label(text: bytes) -> Label:
    """Return the label that *text* holds. Raises TornError."""
    try:
        label = Label(*json.loads(text))
    except (ValueError, TypeError, RecursionError) as error:
        raise TornError("a label is none") from error
    if any(
        type(value) is not kind for value, kind in zip(label, Label.__annotations__.values(), strict=True)
    ):
        raise TornError("a label has values of other types")
    return label


class LiveFile:
    """One such file, mapped and locked by this process until `close` or `remove`."""

    def __init__(self, path: Path, descriptor: int, live_id: str, arenas: tuple[Arena, Arena]) -> None:
        self.path = path
        self.live_id = live_id
        self.arenas = arenas
        self._descriptor = descriptor

    def __repr__(self) -> str:
        return f"<LiveFile {self.path.name}>"

    @classmethod
    def create(cls, prefix: Path) -> "LiveFile":
        """Make a new one, named after *prefix*. Raises OSError, such as where the disk is full."""
        live_id = secrets.token_hex(8)
        path = Path(f"{prefix}.live-{live_id}")
        with locked(path.parent):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Writing to a mapped page that the disk has no room for is SIGBUS, the end of the
                # process. So all room is taken now, where its lack is an error that can be told.
                os.posix_fallocate(descriptor, 0, FILE_BYTES)
                buffer = memoryview(mmap.mmap(descriptor, FILE_BYTES))
            except OSError:
                os.close(descriptor)
                path.unlink()
                raise
        arenas = _arenas(live_id, buffer, new=True)
        head = _MAGIC + live_id.encode()
        buffer[: len(head)] = head
        return cls(path, descriptor, live_id, arenas)

    @property
    def is_whole(self) -> bool:
        """Whether it has its length: nothing may touch the map of one that another process shortened."""
        found = self._found()
        return found is None or found.st_size == FILE_BYTES

    @property
    def is_removed(self) -> bool:
        """Whether it has no name any more, so that nobody finds it once this process is killed."""
        found = self._found()
        return found is not None and found.st_nlink == 0

    def _found(self) -> os.stat_result | None:
        """Return how the file stands; None where it is closed, as a fold that outlasts the end meets it."""
        try:
            return os.fstat(self._descriptor)
        except OSError:
            return None

    def remove(self) -> None:
        """Delete it: all that it held is in the database."""
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let go of it. It stays, and the next start folds what it holds."""
        if self._descriptor >= 0:
            # The map keeps a duplicate of the descriptor, and with it the lock.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = -1


class Odd(NamedTuple):
    """A file that has the name of a live file and cannot be read as one."""

    path: Path
    why: str


def leftovers(prefix: Path) -> tuple[list[LiveFile], list[Odd]]:
    """Return the files of processes that ended without folding them, locked; and what is no such file.

    One that is damaged is renamed to end with `.torn`, and told of. Raises OSError.
    """
    with locked(prefix.parent):
        found = [_leftover(path, live_id) for path, live_id in _live_files(prefix)]
    return (
        [one for one in found if isinstance(one, LiveFile)],
        [one for one in found if isinstance(one, Odd)],
    )


def unfolded_of_others(prefix: Path, own_live_id: str) -> Iterator[tuple[Path, str, int, Counts]]:
    """Yield (file, live id, generation, counts) of what other processes counted up to now.

    They count on meanwhile: what is marked as used is whole at any moment. An arena that is emptied
    while it is read is in the database by then, under its generation.
    """
    for path, live_id in _live_files(prefix):
        if live_id == own_live_id:
            continue
        for _ in range(_MOST_LOOKS):
            try:
                arenas = _look(path, live_id)
                counted = [(arena.generation, arena.histograms()) for arena in arenas]
            except (OSError, TornError, ValueError):  # emptied, removed or just being made: look again
                continue
            yield from ((path, live_id, generation, counts) for generation, counts in counted)
            break


def _live_files(prefix: Path) -> list[tuple[Path, str]]:
    """Return what is named as a live file, with the id in its name."""
    named = re.compile(re.escape(prefix.name) + r"\.live-([0-9a-f]{16})")
    matched = ((path, named.fullmatch(path.name)) for path in sorted(prefix.parent.iterdir()))
    return [(path, name[1]) for path, name in matched if name is not None]


def _look(path: Path, live_id: str) -> tuple[Arena, Arena]:
    """Return the arenas of a file that belongs to somebody else, to be read only."""
    descriptor = _open(path, os.O_RDONLY)
    try:
        return _arenas(live_id, _read(descriptor), new=False)
    finally:
        os.close(descriptor)


def _open(path: Path, flags: int) -> int:
    """Open the file at *path*. Raises OSError, also where it is none: a pipe would be waited for."""
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no file")
    return descriptor


def _read(descriptor: int) -> memoryview:
    """Return what a live file holds, as far as it is used: read, not mapped, as a map of what another process
    shortens meanwhile is SIGBUS. Raises OSError, and TornError.
    """
    size = os.fstat(descriptor).st_size
    if size != FILE_BYTES:
        raise TornError(f"it has {size} bytes, not {FILE_BYTES}")
    # In pages of its own: only what is used takes room, and goes back to the system at once.
    buffer = memoryview(mmap.mmap(-1, FILE_BYTES))
    os.preadv(descriptor, [buffer[:_HEAD_BYTES]], 0)
    for start in (_HEAD_BYTES, _HEAD_BYTES + _ARENA_BYTES):
        head = buffer[start : start + _ARENA_HEAD_BYTES]
        os.preadv(descriptor, [head], start)
        _, rows, label_bytes, *_ = head.cast("Q")
        start += _ARENA_HEAD_BYTES
        for at, used in (
            (start, min(label_bytes, LABEL_BYTES)),
            (start + LABEL_BYTES, _ROW_BYTES * min(rows, ROWS)),
        ):
            os.preadv(descriptor, [buffer[at : at + used]], at)
    return buffer


def _leftover(path: Path, live_id: str) -> LiveFile | Odd | None:
    """Return the file at *path*; None where it is in use, holds nothing or is damaged."""
    try:
        descriptor = _open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    except OSError as error:
        return Odd(path, error.strerror or str(error))
    kept = False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.pread(descriptor, len(_MAGIC), 0).strip(b"\0") == b"":
            path.unlink()  # its process was killed while it made the file, so counted nothing in it
            return None
        kept = True
        return LiveFile(path, descriptor, live_id, _read_arenas(descriptor, live_id))
    except BlockingIOError:
        return None
    except (TornError, ValueError) as error:
        kept = False
        return _odd_unless_set_aside(path, str(error))
    except OSError as error:
        kept = False
        return Odd(path, error.strerror or str(error))
    finally:
        if not kept:
            os.close(descriptor)


def _odd_unless_set_aside(path: Path, why: str) -> Odd | None:
    try:
        set_aside(path, why)
    except OSError as error:  # as where it is another user's, or its new name is taken
        return Odd(path, error.strerror or str(error))
    return None


def set_aside(path: Path, why: str) -> None:
    """Rename the damaged live file at *path*, and tell of it. Raises OSError."""
    aside = path.with_name(path.name + ".torn")
    path.rename(aside)
    _log.error("live_file_torn file=%s why=%r set_aside=%s", path, why, aside)


def _read_arenas(descriptor: int, live_id: str) -> tuple[Arena, Arena]:
    buffer = _read(descriptor)
    begins = bytes(buffer[: len(_MAGIC) + len(live_id)])
    if begins not in (_MAGIC + live_id.encode(), _MAGIC_BEFORE + live_id.encode()):
        raise TornError("it does not begin as a live file does")
    return _arenas(live_id, buffer, new=False)


def _arenas(live_id: str, buffer: memoryview, *, new: bool) -> tuple[Arena, Arena]:
    start, middle = _HEAD_BYTES, _HEAD_BYTES + _ARENA_BYTES
    return (
        Arena(live_id, buffer[start:middle], 1 if new else None),
        Arena(live_id, buffer[middle:FILE_BYTES], 0 if new else None),
    )
