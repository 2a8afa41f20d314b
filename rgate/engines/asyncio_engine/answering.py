"""A response on its way to its client: raw as it comes, or held for its envelope."""

import time
from typing import Final

from rgate.core.content import content_of
from rgate.core.delivery import Delivery, Envelope, deliver, response_bytes
from rgate.core.message import UNTIL_CLOSE, Refused
from rgate.core.onward import NEVER, Response, Reuse
from rgate.core.problem import Problem
from rgate.core.reasons import Failure, Reason
from rgate.engines.asyncio_engine.underway import Underway
from rgate.engines.asyncio_engine.upstream import unwritten_bytes
from rgate.engines.records import BROKE_OFF

# Larger pieces are not copied behind the head: the kernel takes both from where they are.
_LARGE_BYTES: Final = 16384


class Receiving:
    """The content of a response as it comes; subclasses say what becomes of it.

    It is the `Work` of its client, and the `Owner` of its upstream. What is left of the request goes on
    meanwhile.
    """

    __slots__ = ("_bytes_sent", "_content", "_framed", "_response", "_rest", "_underway", "_unwritten")

    def __init__(self, underway: Underway, response: Response) -> None:
        self._underway = underway
        self._response = response
        self._content = content_of(response.framing, lenient=True)
        self._rest = b""  # came, and is left for a later turn
        self._bytes_sent = 0  # of the content
        self._framed = False  # the client can tell that what it got is not all
        self._unwritten = (0, 0)  # bytes that client and upstream had not taken, when that was looked at last

    @property
    def underway(self) -> Underway:
        """The request that it is the response to."""
        return self._underway

    def start(self) -> None:
        """Take over, with what came behind the head."""
        underway, response = self._underway, self._response
        underway.client.work = self
        underway.upstream.owner = self
        underway.upstream.pause_reading(paused=underway.client.is_write_paused)
        self._take(response.received[response.end :])

    def _came(self, piece: bytes) -> None:
        """Take a piece of the content, which may be empty."""

    def _completed(self) -> None:
        """Take the end of the content; the upstream was let go."""

    def _broken(self) -> None:
        """Take it that the content cannot be completed; the upstream was let go."""

    def _refused(self, refused: Refused) -> None:
        """Take it that the request's content is malformed or too large; the upstream was let go."""

    # The upstream.

    def upstream_data(self, data: bytes) -> None:
        self._take(self._rest + data)

    def _take(self, data: bytes) -> None:
        """Take what *data* gives: not without end in one turn."""
        try:
            piece, end = self._content.take(data, 0)
        except Refused:
            self._let_go(NEVER)
            self._broken()
            return
        self._rest = data[end:]
        if self._content.complete:
            self._let_go(self._response.reuse if not self._rest else NEVER)
            self._came(piece)
            self._completed()
            return
        self._wait()
        if self._rest:
            self._underway.upstream.pause_reading(paused=True)
            self._underway.shared.loop.call_soon(self._take_the_rest)
        self._came(piece)

    def _take_the_rest(self) -> None:
        underway = self._underway
        if underway.client.work is self and self._rest:
            underway.upstream.pause_reading(paused=underway.client.is_write_paused)
            self._take(self._rest)

    def _let_go(self, reuse: Reuse) -> None:
        self._underway.let_go(time.monotonic_ns(), reuse)

    def upstream_at_end(self) -> bool:
        self._end(whole=self._response.framing is UNTIL_CLOSE)
        return False

    def upstream_lost(self) -> None:
        self._end(whole=False)

    def _end(self, *, whole: bool) -> None:
        while self._rest and self._underway.client.work is self:
            self._take(self._rest)
        if self._underway.client.work is self:
            self._let_go(NEVER)
            if whole:
                self._completed()
            else:
                self._broken()

    def upstream_pausing(self, *, paused: bool) -> None:
        client = self._underway.client
        if paused:
            client.pause()
        else:
            self._wait()
            client.resume()

    # The client.

    def client_data(self, data: bytes) -> None:
        underway = self._underway
        try:
            framed = underway.take_content(data)
        except Refused as refused:
            self._let_go(NEVER)
            self._refused(refused)
            return
        if framed:
            underway.upstream.transport.write(framed)
            self._wait()
        underway.read_on()

    def client_at_end(self) -> bool:
        self.client_gone()
        return False

    def client_gone(self) -> None:
        self._underway.upstream.discard()
        self._underway.end_without_client(self._bytes_sent)

    def client_pausing(self, *, paused: bool) -> None:
        self._underway.upstream.pause_reading(paused=paused or bool(self._rest))
        self._wait()

    def _wait(self) -> None:
        client = self._underway.client
        self._unwritten = self._not_taken()
        client.deadline_ns = time.monotonic_ns() + self._underway.route.idle_ns

    def _not_taken(self) -> tuple[int, int]:
        to_client, to_upstream = self._underway.client.transport, self._underway.upstream.transport
        return unwritten_bytes(to_client), unwritten_bytes(to_upstream)

    def expired(self) -> None:
        """Take it that nothing was read or written for `idle` seconds: who reads no more has left."""
        client = self._underway.client
        if self._not_taken() != self._unwritten:
            self._wait()  # one of them reads, though slowly
        elif client.is_write_paused:
            self.client_gone()
            client.reset()
        else:
            self._underway.upstream.discard()
            self._broken()

    def stopped(self) -> None:
        underway = self._underway
        underway.upstream.discard()
        underway.record(self._response.status, self._bytes_sent, reason=Reason.STOPPED, cut=True)
        underway.client.cut(framed=self._framed)


