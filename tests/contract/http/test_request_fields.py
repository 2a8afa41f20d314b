"""Which of a request's fields the backend sees, and which ones the gateway makes."""

import pytest

from tests.contract.http.clauses import clause
from tests.contract.http.gateways import Gateway
from tests.contract.http.script import exchange, get, post
from tests.contract.http.site import Lane
from tests.contract.http.wire import Wire


@clause("RFC 9110 5.3", "behaviour 5")
def test_fields_keep_their_order_and_repeats(client: Wire, backend: Lane) -> None:
    lines = [b"X-B: 1", b"X-A: 2", b"x-b: 3", b"Accept: a/b", b"X-A: 4", b"Accept: c/d"]

    request = exchange(client, backend, get(backend.path, *lines)).request

    kept = [b"%b: %b" % (name.lower(), value) for name, value in request.fields]
    assert [line for line in kept if line.startswith((b"x-a:", b"x-b:", b"accept:"))] == [
        b"x-b: 1", b"x-a: 2", b"x-b: 3", b"accept: a/b", b"x-a: 4", b"accept: c/d",
    ]  # fmt: skip


@clause("behaviour 5", own_choice="field names are case-insensitive; rgate keeps their spelling")
def test_field_names_keep_their_spelling(client: Wire, backend: Lane) -> None:
    request = exchange(
        client, backend, get(backend.path, b"X-mIxEd: 1", b"ETAG: 2", b"sec-WebSocket-x: 3")
    ).request

    assert {b"X-mIxEd", b"ETAG", b"sec-WebSocket-x"} <= {name for name, _ in request.fields}


@clause("behaviour 5", own_choice="what is added stands behind what came")
def test_added_fields_come_after_those_that_came(client: Wire, backend: Lane) -> None:
    request = exchange(client, backend, get(backend.path, b"X-A: 1", b"X-B: 2")).request

    assert request.fields[:3] == ((b"Host", b"example.org"), (b"X-A", b"1"), (b"X-B", b"2"))


@clause("RFC 9110 5.5", "behaviour 5")
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"", id="an empty value"),
        pytest.param(b"a  b\tc", id="blanks inside"),
        pytest.param(b"caf\xe9", id="Latin-1"),
        pytest.param(b"\xe2\x82\xac", id="UTF-8"),
        pytest.param(b'"quoted, \\"text\\"", (x)', id="quotes and commas"),
        pytest.param(b"x" * 8000, id="8000 bytes"),
        pytest.param(b",,a,,b,", id="empty items"),
    ],
)
def test_a_value_reaches_the_backend_byte_for_byte(client: Wire, backend: Lane, value: bytes) -> None:
    request = exchange(client, backend, get(backend.path, b"X-Value: " + value)).request

    assert request.values(b"x-value") == [value]


@clause("RFC 9112 5.1")
def test_blanks_around_a_value_are_no_part_of_it(client: Wire, backend: Lane) -> None:
    request = exchange(client, backend, get(backend.path, b"X-Value: \t a \t ", b"X-None:b")).request

    assert request.values(b"x-value") == [b"a"]
    assert request.values(b"x-none") == [b"b"]


@clause("RFC 9110 5.6.2")
def test_every_character_of_a_token_may_stand_in_a_name(client: Wire, backend: Lane) -> None:
    request = exchange(client, backend, get(backend.path, b"x!#$%&'*+-.^_`|~9: 1")).request

    assert request.values(b"x!#$%&'*+-.^_`|~9") == [b"1"]


@clause("RFC 9110 5.1")
def test_an_underscore_does_not_stand_for_a_hyphen(client: Wire, backend: Lane) -> None:
    request = exchange(client, backend, get(backend.path, b"X-User: real", b"X_User: spoofed")).request

    assert request.values(b"x-user") == [b"real"]
    assert request.values(b"x_user") == [b"spoofed"]


@clause("behaviour 5")
def test_several_cookie_fields_are_not_joined(client: Wire, backend: Lane) -> None:
    request = exchange(client, backend, get(backend.path, b"Cookie: a=1", b"Cookie: b=2")).request

    assert request.values(b"cookie") == [b"a=1", b"b=2"]


