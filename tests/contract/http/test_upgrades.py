"""Tunnels: from a 101 on, bytes go both ways and mean nothing to the gateway (RFC 9110 7.8)."""

import pytest

from tests.contract.http.clauses import LACKING, Capability, clause
from tests.contract.http.gateways import Gateway
from tests.contract.http.script import OK, answer, exchange, get, own_answer, post
from tests.contract.http.site import DEFAULT_BODY, Lane
from tests.contract.http.wire import Wire

WEBSOCKET = [
    b"Connection: keep-alive, Upgrade", b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
]  # fmt: skip
SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
UPGRADES = Capability.UPGRADES


def tunnel(client: Wire, backend: Lane) -> Wire:
    """Ask for a tunnel, and return the backend's end of it."""
    client.send(get(backend.path, *WEBSOCKET))
    upstream = backend.accept_for(client)
    upstream.read_request()
    upstream.send(SWITCHING)
    assert client.read_response().status == 101
    return upstream


def _offer(*protocols: bytes, options: bytes = b"Upgrade") -> list[bytes]:
    """Return the lines of a request that offers to switch to *protocols*."""
    return [b"Connection: " + options, *(b"Upgrade: " + one for one in protocols)]


def _switched_to(protocol: bytes) -> bytes:
    return b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %b\r\n\r\n" % protocol


HTTP2_SETTINGS = b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"
# What would open a way past the gateway is no offer: HTTP/2 without TLS, and TLS within HTTP/1.1.
NO_OFFERS = {
    "h2c as RFC 7540 has it": [*_offer(b"h2c", options=b"Upgrade, HTTP2-Settings"), HTTP2_SETTINGS],
    "h2c in capitals": [*_offer(b"H2C", options=b"HTTP2-Settings, upgrade"), HTTP2_SETTINGS],
    "settings that connection does not name": [*_offer(b"h2c"), HTTP2_SETTINGS],
    "settings alone": [HTTP2_SETTINGS],
    "TLS": _offer(b"TLS/1.2"),
    "TLS in small letters": _offer(b"tls/1.3"),
    "both in one field": _offer(b"TLS/1.0,h2c"),
    "both in two fields": _offer(b"h2c", b"TLS/1.2"),
}


@clause("RFC 9110 7.8", "RFC 6455 4", "5.upgrade.tunnel", needs=UPGRADES)
def test_both_ends_see_each_others_handshake(client: Wire, backend: Lane) -> None:
    client.send(get(backend.path, *WEBSOCKET))
    upstream = backend.accept_for(client)
    request = upstream.read_request()
    upstream.send(SWITCHING)
    response = client.read_response()

    assert request.values(b"upgrade") == [b"websocket"]
    assert b"upgrade" in request.items(b"connection")
    assert request.values(b"sec-websocket-key") == [b"dGhlIHNhbXBsZSBub25jZQ=="]
    assert response.status == 101
    assert response.values(b"upgrade") == [b"websocket"]
    assert b"upgrade" in response.items(b"connection")
    assert response.values(b"sec-websocket-accept") == [b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]


@clause("5.upgrade.tunnel", needs=UPGRADES)
def test_bytes_go_both_ways_unchanged(client: Wire, backend: Lane) -> None:
    upstream = tunnel(client, backend)

    client.send(b"\x81\x05hello\r\n\r\n\x00")
    assert upstream.read(12 - 2) == b"\x81\x05hello\r\n\r\n\x00"[:10]
    assert upstream.read(2) == b"\n\x00"
    upstream.send(bytes(range(256)))
    assert client.read(256) == bytes(range(256))


@clause("5.upgrade.tunnel", needs=UPGRADES)
def test_bytes_right_behind_the_101_are_part_of_the_tunnel(client: Wire, backend: Lane) -> None:
    client.send(get(backend.path, *WEBSOCKET))
    upstream = backend.accept_for(client)
    upstream.read_request()
    upstream.send(SWITCHING + b"early")

    assert client.read_response().status == 101
    assert client.read(5) == b"early"


@clause("5.upgrade.tunnel", needs=UPGRADES)
def test_what_looks_like_a_request_in_the_tunnel_is_no_request(client: Wire, backend: Lane) -> None:
    upstream = tunnel(client, backend)
    client.send(get(b"/nowhere"))

    assert upstream.read(len(get(b"/nowhere"))) == get(b"/nowhere")


