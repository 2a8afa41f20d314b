"""`events`: what discovery and a running rgate did, a line each (behaviour 9)."""

import contextlib
import json
import select
import sys
import time
from argparse import Namespace
from collections import deque
from collections.abc import Iterable, Iterator
from http.client import HTTPException, HTTPResponse
from typing import Final, TextIO

from rgate.cli.asking_gateway import NoAnswer, asked_as, connection_to
from rgate.cli.text import COLOURS, GLYPHS, SECOND, Style, has_colour, moment, say
from rgate.cli.waiting import told_if_slow
from rgate.core.escape import in_one_line
from rgate.core.event_stream import events_in
from rgate.core.own import OwnPage
from rgate.web.documents import TimelineDocument, TimelineEventDocument

_SEEN: Final = 2000  # more than a timeline holds
_FIRST: Final = 10  # as `tail` and `journalctl -f`
_PAUSE_S: Final = 2.0
_SILENCE_S: Final = 10.0  # a stream says something each second
_LONGEST_LINE: Final = 64 * 1024 * 1024


def events(options: Namespace) -> int:
    """Print them, oldest first. Returns the exit status, 0. Raises CannotTell, but not once it follows."""
    for told in told_of(options, time.time()):
        _print(told, options)
    return 0


def told_of(options: Namespace, now: float) -> Iterator[list[TimelineEventDocument]]:
    """Yield what is told, as it comes: without end, where *options* say to follow. *now*: Unix seconds."""
    known = _timeline(options.gateway)
    if options.since is not None:
        yield [one for one in known if one.at >= now - options.since]
    else:
        yield known[-_FIRST:] if options.follow else known
    if options.follow:
        yield from news(options.gateway, known=known)


def _print(told: Iterable[TimelineEventDocument], options: Namespace) -> None:
    style = Style(has_colour(sys.stdout))
    if _is_unread(sys.stdout):  # without an event nothing would be written, and nothing noticed
        raise BrokenPipeError
    for event in told:
        say(json.dumps(event.as_json()) if options.json else line_of(event, style))
    sys.stdout.flush()


def _is_unread(stream: TextIO) -> bool:
    """Whether *stream* is a pipe or a socket whose reader has gone, as in `rgate events --follow | head`."""
    reader = select.poll()
    try:
        reader.register(stream, 0)  # POLLERR is told without being asked for
    except OSError:  # it is no file
        return False
    return any(happened & select.POLLERR for _, happened in reader.poll(0))


def line_of(event: TimelineEventDocument, style: Style, form: str = SECOND) -> str:
    """Return *event* as a line; its time has that *form*. What names and labels say in it is escaped."""
    glyph = style.painted(GLYPHS[event.level], COLOURS[event.level])
    backend = f"{in_one_line(event.backend)}: " if event.backend else ""
    why = style.dim(f" ({in_one_line(event.why)})") if event.why else ""
    text = style.code(in_one_line(event.text))
    return f"{style.dim(moment(event.at, form))} {glyph} {event.kind.value:6} {backend}{text}{why}"


def _timeline(gateway: str) -> list[TimelineEventDocument]:
    """Return what a rgate remembers, oldest first. Raises NoAnswer."""
    with told_if_slow(f"asking {gateway}"):
        return asked_as(TimelineDocument, gateway, OwnPage.TIMELINE.value).events[::-1]


def news(
    gateway: str, *, known: Iterable[TimelineEventDocument] = (), pause_s: float = _PAUSE_S
) -> Iterator[list[TimelineEventDocument]]:
    """Yield what happens, without end, each event once, or nothing now and then; what is *known* was told.

    Where the stream breaks, it is opened again after *pause_s*, and the timeline tells what came meanwhile.
    Of a gateway that does not answer is told once.
    """
    seen = deque(map(_key, known), maxlen=_SEEN)

    def new(told: Iterable[TimelineEventDocument]) -> list[TimelineEventDocument]:
        unseen = [event for event in told if _key(event) not in seen]
        seen.extend(map(_key, unseen))
        return unseen

    is_away = False
    while True:
        try:
            with _stream(gateway) as response:
                # Asked for once the stream is open: so nothing falls in between.
                yield new(_timeline(gateway))
                is_away = False
                for event in events_in(_lines(response)):
                    yield new(_told(gateway, event.data)) if event.name == "timeline" else []
        except (OSError, HTTPException, ValueError, NoAnswer) as error:
            if not is_away:
                why = str(error) if isinstance(error, NoAnswer) else f"{gateway} does not answer"
                print(in_one_line(f"rgate: {why}; asking on"), file=sys.stderr)
            is_away = True
        yield []
        time.sleep(pause_s)


def _key(event: TimelineEventDocument) -> tuple[float, str, str]:
    return event.at, event.backend, event.text


@contextlib.contextmanager
def _stream(gateway: str) -> Iterator[HTTPResponse]:
    """Open the stream for pages. Raises OSError and HTTPException."""
    connection = connection_to(gateway)
    connection.timeout = _SILENCE_S
    with contextlib.closing(connection):
        connection.request("GET", OwnPage.LIVE.value, headers={"Accept": "text/event-stream"})
        with connection.getresponse() as response:
            yield response


def _told(gateway: str, data: str) -> list[TimelineEventDocument]:
    """Return the event that *data* tells; or all, where there were more than are told one by one."""
    told = json.loads(data)
    return _timeline(gateway) if "more" in told else [TimelineEventDocument.model_validate(told)]


def _lines(response: HTTPResponse) -> Iterator[str]:
    while line := response.readline(_LONGEST_LINE):
        yield line.decode(errors="replace").rstrip("\r\n")
