"""Which trace a request belongs to, whether its span is exported, and what its container is told of that
(behaviour 10.traces).

A gateway without tracing has nothing of it: its readers are `RequestReader`s.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from rgate.core.config import Tracing
from rgate.core.fields import ClientConnection
from rgate.core.onward import HEAD_END, LINE_END, Request
from rgate.core.reading import Reading, RequestReader
from rgate.core.traceparent import (
    SAMPLED,
    Span,
    TraceParent,
    format_traceparent,
    made_parent,
    made_span_id,
    parse_traceparent,
)

# Each begins with the end of the line before: that is quicker to look for than the beginning of a line.
_LINE: Final = re.compile(rb"\n(?i:trace(?:(parent)|state)):([^\n]*)")
_PARENT_LINE: Final = re.compile(rb"\n(?i:traceparent):[^\n]*")
_EDGES: Final = b" \t\r"
_ALL: Final = 1 << 64


@dataclass(frozen=True, slots=True)
class Tracer:
    """Decides on the traces of requests. *sample*: which share of them is exported, from 0 to 1.

    *key* is secret, so that nobody can choose an id that is certainly sampled. *random_bits* returns so many
    random bits.
    """

    sample: float
    key: bytes = field(repr=False)
    random_bits: Callable[[int], int]

    def begun(self, request: Request, *, trusted: bool) -> Request:
        """Return *request* with a span of ours as the parent of what its container does.

        *trusted*: the peer is in `trusted_proxies`, so that it may say whether the trace is sampled.
        """
        given, states = _given(request)
        if given is None:
            ids = self.random_bits(192)
            parent = made_parent(ids >> 64, ids & (_ALL - 1))
            is_sampled = self._is_sampled(parent.trace_id)
        else:
            parent = given._replace(span_id=made_span_id(self.random_bits(64)))
            is_sampled = given.is_sampled if trusted else self._is_sampled(parent.trace_id)
        parent = parent._replace(flags=parent.flags & ~SAMPLED | is_sampled)
        request = _with_parent(request, format_traceparent(parent), is_continued=given is not None)
        if not is_sampled:
            return request
        span = Span(parent.trace_id, parent.span_id, given.span_id if given else b"", states)
        return request._replace(manner=request.manner._replace(span=span))

    def _is_sampled(self, trace_id: bytes) -> bool:
        """Whether a trace is, by its id: all requests of one are, or none."""
        drawn = int.from_bytes(blake2b(trace_id, digest_size=8, key=self.key).digest())
        return drawn < self.sample * _ALL


def tracer_of(tracing: Tracing | None, key: bytes, random_bits: Callable[[int], int]) -> Tracer | None:
    """Return what decides on traces; None where there are none. See `Tracer`."""
    return Tracer(tracing.sample, key, random_bits) if tracing is not None else None


def told_with(request: Request, made: bytes) -> Request:
    """Return *request* as `Tracer.begun` does, with *made* in place of what is made anew for each request."""
    given, _ = _given(request)
    return _with_parent(request, made, is_continued=given is not None)


def _given(request: Request) -> tuple[TraceParent | None, bytes]:
    """Return the place in a trace that *request* brings, and its `tracestate`; None and b"" where it brings
    none, or what is malformed.
    """
    found = _LINE.findall(request.onward)
    if not found:
        return None, b""
    parents = [value.strip(_EDGES) for parent, value in found if parent]
    given = parse_traceparent(parents[0]) if len(parents) == 1 else None
    if given is None:
        return None, b""
    return given, b",".join([value.strip(_EDGES) for parent, value in found if not parent])


def _with_parent(request: Request, traceparent: bytes, *, is_continued: bool) -> Request:
    """Return *request* with *traceparent*; its `tracestate` goes on where the trace does."""
    rest = (_PARENT_LINE if is_continued else _LINE).sub(b"", request.onward[: -len(LINE_END)])
    return request._replace(onward=b"%btraceparent: %b%b" % (rest, traceparent, HEAD_END))


class TracingReader(RequestReader):
    """A reader of requests, each of which is then part of a trace."""

    __slots__ = ("_tracer",)

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self._tracer = tracer

    def read(
        self, data: bytes, reading: Reading, client: ClientConnection, next_id: Callable[[], bytes]
    ) -> Request | None:
        """Return the next request, as `RequestReader.read` does."""
        request = super().read(data, reading, client, next_id)
        return request if request is None else self._tracer.begun(request, trusted=client.trusted)
