"""What rgate tells on standard error: an event a line, as text or JSON; one that repeats is folded
(behaviour 10).

Code tells by `logging`, as `log.warning("accept failed error=%r", text)`: what stands as `name=%r` in the
message is a field of the event.
"""

import json
import logging
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from rgate.core.escape import in_one_line
from rgate.telling.lines import Destination, LineWriter

FOLDED_FOR_S: Final = 10.0
_MOST_FOLDED: Final = 256
_LAST_WORDS_S: Final = 0.5  # behind a drain that `docker stop` may cut short
_PLACE: Final = re.compile(r" ?\b(?P<name>[a-z_]+)=%[rsdg]|%[-+ #0-9.]*[a-zA-Z]|%%")


@dataclass(frozen=True, slots=True)
class Event:
    """Something to be told once. *text*: as people read it. *at_s*: Unix seconds."""

    at_s: float
    level: str
    logger: str
    text: str
    message: str  # the text without its fields
    fields: dict[str, Any] = field(default_factory=dict)
    exception: str = ""
    times: int = 1  # so often it happened, if more than once, since it was told last
    within_s: float = 0.0

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What is the same of an event that repeats."""
        return self.level, self.logger, self.text, self.exception


def event_of(record: logging.LogRecord) -> Event:
    """Return what *record* tells."""
    text, message, fields = record.getMessage(), record.getMessage(), dict[str, Any]()
    if isinstance(record.args, tuple) and record.args:
        message, fields = _parted(str(record.msg), record.args)
    exception = ""
    if record.exc_info and record.exc_info[0] is not None:
        exception = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
    return Event(record.created, record.levelname.lower(), record.name, text, message, fields, exception)


def _parted(template: str, values: tuple[Any, ...]) -> tuple[str, dict[str, Any]]:
    """Return the sentence of *template* without its fields, and these with their *values*."""
    left, fields, rest = iter(values), dict[str, Any](), list[Any]()

    def taken(place: re.Match[str]) -> str:
        if place[0] == "%%":
            return place[0]
        if not place["name"]:
            rest.append(next(left, None))
            return place[0]
        fields[place["name"]] = next(left, None)
        return ""

    sentence = _PLACE.sub(taken, template)
    return (sentence % tuple(rest)).strip(), fields


def text_line(event: Event) -> str:
    """Return *event* in one line for people, with nothing in it that could steer a terminal."""
    told = f"rgate: {event.text}"
    if event.times > 1:
        told += f" … {event.times} times in {event.within_s:.0f} s"
    if event.exception:
        told += " | " + " | ".join(line.strip() for line in event.exception.splitlines())
    return in_one_line(told)


def json_line(event: Event) -> str:
    """Return *event* as one JSON object, of printable ASCII only."""
    at = datetime.fromtimestamp(event.at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    told: dict[str, Any] = {
        "time": at,
        "level": event.level,
        "logger": event.logger,
        "message": event.message,
    }
    told |= {name: value for name, value in event.fields.items() if name not in told}
    if event.exception:
        told["exception"] = event.exception
    if event.times > 1:
        told |= {"times": event.times, "within_s": round(event.within_s, 1)}
    return json.dumps(told, ensure_ascii=True, default=str).replace("\x7f", "\\u007f")


class Folding:
    """Tells an event once, and then, while it repeats, how often it did each ten seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._known: dict[tuple[str, str, str, str], tuple[float, int, Event]] = {}

    def take(self, event: Event) -> Iterable[Event]:
        """Return what is to be told now."""
        since_s, times, _ = self._known.get(event.key, (0.0, -1, event))
        if times < 0:
            if len(self._known) < _MOST_FOLDED:
                self._known[event.key] = (self._now(), 0, event)
            return (event,)
        self._known[event.key] = (since_s, times + 1, event)
        return ()

    def due(self, *, ended: bool) -> list[Event]:
        """Return the events that repeated, of which the time is over, or all where nothing follows; those
        that did not repeat are forgotten.
        """
        now_s = self._now()
        over = {key: known for key, known in self._known.items() if ended or now_s - known[0] >= FOLDED_FOR_S}
        return self._ended(over, now_s)

    def _ended(
        self, over: dict[tuple[str, str, str, str], tuple[float, int, Event]], now_s: float
    ) -> list[Event]:
        told = []
        for key, (since_s, times, event) in over.items():
            if times:
                self._known[key] = (now_s, 0, event)
                told.append(replace(event, times=times, within_s=now_s - since_s))
            else:
                del self._known[key]
        return told


