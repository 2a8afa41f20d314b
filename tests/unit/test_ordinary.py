"""Both ways to read a head make the same value of it, and so does what is remembered of the one before."""

from itertools import product

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rgate.core.config import Limits, Route
from rgate.core.fields import ClientConnection
from rgate.core.message import CHUNKED, BadResponse, Refused, parse_response_head
from rgate.core.onward import Interim, Request, Response, response_of
from rgate.core.reading import Reading, RequestReader, ResponseReader
from rgate.core.reasons import Failure, Reason
from rgate.core.routing import without_prefix
from tests.unit.both_ways import made_id, quickly, same_but_for_blanks, same_responses, thoroughly
from tests.unit.heads import framings, hosts, lines, request_lines, some_of, status_lines
from tests.unit.messages import PROXY, READING, STRANGER, TUNNEL_LESS, request

clients = st.sampled_from([STRANGER, STRANGER, PROXY])
readings = st.sampled_from([READING, READING, TUNNEL_LESS])
STRIPPING = Route("/a", "b", strip_prefix=True)
HOST = b"Host: h\r\n"
END = b"\r\n"
LINE = b"GET /a HTTP/1.1\r\n"


@settings(max_examples=200)
@given(
    line=request_lines,
    host=hosts,
    drawn=lines,
    client=clients,
    reading=readings,
)
@example(LINE, HOST, [b"Connection: keep-alive\r\n", b"A: b\r\n"], STRANGER, READING)
@example(LINE, b"", [b"Content-Length: 3\r\n", HOST], STRANGER, READING)
@example(LINE, HOST, [b"Connection: keep-alive\r\n", b"Keep-Alive: 5\r\n", b"A: b\r\n"], STRANGER, READING)
@example(
    LINE, b"", [b"X-Forwarded-For: 1\r\n", HOST, b"x-forwarded-host: a\r\n", b"A: b\r\n"], STRANGER, READING
)
@example(LINE, HOST, [b"X-Forwarded-Proto: a\r\n", b"X-Forwarded-Host: b\r\n"], PROXY, READING)
@example(LINE, HOST, [b"X-Forwarded-Port: 1\r\n", b"Transfer-Encoding: chunked\r\n"], PROXY, READING)
@example(LINE, HOST, [b"X-Forwarded-For: 1\r\n"], PROXY, READING)
@example(LINE, HOST, [b"X-Request-ID: a\r\n", b"X-Forwarded-Host: b\r\n"], STRANGER, READING)
@example(LINE, HOST, [b"X-Request-ID: a\r\n", b"x-request-id: b\r\n"], STRANGER, READING)
@example(LINE, HOST, [b"X-Forwarded-Ports: 1\r\n", b"X-Forwarded-Port: 1\r\n"], STRANGER, READING)
def test_a_request_that_is_read_quickly_is_what_it_is_when_read_thoroughly(
    line: bytes, host: bytes, drawn: list[bytes], client: ClientConnection, reading: Reading
) -> None:
    for some in some_of(drawn):
        head = line + host + some + END
        quick = quickly(head, client, reading)
        if quick is not None:
            thorough = thoroughly(head, client, reading)  # and it is not refused
            assert same_but_for_blanks(quick, thorough)
            if quick.path.startswith(b"/a"):
                stripped = [without_prefix(STRIPPING, one) for one in (quick, thorough)]
                assert same_but_for_blanks(*stripped)


def outcome(
    reader: RequestReader, head: bytes, client: ClientConnection, reading: Reading
) -> Request | Reason | None:
    try:
        return reader.read(head, reading, client, made_id)
    except Refused as refused:
        return refused.reason


