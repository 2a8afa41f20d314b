"""What is known of one request after it ended, and the port that takes it."""

from enum import Enum
from typing import NamedTuple, Protocol


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


class Counter(Protocol):
    """Counts the responses of one container to requests of one route, as a `RequestLog` does, without
    a record: for whole responses to first attempts, which are nearly all. Must never raise.
    """

    def add(self, status: int, latency_ns: int, now_ns: int) -> None:
        """Count a response that ends at *now_ns*, of `time.monotonic_ns`."""


class RequestLog(Protocol):
    """Takes a record of each request. Called from any thread, after the response's last byte.

    Must return in microseconds and never raise: what it cannot keep it drops and tells of once.
    """

    def add(self, record: Record) -> None:
        """Take *record*; it shows in whatever is asked for after this call returns."""

    def counter(self, route: str, backend: str, container: str) -> Counter | None:
        """Return what counts whole responses of *container*; None where a record of each is wanted."""


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
