"""How a response is delivered to its client: framed how, raw or in an envelope, and whether the connection
goes on (RFC 9112 6, 9.3, behaviour 2 and 5). Heads and bodies as bytes; what is rgate's own answer too.
"""

from http import HTTPStatus
from typing import Final, NamedTuple

from rgate.core.content import LAST_CHUNK, chunk, last_chunk
from rgate.core.envelope import MOST_BYTES, envelope, enveloped_fields, may_be_enveloped, without_replaced
from rgate.core.fields import SWITCHING_PROTOCOLS, connection_fields, lines, response_fields
from rgate.core.message import CHUNKED, UNTIL_CLOSE, Fields
from rgate.core.onward import LINE_END, ORDINARY, Manner, Request, Response, response_head, response_lines
from rgate.core.problem import OwnResponse, OwnStream


class Delivery(NamedTuple):
    """How the response is framed for its client."""

    lines: bytes  # that say so, and are not among the response's own
    chunks: bool  # content goes in chunks
    closes: bool  # the connection ends behind the response
    framed: bool = (
        True  # the client can tell whether the content is complete; else only the connection's end ends it
    )

    def content(self, piece: bytes) -> bytes:
        """Return *piece* of the content as it is sent."""
        return chunk(piece) if self.chunks and piece else piece

    def end(self, trailers: Fields) -> bytes:
        """Return what is sent behind the content."""
        if not self.chunks:
            return b""
        return last_chunk(trailers) if trailers else LAST_CHUNK


_AS_IT_CAME: Final = Delivery(b"", chunks=False, closes=False)
_AS_CHUNKS_CAME: Final = Delivery(b"", chunks=True, closes=False)


def deliver(request: Request, response: Response, *, closing: bool) -> Delivery:
    """Return how *response* goes to the client that sent *request*.

    *closing*: this side ends the connection behind it, as it stops, or as the request is not read to its end.
    """
    manner, framing = request.manner, response.framing
    if manner is ORDINARY and not closing and framing is not UNTIL_CLOSE:
        return _AS_CHUNKS_CAME if framing is CHUNKED else _AS_IT_CAME
    if (
        response.status == SWITCHING_PROTOCOLS
    ):  # what follows is no content, and the tunnel ends both connections
        return _AS_IT_CAME
    takes_chunks = manner.minor_version >= 1
    chunks = takes_chunks and not isinstance(framing, int)
    framed = chunks or isinstance(framing, int)
    closes = closing or not manner.keep_alive or not framed
    coding = ((b"Transfer-Encoding", b"chunked"),) if chunks and framing is UNTIL_CLOSE else ()
    connection = connection_fields(minor_version=manner.minor_version, closes=closes)
    return Delivery(lines((*coding, *connection)), chunks, closes, framed)


def response_bytes(response: Response, delivery: Delivery) -> bytes:
    """Return the head of *response* that goes to the client."""
    if not delivery.lines:
        return response.onward
    return b"".join((response.onward[:-2], delivery.lines, LINE_END))


class Envelope:
    """A response's content, held until it is whole, as it has to be read before its envelope can be made.

    One that cannot be enveloped, or grows too large, goes on raw.
    """

    def __init__(self, request: Request, response: Response) -> None:
        self._request = request
        self._response = response
        self._content = bytearray()

    def is_too_large(self, piece: bytes) -> bool:
        """Take *piece*; whether all of it together is too much for an envelope."""
        self._content += piece
        return len(self._content) > MOST_BYTES

    def raw(self) -> tuple[Response, bytes]:
        """Return the response as it came, and its content up to now."""
        return self._response, bytes(self._content)

    def enveloped(self) -> tuple[Response, bytes]:
        """Return the response with its whole content in an envelope; raw where that cannot be."""
        head = self._response.head(self._request.method)
        made = envelope(head, bytes(self._content)) if len(self._content) <= MOST_BYTES else None
        if made is None:
            return self.raw()
        fields = enveloped_fields(response_fields(head, chunks=False), len(made))
        onward = response_head(head, fields, self._request.identity)
        return self._response._replace(onward=onward, framing=len(made)), made


def envelope_of(request: Request, response: Response) -> Envelope | Response:
    """Return what holds the content of *response* for an envelope; where there is none, what goes on."""
    if may_be_enveloped(response.head(request.method), request.method):
        return Envelope(request, response)
    return _without_content_fields(request, response) if request.method == b"HEAD" else response


def _without_content_fields(request: Request, response: Response) -> Response:
    """Return *response* to a HEAD of what is enveloped: it can tell nothing of what an envelope would
    replace.
    """
    head = response.head(request.method)
    fields = without_replaced(response_fields(head, chunks=False))
    return response._replace(onward=response_head(head, fields, request.identity))


class WholeResponse(NamedTuple):
    """A response of rgate's own as bytes, how many of them are content, and whether the connection ends
    behind it.
    """

    message: bytes
    content_bytes: int
    closes: bool


def own_response(
    own: OwnResponse, method: bytes, manner: Manner, date: bytes, *, closing: bool
) -> WholeResponse:
    """Return *own* as the answer to a *method* of a client of that *manner*. *date*: of now (RFC 9110 6.6.1).

    *closing*: the connection ends behind it, whatever the client asked for.
    """
    closes = closing or own.closes or not manner.keep_alive
    length = () if own.status in _BODILESS else ((b"Content-Length", b"%d" % len(own.body)),)
    connection = connection_fields(minor_version=manner.minor_version, closes=closes)
    fields = (*own.fields, (b"Date", date), *length, *connection)
    head = response_lines(own.status, phrase_of(own.status)) + lines(fields) + b"\r\n"
    content = own_content(own, method)
    return WholeResponse(head + content, len(content), closes)


def own_stream(
    own: OwnStream, method: bytes, manner: Manner, date: bytes, *, closing: bool
) -> tuple[bytes, Delivery]:
    """Return the head of *own* as the answer to a *method* of a client of that *manner*, and how what follows
    is framed: in chunks, or up to the connection's end for a client that knows none. *date*, *closing*: as
    for `own_response`. To HEAD, nothing follows.
    """
    chunks = manner.minor_version >= 1
    is_head = method == b"HEAD"
    closes = closing or not manner.keep_alive or not (chunks or is_head)
    coding = ((b"Transfer-Encoding", b"chunked"),) if chunks else ()
    connection = connection_fields(minor_version=manner.minor_version, closes=closes)
    fields = (*own.fields, (b"Date", date), *coding, *connection)
    head = response_lines(HTTPStatus.OK, phrase_of(HTTPStatus.OK)) + lines(fields) + b"\r\n"
    return head, Delivery(b"", chunks and not is_head, closes, framed=chunks or is_head)


def own_content(own: OwnResponse, method: bytes) -> bytes:
    """Return what of its body *own* brings in answer to a *method*."""
    return b"" if own.status in _BODILESS or method == b"HEAD" else own.body


_BODILESS: Final = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


def phrase_of(status: int) -> bytes:
    """Return the standard reason phrase of *status*, or nothing where it has none."""
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""
