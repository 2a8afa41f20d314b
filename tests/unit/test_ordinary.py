"""Ordinary heads mean on the hot path what they mean on the general way, to the byte."""

import itertools

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from rgate.core.fields import response_fields
from rgate.core.message import (
    BadResponse,
    Refused,
    parse_request_head,
    parse_response_head,
)
from rgate.core.ordinary import ordinary_request, ordinary_response
from rgate.engines.asyncio_engine.hot_path import request_ids
from rgate.engines.wire import request_head, response_head
from tests.unit.hot_pair import ORDINARY, Pair

# Small and colliding: names that matter, spelt in many ways, beside such that nearly do.
names = st.sampled_from(
    [
        *(b"Host", b"host", b"HOST", b"Connection", b"connection", b"CONNECTION", b"Content-Length"),
        *(
            b"content-length",
            b"Transfer-Encoding",
            b"TE",
            b"te",
            b"Te-x",
            b"Trailer",
            b"Upgrade",
            b"Keep-Alive",
        ),
        *(b"Upgrade-Insecure-Requests", b"Expect", b"X-Request-ID", b"x-request-id", b"X-Request-IDs"),
        *(b"X-Forwarded-For", b"X-Forwarded-", b"X-Rgate-Reason", b"Proxy-Connection", b"Proxy-Authenticate"),
        *(b"Cookie", b"Accept", b"User-Agent", b"X", b"_", b"Hos", b"Hostx", b"Via", b" Host", b"", b"A b"),
    ]
)
values = st.sampled_from(
    [
        *(b"", b"a", b"a:80", b"keep-alive", b"Keep-Alive", b"close", b"keep-alive, x", b"0", b"3", b"007"),
        *(b"-1", b"3, 3", b"chunked", b"trailers", b"100-continue", b"a b", b" a", b"a\t", b"\xff", b"\x00"),
        *(b"a\rb", b"a\nb", b"a@b", b"[::1]:80", b"timeout=5", b"x" * 500),
    ]
)
separators = st.sampled_from([b": ", b":", b":  ", b" : ", b":\t"])
lines = st.tuples(names, separators, values).map(b"".join)
ends = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r"])
blocks = st.lists(st.tuples(lines, ends).map(b"".join), max_size=6).map(b"".join)
targets = st.sampled_from(
    [
        *(
            b"/",
            b"/a",
            b"/a/b",
            b"/a?b=c",
            b"/a/../b",
            b"/a/.",
            b"/a/%2e%2E/b",
            b"/a.b/.c",
            b"/a?/../",
            b"//a//b",
        ),
        *(
            b"*",
            b"http://h/a",
            b"/a#b",
            b"/a b",
            b"/\xc3\xbc",
            b"/stats",
            b"/_rgate",
            b"/_rgate/x",
            b"/ab",
            b"",
        ),
    ]
)
methods = st.sampled_from(
    [b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"HEAD", b"OPTIONS", b"get", b"BREW"]
)
versions = st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0"])
request_heads = st.tuples(
    st.tuples(methods, targets, versions).map(b" ".join),
    st.just(b"\r\n"),
    st.sampled_from([b"Host: h\r\n", b"Host: h:80\r\n", b""]),
    blocks,
    st.just(b"\r\n"),
).map(b"".join)
status_lines = st.sampled_from(
    [
        *(b"HTTP/1.1 200 OK", b"HTTP/1.1 200", b"HTTP/1.1 404 ", b"HTTP/1.1 599 \xff", b"HTTP/1.0 200 OK"),
        *(b"HTTP/1.1 101 S", b"HTTP/1.1 204 N", b"HTTP/1.1 2000 O", b"HTTP/1.1  200 OK", b"HTTP/1.1 304 N"),
    ]
)
response_heads = st.tuples(
    status_lines,
    st.just(b"\r\n"),
    blocks,
    st.sampled_from([b"Content-Length: 3\r\n", b""]),
    st.just(b"\r\n"),
).map(b"".join)


