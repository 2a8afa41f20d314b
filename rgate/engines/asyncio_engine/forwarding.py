"""One request from its head to its response's last byte: carries out what core/ decides."""

import asyncio
import time
from typing import TYPE_CHECKING, Final

from rgate.core.candidates import Address
from rgate.core.chunked import LAST_CHUNK, ChunkedDecoder, chunk
from rgate.core.config import ResponseFormat
from rgate.core.envelope import MOST_BYTES, envelope, enveloped_fields, may_be_enveloped
from rgate.core.exchange import IDEMPOTENT, Attempt, Exchange, Step
from rgate.core.fields import SWITCHING_PROTOCOLS, frame_for_client, interim_fields, response_fields
from rgate.core.message import (
    CHUNKED,
    UNTIL_CLOSE,
    BadResponse,
    Fields,
    Refused,
    ResponseHead,
    parse_response_head,
)
from rgate.core.problem import CLIENT_CLOSED_REQUEST, OwnResponse, problem
from rgate.core.reasons import Failure, Reason
from rgate.engines.asyncio_engine.client import NEVER_NS, NS, Client
from rgate.engines.asyncio_engine.content import RequestContent, last_chunk
from rgate.engines.asyncio_engine.own import own_response
from rgate.engines.asyncio_engine.tunnel import Tunnel
from rgate.engines.asyncio_engine.upstream import Upstream
from rgate.engines.records import record_of
from rgate.engines.wire import request_head, response_head

if TYPE_CHECKING:
    from rgate.engines.asyncio_engine.engine import Shared

# Larger pieces are not copied behind the head: the kernel takes both from where they are.
_LARGE_BYTES: Final = 16384
# How long a client may take between two pieces of its content.
CLIENT_IDLE_NS: Final = 60 * NS