@settings(max_examples=150)
@given(
    asked=st.lists(request_lines, min_size=2, max_size=3),
    host=hosts,
    drawn=lines,
    client=clients,
    readings=st.lists(readings, min_size=1, max_size=2),
)
@example([LINE, b"GET /b HTTP/1.1\r\n"], HOST, [b"TE: trailers\r\n"], PROXY, [READING])
@example([LINE, b"GET http://i/b HTTP/1.1\r\n", LINE], HOST, [b"A: b\r\n"], STRANGER, [READING])
def test_lines_that_are_remembered_mean_what_they_mean_to_a_fresh_reader(
    asked: list[bytes], host: bytes, drawn: list[bytes], client: ClientConnection, readings: list[Reading]
) -> None:
    reader = RequestReader()
    for some, line, reading in product(some_of(drawn), asked, readings):
        head = line + host + some + END
        known = outcome(reader, head, client, reading)
        fresh = outcome(RequestReader(), head, client, reading)
        if isinstance(known, Request) and isinstance(fresh, Request):
            assert same_but_for_blanks(known, fresh)
        else:
            assert known == fresh
            reader = RequestReader()  # what is no request ends its connection


@pytest.mark.parametrize("most", [50, 100])
def test_a_head_is_as_large_as_it_may_be_whatever_is_remembered(most: int) -> None:
    reading = Reading(Limits(header_bytes=most), upgrading=True)
    block = b"Host: h\r\n\r\n"
    longest = b"GET /%b HTTP/1.1\r\n" % (b"a" * (most - len(block) - 16))
    reader = RequestReader()
    for line in (LINE, longest, longest):
        assert isinstance(outcome(reader, line + block, STRANGER, reading), Request)
    longer = longest.replace(b"/", b"/a", 1)
    # Once was taken, as the lines behind it were known.
    assert outcome(reader, longer + block, STRANGER, reading) is Reason.FIELDS_TOO_LARGE


ASKED = [
    request(b"GET /a HTTP/1.1"),
    request(b"HEAD /a HTTP/1.1"),
    request(b"GET /a HTTP/1.0"),
    request(b"POST /a HTTP/1.1", b"X-Request-ID: mine"),
    request(b"GET /a HTTP/1.1", b"Connection: upgrade", b"Upgrade: websocket"),
]
OK = b"HTTP/1.1 200 OK\r\n"


@settings(max_examples=200)
@given(status=status_lines, drawn=lines, framing=framings)
@example(OK, [b"Connection: keep-alive\r\n", b"Server: x\r\n"], b"Content-Length: 3\r\n")
@example(OK, [b"X-Rgate-Reason: no_container\r\n"], b"Content-Length: 3\r\n")
@example(b"HTTP/1.1 304 N\r\n", [], b"Content-Length: 3\r\n")
@example(b"HTTP/1.1 304 N\r\n", [], b"Transfer-Encoding: chunked\r\n")
@example(b"HTTP/1.1 204 N\r\n", [b"Server: x\r\n"], b"")
@example(b"HTTP/1.1 204 N\r\n", [], b"Content-Length: 3\r\n")  # the content belongs to nothing
@example(OK, [b"Transfer-Encoding: chunked\r\n", b"A: b\r\n"], b"")
@example(OK, [b"Transfer-Encoding: chunked\r\n"], b"Content-Length: 3\r\n")
@example(OK, [b"Connection: close\r\n"], b"Content-Length: 3\r\n")
@example(OK, [], b"Content-Length: 0\r\n")
def test_a_response_that_is_read_quickly_is_what_it_is_when_read_thoroughly(
    status: bytes, drawn: list[bytes], framing: bytes
) -> None:
    for some, asked in product(some_of(drawn), ASKED):
        head = status + some + framing + END
        quick = ResponseReader()._quickly(head + b"abc", READING, asked)
        if quick is not None:
            parsed = parse_response_head(head, asked.method)  # and it is not bad
            thorough = response_of(parsed, asked, head + b"abc", len(head))
            assert same_responses(quick, thorough, asked.method)


Read = Response | Interim | Failure | None


def response_outcome(reader: ResponseReader, head: bytes, asked: Request) -> Read:
    try:
        return reader.read(head, READING, asked, reused=False)
    except BadResponse as bad:
        return bad.failure


