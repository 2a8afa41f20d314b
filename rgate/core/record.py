"""What is known of one request after it ended, and the ports that take it."""

from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple, Protocol

from rgate.core.fields import ClientConnection
from rgate.core.problem import CLIENT_CLOSED_REQUEST
from rgate.core.traceparent import Span


class Try(NamedTuple):
    """One attempt, as it went. Times are of `time.monotonic_ns`; 0: it did not come to that."""

    container: str  # its name, or the address for fixed `urls`
    address: str
    reused: bool  # over a pooled connection
    began_ns: int
    connected_ns: int
    answered_ns: int  # the head of its response was there
    ended_ns: int
    outcome: str  # RESPONSE, CUT, or the value of a Failure or of a Reason
    text: str = ""  # what went wrong, in the words of the network or of who read the response


RESPONSE: Final = "response"
"""The outcome of an attempt whose response went on whole, as far as the client took it;"""

CUT: Final = "cut"
"""and of one whose response broke off."""


class Record(NamedTuple):
    """One finished request, for the figures, the access log and people who ask.

    *status* is what the client got: 499 where it went away first. *cut* tells that the response had
    begun and could not be completed. *target*, *method* and *client* are as sent, unescaped.
    (A tuple, as one is made for every request: a frozen dataclass takes five times as long.)
    """

    ended_at_s: float  # wall clock, seconds since the epoch
    client: str  # the TCP peer's address
    method: str
    target: str
    status: int
    bytes_sent: int  # of the response's content
    latency_ns: int  # from the request's first byte to the response's last
    route: str = ""  # the route's name
    backend: str = ""
    container: str = ""  # the container's name, or the address for fixed `urls`
    attempts: int = 0
    reason: str = ""  # a Reason's value where rgate answered by itself, or ended it
    request_id: str = ""
    cut: bool = False
    host: str = ""
    client_port: int = 0  # the peer's; 0: not known
    ended_ns: int = 0  # when it ended, of `time.monotonic_ns`
    generation: int = 0  # the snapshot's that it was served by; 0: it came to no route
    tries: tuple[Try, ...] = ()  # the attempts in their order
    detail: str = ""  # of the Problem that was answered, as one of us reads it
    span: Span | None = None  # of one that is exported

    @property
    def has_failed(self) -> bool:
        """Whether it is one of those that people look for: it was cut, or its client or its server gave up
        (behaviour 9).
        """
        return self.cut or self.status >= CLIENT_CLOSED_REQUEST

    @property
    def reason_or_cut(self) -> str:
        """Why rgate answered by itself, or ended it; CUT where the response broke off; "" for neither."""
        return self.reason or (CUT if self.cut else "")

    @property
    def began_at_s(self) -> float:
        """When its first byte came, by the wall clock, in seconds since the epoch."""
        return self.ended_at_s - self.latency_ns / 1e9


class Told(NamedTuple):
    """What the requests to one candidate of a route have in common, as names: no view, nor anything that
    keeps one.
    """

    route: str
    backend: str
    container: str
    address: str
    generation: int


Whole = tuple[
    int, int, int, int, int, int, bytes, bytes, bytes, ClientConnection, Told, tuple[Try, ...] | None
]
"""A whole response, as told of without a record: when it ended, when the request began, was asked and was
answered (0: all at once), its status and bytes of content; the request line as it came, Host and id; the
client, the candidate, and its attempts (None: just one, over a pooled connection).

A plain tuple, as one is made for each request: a call of Python code costs as much as all of it.
"""


SHORT_HEAD_BYTES: Final = 4096
"""A head that is no longer than that may be told of as it is: nothing in it takes much room."""

LONGEST_TARGET_TOLD: Final = 2048
LONGEST_HOST_TOLD: Final = 300
LONGEST_METHOD_TOLD: Final = 64
"""In bytes. Of what is longer one more is kept, as a sign that it was cut."""


def short_line(line: bytes) -> bytes:
    """Return *line*, the request line, with no more of its target than is told of."""
    if len(line) <= LONGEST_TARGET_TOLD:
        return line
    method, target, version = line.split(b" ", 2)
    return b" ".join((method[: LONGEST_METHOD_TOLD + 1], target[: LONGEST_TARGET_TOLD + 1], version))


def short_record(record: Record) -> Record:
    """Return *record* with no more of what its client sent than is told of."""
    if (
        len(record.target) <= LONGEST_TARGET_TOLD
        and len(record.host) <= LONGEST_HOST_TOLD
        and len(record.method) <= LONGEST_METHOD_TOLD
    ):
        return record
    return record._replace(
        method=record.method[: LONGEST_METHOD_TOLD + 1],
        target=record.target[: LONGEST_TARGET_TOLD + 1],
        host=record.host[: LONGEST_HOST_TOLD + 1],
    )


def record_of_whole(whole: Whole, ended_at_s: float) -> Record:
    """Return the record of the request that *whole* tells of. *ended_at_s*: in seconds since the epoch."""
    (
        ended_ns, began_ns, asked_ns, answered_ns, status, content_bytes, line, host, identity, client, told,
        tries,
    ) = whole  # fmt: skip
    if tries is None:
        names = (told.container, told.address)
        tries = (Try(*names, True, asked_ns, 0, answered_ns or ended_ns, ended_ns, RESPONSE),)
    method, target, *_ = line.decode("latin-1").split(" ")
    return Record(
        ended_at_s,
        client.peer,
        method,
        target,
        status,
        content_bytes,
        ended_ns - began_ns,
        told.route,
        told.backend,
        told.container,
        len(dict.fromkeys(one.address for one in tries)),
        request_id=identity.decode("latin-1"),
        host=host.decode("latin-1"),
        client_port=client.peer_port,
        ended_ns=ended_ns,
        generation=told.generation,
        tries=tries,
    )


class Counter(Protocol):
    """Counts the responses of one container to requests of one route, as a `RequestLog` does, without
    a record: for whole responses to first attempts, which are nearly all. Must never raise.
    """

    def add(self, status: int, latency_ns: int, now_ns: int) -> None:
        """Count a response that ends at *now_ns*, of `time.monotonic_ns`."""


class RecordLog(Protocol):
    """Takes a record of each request. Called from any thread, after the response's last byte.

    Must return in microseconds and never raise: what it cannot keep it drops and tells of once.
    """

    def add(self, record: Record) -> None:
        """Take *record*; it shows in whatever is asked for after this call returns."""

    def counter(self, route: str, backend: str, container: str) -> Counter | None:
        """Return what counts whole responses of *container*; None where a record of each is wanted."""


class RequestLog(RecordLog, Protocol):
    """What an engine tells of its requests: a record of each, or a count and the story of it."""

    @property
    def keep(self) -> Callable[[Whole], object]:
        """What takes the story of a response that a counter counted. Each calls it: no Python is best."""


class Outcome(Enum):
    """What a response counts as in the figures (behaviour 7)."""

    SUCCESS = "success"
    ERROR = "error"


def outcome(status: int, *, cut: bool) -> Outcome | None:
    """Return what a response with *status* counts as; None for one that is no final response.

    One that was *cut* is an error, whatever status its client saw before.
    """
    if cut or status > 399:
        return Outcome.ERROR
    if status == 101 or status >= 200:
        return Outcome.SUCCESS
    return None
