"""Message heads: what is in doubt is refused (RFC 9112)."""

from itertools import pairwise

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rgate.core.chunked import LAST_CHUNK, ChunkedDecoder, chunk
from rgate.core.message import (
    CHUNKED,
    UNTIL_CLOSE,
    BadResponse,
    Refused,
    RequestHead,
    parse_request_head,
    parse_response_head,
    refuse_hopeless_head,
)
from rgate.core.reasons import Reason


def head(*lines: str, first: str = "GET /x?q=1 HTTP/1.1") -> bytes:
    return "\r\n".join((first, *lines, "", "")).encode("latin-1")


def test_a_request_is_read_byte_for_byte() -> None:
    request = parse_request_head(head("HoSt: h:1", "A:  b \t", "a:c", first="POST /a//%2F?b?c HTTP/1.1"))
    assert (request.method, request.path, request.query) == (b"POST", b"/a//%2F", b"?b?c")
    assert request.fields == ((b"HoSt", b"h:1"), (b"A", b"b"), (b"a", b"c"))
    assert (request.host, request.framing, request.keep_alive) == (b"h:1", 0, True)


def test_an_absolute_target_says_whom_it_means() -> None:
    request = parse_request_head(head("Host: other", first="GET http://h:81/p?q HTTP/1.1"))
    assert (request.path, request.query, request.host) == (b"/p", b"?q", b"h:81")


@pytest.mark.parametrize(
    "lines",
    [
        ("Host: h", "Content-Length: 1", "Transfer-Encoding: chunked"),
        ("Host: h", "Content-Length: 1", "Content-Length: 2"),
        ("Host: h", "Content-Length: 1, 1"),
        ("Host: h", "Content-Length: +1"),
        ("Host: h", "Content-Length: 0x1"),
        ("Host: h", "Content-Length: 1_0"),
        ("Host: h", "Content-Length:"),
        ("Host: h", "Content-Length: 9999999999999999999"),
        ("Host: h", "Transfer-Encoding: gzip, chunked"),
        ("Host: h", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        ("Host: h", "Transfer-Encoding: xchunked"),
        ("Host: h", "Transfer-Encoding: \x0bchunked"),
        ("Host: h", "Transfer-Encoding : chunked"),
        ("Host: h", " folded"),
        ("Host: h", "A: b\n c"),
        ("Host: h", "A: b\rc"),
        ("Host: h", "A: \x00"),
        ("Host: h", ": b"),
        ("Host: h", "no colon"),
        ("Host: h", "Host: h"),
        ("Host: a b",),
        ("A: b",),
    ],
)
def test_a_head_in_doubt_is_refused(lines: tuple[str, ...]) -> None:
    with pytest.raises(Refused) as refused:
        parse_request_head(head(*lines))
    assert refused.value.reason is Reason.BAD_REQUEST


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        ("GET  /x HTTP/1.1", Reason.BAD_REQUEST),
        ("GET /x", Reason.BAD_REQUEST),
        ("GET /x#y HTTP/1.1", Reason.BAD_REQUEST),
        ("GET x HTTP/1.1", Reason.BAD_REQUEST),
        ("GET http://u@h/ HTTP/1.1", Reason.BAD_REQUEST),
        ("GET * HTTP/1.1", Reason.BAD_REQUEST),
        ("GET /x HTTP/2.0", Reason.VERSION_NOT_SUPPORTED),
        ("GET /x HTTP/0.9", Reason.VERSION_NOT_SUPPORTED),
        ("GET /x http/1.1", Reason.BAD_REQUEST),
    ],
)
def test_a_request_line_in_doubt_is_refused(first: str, reason: Reason) -> None:
    with pytest.raises(Refused) as refused:
        parse_request_head(head("Host: h", first=first))
    assert refused.value.reason is reason


def test_what_can_never_become_a_head_is_refused_before_its_end() -> None:
    for received in (b"GET / HTTP/1.1\nHost", b"\x16\x03\x01", b" GET"):
        with pytest.raises(Refused):
            refuse_hopeless_head(received)
    refuse_hopeless_head(b"GET / HTTP/1.1\r\nHost: h\r")


def test_a_value_of_blanks_takes_no_time() -> None:
    with pytest.raises(Refused):
        parse_request_head(head("Host: h", "A:" + " " * 60_000 + "\x00"))


LINES = st.sampled_from(
    [
        "Host: h",
        "Host: i",
        "Content-Length: 1",
        "Content-Length: 02",
        "Transfer-Encoding: chunked",
        "A: b",
        "A : b",
        " c",
        "Connection: close",
        "a:\x00",
        "a:\tb ",
    ]
)


