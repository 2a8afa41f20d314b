"""The access log: one line a request, as text or JSON. What clients sent is escaped."""

import json
import logging
import queue
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TextIO

from rgate.core.record import Record

log = logging.getLogger("rgate")

STDOUT: Final = "-"
# Some seconds of a busy gateway: a reader that stalls for longer loses lines, and no request waits.
_MOST_WAITING: Final = 50_000


def access_fields(record: Record) -> dict[str, str | int | float]:
    """Return what a line tells of *record*, in its order."""
    ended = datetime.fromtimestamp(record.ended_at_s, UTC)
    return {
        "time": ended.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "client": record.client,
        "method": record.method,
        "target": record.target,
        "status": record.status,
        "bytes": record.bytes_sent,
        "seconds": round(record.latency_ns / 1e9, 6),
        "route": record.route,
        "container": record.container,
        "attempts": record.attempts,
        # A status alone would look as if all had gone well.
        "reason": record.reason or ("cut" if record.cut else ""),
        "request_id": record.request_id,
    }


def text_line(record: Record) -> str:
    """Return the text form: values apart by one space, `-` for an empty one, no control characters."""
    return " ".join(_word(value) for value in access_fields(record).values())


def json_line(record: Record) -> str:
    """Return the JSON form: printable ASCII only, so that nothing in it can steer a terminal."""
    return json.dumps(access_fields(record), ensure_ascii=True).replace("\x7f", "\\u007f")


def _word(value: str | int | float) -> str:
    if not isinstance(value, str):
        return str(value)
    if not value:
        return "-"
    if value == "-":
        return "\\x2d"  # so that a dash always means nothing
    return "".join(c if "!" <= c <= "~" and c not in '"\\' else _escaped(c) for c in value)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


class AccessLog:
    """A `RequestLog` that writes lines to *path* (`-`: standard output) from a thread of its own.

    Raises OSError where the file cannot be opened. A disk that fails later is told of once.
    """

    def __init__(self, path: str, line_of: Callable[[Record], str]) -> None:
        self._path = path
        self._line_of = line_of
        self._file = self._open()
        self._lines: queue.Queue[Record | None] = queue.Queue(_MOST_WAITING)
        self._dropped = 0
        self._told = False
        self._reopen = threading.Event()
        self._thread = threading.Thread(target=self._write, name="rgate-access-log", daemon=True)
        self._thread.start()

    def add(self, record: Record) -> None:
        """Take *record*; it is written soon after."""
        try:
            self._lines.put_nowait(record)
        except queue.Full:
            self._dropped += 1

    def counter(self, route: str, backend: str, container: str) -> None:
        """Return None: each line is made of a record."""

    def reopen(self) -> None:
        """Open the file anew before the next line, as after a rotation."""
        self._reopen.set()

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what waits, for *timeout_s* at most."""
        try:
            self._lines.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(timeout_s)

    def _open(self) -> TextIO:
        return sys.stdout if self._path == STDOUT else open(self._path, "a", encoding="ascii")

    def _write(self) -> None:
        while (record := self._lines.get()) is not None:
            try:
                if self._reopen.is_set():
                    self._reopen.clear()
                    self._reopened()
                self._file.write(self._line_of(record) + "\n")
                if self._lines.empty():
                    self._file.flush()
                    self._told = False
            except (OSError, ValueError) as error:
                if not self._told:
                    self._told = True
                    log.warning("access log cannot be written; lines are lost error=%r", str(error))
            self._tell_dropped()
        try:
            if self._path == STDOUT:
                self._file.flush()
            else:
                self._file.close()
        except (OSError, ValueError):
            log.warning("access log could not be written to its end")

    def _reopened(self) -> None:
        if self._path != STDOUT:
            new = self._open()
            self._file.close()
            self._file = new

    def _tell_dropped(self) -> None:
        if self._dropped and self._lines.empty():
            dropped, self._dropped = self._dropped, 0
            log.warning("access log was too slow lines_lost=%d", dropped)
