"""Nothing is held whole: pieces go on as they come, and a slow reader slows the writer."""

import contextlib
import statistics
import threading
import time

import pytest

from tests.contract.http.clauses import Capability, clause
from tests.contract.http.gateways import Gateway, wait_until
from tests.contract.http.script import OK, answer, chunked, get
from tests.contract.http.site import Lane
from tests.contract.http.wire import DEADLINE_S, Wire

GIB = 1 << 30
MOST_GROWTH = 16 << 20
# What the kernel's own buffers may take in on four sockets, and some.
MOST_UNREAD = 32 << 20
HEADS = {
    "chunks": b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a known length": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
    "the end of the connection": b"HTTP/1.1 200 OK\r\n\r\n",
}


def _ask(client: Wire, backend: Lane) -> Wire:
    client.send(get(backend.path))
    upstream = backend.accept_for(client)
    upstream.read_request()
    return upstream


@clause("5.content.streamed")
@pytest.mark.parametrize("framing", HEADS)
def test_a_piece_of_a_response_arrives_before_the_next_is_sent_with(
    client: Wire, backend: Lane, framing: str
) -> None:
    upstream = _ask(client, backend)
    upstream.send(HEADS[framing])
    assert client.read_head().status == 200

    for piece in (b"first", b"secnd"):
        upstream.send(b"5\r\n%b\r\n" % piece if framing == "chunks" else piece)
        seen = client.read(5) if framing == "a known length" else client.read_chunk()
        assert seen == piece


@clause("WHATWG HTML 9.2", "5.content.events")
def test_a_server_sent_event_arrives_within_50_ms(client: Wire, backend: Lane) -> None:
    upstream = _ask(client, backend)
    upstream.send(HEADS["chunks"])
    client.read_head()
    took = []
    for number in range(20):
        event = b"data: %02d\n\n" % number
        sent_at = time.monotonic()
        upstream.send(b"%x\r\n%b\r\n" % (len(event), event))
        assert client.read_chunk() == event
        took.append(time.monotonic() - sent_at)

    assert statistics.median(took) < 0.050


@clause("5.content.streamed")
@pytest.mark.parametrize("framing", ["chunks", "a known length"])
def test_a_piece_of_a_request_arrives_before_the_next_is_sent_with(
    client: Wire, backend: Lane, framing: str
) -> None:
    is_chunked = framing == "chunks"
    line = b"Transfer-Encoding: chunked" if is_chunked else b"Content-Length: 10"
    client.send(get(backend.path, line, method=b"POST"))
    upstream: Wire | None = None
    for piece in (b"first", b"secnd"):
        client.send(b"5\r\n%b\r\n" % piece if is_chunked else piece)
        if upstream is None:
            upstream = backend.accept()
            upstream.read_head()
        assert (upstream.read_chunk() if is_chunked else upstream.read(5)) == piece


@clause("5.content.streamed", needs=Capability.FULL_DUPLEX)
def test_request_and_response_may_flow_at_the_same_time(client: Wire, backend: Lane) -> None:
    client.send(get(backend.path, b"Transfer-Encoding: chunked", method=b"POST"))
    client.send(b"5\r\nping0\r\n")
    upstream = backend.accept_for(client)
    upstream.read_head()
    assert upstream.read_chunk() == b"ping0"
    upstream.send(HEADS["chunks"] + b"5\r\npong0\r\n")
    assert client.read_head().status == 200
    assert client.read_chunk() == b"pong0"

    client.send(b"5\r\nping1\r\n")
    assert upstream.read_chunk() == b"ping1"
    upstream.send(b"5\r\npong1\r\n")
    assert client.read_chunk() == b"pong1"


def _drain(wire: Wire, size: int, gateway: Gateway) -> int:
    """Read *size* bytes; return the most memory that *gateway* was seen to have."""
    space = memoryview(bytearray(1 << 20))
    most, read, looked = 0, 0, 0
    wire.sock.settimeout(20)
    while read < size:
        count = wire.sock.recv_into(space)
        assert count, f"the connection ended after {read} bytes"
        read += count
        if read - looked > 32 << 20:
            looked = read
            most = max(most, gateway.resident_bytes())
    assert read == size
    return most


def _pour(wire: Wire, size: int) -> None:
    block = bytes(1 << 20)
    wire.sock.settimeout(20)
    for _ in range(size >> 20):
        wire.sock.sendall(block)


@pytest.mark.slow
@clause("5.content.streamed")
def test_a_gibibyte_to_the_client_takes_no_memory(gateway: Gateway, client: Wire, backend: Lane) -> None:
    before = gateway.resident_bytes()
    upstream = _ask(client, backend)
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIB)
    client.read_head()
    writer = threading.Thread(target=_pour, args=(upstream, GIB), daemon=True)
    writer.start()

    assert _drain(client, GIB, gateway) - before < MOST_GROWTH
    writer.join()


@pytest.mark.slow
@clause("5.content.streamed")
def test_a_gibibyte_to_the_backend_takes_no_memory(gateway: Gateway, client: Wire, backend: Lane) -> None:
    before = gateway.resident_bytes()
    client.send(get(backend.path, b"Content-Length: %d" % GIB, method=b"POST"))
    writer = threading.Thread(target=_pour, args=(client, GIB), daemon=True)
    writer.start()
    upstream = backend.accept_for(client)
    upstream.read_head()
    buffered = upstream.take_buffered()

    assert _drain(upstream, GIB - len(buffered), gateway) - before < MOST_GROWTH
    writer.join()
    upstream.send(OK)
    assert client.read_response().content == b"ok"