@settings(deadline=None)
@given(
    lines=st.lists(LINES, max_size=5),
    first=st.sampled_from(["GET / HTTP/1.1", "PUT /a HTTP/1.0", "G / HTTP/1.1"]),
)
def test_what_is_accepted_means_the_same_to_a_second_parser(lines: list[str], first: str) -> None:
    raw = head(*lines, first=first)
    try:
        mine = parse_request_head(raw)
    except Refused:
        return
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(raw)
    theirs = connection.next_event()
    assert isinstance(theirs, h11.Request)
    assert (mine.method, mine.target) == (theirs.method, theirs.target)
    assert [(n.lower(), v) for n, v in mine.fields] == [(bytes(n), bytes(v)) for n, v in theirs.headers]


@settings(deadline=None)
@given(raw=st.binary(max_size=80).map(lambda noise: b"GET / HTTP/1.1\r\nHost: h\r\n" + noise + b"\r\n\r\n"))
def test_any_bytes_are_a_request_or_refused(raw: bytes) -> None:
    try:
        assert isinstance(parse_request_head(raw[: raw.index(b"\r\n\r\n") + 4]), RequestHead)
    except Refused as refused:
        assert refused.detail  # noqa: PT017  # either outcome is right


@pytest.mark.parametrize(
    ("lines", "status", "method", "framing"),
    [
        (("Content-Length: 3",), 200, b"GET", 3),
        (("Transfer-Encoding: Chunked",), 200, b"GET", CHUNKED),
        ((), 200, b"GET", UNTIL_CLOSE),
        (("Content-Length: 3",), 200, b"HEAD", 0),
        (("Content-Length: 3",), 304, b"GET", 0),
        ((), 204, b"GET", 0),
    ],
)
def test_a_responses_framing_follows_its_request(
    lines: tuple[str, ...], status: int, method: bytes, framing: object
) -> None:
    assert parse_response_head(head(*lines, first=f"HTTP/1.1 {status} X"), method).framing == framing


@pytest.mark.parametrize(
    "raw",
    [
        b"hello\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        head("Content-Length: 1", "Transfer-Encoding: chunked", first="HTTP/1.1 200 OK"),
        head("Content-Length: 1", "Content-Length: 1", first="HTTP/1.1 200 OK"),
        head("Transfer-Encoding: gzip", first="HTTP/1.1 200 OK"),
        head("Transfer-Encoding: chunked", first="HTTP/1.0 200 OK"),
        head("A: b\n", first="HTTP/1.1 200 OK"),
    ],
)
def test_a_response_in_doubt_is_bad(raw: bytes) -> None:
    with pytest.raises(BadResponse):
        parse_response_head(raw, b"GET")


@settings(deadline=None)
@given(
    pieces=st.lists(st.binary(min_size=1, max_size=20), max_size=5),
    cuts=st.lists(st.integers(0, 120), max_size=6),
)
def test_any_split_of_a_chunked_body_gives_the_same_content(pieces: list[bytes], cuts: list[int]) -> None:
    raw = b"".join(map(chunk, pieces)) + LAST_CHUNK + b"GET"
    decoder, content = ChunkedDecoder(), b""
    edges = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    for start, end in pairwise(edges):
        content += b"".join(decoder.content(raw[start:end]))
    assert (content, decoder.ended, decoder.rest) == (b"".join(pieces), True, b"GET")


def test_extensions_are_dropped_and_trailers_kept() -> None:
    decoder = ChunkedDecoder()
    assert b"".join(decoder.content(b'3 ;a="b;\\"c";d\r\nabc\r\n0\r\nT: u\r\n\r\n')) == b"abc"
    assert decoder.trailers == ((b"T", b"u"),)


@pytest.mark.parametrize(
    "raw",
    [
        b"0x3\r\nabc",
        b"+3\r\nabc",
        b"-1\r\n",
        b"3\nabc",
        b"3\r\nabcd",
        b"3\r\nabc\n",
        b"1" * 16 + b"\r\n",
        b"\r\n",
        b" 3\r\n",
        b"3;\r\nabc",
        b"3;a=\x00\r\n",
        b"0\r\nbad\r\n\r\n",
        b"0\r\nT: u\n\n",
        b";" * 2000,
    ],
)
def test_a_malformed_chunk_is_refused(raw: bytes) -> None:
    with pytest.raises(Refused):
        list(ChunkedDecoder().content(raw))
