"""The span of a request that has been, by OpenTelemetry's conventions for HTTP servers (behaviour 10.traces).

It tells what the story tells (story.py), in other words:
https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from rgate.core.escape import storable
from rgate.core.record import Record
from rgate.core.story import ToldAttempt, attempts_of, shown_method, shown_target
from rgate.core.traceparent import Span

Value = str | int | float | bool

_METHODS: Final = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)
_PORT_OF_HTTP: Final = 80


@dataclass(frozen=True, slots=True)
class ToldEvent:
    """An attempt, in a span. *at_ns*: when it began, in nanoseconds since the epoch."""

    at_ns: int
    name: str
    attributes: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class ToldSpan:
    """A span of kind server, and all that is exported of it. Times are in nanoseconds since the epoch.

    *error*: what it counts as, where it is one; "" where not.
    """

    span: Span
    name: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Value]
    events: tuple[ToldEvent, ...]
    error: str


def told_span(record: Record, span: Span) -> ToldSpan:
    """Return what is exported of the request that *record* is of."""
    end_ns = int(record.ended_at_s * 1e9)
    start_ns = end_ns - max(record.latency_ns, 0)
    error = _error(record)
    attributes = {name: value for name, value in _attributes(record, error) if value != ""}
    route = attributes.get("http.route")
    method = record.method if record.method in _METHODS else "HTTP"
    return ToldSpan(
        span,
        f"{method} {route}" if route else method,
        start_ns,
        end_ns,
        attributes,
        tuple(_event(one, start_ns) for one in attempts_of(record)),
        error,
    )


def _error(record: Record) -> str:
    """Return what went wrong on this side, as `error.type` has it: a reason, or the status."""
    if record.status < 500 and not record.cut:
        return ""
    return record.reason_or_cut or str(record.status)


def _attributes(record: Record, error: str) -> Iterator[tuple[str, Value]]:
    is_known = record.method in _METHODS
    path = shown_target(record).partition("?")[0]  # the query may hold what is nobody's business
    address, port = _host_and_port(record.host)
    yield "http.request.method", record.method if is_known else "_OTHER"
    yield "http.request.method_original", "" if is_known else shown_method(record)
    yield "url.scheme", "http"
    yield "url.path", _path(path)
    yield "http.route", record.route[record.route.find("/") :] if record.route else ""
    yield "http.response.status_code", record.status
    yield "server.address", address
    yield "server.port", port
    yield "client.address", record.client
    yield "client.port", record.client_port or ""
    yield "error.type", error
    yield "rgate.backend", storable(record.backend)
    yield "rgate.container", storable(record.container)
    yield "rgate.reason", record.reason_or_cut
    yield "rgate.request_id", record.request_id


def _path(target: str) -> str:
    """Return the path of *target*, which has no query: of one in absolute form what is behind its host."""
    scheme, is_absolute, rest = target.partition("://")
    if not is_absolute or "/" in scheme:
        return target
    return rest[rest.find("/") :] if "/" in rest else "/"


def _host_and_port(host: str) -> tuple[str, Value]:
    """Return what Host says; a port that is none is left out."""
    name, _, port = host.rpartition(":")
    if not name or "]" in port:
        return host.strip("[]"), _PORT_OF_HTTP if host else ""
    is_port = port.isascii() and port.isdigit() and len(port) < 6
    return name.strip("[]"), int(port) if is_port else ""


def _event(attempt: ToldAttempt, start_ns: int) -> ToldEvent:
    attributes: dict[str, Value] = {
        "rgate.attempt": attempt.number,
        "rgate.container": storable(attempt.container),
        "rgate.address": attempt.address,
        "rgate.reused": attempt.reused,
        "rgate.ms": attempt.length_ms,
        "rgate.outcome": attempt.end,
        "rgate.text": storable(attempt.text),
    }
    attributes |= {f"rgate.{name}_ms": length_ms for name, length_ms in attempt.phases}
    return ToldEvent(start_ns + int(attempt.start_ms * 1e6), "attempt", attributes)
