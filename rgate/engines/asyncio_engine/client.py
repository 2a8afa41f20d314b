"""A client's connection: heads in, one request at a time, and who works on it."""

import asyncio
import logging
import socket
import struct
import time
from typing import Final, Protocol, cast

from rgate.core.fields import ClientConnection
from rgate.core.message import Refused
from rgate.core.onward import Request
from rgate.core.patience import (
    HEAD_S,
    IDLE_S,
    LAST_LINGER_S,
    LAST_MOMENT_S,
    LINGER_BETWEEN_S,
    LINGER_S,
    MOST_AHEAD,
)
from rgate.core.reading import late_head
from rgate.engines.asyncio_engine.ports import NEVER_NS, NS, Work
from rgate.engines.asyncio_engine.shared import Shared
from rgate.engines.asyncio_engine.upstream import (
    end_writing,
    has_ended,
    is_quiet,
    pause_reading,
    unwritten_bytes,
)

log = logging.getLogger("rgate")

_HEAD_NS: Final = int(HEAD_S * NS)
IDLE_NS: Final = int(IDLE_S * NS)
_LAST_MOMENT_NS: Final = int(LAST_MOMENT_S * NS)
_CUT_S: Final = 1.0  # for what is still to be written where a response is cut
_RESET: Final = struct.pack("ii", 1, 0)


class Answers(Protocol):
    """Who takes a client's requests, and the end of its connection. *unread*: clients that are not read from
    for now.
    """

    unread: set["Client"]

    def closed(self, client: "Client") -> None:
        """Take a connection's end."""

    def begin(self, client: "Client", request: Request) -> None:
        """Begin with *request*: its work is the client's `work`, or it is answered."""

    def refuse(self, client: "Client", refused: Refused) -> None:
        """Write the answer to what is no request."""


