"""A client's connection: heads in, one request at a time, and who works on it."""

import asyncio
import logging
import socket
import struct
import time
from typing import TYPE_CHECKING, Final, Protocol, cast

from rgate.core.exchange import Exchange, Own
from rgate.core.fields import ClientConnection
from rgate.core.message import Refused, RequestHead, parse_request_head, refuse_hopeless_head
from rgate.core.problem import OwnResponse
from rgate.core.reasons import Reason
from rgate.engines.records import defect

if TYPE_CHECKING:
    from rgate.engines.asyncio_engine.engine import Shared

log = logging.getLogger("rgate")

NS: Final = 10**9
HEAD_TIMEOUT_NS: Final = 10 * NS  # behaviour 6: no whole head in 10 s
IDLE_TIMEOUT_NS: Final = 60 * NS  # nginx's keepalive_timeout is 75 s
NEVER_NS: Final = 1 << 62
# What is taken of a client while its request is under way; then it is not read from.
MOST_AHEAD: Final = 65536
LINGER_NS: Final = NS  # how long a client is read from behind the last answer
_LINGER_BYTES: Final = 1 << 20
_MOST_LINGERS: Final = 60  # of LINGER_NS each, while the last response is not written yet
_RESET: Final = struct.pack("ii", 1, 0)


class Work(Protocol):
    """What is under way for a client's connection: it gets all that happens there."""

    def client_data(self, data: bytes) -> None:
        """Take bytes that the client sent behind the request's head."""

    def client_gone(self) -> None:
        """Take the end of the client's connection, or of what it sends."""

    def client_pausing(self, *, paused: bool) -> None:
        """Write no more for now, or go on: the client reads slowly."""

    def expired(self) -> None:
        """Take the passing of the connection's `deadline_ns`."""


