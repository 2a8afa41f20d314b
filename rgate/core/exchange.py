"""One request's way through rgate: what to do first, and what after each failure (behaviour 6).

Sans I/O: an engine asks for the next step, carries it out, and tells how it went.
"""

from dataclasses import dataclass, field
from typing import Final, assert_never

from rgate.core.balance import Balancer
from rgate.core.candidates import BackendView, Candidate
from rgate.core.config import Backend, Policy, Route
from rgate.core.fields import ClientConnection, request_fields
from rgate.core.message import Fields, RequestFraming, RequestHead
from rgate.core.problem import OwnResponse, problem
from rgate.core.reasons import Failure, Reason
from rgate.core.routing import forwarded_path

# RFC 9110 9.2.2. A method that nobody registered is not known to be idempotent.
IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"TRACE"})


@dataclass(frozen=True, slots=True)
class Attempt:
    """Ask *candidate*; over a *fresh* connection, where a pooled one just turned out closed."""

    candidate: Candidate
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Own:
    """The request is for what rgate answers itself: `stats.path` and `/_rgate/…`."""


Step = Attempt | OwnResponse


@dataclass(frozen=True, slots=True)
class ForwardedRequest:
    """The request as every candidate gets it. *fields* frame it as *framing* says."""

    method: bytes
    target: bytes
    fields: Fields
    framing: RequestFraming


@dataclass(slots=True)
class Exchange:
    """A request that has a route, on its way to one of the backend's candidates.

    `next` gives the first step; each Attempt is answered by one call of `failed`, or of `accepted`
    and, at the end, `ended`. It always comes to an end: no candidate is attempted twice, but for one
    replacement of a stale pooled connection.
    """

    head: RequestHead
    client: ClientConnection
    request_id: bytes
    accept: bytes
    route: Route
    backend: Backend
    view: BackendView
    balancer: Balancer
    upgrading: bool = False  # the engine can tunnel
    attempts: int = 0
    candidate: Candidate | None = None  # the one that is, or was last, attempted
    _tried: list[Candidate] = field(default_factory=list)
    _closed_early: bool = False
    _counted: bool = False

    def forwarded(self) -> ForwardedRequest:
        """Return the request for the candidate of the last Attempt."""
        assert self.candidate is not None, "forwarded() before an Attempt"
        return ForwardedRequest(
            method=self.head.method,
            target=forwarded_path(self.route, self.head.path) + self.head.query,
            fields=request_fields(
                self.head,
                self.client,
                self.request_id,
                upgrading=self.upgrading,
                default_host=str(self.candidate.address).encode(),
            ),
            framing=self.head.framing,
        )

    def next(self, now_s: float) -> Step:
        """Return the first step: an attempt, or why there is nobody to ask."""
        if self.view.reason is not None:
            return self._answer(self.view.reason, self.view.detail)
        return self._attempt_another(now_s) or self._nobody_accepted()

    def attempted(self, candidate: Candidate) -> Attempt:
        """Return the first step where *candidate* was picked and counted before, by `Balancer.picker`."""
        self.candidate = candidate
        self._counted = self.backend.policy is Policy.LEAST_INFLIGHT
        self.attempts = 1
        self._tried.append(candidate)
        return Attempt(candidate)

    def accepted(self) -> None:
        """Note that the candidate of the last Attempt accepted a new connection."""
        if self.candidate is not None:
            self.balancer.accepted(self.candidate)

    def failed(self, failure: Failure, now_s: float, *, sent: bool, replayable: bool) -> Step:
        """Return what to do after the last Attempt came to nothing.

        *sent*: a byte of the request may have reached the candidate. *replayable*: its content,
        if it has any, can be sent again from the start.
        """
        assert self.candidate is not None, "failed() before an Attempt"
        repeatable = not sent or (self.head.method in IDEMPOTENT and replayable)
        match failure:
            case Failure.REFUSED:
                self.balancer.refused(self.candidate, now_s)
                return self._attempt_another(now_s) or self._nobody_accepted()
            case Failure.STALE if repeatable:
                return Attempt(self.candidate, fresh=True)
            case Failure.STALE | Failure.CLOSED_EARLY:
                other = self._attempt_another(now_s) if repeatable and not self._closed_early else None
                self._closed_early = True
                return other or self._nobody_accepted()
            case Failure.BAD_RESPONSE:
                return self._answer(
                    Reason.BAD_RESPONSE,
                    f"{self._who()} sent something that is no HTTP response, or whose framing is in doubt: "
                    "check that its port speaks plain HTTP/1.1.",
                )
            case Failure.TIMEOUT:
                return self._answer(
                    Reason.TIMEOUT,
                    f"{self._who()} did not begin a response within {self.backend.timeouts.response:g} s of "
                    "the request's end: look at its log, or raise `timeouts.response` of the backend.",
                )
            case _:
                assert_never(failure)

    def ended(self) -> None:
        """Note that the request is over, whatever became of it. May be called more than once."""
        self._leave_candidate()

    def _attempt_another(self, now_s: float) -> Attempt | None:
        picked = self.balancer.pick(
            self.backend.name, self.backend.policy, self.view.candidates, self._tried, now_s
        )
        if picked is None:
            return None
        self._leave_candidate()
        self.candidate = picked
        self.attempts += 1
        self._tried.append(picked)
        if self.backend.policy is Policy.LEAST_INFLIGHT:  # the only policy that asks for the count
            self.balancer.started(picked)
            self._counted = True
        return Attempt(picked)

    def _leave_candidate(self) -> None:
        if self._counted and self.candidate is not None:
            self.balancer.ended(self.candidate)
            self._counted = False

    def _nobody_accepted(self) -> OwnResponse:
        if self._closed_early:
            return self._answer(
                Reason.CLOSED_EARLY,
                f"{self._who()} accepted the connection and closed it without one byte of a response: "
                "look at its log, and check that the application listens on that port.",
            )
        tried = ", ".join(f"{candidate.name} ({candidate.address})" for candidate in self._tried)
        return self._answer(
            Reason.CONNECT_FAILED,
            f"Nothing accepted a connection within {self.backend.timeouts.connect:g} s at {tried}: "
            "check that the application is up and listens on that port.",
        )

    def _answer(self, reason: Reason, detail: str) -> OwnResponse:
        return problem(
            reason,
            detail,
            request_id=self.request_id.decode("latin-1"),
            backend=self.backend.name,
            accept=self.accept,
        )

    def _who(self) -> str:
        assert self.candidate is not None, "no candidate was attempted"
        return f"{self.candidate.name} ({self.candidate.address})"
