"""On which addresses the gateway listens, and as whom it knows its peers there (behaviour 1)."""

import socket

import pytest

from tests.contract.http.clauses import clause
from tests.contract.http.conftest import Launch
from tests.contract.http.gateways import Gateway
from tests.contract.http.script import answer, get
from tests.contract.http.site import DEFAULT_BODY
from tests.contract.http.wire import Wire, connect

LISTENING = "the command line is rgate's own"


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no ::1")


def _over_ipv6(gateway: Gateway) -> Wire:
    return Wire(socket.create_connection(("::1", gateway.port), 5))


@needs_ipv6
@clause("1.options.both_families", "1.options.mapped", own_choice=LISTENING)
def test_two_colons_mean_both_families_and_each_peer_is_written_in_its_own(launch: Launch) -> None:
    gateway = launch("--host", "::", single=1)
    lane = gateway.lane()
    sent = get(lane.path, b"Connection: close")
    present: list[Wire] = []
    for client, peer in ((gateway.client(), b"127.0.0.1"), (_over_ipv6(gateway), b"::1")):
        with client:
            client.send(sent)
            seen = answer(client, lane.accept_or(*present), sent)
            present.append(seen.upstream)

            assert seen.request.values(b"x-forwarded-for") == [peer]
    assert gateway.logged(lane.path)["client"] == "127.0.0.1"


@needs_ipv6
@clause("1.options.mapped", "8.pages.peer", own_choice=LISTENING)
def test_a_peer_over_ipv4_is_allowed_what_it_is_allowed_elsewhere(launch: Launch) -> None:
    gateway = launch("--host", "::", single=1)
    with gateway.client() as client:
        client.send(get(b"/_rgate/backends", host=b"localhost"))

        assert client.read_response().status == 200


@clause("1.options.host", own_choice=LISTENING)
def test_several_hosts_listen_on_one_port(launch: Launch) -> None:
    hosts = ["127.0.0.1", "127.0.0.3", *(["::1"] if _has_ipv6() else [])]
    gateway = launch(*(word for host in hosts for word in ("--host", host)), single=1)
    for host in hosts:
        with Wire(socket.create_connection((host, gateway.port), 5)) as client:
            client.send(get(b"/nowhere"))

            assert client.read_response().content == DEFAULT_BODY
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.4", gateway.port), 5)


@clause("1.options.host", own_choice=LISTENING)
def test_a_host_that_stands_twice_is_one(launch: Launch) -> None:
    gateway = launch("--host", "127.0.0.1", "--host", "127.0.0.1", single=1)
    with connect(gateway.port) as client:
        client.send(get(b"/nowhere"))

        assert client.read_response().content == DEFAULT_BODY


@clause("1.exit.else", "1.exit.message", own_choice=LISTENING)
@pytest.mark.parametrize("host", ["a..b", "192.0.2.1"])
def test_a_host_that_is_none_of_this_machine_is_told_and_not_as_a_port_that_is_taken(
    launch: Launch, host: str
) -> None:
    with pytest.raises(AssertionError, match="ended at its start") as raised:
        launch("--host", host, single=1)

    told = str(raised.value).partition("ended at its start:\n")[2]
    assert host in told
    assert "Traceback" not in told
    assert "--port" not in told
