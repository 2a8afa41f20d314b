"""What is taken means the same to a second parser, h11, but for the differences that are listed here."""

import re
from dataclasses import dataclass
from itertools import product

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rgate.core.content import Content, content_of
from rgate.core.message import (
    UNTIL_CLOSE,
    BadResponse,
    Fields,
    Refused,
    parse_request_head,
    parse_response_head,
)
from rgate.core.onward import Interim
from rgate.core.reading import RequestReader, ResponseReader
from tests.unit.heads import framings, hosts, lines, request_lines, some_of, status_lines
from tests.unit.messages import READING, STRANGER, request


@dataclass(frozen=True)
class Meaning:
    """What a whole message is. Names and codings are in lower case, and a length that stands twice is one."""

    first: tuple[bytes | int, bytes]  # method and target, or status and phrase
    fields: Fields
    content: bytes
    trailers: Fields
    rest: bytes  # what came behind it


NEITHER = None
"""Refused, or not whole."""


def normal(fields: Fields) -> Fields:
    kept: dict[tuple[bytes, bytes], None] = {}
    made = []
    for name, value in fields:
        lower = name.lower()
        if lower == b"content-length":
            value = value.split(b",")[0].strip()
            if (lower, value) in kept:
                continue
            kept[lower, value] = None
        made.append((lower, value.lower() if lower == b"transfer-encoding" else value))
    return tuple(made)


def whole(content: Content, raw: bytes, *, ends: bool) -> tuple[bytes, bytes] | None:
    """The content that *raw* begins with, and what is behind it."""
    taken = b""
    while raw and not content.complete:
        piece, end = content.take(raw, 0)
        taken, raw = taken + piece, raw[end:]
    return (taken, raw) if content.complete or ends else None


def our_request(raw: bytes) -> Meaning | None:
    reader = RequestReader()
    try:
        read = reader.read(raw, READING, STRANGER, lambda: b"id")
        if read is None:
            return NEITHER
        content = content_of(read.framing)
        got = whole(content, reader.take_all(), ends=False)
        head = read.head()
    except Refused:
        return NEITHER
    return got and Meaning(
        (head.method, head.target), normal(head.fields), got[0], normal(content.trailers), got[1]
    )


def their_message(connection: h11.Connection) -> tuple[h11.Event, bytes, Fields] | None:
    """The head, content and trailers of the next message of *connection*."""
    try:
        head, content = connection.next_event(), b""
        while isinstance(head, h11.InformationalResponse):
            head = connection.next_event()
        if not isinstance(head, (h11.Request, h11.Response)):
            return NEITHER
        while isinstance(event := connection.next_event(), h11.Data):
            content += event.data
    except h11.RemoteProtocolError:
        return NEITHER
    return (head, content, tuple(event.headers)) if isinstance(event, h11.EndOfMessage) else NEITHER


def their_request(raw: bytes) -> Meaning | None:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(raw)
    read = their_message(connection)
    if read is None or not isinstance(head := read[0], h11.Request):
        return NEITHER
    return Meaning(
        (head.method, head.target),
        normal(tuple(head.headers)),
        read[1],
        normal(read[2]),
        connection.trailing_data[0],
    )


def values(head: bytes, name: bytes) -> list[bytes]:
    """What a reader that forgives everything finds in the lines called *name*."""
    return re.findall(rb"(?im)^%b:[ \t]*(.*?)[ \t]*$" % name, head.replace(b"\r", b""))


def ways_of_doubt(head: bytes) -> set[str]:
    """Return why a request's *head* is refused although others may take it."""
    line = head.split(b"\n")[0].split(b" ")
    target, version = line[1] if len(line) > 1 else b"", line[-1].strip()
    lengths, codings, named = (
        values(head, name) for name in (b"content-length", b"transfer-encoding", b"host")
    )
    is_path = target.startswith(b"/") or re.match(rb"(?i)https?://[^/?@]", target) or target == b"*"
    found = {
        "a bare CR or LF": re.search(rb"(?<!\r)\n|\r(?!\n)", head),
        "a folded line": re.search(rb"\n[ \t]", head),
        "a control character": re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", head),
        "a length that is not one number": len(lengths) > 1
        or not re.fullmatch(rb"[0-9]{1,18}", (lengths or [b"0"])[0]),
        "a length and a coding": lengths and codings,
        "a coding in HTTP/1.0": codings and version == b"HTTP/1.0",
        "a version that is not 1": not version.startswith(b"HTTP/1."),
        "no host, or two": len(named) != 1 and not (version == b"HTTP/1.0" and not named),
        "a host that can be none": named
        and not re.fullmatch(rb"[\w.~-]*(?::\d*)?|\[[\w:.]+\](?::\d*)?", named[0]),
        "a target that is neither path nor URL": not is_path or (target == b"*" and line[0] != b"OPTIONS"),
        "a fragment": b"#" in target,
    }
    return {way for way, is_found in found.items() if is_found}


def ways_of_forgiveness(head: bytes) -> set[str]:
    """Return why a request's *head* is taken although h11 refuses it."""
    line = head.split(b"\r\n")[0]
    return {"UTF-8 in the target"} if re.search(rb"[\x80-\xff]", line) else set()


