"""What own pages tell of requests that are under way, and of who refused, on each engine (behaviour 10)."""

import json
from typing import Any

import pytest

from tests.contract.http.clauses import Capability, clause
from tests.contract.http.gateways import Gateway, wait_until
from tests.contract.http.script import OK, get, post
from tests.contract.http.site import Lane, full
from tests.contract.http.test_upgrades import tunnel
from tests.contract.http.wire import DEADLINE_S, Wire

OWN = "these pages are rgate's own"
BEGUN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"


def told(gateway: Gateway, path: bytes) -> dict[str, Any]:
    client = gateway.client()
    client.send(get(path, host=b"localhost"))
    document = json.loads(client.read_response().content)
    assert isinstance(document, dict)
    return document


def under_way(gateway: Gateway, lane: Lane) -> list[int]:
    """How many requests each address of *lane* is asked for."""
    backend = told(gateway, b"/_rgate/backends")["backends"][lane.name]
    return [address["in_flight"] for address in backend["addresses"]]


def becomes(gateway: Gateway, lane: Lane, numbers: list[int]) -> None:
    wait_until(lambda: under_way(gateway, lane) == numbers, DEADLINE_S, f"{numbers} under way")


@clause("10.backends.in_flight", own_choice=OWN)
@pytest.mark.parametrize("request_of", [get, lambda path: post(path, b"abc")], ids=["GET", "POST"])
def test_a_request_is_under_way_until_its_response_ended(
    gateway: Gateway, client: Wire, backend: Lane, request_of: Any
) -> None:
    assert under_way(gateway, backend) == [0]
    client.send(request_of(backend.path))
    upstream = backend.accept_for(client)
    upstream.read_request()
    assert under_way(gateway, backend) == [1]
    before = told(gateway, b"/_rgate/backends")["gateway"]["in_flight"]
    assert before >= 1
    upstream.send(BEGUN)
    client.read_head()
    assert under_way(gateway, backend) == [1]
    upstream.send(b"cde")
    client.read_until(b"abcde")
    becomes(gateway, backend, [0])


@clause("10.backends.in_flight", "5.upgrade.tunnel", own_choice=OWN, needs=Capability.UPGRADES)
def test_a_tunnel_is_under_way_until_it_ends(gateway: Gateway, client: Wire, backend: Lane) -> None:
    upstream = tunnel(client, backend)
    assert under_way(gateway, backend) == [1]
    upstream.close()
    client.outlast()
    client.close()
    becomes(gateway, backend, [0])


@clause("2.backend.policy", "5.upgrade.tunnel", own_choice=OWN, needs=Capability.UPGRADES)
def test_the_next_tunnel_goes_to_who_has_fewer(gateway: Gateway, least_pair: Lane) -> None:
    asked = dict.fromkeys((listener.port for listener in least_pair.listeners), 0)
    for number in range(20):
        upstream = tunnel(gateway.client(), least_pair)
        asked[upstream.address[1]] += 1
        assert sum(asked.values()) == number + 1
    gateway.close_clients()

    assert [*asked.values()] == [10, 10]


@clause("10.backends.in_flight", own_choice=OWN)
def test_a_response_that_is_held_for_its_envelope_is_under_way(
    gateway: Gateway, client: Wire, enveloped: Lane
) -> None:
    client.send(get(enveloped.path))
    upstream = enveloped.accept_for(client)
    upstream.read_request()
    upstream.send(BEGUN)
    becomes(gateway, enveloped, [1])
    upstream.send(b"cde")
    assert client.read_response().status == 200
    becomes(gateway, enveloped, [0])


@clause("10.backends.in_flight", own_choice=OWN)
def test_a_request_is_under_way_while_a_connection_is_made_for_it(
    gateway: Gateway, client: Wire, hasty: Lane
) -> None:
    with full(hasty):
        client.send(get(hasty.path))
        becomes(gateway, hasty, [1])
        assert client.read_response().status == 503
    becomes(gateway, hasty, [0])


@clause("10.backends.in_flight", own_choice=OWN)
def test_a_client_that_goes_away_leaves_nothing_under_way(gateway: Gateway, backend: Lane) -> None:
    clients = [gateway.client() for _ in range(3)]
    for client in clients:
        client.send(get(backend.path))
        backend.accept_for(client).read_request()
    becomes(gateway, backend, [3])
    for client in clients:
        client.close()
    becomes(gateway, backend, [0])


@clause("10.backends.in_flight", own_choice=OWN)
def test_each_of_several_is_counted_by_itself(gateway: Gateway, least_pair: Lane) -> None:
    clients = [gateway.client() for _ in range(4)]
    upstreams = []
    for client in clients:
        client.send(get(least_pair.path))
        upstreams.append(least_pair.accept_for(client))
        upstreams[-1].read_request()
    becomes(gateway, least_pair, [2, 2])
    for upstream in upstreams:
        upstream.send(OK)
    for client in clients:
        assert client.read_response().status == 200
    becomes(gateway, least_pair, [0, 0])


@clause("10.backends.resting", "10.timeline.refused", own_choice=OWN)
def test_who_refused_rests_and_the_timeline_tells_so_once(gateway: Gateway, client: Wire, half: Lane) -> None:
    def addresses() -> list[dict[str, Any]]:
        backend = told(gateway, b"/_rgate/backends")["backends"][half.name]
        return list(backend["addresses"])

    upstream: Wire | None = None
    while addresses()[0]["resting_until"] is None:  # until the one that refuses is picked first
        client.send(get(half.path))
        upstream = half.accept_or(upstream) if upstream is not None else half.accept_for(client)
        upstream.read_request()
        upstream.send(OK)
        assert client.read_response().status == 200
    refusing, other = addresses()
    assert (refusing["level"], other["level"], other["resting_until"]) == ("warn", "ok", None)
    name = refusing["address"]
    events = told(gateway, b"/_rgate/timeline")["events"]
    (event,) = [one for one in events if one["text"].startswith(f"`{name}`")]
    assert (event["kind"], event["level"], event["backend"], event["times"]) == ("out", "warn", half.name, 1)