class Forwarding:
    """A request that has a route, its upstream of the moment, and the response as far as it came.

    It is the `Work` of its client's connection and the `Owner` of its upstream's.
    """

    __slots__ = (
        "_asked_in", "_bytes_sent", "_chunks", "_client", "_closes", "_connecting", "_content", "_decoder",
        "_enveloped", "_exchange", "_head", "_interim", "_looked_at", "_out", "_received", "_remaining",
        "_reused", "_shared", "_started_ns", "_upstream",
    )  # fmt: skip

    def __init__(self, shared: "Shared", client: Client, exchange: Exchange) -> None:
        self._shared = shared
        self._client = client
        self._exchange = exchange
        self._started_ns = client.began_ns
        self._content = RequestContent(exchange.head, shared.gateway.config.limits.body_bytes)
        self._upstream: Upstream | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._head: ResponseHead | None = None  # of the final response
        self._received = b""  # of the response's head, while it is not whole
        self._looked_at = 0
        self._reused = False  # the upstream served another request before
        self._interim = False  # an interim response went before
        self._decoder: ChunkedDecoder | None = None
        self._remaining = 0
        self._chunks = False
        self._closes = False
        self._enveloped: bytearray | None = None  # the content so far, where it goes into an envelope
        self._out: list[bytes] = []  # for the client, and not yet written
        self._bytes_sent = 0
        self._asked_in = -1  # the outbox's turn in which the request was put there

    # Steps.

    def start(self) -> None:
        """Send the request on, with what of its content is there."""
        received, self._client.received = self._client.received, b""
        self.start_with(received)

    def start_with(self, received: bytes, first: Attempt | None = None) -> None:
        """Send the request on, with what was *received* behind its head. *first*: a step that is known."""
        self._client.work = self
        try:
            self._take_content(received)
        except Refused as refused:
            self._refused(refused)
            return
        self._carry_out(first or self._exchange.next(self._now_s()))

    def resume(self, upstream: Upstream, sent: bytes) -> None:
        """Go on with a request that was sent to *upstream* already, with *sent*, its content."""
        self._client.work = self
        self._content = RequestContent(self._exchange.head, None)  # it was within the limit when it came
        self._take_content(sent)
        self._content.all_taken()
        self._upstream = upstream
        self._reused = True
        upstream.owner = self
        self._wait()

    def _carry_out(self, step: Step) -> None:
        match step:
            case OwnResponse() as own:
                self._answer(own)
            case Attempt(candidate, fresh):
                pool = self._shared.pools.of(candidate.address)
                idempotent = self._exchange.head.method in IDEMPOTENT
                upstream = None if fresh else pool.take(certainly_open=not idempotent)
                if upstream is not None:
                    self._send(upstream)
                else:
                    self._client.deadline_ns = NEVER_NS  # connecting has a time-out of its own
                    self._connecting = self._shared.loop.create_task(self._connect(candidate.address))

    async def _connect(self, address: Address) -> None:
        try:
            upstream = await self._shared.pools.connect(address, self._exchange.backend.timeouts.connect)
        except (OSError, TimeoutError):
            self._connecting = None
            self._failed(Failure.REFUSED, sent=False)
            return
        self._connecting = None
        self._exchange.accepted()
        if upstream.is_open:
            self._send(upstream)
        else:
            self._failed(Failure.CLOSED_EARLY, sent=False)

    def _send(self, upstream: Upstream) -> None:
        self._upstream = upstream
        upstream.owner = self
        self._reused = upstream.reused
        self._received, self._looked_at, self._interim = b"", 0, False
        message = b"".join((request_head(self._exchange.forwarded()), *self._content.all_taken()))
        if self._content.complete and self._exchange.head.method in IDEMPOTENT:
            self._asked_in = self._shared.outbox.turn
            self._shared.outbox.request(upstream.transport, message)
        else:  # more may follow, and what may not be sent twice goes while the connection is known to be open
            upstream.transport.write(message)
        self._client.transport.resume_reading()
        self._wait()

    def _failed(self, failure: Failure, *, sent: bool) -> None:
        self._drop_upstream()
        step = self._exchange.failed(failure, self._now_s(), sent=sent, replayable=self._content.replayable)
        self._carry_out(step)

    def _wait(self) -> None:
        """Set the time until which something has to happen."""
        if self._head is not None:
            wait_ns = int(self._exchange.backend.timeouts.idle * NS)
        elif self._content.complete:
            wait_ns = int(self._exchange.backend.timeouts.response * NS)
        else:
            wait_ns = CLIENT_IDLE_NS
        self._client.deadline_ns = time.monotonic_ns() + wait_ns

    # The client.

    def client_data(self, data: bytes) -> None:
        if self._content.complete:
            self._client.keep(data)
            return
        try:
            framed = self._take_content(data)
        except Refused as refused:
            self._refused(refused)
            return
        if self._upstream is not None:
            if framed:
                self._upstream.transport.write(framed)
            if self._head is None:
                self._wait()
        else:  # it is kept, and goes with the head; more than that has to wait for it
            self._client.transport.pause_reading()

    def _take_content(self, data: bytes) -> bytes:
        """Take content; what lies behind it is the client's next request. Raises Refused."""
        if self._content.complete:
            framed, rest = b"", data
        else:
            framed, rest = self._content.take(data)
        if rest:
            self._client.keep(rest)
        return framed

    def _refused(self, refused: Refused) -> None:
        if self._head is not None:
            self._cut()
            return
        self._drop_upstream()
        identity = self._exchange.request_id.decode("latin-1")
        self._answer(
            problem(refused.reason, refused.detail, request_id=identity, accept=self._exchange.accept)
        )

    def client_gone(self) -> None:
        self._drop_upstream()
        self._record(CLIENT_CLOSED_REQUEST, Reason.CLIENT_CLOSED.value)

    def client_pausing(self, *, paused: bool) -> None:
        if self._upstream is not None:
            _pause(self._upstream.transport, paused=paused)
            self._wait()

    def expired(self) -> None:
        """Take the passing of the deadline: who is to blame depends on how far it all came."""
        if self._head is not None:
            if self._client.is_write_paused:
                self._client.work = None
                self.client_gone()
                self._client.transport.abort()
            else:
                self._cut()
        elif self._content.complete or (
            self._upstream is not None and self._upstream.transport.get_write_buffer_size()
        ):
            self._failed(Failure.TIMEOUT, sent=True)
        else:
            detail = f"Nothing of the body came for {CLIENT_IDLE_NS / NS:g} s."
            self._refused(Refused(Reason.REQUEST_TIMEOUT, detail))

    def _answer(self, own: OwnResponse) -> None:
        unread = not self._content.complete
        whole = own_response(own, self._exchange.head, closing=unread or self._shared.draining)
        self._bytes_sent = whole.content_bytes
        self._record(own.status, own.reason.value if own.reason is not None else "")
        self._client.write(whole.message)
        self._client.ended(closes=whole.closes, unread=unread)

    # The upstream.

    def upstream_pausing(self, *, paused: bool) -> None:
        _pause(self._client.transport, paused=paused)

    def upstream_ended(self, error: Exception | None) -> None:
        self._upstream = None
        if self._head is None:
            self._failed(self._failure_of_an_end(), sent=True)
        elif self._head.framing is UNTIL_CLOSE and error is None:
            self._complete()
        else:
            self._cut()

    def _failure_of_an_end(self) -> Failure:
        if self._received or self._interim:
            return Failure.BAD_RESPONSE
        return Failure.STALE if self._reused else Failure.CLOSED_EARLY

    def upstream_data(self, data: bytes) -> None:
        if self._asked_in == self._shared.outbox.turn:  # it speaks before it was asked
            self._failed(Failure.STALE if self._reused else Failure.BAD_RESPONSE, sent=True)
            return
        if self._head is not None:
            self._take_response(data)
        else:
            self._received += data
            self._take_heads()
        self._flush()

    def _take_heads(self) -> None:
        """Take the response's head, and the interim ones before it, as far as they are there."""
        limits, method = self._shared.gateway.config.limits, self._exchange.head.method
        while self._head is None and self._upstream is not None:
            end = self._received.find(b"\r\n\r\n", max(self._looked_at - 3, 0))
            if _is_hopeless(self._received, end, limits.header_bytes):
                self._failed(Failure.BAD_RESPONSE, sent=True)
                return
            if end < 0:
                self._looked_at = len(self._received)
                return
            block, rest = self._received[: end + 4], self._received[end + 4 :]
            try:
                head = parse_response_head(block, method, most_fields=limits.header_fields)
            except BadResponse:
                self._failed(Failure.BAD_RESPONSE, sent=True)
                return
            self._received, self._looked_at = rest, 0
            if head.is_interim:
                self._pass_interim(head)
            elif head.status == SWITCHING_PROTOCOLS:
                self._switch(head)
                return
            else:
                self._received = b""
                self._begin_response(head)
                self._take_response(rest)

    def _pass_interim(self, head: ResponseHead) -> None:
        self._interim = True
        if self._exchange.head.minor_version >= 1:
            fields = interim_fields(head.fields, head.connection_options)
            self._out.append(response_head(b"HTTP/1.1 %d %b" % (head.status, head.phrase), fields))

    def _switch(self, head: ResponseHead) -> None:
        """Become a tunnel, where the client asked for one."""
        upstream = self._upstream
        assert upstream is not None
        if not self._exchange.head.upgrade or not self._content.complete:
            self._failed(Failure.BAD_RESPONSE, sent=True)
            return
        client = self._client
        rest, early = self._received, client.received
        client.received = b""
        fields = response_fields(head, self._exchange.request_id)
        self._exchange.ended()
        self._upstream = None
        # The response is its head; what follows is no longer HTTP, and may last for days.
        self._record(head.status, "")
        client.write(response_head(b"HTTP/1.1 %d %b" % (head.status, head.phrase), fields) + rest)
        Tunnel(client, upstream, idle_ns=int(self._exchange.backend.timeouts.idle * NS)).start(early)

    def _begin_response(self, head: ResponseHead) -> None:
        request = self._exchange.head
        self._head = head
        self._remaining = head.framing if isinstance(head.framing, int) else 0
        self._decoder = ChunkedDecoder() if head.framing is CHUNKED else None
        fields = response_fields(head, self._exchange.request_id)
        length_known = isinstance(head.framing, int)
        if self._exchange.route.response_format is ResponseFormat.ENVELOPE:
            if may_be_enveloped(head, request.method):
                self._enveloped = bytearray()
                return
            if request.method == b"HEAD":
                # A HEAD says nothing of content that would have to be read for its envelope's length.
                fields = tuple(field for field in fields if field[0].lower() != b"content-length")
        self._write_head(fields, length_known=length_known)

    def _write_head(self, fields: Fields, *, length_known: bool) -> None:
        head = self._head
        assert head is not None
        closing = not self._content.complete or self._shared.draining
        framing = frame_for_client(self._exchange.head, length_known=length_known, closing=closing)
        self._chunks, self._closes = framing.chunks, framing.closes
        line = b"HTTP/1.1 %d %b" % (head.status, head.phrase)
        self._out.append(response_head(line, (*fields, *framing.fields)))
        self._wait()

    def _take_response(self, data: bytes) -> None:
        head, upstream = self._head, self._upstream
        assert head is not None
        assert upstream is not None
        if self._decoder is not None:
            try:
                piece = b"".join(self._decoder.content(data))
            except Refused:
                self._flush()
                self._cut()
                return
            ended, clean = self._decoder.ended, self._decoder.ended and not self._decoder.rest
        elif head.framing is UNTIL_CLOSE:
            piece, ended, clean = data, False, False
        else:
            piece = data[: self._remaining]
            self._remaining -= len(piece)
            ended, clean = not self._remaining, len(piece) == len(data)
        if piece:
            self._pass_content(piece)
        if ended:
            if clean and head.keep_alive and self._content.complete:
                self._give_upstream_back()
            self._complete()
        else:
            self._client.deadline_ns = time.monotonic_ns() + int(self._exchange.backend.timeouts.idle * NS)

    def _pass_content(self, piece: bytes) -> None:
        if self._enveloped is not None:
            self._enveloped += piece
            if len(self._enveloped) > MOST_BYTES:
                self._give_up_envelope()
            return
        self._bytes_sent += len(piece)
        self._out.append(chunk(piece) if self._chunks else piece)

    def _give_up_envelope(self) -> None:
        """Pass the content raw: there is too much of it to be held, or it is neither JSON nor text."""
        head, content = self._head, self._enveloped
        assert head is not None
        assert content is not None
        self._enveloped = None
        length_known = isinstance(head.framing, int)
        self._write_head(response_fields(head, self._exchange.request_id), length_known=length_known)
        if content:
            self._pass_content(bytes(content))

    def _put_in_envelope(self) -> None:
        head, content = self._head, self._enveloped
        assert head is not None
        assert content is not None
        made = envelope(head, bytes(content))
        if made is None:
            self._give_up_envelope()
            return
        self._enveloped = None
        fields = enveloped_fields(response_fields(head, self._exchange.request_id), len(made))
        self._write_head(fields, length_known=True)
        self._pass_content(made)

    def _complete(self) -> None:
        """End the response well."""
        head = self._head
        assert head is not None
        if self._enveloped is not None:
            self._put_in_envelope()
        if self._chunks:
            self._out.append(last_chunk(self._decoder) if self._decoder is not None else LAST_CHUNK)
        self._drop_upstream()
        # Now, and not behind the writing: who has the last byte finds the request in the figures.
        self._record(head.status, "")
        self._flush(last=True)
        self._client.ended(closes=self._closes, unread=not self._content.complete)

    def _cut(self) -> None:
        """End a response that cannot be completed."""
        head = self._head
        assert head is not None
        self._drop_upstream()
        self._record(head.status, "", cut=True)
        self._flush()
        # An envelope's head was not written yet: the connection's end says enough.
        self._client.cut(framed=_is_framed(head, self._chunks))

    def _flush(self, *, last: bool = False) -> None:
        """Write what is there for the client; the *last* of a response waits for others of this turn."""
        out, self._out = self._out, []
        if not out:
            return
        if len(out[-1]) >= _LARGE_BYTES:
            self._shared.outbox.flush()
            self._client.transport.writelines(out)
        elif last:
            self._shared.outbox.response(self._client.transport, b"".join(out))
        else:
            self._client.write(b"".join(out))

    def _give_upstream_back(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.transport.resume_reading()
            upstream.pool.give_back(upstream, time.monotonic_ns())

    def _drop_upstream(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.discard()

    # The record.

    def _record(self, status: int, reason: str, *, cut: bool = False) -> None:
        self._exchange.ended()
        record = record_of(
            self._exchange.head,
            self._client.connection,
            status,
            request_id=self._exchange.request_id,
            started_ns=self._started_ns,
            bytes_sent=self._bytes_sent,
            reason=reason,
            cut=cut,
            exchange=self._exchange,
        )
        self._shared.log.add(record)

    @staticmethod
    def _now_s() -> float:
        return time.monotonic()


def _pause(transport: asyncio.Transport, *, paused: bool) -> None:
    if transport.is_closing():
        return
    if paused:
        transport.pause_reading()
    else:
        transport.resume_reading()


def _is_hopeless(received: bytes, end: int, most_bytes: int) -> bool:
    """Whether *received* can never become a response's head; *end*: where its last line begins, or -1."""
    if not b"HTTP/1.".startswith(received[:7]):
        return True
    if (end if end >= 0 else len(received)) > most_bytes:
        return True
    return end < 0 and b"\n\n" in received


def _is_framed(head: ResponseHead, chunks: bool) -> bool:
    """Whether a client can tell that the content is not complete."""
    return chunks or isinstance(head.framing, int)
