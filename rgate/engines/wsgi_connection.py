"""A client's connection of the WSGI server, and the requests on it, one by one, over blocking calls.

What requests and responses look like is core's to say.
"""

import contextlib
import logging
import secrets
import select
import socket
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Any, Final

from rgate.core.delivery import deliver, own_response, own_stream, response_bytes
from rgate.core.gateway import Gateway
from rgate.core.message import Refused
from rgate.core.onward import CLOSING, Request
from rgate.core.patience import HEAD_S, IDLE_S, LAST_MOMENT_S, LINGER_S, PIECE_BYTES
from rgate.core.problem import OwnResponse
from rgate.core.reading import late_head
from rgate.core.record import RequestLog
from rgate.engines.live_stream import StreamAnswer
from rgate.engines.records import answer_to_no_request, date
from rgate.engines.sockets import ENDED, poll, untaken_bytes
from rgate.engines.underway import Answer, OwnAnswer, ServedRequest
from rgate.engines.upstream import ClientGone, RequestContent, UpstreamCut
from rgate.web.environ import environ, own_response_of

log = logging.getLogger("rgate")

_RESET: Final = struct.pack("ii", 1, 0)


class Then(Enum):
    """What becomes of a connection that was served."""

    WAIT = auto()  # for another request
    LINGER = auto()  # nothing more is sent; else than by reading on, a reset might overtake the response
    END = auto()


@dataclass(slots=True)
class Service:
    """What is served, and whether it ends. *log* takes what is no request; *app* records all else."""

    app: Callable[..., Iterable[bytes]]
    gateway: Gateway
    log: RequestLog
    is_draining: bool = False
    is_stopped: bool = False


