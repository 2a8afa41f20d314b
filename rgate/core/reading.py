"""The readers: bytes in, heads out, quickly where they are ordinary and thoroughly where not. One for a
client's requests, one for an upstream's responses. What a connection's end means is decided here too.

They know neither sockets nor engines. No byte is looked at more than a few times, however a message is cut.
"""

import re
from collections.abc import Callable
from typing import Final

from rgate.core import ordinary
from rgate.core.config import Limits
from rgate.core.fields import SCHEME, SWITCHING_PROTOCOLS, ClientConnection, lines, via
from rgate.core.message import (
    CHUNKED,
    BadResponse,
    Refused,
    RequestFraming,
    ResponseFraming,
    ResponseHead,
    list_items,
    parse_request_head,
    parse_response_head,
    refuse_hopeless_head,
)
from rgate.core.onward import (
    ADDED,
    AFTER_A_REST,
    AT_ONCE,
    CLOSING,
    HEAD_END,
    LINE_END,
    NEVER,
    ORDINARY,
    REQUEST_ID_NAME,
    Interim,
    Manner,
    Request,
    Response,
    Reuse,
    interim_of,
    request_of,
    response_of,
)
from rgate.core.patience import HEAD_S
from rgate.core.reasons import Failure, Reason

_END_OF_HEAD = re.compile(rb"\n\r?\n")
_BEGINNING: Final = b"HTTP/1."


_make = tuple.__new__  # what a named tuple is made by, without its __new__, which costs twice as much


class Reading:
    """What holds for all heads under one configuration. *upgrading*: the engine can tunnel."""

    __slots__ = ("most_bytes", "most_fields", "proxied_lines", "response", "strangers_lines", "upgrading")

    def __init__(self, limits: Limits, *, upgrading: bool) -> None:
        self.most_bytes = limits.header_bytes
        self.most_fields = limits.header_fields
        self.upgrading = upgrading
        self.strangers_lines = ordinary.strangers_lines(limits.header_fields).match
        self.proxied_lines = ordinary.proxied_lines(limits.header_fields).match
        self.response = ordinary.response(limits.header_fields).match


class _Received:
    """Bytes that came and are not used yet: `received[at:]`."""

    __slots__ = ("_looked_at", "at", "received")

    def __init__(self) -> None:
        self.received = b""
        self.at = 0
        self._looked_at = 0  # up to here the end of a head was looked for; 0: nowhere yet

    @property
    def is_empty(self) -> bool:
        """Whether all that came was used."""
        return self.at == len(self.received)

    @property
    def waiting_bytes(self) -> int:
        """How much came that is not used yet."""
        return len(self.received) - self.at

    def feed(self, data: bytes) -> None:
        """Take *data*, which came behind what was fed before."""
        if self.at == len(self.received):
            self.received = data
        else:
            self.received = self.received[self.at :] + data
            self._looked_at = max(self._looked_at - self.at, 0)
        self.at = 0

    def use(self, end: int) -> None:
        """Take everything before *end* for used."""
        self.at = end
        self._looked_at = 0
        if end == len(self.received):
            self.received, self.at = b"", 0

    def take_all(self) -> bytes:
        """Return what is not used yet, as used."""
        rest = self.received[self.at :]
        self.use(len(self.received))
        return rest


