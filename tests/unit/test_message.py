"""Message heads: what is in doubt is refused (RFC 9112)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgate.core.message import (
    CHUNKED,
    UNTIL_CLOSE,
    BadResponse,
    Refused,
    RequestHead,
    ResponseHead,
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


def test_a_client_of_1_0_need_not_say_whom_it_means() -> None:
    assert parse_request_head(head(first="GET / HTTP/1.0")).host == b""
    assert parse_request_head(head("Host:", first="GET / HTTP/1.0")).host == b""


def test_a_connect_has_no_path() -> None:
    request = parse_request_head(head("Host: h:1", first="CONNECT h:1 HTTP/1.1"))
    assert (request.target, request.path, request.query, request.host) == (b"h:1", b"", b"", b"h:1")


@pytest.mark.parametrize(
    ("first", "line", "keeps"),
    [
        ("GET / HTTP/1.1", "A: b", True),
        ("GET / HTTP/1.1", "Connection: a, Close", False),
        ("GET / HTTP/1.0", "A: b", False),
        ("GET / HTTP/1.0", "Connection: Keep-Alive", True),
        ("GET / HTTP/1.0", "Connection: keep-alive, close", False),
        ("GET / HTTP/1.9", "A: b", True),
    ],
)
def test_whether_a_connection_goes_on_depends_on_its_version(first: str, line: str, keeps: bool) -> None:
    assert parse_request_head(head("Host: h", line, first=first)).keep_alive is keeps


@pytest.mark.parametrize(
    ("first", "lines", "waits"),
    [
        ("PUT / HTTP/1.1", ("Expect: 100-Continue", "Content-Length: 1"), True),
        ("PUT / HTTP/1.1", ("Expect: 100-continue", "Transfer-Encoding: chunked"), True),
        ("PUT / HTTP/1.1", ("Expect: 100-continue", "Content-Length: 0"), False),
        ("PUT / HTTP/1.1", ("Expect: 100-continue",), False),
        ("PUT / HTTP/1.0", ("Expect: 100-continue", "Content-Length: 1"), False),
        ("PUT / HTTP/1.1", ("Expect: x", "Content-Length: 1"), False),
        ("PUT / HTTP/1.1", ("Content-Length: 1",), False),
    ],
)
def test_a_client_waits_with_its_content_where_it_says_so(
    first: str, lines: tuple[str, ...], waits: bool
) -> None:
    assert parse_request_head(head("Host: h", *lines, first=first)).expects_continue is waits


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (" folded", "A field line begins with white space: folded lines are not accepted."),
        ("\tfolded", "A field line begins with white space: folded lines are not accepted."),
        ("A: b\rc", "A line ends with a bare CR or LF; lines end with CR LF."),
        ("A: b\nc", "A line ends with a bare CR or LF; lines end with CR LF."),
        ("no colon", "A field line has no colon."),
        (": b", "A field name is empty or holds a character that is not allowed, such as a space."),
        ("A : b", "A field name is empty or holds a character that is not allowed, such as a space."),
        ("A: \x00", "A field value holds a control character."),
        ("Content-Length: +1", "Content-Length is not one whole number."),
        ("Transfer-Encoding: x", "The only transfer coding known here is `chunked`."),
        ("Host: h", "More than one Host field."),
    ],
)
def test_a_client_is_told_what_is_wrong_with_its_head(line: str, told: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_request_head(head("Host: h", line))
    assert refused.value.detail == told


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
            refuse_hopeless_head(received, 0, len(received), 0)
    for received in (b"GET / HTTP/1.1\r\nHost: h\r", b"\r", b"", b"G"):
        refuse_hopeless_head(received, 0, len(received), 0)


def test_a_bare_line_feed_is_told_from_one_whose_carriage_return_came_before() -> None:
    refuse_hopeless_head(b"GET / HTTP/1.1\r\n", 0, 16, 15)
    with pytest.raises(Refused):
        refuse_hopeless_head(b"GET / HTTP/1.1\n", 0, 15, 14)
    refuse_hopeless_head(b"\nGET / HTTP/1.1\n", 1, 15, 1)  # what lies around the head is not looked at


def test_a_value_of_blanks_takes_no_time() -> None:
    with pytest.raises(Refused):
        parse_request_head(head("Host: h", "A:" + " " * 60_000 + "\x00"))


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
        head("Content-Length: 1", "Content-Length: 01", first="HTTP/1.1 200 OK"),
        head("Content-Length: 1, 2", first="HTTP/1.1 200 OK"),
        head("Content-Length: 1, -1", first="HTTP/1.1 200 OK"),
        head("Content-Length:", first="HTTP/1.1 200 OK"),
        head("Content-Length: 1,", first="HTTP/1.1 200 OK"),
        head("Transfer-Encoding: gzip", first="HTTP/1.1 200 OK"),
        head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", first="HTTP/1.1 200 OK"),
        head("Transfer-Encoding: chunked", first="HTTP/1.0 200 OK"),
        head("A: b\rc", first="HTTP/1.1 200 OK"),
        head("A: b\x00", first="HTTP/1.1 200 OK"),
        head("A: b", " c", first="HTTP/1.1 200 OK"),
        head("A : b", first="HTTP/1.1 200 OK"),
        head("A: b\r", first="HTTP/1.1 200 OK"),
    ],
)
def test_a_response_in_doubt_is_bad(raw: bytes) -> None:
    with pytest.raises(BadResponse):
        parse_response_head(raw, b"GET")


@pytest.mark.parametrize(
    ("lines", "fields", "framing"),
    [
        (b"A: b\nC: d\r\nContent-Length: 1\n\n", (b"b", b"d"), 1),
        (b"A: b\r\nC: d\r\nContent-Length: 1\r\n\n", (b"b", b"d"), 1),
        (b"A: b\x01c\r\nC: \x0b\x7f\r\nContent-Length: 1\r\n\r\n", (b"b\x01c", b"\x0b\x7f"), 1),
        (b"A: b\r\nC: d\r\nContent-Length: 1\r\nContent-Length:  1 \r\n\r\n", (b"b", b"d"), 1),
        (b"A: b\r\nC: d\r\nContent-Length: 1 ,\t1\r\n\r\n", (b"b", b"d"), 1),
    ],
)
def test_what_leaves_no_framing_in_doubt_is_forgiven_in_responses(
    lines: bytes, fields: tuple[bytes, ...], framing: int
) -> None:
    read = parse_response_head(b"HTTP/1.1 200 OK\r\n" + lines, b"GET")
    assert (read.values(b"a"), read.values(b"c"), read.framing) == ((fields[0],), (fields[1],), framing)


@given(raw=st.binary(max_size=60) | st.text("A:\r\n \t,1\x00\x01", max_size=12).map(str.encode))
def test_any_bytes_are_a_response_or_none(raw: bytes) -> None:
    try:
        assert isinstance(parse_response_head(b"HTTP/1.1 200 OK\r\n" + raw + b"\r\n", b"GET"), ResponseHead)
    except BadResponse as bad:
        assert str(bad)  # noqa: PT017  # either outcome is right


@pytest.mark.parametrize("first", ["HTTP/1.1 200", "HTTP/1.1 200 ", "HTTP/1.9 200 \xff O K"])
def test_a_response_needs_no_phrase(first: str) -> None:
    read = parse_response_head(head(first=first), b"GET")
    assert (read.status, read.minor_version) == (200, 1)
    assert read.phrase == first.encode("latin-1")[13:]


@pytest.mark.parametrize("most", [0, 3])
def test_there_are_no_more_fields_than_the_limit_says(most: int) -> None:
    lines = ["Host: h", *["A: b"] * (most - 1)][:most]
    first = "GET http://h/ HTTP/1.0"
    assert len(parse_request_head(head(*lines, first=first), most_fields=most).fields) == most
    with pytest.raises(Refused) as refused:
        parse_request_head(head(*lines, "A: b", first=first), most_fields=most)
    assert (refused.value.reason, str(most) in refused.value.detail) == (Reason.FIELDS_TOO_LARGE, True)
