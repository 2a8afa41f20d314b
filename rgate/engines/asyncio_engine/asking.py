"""A request on its way to an upstream, up to the head of a response: carries out what core/exchange.py
decides.
"""

import asyncio
import logging
import time
from typing import Final

from rgate.core.delivery import Envelope, deliver, envelope_of, response_bytes
from rgate.core.exchange import Attempt
from rgate.core.fields import SWITCHING_PROTOCOLS
from rgate.core.message import BadResponse, Refused
from rgate.core.onward import IDEMPOTENT, ORDINARY, Interim, Response, with_host
from rgate.core.patience import MOST_AHEAD
from rgate.core.problem import CLIENT_CLOSED_REQUEST, Problem
from rgate.core.reading import is_unasked
from rgate.core.reasons import Failure, Reason
from rgate.core.record import SHORT_HEAD_BYTES
from rgate.core.trace import Trace
from rgate.core.upload import NO_CONTENT, is_sent_once, may_be_repeated
from rgate.engines.asyncio_engine.answering import Answering, Enveloping, Receiving
from rgate.engines.asyncio_engine.ports import NEVER_NS, Work
from rgate.engines.asyncio_engine.tunnel import Tunnel
from rgate.engines.asyncio_engine.underway import Underway
from rgate.engines.asyncio_engine.upstream import Upstream, unwritten_bytes
from rgate.engines.records import CLOSED_UNASKED, SAID_408, late_to_accept, why_refused

log = logging.getLogger("rgate")

_INTERIMS_A_TURN: Final = 64
_RATHER_UNUSUAL: Final = frozenset({SWITCHING_PROTOCOLS, 408})