class RequestReader(_Received):
    """Reads the requests of one client's connection."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        super().__init__()
        self._known: _Lines | None = None  # of the last request

    def read(
        self, data: bytes, reading: Reading, client: ClientConnection, next_id: Callable[[], bytes]
    ) -> Request | None:
        """Take *data*, which came; return the next request, of which the head is then used.

        None while that is not whole; b"" asks for one in what came before. *next_id* gives the request's id,
        where it brings none. Raises Refused, with the reason, where it is malformed, too large or in doubt.
        """
        if data:
            if self.received:
                self.feed(data)
            else:
                self.received = data
        if not self._looked_at:
            request = self._quickly(reading, client, next_id)
            if request is not None:
                return request
            at = self.at
            while self.received.startswith(LINE_END, at):  # forgiven before a request (RFC 9112 2.2)
                at += 2
            self.use(at)
            if LINE_END.startswith(self.received[self.at : self.at + 2]):  # nothing else came
                return None
        return self._thoroughly(reading, client, next_id)

    def _quickly(
        self, reading: Reading, client: ClientConnection, next_id: Callable[[], bytes]
    ) -> Request | None:
        """Return the next request where its head is whole and ordinary.

        Most clients send the same lines with each request of a connection: what they come to is known then.
        """
        received, start = self.received, self.at
        matched_line = _match_request_line(received, start)
        if matched_line is None:
            return None
        line_end = matched_line.end()
        known = self._known
        if known is not None and received.startswith(known[0], line_end) and known[1] is reading:
            block, _, rest, given_id, host, framing, manner = known
            end = line_end + len(block)
        else:
            if client.trusted:
                matched = reading.proxied_lines(received, line_end)
            else:
                matched = reading.strangers_lines(received, line_end)
            if matched is None:
                return None
            host, connection, close, length, given_id, chunked, forwarded, *_ = matched.groups()
            end = matched.end()
            if host is None or (chunked and length):
                return None
            if client.trusted:
                rest = _behind_a_proxy(matched, client)
            else:
                lines_ = _without(matched) if connection or forwarded else received[line_end : end - 2]
                rest = b"".join((lines_, client.before_host, host, client.behind_host))
            framing = int(length) if length else CHUNKED if chunked else 0
            manner = CLOSING if close else ORDINARY
            if end - line_end <= _MOST_KNOWN_BYTES:
                self._known = (received[line_end:end], reading, rest, given_id, host, framing, manner)
        if end - start > reading.most_bytes:
            return None
        method, path = matched_line.groups()
        line = received[start:line_end]
        if given_id:
            identity = given_id
            onward = b"".join((line, rest, LINE_END))
        else:
            identity = next_id()
            onward = b"".join((line, rest, REQUEST_ID_NAME, identity, HEAD_END))
        if end == len(received):
            self.received, self.at = b"", 0
        else:
            self.at = end
        return _make(
            Request, (method, path, host, onward, framing, identity, manner, line, received, start, end)
        )

    def _thoroughly(
        self, reading: Reading, client: ClientConnection, next_id: Callable[[], bytes]
    ) -> Request | None:
        start, looked_at = self.at, max(self._looked_at, self.at)
        end = self.received.find(b"\r\n\r\n", max(looked_at - 3, start))
        head_end = end + 4 if end >= 0 else len(self.received)
        refuse_hopeless_head(self.received, start, head_end, looked_at)
        if head_end - start > reading.most_bytes:
            raise _too_large(self.received[start:head_end], reading.most_bytes)
        if end < 0:
            self._looked_at = head_end
            return None
        head = parse_request_head(self.received[start:head_end], most_fields=reading.most_fields)
        request = request_of(
            head, client, next_id(), self.received, start, head_end, upgrading=reading.upgrading
        )
        self._known = _known_of(request, reading)
        self.use(head_end)
        return request


def late_head() -> Refused:
    """Return why a request is refused of which the head does not come."""
    return Refused(Reason.REQUEST_TIMEOUT, f"The request's head did not come within {HEAD_S:g} s.")


def _too_large(head: bytes, limit: int) -> Refused:
    if b"\r\n" not in head[:limit]:
        return Refused(Reason.URI_TOO_LONG, f"The request line is longer than {limit} bytes.")
    return Refused(Reason.FIELDS_TOO_LARGE, f"The head is larger than {limit} bytes.")


_match_request_line = ordinary.REQUEST_LINE.match
# Larger ones cost memory in each idle connection, and are rarely the same twice.
_MOST_KNOWN_BYTES: Final = 2048


# What the lines of a request come to: as they came, with the empty one; as they go on, but for the id where
# one has to be made; the id that they bring, if any. And what a response's head does. Plain tuples: one is
# made for many heads.
_Lines = tuple[bytes, Reading, bytes, bytes | None, bytes, RequestFraming, Manner]
_Head = tuple[bytes, Reading, bytes, int, ResponseFraming, Reuse]


def _known_of(request: Request, reading: Reading) -> _Lines | None:
    """Return what the lines of *request*, which was read thoroughly, come to with other ordinary request
    lines.
    """
    line_end = request.start + len(request.line)
    line = _match_request_line(request.received, request.start)
    block = request.received[line_end : request.end]
    if line is None or line.end() != line_end or len(block) > _MOST_KNOWN_BYTES:
        return None
    onward, identity = request.onward[line_end - request.start :], request.identity
    made = b"".join((REQUEST_ID_NAME, identity, HEAD_END))
    given_id = None if onward.endswith(made) else identity
    rest = onward.removesuffix(LINE_END if given_id else made)
    return block, reading, rest, given_id, request.host, request.framing, request.manner


def _without(matched: re.Match[bytes]) -> bytes:
    """Return a stranger's lines without those that do not go on."""
    received, end = matched.string, matched.end() - 2
    lines_ = received[matched.start() : end]
    if matched[2]:
        lines_ = received[matched.start() : matched.start(2)] + received[matched.end(2) : end]
    return ordinary.without_forwarded(lines_) if matched[7] else lines_


