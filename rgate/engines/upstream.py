"""The port to upstreams of the flask engine: one request to one address, over blocking calls."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from rgate.core.candidates import Address
from rgate.core.config import Limits, Timeouts
from rgate.core.exchange import ForwardedRequest
from rgate.core.message import ResponseHead
from rgate.core.reasons import Failure


class UpstreamFailed(Exception):
    """An attempt came to nothing before the response's head. *sent*: a byte may have reached it."""

    def __init__(self, failure: Failure, *, sent: bool) -> None:
        super().__init__(failure.value)
        self.failure = failure
        self.sent = sent


class UpstreamCut(Exception):
    """The response had begun and cannot be completed."""


class ClientGone(Exception):
    """The client went away: what is under way for it ends at once."""


@dataclass(frozen=True, slots=True)
class Sending:
    """One request on its way to *address*.

    *body* gives the content's pieces, or is None where there is none; it raises ClientGone or
    `Refused` where the client does not keep its word. *client_descriptor* is the client's socket,
    watched for its end; None where the WSGI server does not tell it. *accepted* is called once a
    new connection stands.
    """

    request: ForwardedRequest
    address: Address
    timeouts: Timeouts
    limits: Limits
    body: Iterator[bytes] | None
    fresh: bool
    client_descriptor: int | None
    accepted: Callable[[], None]


class UpstreamResponse(Protocol):
    """A response whose head has come."""

    head: ResponseHead

    def pieces(self) -> Iterator[bytes]:
        """Yield the content as it comes. Raises UpstreamCut, ClientGone, or Refused of the request's body."""

    def close(self) -> None:
        """Let go of the connection: it is reused where the response was read to its end."""


class Upstream(Protocol):
    """Carries requests out. Called from many threads."""

    def send(self, sending: Sending) -> UpstreamResponse:
        """Return the response once its head is there.

        Raises UpstreamFailed, ClientGone, or Refused where the request's content is malformed.
        """
