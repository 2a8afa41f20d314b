"""Where a response ends, and how its content reaches the client."""

import pytest

from tests.contract.http.clauses import Capability, clause
from tests.contract.http.script import OK, answer, chunked, exchange, get
from tests.contract.http.site import Lane
from tests.contract.http.wire import Wire, parse_head

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@clause("RFC 9112 6.2", "2.envelope.raw", "5.content.unchanged")
def test_content_of_known_length_arrives_whole(client: Wire, backend: Lane) -> None:
    content = bytes(range(256)) * 1000
    response = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content

    seen = exchange(client, backend, get(backend.path), response).response

    assert (seen.content, seen.framing) == (content, "length")


@clause("RFC 9112 7.1", "5.content.unchanged", "5.hop.framing")
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(chunked(b"hello", b" ", b"world"), id="in three chunks"),
        pytest.param(b"000B\r\nhello world\r\n00\r\n\r\n", id="sizes with leading zeros"),
        pytest.param(b'b;x;y="z"\r\nhello world\r\n0\r\n\r\n', id="extensions"),
        pytest.param(b"b\r\nhello world\r\n0\r\nX-T: 1\r\n\r\n", id="a trailer"),
        pytest.param(b"b  \r\nhello world\r\n0 \r\n\r\n", id="sizes with blanks behind them"),
        pytest.param(b"b\t\r\nhello world\r\n0\t \r\n\r\n", id="sizes with tabs behind them"),
        pytest.param(b"b\r\nhello world\r\n0\r\n\n", id="a bare LF as the empty line"),
        pytest.param(b"b\r\nhello world\r\n0\r\nX-T: 1\nX-U: 2\n\n", id="trailers that bare LFs end"),
        pytest.param(b"b\r\nhello world\r\n0\r\nX-T: 1\n\r\n", id="a trailer that a bare LF ends"),
        pytest.param(b"b\r\nhello world\r\n0\r\nX-T: 1\r\n\n", id="a trailer before a bare LF"),
    ],
)
def test_chunked_content_arrives_whole(client: Wire, backend: Lane, body: bytes) -> None:
    seen = exchange(client, backend, get(backend.path), CHUNKED + body).response

    assert (seen.content, seen.framing) == (b"hello world", "chunked")
    assert seen.values(b"transfer-encoding") == [b"chunked"]


@clause("RFC 9112 7.1.2", "5.content.trailers", needs=Capability.TRAILERS)
def test_trailers_reach_the_client(client: Wire, backend: Lane) -> None:
    sent = get(backend.path, b"TE: trailers", b"Connection: TE")
    seen = exchange(client, backend, sent, CHUNKED + b"1\r\na\r\n0\r\nX-T: 1\r\nX-U: 2\r\n\r\n").response

    assert [(name.lower(), value) for name, value in seen.trailers] == [(b"x-t", b"1"), (b"x-u", b"2")]


@clause("RFC 9112 2.2", "RFC 9112 7.1.2", "5.lenient.bare_lf", needs=Capability.TRAILERS)
@pytest.mark.parametrize(
    "trailers", [b"X-T: 1\nX-U: 2\n\n", b"X-T: 1\r\nX-U: 2\n\r\n", b"X-T: 1\nX-U: 2\r\n\n"]
)
def test_trailers_that_bare_lfs_end_reach_the_client_with_cr_lf(
    client: Wire, backend: Lane, trailers: bytes
) -> None:
    client.send(get(backend.path, b"TE: trailers", b"Connection: TE"))
    upstream = backend.accept_for(client)
    upstream.read_request()
    upstream.send(CHUNKED + b"1\r\na\r\n0\r\n" + trailers)
    client.read_head()

    assert client.read_chunk() == b"a"
    assert client.read_until(b"\r\n\r\n") == b"0\r\nX-T: 1\r\nX-U: 2\r\n\r\n"


@clause("RFC 9110 6.5.1", "5.fields.trailers")
def test_what_frames_or_speaks_for_the_gateway_is_no_trailer(client: Wire, backend: Lane) -> None:
    names = [
        b"Content-Length", b"Transfer-Encoding", b"Host", b"Connection", b"Keep-Alive", b"Upgrade",
        b"X-Request-ID", b"X-Rgate-Reason",
    ]  # fmt: skip
    trailers = b"".join(b"%b: 6\r\n" % name for name in names)

    sent = get(backend.path, b"TE: trailers", b"Connection: TE")
    seen = exchange(client, backend, sent, CHUNKED + b"1\r\na\r\n0\r\nX-T: 1\r\n" + trailers + b"\r\n")

    assert seen.response.content == b"a"
    assert {name.lower() for name, _ in seen.response.trailers} <= {b"x-t"}