def _behind_a_proxy(matched: re.Match[bytes], client: ClientConnection) -> bytes:
    """Return the lines of a trusted peer's request: this peer stands behind those that it tells of."""
    received, start, end = matched.string, matched.start(), matched.end() - 2
    host, earlier, proto, named, port = matched.group(1, 7, 8, 9, 10)
    peer = client.peer.encode("ascii")
    edits = [(matched.end(7), matched.end(7), b", " + peer)] if earlier else []
    if matched[2]:
        edits.append((matched.start(2), matched.end(2), b""))
    pieces: list[bytes] = []
    for begin, behind, instead in sorted(edits):
        pieces += (received[start:begin], instead)
        start = behind
    added = (
        *(() if earlier else ((b"X-Forwarded-For", peer),)),
        *(() if proto is not None else (SCHEME,)),
        *(() if named is not None else ((b"X-Forwarded-Host", host),)),
        *(() if port is not None else (client.forwarded_port,)),
        (b"Via", via(1)),
    )
    return b"".join((*pieces, received[start:end], lines(added)))


class ResponseReader(_Received):
    """Reads the responses of one upstream's connection."""

    __slots__ = ("_had_interim", "_known")

    def __init__(self) -> None:
        super().__init__()
        self._had_interim = False
        self._known: _Head | None = None  # of the last response

    def read(
        self, data: bytes, reading: Reading, request: Request, *, reused: bool
    ) -> Response | Interim | None:
        """Take *data*, which came; return the next response to *request*.

        None while its head is not whole; b"" asks for one in what came before. A final response takes along
        all that came behind its head. *reused*: the connection served another request before. Raises
        BadResponse, with the failure that it is.
        """
        if not self.received:
            response = self._quickly(data, reading, request)
            if response is not None:
                self._had_interim = False
                return response
            if not data:
                return None
        if data:
            self.feed(data)
        start = self.at
        if not _BEGINNING.startswith(self.received[start : start + len(_BEGINNING)]):
            failure = Failure.NOISE if reused and not self._had_interim else Failure.BAD_RESPONSE
            raise BadResponse("the first bytes are no status line", failure)
        found = _END_OF_HEAD.search(self.received, max(self._looked_at - 2, start))
        end = found.end() if found else len(self.received)
        if end - start > reading.most_bytes:
            raise BadResponse(f"the head is larger than {reading.most_bytes} bytes")
        if found is None:
            self._looked_at = end
            return None
        head = parse_response_head(self.received[start:end], request.method, most_fields=reading.most_fields)
        if head.is_interim:
            self._had_interim = True
            self.use(end)
            return interim_of(head, request)
        self._had_interim = False
        if head.status == SWITCHING_PROTOCOLS:
            _check_switch(head, request)
        return response_of(head, request, self.take_all(), end - start)

    def _quickly(self, received: bytes, reading: Reading, request: Request) -> Response | None:
        """Return the response with which *received* begins, where its head is whole and ordinary.

        Of a busy connection many heads are the same, as Date changes each second only: what they come to is
        known.
        """
        method, _, _, _, _, identity, manner, _, _, _, _ = request
        known = self._known
        if known is not None and received.startswith(known[0]) and known[1] is reading and method != b"HEAD":
            block, _, beginning, status, framing, reuse = known
            end = len(block)
        else:
            matched = reading.response(received)
            if matched is None:
                return None
            code, empty, length, connection, close, chunked = matched.groups()
            end = matched.end()
            if end > reading.most_bytes or (chunked and (length or empty or method == b"HEAD")):
                return None
            status, reuse = int(code), NEVER if close else AT_ONCE
            if empty or method == b"HEAD":
                framing = 0
                if length and not close and int(length):
                    reuse = AFTER_A_REST
            elif length:
                framing = int(length)
            elif chunked:
                framing = CHUNKED
            else:
                return None
            if connection:
                beginning = received[: matched.start(4)] + received[matched.end(4) : end - 2]
            else:
                beginning = received[: end - 2]
            if end <= _MOST_KNOWN_BYTES and method != b"HEAD":
                self._known = (received[:end], reading, beginning, status, framing, reuse)
        if framing is CHUNKED and not manner.minor_version:
            return None  # its client takes no chunks
        onward = b"".join((beginning, ADDED, identity, HEAD_END))
        return _make(Response, (status, onward, framing, reuse, received, end))

    def end(self, *, reused: bool) -> Failure:
        """Return what it comes to that the connection ended before a final response's head."""
        if self._had_interim or not self.is_empty:
            return Failure.BAD_RESPONSE
        return Failure.STALE if reused else Failure.CLOSED_EARLY


def _check_switch(head: ResponseHead, request: Request) -> None:
    """Raise BadResponse where *head*, a 101, switches to what *request* does not offer."""
    offered = {one.lower() for one in request.manner.offered}
    named = {one.lower() for one in list_items(head.values(b"upgrade"))}
    if not offered or not named <= offered:
        raise BadResponse("it switches to a protocol that was not offered")


def is_unasked(response: Response, *, reused: bool) -> bool:
    """Whether *response* may be what a server tells an idle connection as it ends it (RFC 9110 15.5.9)."""
    return response.status == 408 and reused and response.reuse is NEVER