class Asking(Underway):
    """The state from the first attempt to the head of the final response, but for the waiting for a
    connection.

    It is the `Work` of its client, and the `Owner` of its upstream.
    """

    __slots__ = ("_asked_in", "_unwritten")

    _asked_in: int  # the outbox's turn in which the request was put there
    _unwritten: int  # bytes of the request that the kernel has not taken, when that was looked at last

    def start(self) -> None:
        """Ask whoever is picked."""
        route = self.route
        if self.request.framing and not self._took_what_came():
            return
        picked = route.pick()
        if picked < 0:
            self._ask_first(route.exchange.first(time.monotonic()))
            return
        self.destination = destination = route.destinations[picked]
        self.attempt = attempt = destination.attempt
        if route.counts_inflight:
            route.exchange.started(attempt)
        idle = destination.pool.idle
        if idle and not self.request.framing and self.request.method in IDEMPOTENT:
            self.send(idle.pop())
        else:
            self._ask()

    def _took_what_came(self) -> bool:
        """Take what came of the content with the head; False where that was refused, and answered."""
        try:
            self.take_content(self.client.reader.take_all())
        except Refused as refused:
            self.end_unasked(Problem(refused.reason, refused.detail, self.route.route.backend))
            return False
        return True

    def _ask_first(self, step: Attempt | Problem) -> None:
        if isinstance(step, Problem):
            self.end_unasked(step)
        else:
            self.trace = Trace()  # so that it is told that one which was left out answers
            self._carry_out(step)

    def _carry_out(self, step: Attempt | Problem) -> None:
        if isinstance(step, Problem):
            self.end_with(step)
            return
        self.attempt = step
        self.destination = self.route.destination(step.candidate)
        self.upload.again()
        self._ask()

    def _ask(self) -> None:
        """Ask the candidate of the attempt, over a pooled connection or a new one."""
        pool = self.destination.pool
        upstream = None if self.attempt.fresh else pool.take(certainly_open=is_sent_once(self.request))
        if upstream is None:
            Connecting(self).start()
        else:
            if self.trace is not None:
                self.trace.began(self.attempt.candidate, time.monotonic_ns())
            self.send(upstream)

    def send(self, upstream: Upstream) -> None:
        """Send the request, with what of its content is there."""
        client, shared, request, upload = self.client, self.shared, self.request, self.upload
        method, _, host, message, framing, _, manner, _, _, _, _ = request
        self.upstream = upstream
        client.work = upstream.owner = self
        if not host and not manner.has_host_field:
            message = with_host(request, str(self.attempt.candidate.address).encode()).onward
        if framing:
            message = b"".join((message, *upload.from_its_start()))
        if upload.complete and method in IDEMPOTENT:
            self._asked_in, self._unwritten = shared.outbox.turn, 0
            self.asked_ns = asked_ns = time.monotonic_ns()
            client.deadline_ns = asked_ns + self.route.response_ns
            shared.outbox.request(upstream.transport, message)
        else:  # more may follow, and what may not be sent twice goes while the connection is known to be open
            self._asked_in = -1
            self.asked_ns = time.monotonic_ns()
            upstream.transport.write(message)
            self._wait()
        if framing:  # it was not read from while there was nobody to take more
            self.read_on()

    def failed(self, failure: Failure, *, sent: bool, waited_s: float = 0.0, text: str = "") -> None:
        """Go on after the attempt came to nothing. *text*: what the network, or the reader, says of it."""
        self.tries(failure.value, text)
        step = self.route.exchange.after(
            self.attempt,
            failure,
            time.monotonic(),
            repeatable=self.repeatable,
            sent=sent,
            waited_s=waited_s,
        )
        self._carry_out(step)

    @property
    def repeatable(self) -> bool:
        """Whether the request may be sent again, as far as it was sent yet."""
        return may_be_repeated(self.request, self.upload)

    def _failed(self, failure: Failure, text: str = "") -> None:
        self.upstream.discard()
        self.failed(failure, sent=True, text=text)

    def _wait(self) -> None:
        """Set the time until which something has to happen: a response, or progress of the request."""
        self._unwritten = unwritten_bytes(self.upstream.transport)
        is_sent = self.upload.complete and not self._unwritten
        wait_ns = self.route.response_ns if is_sent else self.route.idle_ns
        self.client.deadline_ns = time.monotonic_ns() + wait_ns

    # The client.

    def client_data(self, data: bytes) -> None:
        if self.upload.complete:
            self.client.keep(data)
            return
        try:
            framed = self.take_content(data)
        except Refused as refused:
            self.upstream.discard()
            self.refuse_content(refused)
            return
        if framed:
            self.upstream.transport.write(framed)
        self._wait()
        self.read_on()

    def client_at_end(self) -> bool:
        self.client_gone()
        return False

    def client_gone(self) -> None:
        self.upstream.discard()
        self.end_without_client()

    def client_pausing(self, *, paused: bool) -> None:
        self.upstream.pause_reading(paused=paused)  # interim responses are written before the final one

    def expired(self) -> None:
        """Take the passing of the deadline: who is to blame depends on how far it all came."""
        before = self._unwritten
        unwritten = unwritten_bytes(self.upstream.transport)
        if unwritten != before:
            self._wait()  # some of the request was taken meanwhile
            return
        late = self.upload.late(self.route.exchange.backend.timeouts, unsent=bool(unwritten))
        if isinstance(late, Failure):
            self._failed(late)
        else:
            self.upstream.discard()
            self.refuse_content(late)

    def stopped(self) -> None:
        self.upstream.discard()
        self.cut_off()

    def cut_off(self) -> None:
        """End the client's connection, as rgate ends: nothing of a response was sent."""
        self.record(503, 0, reason=Reason.STOPPED, cut=True)
        self.client.cut(framed=False)

    # The upstream.

    def upstream_pausing(self, *, paused: bool) -> None:
        if paused:
            self.client.pause()
        else:
            self._wait()
            self.client.resume()

    def upstream_at_end(self) -> bool:
        self._ended()
        return False

    def upstream_lost(self) -> None:
        self._ended()

    def _ended(self) -> None:
        self._failed(self.upstream.reader.end(reused=self.upstream.reused))

    def upstream_data(self, data: bytes) -> None:
        upstream = self.upstream
        if self._asked_in == self.shared.outbox.turn:  # it speaks before it was asked
            self._failed(Failure.NOISE if upstream.reused else Failure.BAD_RESPONSE)
            return
        read = self._read(data)
        if type(read) is Response:
            self._answer(read)
        elif type(read) is Interim:
            self._pass_interims(read)

    def _read(self, data: bytes) -> Response | Interim | None:
        """Return the next head, where it is whole with *data*; what is no response is a failure."""
        upstream = self.upstream
        try:
            return upstream.reader.read(
                data, self.shared.routes.reading, self.request, reused=upstream.reused
            )
        except BadResponse as bad:
            self._failed(bad.failure, str(bad))
            return None

    def _pass_interims(self, interim: Interim) -> None:
        """Pass *interim* on, and what came behind it: not without end in one turn."""
        messages: list[bytes] = []
        read: Response | Interim | None = interim
        while type(read) is Interim:
            messages.append(read.message)
            if len(messages) == _INTERIMS_A_TURN:
                self.upstream.pause_reading(paused=True)
                self.shared.loop.call_soon(self._read_on)
                break
            read = self._read(b"")
        passed = b"".join(messages)
        if passed and self.client.work is self:
            self.client.write(passed)
        if type(read) is Response:
            self._answer(read)

    def _read_on(self) -> None:
        if self.client.work is self:
            self.upstream.pause_reading(paused=self.client.is_write_paused)
            self.upstream_data(b"")

    def _answer(self, response: Response) -> None:
        """Deliver *response*: at once, where all of it is there."""
        status, message, framing, reuse, received, end = response
        if (
            framing != len(received) - end
            or (self.upload is not NO_CONTENT and not self.is_sent)
            or status in _RATHER_UNUSUAL
            or self.route.envelopes
        ):
            self._begin_answer(response)
            return
        upstream, client, destination = self.upstream, self.client, self.destination
        _, _, host, _, _, identity, manner, line, _, head_begin, head_end = self.request
        counter, closes = destination.counter, False
        if manner is not ORDINARY or self.shared.draining:
            delivery = deliver(self.request, response, closing=self.shared.draining)
            message, closes = response_bytes(response, delivery), delivery.closes
            if manner.span is not None:
                counter = None
        now_ns = time.monotonic_ns()
        upstream.pool.give_back(upstream, now_ns, reuse)
        if (
            counter is None
            or self.trace is not None
            or self.route.counts_inflight
            or head_end - head_begin > SHORT_HEAD_BYTES
            or status >= CLIENT_CLOSED_REQUEST
        ):
            if self.trace is not None:
                self.route.exchange.answered(self.attempt)
            self.count(status, framing, now_ns)
        else:
            counter.add(status, now_ns - self.began_ns, now_ns)
            # As `count` does, spelt out: it is the path of nearly all requests.
            self.shared.keep(
                (
                    now_ns, self.began_ns, self.asked_ns, 0, status, framing, line, host, identity,
                    client.connection, destination.told, None,
                )
            )  # fmt: skip
        self.shared.outbox.response(client.transport, message + received[end:])
        client.ended(now_ns, closes=closes, unread=False)

    def _begin_answer(self, response: Response) -> None:
        """Deliver *response* as it comes, however it is framed."""
        if response.status == SWITCHING_PROTOCOLS:
            self._switch(response)
            return
        if is_unasked(response, reused=self.upstream.reused) and self.repeatable:
            self._failed(Failure.STALE, SAID_408)
            return
        if self.trace is not None:
            self.route.exchange.answered(self.attempt)
        self.answered_ns = time.monotonic_ns()
        if self.route.envelopes:
            envelope = envelope_of(self.request, response)
            if isinstance(envelope, Envelope):
                Enveloping(self, response, envelope).start()
                return
            response = envelope
        closing = self.shared.draining or not self.upload.complete
        Answering(self, response, deliver(self.request, response, closing=closing)).start()

    def _switch(self, response: Response) -> None:
        """Become a tunnel. The response is its head: what follows is no HTTP, and may last for days."""
        if not self.upload.complete:
            self._failed(Failure.BAD_RESPONSE)
            return
        client = self.client
        self.route.exchange.answered(self.attempt)
        delivery = deliver(self.request, response, closing=False)
        self.answered_ns = time.monotonic_ns()
        self.record(response.status, 0, goes_on=True)
        client.write(response_bytes(response, delivery))
        Tunnel(self).start(client.reader.take_all(), response.received[response.end :])