@settings(max_examples=600)
@given(head=request_heads, strip_prefix=st.booleans(), content=st.sampled_from([b"", b"abc"]))
@example(b"GET /ab HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nA: b\r\n\r\n", True, b"")
@example(b"POST /a HTTP/1.1\r\nContent-Length: 3\r\nHost: h\r\n\r\n", False, b"abc")
@example(b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\nA: b\r\n\r\n", True, b"")
def test_an_ordinary_request_is_sent_as_the_general_way_sends_it(
    head: bytes, strip_prefix: bool, content: bytes
) -> None:
    pair = Pair(strip_prefix=strip_prefix)
    if not pair.send(head + content):
        assert pair.to_upstream.data == b""
        return
    exchange = pair.exchange(head)
    wanted = request_head(exchange.forwarded())
    sent = pair.to_upstream.data
    assert sent.endswith(content)
    sent_head = sent[: len(sent) - len(content)] if content and exchange.head.framing else sent
    assert exchange.head.framing == len(sent) - len(sent_head)
    # Blanks around values are the only thing that the general way writes in its own manner.
    assert parse_request_head(sent_head) == parse_request_head(wanted)
    assert sent_head.split(b"\r\n")[0] == wanted.split(b"\r\n")[0]


@given(head=request_heads)
def test_the_pattern_takes_no_request_that_the_general_way_refuses(head: bytes) -> None:
    matched = ordinary_request(100).match(head)
    if matched is not None and matched["host"] is not None:
        parse_request_head(head[: matched.end()])


@settings(max_examples=600)
@given(head=response_heads, content=st.sampled_from([b"", b"abc"]))
@example(b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nServer: x\r\nContent-Length: 3\r\n\r\n", b"abc")
@example(b"HTTP/1.1 200 OK\r\nX-Rgate-Reason: no_container\r\nContent-Length: 3\r\n\r\n", b"abc")
@example(b"HTTP/1.1 304 N\r\nContent-Length: 3\r\n\r\n", b"")
@example(b"HTTP/1.1 204 N\r\nServer: x\r\n\r\n", b"")
@example(b"HTTP/1.1 204 N\r\nContent-Length: 3\r\n\r\n", b"abc")  # the content belongs to nothing
def test_an_ordinary_response_arrives_as_the_general_way_writes_it(head: bytes, content: bytes) -> None:
    pair = Pair()
    assert pair.send(ORDINARY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rgate.engines.asyncio_engine.upstream.Upstream.data_received", lambda *_: None)
        pair.upstream.data_received(head + content)
    pair.turns.end_turn()
    if not pair.to_client.data:
        assert pair.log == []
        return
    try:
        wanted = parse_response_head(head, b"GET")
    except (BadResponse, Refused) as error:
        pytest.fail(f"the general way refuses it: {error}")
    assert wanted.framing == len(content)
    assert wanted.keep_alive
    made = response_head(
        b"HTTP/1.1 %d %b" % (wanted.status, wanted.phrase), response_fields(wanted, pair.client.request_id)
    )
    arrived = pair.to_client.data
    assert arrived.endswith(b"\r\n\r\n" + content)
    arrived_head = arrived.removesuffix(content)
    assert parse_response_head(arrived_head, b"GET") == parse_response_head(made, b"GET")
    assert [(one.status, one.bytes_sent, one.target) for one in pair.log] == [
        (wanted.status, len(content), "/a/1")
    ]
    assert pair.pool.idle == [pair.upstream]


@pytest.mark.parametrize("status", [b"204 N", b"304 N", b"200 OK"])
def test_responses_with_and_without_content_take_the_hot_path(status: bytes) -> None:
    pair = Pair()
    assert pair.send(ORDINARY)
    pair.upstream.data_received(
        b"HTTP/1.1 %b\r\n%b\r\n" % (status, b"Content-Length: 0\r\n" if status == b"200 OK" else b"")
    )
    pair.turns.end_turn()
    assert pair.to_client.data.startswith(b"HTTP/1.1 " + status)
    assert pair.upstream.client is None


def test_ids_differ() -> None:
    made = list(itertools.islice(request_ids(), 10_000))
    assert len(set(made)) == len(made)
    assert {len(identity) for identity in made} == {32}
    assert not set(made) & set(itertools.islice(request_ids(), 10_000))


@given(head=response_heads, cut=st.integers(0, 40))
def test_a_part_of_a_response_is_for_the_general_way(head: bytes, cut: int) -> None:
    whole = head + b"abc"
    assume(cut)
    matched = ordinary_response(100).match(whole[:-cut])
    if matched is not None and matched["length"] is not None:
        assert len(whole) - cut - matched.end() != int(matched["length"]) or int(matched["length"]) == 0


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(ORDINARY + ORDINARY, id="another behind it"),
        pytest.param(ORDINARY[:-1], id="not whole"),
        pytest.param(b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nabc", id="content to come"),
        pytest.param(b"GET /stats HTTP/1.1\r\nHost: h\r\n\r\n", id="the statistics"),
        pytest.param(b"GET /_rgate/healthz HTTP/1.1\r\nHost: h\r\n\r\n", id="a page of rgate's"),
        pytest.param(b"GET /a HTTP/1.1\r\nHost: h\r\n" + b"A:\r\n" * 100 + b"\r\n", id="too many fields"),
        pytest.param(b"GET /a HTTP/1.1\r\nHost: h\r\nA: %b\r\n\r\n" % (b"x" * 65536), id="too large a head"),
    ],
)
def test_what_is_out_of_the_ordinary_is_not_for_the_hot_path(request_bytes: bytes) -> None:
    pair = Pair()
    assert not pair.send(request_bytes)
    assert pair.to_upstream.data == b""
