"""The record of a request, as its engine saw it end."""

import os
import secrets
import time
from email.utils import formatdate
from typing import Final

from rgate.core.config import Route
from rgate.core.exchange import Attempt
from rgate.core.fields import ClientConnection
from rgate.core.message import Refused
from rgate.core.onward import Request
from rgate.core.problem import OwnResponse, Problem, problem_response
from rgate.core.reasons import Reason
from rgate.core.record import CUT, RESPONSE, Record, RequestLog, Try


def record_of(
    request: Request,
    client: ClientConnection,
    status: int,
    *,
    started_ns: int,
    bytes_sent: int,
    reason: Reason | None = None,
    cut: bool = False,
    route: Route | None = None,
    attempt: Attempt | None = None,
    generation: int = 0,
    tries: tuple[Try, ...] = (),
    detail: str = "",
) -> Record:
    """Return the record of a request that ends now. *started_ns*: of `time.monotonic_ns`."""
    ended_ns = time.monotonic_ns()
    return Record(
        ended_at_s=time.time(),
        client=client.peer,
        method=request.method.decode("ascii"),
        target=request.target.decode("latin-1"),
        status=status,
        bytes_sent=bytes_sent,
        latency_ns=ended_ns - started_ns,
        route=route.name if route is not None else "",
        backend=route.backend if route is not None else "",
        container=attempt.candidate.name if attempt is not None else "",
        attempts=attempt.number if attempt is not None else 0,
        reason=reason.value if reason is not None else "",
        request_id=request.identity.decode("latin-1"),
        cut=cut,
        host=request.host.decode("latin-1"),
        client_port=client.peer_port,
        ended_ns=ended_ns,
        generation=generation,
        tries=tries,
        detail=detail,
        span=request.manner.span,
    )


def outcome_of(reason: Reason | None, *, cut: bool) -> str:
    """Return what the last attempt came to where the request ended so; see `Try.outcome`."""
    return reason.value if reason is not None else CUT if cut else RESPONSE


def late_to_accept(within_s: float) -> str:
    """Return what there is to say where nobody accepted a connection in time."""
    return f"it did not accept in {within_s:.3g} s"


def why_refused(error: Exception) -> str:
    """Return what the system says of a connection that could not be made."""
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number and number > 0 else type(error).__name__


def answer_to_no_request(
    refused: Refused, client: ClientConnection, began_ns: int, log: RequestLog
) -> OwnResponse:
    """Return the answer to what is no request, and count it."""
    identity = secrets.token_hex(16)
    own = problem_response(Problem(refused.reason, refused.detail), request_id=identity)
    now_ns = time.monotonic_ns()
    log.add(
        Record(
            ended_at_s=time.time(),
            client=client.peer,
            method="",
            target="",
            status=own.status,
            bytes_sent=len(own.body),
            latency_ns=now_ns - (began_ns or now_ns),
            reason=refused.reason.value,
            request_id=identity,
            client_port=client.peer_port,
            ended_ns=now_ns,
            detail=refused.detail,
        )
    )
    return own


SAID_408: Final = "it said 408, as to an idle connection"
BROKE_OFF: Final = "its content broke off, or is malformed"
CLOSED_UNASKED: Final = "it closed the connection before anything was sent"
"""What is said of attempts that both engines end so."""


def date() -> bytes:
    """Return the Date of now (RFC 9110 6.6.1)."""
    return formatdate(usegmt=True).encode()


DEFECT = Problem(Reason.INTERNAL_ERROR, "rgate failed on this request: its log says how; please report it.")
"""Where rgate itself failed; what failed is in the log."""

THREADLESS = Problem(
    Reason.OVERLOADED,
    "the system gives rgate no thread for this page: raise the limit on processes, or lower "
    "`limits.connections`.",
)
