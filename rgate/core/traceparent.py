"""`traceparent`, as W3C's Trace Context has it: text in, values out, and back.

https://www.w3.org/TR/trace-context-2/ (Level 2); Level 1 has the same form, and knows one flag less.
"""

import re
from typing import Final, NamedTuple

SAMPLED: Final = 0x01
_RANDOM: Final = 0x02  # the trace id is random (Level 2, 3.2.2.5.2)
_FORM: Final = re.compile(
    rb"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<parent>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
    rb"(?P<more>-.*)?",
    re.DOTALL,
)
_NO_TRACE: Final = b"0" * 32
_NO_SPAN: Final = b"0" * 16


class TraceParent(NamedTuple):
    """A place in a trace. Ids are in lower-case hexadecimal digits: 32 of a trace, 16 of a span."""

    trace_id: bytes
    span_id: bytes
    flags: int  # those that are known

    @property
    def is_sampled(self) -> bool:
        """Whether who sent it keeps the trace."""
        return bool(self.flags & SAMPLED)


class Span(NamedTuple):
    """What is known of a request's span while it is under way, of one that is exported."""

    trace_id: bytes
    span_id: bytes
    parent_id: bytes  # b"" where the trace begins here
    state: bytes = b""  # `tracestate`, as it came


def parse_traceparent(text: bytes) -> TraceParent | None:
    """Return what *text*, a field's value, says; None where it is malformed.

    Of a version that is not known yet the beginning counts, as far as it has this version's form.
    """
    found = _FORM.fullmatch(text)
    if found is None or found["version"] == b"ff":
        return None
    is_known = found["version"] == b"00"
    if is_known and found["more"] is not None:
        return None
    trace_id, span_id = found["trace"], found["parent"]
    if trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return TraceParent(
        trace_id, span_id, int(found["flags"], 16) & (SAMPLED | _RANDOM if is_known else SAMPLED)
    )


def format_traceparent(trace_id: bytes, span_id: bytes, flags: int) -> bytes:
    """Return the field's value."""
    return b"00-%b-%b-%02x" % (trace_id, span_id, flags)


def made_parent(trace_bits: int, span_bits: int) -> TraceParent:
    """Return the beginning of a trace, with ids of 128 and of 64 random bits; it is not sampled yet."""
    return TraceParent(b"%032x" % (trace_bits or 1), made_span_id(span_bits), _RANDOM)  # 0 is no id


def made_span_id(bits: int) -> bytes:
    """Return the id of a span, of 64 random bits."""
    return b"%016x" % (bits or 1)