class Connecting:
    """The state while a connection is made; it has a time-out of its own. It is the `Work` of its client."""

    __slots__ = ("_asking", "_task")

    _task: asyncio.Task[None]

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    @property
    def underway(self) -> Underway:
        """The request that a connection is made for."""
        return self._asking

    def start(self) -> None:
        """Begin to connect to the candidate of the present attempt."""
        asking, client = self._asking, self._asking.client
        client.work = self
        client.deadline_ns = NEVER_NS
        if asking.trace is None:
            asking.trace = Trace()
        asking.trace.began(asking.attempt.candidate, time.monotonic_ns())
        asking.trace.connecting()
        self._task = asking.shared.loop.create_task(self._connect())

    async def _connect(self) -> None:
        asking = self._asking
        attempt, exchange, loop = asking.attempt, asking.route.exchange, asking.shared.loop
        began_s = time.monotonic()
        # A timer of our own, as asyncio.timeout costs a fifth of a connection.
        limit = loop.call_later(exchange.connect_within_s(attempt), self._task.cancel)
        try:
            upstream = await asking.shared.pools.connect(asking.destination.pool, exchange.backend.name)
        except asyncio.CancelledError:
            if asking.client.work is not self:
                raise  # the client is gone
            self._refused(began_s, late_to_accept(exchange.connect_within_s(attempt)))
        except Exception as error:
            # Whatever it is, nobody was reached; what is no failure of the network is a defect of ours.
            if not isinstance(error, OSError):
                log.exception("connecting to %s failed", attempt.candidate.address)
            self._refused(began_s, why_refused(error), self._asking.shared.crowd.refused(error))
        else:
            asking.traced().connected(time.monotonic_ns())
            asking.attempt = exchange.accepted(attempt, time.monotonic() - began_s)
            limit.cancel()
            await self._stays_open(upstream, exchange.stays_open_s(attempt, repeatable=asking.repeatable))
            if upstream.is_open:
                asking.send(upstream)
            elif upstream.spoke_first:
                asking.failed(Failure.BAD_RESPONSE, sent=False)
            else:
                asking.failed(Failure.CLOSED_EARLY, sent=False, text=CLOSED_UNASKED)
        finally:
            limit.cancel()

    async def _stays_open(self, upstream: Upstream, seconds: float) -> None:
        if seconds:
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                upstream.discard()
                raise

    def _refused(self, began_s: float, text: str, failure: Failure = Failure.REFUSED) -> None:
        self._asking.failed(failure, sent=False, waited_s=time.monotonic() - began_s, text=text)

    def client_data(self, data: bytes) -> None:
        """Keep content to go with the head; more than that has to wait for it."""
        asking = self._asking
        if asking.upload.complete:
            asking.client.keep(data)
            return
        try:
            asking.take_content(data)
        except Refused as refused:
            self._task.cancel()
            asking.refuse_content(refused)
            return
        if asking.upload.kept_bytes > MOST_AHEAD:
            asking.client.pause()

    def client_at_end(self) -> bool:
        self.client_gone()
        return False

    def client_gone(self) -> None:
        self._task.cancel()
        self._asking.end_without_client()

    def client_pausing(self, *, paused: bool) -> None:
        pass

    def expired(self) -> None:
        pass

    def stopped(self) -> None:
        self._task.cancel()
        self._asking.cut_off()


def underway_of(work: Work | None) -> Underway | None:
    """Return the request that *work* is for, where a candidate is asked; None: none is."""
    match work:
        case Underway():
            return work
        case Connecting() | Receiving() | Tunnel():
            return work.underway
        case _:
            return None


def is_uploading(work: Work | None) -> bool:
    """Whether content is still to come of the request that *work* is for, so that the client is to stay."""
    underway = underway_of(work)
    return underway is not None and not underway.upload.complete
