"""The record of a request, as its engine saw it end."""

import secrets
import time

from rgate.core.exchange import Exchange
from rgate.core.fields import ClientConnection
from rgate.core.message import Refused, RequestHead
from rgate.core.problem import OwnResponse, problem
from rgate.core.reasons import Reason
from rgate.core.record import Record, RequestLog


def record_of(
    head: RequestHead,
    client: ClientConnection,
    status: int,
    *,
    request_id: bytes,
    started_ns: int,
    bytes_sent: int,
    reason: str = "",
    cut: bool = False,
    exchange: Exchange | None = None,
) -> Record:
    """Return the record of a request that ends now. *started_ns*: of `time.monotonic_ns`."""
    candidate = exchange.candidate if exchange is not None else None
    return Record(
        ended_at_s=time.time(),
        client=client.peer,
        method=head.method.decode("ascii"),
        target=head.target.decode("latin-1"),
        status=status,
        bytes_sent=bytes_sent,
        latency_ns=time.monotonic_ns() - started_ns,
        route=exchange.route.path_prefix if exchange is not None else "",
        backend=exchange.backend.name if exchange is not None else "",
        container=candidate.name if candidate is not None else "",
        attempts=exchange.attempts if exchange is not None else 0,
        reason=reason,
        request_id=request_id.decode("latin-1"),
        cut=cut,
    )


def answer_to_no_request(
    refused: Refused, client: ClientConnection, began_ns: int, log: RequestLog
) -> OwnResponse:
    """Return the answer to what is no request, and count it."""
    identity = secrets.token_hex(16)
    own = problem(refused.reason, refused.detail, request_id=identity)
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
        )
    )
    return own


def defect(request_id: bytes) -> OwnResponse:
    """Return the answer where rgate itself failed; what failed is in the log."""
    detail = "rgate failed on this request: its log says how; please report it."
    return problem(Reason.INTERNAL_ERROR, detail, request_id=request_id.decode("latin-1"))
