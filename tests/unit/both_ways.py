"""Connections read as an engine reads them, and heads read in both ways, for tests that compare."""

from collections.abc import Sequence
from typing import Any

from rgate.core.content import Content, content_of
from rgate.core.fields import ClientConnection
from rgate.core.message import BadResponse, Refused, parse_request_head, parse_response_head
from rgate.core.onward import Interim, Request, Response, request_of
from rgate.core.problem import Problem
from rgate.core.reading import Reading, RequestReader, ResponseReader
from tests.unit.messages import READING, STRANGER, fields_of

Events = list[Any]
"""What a reader and its contents gave, in order; the last tells how it ended."""


def made_id() -> bytes:
    return b"made"


class Pieces:
    """A content, and what came of it."""

    def __init__(self, content: Content) -> None:
        self.content = content
        self.taken = b""

    def take(self, data: bytes) -> bytes:
        """Take *data*; return what of it is behind the content."""
        while data and not self.content.complete:
            piece, end = self.content.take(data, 0)
            self.taken += piece
            data = data[end:]
        return data

    def told(self) -> tuple[str, bytes, object]:
        return "content", self.taken, self.content.trailers if self.content.complete else "more is to come"


def meaning(message: Request | Response) -> object:
    """What a head comes to, without where it lay and how its lines were spaced."""
    line, fields = message.onward.partition(b"\r\n")[0].rstrip(), fields_of(message.onward)
    if isinstance(message, Request):
        return ("head", line, fields, message.framing, message.host, message.identity, message.manner)
    return ("head", line, fields, message.framing, message.reuse)


def read_requests(
    pieces: Sequence[bytes], client: ClientConnection = STRANGER, reading: Reading = READING
) -> Events:
    """Read a client's connection as an engine does."""
    reader, events, content = RequestReader(), Events(), Pieces(content_of(0))
    try:
        for piece in pieces:
            data = piece
            while True:
                if not content.content.complete:
                    data = content.take(reader.take_all() + data)
                    if not content.content.complete:
                        break
                    events.append(content.told())
                head = reader.read(data, reading, client, made_id)
                data = b""
                if head is None:
                    break
                events.append(meaning(head))
                content = Pieces(content_of(head.framing))
    except Refused as refused:
        return [*events, refused.reason]
    return [*events, content.told() if not content.content.complete else bool(reader.is_empty)]


def read_responses(
    pieces: Sequence[bytes], asked: Request, *, reused: bool, ends: bool, reading: Reading = READING
) -> Events:
    """Read an upstream's answer as an engine does; its connection *ends* behind them or not."""
    reader, events, content = ResponseReader(), Events(), None
    try:
        for number, piece in enumerate(pieces, 1):
            data = piece
            while content is None:
                read = reader.read(data, reading, asked, reused=reused)
                data = b""
                if read is None:
                    break
                if isinstance(read, Interim):
                    events.append(read)
                    continue
                events.append(meaning(read))
                content = Pieces(content_of(read.framing, lenient=True))
                data = read.received[read.end :]
            if content is not None:
                data = content.take(data)
                if content.content.complete:
                    return [*events, content.told(), data + b"".join(pieces[number:])]
    except BadResponse as bad:
        return [*events, bad.failure]
    except Refused:
        return [*events, "broken off"]
    if content is not None:
        return [*events, content.told()]
    return [*events, reader.end(reused=reused) if ends else "more is to come"]


def quickly(head: bytes, client: ClientConnection, reading: Reading) -> Request | None:
    reader = RequestReader()
    reader.feed(head)
    return reader._quickly(reading, client, made_id)


def thoroughly(head: bytes, client: ClientConnection, reading: Reading) -> Request:
    parsed = parse_request_head(head, most_fields=reading.most_fields)
    return request_of(parsed, client, b"made", head, 0, len(head), upgrading=reading.upgrading)


def same_but_for_blanks(one: Request | Problem, other: Request | Problem) -> bool:
    """Whether both are the same, but for white space around the values of fields."""
    if isinstance(one, Problem) or isinstance(other, Problem):
        return one == other
    lines = [each.onward.partition(b"\r\n")[0] for each in (one, other)]
    fields = [fields_of(each.onward) for each in (one, other)]
    return (lines[0], fields[0], one._replace(onward=b"")) == (
        lines[1],
        fields[1],
        other._replace(onward=b""),
    )


def same_responses(one: Response, other: Response, method: bytes) -> bool:
    """Whether both are the same, but for white space around values and where there is no phrase."""
    heads = [parse_response_head(each.onward, method) for each in (one, other)]
    return (heads[0], one._replace(onward=b"")) == (heads[1], other._replace(onward=b""))
