"""Which of a request's fields the backend sees, and which ones the gateway makes."""

import pytest

from tests.contract.http.clauses import clause
from tests.contract.http.gateways import Gateway
from tests.contract.http.script import exchange, get, post
from tests.contract.http.site import STRANGER, TRUSTED, Lane
from tests.contract.http.wire import Wire


@clause("RFC 9110 5.3", "5.fields.unchanged")
def test_fields_keep_their_order_and_repeats(client: Wire, backend: Lane) -> None:
    lines = [b"X-B: 1", b"X-A: 2", b"x-b: 3", b"Accept: a/b", b"X-A: 4", b"Accept: c/d"]

    request = exchange(client, backend, get(backend.path, *lines)).request

    kept = [b"%b: %b" % (name.lower(), value) for name, value in request.fields]
    assert [line for line in kept if line.startswith((b"x-a:", b"x-b:", b"accept:"))] == [
        b"x-b: 1", b"x-a: 2", b"x-b: 3", b"accept: a/b", b"x-a: 4", b"accept: c/d",
    ]  # fmt: skip


@clause("5.fields.unchanged", own_choice="field names are case-insensitive; rgate keeps their spelling")
def test_field_names_keep_their_spelling(client: Wire, backend: Lane) -> None:
    request = exchange(
        client, backend, get(backend.path, b"X-mIxEd: 1", b"ETAG: 2", b"sec-WebSocket-x: 3")
    ).request

    assert {b"X-mIxEd", b"ETAG", b"sec-WebSocket-x"} <= {name for name, _ in request.fields}


@clause("5.fields.unchanged", own_choice="what is added stands behind what came")
def test_added_fields_come_after_those_that_came(client: Wire, backend: Lane) -> None:
    request = exchange(client, backend, get(backend.path, b"X-A: 1", b"X-B: 2")).request

    assert request.fields[:3] == ((b"Host", b"example.org"), (b"X-A", b"1"), (b"X-B", b"2"))


@clause("RFC 9110 5.5", "5.fields.unchanged")
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


@clause("5.fields.cookies")
def test_several_cookie_fields_are_not_joined(client: Wire, backend: Lane) -> None:
    request = exchange(client, backend, get(backend.path, b"Cookie: a=1", b"Cookie: b=2")).request

    assert request.values(b"cookie") == [b"a=1", b"b=2"]


@clause("RFC 9110 7.6.1", "5.hop.keep_alive", "5.hop.proxy_auth", "5.hop.te", "5.hop.upgrade")
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


@clause("RFC 9110 7.6.1", "5.hop.connection")
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


@clause("RFC 9110 7.6.1", "5.fields.forwarded")
def test_connection_cannot_name_away_what_the_gateway_adds(client: Wire, backend: Lane) -> None:
    request = exchange(
        client, backend, get(backend.path, b"Connection: X-Forwarded-For, X-Forwarded-Proto")
    ).request

    assert request.values(b"x-forwarded-for") == [b"127.0.0.1"]
    assert request.values(b"x-forwarded-proto") == [b"http"]


@clause("RFC 9110 10.1.4", "5.hop.te", own_choice="`TE: trailers` goes on, as trailers do")
def test_te_trailers_goes_on(client: Wire, backend: Lane) -> None:
    request = exchange(
        client, backend, get(backend.path, b"TE: trailers, gzip;q=0.5", b"Connection: TE")
    ).request

    assert request.values(b"te") == [b"trailers"]


@clause("RFC 9110 10.1.4", "5.hop.te")
def test_te_that_goes_on_is_named_by_connection(client: Wire, backend: Lane) -> None:
    request = exchange(client, backend, get(backend.path, b"TE: trailers", b"Connection: TE")).request

    assert request.values(b"te") == [b"trailers"]
    assert request.items(b"connection").count(b"te") == 1


