"""No input of a client or a backend holds the others up: the work that it makes is counted (see work.py)."""

from collections.abc import Callable, Iterator

import pytest

from rgate.core.accept import prefers_html
from rgate.core.content import Chunks, Content, chunk
from rgate.core.message import BadResponse, Refused
from rgate.core.onward import Interim
from rgate.core.reading import Reading, RequestReader, ResponseReader
from tests.unit.messages import STRANGER, request
from tests.unit.work import Watched, Work, counted, watch

READ_BYTES = 262_144  # what comes at once at the most


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> Reading:
    return watch(monkeypatch)


Feed = Callable[[bytes], Iterator[None]]
"""Gives bytes to a reader, and asks it for more as an engine does: others have a turn between its calls."""


def made_id() -> bytes:
    return b"made"


def requests(reading: Reading) -> Feed:
    reader = RequestReader()

    def feed(data: bytes) -> Iterator[None]:
        while reader.read(data, reading, STRANGER, made_id) is not None:
            data = b""
            yield

    return feed


def responses(reading: Reading) -> Feed:
    reader, asked = ResponseReader(), request()

    def feed(data: bytes) -> Iterator[None]:
        while isinstance(reader.read(data, reading, asked, reused=False), Interim):
            data = b""
            yield

    return feed


def of_requests(_: Reading) -> Feed:
    return contents(Chunks())


def of_responses(_: Reading) -> Feed:
    return contents(Chunks(lenient=True))


def contents(content: Content) -> Feed:
    def feed(data: bytes) -> Iterator[None]:
        at = 0
        while at < len(data) and not content.complete:
            _, at = content.take(data, at)
            yield

    return feed


def works_of(feed: Feed, pieces: list[bytes]) -> Iterator[Work]:
    """Yield the work of each call that *pieces* make; the last may end with a refusal."""
    for piece in pieces:
        steps = feed(Watched(piece))
        is_over = is_refused = False
        while not is_over:
            with counted() as done:
                try:
                    is_over = next(steps, steps) is steps
                except (Refused, BadResponse):
                    is_over = is_refused = True
                work = done()
            yield work
        if is_refused:
            return


def work_of(feed: Feed, pieces: list[bytes]) -> Work:
    return sum(works_of(feed, pieces), Work())