LINE_ENDS = {
    "bare LFs": b"HTTP/1.1 200 Fine\nX-A: 1\nContent-Length: 2\n\nok",
    "a bare LF behind the status line": b"HTTP/1.1 200 Fine\nX-A: 1\r\nContent-Length: 2\r\n\r\nok",
    "a bare LF between fields": b"HTTP/1.1 200 Fine\r\nX-A: 1\nContent-Length: 2\r\n\r\nok",
    "a bare LF behind the last field": b"HTTP/1.1 200 Fine\r\nX-A: 1\r\nContent-Length: 2\n\r\nok",
    "a bare LF as the empty line": b"HTTP/1.1 200 Fine\r\nX-A: 1\r\nContent-Length: 2\r\n\nok",
    "bare LFs at the end": b"HTTP/1.1 200 Fine\r\nX-A: 1\r\nContent-Length: 2\n\nok",
}


@clause("RFC 9112 2.2", "5.lenient.bare_lf", own_choice="a bare LF may be taken for a line's end")
@pytest.mark.parametrize("how", ["at once", "byte by byte"])
@pytest.mark.parametrize("response", LINE_ENDS.values(), ids=LINE_ENDS)
def test_a_head_goes_on_with_cr_lf_whose_lines_end_with(
    client: Wire, backend: Lane, response: bytes, how: str
) -> None:
    client.send(get(backend.path))
    upstream = backend.accept_for(client)
    upstream.read_request()
    upstream.send(
        *([response] if how == "at once" else (response[at : at + 1] for at in range(len(response))))
    )

    block = client.read_until(b"\r\n\r\n")
    head = parse_head(block)
    assert b"\n" not in block.replace(b"\r\n", b"")
    assert (head.status, head.phrase) == (200, b"Fine")
    assert (head.values(b"x-a"), head.values(b"content-length")) == ([b"1"], [b"2"])
    assert client.read(2) == b"ok"
    client.send(get(backend.path))
    assert answer(client, backend.accept_or(upstream), b"GET").response.content == b"ok"


@clause("RFC 9112 2.2", "5.lenient.bare_lf", own_choice="a bare LF may be taken for a line's end")
def test_chunks_behind_a_head_that_bare_lfs_end_arrive(client: Wire, backend: Lane) -> None:
    response = b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n" + chunked(b"a\n\nb", b"\r\n")

    assert exchange(client, backend, get(backend.path), response).response.content == b"a\n\nb\r\n"


@clause("RFC 9112 2.2", "RFC 9110 15.2", "5.lenient.bare_lf", needs=Capability.INTERIM_RESPONSES)
def test_an_interim_response_that_bare_lfs_end_reaches_the_client(client: Wire, backend: Lane) -> None:
    hints = b"HTTP/1.1 103 Early Hints\nLink: <a>\n\n"

    seen = exchange(client, backend, get(backend.path), hints + OK).response

    assert [one.values(b"link") for one in seen.interim] == [[b"<a>"]]
    assert seen.content == b"ok"


@clause(
    "RFC 9110 8.6", "5.lenient.length", own_choice="a length that stands twice may be accepted or refused"
)
@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 2\r\nContent-Length: 2\r\n",
        b"Content-Length: 2\r\nX-A: 1\r\ncontent-length: 2\r\n",
        b"Content-Length: 2, 2\r\n",
        b"Content-Length: 2,2 ,\t2\r\n",
        b"Content-Length: 2, 2\r\nContent-Length: 2\r\n",
    ],
    ids=["two lines", "two lines apart", "a list", "a list of three", "a list and a line"],
)
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_a_length_goes_on_once_that_stands_more_than_once_in(
    client: Wire, backend: Lane, lines: bytes, method: bytes
) -> None:
    content = b"ok" if method == b"GET" else b""
    response = b"HTTP/1.1 200 OK\r\n%b\r\n%b" % (lines, content)

    seen = exchange(client, backend, get(backend.path, method=method), response).response

    assert seen.values(b"content-length") == [b"2"]
    assert seen.content == content


