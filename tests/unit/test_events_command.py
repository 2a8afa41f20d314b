"""`events --follow` through streams that break: all is told once (behaviour 9)."""

import contextlib
import json
import threading
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgate.cli.events import line_of, news, told_of
from rgate.cli.main import parse
from rgate.cli.text import Style
from rgate.core.event_stream import events_in
from rgate.core.live import Event, framed
from rgate.web.documents import TimelineEventDocument


def event(number: int, **changed: Any) -> dict[str, Any]:
    return {
        "at": 1.7e9 + number, "kind": "in", "level": "ok", "backend": "api", "text": f"`c{number}` in",
        "why": "", "times": 1, "since": 1.7e9 + number, **changed,
    }  # fmt: skip


class Gateway(ThreadingHTTPServer):
    """Tells of *known*; each of *streams* is what one stream says until it breaks, and the last goes on."""

    def __init__(self, known: list[dict[str, Any]], streams: list[list[Event]]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.known = known
        self.streams = streams
        self.refusals = 0  # so many times it does not tell what is known
        self.ended = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Gateway

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        if self.path == "/_rgate/timeline" and self.server.refusals:
            self.server.refusals -= 1
        elif self.path == "/_rgate/timeline":
            told = {"now": 0, "missing_workers": 0, "events": self.server.known[::-1]}
            self.wfile.write(json.dumps(told).encode())
        else:
            self.wfile.write(b"retry: 2000\n\n" + framed(self.server.streams.pop(0)))
            if not self.server.streams:
                self.server.ended.wait()

    def log_message(self, *_: object) -> None: ...


@contextlib.contextmanager
def gateway(known: list[dict[str, Any]], *streams: list[Event]) -> Iterator[Gateway]:
    with Gateway(known, list(streams)) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        try:
            yield served
        finally:
            served.ended.set()
            served.shutdown()
            thread.join()


def timeline(*numbers: int) -> list[Event]:
    return [Event("timeline", json.dumps(event(number))) for number in numbers]


def first(told: Iterable[list[TimelineEventDocument]], number: int) -> list[str]:
    """The texts of the first *number* events, in the order in which they are told."""
    texts: list[str] = []
    for some in told:
        texts += [one.text for one in some]
        if len(texts) >= number:
            break
    return texts


@pytest.mark.clause("9.events.resumed")
def test_what_came_while_the_stream_was_broken_is_told_and_nothing_twice() -> None:
    streams = timeline(1, 2), timeline(2, 4)
    with gateway([event(0), event(1)], *streams) as served:
        told = news(served.url, pause_s=0.01)
        assert first(told, 3) == ["`c0` in", "`c1` in", "`c2` in"]
        served.known += [event(2), event(3)]
        assert first(told, 2) == ["`c3` in", "`c4` in"]


@pytest.mark.clause("9.events.resumed")
def test_where_more_came_than_are_told_one_by_one_the_timeline_tells_the_rest() -> None:
    with gateway([], [*timeline(1), Event("more", "{}"), Event("timeline", '{"more": 2}')]) as served:
        told = news(served.url, pause_s=0.01)
        assert first(told, 1) == ["`c1` in"]
        served.known += [event(number) for number in range(4)]
        assert first(told, 3) == ["`c0` in", "`c2` in", "`c3` in"]


def test_a_page_too_many_asks_by_itself() -> None:
    with gateway([event(0)], [Event("full", "{}")], timeline(1)) as served:
        assert first(news(served.url, pause_s=0.01), 2) == ["`c0` in", "`c1` in"]


@pytest.mark.clause("9.events.resumed")
def test_a_gateway_that_is_away_is_told_once_and_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    with gateway([event(0)], timeline(1), [], [], timeline(2)) as served:
        told = news(served.url, pause_s=0.01)
        assert first(told, 2) == ["`c0` in", "`c1` in"]
        served.refusals = 2
        assert first(told, 1) == ["`c2` in"]
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.clause("9.events.follow")
@pytest.mark.parametrize(
    ("words", "texts"),
    [
        ("--since 10s", ["c18", "c19", "c20"]),  # 8, 9 and 10 s ago
        ("", [f"c{number}" for number in range(10, 21)]),
    ],
)
def test_it_begins_with_the_last_ten_or_what_since_asks_for_and_nothing_older_comes(
    words: str, texts: list[str]
) -> None:
    with gateway([event(number) for number in range(20)], timeline(20)) as served:
        options = parse(["events", "--follow", "--gateway", served.url, *words.split()])
        told = told_of(options, 1.7e9 + 28)
        assert first(told, len(texts)) == [f"`{text}` in" for text in texts]


@pytest.mark.clause("9.events.line")
def test_without_follow_all_is_told_once() -> None:
    with gateway([event(number) for number in range(20)]) as served:
        options = parse(["events", "--gateway", served.url])
        assert [len(some) for some in told_of(options, 0.0)] == [20]


def test_a_line_holds_no_command_to_the_terminal() -> None:
    document = TimelineEventDocument.model_validate(event(0, text="\x1b[2J`a`\n", why="\x07", backend="\x1b"))
    line = line_of(document, Style(False))
    assert line.isprintable()


NAMES = st.sampled_from(["timeline", "tick"])
EVENTS = st.lists(st.builds(Event, NAMES, st.sampled_from(["{}", "a: b", " ", "x"])), max_size=4)


@given(events=EVENTS)
def test_what_is_framed_is_read_back(events: list[Event]) -> None:
    lines = framed(events).decode().split("\n")
    assert list(events_in(["retry: 2000", "", ": a comment", *lines])) == events