@clause("5.upgrade.half", needs=UPGRADES)
def test_a_backend_that_closes_the_tunnel_closes_the_client(client: Wire, backend: Lane) -> None:
    upstream = tunnel(client, backend)
    upstream.send(b"bye")
    upstream.close()

    assert client.read(3) == b"bye"
    assert client.is_closed()


@clause("5.upgrade.half", needs=UPGRADES)
def test_a_client_that_closes_the_tunnel_closes_the_backend(client: Wire, backend: Lane) -> None:
    upstream = tunnel(client, backend)
    client.send(b"bye")
    client.close()

    assert upstream.read(3) == b"bye"
    assert upstream.is_closed()


@clause("5.upgrade.half", own_choice="others end both ways at once", needs=UPGRADES)
def test_a_client_that_ends_its_side_of_the_tunnel_still_gets_what_the_backend_says(
    client: Wire, backend: Lane
) -> None:
    upstream = tunnel(client, backend)
    client.send(b"the last word")
    client.end_writing()

    assert upstream.read_to_end() == b"the last word"
    for _ in range(3):
        upstream.send(b"late")
        assert client.read(4) == b"late"
    upstream.send(bytes(1 << 20))
    assert client.read(1 << 20) == bytes(1 << 20)
    upstream.close()
    assert client.is_closed()


@clause("5.upgrade.half", own_choice="others end both ways at once", needs=UPGRADES)
def test_a_backend_that_ends_its_side_of_the_tunnel_still_gets_what_the_client_says(
    client: Wire, backend: Lane
) -> None:
    upstream = tunnel(client, backend)
    upstream.send(b"the last word")
    upstream.end_writing()

    assert client.read_to_end() == b"the last word"
    for _ in range(3):
        client.send(b"late")
        assert upstream.read(4) == b"late"
    client.send(bytes(1 << 20))
    assert upstream.read(1 << 20) == bytes(1 << 20)
    client.close()
    assert upstream.is_closed()


@clause("5.upgrade.half", needs=UPGRADES)
@pytest.mark.parametrize("first", ["the client", "the backend"])
def test_both_connections_end_when_both_sides_have_ended(client: Wire, backend: Lane, first: str) -> None:
    upstream = tunnel(client, backend)
    one, other = (client, upstream) if first == "the client" else (upstream, client)
    one.end_writing()
    assert other.read_to_end() == b""
    other.end_writing()

    assert one.read_to_end() == b""


@clause("5.upgrade.tunnel", needs=UPGRADES)
@pytest.mark.parametrize("who", ["the client", "the backend"])
def test_a_reset_of_one_side_ends_the_other(client: Wire, backend: Lane, who: str) -> None:
    upstream = tunnel(client, backend)
    one, other = (client, upstream) if who == "the client" else (upstream, client)
    one.reset()

    assert other.is_closed()


@clause("5.upgrade.tunnel", needs=UPGRADES)
def test_a_tunnel_carries_ten_megabytes_each_way(client: Wire, backend: Lane) -> None:
    upstream = tunnel(client, backend)
    block = bytes(range(256)) * 256
    for one, other in ((client, upstream), (upstream, client)):
        for _ in range(160):
            one.send(block)
            assert other.read(len(block)) == block