class Answering(Receiving):
    """Passes a response on as it comes. Once it has begun, a failure cuts the client's connection."""

    __slots__ = ("_delivery", "_out")

    def __init__(self, underway: Underway, response: Response, delivery: Delivery) -> None:
        super().__init__(underway, response)
        self._delivery = delivery
        self._framed = delivery.framed
        self._out = response_bytes(response, delivery)  # goes out with the next piece

    def _came(self, piece: bytes) -> None:
        self._bytes_sent += len(piece)
        if self._content.complete:
            self._out += self._delivery.content(piece)  # and the end behind it
            return
        client = self._underway.client
        framed = self._delivery.content(piece)
        out, self._out = self._out, b""
        if len(framed) >= _LARGE_BYTES:
            self._underway.shared.outbox.flush()
            client.transport.writelines((out, framed) if out else (framed,))
        elif out or framed:
            client.write(out + framed)

    def _completed(self) -> None:
        underway = self._underway
        client, delivery, now_ns = underway.client, self._delivery, time.monotonic_ns()
        underway.count(self._response.status, self._bytes_sent, now_ns)
        last = self._out + delivery.end(self._content.trailers)
        if last:
            underway.shared.outbox.response(client.transport, last)
        client.ended(now_ns, closes=delivery.closes, unread=not underway.upload.complete)

    def _broken(self) -> None:
        underway = self._underway
        if self._out:
            underway.client.write(self._out)
        underway.record(self._response.status, self._bytes_sent, cut=True)
        underway.client.cut(framed=self._framed)

    def _refused(self, refused: Refused) -> None:
        del refused  # it is too late to say so
        self._broken()


class Enveloping(Receiving):
    """Holds a response's content until its envelope can be made. Nothing was sent before, so a failure is
    answered.
    """

    __slots__ = ("_envelope",)

    def __init__(self, underway: Underway, response: Response, envelope: Envelope) -> None:
        super().__init__(underway, response)
        self._envelope = envelope

    def _came(self, piece: bytes) -> None:
        if self._envelope.is_too_large(piece) and not self._content.complete:
            self._go_on_raw()

    def _go_on_raw(self) -> None:
        """Pass on what is held, and what follows as it comes."""
        underway = self._underway
        response, content = self._envelope.raw()
        answering = self._answering(response)
        underway.client.work = underway.upstream.owner = answering
        if answering._rest:
            underway.shared.loop.call_soon(answering._take_the_rest)
        answering._came(content)
        answering._wait()

    def _completed(self) -> None:
        response, content = self._envelope.enveloped()
        answering = self._answering(response)
        answering._came(content)
        answering._completed()

    def _answering(self, response: Response) -> Answering:
        """Return what goes on from here with *response*."""
        underway = self._underway
        closing = underway.shared.draining or not underway.upload.complete
        answering = Answering(underway, response, deliver(underway.request, response, closing=closing))
        answering._content, answering._rest = self._content, self._rest
        return answering

    def _broken(self) -> None:
        underway = self._underway
        underway.tries(Failure.BAD_RESPONSE.value, BROKE_OFF)
        step = underway.route.exchange.after(
            underway.attempt, Failure.BAD_RESPONSE, time.monotonic(), repeatable=False
        )
        assert isinstance(step, Problem), "a bad response is not tried again"  # noqa: S101 - for the types alone
        underway.end_with(step)

    def _refused(self, refused: Refused) -> None:
        self._underway.refuse_content(refused)