@clause("RFC 9110 7.2", "5.fields.host")
@pytest.mark.parametrize(
    "host",
    [
        *(b"Example.ORG", b"example.org:8080", b"[::1]:80", b"a_b.example", b"localhost"),
        *(b"a..b", b".a", b"a..", b"a" * 70, b"-a", b"a%20b", b"a:99999"),  # some libraries refuse these
    ],
)
def test_host_is_kept(client: Wire, backend: Lane, host: bytes) -> None:
    sent = b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (backend.path, host)

    assert exchange(client, backend, sent).request.values(b"host") == [host]


@clause("RFC 9112 3.2", own_choice="an empty Host is a Host")
def test_an_empty_host_is_accepted(client: Wire, backend: Lane) -> None:
    sent = b"GET %b HTTP/1.1\r\nHost:\r\n\r\n" % backend.path

    assert exchange(client, backend, sent).response.status == 200


@clause("5.fields.forwarded")
def test_the_backend_is_told_who_asked_and_for_what(gateway: Gateway, backend: Lane) -> None:
    client = gateway.client(source="127.0.0.2")

    request = exchange(client, backend, get(backend.path)).request

    assert request.values(b"x-forwarded-for") == [b"127.0.0.2"]
    assert request.values(b"x-forwarded-proto") == [b"http"]
    assert request.values(b"x-forwarded-host") == [b"example.org"]
    assert request.values(b"x-forwarded-port") == [b"%d" % gateway.port]


@clause("5.fields.strangers")
@pytest.mark.parametrize(
    "name", [b"X-Forwarded-For", b"x-forwarded-proto", b"X-FORWARDED-HOST", b"X-Forwarded-Port"]
)
def test_what_a_stranger_says_of_itself_is_dropped(client: Wire, backend: Lane, name: bytes) -> None:
    request = exchange(client, backend, get(backend.path, name + b": 6.6.6.6", name + b": 7.7.7.7")).request

    assert len(request.values(name)) == 1
    assert request.values(name)[0] not in (b"6.6.6.6", b"7.7.7.7")


@clause("5.fields.further", own_choice="applications believe these fields; others pass some of them on")
@pytest.mark.parametrize(
    "name",
    [
        b"Forwarded",
        b"X-Real-IP",
        b"X-Forwarded-Prefix",
        b"X-Forwarded-Ssl",
        b"X-Forwarded-Scheme",
        b"X-Forwarded-Server",
        b"x-forwarded-by",
        b"X-FORWARDED-Anything-Else",
        b"X-Forwarded-",
    ],
)
def test_what_else_a_stranger_says_of_its_way_is_dropped(client: Wire, backend: Lane, name: bytes) -> None:
    request = exchange(client, backend, get(backend.path, name + b": 6.6.6.6", b"X-A: 1")).request

    assert request.values(name) == []
    assert request.values(b"x-a") == [b"1"]


ALIKE = [
    b"X_Forwarded_For",
    b"x-forwarded_for",
    b"X_FORWARDED-Host",
    b"X_Forwarded_Proto",
    b"X-Forwarded_Port",
    b"X_Forwarded_Prefix",
    b"X_Forwarded_Anything",
    b"X_Real_IP",
    b"X-Real_IP",
    b"X_Request_ID",
    b"X-Request_ID",
]


@clause(
    "RFC 3875 4.1.18",
    "5.fields.underscore",
    own_choice="`_` and `-` are the same to CGI and WSGI applications",
)
@pytest.mark.parametrize("peer", [TRUSTED, STRANGER])
@pytest.mark.parametrize("name", ALIKE)
def test_what_becomes_such_a_field_in_an_application_is_dropped_whoever_sends_it(
    limited: Gateway, name: bytes, peer: str
) -> None:
    lane = limited.lane()
    with limited.client(peer) as client:
        request = exchange(client, lane, get(lane.path, name + b": 6.6.6.6", b"X_A: 1")).request

    assert not [value for value in request.fields if b"6.6.6.6" in value]
    assert request.values(b"x_a") == [b"1"]