def _fill(wire: Wire, most: int) -> int:
    """Write until nothing more is taken for half a second, or *most* is; return the bytes taken."""
    block = bytes(1 << 16)
    wire.sock.settimeout(0.5)
    taken = 0
    while taken < most:
        try:
            taken += wire.sock.send(block[: most - taken])
        except TimeoutError:
            break
    return taken


@clause("5.content.slow")
def test_a_client_that_does_not_read_stops_the_backend(client: Wire, backend: Lane) -> None:
    size = MOST_UNREAD * 2
    upstream = _ask(client, backend)
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)

    taken = _fill(upstream, size)

    assert taken < MOST_UNREAD
    writer = threading.Thread(target=_fill, args=(upstream, size - taken), daemon=True)
    writer.start()
    assert len(client.read_response().content) == size
    writer.join()


@clause("5.content.slow")
def test_a_backend_that_does_not_read_stops_the_client(client: Wire, backend: Lane) -> None:
    size = MOST_UNREAD * 2
    client.send(get(backend.path, b"Content-Length: %d" % size, method=b"POST"))
    upstream = backend.accept_for(client)

    taken = _fill(client, size)

    assert taken < MOST_UNREAD
    writer = threading.Thread(target=_fill, args=(client, size - taken), daemon=True)
    writer.start()
    assert len(upstream.read_request().content) == size
    writer.join()
    upstream.send(OK)
    assert client.read_response().content == b"ok"


@clause("5.content.slow")
def test_a_backend_that_does_not_read_stops_a_client_that_sends_small_chunks(
    gateway: Gateway, client: Wire, backend: Lane
) -> None:
    client.send(get(backend.path, b"Transfer-Encoding: chunked", method=b"POST"))
    upstream = backend.accept_for(client)
    upstream.read_head()
    before, chunks = gateway.resident_bytes(), b"8\r\n12345678\r\n" * (1 << 16)

    client.sock.settimeout(1)
    taken = 0
    with contextlib.suppress(TimeoutError):
        while taken < MOST_UNREAD * 4:
            taken += client.sock.send(chunks[taken % len(chunks) :])

    assert taken < MOST_UNREAD * 4
    assert gateway.resident_bytes() - before < MOST_GROWTH


@clause("RFC 9112 9.5", "6.gone.ends")
@pytest.mark.parametrize("when", ["before the response", "during the response", "during the request"])
def test_a_client_that_goes_away_ends_the_request_to_the_backend(
    client: Wire, backend: Lane, when: str
) -> None:
    if when == "during the request":
        client.send(get(backend.path, b"Content-Length: 10", method=b"POST") + b"abc")
    else:
        client.send(get(backend.path))
    upstream = backend.accept_for(client)
    upstream.read_head()
    if when == "during the request":
        upstream.read(3)
    if when == "during the response":
        upstream.send(HEADS["chunks"] + b"1\r\na\r\n")
        client.read_head()
    client.close()

    assert upstream.is_closed()


@clause("6.gone.fin", own_choice="a FIN counts as going away, as with nginx and Envoy")
def test_a_client_that_ends_its_side_counts_as_gone(client: Wire, backend: Lane) -> None:
    upstream = _ask(client, backend)
    client.end_writing()

    assert upstream.is_closed()


@clause("5.content.others")
def test_a_client_that_goes_away_takes_no_other_with_it(
    gateway: Gateway, client: Wire, backend: Lane
) -> None:
    upstream = _ask(client, backend)
    other = gateway.client()
    other.send(get(backend.path))
    second = backend.accept()
    client.reset()
    assert upstream.is_closed()

    assert answer(other, second, b"GET").response.content == b"ok"


@clause("5.content.others")
def test_many_clients_are_served_while_one_waits(gateway: Gateway, client: Wire, backend: Lane) -> None:
    waiting = _ask(client, backend)
    for _ in range(20):
        with gateway.client() as other:
            other.send(get(backend.path, b"Connection: close"))
            upstream = backend.accept()
            seen = answer(other, upstream, b"GET", OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"))
            assert seen.response.content == b"ok"
    waiting.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"late"))

    assert client.read_response().content == b"late"


@pytest.mark.slow
@clause("5.content.streamed")
def test_memory_is_given_back_by_clients_that_went_away(gateway: Gateway, backend: Lane) -> None:
    before = gateway.resident_bytes()
    for _ in range(100):
        with gateway.client() as client:
            client.send(get(backend.path, b"Content-Length: 1000000", method=b"POST") + bytes(1000))

    wait_until(lambda: gateway.resident_bytes() - before < MOST_GROWTH, 5, "the memory's return")


@clause("7.latency.span", own_choice="the figures and the log are rgate's")
def test_the_latency_is_from_the_requests_first_byte_to_the_responses_last(limited: Gateway) -> None:
    lane = limited.lane()
    pause_s = 0.3  # time is the subject
    with limited.client() as client:
        client.send(b"G")
        time.sleep(pause_s)
        client.send(get(lane.path)[1:])
        upstream = lane.accept_for(client)
        upstream.read_head()
        upstream.send(OK[:-1])
        client.read_head()
        time.sleep(pause_s)
        upstream.send(OK[-1:])
        assert client.read(2) == b"ok"

    # The first byte is noticed a moment after it was sent, less than a pause.
    assert 2 * pause_s - 0.2 <= float(limited.logged(lane.path)["seconds"]) < DEADLINE_S