class Connection:
    """One connection, of a client at *peer*, an address of the socket's family."""

    def __init__(self, sock: socket.socket, peer: tuple[Any, ...], service: Service) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = sock
        self.is_lingering = False
        self._client = service.gateway.client(peer[0], sock.getsockname()[1], peer[1])
        self._service = service
        self._reader = service.gateway.reader()
        self._began_ns = 0
        self._is_begun = False  # the head of the next request: some of it came
        self._is_broken = False  # a response is due, or ended by nothing but the connection's end
        self._lingers_until_s = 0.0

    # The requests.

    def serve(self) -> Then:
        """Serve requests as long as one is there. Never raises."""
        try:
            then = self._serve_one()
            while then is Then.WAIT and not self._is_begun and not self._reader.is_empty:
                then = self._serve_one()
            return then
        except ClientGone:
            return Then.END
        except UpstreamCut:  # what was answered before may be under way, and a reset would overtake it
            return Then.END if self._is_broken else Then.LINGER
        except Exception:
            log.exception("request failed")  # a defect of ours ends one connection, not the server
            return Then.END

    def _serve_one(self) -> Then:
        try:
            request = self._read_request()
        except Refused as refused:
            own = answer_to_no_request(refused, self._client, self._began_ns, self._service.log)
            self._send(own_response(own, b"", CLOSING, date(), closing=True).message)
            return Then.LINGER
        if request is None:
            return Then.WAIT
        served = self._served(request)
        self._is_broken = True
        closes = self._answer(served)
        self._is_broken = False
        if closes:
            return Then.LINGER
        if served.content.rest:
            self._reader.feed(served.content.rest)
        return Then.WAIT

    def _read_request(self) -> Request | None:
        """Return the next request; None where its head is not whole yet. Raises ClientGone and Refused.

        What is to be waited for is waited for without a thread: there may be many that send half a head.
        """
        reading = self._service.gateway.snapshot.reading
        self._client = self._service.gateway.judged(self._client)
        if not self._is_begun:
            self._began_ns = time.monotonic_ns()
        data = b""
        while (request := self._reader.read(data, reading, self._client, _next_id)) is None:
            self._is_begun = not self._reader.is_empty
            is_late = self._is_begun and self.waits_until_s <= time.monotonic()
            try:
                data = self._receive(0)
            except TimeoutError:
                if is_late:
                    raise late_head() from None
                return None
        self._is_begun = False
        return request

    @property
    def waits_until_s(self) -> float:
        """How long it may wait for its next request, or for the rest of a head: of `time.monotonic`."""
        if self._is_begun:
            return self._began_ns / 1e9 + HEAD_S
        return time.monotonic() + (LAST_MOMENT_S if self._service.is_draining else IDLE_S)

    @property
    def has_half_a_head(self) -> bool:
        """Whether a request has begun to come, and its head is not whole."""
        return self._is_begun

    def _served(self, request: Request) -> ServedRequest:
        service = self._service
        content = RequestContent(
            request.framing,
            service.gateway.config.limits.body_bytes,
            partial(self._receive, IDLE_S),
            received=self._reader.take_all() if request.framing else b"",
            descriptor=self.socket.fileno(),
        )
        return ServedRequest(
            request, self._client, content, self._began_ns, self._send, lambda: service.is_stopped
        )

    def _answer(self, served: ServedRequest) -> bool:
        """Have it answered; whether the connection ends behind that. Raises ClientGone and UpstreamCut."""
        head: list[Any] = []  # status and fields
        written: list[bytes] = []

        def start_response(status: str, fields: list[tuple[str, str]], exc_info: Any = None) -> Any:
            del exc_info  # nothing was sent yet
            head[:] = status, fields
            return written.append

        variables = environ(served.request, served.client, served.content.unframed())
        answer = self._service.app(variables | {"rgate.request": served}, start_response)
        try:
            if isinstance(answer, Answer):
                return self._send_answer(served, answer)
            if isinstance(answer, OwnAnswer):
                return self._send_own(served, answer.own)
            if isinstance(answer, StreamAnswer):
                return self._send_stream(served, answer)
            body = b"".join([*answer])  # of an application that knows no more than WSGI
            status, fields = head
            return self._send_own(served, own_response_of(status, fields, b"".join(written) + body))
        finally:
            if close := getattr(answer, "close", None):
                close()

    def _is_closing(self, served: ServedRequest) -> bool:
        # What is left of a request would be read as the next one: the connection ends instead.
        return self._service.is_draining or not served.content.upload.complete

    def _send_own(self, served: ServedRequest, own: OwnResponse) -> bool:
        method, manner = served.request.method, served.request.manner
        whole = own_response(own, method, manner, date(), closing=self._is_closing(served))
        self._send(whole.message)
        return whole.closes

    def _send_stream(self, served: ServedRequest, stream: StreamAnswer) -> bool:
        method, manner = served.request.method, served.request.manner
        closing = self._is_closing(served)
        waiting, delivery = own_stream(stream.own, method, manner, date(), closing=closing)
        if method == b"HEAD":
            self._send(waiting)
            return delivery.closes
        for piece in stream:
            self._send(waiting + delivery.content(piece), stream.wait)
            waiting = b""
            if poll({self.socket.fileno(): ENDED}, 0):
                raise ClientGone
        self._send(delivery.end(()), stream.wait)
        return delivery.closes or self._service.is_draining

    def _send_answer(self, served: ServedRequest, answer: Answer) -> bool:
        delivery = deliver(served.request, answer.response, closing=self._is_closing(served))
        self._is_broken = not delivery.framed
        waiting = response_bytes(answer.response, delivery)  # the head goes with what comes first
        try:
            for piece in answer:
                message, waiting = waiting + delivery.content(piece), b""
                self._send(message, answer.wait)
        except UpstreamCut:
            self._send(waiting)
            raise
        self._send(waiting + delivery.end(answer.trailers), answer.wait)
        return delivery.closes

    # The socket.

    def _receive(self, within_s: float) -> bytes:
        """Return the next bytes. Raises TimeoutError, and ClientGone at their end."""
        if not poll({self.socket.fileno(): select.POLLIN}, max(within_s, 0)):
            raise TimeoutError
        try:
            received = self.socket.recv(PIECE_BYTES)
        except OSError as error:
            raise ClientGone from error
        if not received:
            raise ClientGone
        return received

    def _send(self, message: bytes, wait: Callable[[int, int], bool] | None = None) -> None:
        """Send all of *message*. Raises ClientGone where the client takes no more of it in time."""
        unsent = memoryview(message)
        while unsent:
            try:
                unsent = unsent[self.socket.send(unsent) :]
            except BlockingIOError:
                if not (wait or self._wait)(self.socket.fileno(), select.POLLOUT):
                    raise ClientGone from None
            except OSError as error:
                raise ClientGone from error

    def _wait(self, descriptor: int, event: int) -> bool:
        untaken = untaken_bytes(descriptor)
        while not (ready := poll({descriptor: event | ENDED}, IDLE_S)):
            before, untaken = untaken, untaken_bytes(descriptor)
            if untaken == before:
                return False
        return bool(ready[descriptor] & event)

    # The end.

    def linger(self) -> None:
        """End the sending side. What still comes is for `forgets`."""
        self.is_lingering = True
        self._lingers_until_s = time.monotonic() + LINGER_S
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def forgets(self) -> bool:
        """Read and forget what came; whether more may come, and there is time for it."""
        with contextlib.suppress(OSError):
            return bool(self.socket.recv(PIECE_BYTES)) and time.monotonic() < self._lingers_until_s
        return False

    def interrupt(self) -> None:
        """Let the thread that serves this take it that the client is gone."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Close at once: by a reset, where nothing else shows that the response is broken."""
        if self._is_broken:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.socket.close()


def _next_id() -> bytes:
    return secrets.token_hex(16).encode("ascii")