@clause("RFC 9110 7.6.1", "behaviour 5")
@pytest.mark.parametrize(
    "line",
    [
        b"Keep-Alive: timeout=5",
        b"Proxy-Connection: keep-alive",
        b"Proxy-Authorization: Basic YTpi",
        b"Upgrade: h2c",
        b"TE: gzip",
    ],
)
def test_what_is_meant_for_one_hop_stays_there(client: Wire, backend: Lane, line: bytes) -> None:
    request = exchange(client, backend, get(backend.path, line)).request

    assert line.partition(b":")[0].lower() not in request.names()


@clause("RFC 9110 7.6.1")
def test_fields_that_connection_names_stay_there(client: Wire, backend: Lane) -> None:
    lines = [
        b"Connection: X-One , x-two",
        b"X-One: 1",
        b"X-Two: 2",
        b"connection: keep-alive,X-THREE",
        b"x-three: 3",
    ]

    names = exchange(client, backend, get(backend.path, *lines, b"X-Four: 4")).request.names()

    assert not {b"x-one", b"x-two", b"x-three"} & set(names)
    assert b"x-four" in names


@clause("RFC 9110 7.6.1")
def test_connection_cannot_name_host_away(client: Wire, backend: Lane) -> None:
    request = exchange(client, backend, get(backend.path, b"Connection: Host")).request

    assert request.values(b"host") == [b"example.org"]


@clause("RFC 9110 7.6.1")
def test_connection_cannot_name_the_framing_away(client: Wire, backend: Lane) -> None:
    request = exchange(client, backend, post(backend.path, b"abc", b"Connection: Content-Length")).request

    assert request.content == b"abc"


@clause("RFC 9110 7.6.1", "behaviour 5")
def test_connection_cannot_name_away_what_the_gateway_adds(client: Wire, backend: Lane) -> None:
    request = exchange(
        client, backend, get(backend.path, b"Connection: X-Forwarded-For, X-Forwarded-Proto")
    ).request

    assert request.values(b"x-forwarded-for") == [b"127.0.0.1"]
    assert request.values(b"x-forwarded-proto") == [b"http"]


@clause("RFC 9110 10.1.4", own_choice="`TE: trailers` goes on, as trailers do")
def test_te_trailers_goes_on(client: Wire, backend: Lane) -> None:
    request = exchange(
        client, backend, get(backend.path, b"TE: trailers, gzip;q=0.5", b"Connection: TE")
    ).request

    assert request.values(b"te") == [b"trailers"]


@clause("RFC 9110 7.2", "behaviour 5")
@pytest.mark.parametrize(
    "host", [b"Example.ORG", b"example.org:8080", b"[::1]:80", b"a_b.example", b"localhost"]
)
def test_host_is_kept(client: Wire, backend: Lane, host: bytes) -> None:
    sent = b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (backend.path, host)

    assert exchange(client, backend, sent).request.values(b"host") == [host]


@clause("RFC 9112 3.2", own_choice="an empty Host is a Host")
def test_an_empty_host_is_accepted(client: Wire, backend: Lane) -> None:
    sent = b"GET %b HTTP/1.1\r\nHost:\r\n\r\n" % backend.path

    assert exchange(client, backend, sent).response.status == 200


@clause("behaviour 5")
def test_the_backend_is_told_who_asked_and_for_what(gateway: Gateway, backend: Lane) -> None:
    client = gateway.client(source="127.0.0.2")

    request = exchange(client, backend, get(backend.path)).request

    assert request.values(b"x-forwarded-for") == [b"127.0.0.2"]
    assert request.values(b"x-forwarded-proto") == [b"http"]
    assert request.values(b"x-forwarded-host") == [b"example.org"]
    assert request.values(b"x-forwarded-port") == [b"%d" % gateway.port]


@clause("behaviour 5")
@pytest.mark.parametrize(
    "name", [b"X-Forwarded-For", b"x-forwarded-proto", b"X-FORWARDED-HOST", b"X-Forwarded-Port"]
)
def test_what_a_stranger_says_of_itself_is_dropped(client: Wire, backend: Lane, name: bytes) -> None:
    request = exchange(client, backend, get(backend.path, name + b": 6.6.6.6", name + b": 7.7.7.7")).request

    assert len(request.values(name)) == 1
    assert request.values(name)[0] not in (b"6.6.6.6", b"7.7.7.7")