# Chunked bodies: good ones, ones that only others take, and such that nobody does.
GOOD = [b"3\r\nabc\r\n0\r\n\r\n", b"0\r\n\r\n", b"1;a=b\r\na\r\n02\r\nbc\r\n0\r\nT: u\r\n\r\n"]
IN_DOUBT = [
    b"3 \r\nabc\r\n0\r\n\r\n",
    b"3;\r\nabc\r\n0\r\n\r\n",
    b"0\r\nT: u\n\r\n",
    b"0\r\nT: u\x01\r\n\r\n",
    b"3\nabc\r\n0\r\n\r\n",
]
BAD = [
    b"-3\r\nabc\r\n0\r\n\r\n",
    b"0x3\r\nabc\r\n",
    b"3\r\nabcd\r\n",
    b"0\r\nT : u\r\n\r\n",
    b"3\r\nabc\r\n0\r\n",
]
bodies = st.lists(
    st.sampled_from([*GOOD * 2, *IN_DOUBT, *BAD, *[b"abc", b"abcdef", b"ab", b""] * 2]),
    min_size=2,
    max_size=4,
)


@settings(max_examples=150)
@given(line=request_lines, host=hosts, drawn=lines, framing=framings, bodies=bodies)
def test_a_request_means_the_same_to_both_or_is_in_doubt_in_a_way_that_is_known(
    line: bytes, host: bytes, drawn: list[bytes], framing: bytes, bodies: list[bytes]
) -> None:
    for some, body in product(some_of(drawn), bodies):
        head = line + host + some + framing + b"\r\n"
        ours, theirs = our_request(head + body), their_request(head + body)
        if ours is not None and not ways_of_forgiveness(head):
            assert ours == theirs
        if theirs is not None and ours is None:
            assert ways_of_doubt(head) or body in IN_DOUBT
        if ours is not None:
            assert not ways_of_doubt(head), "what is in doubt is refused"


def our_response(raw: bytes, method: bytes) -> Meaning | None:
    reader, asked = ResponseReader(), request(method + b" / HTTP/1.1")
    try:
        read = reader.read(raw, READING, asked, reused=False)
        while isinstance(read, Interim):
            read = reader.read(b"", READING, asked, reused=False)
        if read is None:
            return NEITHER
        content = content_of(read.framing, lenient=True)
        got = whole(content, read.received[read.end :], ends=read.framing is UNTIL_CLOSE)
        head = read.head(method)
    except (BadResponse, Refused):
        return NEITHER
    return got and Meaning(
        (head.status, head.phrase), normal(head.fields), got[0], normal(content.trailers), got[1]
    )


def their_response(raw: bytes, method: bytes) -> Meaning | None:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=method, target=b"/", headers=[("Host", "h")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(raw)
    connection.receive_data(b"")
    read = their_message(connection)
    if read is None or not isinstance(head := read[0], h11.Response):
        return NEITHER
    first = (head.status_code, head.reason)
    return Meaning(first, normal(tuple(head.headers)), read[1], normal(read[2]), connection.trailing_data[0])


def ways_of_doubt_in_responses(head: bytes) -> set[str]:
    lengths = {one.strip() for value in values(head, b"content-length") for one in value.split(b",")}
    codings = values(head, b"transfer-encoding")
    found = {
        "a bare CR": re.search(rb"\r(?!\n)", head),
        "a folded line": re.search(rb"\n[ \t]", head),
        "a length and a coding": lengths and codings,
        "a coding in HTTP/1.0": codings and not head.startswith(b"HTTP/1.1"),
        "a version that is not 1": not head.startswith(b"HTTP/1."),
        "control characters in the phrase": re.search(rb"[\x01-\x08\x0e-\x1f\x7f]", head.split(b"\n")[0]),
    }
    return {way for way, is_found in found.items() if is_found}


def ways_of_forgiveness_in_responses(head: bytes) -> set[str]:
    """Return why a response's *head* is taken although h11 refuses it: what small servers send."""
    fields = head.partition(b"\n")[2]
    return (
        {"white space that is none in a value"}
        if re.search(rb"[\x0b\x0c\x1c-\x1f\x85\xa0]", fields)
        else set()
    )


@settings(max_examples=150)
@given(
    status=status_lines.filter(lambda line: b" 101 " not in line),  # a tunnel follows
    drawn=lines,
    framing=framings,
    bodies=bodies,
    method=st.sampled_from([b"GET", b"GET", b"HEAD"]),
    interim=st.sampled_from([b"", b"", b"HTTP/1.1 103 E\r\nA: b\r\n\r\n"]),
)
def test_a_response_means_the_same_to_both_or_is_in_doubt_in_a_way_that_is_known(
    status: bytes, drawn: list[bytes], framing: bytes, bodies: list[bytes], method: bytes, interim: bytes
) -> None:
    for some, body in product(some_of(drawn), bodies):
        head = status + some + framing + b"\r\n"
        raw = interim + head + body
        ours, theirs = our_response(raw, method), their_response(raw, method)
        if ours is not None and body not in IN_DOUBT and not ways_of_forgiveness_in_responses(head):
            assert ours == theirs
        if theirs is not None and ours is None:
            assert ways_of_doubt_in_responses(head) or body in IN_DOUBT
        if ours is not None:
            assert not ways_of_doubt_in_responses(head)


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 3\r\nContent-Length: 3\r\n",
        b"Content-Length: 3, 3\r\n",
        b"A: b\x01\x7f\r\nContent-Length: 3\r\n",
        b"A: b\nContent-Length: 3\n",
    ],
)
def test_what_is_forgiven_in_responses_is_forgiven_by_both_and_refused_in_requests(lines: bytes) -> None:
    raw = b"HTTP/1.1 200 OK\r\n" + lines + b"\r\nabc"
    assert our_response(raw, b"GET") == their_response(raw, b"GET")
    assert parse_response_head(raw[:-3], b"GET").framing == 3
    with pytest.raises(Refused):
        parse_request_head(b"GET / HTTP/1.1\r\nHost: h\r\n" + lines + b"\r\n")
