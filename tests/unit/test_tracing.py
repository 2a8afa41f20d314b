"""Which trace a request belongs to, and what its container is told of that."""

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.config import Tracing
from rgate.core.onward import Request
from rgate.core.traceparent import Span, parse_traceparent
from rgate.core.tracing import Tracer, TracingReader, told_with, tracer_of
from tests.unit.messages import PROXY, READING, STRANGER, fields_of, request
from tests.unit.test_traceparent import GOOD, SPAN, TRACE, nearly

UNSAMPLED = GOOD[:-1] + b"0"
KEY = b"k" * 16


def tracer(sample: float = 0.0) -> Tracer:
    return Tracer(sample, KEY, random.Random(7).getrandbits)


def values(asked: Request, name: bytes) -> list[bytes]:
    return [value for spelt, value in fields_of(asked.onward) if spelt.lower() == name]


def span_of(asked: Request) -> Span | None:
    return asked.manner.span


values_of_parents = st.sampled_from([b"", b"?", GOOD, UNSAMPLED, GOOD + b" ", GOOD.upper()]) | nearly.map(
    b"-".join
)
names = st.sampled_from(
    [b"traceparent", b"Traceparent", b"TRACEPARENT", b"tracestate", b"TraceState", b"X-Traceparent"]
)
lines = st.lists(st.tuples(names, values_of_parents | st.just(b"a=1,b=2")).map(b": ".join), max_size=4)


@pytest.mark.clause("10.traces.continued", "10.traces.made", "10.traces.state", "10.traces.flag")
@given(lines=lines, sample=st.sampled_from([0.0, 0.5, 1.0]), trusted=st.booleans())
@example(lines=[b"traceparent: " + GOOD, b"Traceparent: " + GOOD], sample=1.0, trusted=True)
@example(
    lines=[b"tracestate: a=1", b"traceparent:\t" + GOOD + b" ", b"tracestate: b=2"], sample=0.0, trusted=True
)
def test_a_container_is_told_of_one_place_in_one_trace(
    lines: list[bytes], sample: float, trusted: bool
) -> None:
    came = request(b"GET /a?x=1 HTTP/1.1", *lines)
    begun = tracer(sample).begun(came, trusted=trusted)

    parents = values(came, b"traceparent")
    given = parse_traceparent(parents[0]) if len(parents) == 1 else None
    (told,) = values(begun, b"traceparent")
    parent = parse_traceparent(told)
    assert parent is not None
    if given is None:
        assert values(begun, b"tracestate") == []
        assert parent.flags & 2  # our ids are random
    else:
        assert parent.trace_id == given.trace_id
        assert parent.span_id != given.span_id
        assert values(begun, b"tracestate") == values(came, b"tracestate")
        assert parent.flags & 2 == given.flags & 2
    if given is not None and trusted:
        assert parent.is_sampled == given.is_sampled
    elif sample in (0.0, 1.0):
        assert parent.is_sampled == bool(sample)
    assert (span_of(begun) is not None) == parent.is_sampled
    if (span := span_of(begun)) is not None:
        assert (span.trace_id, span.span_id) == (parent.trace_id, parent.span_id)
        assert span.parent_id == (given.span_id if given else b"")
        assert span.state == b",".join(values(begun, b"tracestate"))

    # All else is as it was.
    others = [one for one in fields_of(came.onward) if one[0].lower() not in (b"traceparent", b"tracestate")]
    assert [
        one for one in fields_of(begun.onward) if one[0].lower() not in (b"traceparent", b"tracestate")
    ] == others
    assert begun.manner._replace(span=None) == came.manner
    assert begun._replace(onward=came.onward, manner=came.manner) == came
    assert begun.onward.partition(b"\r\n")[0] == came.onward.partition(b"\r\n")[0]


