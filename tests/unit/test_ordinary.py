"""Ordinary heads mean on the hot path what they mean on the general way, to the byte."""

import itertools

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from rgate.core.chunked import ChunkedDecoder
from rgate.core.fields import frame_for_client, response_fields
from rgate.core.message import (
    CHUNKED,
    BadResponse,
    Refused,
    parse_request_head,
    parse_response_head,
)
from rgate.core.ordinary import ordinary_request, ordinary_response
from rgate.engines.asyncio_engine.hot_routes import request_ids
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
        *(
            b"X-Forwarded-For",
            b"x-forwarded-proto",
            b"X-Forwarded-",
            b"X-Rgate-Reason",
            b"Proxy-Connection",
            b"Proxy-Authenticate",
        ),
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
GET = b"GET /a HTTP/1.1\r\nHost: h\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED_BODIES = [
    b"3\r\nabc\r\n0\r\n\r\n",
    b"1;a=b\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
    b"0\r\n\r\n",
    # not whole, with trailers, with more behind it, malformed
    b"3\r\nabc\r\n",
    b"3\r\nabc\r\n0\r\nA: 0\r\n\r\n",
    b"3\r\nabc\r\n0\r\n\r\n0\r\n\r\n",
    b"3\nabc\r\n0\r\n\r\n",
]
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
@given(
    head=request_heads,
    strip_prefix=st.booleans(),
    content=st.sampled_from([b"", b"abc"]),
    trusted=st.booleans(),
)
@example(b"GET /ab HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nA: b\r\n\r\n", True, b"", False)
@example(b"POST /a HTTP/1.1\r\nContent-Length: 3\r\nHost: h\r\n\r\n", False, b"abc", False)
@example(
    b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\nA: b\r\n\r\n", True, b"", False
)
@example(
    b"GET /ab HTTP/1.1\r\nX-Forwarded-For: 1\r\nHost: h\r\nx-forwarded-host: a\r\nA: b\r\n\r\n",
    True,
    b"",
    False,
)
@example(GET + b"X-Forwarded-For: 1\r\n\r\n", False, b"", True)
@example(GET + b"X-Request-ID: a\r\nX-Forwarded-Host: b\r\n\r\n", False, b"", False)
@example(GET + b"X-Request-ID: a\r\nx-request-id: b\r\n\r\n", False, b"", False)
@example(GET + b"X-Forwarded-Ports: 1\r\nX-Forwarded-Port: 1\r\n\r\n", False, b"", False)
def test_an_ordinary_request_is_sent_as_the_general_way_sends_it(
    head: bytes, strip_prefix: bool, content: bytes, trusted: bool
) -> None:
    pair = Pair(strip_prefix=strip_prefix, trusted=trusted)
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


def decoded(body: bytes) -> bytes:
    """The content of a whole chunked body, without trailers."""
    decoder = ChunkedDecoder()
    content = b"".join(decoder.content(body))
    assert decoder.ended
    assert decoder.rest == b""
    assert decoder.trailers == ()
    return content


@settings(max_examples=600)
@given(head=response_heads, content=st.sampled_from([b"", b"abc", *CHUNKED_BODIES]))
@example(OK + b"Connection: keep-alive\r\nServer: x\r\nContent-Length: 3\r\n\r\n", b"abc")
@example(OK + b"X-Rgate-Reason: no_container\r\nContent-Length: 3\r\n\r\n", b"abc")
@example(b"HTTP/1.1 304 N\r\nContent-Length: 3\r\n\r\n", b"")
@example(b"HTTP/1.1 204 N\r\nServer: x\r\n\r\n", b"")
@example(b"HTTP/1.1 204 N\r\nContent-Length: 3\r\n\r\n", b"abc")  # the content belongs to nothing
@example(OK + b"Transfer-Encoding: chunked\r\nA: b\r\n\r\n", CHUNKED_BODIES[0])
@example(
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n", CHUNKED_BODIES[1]
)
@example(OK + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", CHUNKED_BODIES[0])
@example(OK + b"Transfer-Encoding: chunked\r\n\r\n", CHUNKED_BODIES[4])
@example(OK + b"Transfer-Encoding: chunked\r\n\r\n", CHUNKED_BODIES[5])
@example(b"HTTP/1.1 304 N\r\nTransfer-Encoding: chunked\r\n\r\n", b"")
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
    assert wanted.keep_alive
    assert isinstance(wanted.framing, int) or wanted.framing is CHUNKED
    plain = content if wanted.framing is not CHUNKED else decoded(content)
    framing = frame_for_client(parse_request_head(ORDINARY), length_known=wanted.framing is not CHUNKED)
    made = response_head(
        b"HTTP/1.1 %d %b" % (wanted.status, wanted.phrase),
        (*response_fields(wanted, pair.client.request_id), *framing.fields),
    )
    arrived_head, _, arrived = pair.to_client.data.partition(b"\r\n\r\n")
    assert parse_response_head(arrived_head + b"\r\n\r\n", b"GET") == parse_response_head(made, b"GET")
    assert (decoded(arrived) if framing.chunks else arrived) == plain
    assert wanted.framing in (len(plain), CHUNKED)
    assert [(one.status, one.bytes_sent, one.target) for one in pair.log] == [
        (wanted.status, len(plain), "/a/1")
    ]
    assert pair.pool.idle == [pair.upstream]


@pytest.mark.parametrize(
    "answer",
    [
        b"204 N\r\n\r\n",
        b"304 N\r\nContent-Length: 7\r\n\r\n",
        b"200 OK\r\nContent-Length: 0\r\n\r\n",
        b"200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED_BODIES[0],
    ],
)
def test_responses_of_each_ordinary_framing_take_the_hot_path(answer: bytes) -> None:
    pair = Pair()
    assert pair.send(ORDINARY)
    pair.upstream.data_received(b"HTTP/1.1 " + answer)
    pair.turns.end_turn()
    assert pair.to_client.data.startswith(b"HTTP/1.1 " + answer[:3])
    assert pair.upstream.client is None


@pytest.mark.parametrize(
    "field", [b"X-Request-ID: mine", b"X-Forwarded-For: 1.2.3.4", b"Connection: keep-alive"]
)
def test_requests_with_what_proxies_add_take_the_hot_path(field: bytes) -> None:
    assert Pair().send(b"OPTIONS /a/1 HTTP/1.1\r\nHost: h\r\n%b\r\n\r\n" % field)


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