@clause("5.fields.underscore", own_choice="request ids are no part of HTTP")
def test_a_request_id_with_an_underscore_is_none(client: Wire, backend: Lane) -> None:
    seen = exchange(client, backend, get(backend.path, b"X_Request_ID: mine"))

    assert len(seen.request.values(b"x-request-id")) == 1
    assert b"mine" not in seen.request.values(b"x-request-id") + seen.response.values(b"x-request-id")


@clause("5.hop.proxy", own_choice="CGI applications take `Proxy` for HTTP_PROXY")
@pytest.mark.parametrize("peer", [TRUSTED, STRANGER])
def test_proxy_is_dropped_whoever_sends_it(limited: Gateway, peer: str) -> None:
    lane = limited.lane()
    with limited.client(peer) as client:
        request = exchange(client, lane, get(lane.path, b"Proxy: http://6.6.6.6", b"pROXY: x")).request

    assert request.values(b"proxy") == []


@clause("RFC 9110 6.5.1", "5.fields.trailers")
@pytest.mark.parametrize("peer", [TRUSTED, STRANGER])
def test_what_frames_routes_or_tells_of_the_way_is_no_trailer(limited: Gateway, peer: str) -> None:
    names = [
        b"Content-Length", b"Transfer-Encoding", b"Host", b"Connection", b"TE", b"Upgrade", b"Proxy",
        b"X-Forwarded-For", b"X-Forwarded-Proto", b"X-Forwarded-Ssl", b"X-Forwarded-Prefix", b"X-Real-IP",
        b"Forwarded", b"X-Request-ID", *ALIKE,
    ]  # fmt: skip
    lane = limited.lane()
    head = get(lane.path, b"Transfer-Encoding: chunked", method=b"POST")
    trailers = b"".join(b"%b: 6\r\n" % name for name in names)
    with limited.client(peer) as client:
        request = exchange(client, lane, head + b"1\r\na\r\n0\r\nX-T: 1\r\n" + trailers + b"\r\n").request

    assert request.content == b"a"
    assert {name.lower() for name, _ in request.trailers} <= {b"x-t"}


@clause("2.strip.told", own_choice="the field has no standard")
def test_the_backend_is_told_the_prefix_that_was_removed(client: Wire, stripping: Lane) -> None:
    request = exchange(client, stripping, get(stripping.path + b"/x")).request

    assert request.values(b"x-forwarded-prefix") == [stripping.path]


@clause("2.strip.told", own_choice="the field has no standard")
def test_the_prefix_is_told_without_the_slash_at_its_end(client: Wire, slashed: Lane) -> None:
    request = exchange(client, slashed, get(slashed.path + b"x")).request

    assert request.values(b"x-forwarded-prefix") == [slashed.path.removesuffix(b"/")]


@clause("5.fields.further", own_choice="the field has no standard")
def test_a_prefix_of_a_strangers_is_not_told(client: Wire, stripping: Lane) -> None:
    sent = get(stripping.path, b"X-Forwarded-Prefix: /evil", b"X-Forwarded-Prefix: /more")

    assert exchange(client, stripping, sent).request.values(b"x-forwarded-prefix") == [stripping.path]


@clause("2.strip.trusted", own_choice="the field has no standard")
@pytest.mark.parametrize("lines", [[b"X-Forwarded-Prefix: /outer"], [b"X-Forwarded-Prefix:"], []])
def test_the_prefix_is_told_behind_the_one_of_a_trusted_proxy(limited: Gateway, lines: list[bytes]) -> None:
    lane = limited.lane("stripping")
    with limited.client(TRUSTED) as client:
        request = exchange(client, lane, get(lane.path + b"/x", *lines)).request

    outer = b"/outer" if lines and b"/outer" in lines[0] else b""
    assert request.values(b"x-forwarded-prefix") == [outer + lane.path]


@clause("2.strip.untold", own_choice="the field has no standard")
def test_no_prefix_is_told_where_none_was_removed(client: Wire, backend: Lane) -> None:
    assert exchange(client, backend, get(backend.path)).request.values(b"x-forwarded-prefix") == []


