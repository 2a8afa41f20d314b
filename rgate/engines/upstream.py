"""The port to upstreams of the flask engine: one request to one address, over blocking calls."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from rgate.core.candidates import Address
from rgate.core.config import Timeouts
from rgate.core.content import content_of
from rgate.core.message import Fields, RequestFraming
from rgate.core.onward import Request, Response
from rgate.core.reading import Reading
from rgate.core.reasons import Failure
from rgate.core.upload import Upload


class UpstreamFailed(Exception):
    """An attempt came to nothing before the response's head.

    *sent*: a byte of the request may have reached it. *waited_s*: for its connection. *text*: what the
    network, or who read the response, says of it.
    """

    def __init__(self, failure: Failure, *, sent: bool, waited_s: float = 0.0, text: str = "") -> None:
        super().__init__(failure.value)
        self.failure = failure
        self.sent = sent
        self.waited_s = waited_s
        self.text = text


class UpstreamCut(Exception):
    """The response had begun and cannot be completed."""


class ClientGone(Exception):
    """The client went away, or is cut off: what is under way for it ends at once."""


class RequestContent:
    """A request's content as it is read: framed for an upstream, and kept for another try.

    *receive* gives the next bytes as the client framed them, b"" at their end; *received* came already.
    *descriptor* is the client's socket, on which one may wait for them and for the client's end; -1 where the
    WSGI server does not tell it, and *receive* waits.
    """

    def __init__(
        self,
        framing: RequestFraming,
        most_bytes: int | None,
        receive: Callable[[], bytes],
        *,
        received: bytes = b"",
        descriptor: int = -1,
    ) -> None:
        self.upload = Upload(framing, most_bytes)
        self.rest = received  # not used yet; once the content is complete, the next request's
        self.descriptor = descriptor
        self._framing = framing
        self._receive = receive

    def next(self) -> bytes:
        """Return the next piece, framed; it may be empty. Raises ClientGone and Refused."""
        received = self.rest or self._receive()
        if not received:
            raise ClientGone
        framed, end = self.upload.take(received, 0)
        self.rest = received[end:]
        return framed

    def unframed(self) -> Iterator[bytes]:
        """Yield the content itself, for applications that know no more than WSGI."""
        content = content_of(self._framing)
        while not content.complete:
            yield content.take(self.next(), 0)[0]


@dataclass(frozen=True, slots=True)
class Sending:
    """One request on its way to *address*, of a container of *backend*.

    A new connection has to stay open for *stays_open_s* before anything is sent. *fresh*: not over a pooled
    connection. *connecting* is called before a new connection is made, *accepted*
    with the seconds that it took, *interim* with each interim response for the client.
    """

    request: Request
    content: RequestContent
    address: Address
    backend: str
    reading: Reading
    timeouts: Timeouts
    connect_within_s: float
    stays_open_s: float
    fresh: bool
    connecting: Callable[[], None]
    accepted: Callable[[float], None]
    interim: Callable[[bytes], None]


class UpstreamResponse(Protocol):
    """A response whose head has come. *reused*: on a connection that served another request before."""

    response: Response
    reused: bool
    is_complete: bool  # whether `pieces` gave all of the content; the last piece comes with it
    trailers: Fields  # from then on

    def pieces(self) -> Iterator[bytes]:
        """Yield the content as it comes. Raises UpstreamCut, ClientGone and, of the request, Refused."""

    def wait(self, descriptor: int, event: int) -> bool:
        """Wait for *event*, one of poll's, on the client's *descriptor*, while the request goes on.

        False where nothing moved for `idle` seconds. Raises ClientGone and Refused.
        """

    def close(self) -> None:
        """Let go of the connection: it is used again where both messages were whole."""


class Upstream(Protocol):
    """Carries requests out. Called from many threads."""

    def send(self, sending: Sending) -> UpstreamResponse:
        """Return the response once its head is there.

        Raises UpstreamFailed, ClientGone, or Refused where the request's content is malformed or late.
        """
