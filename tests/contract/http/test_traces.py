"""Which traces requests are part of, as containers and a collector see it."""

import random
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from rgate.core.traceparent import TraceParent, parse_traceparent
from tests.collector import Collector, attributes, collecting
from tests.contract.http.clauses import Capability, clause
from tests.contract.http.gateways import Gateway, Rgate
from tests.contract.http.script import OK, answer, exchange, get, post
from tests.contract.http.site import DEFAULT_STATUS, KINDS, STRANGER, TRUSTED, Lane, Site
from tests.contract.http.wire import Message, Wire

OWN = "whether a gateway takes part in traces is its own choice"
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{SPAN}-01".encode(), f"00-{TRACE}-{SPAN}-00".encode()
STATE = b"tracestate: congo=t61rcWkgMzE"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


def _tracing(
    gateway: Gateway, factory: pytest.TempPathFactory, collector: Collector, sample: float
) -> Iterator[Gateway]:
    if not isinstance(gateway, Rgate):
        pytest.skip("it is set otherwise")
    settings = {"tracing": {"endpoint": collector.endpoint, "sample": sample}}
    kinds = {"single": replace(KINDS["single"], number=20), "alone": replace(KINDS["alone"], number=2)}
    site = Site(kinds, limited=True, settings=settings)
    started = Rgate(site, factory.mktemp(gateway.name), gateway.name)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        try:
            started.start()
            yield started
        finally:
            started.stop()


@pytest.fixture(scope="module")
def all_of_them(
    gateway: Gateway, tmp_path_factory: pytest.TempPathFactory, collector: Collector
) -> Iterator[Gateway]:
    """A gateway that samples all traces, and trusts TRUSTED."""
    yield from _tracing(gateway, tmp_path_factory, collector, 1.0)


@pytest.fixture(scope="module")
def none_of_them(
    gateway: Gateway, tmp_path_factory: pytest.TempPathFactory, collector: Collector
) -> Iterator[Gateway]:
    """The same, that samples no trace by itself."""
    yield from _tracing(gateway, tmp_path_factory, collector, 0.0)


@pytest.fixture
def identity() -> str:
    return uuid.uuid4().hex


def told(request: Message) -> TraceParent:
    (value,) = request.values(b"traceparent")
    parent = parse_traceparent(value)
    assert parent is not None
    return parent


def asked(gateway: Gateway, lane: Lane, *lines: bytes, source: str = STRANGER) -> Message:
    """Return what a backend is asked when a client at *source* sends a request with *lines*."""
    with gateway.client(source) as client:
        return exchange(client, lane, get(lane.path, *lines)).request


@clause("10.traces.off", own_choice=OWN)
def test_without_tracing_all_of_it_goes_through_as_it_came(client: Wire, backend: Lane) -> None:
    lines = (b"TraceParent: nonsense", STATE, b"traceparent: " + SAMPLED)
    request = exchange(client, backend, get(backend.path, *lines)).request
    kept = [one for one in request.fields if one[0].lower() in (b"traceparent", b"tracestate")]
    assert [b"%b: %b" % one for one in kept] == list(lines)


@clause("10.traces.continued", "10.traces.state", "10.traces.span", "10.traces.attempts", own_choice=OWN)
def test_a_clients_trace_goes_on_to_the_container_and_to_the_collector(
    all_of_them: Gateway, collector: Collector, identity: str
) -> None:
    lane = all_of_them.lane()
    id_line = b"X-Request-ID: " + identity.encode()
    request = asked(all_of_them, lane, b"traceparent: " + UNSAMPLED, STATE, id_line)
    parent = told(request)
    assert parent.trace_id == TRACE.encode()
    assert parent.is_sampled
    assert request.values(b"tracestate") == [STATE.partition(b": ")[2]]

    span = collector.span(identity)
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, SPAN)
    assert span.span_id.hex().encode() == parent.span_id
    assert span.trace_state == "congo=t61rcWkgMzE"
    assert (span.kind, span.name) == (span.SPAN_KIND_SERVER, f"GET {lane.path.decode()}")
    assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
    address = f"127.0.0.1:{lane.listeners[0].port}"
    seen = attributes(span.attributes)
    assert seen.pop("client.port") > 0
    assert seen == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "url.path": lane.path.decode(),
        "http.route": lane.path.decode(),
        "http.response.status_code": 200,
        "server.address": "example.org",
        "server.port": 80,
        "client.address": STRANGER,
        "rgate.backend": lane.name,
        "rgate.container": address,
        "rgate.request_id": identity,
    }
    (event,) = span.events
    assert event.name == "attempt"
    attempt = attributes(event.attributes)
    assert (attempt["rgate.address"], attempt["rgate.reused"]) == (address, False)
    assert (attempt["rgate.outcome"], attempt["rgate.attempt"]) == ("response", 1)
    assert attempt["rgate.ms"] >= attempt["rgate.wait_ms"] >= 0
    assert span.start_time_unix_nano <= event.time_unix_nano <= span.end_time_unix_nano
    (resource,) = {one["service.name"] for one in collector.resources}
    assert resource == "rgate"


