"""The counts of the last moments, in a memory-mapped file: what is written there outlives SIGKILL.

A file belongs to one process, which holds a lock on it while it lives. It has two arenas: one is
counted into while the other is folded into the database. An arena has a generation, which the
database remembers with what it took: so folding an arena again, after a crash between the two
steps, changes nothing. Numbers are in the machine's own byte order, as the file never leaves it.

    file   = head, arena, arena
    head   = magic, id of the file                                       (4096 bytes)
    arena  = generation, cells used, bytes of labels used                (64 bytes)
             labels: each its length, its CRC-32, and a JSON list        (LABEL_BYTES)
             columns of cells: label, minute, bucket (u32), count, sum in ns (u64)

A cell is written before it is counted as used, a label before the cell that names it: whenever the
process is killed, what is marked as used is whole.
"""

import fcntl
import json
import logging
import mmap
import os
import re
import secrets
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from rgate.stats.figures import Label
from rgate.stats.histogram import BUCKETS, Histogram

CELLS: Final = 32768
LABEL_BYTES: Final = 1 << 18

_MAGIC: Final = struct.pack("=7sBI", b"rgateLF", 1, 0x01020304)  # the number tells the byte order
_HEAD_BYTES: Final = 4096
_ARENA_HEAD_BYTES: Final = 64
_ARENA_BYTES: Final = _ARENA_HEAD_BYTES + LABEL_BYTES + CELLS * (3 * 4 + 2 * 8)
FILE_BYTES: Final = _HEAD_BYTES + 2 * _ARENA_BYTES

_GENERATION, _CELLS_USED, _LABEL_BYTES_USED = range(3)
_LABEL_HEAD: Final = struct.Struct("=II")
_MOST_MINUTES: Final = 1 << 32
_MOST_LOOKS: Final = 3

_log: Final = logging.getLogger("rgate")

Counts = dict[tuple[int, Label], Histogram]
"""Histograms by minute (since the epoch) and label."""


class Key(NamedTuple):
    """What a cell counts. Plain tuples of the same shape are equal to it, and faster to make."""

    minute: int
    route: str
    backend: str
    container: str
    status: int
    cut: bool
    bucket: int


class TornError(Exception):
    """A live file holds what no rgate wrote there: a torn write, or another program's."""


class Arena:
    """A fixed number of cells in a buffer, and a dictionary for what does not fit in. Not locked.

    `cells`, `counts` and `sums` are read and written directly where each microsecond counts.
    *spill* is not in the buffer: only as long as the process lives.
    """

    def __init__(self, live_id: str, buffer: memoryview, generation: int | None = None) -> None:
        """Take *buffer* as it is, or empty it for *generation*. Raises TornError."""
        self.live_id = live_id
        self.cells: dict[tuple[int, str, str, str, int, bool, int], int] = {}
        self.spill: dict[tuple[int, str, str, str, int, bool, int], list[int]] = {}
        self._label_numbers: dict[Label, int] = {}
        labels_end = _ARENA_HEAD_BYTES + LABEL_BYTES
        numbers_end = labels_end + 12 * CELLS
        self._head = buffer[:_ARENA_HEAD_BYTES].cast("Q")
        self._labels = buffer[_ARENA_HEAD_BYTES:labels_end]
        numbers = buffer[labels_end:numbers_end].cast("I")
        self._cell_labels, self._minutes = numbers[:CELLS], numbers[CELLS : 2 * CELLS]
        self._buckets = numbers[2 * CELLS :]
        long_numbers = buffer[numbers_end:_ARENA_BYTES].cast("Q")
        self.counts, self.sums = long_numbers[:CELLS], long_numbers[CELLS:]
        if generation is None:
            self._read()
        else:
            self.begin(generation)

    @classmethod
    def in_memory(cls, live_id: str, generation: int) -> "Arena":
        """Return an empty one that ends with the process."""
        return cls(live_id, memoryview(bytearray(_ARENA_BYTES)), generation)

    def __repr__(self) -> str:
        return f"<Arena {self.live_id}, generation {self.generation}: {len(self.cells)} cells>"

    @property
    def generation(self) -> int:
        """Which filling of an arena of this file this is; grows with each."""
        return self._head[_GENERATION]

    @property
    def is_empty(self) -> bool:
        """Whether nothing was counted here."""
        return not self.cells and not self.spill

    def begin(self, generation: int) -> None:
        """Forget everything, and be the arena of *generation*."""
        self._head[_CELLS_USED] = 0
        self._head[_LABEL_BYTES_USED] = 0
        self._head[_GENERATION] = generation
        self.cells = {}
        self.spill = {}
        self._label_numbers = {}

    def add_cell(self, key: Key, latency_ns: int) -> bool:
        """Count *latency_ns* in a new cell; False where it does not fit in."""
        cell = len(self.cells)
        label = Label(*key[1:6])
        if cell == CELLS or not 0 <= key.minute < _MOST_MINUTES or not self._has_label(label):
            return False
        self._cell_labels[cell] = self._label_numbers[label]
        self._minutes[cell] = key.minute
        self._buckets[cell] = key.bucket
        self.counts[cell] = 1
        self.sums[cell] = latency_ns
        self._head[_CELLS_USED] = cell + 1
        self.cells[key] = cell
        return True

    def add_spill(self, key: Key, latency_ns: int) -> None:
        """Count *latency_ns* in memory only."""
        counted = self.spill.setdefault(key, [0, 0])
        counted[0] += 1
        counted[1] += latency_ns

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
        used = len(self.cells)
        counted = zip(self.cells, self.counts[:used].tolist(), self.sums[:used].tolist(), strict=True)
        spilt = ((key, count, sum_ns) for key, (count, sum_ns) in self.spill.items())
        histograms: Counts = {}
        for rows in (counted, spilt):
            for (minute, *label, bucket), count, sum_ns in rows:
                where = (minute, Label(*label))  # type: ignore[arg-type]  # five of a Key's fields
                histograms.setdefault(where, Histogram()).add(bucket, count, sum_ns)
        return histograms

    def _read(self) -> None:
        """Find again what the buffer holds. Raises TornError."""
        labels = list(self._read_labels())
        self._label_numbers = {label: number for number, label in enumerate(labels)}
        used = self._head[_CELLS_USED]
        if used > CELLS:
            raise TornError(f"{used} cells are used, of {CELLS}")
        for cell in range(used):
            label, bucket = self._cell_labels[cell], self._buckets[cell]
            if label >= len(labels) or bucket >= BUCKETS or not 0 < self.counts[cell] < 1 << 60:
                raise TornError(f"cell {cell} is out of range")
            self.cells[Key(self._minutes[cell], *labels[label], bucket)] = cell
        if len(self.cells) != used:
            raise TornError("two cells count the same")

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
            yield Label(*json.loads(text))


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
        with _locked(path.parent):
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


