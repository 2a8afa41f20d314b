"""Lines that go to a file, a pipe or a terminal, and never keep anybody waiting (behaviour 10).

What cannot be written (a full disk, a FIFO that nobody reads) is lost, and counted.
"""

import contextlib
import os
import queue
import select
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final, Generic, Protocol, TypeVar

Item = TypeVar("Item")
Contravariant = TypeVar("Contravariant", contravariant=True)

STDOUT: Final = "-"
# Some seconds of a busy gateway: a reader that stalls for longer loses lines, and no request waits.
MOST_WAITING: Final = 50_000
_MOST_AT_ONCE: Final = 512
_TICK_S: Final = 1.0
_MODE: Final = 0o640


class Renderer(Protocol[Contravariant]):
    """Makes lines of what is told. Used by one thread."""

    def lines(self, item: Contravariant) -> Iterable[str]:
        """Return the lines of *item*, without their ends."""

    def due(self, *, ended: bool) -> Iterable[str]:
        """Return lines whose time has come; asked once a second, and at the end: nothing follows then."""


class Destination:
    """Where bytes of lines go: the file at a path (made with mode 0640), or an inherited descriptor."""

    def __init__(self, path: str = "", descriptor: int = -1) -> None:
        self._path = path
        self._descriptor = descriptor
        self._is_torn = False  # the last line was cut, so the next one must not be taken for its rest

    def open(self, *, wait: bool = False) -> None:
        """Open the file anew. A FIFO that nobody reads is opened only with *wait*. Raises OSError."""
        if self._path:
            old, self._descriptor = self._descriptor, _open(self._path, wait=wait)
            if old >= 0:
                os.close(old)

    @property
    def is_open(self) -> bool:
        """Whether there is something to write to."""
        return self._descriptor >= 0

    def write(self, data: bytes) -> None:
        """Write whole lines. Raises OSError; what was not written is lost."""
        rest = memoryview(b"\n" + data if self._is_torn else data)
        while rest:
            written = os.write(self._descriptor, rest)
            rest = rest[written:]
            self._is_torn = bool(rest)

    def write_at_once(self, data: bytes) -> bool:
        """Write whole lines, as far as nobody has to be waited for; whether all were written."""
        for start in range(0, len(data), select.PIPE_BUF):
            looked_at = select.poll()
            looked_at.register(self._descriptor, select.POLLOUT)
            if not looked_at.poll(0):
                self._is_torn = self._is_torn or start > 0
                return False
            self.write(data[start : start + select.PIPE_BUF])
        return True

    def close(self) -> None:
        """Close the file; an inherited descriptor stays open."""
        if self._path and self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _open(path: str, *, wait: bool) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    if wait:
        return os.open(path, flags, _MODE)
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISFIFO(os.stat(path).st_mode):
            return -1  # to open it would wait for a reader: the thread does
    return os.open(path, flags, _MODE)


def destination_of(path: str) -> Destination:
    """Return where *path* (`-`: standard output) leads."""
    return Destination(descriptor=sys.stdout.fileno()) if path == STDOUT else Destination(path)


class LineWriter(Generic[Item]):
    """Writes the lines of items from a thread of its own. `put` never waits, and never raises.

    *told* is called from that thread with a sentence when lines were lost, and when that is over. Raises
    OSError where the file cannot be opened; unless it *must_open*, that is tried with the first line.
    """

    def __init__(
        self,
        destination: Destination,
        renderer: Renderer[Item],
        told: Callable[[str, int], None],
        *,
        must_open: bool = True,
    ) -> None:
        self._destination = destination
        if must_open:
            self._destination.open()
        self._renderer = renderer
        self._told = told
        self._items: queue.Queue[Item | None] = queue.Queue(MOST_WAITING)
        self._lost = 0
        self._untold = 0  # of those that were lost
        self._failing = False
        self._reopen = threading.Event()
        self._thread = threading.Thread(target=self._write, name="rgate-lines", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """How many items were lost since the start."""
        return self._lost

    def put(self, item: Item) -> None:
        """Take *item*; it is written soon after."""
        try:
            self._items.put_nowait(item)
        except queue.Full:
            self._lose(1)

    def reopen(self) -> None:
        """Open the file anew before the next line, as after a rotation."""
        self._reopen.set()

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what waits, for *timeout_s* at most."""
        until_s = time.monotonic() + timeout_s
        try:
            self._items.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(max(0.0, until_s - time.monotonic()))

    def _lose(self, number: int) -> None:
        self._lost += number
        self._untold += number

    def _write(self) -> None:
        ended = False
        while not ended:
            items, ended = self._next()
            lines = [line for item in items for line in self._renderer.lines(item)]
            lines += self._renderer.due(ended=ended)
            self._write_lines(lines, len(items))
        with contextlib.suppress(OSError):
            self._destination.close()

    def _next(self) -> tuple[list[Item], bool]:
        """Return what waits, after a moment at most, and whether that was all there will be."""
        items: list[Item] = []
        with contextlib.suppress(queue.Empty):
            item = self._items.get(timeout=_TICK_S)
            while item is not None:
                items.append(item)
                if len(items) == _MOST_AT_ONCE:
                    return items, False
                item = self._items.get_nowait()
            return items, True
        return items, False

    def _write_lines(self, lines: list[str], number: int) -> None:
        if self._reopen.is_set():
            self._reopen.clear()
            self._tried(self._open_anew)
        if lines and not self._tried(lambda: self._write_now(lines)):
            self._lose(number)
        if self._untold and not self._failing and self._items.empty():
            lost, self._untold = self._untold, 0
            self._told("", lost)

    def _tried(self, action: Callable[[], None]) -> bool:
        """Whether *action* was done; the first failure in a row is told of."""
        try:
            action()
        except OSError as error:
            if not self._failing:
                self._failing = True
                self._told(error.strerror or str(error), 0)
            return False
        self._failing = False
        return True

    def _open_anew(self) -> None:
        self._destination.open(wait=True)

    def _write_now(self, lines: list[str]) -> None:
        if not self._destination.is_open:
            self._open_anew()
        self._destination.write("".join(f"{line}\n" for line in lines).encode(errors="replace"))
