"""One request that has a route: what all its states need, and how it ends."""

from rgate.core.exchange import Attempt
from rgate.core.message import Refused
from rgate.core.onward import NEVER, Request, Reuse
from rgate.core.problem import CLIENT_CLOSED_REQUEST, Problem
from rgate.core.reasons import Reason
from rgate.core.upload import NO_CONTENT, Upload
from rgate.engines.asyncio_engine.answers import answer
from rgate.engines.asyncio_engine.client import Client
from rgate.engines.asyncio_engine.routes import Destination, RouteInForce
from rgate.engines.asyncio_engine.upstream import Upstream
from rgate.engines.records import record_of


class Underway:
    """A request with its client, its content, and the upstream of the moment.

    *attempt*, *destination* and *upstream* are there from the first attempt on.
    """

    __slots__ = (
        "attempt", "began_ns", "client", "destination", "request", "route", "shared", "upload", "upstream",
    )  # fmt: skip

    attempt: Attempt
    destination: Destination
    upstream: Upstream

    def __init__(self, client: Client, request: Request, route: RouteInForce) -> None:
        self.client = client
        self.shared = shared = client.shared
        self.request = request
        self.route = route
        self.began_ns = client.began_ns
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
            unread=not self.upload.complete,
        )

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
        counter = self.destination.counter
        if counter is None:
            self.record(status, content_bytes)
            return
        counter.add(status, now_ns - self.began_ns, now_ns)
        if self.route.counts_inflight:
            self.route.exchange.ended(self.attempt)

    def record(
        self, status: int, bytes_sent: int, *, reason: Reason | None = None, cut: bool = False
    ) -> None:
        """Record the request, which ends now."""
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
            )
        )