def leftovers(prefix: Path) -> list[LiveFile]:
    """Return the files of processes that ended without folding them, locked. Raises OSError.

    One that is damaged is renamed to end with `.torn`, and told of.
    """
    named = re.compile(re.escape(prefix.name) + r"\.live-[0-9a-f]{16}")
    with _locked(prefix.parent):
        paths = sorted(path for path in prefix.parent.iterdir() if named.fullmatch(path.name))
        return [found for path in paths if (found := _leftover(path)) is not None]


def unfolded_of_others(prefix: Path, own_live_id: str) -> Iterator[tuple[Path, str, int, Counts]]:
    """Yield (file, live id, generation, counts) of what other processes counted up to now.

    They count on meanwhile: what is marked as used is whole at any moment. An arena that is emptied
    while it is read is in the database by then, under its generation.
    """
    named = re.compile(re.escape(prefix.name) + r"\.live-([0-9a-f]{16})")
    for path in sorted(prefix.parent.iterdir()):
        matched = named.fullmatch(path.name)
        if matched is None or matched[1] == own_live_id:
            continue
        for _ in range(_MOST_LOOKS):
            try:
                arenas = _look(path, matched[1])
                counted = [(arena.generation, arena.histograms()) for arena in arenas]
            except (OSError, TornError, ValueError):  # emptied, removed or just being made: look again
                continue
            yield from ((path, matched[1], generation, counts) for generation, counts in counted)
            break


def _look(path: Path, live_id: str) -> tuple[Arena, Arena]:
    """Return the arenas of a file that belongs to somebody else, to be read only."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size != FILE_BYTES:
            raise TornError("it is just being made")
        buffer = memoryview(mmap.mmap(file.fileno(), FILE_BYTES, access=mmap.ACCESS_READ))
    return _arenas(live_id, buffer, new=False)


def _leftover(path: Path) -> LiveFile | None:
    """Return the file at *path*; None where it is in use, holds nothing or is damaged."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.pread(descriptor, len(_MAGIC), 0).strip(b"\0") == b"":
            path.unlink()  # its process was killed while it made the file, so counted nothing in it
            os.close(descriptor)
            return None
        live_id = path.name[-16:]
        return LiveFile(path, descriptor, live_id, _read_arenas(descriptor, live_id))
    except BlockingIOError:
        pass
    except TornError as error:
        aside = path.with_name(path.name + ".torn")
        path.rename(aside)
        _log.error("live_file_torn file=%s why=%r set_aside=%s", path, str(error), aside)
    os.close(descriptor)
    return None


def _read_arenas(descriptor: int, live_id: str) -> tuple[Arena, Arena]:
    size = os.fstat(descriptor).st_size
    if size != FILE_BYTES:
        raise TornError(f"it has {size} bytes, not {FILE_BYTES}")
    buffer = memoryview(mmap.mmap(descriptor, FILE_BYTES))
    head = _MAGIC + live_id.encode()
    if buffer[: len(head)] != head:
        raise TornError("it does not begin as a live file does")
    return _arenas(live_id, buffer, new=False)


def _arenas(live_id: str, buffer: memoryview, *, new: bool) -> tuple[Arena, Arena]:
    start, middle = _HEAD_BYTES, _HEAD_BYTES + _ARENA_BYTES
    return (
        Arena(live_id, buffer[start:middle], 1 if new else None),
        Arena(live_id, buffer[middle:FILE_BYTES], 0 if new else None),
    )


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold a lock on *directory*: a file that is just being made is not taken for a leftover."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
