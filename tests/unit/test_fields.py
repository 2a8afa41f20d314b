"""Which fields go on, and which are made (behaviour 5)."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.core.config import Config
from rgate.core.fields import (
    ClientConnection,
    connection_fields,
    interim_fields,
    is_in,
    response_fields,
    told_by_a_proxy,
    trailer_fields,
)
from rgate.core.message import Fields, parse_request_head, parse_response_head
from tests.unit.messages import PROXY, READING, STRANGER, TUNNEL_LESS, fields_of, request, response


def sent(
    *lines: bytes,
    first: bytes = b"GET / HTTP/1.1",
    client: ClientConnection = STRANGER,
    upgrading: bool = True,
) -> Fields:
    reading = READING if upgrading else TUNNEL_LESS
    return fields_of(request(first, *lines, client=client, reading=reading).onward)


def arrived(*lines: bytes, first: bytes = b"HTTP/1.1 200 OK") -> Fields:
    return fields_of(response(first, *lines).onward)


MADE = (
    (b"X-Forwarded-For", b"192.0.2.7"),
    (b"X-Forwarded-Proto", b"http"),
    (b"X-Forwarded-Host", b"h"),
    (b"X-Forwarded-Port", b"8080"),
    (b"Via", b"1.1 rgate"),
)


def test_what_came_keeps_its_order_and_spelling_and_what_is_made_stands_behind() -> None:
    assert sent(b"b: 1", b"A: 2", b"b: 3") == (
        *((b"Host", b"h"), (b"b", b"1"), (b"A", b"2"), (b"b", b"3")),
        *(*MADE, (b"X-Request-ID", b"id0")),
    )


# Small and colliding: names that matter, spelt in many ways, beside such that nearly do.
NAMES = [
    *(
        b"Keep-Alive",
        b"keep-alive",
        b"Proxy-Connection",
        b"Proxy-Authenticate",
        b"Proxy-Authorization",
        b"Proxy",
    ),
    *(
        b"Proxies",
        b"TE",
        b"Upgrade",
        b"HTTP2-Settings",
        b"Forwarded",
        b"Forwarded-By",
        b"X-Real-IP",
        b"X_Real_IP",
    ),
    *(b"X-Real-IPs", b"X-Forwarded-For", b"x-forwarded-for", b"X_Forwarded_For", b"X-Forwarded_For"),
    *(
        b"X-Forwarded-Proto",
        b"X-Forwarded-Host",
        b"X-Forwarded-Port",
        b"X-Forwarded-Prefix",
        b"X_Forwarded-Prefix",
    ),
    *(
        b"X-Forwarded-Ssl",
        b"X-Forwarded",
        b"X-Forwarded-",
        b"X_Request_ID",
        b"X-Request_ID",
        b"X-Rgate-Reason",
    ),
    *(b"A", b"a", b"Via", b"Cookie", b"Set-Cookie", b"Content-Type", b"Trailer", b"_", b"X-Request-IDs"),
]
names = st.sampled_from(NAMES)
came = st.lists(st.tuples(names, st.sampled_from([b"1", b"2", b"", b"a b"])), max_size=6)
options = st.lists(
    st.sampled_from(
        [b"close", b"keep-alive", b"a", b"A", b"x-forwarded-for", b"host", b"content-length", b"te"]
    ),
    max_size=3,
)
HOP_BY_HOP = {
    *(b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization", b"te", b"upgrade"),
    *(b"connection", b"transfer-encoding"),
}


def tells_of_hops(name: bytes) -> bool:
    """Whether an application where `_` and `-` are the same may take *name* for what a proxy says."""
    spelt = name.lower().replace(b"_", b"-")
    return spelt.startswith(b"x-forwarded-") or spelt in (b"x-real-ip", b"forwarded")


@given(came=came, options=options, trusted=st.booleans())
@example([(b"X_Forwarded_For", b"1")], [], False)  # once became one with the gateway's own
@example([(b"X-Real-IP", b"1"), (b"Forwarded", b"1")], [], False)
@example([(b"Proxy", b"1")], [], True)
def test_nothing_but_what_the_contract_names_is_removed_from_a_request(
    came: list[tuple[bytes, bytes]], options: list[bytes], trusted: bool
) -> None:
    expected = [(b"Host", b"h"), (b"Content-Length", b"0")]
    for name, value in came:
        lower = name.lower()
        spelt_with_underscore = b"_" in name and (
            tells_of_hops(name) or lower.replace(b"_", b"-") == b"x-request-id"
        )
        if not (
            lower in HOP_BY_HOP
            or lower in (b"proxy", b"http2-settings")
            or lower in [option.lower() for option in options]
            or spelt_with_underscore
            or (tells_of_hops(name) and not trusted)
        ):
            expected.append((name, value))
    told = {name.lower() for name, _ in expected}
    for index in reversed(range(len(expected))):  # this peer stands behind those that the last line tells of
        name, value = expected[index]
        if name.lower() == b"x-forwarded-for":
            expected[index] = (name, b", ".join(filter(None, (value, b"192.0.2.7"))))
            break
    made = [one for one in MADE if one[0] == b"Via" or one[0].lower() not in told]
    lines = [b"%b: %b" % one for one in came]
    connection = [b"Connection: " + b", ".join(options)] if options else []
    found = sent(b"Host: h", b"Content-Length: 0", *lines, *connection, client=PROXY if trusted else STRANGER)
    assert list(found) == [*expected, *made, (b"X-Request-ID", b"id0")]


@given(came=came, options=options)
@example([(b"X-Rgate-Reason", b"1")], [])
def test_nothing_but_what_the_contract_names_is_removed_from_a_response(
    came: list[tuple[bytes, bytes]], options: list[bytes]
) -> None:
    gone = {*HOP_BY_HOP, b"x-rgate-reason", *(option.lower() for option in options)} - {b"content-length"}
    kept = [(name, value) for name, value in came if name.lower() not in gone]
    lines = [b"%b: %b" % one for one in came]
    connection = [b"Connection: " + b", ".join(options)] if options else []
    found = arrived(b"Content-Length: 0", *lines, *connection)
    made = ((b"Via", b"1.1 rgate"), (b"X-Request-ID", b"id0"))
    assert found == ((b"Content-Length", b"0"), *kept, *made)


@given(came=came)
@example([(b"Content-Length", b"1"), (b"Host", b"h"), (b"X-Request-ID", b"1"), (b"Transfer-Encoding", b"x")])
def test_nothing_but_what_the_contract_names_is_removed_from_trailers(
    came: list[tuple[bytes, bytes]],
) -> None:
    never = {
        *(*HOP_BY_HOP, b"host", b"content-length", b"proxy", b"http2-settings"),
        *(b"x-request-id", b"x_request_id", b"x-request_id", b"x-rgate-reason"),
    }
    kept = tuple(one for one in came if one[0].lower() not in never and not tells_of_hops(one[0]))
    assert trailer_fields(tuple(came)) == kept


HOPS = [
    b"Keep-Alive: 1",
    b"Proxy-Connection: x",
    b"Proxy-Authorization: x",
    b"TE: gzip",
    b"Upgrade: x",
    b"X-Named: 1",
]


@given(lines=st.permutations([b"Connection: close, X-Named", *HOPS, b"Kept: 1"]))
def test_what_is_meant_for_one_hop_does_not_go_on(lines: list[bytes]) -> None:
    for found in (sent(*lines), arrived(b"Content-Length: 0", *lines)):
        names = {name.lower() for name, _ in found}
        assert names & {line.partition(b":")[0].lower() for line in HOPS} == set()
        assert b"kept" in names
        assert b"connection" not in names


def test_connection_cannot_take_away_the_host_or_the_length() -> None:
    lines = (b"Connection: host, content-length", b"Content-Length: 1")
    assert {b"Host", b"Content-Length"} <= dict(sent(*lines)).keys()
    assert b"Content-Length" in dict(arrived(*lines))


@pytest.mark.parametrize(
    ("lines", "made"),
    [
        ((b"TE: gzip, trailers",), {b"TE": b"trailers", b"Connection": b"TE"}),
        ((b"TE: Trailers", b"Connection: TE"), {b"TE": b"trailers", b"Connection": b"TE"}),
        ((b"TE: trailers;q=0.5",), {}),
        (
            (b"Connection: Upgrade", b"Upgrade: websocket"),
            {b"Upgrade": b"websocket", b"Connection": b"Upgrade"},
        ),
        (
            (b"Connection: te, upgrade", b"TE: trailers", b"Upgrade: a/1, b"),
            {b"TE": b"trailers", b"Upgrade": b"a/1, b", b"Connection": b"TE, Upgrade"},
        ),
        ((b"Connection: keep-alive", b"Upgrade: websocket"), {}),
        # They would open a way past routes and counts.
        ((b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: x"), {}),
        ((b"Connection: Upgrade", b"Upgrade: H2C, TLS/1.0, tls"), {}),
        ((b"Connection: Upgrade", b"Upgrade: h2c, x"), {b"Upgrade": b"x", b"Connection": b"Upgrade"}),
        (
            (b"Connection: Upgrade", b"Upgrade: h2cx, tlsx"),
            {b"Upgrade": b"h2cx, tlsx", b"Connection": b"Upgrade"},
        ),
    ],
)
def test_te_and_upgrade_are_made_anew(lines: tuple[bytes, ...], made: dict[bytes, bytes]) -> None:
    of_the_hop = {b"TE", b"Upgrade", b"Connection", b"HTTP2-Settings"}
    assert {name: value for name, value in sent(*lines) if name in of_the_hop} == made


@pytest.mark.parametrize("unusual", [(), (b"TE: x",)])
def test_chunks_go_on_as_chunks(unusual: tuple[bytes, ...]) -> None:
    assert (b"Transfer-Encoding", b"chunked") in sent(b"Transfer-Encoding: chunked", *unusual)
    assert (b"transfer-encoding", b"chunked") in sent(b"transfer-encoding: Chunked", *unusual)


def test_a_peer_is_a_stranger_unless_it_is_said_to_be_trusted() -> None:
    assert not ClientConnection("192.0.2.7", 80).trusted


def test_an_engine_without_tunnels_passes_no_offer_on() -> None:
    lines = (b"Connection: Upgrade", b"Upgrade: x")
    assert not {b"Upgrade", b"Connection"} & dict(sent(*lines, upgrading=False)).keys()
    assert b"Upgrade" in dict(sent(*lines))
    assert b"Upgrade" not in dict(sent(*lines, first=b"GET / HTTP/1.0"))


def test_forwarded_fields_count_from_trusted_proxies_only() -> None:
    came = (b"X-Forwarded-For: 9.9.9.9", b"X-Forwarded-Proto: https", b"X-Forwarded-Host: pub")
    stranger, proxy = dict(sent(*came)), dict(sent(*came, client=PROXY))
    assert (stranger[b"X-Forwarded-For"], stranger[b"X-Forwarded-Proto"]) == (b"192.0.2.7", b"http")
    assert (proxy[b"X-Forwarded-For"], proxy[b"X-Forwarded-Proto"]) == (b"9.9.9.9, 192.0.2.7", b"https")
    assert proxy[b"X-Forwarded-Host"] == b"pub"


@pytest.mark.parametrize(
    ("lines", "field"),
    [
        ((), b""),
        ((b"Via: 1.1 x",), b"Via"),
        ((b"Forwarded: for=a",), b"Forwarded"),
        ((b"A: b", b"X-Real-IP: a", b"Via: 1.1 x"), b"X-Real-IP"),
        ((b"x_forwarded_for: a",), b"x_forwarded_for"),
        ((b"X-Forwarded-Anything:",), b"X-Forwarded-Anything"),
        ((b"X-Forwarded: a", b"Viaduct: b"), b""),
    ],
)
def test_a_request_that_somebody_forwarded_is_known(lines: tuple[bytes, ...], field: bytes) -> None:
    assert told_by_a_proxy(request(b"GET / HTTP/1.1", *lines).head()) == field


@pytest.mark.parametrize(
    ("ids", "kept"),
    [
        ([b"abc"], b"abc"),
        ([], None),
        ([b"a b"], None),
        ([b"x" * 128], b"x" * 128),
        ([b"x" * 129], None),
        ([b"a", b"b"], None),
        ([b""], None),
        ([b"\xc3\xbc"], None),
    ],
)
@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
@pytest.mark.parametrize("options", [(), (b"Connection: X-Request-ID",)], ids=["", "meant for the hop"])
def test_a_request_id_is_kept_where_it_is_good(
    ids: list[bytes], kept: bytes | None, version: bytes, options: tuple[bytes, ...]
) -> None:
    asked = request(b"GET / " + version, *options, *(b"X-Request-ID: " + one for one in ids))
    found = [value for name, value in fields_of(asked.onward) if name.lower() == b"x-request-id"]
    assert found == [asked.identity]
    assert asked.identity == kept or (kept is None and asked.identity.startswith(b"id"))


@pytest.mark.parametrize(
    ("first", "lines", "hosts"),
    [
        (b"GET / HTTP/1.1", (b"hOst: H:80",), [b"H:80"]),
        (b"GET http://other:81/x HTTP/1.1", (b"A: b", b"Host: h"), [b"other:81"]),
        (b"GET http://other:81/x HTTP/1.0", (b"Host: h",), [b"other:81"]),
        (b"GET / HTTP/1.1", (b"Host:",), [b""]),
    ],
)
def test_the_host_is_kept_and_that_of_an_absolute_target_takes_its_place(
    first: bytes, lines: tuple[bytes, ...], hosts: list[bytes]
) -> None:
    found = sent(*lines, first=first)
    assert [value for name, value in found if name.lower() == b"host"] == hosts
    assert dict(found).get(b"X-Forwarded-Host", b"") == hosts[0]


def test_an_absolute_target_of_a_client_without_a_host_field_gives_one() -> None:
    head = parse_request_head(b"GET http://other/ HTTP/1.0\r\n\r\n")
    assert head.host == b"other"
    assert sent_without_host(b"GET http://other/ HTTP/1.0")[0] == (b"Host", b"other")
    assert not {b"Host", b"X-Forwarded-Host"} & dict(sent_without_host(b"GET / HTTP/1.0")).keys()


def sent_without_host(first: bytes) -> Fields:
    return fields_of(request(first, host=()).onward)


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_via_tells_the_version_that_a_message_came_with(version: bytes) -> None:
    # Once was 1.1 whatever came.
    assert (b"Via", version + b" rgate") in sent(first=b"GET / HTTP/" + version)
    assert (b"Via", version + b" rgate") in arrived(b"Content-Length: 0", first=b"HTTP/%b 200 OK" % version)


def test_a_backend_cannot_speak_as_rgate() -> None:
    found = arrived(
        b"X-Rgate-Reason: x", b"x-request-id: y", b"Set-Cookie: a", b"Set-Cookie: b", b"Keep-Alive: 1"
    )
    cookies = ((b"Set-Cookie", b"a"), (b"Set-Cookie", b"b"))
    assert found == (*cookies, (b"Via", b"1.1 rgate"), (b"X-Request-ID", b"id0"))


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        ((b"Content-Length: 3", b"A: b", b"content-length: 3"), [b"Content-Length: 3", b"A: b"]),
        ((b"A: b", b"content-length: 3, 3"), [b"A: b", b"content-length: 3"]),
        ((b"Transfer-Encoding: Chunked", b"A: b"), [b"Transfer-Encoding: chunked", b"A: b"]),
    ],
)
def test_what_frames_both_hops_alike_stays_and_stands_once(
    lines: tuple[bytes, ...], kept: list[bytes]
) -> None:
    head = parse_response_head(b"\r\n".join((b"HTTP/1.1 200 OK", *lines, b"", b"")), b"GET")
    assert [b"%b: %b" % one for one in response_fields(head, chunks=True)] == kept
    without = [line for line in kept if not line.startswith(b"Transfer-Encoding")]
    assert [b"%b: %b" % one for one in response_fields(head, chunks=False)] == without


def test_a_switch_of_protocols_keeps_what_it_switches_to() -> None:
    head = parse_response_head(
        b"HTTP/1.1 101 S\r\nConnection: upgrade, a\r\nUpgrade: x\r\nA: b\r\nC: d\r\n\r\n", b"GET"
    )
    assert response_fields(head, chunks=True) == (
        (b"C", b"d"),
        (b"Connection", b"Upgrade"),
        (b"Upgrade", b"x"),
    )


def test_an_interim_response_goes_on_without_what_is_of_one_hop_or_of_ours() -> None:
    lines = (
        b"Link: a",
        b"Connection: b",
        b"B: 1",
        b"Content-Length: 0",
        b"X-Request-ID: x",
        b"X-Rgate-Reason: y",
    )
    head = parse_response_head(b"\r\n".join((b"HTTP/1.1 103 E", *lines, b"Link: c", b"", b"")), b"GET")
    assert interim_fields(head) == ((b"Link", b"a"), (b"Link", b"c"))


@pytest.mark.parametrize(
    ("minor", "closes", "told"),
    [(1, False, None), (1, True, b"close"), (0, False, b"keep-alive"), (0, True, b"close")],
)
def test_a_client_is_told_of_its_connection_what_its_version_does_not_say(
    minor: int, closes: bool, told: bytes | None
) -> None:
    found = connection_fields(minor_version=minor, closes=closes)
    assert found == (((b"Connection", told),) if told else ())


@pytest.mark.parametrize(
    ("peer", "inside"),
    [
        ("127.0.0.9", True),
        ("::ffff:127.0.0.1", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("", False),
        ("fe80::1%x", False),
    ],
)
def test_the_admin_networks_are_loopback(peer: str, inside: bool) -> None:
    assert is_in(peer, Config((), ()).admin.allow) is inside
