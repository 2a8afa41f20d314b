"""`traceparent`: what is one, by W3C's Trace Context, and that it comes back as it went."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.traceparent import (
    TraceParent,
    format_traceparent,
    made_parent,
    made_span_id,
    parse_traceparent,
)

TRACE, SPAN = b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7"
GOOD = b"00-%b-%b-01" % (TRACE, SPAN)

ids = st.binary(min_size=24, max_size=24).map(bytes.hex).map(str.encode)
nearly = st.lists(
    st.sampled_from([b"0", b"1", b"f", b"F", b"g", b"-", b"00", b"ff", TRACE, SPAN]), max_size=9
)
"""Pieces of one, put together anew."""


@pytest.mark.clause("10.traces.continued")
@given(
    trace_bits=st.integers(0, (1 << 128) - 1),
    span_bits=st.integers(0, (1 << 64) - 1),
    flags=st.integers(0, 3),
)
@example(trace_bits=0, span_bits=0, flags=0)
def test_what_is_made_is_read_again_as_it_was(trace_bits: int, span_bits: int, flags: int) -> None:
    made = made_parent(trace_bits, span_bits)._replace(flags=flags)
    assert parse_traceparent(format_traceparent(*made)) == made
    assert made.is_sampled == bool(flags & 1)


@pytest.mark.clause("10.traces.made")
@given(text=st.binary(max_size=80) | nearly.map(b"".join) | nearly.map(b"-".join))
@example(text=GOOD + b"\n")
@example(text=b"01-%b-%b-01\n" % (TRACE, SPAN))
def test_whatever_came_is_one_of_the_form_or_none(text: bytes) -> None:
    parsed = parse_traceparent(text)
    if parsed is not None:
        assert re.fullmatch(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]", format_traceparent(*parsed))
        assert text[3:52] == b"%b-%b" % (parsed.trace_id, parsed.span_id)


@pytest.mark.clause("10.traces.continued")
@pytest.mark.parametrize(
    ("text", "flags"),
    [
        (GOOD, 1),
        (b"00-%b-%b-00" % (TRACE, SPAN), 0),
        (b"00-%b-%b-03" % (TRACE, SPAN), 3),  # random, too (Level 2)
        (b"00-%b-%b-ff" % (TRACE, SPAN), 3),  # flags that nobody knows are not passed on
        (b"cc-%b-%b-ff" % (TRACE, SPAN), 1),  # of a later version only that is known
        (b"cc-%b-%b-01-what-the-future-holds" % (TRACE, SPAN), 1),
        (b"01-%b-%b-00-" % (TRACE, SPAN), 0),
    ],
)
def test_what_is_one(text: bytes, flags: int) -> None:
    assert parse_traceparent(text) == TraceParent(TRACE, SPAN, flags)


@pytest.mark.clause("10.traces.made")
@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"00",
        b"ff-%b-%b-01" % (TRACE, SPAN),
        b"0-%b-%b-01" % (TRACE, SPAN),
        b"00-%b-%b-1" % (TRACE, SPAN),
        b"00-%b-%b-01-" % (TRACE, SPAN),
        b"00-%b-%b-01-more" % (TRACE, SPAN),
        b"cc-%b-%b-01more" % (TRACE, SPAN),
        b"00-%b-%b-01" % (TRACE.upper(), SPAN),
        b"00-%b-%b-01" % (TRACE, SPAN.upper()),
        b"00-%b-%b-0A" % (TRACE, SPAN),
        b"0A-%b-%b-01" % (TRACE, SPAN),
        b"00-%b-%b-01" % (b"0" * 32, SPAN),
        b"00-%b-%b-01" % (TRACE, b"0" * 16),
        b"00-%b-%b-01" % (TRACE[1:], SPAN),
        b"00_%b_%b_01" % (TRACE, SPAN),
        b" " + GOOD,
        GOOD + b"," + GOOD,
    ],
)
def test_what_is_none(text: bytes) -> None:
    assert parse_traceparent(text) is None


def test_no_id_is_naught() -> None:
    assert made_span_id(0) == b"0" * 15 + b"1"
    assert made_parent(0, 7).trace_id == b"0" * 31 + b"1"