class Client(asyncio.Protocol):
    """One connection of a client's. *work* is what is under way; None between requests."""

    __slots__ = (
        "_answers", "_is_reading", "_unwritten", "began_ns", "connection", "deadline_ns", "is_open",
        "is_write_paused", "reader", "shared", "transport", "work",
    )  # fmt: skip

    transport: asyncio.Transport
    connection: ClientConnection

    def __init__(self, shared: Shared, answers: Answers) -> None:
        self.shared = shared
        self._answers = answers
        self.work: Work | None = None
        self.reader = shared.gateway.reader()
        self.began_ns = 0  # when the first byte of the request came
        self.deadline_ns = NEVER_NS
        self.is_open = False
        self.is_write_paused = False
        self._is_reading = True
        self._unwritten = 0  # bytes that it had not taken, when that was looked at last

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername") or ("", 0)  # None where it has left again
        here = transport.get_extra_info("sockname") or ("", 0)
        self.connection = self.shared.gateway.client(peer[0], here[1], peer[1])
        self.is_open = True
        self.deadline_ns = time.monotonic_ns() + (_LAST_MOMENT_NS if self.shared.draining else IDLE_NS)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.is_open = False
        self._answers.unread.discard(self)
        self.shared.outbox.flush()
        work, self.work = self.work, None
        if work is not None:
            work.client_gone()
        self._answers.closed(self)

    def eof_received(self) -> bool:
        self.shared.outbox.flush()
        self.reader.take_all()  # requests that were not begun are not wanted any more
        return self.work is not None and self.work.client_at_end()

    def pause_writing(self) -> None:
        self.is_write_paused = True
        self._unwritten = unwritten_bytes(self.transport)
        if self.work is not None:
            self.work.client_pausing(paused=True)

    def resume_writing(self) -> None:
        self.is_write_paused = False
        self._unwritten = 0
        if self.work is not None:
            self.work.client_pausing(paused=False)

    def data_received(self, data: bytes) -> None:
        work = self.work
        if work is not None:
            work.client_data(data)
        else:
            if not self.reader.received:
                self.began_ns = time.monotonic_ns()
            if self.is_write_paused:  # it has to read first what it was answered
                self.keep(data)
                Waiting(self).start()
            else:
                self.read(data)

    def read(self, data: bytes) -> None:
        """Begin the next request, where its head is whole with *data*."""
        shared = self.shared
        routes = shared.routes
        if routes.snapshot is not shared.gateway.snapshot:
            routes = shared.renew_routes()
        if routes.proxies is not self.connection.judged_by:
            self.connection = shared.gateway.judged(self.connection)
        try:
            request = self.reader.read(data, routes.reading, self.connection, shared.next_id)
        except Refused as refused:
            self.refuse(refused)
            return
        if request is None:
            is_begun = not self.reader.is_empty
            self.deadline_ns = self.began_ns + _HEAD_NS if is_begun else time.monotonic_ns() + IDLE_NS
            self._read_on()  # the limit of a head bounds what is kept of it
            return
        self._answers.begin(self, request)

    def expired(self) -> None:
        """Take the passing of `deadline_ns`, which the sweep noticed."""
        if self.work is not None:
            self.work.expired()
        elif not self.reader.is_empty:
            self.refuse(late_head())
        elif self.transport.get_write_buffer_size():
            self.let_read()
        else:
            self._end_idle()

    def let_read(self) -> None:
        """Wait on for a client that reads its last response, though slowly; who reads no more has left."""
        if not self.reads():
            self.reset()
        elif self.work is None and self.shared.draining and not self.transport.is_closing():
            self.linger()
        else:
            self.deadline_ns = time.monotonic_ns() + IDLE_NS

    def reads(self) -> bool:
        """Whether it has taken anything of what is unwritten since this was asked last."""
        before, self._unwritten = self._unwritten, unwritten_bytes(self.transport)
        return self._unwritten != before

    # What a request's work asks for.

    def keep(self, data: bytes) -> None:
        """Keep what belongs to a later request; not more than a little."""
        self.reader.feed(data)
        if self.reader.waiting_bytes > MOST_AHEAD:
            self.pause()

    def pause(self) -> None:
        """Read no more for now."""
        if self._is_reading:
            self._is_reading = False
            self._answers.unread.add(self)
            pause_reading(self.transport, paused=True)

    def resume(self) -> None:
        """Read on, unless too much is there that no request has used yet."""
        if self.reader.waiting_bytes <= MOST_AHEAD:
            self._read_on()

    def _read_on(self) -> None:
        if not self._is_reading:
            self._is_reading = True
            self._answers.unread.discard(self)
            pause_reading(self.transport, paused=False)

    def write(self, message: bytes) -> None:
        """Write *message*, behind what waits in the outbox: a response of before may be there."""
        self.shared.outbox.flush()
        self.transport.write(message)

    def ended(self, now_ns: int, *, closes: bool, unread: bool) -> None:
        """Go on to the next request, or close: the response to the last was written.

        *unread*: content of the request is still to come, so that closing at once would be a reset.
        """
        self.work = None
        if closes:
            self._close(unread=unread)
        else:
            self.deadline_ns = now_ns + (_LAST_MOMENT_NS if self.shared.draining else IDLE_NS)
            if self.reader.received or not self._is_reading:
                self.began_ns = now_ns
                Waiting(self).start()

    def refuse(self, refused: Refused) -> None:
        """Answer what is no request, and end the connection."""
        self._answers.refuse(self, refused)
        self.linger()

    # The end.

    def _close(self, *, unread: bool) -> None:
        if not self.is_open:
            return
        if unread or not self.reader.is_empty or self.shared.draining:
            self.linger()
        else:
            self.shared.outbox.flush()  # the response may wait there
            self.transport.close()
            self._unwritten = unwritten_bytes(self.transport)
            self.deadline_ns = time.monotonic_ns() + IDLE_NS  # while the rest is written

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way, nor begun to be sent."""
        return self.work is None and self.reader.is_empty

    @property
    def idle_since_ns(self) -> int | None:
        """Since when it waits for a request, for the rest of a head, or for the other end to close; None: it
        cannot be ended without a loss.
        """
        if not self.is_open or self.transport.is_closing() or self.transport.get_write_buffer_size():
            return None
        if isinstance(self.work, Lingering):
            return self.work.since_ns
        if self.work is not None:
            return None
        return self.deadline_ns - IDLE_NS if self.reader.is_empty else self.began_ns

    def is_quiet(self) -> bool:
        """Whether nothing came that was not read yet."""
        return is_quiet(self.transport)

    def has_left(self) -> bool:
        """Whether its end came, which nobody reads of while nobody reads what it sends."""
        return has_ended(self.transport)

    def end_soon(self) -> None:
        """As rgate ends: let a request that is on its way come, if the connection was idle until now; else
        close it.
        """
        if not self.is_open or not self.is_idle:
            return
        now_ns = time.monotonic_ns()
        if self.deadline_ns > now_ns + _LAST_MOMENT_NS:  # else it is idle since rgate ends
            self.deadline_ns -= IDLE_NS - _LAST_MOMENT_NS
        if self.deadline_ns <= now_ns:
            self._end_idle()

    def _end_idle(self) -> None:
        """Close the connection; not where a request is there that the loop, held up, has not told of."""
        if self.is_quiet():
            self.linger()
        else:
            self.deadline_ns = time.monotonic_ns() + _LAST_MOMENT_NS

    def stop(self) -> None:
        """End the connection at once, as rgate ends."""
        if not self.is_open:
            return
        work, self.work = self.work, None
        if work is not None:
            work.stopped()
        else:
            self.transport.abort()

    def linger(self) -> None:
        """Close the sending side, and read on for a while: else a reset may overtake the answer."""
        self.shared.outbox.flush()  # the response may wait there
        self.reader.take_all()
        self.work = Lingering(self)
        self.resume()
        end_writing(self.transport)

    def cut(self, *, framed: bool) -> None:
        """End the connection so that the response looks broken: by a reset, where it is not *framed*."""
        self.shared.outbox.flush()
        self.work = None
        self.reader.take_all()
        if framed:
            self.deadline_ns = NEVER_NS
            if self.transport.get_write_buffer_size():
                self.shared.loop.call_later(_CUT_S, self.transport.abort)
            self.transport.close()
        else:
            self.reset()

    def reset(self) -> None:
        """End the connection at once, by a reset: nobody takes what came for all of a response."""
        descriptor = self.transport.get_extra_info("socket")
        if descriptor is not None:
            descriptor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()


class Waiting:
    """What was sent behind the last request waits for its turn: others have theirs between any two of a
    client's.

    It waits too until the client has read what it was answered.
    """

    __slots__ = ("_client",)

    def __init__(self, client: Client) -> None:
        self._client = client

    def start(self) -> None:
        """Wait for the next turn."""
        self._client.work = self
        self._client.shared.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        client = self._client
        if client.work is self and not client.is_write_paused:
            client.work = None
            client.read(b"")

    def client_data(self, data: bytes) -> None:
        self._client.keep(data)

    def client_at_end(self) -> bool:
        return False

    def client_gone(self) -> None:
        pass

    def client_pausing(self, *, paused: bool) -> None:
        if not paused:
            self._client.shared.loop.call_soon(self._go_on)

    def expired(self) -> None:
        self._client.let_read()

    def stopped(self) -> None:
        self._client.transport.abort()


class Lingering:
    """Reads and forgets what a client sends behind the last answer, whatever its length, for a while."""

    __slots__ = ("_between_ns", "_client", "_until_ns", "since_ns")

    def __init__(self, client: Client) -> None:
        now_ns = time.monotonic_ns()
        self._client = client
        self.since_ns = now_ns
        self._between_ns = int((LAST_LINGER_S if client.shared.draining else LINGER_BETWEEN_S) * NS)
        self._until_ns = now_ns + int(LINGER_S * NS)
        client.deadline_ns = now_ns + self._between_ns

    def client_data(self, data: bytes) -> None:
        del data
        self._client.deadline_ns = min(time.monotonic_ns() + self._between_ns, self._until_ns)

    def client_at_end(self) -> bool:
        return False

    def client_gone(self) -> None:
        pass

    def client_pausing(self, *, paused: bool) -> None:
        pass

    def expired(self) -> None:
        """End the connection, but for a client that has not read its last response yet: that has as long as
        any.
        """
        client, now_ns = self._client, time.monotonic_ns()
        if not client.transport.get_write_buffer_size():
            client.transport.abort()
        elif client.reads():
            client.deadline_ns = now_ns + self._between_ns
        elif now_ns < self._until_ns:
            client.deadline_ns = min(now_ns + self._between_ns, self._until_ns)
        else:
            client.reset()

    def stopped(self) -> None:
        self._client.transport.abort()