@clause("10.traces.made", own_choice=OWN)
@pytest.mark.parametrize(
    "lines",
    [
        (),
        (STATE,),
        (b"traceparent: " + SAMPLED.upper(), STATE),
        (b"traceparent: " + SAMPLED, b"Traceparent: " + SAMPLED, STATE),
        (b"traceparent: 00-" + b"0" * 32 + b"-00f067aa0ba902b7-01",),
    ],
    ids=["none", "a state alone", "upper case", "two", "no trace"],
)
def test_a_trace_begins_where_none_came_or_none_that_can_be_read(
    all_of_them: Gateway, collector: Collector, identity: str, lines: tuple[bytes, ...]
) -> None:
    request = asked(all_of_them, all_of_them.lane(), *lines, b"X-Request-ID: " + identity.encode())
    parent = told(request)
    assert parent.trace_id != TRACE.encode()
    assert request.values(b"tracestate") == []
    span = collector.span(identity)
    assert span.trace_id.hex().encode() == parent.trace_id
    assert span.span_id.hex().encode() == parent.span_id
    assert span.parent_span_id == b""


@clause("10.traces.flag", own_choice=OWN)
def test_only_a_trusted_peer_says_whether_a_trace_is_sampled(
    none_of_them: Gateway, all_of_them: Gateway, collector: Collector, identity: str
) -> None:
    id_line = b"X-Request-ID: " + identity.encode()
    sampled, unsampled = b"traceparent: " + SAMPLED, b"traceparent: " + UNSAMPLED
    assert not told(asked(none_of_them, none_of_them.lane(), sampled)).is_sampled
    assert not told(asked(none_of_them, none_of_them.lane(), source=TRUSTED)).is_sampled
    assert not told(asked(all_of_them, all_of_them.lane(), unsampled, source=TRUSTED)).is_sampled
    assert told(asked(all_of_them, all_of_them.lane(), unsampled)).is_sampled
    assert told(asked(none_of_them, none_of_them.lane(), sampled, id_line, source=TRUSTED)).is_sampled
    assert collector.span(identity).parent_span_id.hex() == SPAN


@clause("10.traces.span", "10.traces.attempts", own_choice=OWN)
def test_each_request_on_a_connection_has_a_span_however_it_ends(
    all_of_them: Gateway, collector: Collector
) -> None:
    def spans(*ids: str) -> list[dict[str, Any]]:
        found = {attributes(collector.span(one).attributes)["rgate.request_id"]: one for one in ids}
        assert list(found) == list(ids)
        return [attributes(collector.span(one).attributes) for one in ids]

    ids = [uuid.UUID(int=random.getrandbits(128)).hex for _ in range(6)]
    lines = [b"X-Request-ID: " + one.encode() for one in ids]
    lane, dead = all_of_them.lane(), all_of_them.lane("alone")
    with all_of_them.client() as client:
        upstream = exchange(client, lane, get(lane.path, lines[0])).upstream
        for request, response in (
            (get(lane.path, lines[1]), OK),
            (
                post(lane.path, b"abc", lines[2]),
                b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000,
            ),
        ):
            client.send(request)
            if request.startswith(b"POST"):
                upstream = lane.accept_or(upstream)
            answer(client, upstream, request, response)
        for target, line, status in ((dead.path, lines[3], 503), (b"/nowhere", lines[4], DEFAULT_STATUS)):
            client.send(get(target + b"?a=secret", line))
            assert client.read_response().status == status
        client.send(get(lane.path, lines[5]))
        upstream = lane.accept_or(upstream)
        upstream.read_request()
    _, reused, _, refused, nowhere, gone = spans(*ids)
    (event,) = collector.span(ids[1]).events
    assert attributes(event.attributes)["rgate.reused"] is True
    assert (reused["http.response.status_code"], "error.type" in reused) == (200, False)
    assert (refused["rgate.reason"], refused["error.type"]) == ("connect_failed", "connect_failed")
    assert refused["http.route"] == refused["url.path"] == dead.path.decode()
    failed = collector.span(ids[3])
    assert failed.status.code == failed.status.STATUS_CODE_ERROR
    assert {attributes(one.attributes)["rgate.outcome"] for one in failed.events} == {"refused"}
    assert ("http.route" in nowhere, nowhere["http.response.status_code"]) == (False, DEFAULT_STATUS)
    assert (gone["rgate.reason"], gone["http.response.status_code"]) == ("client_closed", 499)
    assert b"secret" not in b"".join(collector.span(one).SerializeToString() for one in ids)


@clause("10.traces.span", own_choice=OWN, needs=Capability.UPGRADES)
def test_a_tunnel_has_a_span_as_it_begins(all_of_them: Gateway, collector: Collector, identity: str) -> None:
    lane = all_of_them.lane()
    with all_of_them.client() as client:
        lines = (b"Connection: Upgrade", b"Upgrade: websocket", b"X-Request-ID: " + identity.encode())
        client.send(get(lane.path, *lines))
        upstream = lane.accept_for(client)
        told(upstream.read_request())
        upstream.send(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        assert attributes(collector.span(identity).attributes)["http.response.status_code"] == 101


@clause("10.traces.own", own_choice=OWN)
def test_own_pages_and_what_is_no_request_have_no_span(
    all_of_them: Gateway, collector: Collector, identity: str
) -> None:
    for request, status in ((get(b"/_rgate/healthz"), 200), (b"nonsense\r\n\r\n", 400)):
        with all_of_them.client() as client:
            client.send(request)
            assert client.read_response().status == status
    asked(all_of_them, all_of_them.lane(), b"X-Request-ID: " + identity.encode())
    collector.span(identity)  # and so has come what was sent before
    told_of = [attributes(span.attributes) for span in collector.wait(lambda _: True)]
    assert all(one["http.request.method"] == "GET" or "http.route" in one for one in told_of)
    assert not any(one["url.path"].startswith("/_rgate") for one in told_of)
