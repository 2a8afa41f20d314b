"""What one client or backend sends holds no other up, and takes no memory (behaviour 5)."""

import itertools
import selectors
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.contract.http.clauses import clause
from tests.contract.http.gateways import Gateway
from tests.contract.http.script import OK, Draining, Pouring, get
from tests.contract.http.site import DEFAULT_BODY, Lane
from tests.contract.http.wire import DEADLINE_S, Wire

# A fair gateway takes a few ms; machines that run tests may be busy themselves.
SLOWEST_S = 1.5
ENVELOPED_S = 0.2  # of CPU: nobody else has to wait for longer because of it
MOST_GROWTH = 32 << 20
MANY = 700_000  # 4 MB of chunks of one byte
LAST_CHUNK = b"0\r\n\r\n"
CHUNK = b"1\r\nx\r\n"
CHUNKED = b"Transfer-Encoding: chunked"


def _slowest_answer(gateway: Gateway, is_over: Callable[[], bool]) -> float:
    """Ask again and again, each time as another client, until *is_over*; return the longest wait."""
    slowest, until = 0.0, time.monotonic() + DEADLINE_S * 2
    while True:
        ending = is_over()
        assert time.monotonic() < until, f"still not over; the longest wait was {slowest} s"
        with gateway.client() as other:
            asked_at = time.monotonic()
            other.send(get(b"/nowhere"))
            assert other.read_response().content == DEFAULT_BODY
        slowest = max(slowest, time.monotonic() - asked_at)
        if ending:
            return slowest


@pytest.mark.slow
@clause("5.content.others")
def test_others_are_answered_while_a_client_sends_chunks_of_one_byte(
    gateway: Gateway, client: Wire, backend: Lane
) -> None:
    client.send(get(backend.path, CHUNKED, method=b"POST"))
    with Pouring(client, [CHUNK * MANY, LAST_CHUNK]):
        upstream = backend.accept_for(client)
        upstream.read_head()
        with Draining(upstream, LAST_CHUNK) as draining:
            assert _slowest_answer(gateway, lambda: draining.is_over) < SLOWEST_S
            assert draining.is_whole
    upstream.send(OK)
    assert client.read_response().content == b"ok"


@pytest.mark.slow
@clause("5.content.others")
def test_others_are_answered_while_a_backend_sends_chunks_of_one_byte(
    gateway: Gateway, client: Wire, backend: Lane
) -> None:
    client.send(get(backend.path))
    upstream = backend.accept_for(client)
    upstream.read_request()
    upstream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.read_head()
    with Pouring(upstream, [CHUNK * MANY, LAST_CHUNK]), Draining(client, LAST_CHUNK) as draining:
        assert _slowest_answer(gateway, lambda: draining.is_over) < SLOWEST_S
        assert draining.is_whole


