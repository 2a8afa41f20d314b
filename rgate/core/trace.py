"""How the attempts of a request go, as its engine tells of them while it is under way (behaviour 9.why)."""

from rgate.core.candidates import Candidate
from rgate.core.record import RESPONSE, Try


class Trace:
    """The attempts of one request. Times are of `time.monotonic_ns`."""

    __slots__ = ("_answered_ns", "_began_ns", "_candidate", "_connected_ns", "_reused", "_tries")

    def __init__(self) -> None:
        self._tries: tuple[Try, ...] = ()
        self._candidate: Candidate | None = None  # of the attempt that is under way
        self._began_ns = self._connected_ns = self._answered_ns = 0
        self._reused = True

    def began(self, candidate: Candidate, now_ns: int) -> None:
        """Take it that *candidate* is asked from now on; over a pooled connection, unless one is made."""
        self._candidate, self._reused = candidate, True
        self._began_ns, self._connected_ns, self._answered_ns = now_ns, 0, 0

    def connecting(self) -> None:
        """Take it that a connection is made."""
        self._reused = False

    def connected(self, now_ns: int) -> None:
        """Take it that the connection was accepted."""
        self._connected_ns = now_ns

    def answered(self, now_ns: int) -> None:
        """Take it that the head of a response is there."""
        self._answered_ns = now_ns

    def ended(self, now_ns: int, outcome: str, text: str = "") -> tuple[Try, ...]:
        """Take it that the attempt under way, if any, came to *outcome*; return all of them. See `Try`."""
        candidate = self._candidate
        if candidate is not None:
            self._candidate = None
            self._tries += (
                Try(
                    candidate.name,
                    str(candidate.address),
                    self._reused,
                    self._began_ns,
                    self._connected_ns,
                    self._answered_ns or (now_ns if outcome == RESPONSE else 0),
                    now_ns,
                    outcome,
                    text,
                ),
            )
        return self._tries