@pytest.mark.clause("10.traces.flag")
@given(trace_id=st.binary(min_size=16, max_size=16), sample=st.sampled_from([0.01, 0.5, 0.99]))
def test_a_trace_is_sampled_as_a_whole(trace_id: bytes, sample: float) -> None:
    parent = b"traceparent: 00-%b-%b-00" % (trace_id.hex().encode(), SPAN)
    asked = {
        span_of(tracer(sample).begun(request(b"GET /%d HTTP/1.1" % n, parent), trusted=False))
        for n in range(4)
    }
    assert len({one is None for one in asked}) == 1


@pytest.mark.clause("10.traces.flag")
def test_so_many_traces_are_sampled_and_no_id_is_so_whoever_asks() -> None:
    numbers = range(4000)
    chosen = [b"traceparent: 00-%032x-%b-01" % (number + 1, SPAN) for number in numbers]  # the least ids

    def sampled(key: bytes) -> set[int]:
        one = Tracer(0.1, key, random.Random(7).getrandbits)
        return {
            n for n in numbers if span_of(one.begun(request(b"GET /a HTTP/1.1", chosen[n]), trusted=False))
        }

    first, second = sampled(b"a" * 16), sampled(b"b" * 16)
    assert 300 < len(first) < 500
    assert len(first & second) < 100


@pytest.mark.clause("10.traces.flag")
def test_a_strangers_flag_is_not_heeded() -> None:
    asked = request(b"GET /a HTTP/1.1", b"traceparent: " + GOOD)
    assert span_of(tracer(0.0).begun(asked, trusted=False)) is None
    assert span_of(tracer(0.0).begun(asked, trusted=True)) is not None
    unsampled = request(b"GET /a HTTP/1.1", b"traceparent: " + UNSAMPLED)
    assert span_of(tracer(1.0).begun(unsampled, trusted=False)) is not None
    assert span_of(tracer(1.0).begun(unsampled, trusted=True)) is None


def test_a_reader_gives_what_the_tracer_makes_of_each_request() -> None:
    head = b"GET /a HTTP/1.1\r\nHost: h\r\ntraceparent: " + GOOD + b"\r\n\r\n"
    reader = TracingReader(tracer(0.0))
    assert reader.read(head[:20], READING, STRANGER, lambda: b"id") is None
    for client in (STRANGER, PROXY):
        read = reader.read(head[20:] if client is STRANGER else head, READING, client, lambda: b"id")
        assert read is not None
        (told,) = values(read, b"traceparent")
        assert told.startswith(b"00-%b-" % TRACE)
        assert told.endswith(b"-01") == client.trusted


@pytest.mark.clause("10.traces.explain")
def test_what_is_told_of_a_request_that_is_not_made_has_no_ids() -> None:
    asked = request(b"GET /a HTTP/1.1", b"traceparent: " + GOOD, b"tracestate: a=1")
    assert values(told_with(asked, b"<made>"), b"traceparent") == [b"<made>"]
    assert values(told_with(asked, b"<made>"), b"tracestate") == [b"a=1"]
    assert values(told_with(request(b"GET /a HTTP/1.1", b"tracestate: a=1"), b"<made>"), b"tracestate") == []


@pytest.mark.clause("10.traces.off")
def test_without_tracing_nothing_decides_on_traces() -> None:
    assert tracer_of(None, KEY, random.getrandbits) is None
    assert tracer_of(Tracing("http://c:4318/v1/traces", 0.25), KEY, random.getrandbits) == Tracer(
        0.25, KEY, random.getrandbits
    )


@pytest.mark.clause("10.traces.state", "10.traces.delay")
def test_a_state_that_is_very_long_goes_on_and_is_not_kept() -> None:
    for length, kept in ((2046, True), (2047, False)):
        state = b"a=" + b"x" * length
        asked = request(b"GET /a HTTP/1.1", b"traceparent: " + GOOD, b"tracestate: " + state)
        begun = tracer(1.0).begun(asked, trusted=False)
        assert values(begun, b"tracestate") == [state]
        span = span_of(begun)
        assert span is not None
        assert span.state == (state if kept else b"")
