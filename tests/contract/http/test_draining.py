"""What becomes of connections when the gateway is told to stop (SIGTERM; behaviour 8)."""

import signal
import time

import pytest

from bench.until_refused import Clients
from tests.contract.http.clauses import Capability, clause
from tests.contract.http.conftest import Launch
from tests.contract.http.gateways import Gateway, wait_until
from tests.contract.http.script import OK, get, serving
from tests.contract.http.site import Lane
from tests.contract.http.wire import DEADLINE_S, Cut, Wire
from tests.refusing import refuses

DRAINING = "how a gateway ends is its own choice"
LONG = ("--drain", "60")  # an end within END_S has waited for none of it
MOMENT_S = 0.1  # idle connections are ended so much behind the signal
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def _terminate(gateway: Gateway) -> None:
    """Send SIGTERM, and return when the gateway has heard of it."""
    gateway.terminate()
    wait_until(lambda: refuses(gateway.port), DEADLINE_S, "the end of accepting")


def _asked(gateway: Gateway, lane: Lane) -> tuple[Wire, Wire]:
    """Return both ends of a request that is under way: the client's, the backend's."""
    client = gateway.client()
    client.send(get(lane.path))
    upstream = lane.accept_for(client)
    upstream.read_request()
    return client, upstream


def _send_right_behind_the_signal(gateway: Gateway, clients: list[Wire], request: bytes) -> bool:
    """Terminate *gateway*, and send *request* on all *clients*; whether that took less than the moment."""
    began_s = time.monotonic()
    gateway.terminate()
    for client in clients:
        client.try_send(request)
    return time.monotonic() - began_s < MOMENT_S


@clause("RFC 9112 9.6", "8.stop.idle", own_choice=DRAINING)
@pytest.mark.parametrize("before", ["one request", "nothing"])
def test_a_request_that_crosses_the_signal_is_not_reset_on_a_connection_that_carried(
    launch: Launch, before: str
) -> None:
    gateway = launch(*LONG, single=2)
    lane = gateway.lane()
    waiting, upstream = _asked(gateway, gateway.lane())  # so that it does not end meanwhile
    clients = [gateway.client() for _ in range(40)]
    with serving(lane):
        if before == "one request":
            for client in clients:
                client.send(get(lane.path))
                assert client.read_response().content == b"ok"
        for client in clients[:10]:
            client.send(get(lane.path))
        gateway.terminate()
        for client in clients[10:]:
            client.try_send(get(lane.path))
            time.sleep(0.001)  # time is the subject: some come before it has heard, and some behind its end

        received = [client.read_to_end() for client in clients]  # which fails at a reset
    assert all(one.endswith(b"ok") for one in received[:10])
    assert all(one.endswith(b"ok") or not one for one in received[10:])
    upstream.send(OK)
    assert waiting.read_response().content == b"ok"
    assert gateway.exit_status() == 0


@clause("RFC 9112 9.6", "8.stop.close", own_choice=DRAINING)
def test_a_request_that_comes_right_behind_the_signal_is_answered_and_told_that_the_connection_closes(
    launch: Launch,
) -> None:
    for _ in range(10):  # a busy machine may hold this up until the moment is over
        gateway = launch(*LONG, single=1)
        lane = gateway.lane()
        clients = [gateway.client() for _ in range(10)]
        for client in clients:
            client.send(get(b"/nowhere"))
            client.read_response()
        if _send_right_behind_the_signal(gateway, clients, get(lane.path)):
            break
    else:
        raise AssertionError("the test was held up each time")
    wait_until(lambda: refuses(gateway.port), DEADLINE_S, "the end of accepting")
    with serving(lane):
        for client in clients:
            response = client.read_response()
            assert response.content == b"ok"
            assert b"close" in response.items(b"connection")
            assert client.outlast() == "a FIN"
    assert gateway.exit_status() == 0


@clause("8.stop.accepted", own_choice=DRAINING)
def test_what_waits_to_be_accepted_when_the_signal_comes_is_served(launch: Launch) -> None:
    gateway = launch(*LONG, single=1)
    lane = gateway.lane()
    gateway.signal(signal.SIGSTOP)  # so that it accepts nothing before it hears of its end
    clients = [gateway.client() for _ in range(10)]
    for client in clients:
        client.send(get(lane.path))
    gateway.terminate()
    gateway.signal(signal.SIGCONT)
    with serving(lane):
        assert [client.read_response().content for client in clients] == [b"ok"] * 10
    assert gateway.exit_status() == 0


@clause("8.stop.accepted", "8.stop.close", "8.stop.idle", own_choice=DRAINING)
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "new"])
@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_a_stop_under_load_loses_no_request(launch: Launch, kept: bool, workers: str) -> None:
    gateway = launch(*LONG, "--workers", workers, single=1)
    lane = gateway.lane()
    clients = Clients(gateway.port, lane.path.decode(), kept)
    with serving(lane):
        clients.start()
        wait_until(lambda: clients.answered >= 200, DEADLINE_S * 4, "200 answers")
        gateway.terminate()
        clients.join(DEADLINE_S * 4)
    assert clients.lost == []
    assert gateway.exit_status() == 0


