"""A request on its way through the flask engine: as its server read it, how far it came, and its answer.

WSGI has no words for most of this. The view finds a `ServedRequest` in the environ of rgate's own server, and
that takes an `Answer` or an `OwnAnswer` for what it is; to others it is an iterable of content (PEP 3333).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rgate.core.config import Route
from rgate.core.exchange import Attempt, Exchange
from rgate.core.fields import ClientConnection
from rgate.core.message import Fields, Refused
from rgate.core.onward import Request, Response
from rgate.core.problem import CLIENT_CLOSED_REQUEST, OwnResponse
from rgate.core.reasons import Reason
from rgate.core.record import Record, RequestLog
from rgate.core.trace import Trace
from rgate.engines.records import outcome_of, record_of
from rgate.engines.upstream import RequestContent, UpstreamCut, UpstreamResponse


@dataclass(frozen=True, slots=True)
class ServedRequest:
    """A request as its server read it: in the WSGI environ as `rgate.request`."""

    request: Request
    client: ClientConnection
    content: RequestContent
    began_ns: int  # time.monotonic_ns() at the request's first byte
    interim: Callable[[bytes], None]  # sends an interim response
    is_stopped: Callable[[], bool]  # whether rgate itself ended the connection


class Underway:
    """A request, and how far it came. It is recorded once. *under_way*: those that are asked, for now."""

    def __init__(self, served: ServedRequest, log: RequestLog, under_way: "set[Underway]") -> None:
        self.served = served
        self.route: Route | None = None
        self.exchange: Exchange | None = None
        self.attempt: Attempt | None = None
        self.trace = Trace()
        self.generation = 0  # of the snapshot that the route is of
        self.detail = ""  # of the problem that is answered
        self._log = log
        self._under_way = under_way
        self._is_recorded = False

    def asks(self, exchange: Exchange) -> None:
        """Take it that a candidate is asked from now on, as *exchange* says."""
        self.exchange = exchange
        self._under_way.add(self)

    def record(
        self, status: int, bytes_sent: int, *, reason: Reason | None = None, cut: bool = False
    ) -> None:
        """Record that the request ends now, unless it did before."""
        if self._is_recorded:
            return
        self._is_recorded = True
        self._under_way.discard(self)
        if self.exchange is not None and self.attempt is not None:
            self.exchange.ended(self.attempt)
        self._log.add(self.ended(status, bytes_sent, reason=reason, cut=cut))

    def ended(
        self, status: int, bytes_sent: int, *, reason: Reason | None = None, cut: bool = False
    ) -> Record:
        """Return the record of the request, which ends so now."""
        served = self.served
        return record_of(
            served.request,
            served.client,
            status,
            started_ns=served.began_ns,
            bytes_sent=bytes_sent,
            reason=reason,
            cut=cut,
            route=self.route,
            attempt=self.attempt,
            generation=self.generation,
            tries=self.trace.ended(time.monotonic_ns(), outcome_of(reason, cut=cut)),
            detail=self.detail,
        )

    def record_unsent(self, status: int, bytes_sent: int) -> None:
        """Record that the client's connection ended before the response, of *status*, unless it was whole."""
        if self.served.is_stopped():
            self.record(status, bytes_sent, reason=Reason.STOPPED, cut=True)
        else:
            self.record(CLIENT_CLOSED_REQUEST, bytes_sent, reason=Reason.CLIENT_CLOSED)


class Answer:
    """An upstream's *response* with its content, *pieces*, on the way to the client."""

    def __init__(
        self, underway: Underway, upstream: UpstreamResponse, response: Response, pieces: Iterator[bytes]
    ) -> None:
        self.response = response
        self._underway = underway
        self._upstream = upstream
        self._pieces = pieces
        self._bytes_sent = 0

    def __iter__(self) -> Iterator[bytes]:
        """Yield the content as it comes. Raises UpstreamCut where it cannot be completed, and ClientGone."""
        with self._recorded_if_cut():
            for piece in self._pieces:
                self._bytes_sent += len(piece)
                if self._upstream.is_complete:
                    # Before its last byte is sent: who has that finds the request in the figures.
                    self._underway.record(self.response.status, self._bytes_sent)
                yield piece
        self._underway.record(self.response.status, self._bytes_sent)

    @property
    def trailers(self) -> Fields:
        """The trailers, once all of the content came."""
        return self._upstream.trailers

    def wait(self, descriptor: int, event: int) -> bool:
        """Wait until the client takes more; see `UpstreamResponse.wait`."""
        with self._recorded_if_cut():
            return self._upstream.wait(descriptor, event)

    @contextmanager
    def _recorded_if_cut(self) -> Iterator[None]:
        try:
            yield
        except (UpstreamCut, Refused) as error:  # for either, it is too late to say so
            self._underway.record(self.response.status, self._bytes_sent, cut=True)
            raise UpstreamCut from error

    def close(self) -> None:
        """Take it that nothing more is sent (PEP 3333)."""
        self._underway.record_unsent(self.response.status, self._bytes_sent)
        self._upstream.close()


@dataclass(frozen=True, slots=True)
class OwnAnswer:
    """A response of rgate's own, which its server frames."""

    own: OwnResponse

    def __iter__(self) -> Iterator[bytes]:
        return iter((self.own.body,))
