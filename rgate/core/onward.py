"""Messages as they go on: values that are the same whether a head was read quickly or thoroughly.

`Request` and `Response` hold the bytes that go to the other side but for what is not known yet when a head is
read (the path without a stripped prefix, the request's id), how content is framed, and what a decision needs.
They are tuples, as one of each is made for every request. How heads become these: `ordinary.py` for nearly
all, and here, by the rules of `fields.py`, for any other.
"""

import re
from enum import Enum, auto
from typing import Final, NamedTuple

from rgate.core.fields import (
    ClientConnection,
    forwarded_prefix,
    given_request_id,
    interim_fields,
    lines,
    request_fields,
    response_fields,
    via,
)
from rgate.core.grammar import has_dot_segment
from rgate.core.message import (
    Fields,
    RequestFraming,
    RequestHead,
    ResponseFraming,
    ResponseHead,
    parse_request_head,
    parse_response_head,
)
from rgate.core.reasons import Reason
from rgate.core.traceparent import Span

# RFC 9110 9.2.2. A method that nobody registered is not known to be idempotent.
IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"TRACE"})


class Manner(NamedTuple):
    """What a client's head says of its connection, and of how it may be answered."""

    minor_version: int = 1
    keep_alive: bool = True
    offered: tuple[bytes, ...] = ()  # protocols that the client would switch to
    expects_continue: bool = False
    has_host_field: bool = True
    forwarded_prefix: bytes | None = None  # X-Forwarded-Prefix of a trusted peer
    refusal: Reason | None = None  # why it is not forwarded, whatever its route
    span: Span | None = None  # of one that is exported


ORDINARY: Final = Manner()
CLOSING: Final = Manner(keep_alive=False)


LINE_END: Final = b"\r\n"
HEAD_END: Final = b"\r\n\r\n"
REQUEST_ID_NAME: Final = b"X-Request-ID: "


class Request(NamedTuple):
    """A request as it goes on."""

    method: bytes
    path: bytes  # without its query, byte for byte; `*` for `OPTIONS *`, b"" for CONNECT
    host: bytes  # the authority of an absolute-form target, else the Host field; b"" where neither is
    onward: bytes  # the whole head that goes to an upstream
    framing: RequestFraming
    identity: bytes  # X-Request-ID
    manner: Manner
    line: bytes  # the request line, as it came, with its CR LF
    received: bytes  # where its head, as it came, lies between `start` and `end`
    start: int
    end: int

    def head(self) -> RequestHead:
        """Return the head with all its parts; for what is out of the ordinary, as it is read anew."""
        return parse_request_head(self.received[self.start : self.end], most_fields=self.end)

    @property
    def target(self) -> bytes:
        """The target, as it came."""
        return self.line.split(b" ", 2)[1]


def request_of(
    head: RequestHead,
    client: ClientConnection,
    made_id: bytes,
    received: bytes,
    start: int,
    end: int,
    *,
    upgrading: bool,
) -> Request:
    """Return *head*, which lies in *received*, as it goes on; with *made_id*, where it has no id.

    *upgrading*: the engine can tunnel.
    """
    manner = Manner(
        head.minor_version,
        head.keep_alive,
        head.offered if upgrading else (),
        head.expects_continue,
        bool(head.host or head.values(b"host")),
        forwarded_prefix(head, trusted=client.trusted),
        _refusal(head, upgrading=upgrading),
    )
    given_id = given_request_id(head)
    fields = request_fields(head, client, upgrading=upgrading)
    if not given_id:
        fields = (*fields, (b"X-Request-ID", made_id))
    onward = b"%b %b%b HTTP/1.1\r\n%b\r\n" % (head.method, head.path, head.query, lines(fields))
    identity = given_id or made_id
    line = received[start : received.index(LINE_END, start) + 2]
    return Request(
        head.method, head.path, head.host, onward, head.framing, identity, manner, line, received, start, end
    )


def _refusal(head: RequestHead, *, upgrading: bool) -> Reason | None:
    """Return why *head* is not forwarded (behaviour 3, 5). Offers other than WebSocket may be ignored."""
    if head.method in (b"CONNECT", b"TRACE"):
        return Reason.METHOD_NOT_ALLOWED
    if has_dot_segment(head.path):
        return Reason.PATH_NOT_NORMALIZED
    if not upgrading and b"websocket" in (one.lower() for one in head.offered):
        return Reason.NOT_IMPLEMENTED
    return None


