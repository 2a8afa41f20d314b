"""Which fields go on, and which are made (behaviour 5)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgate.core.accept import prefers_html
from rgate.core.config import Config
from rgate.core.envelope import envelope, may_be_enveloped
from rgate.core.fields import (
    ClientConnection,
    frame_for_client,
    is_in,
    request_fields,
    request_id,
    response_fields,
)
from rgate.core.message import Fields, RequestHead, parse_request_head, parse_response_head

CLIENT = ClientConnection("1.2.3.4", 8080)
PROXY = ClientConnection("1.2.3.4", 8080, trusted=True)


def request(*lines: str, first: str = "GET / HTTP/1.1") -> RequestHead:
    return parse_request_head("\r\n".join((first, "Host: h", *lines, "", "")).encode())


def sent(*lines: str, client: ClientConnection = CLIENT, upgrading: bool = False) -> Fields:
    return request_fields(request(*lines), client, b"id", upgrading=upgrading)


def test_what_came_keeps_its_order_and_spelling_and_what_is_made_stands_behind() -> None:
    assert sent("b: 1", "A: 2", "b: 3") == (
        (b"Host", b"h"),
        (b"b", b"1"),
        (b"A", b"2"),
        (b"b", b"3"),
        (b"X-Forwarded-For", b"1.2.3.4"),
        (b"X-Forwarded-Proto", b"http"),
        (b"X-Forwarded-Host", b"h"),
        (b"X-Forwarded-Port", b"8080"),
        (b"Via", b"1.1 rgate"),
        (b"X-Request-ID", b"id"),
    )


HOPS = [
    "Keep-Alive: 1",
    "Proxy-Connection: x",
    "Proxy-Authorization: x",
    "TE: gzip",
    "Upgrade: x",
    "X-Named: 1",
]


@given(lines=st.permutations(["Connection: close, X-Named", *HOPS, "Kept: 1"]))
def test_what_is_meant_for_one_hop_does_not_go_on(lines: list[str]) -> None:
    names = {name.lower() for name, _ in sent(*lines)}
    assert names & {line.partition(":")[0].lower().encode() for line in HOPS} == set()
    assert b"kept" in names
    assert b"connection" not in names


def test_connection_cannot_take_away_the_host_or_the_length() -> None:
    assert {b"Host", b"Content-Length"} <= dict(
        sent("Connection: host, content-length", "Content-Length: 1")
    ).keys()


def test_te_trailers_and_an_upgrade_are_made_anew() -> None:
    assert (b"TE", b"trailers") in sent("TE: gzip, trailers")
    upgraded = sent("Connection: keep-alive, Upgrade", "Upgrade: websocket", upgrading=True)
    assert {(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")} <= set(upgraded)


def test_forwarded_fields_count_from_trusted_proxies_only() -> None:
    came = ("X-Forwarded-For: 9.9.9.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: pub")
    stranger, proxy = dict(sent(*came)), dict(sent(*came, client=PROXY))
    assert (stranger[b"X-Forwarded-For"], stranger[b"X-Forwarded-Proto"]) == (b"1.2.3.4", b"http")
    assert (proxy[b"X-Forwarded-For"], proxy[b"X-Forwarded-Proto"]) == (b"9.9.9.9, 1.2.3.4", b"https")
    assert proxy[b"X-Forwarded-Host"] == b"pub"


@pytest.mark.parametrize(
    ("given_ids", "expected"),
    [
        (["abc"], b"abc"),
        ([], b"made"),
        (["a b"], b"made"),
        (["x" * 129], b"made"),
        (["a", "b"], b"made"),
        ([""], b"made"),
    ],
)
def test_a_request_id_is_kept_where_it_is_good(given_ids: list[str], expected: bytes) -> None:
    head = request(*(f"X-Request-ID: {value}" for value in given_ids))
    assert request_id(head, b"made") == expected
    fields = request_fields(head, CLIENT, expected)
    assert [value for name, value in fields if name.lower() == b"x-request-id"] == [expected]


def test_a_backend_cannot_speak_as_rgate() -> None:
    said = b"X-Rgate-Reason: x\r\nx-request-id: y\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nKeep-Alive: 1\r\n"
    raw = b"HTTP/1.1 200 OK\r\n" + said + b"\r\n"
    assert response_fields(parse_response_head(raw, b"GET"), b"id") == (
        (b"Set-Cookie", b"a"),
        (b"Set-Cookie", b"b"),
        (b"Via", b"1.1 rgate"),
        (b"X-Request-ID", b"id"),
    )


@pytest.mark.parametrize(
    ("first", "lines", "length_known", "chunks", "closes"),
    [
        ("GET / HTTP/1.1", (), True, False, False),
        ("GET / HTTP/1.1", (), False, True, False),
        ("GET / HTTP/1.1", ("Connection: close",), True, False, True),
        ("GET / HTTP/1.0", (), True, False, True),
        ("GET / HTTP/1.0", ("Connection: keep-alive",), True, False, False),
        ("GET / HTTP/1.0", ("Connection: keep-alive",), False, False, True),
    ],
)
def test_the_clients_framing_follows_its_version(
    first: str, lines: tuple[str, ...], length_known: bool, chunks: bool, closes: bool
) -> None:
    framing = frame_for_client(request(*lines, first=first), length_known=length_known)
    assert (framing.chunks, framing.closes) == (chunks, closes)


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
    assert is_in(peer, Config((), ()).admin_allow) is inside


@pytest.mark.parametrize(
    ("accept", "page"),
    [
        (b"text/html,application/xhtml+xml,*/*;q=0.8", True),
        (b"*/*", False),
        (b"", False),
        (b"application/json, text/html", False),
        (b"text/html;q=0.5, application/json;q=0.4", True),
        (b"text/html;q=x", False),
    ],
)
def test_a_page_is_for_those_who_prefer_one(accept: bytes, page: bool) -> None:
    assert prefers_html(accept) is page


@pytest.mark.parametrize(
    ("media_type", "content", "expected"),
    [
        (b"application/json", b'{"a": 1.10}', b'{"status_code": 200, "body": {"a": 1.10}}'),
        (b"application/problem+json", b"[]", b'{"status_code": 200, "body": []}'),
        (b"text/plain", b'h"i', b'{"status_code": 200, "body": "h\\"i"}'),
        (b"application/json", b"NaN", b'{"status_code": 200, "body": "NaN"}'),
        (b"text/plain; charset=latin-1", b"\xe9", b'{"status_code": 200, "body": "\\u00e9"}'),
        (b"text/plain", b"\xff", None),
    ],
)
def test_an_envelope_embeds_json_and_text(media_type: bytes, content: bytes, expected: bytes | None) -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Type: " + media_type + b"\r\n\r\n"
    head = parse_response_head(raw, b"GET")
    assert may_be_enveloped(head, b"GET")
    assert envelope(head, content) == expected


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Type: image/png",
        b"Content-Type: text/event-stream",
        b"A: b",
        b"Content-Type: text/plain\r\nContent-Encoding: gzip",
    ],
)
def test_anything_else_goes_raw(fields: bytes) -> None:
    assert not may_be_enveloped(
        parse_response_head(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n\r\n", b"GET"), b"GET"
    )