class _Lines:
    """The `Renderer` of events."""

    def __init__(self, line_of: Callable[[Event], str]) -> None:
        self._line_of = line_of
        self._folding = Folding()

    def lines(self, item: Event) -> list[str]:
        return [self._line_of(event) for event in self._folding.take(item)]

    def due(self, *, ended: bool) -> list[str]:
        return [self._line_of(event) for event in self._folding.due(ended=ended)]


class LogHandler(logging.Handler):
    """Tells events on standard error.

    With *threads* a thread writes, so that nobody waits for who reads. Without, as in a process that forks,
    an event is lost where it cannot be written at once. Lost ones are counted, and told of later.
    """

    def __init__(self, line_of: Callable[[Event], str], descriptor: int, *, threads: bool) -> None:
        super().__init__()
        self._lines = _Lines(line_of)
        self._destination = Destination(descriptor=descriptor)
        self._lost = 0
        self._writer = LineWriter(self._destination, self._lines, self._tell_lost) if threads else None

    @property
    def lost(self) -> int:
        """How many events were lost since the start."""
        return self._writer.lost if self._writer is not None else self._lost

    def emit(self, record: logging.LogRecord) -> None:
        """Tell *record*; never waits, and never raises."""
        try:
            event = event_of(record)
        except Exception:  # a message that does not fit its values: told as it stands
            event = Event(
                record.created, record.levelname.lower(), record.name, str(record.msg), str(record.msg)
            )
        if self._writer is not None:
            self._writer.put(event)
        else:
            self._write_at_once([*self._lines.lines(event), *self._lines.due(ended=False)])

    def close(self) -> None:
        """Tell what waits."""
        if self._writer is not None:
            self._writer.close(_LAST_WORDS_S)
        else:
            self._write_at_once(self._lines.due(ended=True))
        super().close()

    def _write_at_once(self, lines: list[str]) -> None:
        try:
            written = not lines or self._destination.write_at_once(
                "".join(f"{line}\n" for line in lines).encode(errors="replace")
            )
        except OSError:
            written = False
        self._lost += 0 if written else len(lines)

    def _tell_lost(self, why: str, lost: int) -> None:
        if lost and not why:
            logging.getLogger("rgate").warning("this log could not be written lines_lost=%d", lost)


def tell_on_stderr(
    level: str, log_format: str, *, threads: bool, descriptor: int | None = None
) -> LogHandler:
    """Let all that rgate tells, and the libraries that it uses, go to standard error, or to *descriptor*, in
    place of where it went before.

    Return the handler.
    """
    rgate, everybody = logging.getLogger("rgate"), logging.getLogger()
    descriptor = sys.stderr.fileno() if descriptor is None else descriptor
    handler = LogHandler(json_line if log_format == "json" else text_line, descriptor, threads=threads)
    handler.setLevel(level.upper())
    for logger in (rgate, everybody):
        for old in [one for one in logger.handlers if isinstance(one, LogHandler)]:
            logger.removeHandler(old)
        logger.addHandler(handler)
    rgate.setLevel(level.upper())
    rgate.propagate = False
    threading.excepthook = _tell_of_thread
    return handler


def _tell_of_thread(failed: threading.ExceptHookArgs) -> None:
    """Tell of an exception that nobody caught, which Python would write in many lines."""
    name = failed.thread.name if failed.thread is not None else ""
    exception = failed.exc_value or failed.exc_type()
    logging.getLogger("rgate").error("a thread failed thread=%s", name, exc_info=exception)


def lines_lost() -> int:
    """Return how many events were lost that go to standard error."""
    handlers = logging.getLogger("rgate").handlers
    return sum(handler.lost for handler in handlers if isinstance(handler, LogHandler))