_PREFIX_LINE: Final = re.compile(rb"(?<=\n)X-Forwarded-Prefix:[^\n]*\n", re.IGNORECASE)


def below_prefix(request: Request, path: bytes, prefix: bytes) -> Request:
    """Return *request* for *path*, which is what is left of its own without *prefix*; a line tells of that.

    It stands behind the prefix that a trusted peer tells of, and there is none of no prefix at all.
    """
    method, earlier = request.method, request.manner.forwarded_prefix
    rest = request.onward[len(method) + 1 + len(request.path) : -2]
    if earlier is not None:
        rest = _PREFIX_LINE.sub(b"", rest)
    told = (earlier or b"") + prefix.rstrip(b"/")
    line = b"X-Forwarded-Prefix: %b\r\n\r\n" % told if told else LINE_END
    return request._replace(path=path, onward=b"".join((method, b" ", path, rest, line)))


def with_host(request: Request, host: bytes) -> Request:
    """Return *request* with a Host field, which HTTP/1.0 clients need not send, and HTTP/1.1 needs."""
    line, _, rest = request.onward.partition(LINE_END)
    return request._replace(onward=b"%b\r\nHost: %b\r\n%b" % (line, host, rest))


class Reuse(Enum):
    """What becomes of an upstream's connection behind a response."""

    AT_ONCE = auto()
    AFTER_A_REST = auto()  # the head announced content that it may not have, and that may come all the same
    NEVER = auto()


# An enum's own attribute takes longer to look up, and this is done for each response.
AT_ONCE: Final = Reuse.AT_ONCE
AFTER_A_REST: Final = Reuse.AFTER_A_REST
NEVER: Final = Reuse.NEVER


class Response(NamedTuple):
    """A final response as it goes on. A 101's `framing` is 0: what follows is no content."""

    status: int
    onward: (
        bytes  # the head that goes to a client, if its connection goes on and nothing has to be framed anew
    )
    framing: ResponseFraming
    reuse: Reuse
    received: bytes  # the head as it came, and what came behind it from `end` on
    end: int

    def head(self, method: bytes) -> ResponseHead:
        """Return the head, of the response to a *method*, with all its parts; read anew."""
        return parse_response_head(self.received[: self.end], method, most_fields=self.end)


class Interim(NamedTuple):
    """An interim response as it goes on, whole (RFC 9110 15.2)."""

    status: int
    message: bytes  # b"" for a client that knows none


def response_of(head: ResponseHead, request: Request, received: bytes, end: int) -> Response:
    """Return *head*, with which *received* begins, as it goes to the client that sent *request*."""
    fields = response_fields(head, chunks=request.manner.minor_version >= 1)
    reuse = AFTER_A_REST if head.announces_what_it_may_not_have else AT_ONCE
    if not head.keep_alive:
        reuse = NEVER
    onward = response_head(head, fields, request.identity)
    return Response(head.status, onward, head.framing, reuse, received, end)


def response_head(head: ResponseHead, fields: Fields, identity: bytes) -> bytes:
    """Return the bytes of *head* with *fields* in place of its own, and what rgate adds."""
    added = ADDED if head.minor_version else _ADDED_TO_OLD
    return b"".join((response_lines(head.status, head.phrase), lines(fields), added, identity, HEAD_END))


ADDED: Final = lines(((b"Via", via(1)),)) + REQUEST_ID_NAME
_ADDED_TO_OLD: Final = lines(((b"Via", via(0)),)) + REQUEST_ID_NAME


def interim_of(head: ResponseHead, request: Request) -> Interim:
    """Return *head* as it goes to the client that sent *request*."""
    if request.manner.minor_version < 1:
        return Interim(head.status, b"")
    message = response_lines(head.status, head.phrase) + lines(interim_fields(head)) + LINE_END
    return Interim(head.status, message)


def response_lines(status: int, phrase: bytes) -> bytes:
    """Return the first line of a response."""
    return b"HTTP/1.1 %d %b\r\n" % (status, phrase)
