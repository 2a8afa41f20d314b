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
from rgate.core.onward import Manner, Request
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
LONGEST_STATE_TOLD: Final = 2048
"""Bytes of a `tracestate`; of a longer one the span tells nothing, as spans wait in memory."""

_EDGES: Final = b" \t\r"
_ALL: Final = 1 << 64
_SPAN_BITS: Final = _ALL - 1


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
        given, state, onward = _given(request.onward)
        if given is None:
            ids = self.random_bits(192)
            parent = made_parent(ids >> 64, ids & _SPAN_BITS)
            is_sampled = self._is_sampled(parent.trace_id)
        else:
            parent = TraceParent(given.trace_id, made_span_id(self.random_bits(64)), given.flags)
            is_sampled = given.is_sampled if trusted else self._is_sampled(parent.trace_id)
        trace_id, span_id, flags = parent
        text = format_traceparent(trace_id, span_id, flags & ~SAMPLED | is_sampled)
        manner = request.manner
        if is_sampled:
            manner = manner._replace(span=Span(trace_id, span_id, given.span_id if given else b"", state))
        return _with(request, onward, text, manner)

    def _is_sampled(self, trace_id: bytes) -> bool:
        """Whether a trace is, by its id: all requests of one are, or none."""
        drawn = int.from_bytes(blake2b(trace_id, digest_size=8, key=self.key).digest())
        return drawn < self.sample * _ALL


def tracer_of(tracing: Tracing | None, key: bytes, random_bits: Callable[[int], int]) -> Tracer | None:
    """Return what decides on traces; None where there are none. See `Tracer`."""
    return Tracer(tracing.sample, key, random_bits) if tracing is not None else None


def told_with(request: Request, made: bytes) -> Request:
    """Return *request* as `Tracer.begun` does, with *made* in place of what is made anew for each request."""
    _, _, onward = _given(request.onward)
    return _with(request, onward, made, request.manner)


def _given(onward: bytes) -> tuple[TraceParent | None, bytes, bytes]:
    """Return the place in a trace that a request brings, its `tracestate`, and of its head, *onward*, what
    goes on; None and b"" where it brings none, or what is malformed.
    """
    found = _LINE.findall(onward)
    if not found:
        return None, b"", onward
    parents = [value.strip(_EDGES) for parent, value in found if parent]
    given = parse_traceparent(parents[0]) if len(parents) == 1 else None
    if given is None:
        return None, b"", _LINE.sub(b"", onward)
    state = b",".join([value.strip(_EDGES) for parent, value in found if not parent])
    if len(state) > LONGEST_STATE_TOLD:
        state = b""
    return given, state, _PARENT_LINE.sub(b"", onward)


def _with(request: Request, onward: bytes, traceparent: bytes, manner: Manner) -> Request:
    """Return *request* whose head is *onward* and has a line for *traceparent*, asked in *manner*."""
    # Not by _replace, which takes five times as long.
    method, path, host, _, framing, identity, _, line, received, start, end = request
    onward = b"%btraceparent: %b\r\n\r\n" % (onward[:-2], traceparent)
    return _make(Request, (method, path, host, onward, framing, identity, manner, line, received, start, end))


_make = tuple.__new__


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
