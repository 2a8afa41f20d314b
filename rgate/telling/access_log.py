"""The access log: one line a request, as text or JSON. What clients sent is escaped."""

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from rgate.core.escape import escaped
from rgate.core.record import Record
from rgate.telling.lines import LineWriter, destination_of

log = logging.getLogger("rgate")


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
        "reason": record.reason_or_cut,
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
    return "".join(c if "!" <= c <= "~" and c not in '"\\' else escaped(c) for c in value)


class _Lines:
    """The `Renderer` of records."""

    def __init__(self, line_of: Callable[[Record], str]) -> None:
        self._line_of = line_of

    def lines(self, item: Record) -> tuple[str]:
        return (self._line_of(item),)

    def due(self, *, ended: bool) -> tuple[()]:
        del ended
        return ()


class AccessLog:
    """A `RecordLog` that writes lines to *path* (`-`: standard output) from a thread of its own.

    Raises OSError where the file cannot be opened, if it *must_open*. A disk that fails later is told of
    once.
    """

    def __init__(self, path: str, line_of: Callable[[Record], str], *, must_open: bool = True) -> None:
        self._writer = LineWriter(destination_of(path), _Lines(line_of), _tell, must_open=must_open)

    def add(self, record: Record) -> None:
        """Take *record*; it is written soon after."""
        self._writer.put(record)

    def counter(self, route: str, backend: str, container: str) -> None:
        """Return None: each line is made of a record."""

    @property
    def lost(self) -> int:
        """How many lines were lost since the start."""
        return self._writer.lost

    def reopen(self) -> None:
        """Open the file anew before the next line, as after a rotation."""
        self._writer.reopen()

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what waits, for *timeout_s* at most."""
        self._writer.close(timeout_s)


def _tell(why: str, lost: int) -> None:
    if why:
        log.warning("access log cannot be written; lines are lost error=%r", why)
    else:
        log.warning("access log goes on lines_lost=%d", lost)
