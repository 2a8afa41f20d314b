"""A second parser, h11, and what a message means to it and to ours."""

import re
from dataclasses import dataclass

import h11

from rgate.core.content import Content, content_of
from rgate.core.message import UNTIL_CLOSE, BadResponse, Fields, Refused
from rgate.core.onward import Interim
from rgate.core.reading import RequestReader, ResponseReader
from tests.unit.messages import READING, STRANGER, request


@dataclass(frozen=True)
class Meaning:
    """What a whole message is. Names and codings are in lower case, and a length that stands twice is one."""

    first: tuple[bytes | int, bytes]  # method and target, or status and phrase
    fields: Fields
    content: bytes
    trailers: Fields
    rest: bytes  # what came behind it


NEITHER = None  # refused, or not whole


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


def ways_of_forgiveness(head: bytes) -> set[str]:
    """Return why a request's *head* is taken although h11 refuses it."""
    line = head.split(b"\r\n")[0]
    return {"UTF-8 in the target"} if re.search(rb"[\x80-\xff]", line) else set()


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


def ways_of_forgiveness_in_responses(head: bytes) -> set[str]:
    """Return why a response's *head* is taken although h11 refuses it: what small servers send."""
    fields = head.partition(b"\n")[2]
    return (
        {"white space that is none in a value"}
        if re.search(rb"[\x0b\x0c\x1c-\x1f\x85\xa0]", fields)
        else set()
    )