@clause("behaviour 5")
def test_what_a_trusted_proxy_says_is_kept(limited: Gateway) -> None:
    lane = limited.lane()
    lines = [
        b"X-Forwarded-For: 192.0.2.1", b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: shop.example", b"X-Forwarded-Port: 443",
    ]  # fmt: skip
    with limited.client() as client:
        request = exchange(client, lane, get(lane.path, *lines)).request

    assert [item for value in request.values(b"x-forwarded-for") for item in value.split(b", ")] == [
        b"192.0.2.1",
        b"127.0.0.1",
    ]
    assert request.values(b"x-forwarded-proto") == [b"https"]
    assert request.values(b"x-forwarded-host") == [b"shop.example"]
    assert request.values(b"x-forwarded-port") == [b"443"]


@clause("behaviour 5")
def test_another_peer_is_not_trusted(limited: Gateway) -> None:
    lane = limited.lane()
    with limited.client(source="127.0.0.9") as client:
        request = exchange(client, lane, get(lane.path, b"X-Forwarded-For: 192.0.2.1")).request

    assert request.values(b"x-forwarded-for") == [b"127.0.0.9"]


@clause("RFC 9110 7.6.3")
def test_via_tells_of_each_gateway_in_turn(client: Wire, backend: Lane) -> None:
    request = exchange(client, backend, get(backend.path, b"Via: 1.0 first")).request

    via = request.items(b"via")
    assert via[0] == b"1.0 first"
    assert len(via) == 2
    assert via[1].startswith(b"1.1 ")


@clause("behaviour 5", own_choice="request ids are no part of HTTP")
@pytest.mark.parametrize("given", [b"a", b"abc-123_{}~!", b"x" * 128])
def test_a_request_id_that_came_is_kept(client: Wire, backend: Lane, given: bytes) -> None:
    seen = exchange(client, backend, get(backend.path, b"X-Request-ID: " + given))

    assert seen.request.values(b"x-request-id") == [given]
    assert seen.response.values(b"x-request-id") == [given]


@clause("behaviour 5", own_choice="request ids are no part of HTTP")
@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([], id="none"),
        pytest.param([b"X-Request-ID:"], id="an empty one"),
        pytest.param([b"X-Request-ID: " + b"x" * 129], id="129 characters"),
        pytest.param([b"X-Request-ID: a b"], id="a blank inside"),
        pytest.param([b"X-Request-ID: caf\xe9"], id="a byte that is not ASCII"),
        pytest.param([b"X-Request-ID: a", b"X-Request-ID: b"], id="two of them"),
    ],
)
def test_a_request_id_is_made_in_place_of(client: Wire, backend: Lane, lines: list[bytes]) -> None:
    seen = exchange(client, backend, get(backend.path, *lines))

    (made,) = seen.request.values(b"x-request-id")
    assert made
    assert made.isascii()
    assert made not in (b"a", b"b", b"a b", b"x" * 129)
    assert seen.response.values(b"x-request-id") == [made]


@clause("behaviour 5")
def test_nothing_else_is_added(client: Wire, backend: Lane) -> None:
    names = exchange(client, backend, get(backend.path, b"X-A: 1")).request.names()

    ours = {b"host", b"x-a", b"via", b"x-request-id", b"connection"}
    assert {name for name in names if name not in ours and not name.startswith(b"x-forwarded-")} == set()


@clause("behaviour 5")
def test_credentials_and_preferences_reach_the_backend_unchanged(client: Wire, backend: Lane) -> None:
    lines = (
        b"Authorization: Bearer x==", b"Accept-Encoding: br;q=0.1, zstd", b"User-Agent: a (b)",
        b"Range: bytes=0-1", b'If-None-Match: W/"x"', b"Forwarded: for=192.0.2.1", b"Origin: null",
        b"Cookie: a=b; c",
    )  # fmt: skip

    request = exchange(client, backend, get(backend.path, *lines)).request

    assert [b"%b: %b" % (name, value) for name, value in request.fields][1:9] == list(lines)


@clause("behaviour 2")
def test_a_hundred_fields_are_accepted(client: Wire, backend: Lane) -> None:
    lines = [b"X-%d: %d" % (number, number) for number in range(99)]  # and Host

    request = exchange(client, backend, get(backend.path, *lines)).request

    assert [value for name, value in request.fields if name[2:].isdigit()] == [b"%d" % n for n in range(99)]