@pytest.mark.slow
@clause("RFC 9110 15.2", "5.content.others")
def test_others_are_answered_while_a_backend_sends_one_interim_response_after_another(
    gateway: Gateway, client: Wire, backend: Lane
) -> None:
    client.send(get(backend.path))
    upstream = backend.accept_for(client)
    upstream.read_request()
    interim = b"HTTP/1.1 103 Early Hints\r\n\r\n" * (MANY // 5)
    with Pouring(upstream, [interim, OK]), Draining(client, b"ok") as draining:
        assert _slowest_answer(gateway, lambda: draining.is_over) < SLOWEST_S
        assert draining.is_whole


@pytest.mark.slow
@clause("RFC 9112 9.3.2", "5.content.others")
def test_others_are_answered_while_clients_pipeline_without_end(gateway: Gateway) -> None:
    before = most = gateway.resident_bytes()
    until = time.monotonic() + 1.5

    def is_over() -> bool:
        nonlocal most
        most = max(most, gateway.resident_bytes())
        return time.monotonic() > until

    requests = get(b"/nowhere") * 1000
    with ExitStack() as stack:
        for _ in range(4):
            greedy = stack.enter_context(gateway.client())
            stack.enter_context(Draining(greedy, b"no answer ends so"))
            stack.enter_context(Pouring(greedy, itertools.repeat(requests)))
        slowest = _slowest_answer(gateway, is_over)

    assert slowest < SLOWEST_S
    assert most - before < MOST_GROWTH


def _fill(wires: list[Wire], block: bytes, most: int) -> None:
    """Write *block* again and again on each, until for a while nobody takes any more, or *most* bytes."""
    with selectors.DefaultSelector() as selector:
        for wire in wires:
            wire.sock.setblocking(False)
            selector.register(wire.sock, selectors.EVENT_WRITE, [0])
        while ready := selector.select(0.3):
            for key, _ in ready:
                wire = next(one for one in wires if one.sock is key.fileobj)
                key.data[0] += wire.sock.send(block[key.data[0] % len(block) :])
                if key.data[0] > most:
                    selector.unregister(wire.sock)


@clause("RFC 9112 9.3.2", "5.content.slow")
@pytest.mark.parametrize("asked", ["the gateway itself", "a backend"])
def test_clients_that_pipeline_and_read_nothing_take_no_memory(
    gateway: Gateway, backend: Lane, asked: str
) -> None:
    before = gateway.resident_bytes()
    path = backend.path if asked == "a backend" else b"/nowhere"
    clients = [gateway.client() for _ in range(24)]
    _fill(clients, get(path) * 500, most=8 << 20)

    assert gateway.resident_bytes() - before < MOST_GROWTH


LONG_FIELDS = b"".join(b"X-%02d: %b\r\n" % (number, b"x" * 1000) for number in range(57))
DRIPS = 1500


def _request_head(client: Wire, backend: Lane) -> Wire:
    client.send(get(backend.path)[:-2])
    return client


def _request_trailers(client: Wire, backend: Lane) -> Wire:
    client.send(get(backend.path, CHUNKED, method=b"POST") + b"1\r\na\r\n0\r\n")
    backend.accept_for(client).read_head()
    return client


def _response_head(client: Wire, backend: Lane) -> Wire:
    client.send(get(backend.path))
    upstream = backend.accept_for(client)
    upstream.read_request()
    upstream.send(b"HTTP/1.1 200 OK\r\n")
    return upstream


def _response_trailers(client: Wire, backend: Lane) -> Wire:
    upstream = _response_head(client, backend)
    upstream.send(b"%b\r\n\r\n1\r\na\r\n0\r\n" % CHUNKED)
    client.read_head()
    return upstream


def _cost_of_drips(gateway: Gateway, wire: Wire, before: bytes) -> float:
    """Return the seconds of CPU that the bytes of a line cost which come one by one behind *before*."""
    wire.send(before)
    time.sleep(0.05)  # until all of it was read
    began = gateway.cpu_s()
    wire.send(b"X-Drip: ")
    for _ in range(DRIPS):
        wire.send(b"x")
        time.sleep(0.0002)  # time is the subject: else many would be read at once
    return gateway.cpu_s() - began


@pytest.mark.parametrize("part", [_request_head, _request_trailers, _response_head, _response_trailers])
@clause("5.content.others")
def test_a_byte_costs_the_same_however_much_came_before_it_in(
    gateway: Gateway, part: Callable[[Wire, Lane], Wire]
) -> None:
    costs = []
    for before in (b"", LONG_FIELDS):
        lane = gateway.lane()
        costs.append(_cost_of_drips(gateway, part(gateway.client(), lane), before))
        gateway.close_clients()
        lane.close()

    assert costs[1] < costs[0] * 1.5 + 0.08


@clause("RFC 9110 12.5.1", "5.content.others")
@pytest.mark.parametrize(
    "accept",
    [b"text/html;q=0.5," * 3700, b"a/b;" + b"q=1;" * 14000, b"," * 59000, b"a/b;q=0." + b"1" * 59000],
)
def test_a_long_accept_costs_no_more_than_another_field(
    gateway: Gateway, client: Wire, alone: Lane, accept: bytes
) -> None:
    costs = []
    for name in (b"X-A: ", b"Accept: "):
        began = gateway.cpu_s()
        for _ in range(10):
            client.send(get(alone.path, name + accept))
            gateway.check_answer(client.read_response(), 503, "connect_failed")
        costs.append(gateway.cpu_s() - began)

    assert costs[1] < costs[0] * 2 + 0.1


HEAVY = {
    "punycode": (b"text/plain; charset=punycode", b"abc-" + b"z9" * 100_000),
    "idna": (b"text/plain; charset=idna", b"a" * 500_000),
    "utf-7": (b"text/plain; charset=utf-7", b"+AGE-" * 200_000),
    "a deep array": (b"application/json", b"[" * 500_000 + b"]" * 500_000),
    "a long array": (b"application/json", b"[" + b"1," * 520_000 + b"1]"),
    "many objects": (b"application/json", b"[" + b'{"":{}},' * 120_000 + b"1]"),
    "a long number": (b"application/json", b"1" * 1_000_000),
    "a long fraction": (b"application/json", b"0." + b"1" * 1_000_000),
    "a long exponent": (b"application/json", b"1e" + b"1" * 1_000_000),
    "escapes": (b"application/json", b'"' + b"\\u0000" * 170_000 + b'"'),
    "text to escape": (b"text/plain", b"\x00" * 1_000_000),
}


@clause("5.content.others", own_choice="envelopes are rgate's own")
@pytest.mark.parametrize(("media_type", "content"), HEAVY.values(), ids=HEAVY)
def test_others_are_answered_while_an_envelope_is_made_of(
    gateway: Gateway, client: Wire, enveloped: Lane, media_type: bytes, content: bytes
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (media_type, len(content))
    costs, waits = [], []
    present: set[Wire] = set()
    for _ in range(3):
        client.send(get(enveloped.path))
        upstream = enveloped.accept_or(*present)
        present.add(upstream)
        upstream.read_request()
        began = gateway.cpu_s()
        with Pouring(upstream, [head, content]) as sending:
            assert sending.wait()
            waits.append(_slowest_answer(gateway, client.is_readable))
        assert client.read_response().status == 200
        costs.append(gateway.cpu_s() - began)

    assert min(costs) < ENVELOPED_S
    assert min(waits) < SLOWEST_S