@clause("5.fields.trusted")
def test_what_a_trusted_proxy_says_is_kept(limited: Gateway) -> None:
    lane = limited.lane()
    lines = [
        b"X-Forwarded-For: 192.0.2.1", b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: shop.example", b"X-Forwarded-Port: 443", b"X-Forwarded-Ssl: on",
        b"X-Forwarded-Prefix: /outer", b"X-Real-IP: 192.0.2.1", b"Forwarded: for=192.0.2.1",
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
    assert request.values(b"x-forwarded-ssl") == [b"on"]
    assert request.values(b"x-forwarded-prefix") == [b"/outer"]
    assert request.values(b"x-real-ip") == [b"192.0.2.1"]
    assert request.values(b"forwarded") == [b"for=192.0.2.1"]


@clause("2.admin.trusted", "5.fields.strangers")
def test_another_peer_is_not_trusted(limited: Gateway) -> None:
    lane = limited.lane()
    with limited.client(source="127.0.0.9") as client:
        request = exchange(client, lane, get(lane.path, b"X-Forwarded-For: 192.0.2.1")).request

    assert request.values(b"x-forwarded-for") == [b"127.0.0.9"]


@clause("RFC 9110 7.6.3", "5.fields.via")
def test_via_tells_of_each_gateway_in_turn(client: Wire, backend: Lane) -> None:
    request = exchange(client, backend, get(backend.path, b"Via: 1.0 first")).request

    via = request.items(b"via")
    assert via[0] == b"1.0 first"
    assert len(via) == 2
    assert via[1].startswith(b"1.1 ")


@clause("RFC 9110 7.6.3", "5.fields.via")
def test_via_says_1_0_of_a_request_that_came_as_http_1_0(client: Wire, backend: Lane) -> None:
    request = exchange(client, backend, get(backend.path, version=b"HTTP/1.0")).request

    assert request.line.endswith(b"HTTP/1.1")
    assert [one.split(b" ")[0] for one in request.items(b"via")] == [b"1.0"]


@clause("5.fields.request_id", "5.fields.response_id", own_choice="request ids are no part of HTTP")
@pytest.mark.parametrize("given", [b"a", b"abc-123_{}~!", b"x" * 128])
def test_a_request_id_that_came_is_kept(client: Wire, backend: Lane, given: bytes) -> None:
    seen = exchange(client, backend, get(backend.path, b"X-Request-ID: " + given))

    assert seen.request.values(b"x-request-id") == [given]
    assert seen.response.values(b"x-request-id") == [given]


@clause("5.fields.request_id", "5.fields.response_id", own_choice="request ids are no part of HTTP")
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


@clause("5.fields.unchanged")
def test_nothing_else_is_added(client: Wire, backend: Lane) -> None:
    names = exchange(client, backend, get(backend.path, b"X-A: 1")).request.names()

    ours = {b"host", b"x-a", b"via", b"x-request-id", b"connection"}
    assert {name for name in names if name not in ours and not name.startswith(b"x-forwarded-")} == set()


@clause("5.fields.unchanged")
def test_credentials_and_preferences_reach_the_backend_unchanged(client: Wire, backend: Lane) -> None:
    lines = (
        b"Authorization: Bearer x==", b"Accept-Encoding: br;q=0.1, zstd", b"User-Agent: a (b)",
        b"Range: bytes=0-1", b'If-None-Match: W/"x"', b"DNT: 1", b"Origin: null",
        b"Cookie: a=b; c",
    )  # fmt: skip

    request = exchange(client, backend, get(backend.path, *lines)).request

    assert [b"%b: %b" % (name, value) for name, value in request.fields][1:9] == list(lines)


@clause("2.limits.header_fields")
def test_a_hundred_fields_are_accepted(client: Wire, backend: Lane) -> None:
    lines = [b"X-%d: %d" % (number, number) for number in range(99)]  # and Host

    request = exchange(client, backend, get(backend.path, *lines)).request

    assert [value for name, value in request.fields if name[2:].isdigit()] == [b"%d" % n for n in range(99)]