class Client(asyncio.Protocol):
    """One connection of a client's."""

    __slots__ = (
        "began_ns", "connection", "deadline_ns", "is_open", "is_write_paused", "looked_at", "received",
        "shared", "transport", "work",
    )  # fmt: skip

    transport: asyncio.Transport
    connection: ClientConnection

    def __init__(self, shared: "Shared") -> None:
        self.shared = shared
        self.work: Work | None = None
        self.received = b""  # what no request has used yet
        self.looked_at = 0
        self.began_ns = 0  # when the first byte of the request came
        self.deadline_ns = NEVER_NS
        self.is_open = False
        self.is_write_paused = False

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername") or ("", 0)  # None where it has left again
        here = transport.get_extra_info("sockname") or ("", 0)
        self.connection = self.shared.gateway.client(peer[0], here[1])
        self.is_open = True
        self.deadline_ns = time.monotonic_ns() + IDLE_TIMEOUT_NS
        self.shared.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.is_open = False
        self._gone()
        self.shared.closed(self)

    def eof_received(self) -> bool:
        self._gone()
        return False

    def pause_writing(self) -> None:
        self.is_write_paused = True
        if self.work is not None:
            self.work.client_pausing(paused=True)

    def resume_writing(self) -> None:
        self.is_write_paused = False
        if self.work is not None:
            self.work.client_pausing(paused=False)
        else:
            self.transport.resume_reading()
            if self.received:
                self._read_requests()

    def data_received(self, data: bytes) -> None:
        if self.work is not None:
            self.work.client_data(data)
            return
        if not self.received:
            self.began_ns = time.monotonic_ns()
            self.deadline_ns = self.began_ns + HEAD_TIMEOUT_NS
            self.looked_at = 0
        self.received += data
        self._read_requests()

    def expired(self) -> None:
        """Take the passing of `deadline_ns`, which the sweep noticed."""
        if self.work is not None:
            self.work.expired()
        elif self.received:
            detail = f"The request's head did not come within {HEAD_TIMEOUT_NS / NS:g} s."
            self._refuse(Refused(Reason.REQUEST_TIMEOUT, detail))
        else:
            self.transport.abort()

    def is_idle(self) -> bool:
        """Whether no request is under way, nor begun to be sent."""
        return self.work is None and not self.received

    def _gone(self) -> None:
        self.shared.outbox.flush()
        self.received = b""
        if self.work is not None:
            work, self.work = self.work, None
            work.client_gone()

    # Requests.

    def _read_requests(self) -> None:
        """Begin the next request, once its head is there."""
        if self.is_write_paused:  # answers wait already: more of them would have to be kept
            self.transport.pause_reading()
            return
        try:
            head = self._take_head()
        except Refused as refused:
            self._refuse(refused)
            return
        if head is not None:
            try:
                self._begin(head)
            except Exception:  # a defect of ours costs one request its answer, and is told of
                log.exception("request failed")
                self.work = None
                self.shared.answer_whole(self, head, defect(made_id := self.shared.next_id()), made_id)

    def _take_head(self) -> RequestHead | None:
        """Return the next request's head; None where it is not whole yet. Raises Refused."""
        limits = self.shared.gateway.config.limits
        # One empty line before a request is forgiven (RFC 9112 2.2).
        if self.looked_at == 0 and self.received.startswith(b"\r\n"):
            self.received = self.received[2:]
            if not self.received:
                return None
        end = self.received.find(b"\r\n\r\n", max(self.looked_at - 3, 0))
        head_bytes = end + 4 if end >= 0 else len(self.received)
        refuse_hopeless_head(self.received[:head_bytes], self.looked_at)
        if head_bytes > limits.header_bytes:
            raise _too_large(self.received, limits.header_bytes)
        self.looked_at = len(self.received)
        if end < 0:
            return None
        block, self.received = self.received[:head_bytes], self.received[head_bytes:]
        return parse_request_head(block, most_fields=limits.header_fields)

    def _begin(self, head: RequestHead) -> None:
        shared = self.shared
        begun = shared.gateway.begin(head, self.connection, shared.next_id(), can_tunnel=True)
        match begun.outcome:
            case Own():
                shared.answer_own(self, head, begun.request_id)
            case OwnResponse() as own:
                shared.answer_whole(self, head, own, begun.request_id)
            case Exchange() as exchange:
                shared.forward(self, exchange)

    def ended(self, *, closes: bool, unread: bool) -> None:
        """Go on to the next request, or close: the response to the last was written.

        *unread*: content of the request is still to come, so that closing at once would be a reset.
        """
        self.work = None
        if not self.is_open:
            return
        if closes or self.shared.draining:
            self.shared.outbox.flush()  # the response may wait there
            if unread or self.received:
                self.linger()
            else:
                self.transport.close()
                self.deadline_ns = time.monotonic_ns() + IDLE_TIMEOUT_NS  # while the rest is written
            return
        now_ns = time.monotonic_ns()
        self.transport.resume_reading()
        if self.received:
            self.began_ns, self.looked_at = now_ns, 0
            self.deadline_ns = now_ns + HEAD_TIMEOUT_NS
            self.shared.loop.call_soon(self._read_next)
        else:
            self.deadline_ns = now_ns + IDLE_TIMEOUT_NS

    def _read_next(self) -> None:
        """Begin what was sent behind the last request: not from within it, however many there are."""
        if self.work is None and self.received and self.is_open:
            self._read_requests()

    def keep(self, data: bytes) -> None:
        """Keep what belongs to a later request; not more than a little."""
        self.received += data
        if len(self.received) > MOST_AHEAD:
            self.transport.pause_reading()

    def _refuse(self, refused: Refused) -> None:
        self.write(self.shared.refusal(refused, self))
        self.linger()

    def write(self, message: bytes) -> None:
        """Write *message*, behind what waits in the outbox: a response of before may be there."""
        self.shared.outbox.flush()
        self.transport.write(message)

    # The end.

    def linger(self) -> None:
        """Close the sending side, and read on for a moment: else a reset may overtake the answer."""
        self.received = b""
        self.work = _Lingering(self)
        self.deadline_ns = time.monotonic_ns() + LINGER_NS
        self.transport.resume_reading()
        self.transport.write_eof()

    def cut(self, *, framed: bool) -> None:
        """End the connection so that the response looks broken: by a reset, where it is not *framed*."""
        self.shared.outbox.flush()
        self.work, self.received = None, b""
        if framed:
            self.deadline_ns = time.monotonic_ns() + LINGER_NS
            self.transport.close()
            return
        descriptor = self.transport.get_extra_info("socket")
        if descriptor is not None:
            descriptor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()


class _Lingering:
    """Reads and forgets what a client sends behind the last answer, for a moment."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._left = _LINGER_BYTES
        self._waits = _MOST_LINGERS

    def client_data(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self._client.transport.abort()

    def client_gone(self) -> None:
        self._client.transport.close()

    def client_pausing(self, *, paused: bool) -> None:
        pass

    def expired(self) -> None:
        """End the connection, but for a client that has not read its last response yet."""
        self._waits -= 1
        if self._waits and self._client.transport.get_write_buffer_size():
            self._client.deadline_ns = time.monotonic_ns() + LINGER_NS
        else:
            self._client.transport.abort()


def _too_large(received: bytes, limit: int) -> Refused:
    if b"\r\n" not in received[:limit]:
        return Refused(Reason.URI_TOO_LONG, f"The request line is longer than {limit} bytes.")
    return Refused(Reason.FIELDS_TOO_LARGE, f"The head is larger than {limit} bytes.")