@clause(
    "RFC 9110 7.8",
    "5.upgrade.tunnel",
    own_choice="protocols other than WebSocket are tunnelled too",
    needs=UPGRADES,
)
def test_any_protocol_may_be_tunnelled(client: Wire, backend: Lane) -> None:
    client.send(get(backend.path, b"Connection: upgrade", b"Upgrade: echo/1"))
    upstream = backend.accept_for(client)
    assert upstream.read_request().values(b"upgrade") == [b"echo/1"]
    upstream.send(b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: echo/1\r\n\r\n")

    assert client.read_response().values(b"upgrade") == [b"echo/1"]
    client.send(b"x")
    assert upstream.read(1) == b"x"


@clause("RFC 9110 7.8", needs=UPGRADES)
@pytest.mark.parametrize("status", [b"200 OK", b"426 Upgrade Required", b"403 No"])
def test_a_backend_may_answer_without_switching(client: Wire, backend: Lane, status: bytes) -> None:
    client.send(get(backend.path, *WEBSOCKET))
    upstream = backend.accept_for(client)
    upstream.read_request()
    upstream.send(b"HTTP/1.1 %b\r\nContent-Length: 2\r\n\r\nno" % status)

    response = client.read_response()

    assert (response.status, response.content) == (int(status[:3]), b"no")


@clause("5.upgrade.h2c", own_choice="others answer it, refuse it, or tunnel it")
@pytest.mark.parametrize("lines", NO_OFFERS.values(), ids=NO_OFFERS)
@pytest.mark.parametrize("content", [b"", b"abc"], ids=["GET", "POST"])
def test_a_request_goes_on_without_the_offer_of(
    client: Wire, backend: Lane, lines: list[bytes], content: bytes
) -> None:
    sent = post(backend.path, content, *lines) if content else get(backend.path, *lines)

    seen = exchange(client, backend, sent)

    assert not {b"upgrade", b"http2-settings"} & set(seen.request.names())
    assert not {b"upgrade", b"http2-settings"} & set(seen.request.items(b"connection"))
    assert seen.request.content == content
    assert (seen.response.status, seen.response.content) == (200, b"ok")


@clause("RFC 9110 7.8", "RFC 9113 3.1", "5.upgrade.h2c", "5.upgrade.offered")
@pytest.mark.parametrize("protocol", [b"h2c", b"H2C", b"TLS/1.2"])
def test_a_101_to_what_was_not_offered_on_opens_no_way_past_the_gateway(
    gateway: Gateway, client: Wire, backend: Lane, protocol: bytes
) -> None:
    client.send(get(backend.path, *_offer(protocol)))
    upstream = backend.accept_for(client)
    upstream.read_request()
    upstream.send(_switched_to(protocol) + b"early")

    gateway.check_answer(client.read_response(), 502, "bad_response")
    assert upstream.is_closed()
    client.send(get(b"/nowhere"))
    assert client.read_response().content == DEFAULT_BODY


@clause("RFC 9110 7.8", "5.upgrade.h2c", needs=UPGRADES)
@pytest.mark.parametrize(
    "protocols",
    [[b"websocket, h2c"], [b"h2c, TLS/1.2 , websocket"], [b"h2c", b"websocket"], [b"websocket", b"tls/1.3"]],
)
def test_of_several_offers_only_those_that_can_be_kept_go_on(
    client: Wire, backend: Lane, protocols: list[bytes]
) -> None:
    client.send(get(backend.path, *_offer(*protocols, options=b"Upgrade, HTTP2-Settings"), HTTP2_SETTINGS))
    upstream = backend.accept_for(client)
    request = upstream.read_request()
    upstream.send(_switched_to(b"websocket"))

    assert request.items(b"upgrade") == [b"websocket"]
    assert request.items(b"connection").count(b"upgrade") == 1
    assert b"http2-settings" not in [*request.names(), *request.items(b"connection")]
    assert client.read_response().status == 101


@clause("RFC 9110 7.8", "5.upgrade.offered", own_choice="others leave that to both ends", needs=UPGRADES)
@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (b"websocket", b"echo/1"),
        (b"websocket", b"websocket, echo/1"),
        (b"websocket, h2c", b"h2c"),
        (b"echo/1", b"websocket"),
        (b"echo/1", b"echo/2"),
    ],
)
def test_a_101_that_names_what_was_not_offered_is_502(
    gateway: Gateway, client: Wire, backend: Lane, offered: bytes, chosen: bytes
) -> None:
    client.send(get(backend.path, *_offer(offered)))
    upstream = backend.accept_for(client)
    # An engine that cannot tunnel refuses the one, and ignores the other.
    assert upstream.read_request().items(b"upgrade")
    upstream.send(_switched_to(chosen))

    gateway.check_answer(client.read_response(), 502, "bad_response")
    assert upstream.is_closed()