@clause("RFC 9112 9.6", "8.stop.drain", "8.stop.close", own_choice=DRAINING)
def test_a_request_under_way_is_answered_and_told_that_the_connection_closes(launch: Launch) -> None:
    gateway = launch(*LONG, single=1)
    client, upstream = _asked(gateway, gateway.lane())
    _terminate(gateway)
    upstream.send(OK)

    response = client.read_response()
    assert response.content == b"ok"
    assert b"close" in response.items(b"connection")
    assert client.outlast() == "a FIN"
    assert gateway.exit_status() == 0


@clause("RFC 9112 9.6", "8.stop.drain", "8.stop.idle", own_choice=DRAINING)
def test_a_response_that_had_begun_is_finished_and_its_connection_ends_a_moment_later(launch: Launch) -> None:
    gateway = launch(*LONG, single=1)
    client, upstream = _asked(gateway, gateway.lane())
    upstream.send(OK[:-1])
    client.read_head()  # which does not tell that the connection closes
    _terminate(gateway)
    upstream.send(OK[-1:])

    assert client.read_to_end() == b"ok"
    assert gateway.exit_status() == 0


@clause("RFC 9112 9.6", "8.stop.idle", own_choice=DRAINING)
def test_idle_connections_are_ended_by_a_fin_and_what_comes_behind_it_is_not_reset(launch: Launch) -> None:
    gateway = launch(*LONG, single=1)
    idle = gateway.client()
    idle.send(get(b"/nowhere"))
    idle.read_response()
    opened = gateway.client()
    client, upstream = _asked(gateway, gateway.lane())
    _terminate(gateway)

    for one in (idle, opened):
        assert one.read_to_end() == b""
        one.send(get(b"/nowhere"))
    for one in (idle, opened):
        assert not one.is_reset(within_s=0.1)
        one.send(bytes(1 << 20))
        assert not one.is_reset(within_s=0.1)
    upstream.send(OK)
    assert client.read_response().content == b"ok"
    assert gateway.exit_status() == 0


@clause("1.log.stopped", "8.stop.cut", own_choice=DRAINING)
def test_an_event_stream_is_cut_when_the_time_to_drain_is_over_and_the_log_says_stopped(
    launch: Launch,
) -> None:
    gateway = launch("--drain", "1", single=1)
    lane = gateway.lane()
    client, upstream = _asked(gateway, lane)
    upstream.send(EVENTS + b"1\r\na\r\n")
    client.read_head()
    assert client.read_chunk() == b"a"
    told_at = time.monotonic()
    _terminate(gateway)
    upstream.send(b"1\r\nb\r\n")
    assert client.read_chunk() == b"b"

    with pytest.raises(Cut):
        client.read_chunk()
    assert 0.9 < time.monotonic() - told_at < 5
    assert gateway.exit_status() == 0
    told = gateway.logged(lane.path)
    assert (told["status"], told["reason"]) == (200, "stopped")


@clause("8.stop.cut", own_choice=DRAINING, needs=Capability.UPGRADES)
def test_a_tunnel_is_cut_when_the_time_to_drain_is_over(launch: Launch) -> None:
    gateway = launch("--drain", "1", single=1)
    lane = gateway.lane()
    client = gateway.client()
    client.send(get(lane.path, b"Connection: Upgrade", b"Upgrade: echo"))
    upstream = lane.accept_for(client)
    assert upstream.read_request().values(b"upgrade") == [b"echo"]
    upstream.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
    assert client.read_response().status == 101
    told_at = time.monotonic()
    _terminate(gateway)
    upstream.send(b"still there")
    assert client.read(11) == b"still there"

    client.outlast()
    assert 0.9 < time.monotonic() - told_at < 5
    assert gateway.exit_status() == 0


@clause("8.stop.drain", "8.stop.cut", own_choice=DRAINING)
def test_a_drain_of_no_seconds_cuts_what_is_under_way_at_once(launch: Launch) -> None:
    gateway = launch("--drain", "0", single=1)
    client, _ = _asked(gateway, gateway.lane())
    gateway.terminate()

    client.outlast()
    assert gateway.exit_status(within_s=6) == 0, "and not after the 8 s of the default"


@clause("8.stop.second", own_choice=DRAINING)
def test_a_second_signal_stops_at_once_with_status_1(launch: Launch) -> None:
    gateway = launch(*LONG, single=1)
    client, _ = _asked(gateway, gateway.lane())
    _terminate(gateway)
    gateway.terminate()

    assert gateway.exit_status() == 1
    client.outlast()


@pytest.mark.slow
@clause("1.options.drain", own_choice=DRAINING)
def test_all_is_over_before_docker_stop_loses_patience(launch: Launch) -> None:
    gateway = launch(single=1)
    client, upstream = _asked(gateway, gateway.lane())
    upstream.send(EVENTS + b"1\r\na\r\n")
    client.read_head()
    told_at = time.monotonic()
    gateway.terminate()

    assert gateway.exit_status(within_s=12) == 0
    assert 7.5 < time.monotonic() - told_at < 10