@clause("RFC 9112 6.3")
def test_content_that_ends_with_the_backends_connection_does_not_end_the_clients(
    client: Wire, backend: Lane
) -> None:
    client.send(get(backend.path))
    with backend.accept_for(client) as upstream:
        upstream.read_request()
        upstream.send(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")

    response = client.read_response()

    assert (response.content, response.framing) == (b"until the end", "chunked")
    assert exchange(client, backend, get(backend.path)).response.content == b"ok"


@clause("RFC 9112 6.1", "5.messages.http_1_0")
@pytest.mark.parametrize(
    "response", [CHUNKED + chunked(b"ab", b"c"), b"HTTP/1.1 200 OK\r\n\r\nabc"], ids=["chunks", "the end"]
)
def test_an_http_1_0_client_gets_no_chunks_but_the_end_of_the_connection(
    client: Wire, backend: Lane, response: bytes
) -> None:
    client.send(get(backend.path, version=b"HTTP/1.0"))
    upstream = backend.accept_for(client)
    upstream.read_request()
    upstream.send(response)
    upstream.end_writing()

    seen = client.read_response()

    assert (seen.content, seen.framing) == (b"abc", "close")
    assert seen.values(b"transfer-encoding") == []


@clause("RFC 9110 9.3.2", "RFC 9112 6.3", "5.content.none")
@pytest.mark.parametrize(
    "lines",
    [b"Content-Length: 1234\r\n", b"Transfer-Encoding: chunked\r\n", b""],
    ids=["a length", "chunks", "neither"],
)
def test_a_response_to_head_has_no_content_and_keeps_the_connection_with(
    client: Wire, backend: Lane, lines: bytes
) -> None:
    sent = get(backend.path, method=b"HEAD")
    seen = exchange(client, backend, sent, b"HTTP/1.1 200 OK\r\n%b\r\n" % lines)

    if b"Length" in lines:
        assert seen.response.values(b"content-length") == [b"1234"]
    client.send(get(backend.path))
    following = backend.accept_or(seen.upstream)
    assert answer(client, following, b"GET").response.content == b"ok"


@clause("RFC 9110 15.3.5", "RFC 9110 15.4.5", "RFC 9112 6.3", "5.content.none")
@pytest.mark.parametrize(
    "head",
    [
        b"204 No Content\r\n",
        b"304 Not Modified\r\nETag: x\r\n",
        b"304 Not Modified\r\nContent-Length: 99\r\n",
    ],
    ids=["204", "304", "304 with the length that it would have"],
)
def test_a_response_without_content_leaves_the_connection_open(
    client: Wire, backend: Lane, head: bytes
) -> None:
    seen = exchange(client, backend, get(backend.path), b"HTTP/1.1 %b\r\n" % head)
    client.send(get(backend.path))

    assert seen.response.values(b"transfer-encoding") == []
    assert answer(client, backend.accept_or(seen.upstream), b"GET").response.content == b"ok"


@clause("RFC 9110 15.2", "RFC 8297", "5.messages.interim", needs=Capability.INTERIM_RESPONSES)
def test_interim_responses_reach_the_client(client: Wire, backend: Lane) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </%d.css>; rel=preload\r\n\r\n"

    seen = exchange(client, backend, get(backend.path), hints % 1 + hints % 2 + OK).response

    assert [one.status for one in seen.interim] == [103, 103]
    assert [one.values(b"link") for one in seen.interim] == [
        [b"</1.css>; rel=preload"],
        [b"</2.css>; rel=preload"],
    ]
    assert seen.content == b"ok"


@clause("RFC 9110 15.2", "5.messages.interim_1_0")
def test_interim_responses_do_not_reach_an_http_1_0_client(client: Wire, backend: Lane) -> None:
    sent = get(backend.path, version=b"HTTP/1.0")

    seen = exchange(client, backend, sent, b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" + OK).response

    assert (seen.interim, seen.content) == ((), b"ok")


@clause("RFC 9110 15.2")
def test_an_interim_response_is_never_taken_for_the_final_one(client: Wire, backend: Lane) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 199 X\r\n\r\n"

    seen = exchange(client, backend, get(backend.path), interim + OK).response

    assert (seen.status, seen.content) == (200, b"ok")


@clause("RFC 9112 2.3", "RFC 9112 9.3")
def test_an_http_1_0_backend_is_understood(client: Wire, backend: Lane) -> None:
    client.send(get(backend.path))
    with backend.accept_for(client) as upstream:
        upstream.read_request()
        upstream.send(b"HTTP/1.0 200 OK\r\n\r\nold")

    seen = client.read_response()

    assert (seen.version, seen.content) == (b"HTTP/1.1", b"old")


@clause("RFC 9112 2.2")
@pytest.mark.parametrize("response", [OK, CHUNKED + chunked(b"o", b"k")], ids=["a known length", "chunks"])
def test_one_byte_at_a_time_makes_the_same_response(client: Wire, backend: Lane, response: bytes) -> None:
    client.send(get(backend.path))
    upstream = backend.accept_for(client)
    upstream.read_request()
    upstream.send(*(response[at : at + 1] for at in range(len(response))))

    assert client.read_response().content == b"ok"


@clause("RFC 9112 9.6", "RFC 9110 7.6.1")
def test_the_end_of_the_backends_connection_is_not_the_clients(client: Wire, backend: Lane) -> None:
    seen = exchange(client, backend, get(backend.path), OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"))

    assert b"close" not in seen.response.items(b"connection")
    assert exchange(client, backend, get(backend.path)).response.content == b"ok"


@clause("RFC 9112 9.5", "RFC 9110 15.5.14", "5.early.answer", needs=Capability.FULL_DUPLEX)
def test_a_response_may_come_before_the_end_of_the_request(client: Wire, backend: Lane) -> None:
    client.send(get(backend.path, b"Content-Length: 10", method=b"POST") + b"abc")
    upstream = backend.accept_for(client)
    upstream.read_head()
    upstream.send(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")

    assert client.read_response().content == b"no"
