"""One request that has a route: what all its states need, and how it ends."""

import time

from rgate.core.exchange import Attempt
from rgate.core.message import Refused
from rgate.core.onward import NEVER, Request, Reuse
from rgate.core.problem import CLIENT_CLOSED_REQUEST, Problem
from rgate.core.reasons import Reason
from rgate.core.record import LONGEST_HOST_TOLD, RESPONSE, Try, short_line
from rgate.core.trace import Trace
from rgate.core.upload import NO_CONTENT, Upload
from rgate.engines.asyncio_engine.answers import answer
from rgate.engines.asyncio_engine.client import Client
from rgate.engines.asyncio_engine.routes import Destination, RouteInForce
from rgate.engines.asyncio_engine.upstream import Upstream
from rgate.engines.records import outcome_of, record_of


class Underway:
    """A request with its client, its content, and the upstream of the moment.

    *attempt*, *destination* and *upstream* are there from the first attempt on. *trace* is there where the
    attempts were more than one over a pooled connection, of which *asked_ns* and *answered_ns* tell all.
    """

    __slots__ = (
        "answered_ns", "asked_ns", "attempt", "began_ns", "client", "destination", "request", "route",
        "shared", "trace", "upload", "upstream",
    )  # fmt: skip

    asked_ns: int  # when the request was sent, in the present attempt
    attempt: Attempt
    destination: Destination
    upstream: Upstream

    def __init__(self, client: Client, request: Request, route: RouteInForce) -> None:
        self.client = client
        self.shared = shared = client.shared
        self.request = request
        self.route = route
        self.began_ns = client.began_ns
        self.answered_ns = 0  # when the head of the response was there, where its content comes behind it
        self.trace: Trace | None = None
        self.upload = (
            Upload(request.framing, shared.routes.config.limits.body_bytes) if request.framing else NO_CONTENT
        )

    # The request's content.

    def take_content(self, data: bytes) -> bytes:
        """Return what of *data* goes on, framed. The rest is kept: it is a later turn's, or the next
        request's.

        Raises Refused.
        """
        client, upload = self.client, self.upload
        if upload.complete or not client.reader.is_empty:
            client.keep(data)
            return b""
        framed, end = upload.take(data, 0)
        if end < len(data):
            client.keep(data[end:])
            if not upload.complete:  # others have their turn before the rest of so many small chunks
                self.shared.loop.call_soon(self._take_the_rest)
        return framed

    def _take_the_rest(self) -> None:
        client = self.client
        if client.work is not None and not self.upload.complete and not client.reader.is_empty:
            client.work.client_data(client.reader.take_all())

    def read_on(self) -> None:
        """Read on of the client, unless the upstream takes no more for now."""
        if not self.upstream.is_write_paused:
            self.client.resume()

    # The end.

    def end_unasked(self, problem: Problem) -> None:
        """Answer with *problem*: no attempt was made."""
        answer(
            self.client,
            self.request,
            problem,
            route=self.route.route,
            generation=self.route.generation,
            unread=not self.upload.complete,
        )

    def end_with(self, problem: Problem) -> None:
        """Answer with *problem*, to which the attempts came; no response of an upstream has begun."""
        self.route.exchange.ended(self.attempt)
        answer(
            self.client,
            self.request,
            problem,
            route=self.route.route,
            attempt=self.attempt,
            generation=self.route.generation,
            tries=self.tries(problem.reason.value),
            unread=not self.upload.complete,
        )

    def traced(self) -> Trace:
        """Return the trace of the attempts; where there is none, the only one is over a pooled connection."""
        if self.trace is None:
            self.trace = Trace()
            self.trace.began(self.attempt.candidate, self.asked_ns)
        return self.trace

    def tries(self, outcome: str, text: str = "") -> tuple[Try, ...]:
        """Take it that the present attempt, unless it ended before, came to *outcome*; return all."""
        trace = self.traced()
        if self.answered_ns:
            trace.answered(self.answered_ns)
        return trace.ended(time.monotonic_ns(), outcome, text)

    def refuse_content(self, refused: Refused) -> None:
        """Answer content that is malformed, too large or too late; what is left of it is not wanted."""
        self.end_with(Problem(refused.reason, refused.detail, self.route.route.backend))

    def end_without_client(self, bytes_sent: int = 0) -> None:
        """Note that the client went away first."""
        self.client.work = None
        self.record(CLIENT_CLOSED_REQUEST, bytes_sent, reason=Reason.CLIENT_CLOSED)

    def let_go(self, now_ns: int, reuse: Reuse) -> None:
        """Give the upstream back: its response was read to its end."""
        self.upstream.pool.give_back(self.upstream, now_ns, reuse if self.is_sent else NEVER)

    @property
    def is_sent(self) -> bool:
        """Whether the kernel has all of the request: else the next one would wait behind what is left."""
        return self.upload.complete and not self.upstream.transport.get_write_buffer_size()

    def count(self, status: int, content_bytes: int, now_ns: int) -> None:
        """Count a whole response that ends now: before its last byte, as who has that finds it in the
        figures.
        """
        counter, request = self.destination.counter, self.request
        if counter is None or status >= CLIENT_CLOSED_REQUEST or request.manner.span is not None:
            self.record(status, content_bytes)
            return
        counter.add(status, now_ns - self.began_ns, now_ns)
        if self.route.counts_inflight:
            self.route.exchange.ended(self.attempt)
        self.shared.keep(
            (
                now_ns,
                self.began_ns,
                self.asked_ns,
                self.answered_ns,
                status,
                content_bytes,
                short_line(request.line),
                request.host[: LONGEST_HOST_TOLD + 1],
                request.identity,
                self.client.connection,
                self.destination.told,
                self.tries(RESPONSE) if self.trace is not None else None,
            )
        )

    def record(
        self,
        status: int,
        bytes_sent: int,
        *,
        reason: Reason | None = None,
        cut: bool = False,
        goes_on: bool = False,
    ) -> None:
        """Record the request, which ends now. *goes_on*: its container is still busy with it."""
        if not goes_on:
            self.route.exchange.ended(self.attempt)
        self.shared.log.add(
            record_of(
                self.request,
                self.client.connection,
                status,
                started_ns=self.began_ns,
                bytes_sent=bytes_sent,
                reason=reason,
                cut=cut,
                route=self.route.route,
                attempt=self.attempt,
                generation=self.route.generation,
                tries=self.tries(outcome_of(reason, cut=cut)),
            )
        )