@clause("RFC 9110 7.8", "5.upgrade.tunnel", needs=UPGRADES)
@pytest.mark.parametrize(("offered", "chosen"), [(b"WebSocket", b"websocket"), (b"echo/1, b/2", b"B/2")])
def test_one_of_the_offers_may_be_chosen_in_any_case(
    client: Wire, backend: Lane, offered: bytes, chosen: bytes
) -> None:
    client.send(get(backend.path, *_offer(offered)))
    upstream = backend.accept_for(client)
    upstream.read_request()
    upstream.send(_switched_to(chosen))

    assert client.read_response().values(b"upgrade") == [chosen]
    client.send(b"x")
    assert upstream.read(1) == b"x"


@clause("RFC 9110 7.8", "RFC 9110 10.1.4", needs=UPGRADES)
def test_connection_names_all_that_is_meant_for_the_hop(client: Wire, backend: Lane) -> None:
    client.send(get(backend.path, *_offer(b"websocket", options=b"Upgrade, TE"), b"TE: trailers"))
    upstream = backend.accept_for(client)

    assert {b"upgrade", b"te"} <= set(upstream.read_request().items(b"connection"))


@clause("RFC 9110 7.8", "RFC 9110 7.6.1", "5.hop.upgrade")
def test_an_upgrade_that_connection_does_not_name_is_no_upgrade(client: Wire, backend: Lane) -> None:
    client.send(get(backend.path, b"Upgrade: websocket"))
    upstream = backend.accept_for(client)

    assert b"upgrade" not in upstream.read_request().names()
    upstream.send(OK)
    assert client.read_response().content == b"ok"


@clause("RFC 9110 7.8")
def test_an_http_1_0_client_cannot_upgrade(client: Wire, backend: Lane) -> None:
    client.send(get(backend.path, *WEBSOCKET, version=b"HTTP/1.0"))
    upstream = backend.accept_for(client)
    assert b"upgrade" not in upstream.read_request().names()
    upstream.send(OK)

    assert client.read_response().content == b"ok"


@clause("5.upgrade.tunnel", needs=UPGRADES)
def test_a_tunnels_connection_serves_no_other_request(gateway: Gateway, client: Wire, backend: Lane) -> None:
    upstream = tunnel(client, backend)
    client.close()
    assert upstream.is_closed()
    other = gateway.client()
    other.send(get(backend.path))

    assert answer(other, backend.accept(), b"GET").response.content == b"ok"


def _skip_one_that_tunnels(gateway: Gateway) -> None:
    if UPGRADES not in LACKING.get(gateway.name, {}):
        pytest.skip("it can")


@clause("RFC 9110 15.6.2", "5.upgrade.lacking", own_choice="what an engine cannot tunnel it says so of")
@pytest.mark.parametrize("lines", [WEBSOCKET, _offer(b"WebSocket"), _offer(b"h2c, echo/1,WEBSOCKET")])
def test_an_engine_that_cannot_tunnel_says_501_to_websocket(
    gateway: Gateway, client: Wire, backend: Lane, lines: list[bytes]
) -> None:
    _skip_one_that_tunnels(gateway)
    client.send(get(backend.path, *lines))

    gateway.check_answer(own_answer(client, backend), 501, "not_implemented")


@clause("RFC 9110 7.8", "5.upgrade.lacking", own_choice="what an engine cannot tunnel it does not offer on")
@pytest.mark.parametrize("protocol", [b"echo/1", b"echo/1, irc/6.9, websockets"])
def test_an_engine_that_cannot_tunnel_ignores_other_offers(
    gateway: Gateway, client: Wire, backend: Lane, protocol: bytes
) -> None:
    _skip_one_that_tunnels(gateway)

    seen = exchange(client, backend, get(backend.path, *_offer(protocol)))

    assert b"upgrade" not in [*seen.request.names(), *seen.request.items(b"connection")]
    assert (seen.response.status, seen.response.content) == (200, b"ok")


@clause(
    "RFC 9110 7.8",
    "5.upgrade.lacking",
    "5.upgrade.offered",
    own_choice="what an engine cannot tunnel it does not offer on",
)
def test_an_engine_that_cannot_tunnel_takes_no_101(gateway: Gateway, client: Wire, backend: Lane) -> None:
    _skip_one_that_tunnels(gateway)
    client.send(get(backend.path, *_offer(b"echo/1")))
    upstream = backend.accept_for(client)
    upstream.read_request()
    upstream.send(_switched_to(b"echo/1"))

    gateway.check_answer(client.read_response(), 502, "bad_response")