# What waits for its end, and is not looked at again for each byte more.
WAITING: dict[str, tuple[Callable[[Reading], Feed], Callable[[int], bytes]]] = {
    "a request line": (requests, lambda n: b"GET /" + b"a" * n),
    "a field": (requests, lambda n: b"GET / HTTP/1.1\r\nHost: h\r\nA: " + b"a" * n),
    "many fields": (
        requests,
        lambda n: b"GET / HTTP/1.1\r\nHost: h\r\n" + b"A: %b\r\n" % (b"a" * 500) * (n // 506),
    ),
    "an unusual head": (
        requests,
        lambda n: b"GET / HTTP/1.1\r\nTE: trailers\r\nHost: h\r\n" + b"A:" * (n // 2),
    ),
    "a response's head": (responses, lambda n: b"HTTP/1.1 200 OK\r\nA: " + b"a" * n),
    "many of its fields": (
        responses,
        lambda n: b"HTTP/1.1 200 OK\r\n" + b"A: %b\n" % (b"a" * 500) * (n // 504),
    ),
    "a trailer": (of_requests, lambda n: b"0\r\nA: " + b"a" * n),
    "many trailers": (
        of_requests,
        lambda n: b"0\r\n" + b"A: %b\r\n" % (b"a" * 500) * (n // 506),
    ),
    "a trailer of a response": (of_responses, lambda n: b"0\r\nA: " + b"a" * n),
}


@pytest.mark.parametrize("name", WAITING)
@pytest.mark.parametrize("byte", [b"a", b":", b"\t"])
def test_a_byte_more_costs_the_same_however_much_waits(reading: Reading, name: str, byte: bytes) -> None:
    """58 KB of a trailer and then single bytes once cost 330 µs each, as all of it was searched for each."""
    begin, waiting = WAITING[name]
    works = []
    for size in (1000, 58_000):
        feed = begin(reading)
        work_of(feed, [waiting(size)])
        works.append(work_of(feed, [byte] * 100))
        assert works[-1].copied <= 100 * 2 * (size + 200), "what waits is copied once for each read"
    little, much = works
    assert much.calls <= little.calls
    assert much.searched <= little.searched
    assert little.about_ms / 100 < 0.005


LISTS = [
    "Connection: ",
    "TE: ",
    "Connection: upgrade\r\nUpgrade: ",
    "Accept: ",
    "X-Forwarded-For: ",
    "Expect: ",
]


def head(first: bytes, line: bytes) -> bytes:
    return b"%b\r\nHost: h\r\n%b\r\n\r\n" % (first, line)


def in_a_list(before: str, item: bytes) -> Callable[[int], bytes]:
    return lambda n: head(b"GET / HTTP/1.1", before.encode() + item * (n // len(item)) + b"b")


# What a client may send at once, by its size.
REQUESTS: dict[str, Callable[[int], bytes]] = {
    **{f"{line}many": in_a_list(line, b"a,") for line in LISTS},
    **{f"{line}nothing": in_a_list(line, b",") for line in LISTS},
    "a value of blanks": lambda n: head(b"GET / HTTP/1.1", b"A:" + b" " * n),
    "a value of blanks that is wrong": lambda n: head(b"GET / HTTP/1.1", b"A:" + b" " * n + b"\x00"),
    "a target of dots": lambda n: head(b"GET /" + b"." * n + b" HTTP/1.1", b"A: b"),
    "a target of encoded dots": lambda n: head(b"GET /" + b"%2e" * (n // 3) + b" HTTP/1.1", b"A: b"),
    "a target of segments": lambda n: head(b"GET /" + b".a/" * (n // 3) + b" HTTP/1.1", b"A: b"),
    "a target that is a URL": lambda n: head(b"GET http://h/" + b"a/" * (n // 2) + b" HTTP/1.1", b"A: b"),
    "a long host": lambda n: b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % (b"a" * n),
    "fields of proxies": lambda n: head(
        b"GET / HTTP/1.1", b"\r\n".join([b"X-Forwarded-A: %b" % (b"a" * (n // 80))] * 80)
    ),
    "one name again and again": lambda n: head(
        b"GET / HTTP/1.1", b"\r\n".join([b"A: %b" % (b"a" * (n // 90))] * 90)
    ),
    "no colon": lambda n: head(b"GET / HTTP/1.1", b"a" * n),
    "no line": lambda n: b"a" * n,
    "a bare line feed at its end": lambda n: b"GET / HTTP/1.1\r\nHost: h\r\nA: " + b"a" * n + b"\n",
    "carriage returns": lambda n: b"GET / HTTP/1.1\r\nHost: h\r\nA: " + b"\r" * n,
}
PIPELINES: dict[str, Callable[[int], bytes]] = {
    "requests": lambda n: head(b"GET / HTTP/1.1", b"A: b") * (n // 34),
    "requests of which each is another": lambda n: b"".join(
        head(b"GET / HTTP/1.1", b"A: %d" % number) for number in range(n // 36)
    ),
    "unusual requests": lambda n: head(b"GET / HTTP/1.1", b"TE: trailers") * (n // 42),
    "empty lines": lambda n: b"\r\n" * (n // 2),
}
RESPONSES: dict[str, Callable[[int], bytes]] = {
    "a list of lengths": lambda n: b"HTTP/1.1 200 OK\r\nContent-Length: %b1\r\n\r\n" % (b"1," * (n // 2)),
    "a list of options": lambda n: b"HTTP/1.1 200 OK\r\nConnection: %b1\r\n\r\n" % (b"a," * (n // 2)),
    "a phrase": lambda n: b"HTTP/1.1 200 %b\r\n\r\n" % (b"a" * n),
    "bare line feeds": lambda n: b"HTTP/1.1 200 OK\n" + b"A:\n" * 90 + b"A: %b\n\n" % (b"a" * n),
    "a value of blanks": lambda n: b"HTTP/1.1 200 OK\r\nA:%b\x00\r\n\r\n" % (b" " * n),
}
INTERIMS: dict[str, Callable[[int], bytes]] = {
    "interims": lambda n: b"HTTP/1.1 103 E\r\n\r\n" * (n // 18),
}
CONTENTS: dict[str, Callable[[int], bytes]] = {
    "chunks of one byte": lambda n: chunk(b"a") * (n // 6),
    "chunks with extensions": lambda n: b"1;a=b\r\na\r\n" * (n // 10),
    "extensions": lambda n: b"1" + b";a=b" * (n // 4) + b"\r\n",
    "an extension": lambda n: b'1;a="' + b"b" * n + b'"\r\n',
    "an extension without end": lambda n: b'1;a="' + b"b" * n,
    "trailers": lambda n: b"0\r\n" + b"A: %b\r\n" % (b"a" * (n // 90)) * 90,
    "zeros": lambda n: b"0" * n,
}


KINDS: list[tuple[str, Callable[[Reading], Feed], dict[str, Callable[[int], bytes]], int]] = [
    ("request", requests, REQUESTS, 60_000),
    ("requests", requests, PIPELINES, READ_BYTES // 2),
    ("response", responses, RESPONSES, 60_000),
    ("responses", responses, INTERIMS, READ_BYTES // 4),
    ("content of a request", of_requests, CONTENTS, READ_BYTES // 2),
    ("content of a response", of_responses, CONTENTS, READ_BYTES // 2),
]
HOSTILE = [
    pytest.param(begin, made, size, id=f"{kind}: {name}")
    for kind, begin, inputs, size in KINDS
    for name, made in inputs.items()
]
Made = Callable[[int], bytes]
Begin = Callable[[Reading], Feed]


@pytest.mark.parametrize(("begin", "made", "size"), HOSTILE)
def test_no_input_holds_the_others_longer_than_50_ms(
    reading: Reading, begin: Begin, made: Made, size: int
) -> None:
    works = list(works_of(begin(reading), [made(size)]))
    longest = max(works, key=lambda work: work.about_ms)
    assert longest.about_ms < 50, longest
    whole, half = sum(works, Work()), work_of(begin(reading), [made(size // 2)])
    for twice, once in zip(whole, half, strict=True):
        assert twice <= 2.2 * once + 1000, "twice as much costs twice as much at the most"


@pytest.mark.parametrize(("begin", "made", "size"), HOSTILE)
@pytest.mark.parametrize("piece", [97, 4999])
def test_no_byte_is_looked_at_more_than_a_few_times_however_it_is_cut(
    reading: Reading, begin: Begin, made: Made, size: int, piece: int
) -> None:
    raw = made(size // 8)
    works = list(works_of(begin(reading), [raw[at : at + piece] for at in range(0, len(raw), piece)]))
    assert sum(work.searched for work in works) <= 12 * len(raw) + 50 * len(works)
    assert max(work.copied for work in works) <= 10 * len(raw)


def test_what_stands_far_behind_in_an_accept_is_not_looked_at(reading: Reading) -> None:
    """60 KB once cost 42 to 92 ms on each error."""
    del reading
    works = []
    for size in (4000, 60_000):
        with counted() as done:
            prefers_html(Watched(b"a/b;q=0.1," * (size // 10)))
            works.append(done())
    assert works[0] == works[1]
    assert works[0].calls < 10_000
