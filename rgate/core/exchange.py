"""Who is asked first, and what comes after each failure (behaviour 6).

Sans I/O: an engine asks for a step, carries it out, and tells how it went. What happened before is in the
`Attempt`.
"""

from dataclasses import dataclass, replace
from typing import Final, assert_never

from rgate.core.balance import Balancer
from rgate.core.candidates import BackendView, Candidate
from rgate.core.config import Backend, Policy
from rgate.core.patience import CONNECTS, STAYS_OPEN_S
from rgate.core.problem import Problem
from rgate.core.reasons import Failure, Reason

# What might be no problem if more were known: there may be other containers meanwhile, or other addresses.
_REST_ON_THE_VIEW: Final = frozenset(
    {
        Reason.NO_CONTAINER,
        Reason.UNHEALTHY,
        Reason.NO_ADDRESS,
        Reason.CONNECT_FAILED,
        Reason.CLOSED_EARLY,
    }
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """Ask *candidate*; over a *fresh* connection, where a pooled one just turned out closed.

    *left_s*: so long all further tries of the request may wait for a connection, this one included. *tried*:
    all that were attempted, this one last.
    """

    candidate: Candidate
    left_s: float
    tried: tuple[Candidate, ...]
    fresh: bool = False
    closed_early: Candidate | None = None  # who accepted before, and closed without a response

    @property
    def number(self) -> int:
        """How many candidates were attempted, this one included."""
        return len(self.tried)


@dataclass(frozen=True, slots=True)
class Exchange:
    """What becomes of a request to *backend*, as far as *view* knows it.

    `first` gives the first step, `after` the one that follows a failure. That ends: no candidate is attempted
    twice, but for one replacement of a stale pooled connection. Both count the attempts that they return as
    started, and those that others take the place of as ended; the last one is `ended` by who carries it out.
    """

    backend: Backend
    view: BackendView
    balancer: Balancer

    def first(self, now_s: float) -> Attempt | Problem:
        """Return the first step: an attempt, or why there is nobody to ask."""
        if self.view.reason is not None:
            return self._problem(self.view.reason, self.view.detail)
        picked = self._pick((), now_s)
        assert picked is not None, "a view without a reason has candidates"  # noqa: S101 - for the types alone
        attempt = self.attempt(picked)
        self.started(attempt)
        return attempt

    def attempt(self, picked: Candidate) -> Attempt:
        """Return the first step where *picked* was picked by whoever asks: it is not `started` yet."""
        return Attempt(picked, CONNECTS * self.backend.timeouts.connect, (picked,))

    def connect_within_s(self, attempt: Attempt) -> float:
        """Return how long *attempt* may wait for a connection."""
        return min(self.backend.timeouts.connect, attempt.left_s)

    def started(self, attempt: Attempt) -> None:
        """Count *attempt* as under way, where the policy asks who has the fewest."""
        if self.backend.policy is Policy.LEAST_INFLIGHT:
            self.balancer.started(attempt.candidate)

    def ended(self, attempt: Attempt) -> None:
        """Note that *attempt*, which `started`, is over, whatever became of it."""
        if self.backend.policy is Policy.LEAST_INFLIGHT:
            self.balancer.ended(attempt.candidate)

    def accepted(self, attempt: Attempt, waited_s: float = 0.0) -> Attempt:
        """Note that the candidate of *attempt* accepted a new connection, which was waited for so long.

        Return the attempt as it goes on: what follows has so much less time to connect.
        """
        self.balancer.accepted(attempt.candidate)
        return replace(attempt, left_s=attempt.left_s - waited_s)

    def stays_open_s(self, attempt: Attempt, *, repeatable: bool) -> float:
        """Return how long a new connection has to stay open before the request is sent; 0 nearly always.

        One that closes meanwhile has seen nothing, and the request may go to anybody else. *repeatable*: as
        for `after`.
        """
        may_go_on_later = repeatable and attempt.closed_early is None
        is_last = attempt.number == len(self.view.candidates)
        if may_go_on_later or is_last or self.balancer.is_proven(attempt.candidate):
            return 0.0
        return STAYS_OPEN_S

    def answered(self, attempt: Attempt) -> None:
        """Note that a response to *attempt* began."""
        self.balancer.answered(attempt.candidate)

    def after(
        self,
        attempt: Attempt,
        failure: Failure,
        now_s: float,
        *,
        repeatable: bool,
        sent: bool = True,
        waited_s: float = 0.0,
    ) -> Attempt | Problem:
        """Return what to do after *attempt* came to nothing.

        *sent*: a byte of the request may have been. *repeatable*: it may be sent again: its method is
        idempotent, and its content, if it has any, is still there from its start. *waited_s*: for its
        connection.
        """
        match failure:
            case Failure.REFUSED:
                self.balancer.refused(attempt.candidate, now_s)
                refused = replace(attempt, left_s=attempt.left_s - waited_s)
                return self._another(refused, now_s) or self._nobody_accepted(refused)
            case Failure.OVERLOADED:  # as it would be with any other
                return self._problem(
                    Reason.OVERLOADED,
                    "rgate has no descriptor left for a connection to a container, which is no fault of any: "
                    "raise the limit on open files, or lower `limits.connections`.",
                )
            case Failure.STALE | Failure.NOISE if repeatable or not sent:
                return replace(attempt, fresh=True)
            case Failure.STALE | Failure.CLOSED_EARLY:
                if failure is Failure.CLOSED_EARLY:
                    self.balancer.closed_early(attempt.candidate, now_s)
                closed = replace(attempt, closed_early=attempt.candidate)
                may_go_on = not sent or (repeatable and attempt.closed_early is None)
                other = self._another(closed, now_s) if may_go_on else None
                return other or self._nobody_accepted(closed)
            case Failure.NOISE | Failure.BAD_RESPONSE:
                # What spoke before it was asked has seen nothing of the request.
                other = None if sent else self._another(attempt, now_s)
                return other or self._problem(
                    Reason.BAD_RESPONSE,
                    f"{_who(attempt)} sent something that is no HTTP response, or whose framing is in doubt: "
                    "check that its port speaks plain HTTP/1.1.",
                )
            case Failure.TIMEOUT:
                return self._problem(
                    Reason.TIMEOUT,
                    f"{_who(attempt)} did not begin a response within "
                    f"{self.backend.timeouts.response:g} s of the request's end: look at its log, or raise "
                    "`timeouts.response` of the backend.",
                )
            case Failure.UNREAD:
                return self._problem(
                    Reason.TIMEOUT,
                    f"{_who(attempt)} took nothing of the request's content for "
                    f"{self.backend.timeouts.idle:g} s: "
                    "look at its log, or raise `timeouts.idle` of the backend.",
                )
            case _:
                assert_never(failure)

    def _another(self, attempt: Attempt, now_s: float) -> Attempt | None:
        """Return the attempt that follows *attempt*, at a candidate that was not tried; None where all were,
        or the time is over.
        """
        picked = self._pick(attempt.tried, now_s) if attempt.left_s > 0 else None
        if picked is None:
            return None
        other = replace(attempt, candidate=picked, tried=(*attempt.tried, picked), fresh=False)
        self.ended(attempt)
        self.started(other)
        return other

    def _pick(self, tried: tuple[Candidate, ...], now_s: float) -> Candidate | None:
        return self.balancer.pick(self.backend.name, self.backend.policy, self.view.candidates, tried, now_s)

    def _nobody_accepted(self, attempt: Attempt) -> Problem:
        if attempt.closed_early is not None:
            return self._problem(
                Reason.CLOSED_EARLY,
                f"{self._located(attempt.closed_early)} accepted the connection and closed it without one "
                "byte of a response: look at its log, and check that the application listens on that port.",
            )
        tried = ", ".join(map(_named, attempt.tried))
        untried = len(self.view.candidates) - attempt.number
        rest = f" ({untried} more were not tried: the time was over)" if untried > 0 else ""
        return self._problem(
            Reason.CONNECT_FAILED,
            f"Nothing accepted a connection within {self.backend.timeouts.connect:g} s at {tried}{rest}: "
            "check that the application is up and listens on that port.",
        )

    def _located(self, candidate: Candidate) -> str:
        """Return the candidate's name and address, and how that was chosen: behind a published port it is
        Docker that accepts, and another port that the application should listen on.
        """
        found = (one for one in self.view.containers if one.container_id == candidate.container_id)
        how = next((one.address_from for one in found), "")
        return f"{candidate.name} ({candidate.address}, {how})" if how else _named(candidate)

    def _problem(self, reason: Reason, detail: str) -> Problem:
        if self.view.stale and reason in _REST_ON_THE_VIEW:
            detail = f"{detail} {self.view.stale}"
        return Problem(reason, detail, self.backend.name)


def _named(candidate: Candidate) -> str:
    """Return the candidate's name and address; one for a fixed URL is called by its address."""
    address = str(candidate.address)
    return address if candidate.name == address else f"{candidate.name} ({address})"


def _who(attempt: Attempt) -> str:
    return _named(attempt.candidate)