@settings(max_examples=150)
@given(
    status=status_lines,
    drawn=lines,
    framing=framings,
    asked=st.lists(st.sampled_from(ASKED), min_size=2, max_size=4),
)
@example(OK, [], b"Transfer-Encoding: chunked\r\n", [ASKED[0], ASKED[2]])
@example(OK, [], b"Content-Length: 3\r\n", [ASKED[1], ASKED[0], ASKED[3]])
def test_a_response_like_the_one_before_means_what_it_means_to_a_fresh_reader(
    status: bytes, drawn: list[bytes], framing: bytes, asked: list[Request]
) -> None:
    reader = ResponseReader()
    for some, one in product(some_of(drawn), asked):
        head = status + some + framing + END
        known = response_outcome(reader, head, one)
        fresh = response_outcome(ResponseReader(), head, one)
        if isinstance(known, Response) and isinstance(fresh, Response):
            assert same_responses(known, fresh, one.method)
        else:
            assert known == fresh
            reader = ResponseReader()


@pytest.mark.parametrize(
    "lines",
    [
        (b"204 N",),
        (b"304 N", b"Content-Length: 7"),
        (b"200 OK", b"Content-Length: 0"),
        (b"200 OK", b"Transfer-Encoding: chunked"),
        (b"404 Not Found", b"Connection: close", b"Content-Length: 3"),
        (b"200 OK", b"Content-Length: 3", b"Connection: keep-alive", b"Keep-Alive: timeout=5"),
    ],
)
@pytest.mark.parametrize("asked", ASKED[:1] + ASKED[3:])
def test_responses_of_each_ordinary_framing_are_read_quickly(
    lines: tuple[bytes, ...], asked: Request
) -> None:
    head = b"\r\n".join((b"HTTP/1.1 " + lines[0], *lines[1:], b"", b""))
    assert ResponseReader()._quickly(head + b"abc", READING, asked) is not None


@pytest.mark.parametrize(
    "line",
    [
        *(
            b"X-Request-ID: mine",
            b"X-Forwarded-For: 1.2.3.4",
            b"X-Forwarded-Proto: https",
            b"X-Forwarded-Port: 443",
        ),
        *(b"Connection: keep-alive", b"Connection: close", b"connection: Keep-Alive", b"Content-Length: 3"),
        *(
            b"Transfer-Encoding: chunked",
            b"Upgrade-Insecure-Requests: 1",
            b"Cookie: a",
            b"Via: 1.1 x",
            b"Origin: x",
        ),
    ],
)
@pytest.mark.parametrize("client", [STRANGER, PROXY])
def test_requests_with_what_is_mostly_sent_are_read_quickly(line: bytes, client: ClientConnection) -> None:
    head = b"OPTIONS /a/1 HTTP/1.1\r\nHost: h\r\n%b\r\n\r\n" % line
    quick = quickly(head, client, READING)
    assert quick is not None
    assert quick.framing == {b"Content-Length: 3": 3, b"Transfer-Encoding: chunked": CHUNKED}.get(line, 0)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(LINE + b"Host: h\r\n\r", id="not whole"),
        pytest.param(LINE + b"Host: h\r\n" + b"A:\r\n" * 100 + b"\r\n", id="too many fields"),
        pytest.param(LINE + b"Host: h\r\nA: %b\r\n\r\n" % (b"x" * 65536), id="too large"),
        pytest.param(LINE + b"A: b\r\n\r\n", id="no host"),
        pytest.param(LINE + b"Host: h\r\nExpect: 100-continue\r\n\r\n", id="one that waits"),
        pytest.param(b"\r\n" + LINE + b"Host: h\r\n\r\n", id="behind an empty line"),
    ],
)
def test_what_is_out_of_the_ordinary_is_not_read_quickly(head: bytes) -> None:
    assert quickly(head, STRANGER, READING) is None


@given(status=status_lines, drawn=lines, framing=framings, cut=st.integers(1, 40))
def test_a_part_of_a_response_is_not_read_quickly(
    status: bytes, drawn: list[bytes], framing: bytes, cut: int
) -> None:
    for some in some_of(drawn):
        head = status + some + framing + END
        part = head[: max(len(head) - cut, 0)]
        quick = ResponseReader()._quickly(part, READING, ASKED[0])
        assert quick is None or part.endswith(END)  # of a line that is empty all the same
