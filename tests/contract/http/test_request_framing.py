"""Where a request ends, and how its content reaches the backend."""

import pytest

from tests.contract.http.clauses import Capability, clause
from tests.contract.http.script import OK, answer, chunked, exchange, get, post
from tests.contract.http.site import Lane
from tests.contract.http.wire import Wire


@clause("RFC 9112 6.2", "5.content.unchanged")
@pytest.mark.parametrize("method", [b"POST", b"PUT", b"PATCH", b"DELETE", b"GET", b"OPTIONS", b"BREW"])
def test_content_of_known_length_arrives_whole(client: Wire, backend: Lane, method: bytes) -> None:
    content = bytes(range(256)) * 5

    assert exchange(client, backend, post(backend.path, content, method=method)).request.content == content


@clause("RFC 9110 8.6", "5.content.unchanged")
def test_a_known_length_stays_known(client: Wire, backend: Lane) -> None:
    request = exchange(client, backend, post(backend.path, b"abc")).request

    assert request.values(b"content-length") == [b"3"]
    assert request.values(b"transfer-encoding") == []


@clause("RFC 9110 8.6")
def test_content_of_no_bytes_stays_content(client: Wire, backend: Lane) -> None:
    assert exchange(client, backend, post(backend.path, b"")).request.values(b"content-length") == [b"0"]


@clause("RFC 9112 6.3")
def test_a_request_without_content_gets_none(client: Wire, backend: Lane) -> None:
    names = exchange(client, backend, get(backend.path)).request.names()

    assert not {b"content-length", b"transfer-encoding"} & set(names)


@clause("RFC 9112 7.1", "5.content.chunked", "5.hop.framing")
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(chunked(b"hello", b" ", b"world"), id="in three chunks"),
        pytest.param(b"B\r\nhello world\r\n0\r\n\r\n", id="a size in capitals"),
        pytest.param(b"b\r\nhello world\r\n0\r\n\r\n", id="a size in small letters"),
        pytest.param(b"000b\r\nhello world\r\n000\r\n\r\n", id="sizes with leading zeros"),
        pytest.param(b'b;a=1;b="x;\\"y";c\r\nhello world\r\n0;z\r\n\r\n', id="extensions"),
        pytest.param(b"b ;a\t; b=1\r\nhello world\r\n0 ;z\r\n\r\n", id="blanks before extensions"),
        pytest.param(chunked(b"hello world")[:-2] + b"X-T: 1\r\n\r\n", id="a trailer"),
    ],
)
def test_chunked_content_arrives_whole(client: Wire, backend: Lane, body: bytes) -> None:
    request = exchange(
        client, backend, get(backend.path, b"Transfer-Encoding: chunked", method=b"POST") + body
    ).request

    assert request.content == b"hello world"
    assert len(request.values(b"transfer-encoding")) + len(request.values(b"content-length")) == 1


@clause("RFC 9112 7.1")
def test_chunked_content_of_no_bytes_arrives(client: Wire, backend: Lane) -> None:
    sent = get(backend.path, b"Transfer-Encoding: chunked", method=b"POST") + b"0\r\n\r\n"

    request = exchange(client, backend, sent).request

    assert (request.content, request.framing != "none") == (b"", True)


@clause("RFC 9112 7")
def test_the_name_of_the_coding_is_case_insensitive(client: Wire, backend: Lane) -> None:
    sent = get(backend.path, b"Transfer-Encoding: Chunked", method=b"POST") + chunked(b"abc")

    assert exchange(client, backend, sent).request.content == b"abc"


@clause("RFC 9112 7.1.2", "5.content.trailers", needs=Capability.TRAILERS)
def test_trailers_reach_the_backend(client: Wire, backend: Lane) -> None:
    head = get(backend.path, b"Transfer-Encoding: chunked", b"Trailer: X-T", method=b"POST")

    request = exchange(client, backend, head + b"1\r\na\r\n0\r\nX-T: 1\r\nX-U:  2 \r\n\r\n").request

    assert [(name.lower(), value) for name, value in request.trailers] == [(b"x-t", b"1"), (b"x-u", b"2")]


@clause("RFC 9112 2.2")
@pytest.mark.parametrize("content", [b"", b"abc"], ids=["a head", "a head and content"])
def test_one_byte_at_a_time_makes_the_same_request(client: Wire, backend: Lane, content: bytes) -> None:
    sent = post(backend.path, content, b"X-A: 1")
    client.send(*(sent[at : at + 1] for at in range(len(sent))))

    seen = answer(client, backend.accept(), sent)

    assert (seen.request.content, seen.request.values(b"x-a")) == (content, [b"1"])


@clause("RFC 9112 7.1")
def test_one_byte_at_a_time_makes_the_same_chunks(client: Wire, backend: Lane) -> None:
    sent = get(backend.path, b"Transfer-Encoding: chunked", method=b"POST") + chunked(b"abc", b"defg" * 5)
    client.send(*(sent[at : at + 1] for at in range(len(sent))))

    assert answer(client, backend.accept(), sent).request.content == b"abc" + b"defg" * 5


@clause("RFC 9112 2.2")
def test_an_empty_line_before_the_request_line_is_ignored(client: Wire, backend: Lane) -> None:
    assert exchange(client, backend, b"\r\n" + get(backend.path)).response.status == 200


@clause("RFC 9112 2.2")
def test_an_empty_line_between_two_requests_is_ignored(client: Wire, backend: Lane) -> None:
    upstream = exchange(client, backend, post(backend.path, b"abc") + b"\r\n" + get(backend.path)).upstream

    assert answer(client, backend.accept_or(upstream), get(backend.path)).response.status == 200


@clause("RFC 9112 9.3", "5.messages.kept")
def test_a_connection_carries_one_request_after_another(client: Wire, backend: Lane) -> None:
    upstream = exchange(client, backend, get(backend.path + b"/1")).upstream
    for number in (2, 3):
        client.send(post(backend.path + b"/%d" % number, b"abc"))
        seen = answer(client, upstream, b"POST")
        assert seen.request.target == backend.path + b"/%d" % number


@clause("RFC 9112 9.3.2", "5.messages.pipelined")
@pytest.mark.parametrize("framing", ["no content", "a known length", "chunks"])
def test_pipelined_requests_are_answered_in_order_after_a_request_with(
    client: Wire, backend: Lane, framing: str
) -> None:
    first = {
        "no content": get(backend.path + b"/1"),
        "a known length": post(backend.path + b"/1", b"GET / HTTP/1.1\r\n\r\n"),
        "chunks": get(backend.path + b"/1", b"Transfer-Encoding: chunked", method=b"POST")
        + chunked(b"GET /"),
    }[framing]
    client.send(first + get(backend.path + b"/2") + get(backend.path + b"/3"))
    upstream = backend.accept_for(client)

    for number in (1, 2, 3):
        upstream = backend.accept_or(upstream)
        request = upstream.read_request()
        assert request.target == backend.path + b"/%d" % number
        upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
    assert [client.read_response().content for _ in range(3)] == [b"1", b"2", b"3"]


@clause("RFC 9112 9.6")
def test_a_client_that_says_close_is_closed_after_the_response(client: Wire, backend: Lane) -> None:
    seen = exchange(client, backend, get(backend.path, b"Connection: close"))

    assert b"close" in seen.response.items(b"connection")
    assert client.is_closed()


@clause("RFC 9112 9.6")
def test_nothing_after_a_request_that_says_close_is_answered(client: Wire, backend: Lane) -> None:
    seen = exchange(client, backend, get(backend.path, b"Connection: close") + get(backend.path + b"/2"))

    assert client.is_closed()
    assert backend.is_unvisited()
    assert seen.upstream.is_closed(0.01) or seen.upstream.received_nothing()


@clause("RFC 9112 9.3", "5.messages.http_1_0")
def test_an_http_1_0_client_is_closed_after_the_response(client: Wire, backend: Lane) -> None:
    seen = exchange(client, backend, get(backend.path, version=b"HTTP/1.0"))

    assert seen.request.version == b"HTTP/1.1"
    assert seen.response.content == b"ok"
    assert client.is_closed()


@clause("RFC 9112 9.3", "5.messages.http_1_0")
def test_an_http_1_0_client_may_ask_to_keep_the_connection(client: Wire, backend: Lane) -> None:
    sent = get(backend.path, b"Connection: keep-alive", version=b"HTTP/1.0")
    first = exchange(client, backend, sent)
    client.send(sent)

    assert b"keep-alive" in first.response.items(b"connection")
    assert answer(client, backend.accept_or(first.upstream), sent).response.content == b"ok"


@clause("RFC 9112 3.2", "5.messages.http_1_0")
def test_an_http_1_0_client_may_leave_host_out(client: Wire, backend: Lane) -> None:
    seen = exchange(client, backend, b"GET %b HTTP/1.0\r\n\r\n" % backend.path)

    assert seen.response.status == 200
    assert len(seen.request.values(b"host")) == 1


@clause("RFC 9110 10.1.1", "5.messages.expect")
def test_a_client_that_expects_100_is_told_to_go_on(client: Wire, backend: Lane) -> None:
    client.send(get(backend.path, b"Expect: 100-continue", b"Content-Length: 3", method=b"POST"))
    upstream = backend.accept()
    upstream.read_head()
    upstream.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    assert client.read_head().status == 100
    client.send(b"abc")
    assert upstream.read(3) == b"abc"
    upstream.send(OK)
    assert client.read_response().content == b"ok"


@clause("RFC 9110 10.1.1", "5.messages.expect")
def test_a_backend_may_refuse_what_expects_100(client: Wire, backend: Lane) -> None:
    client.send(get(backend.path, b"Expect: 100-continue", b"Content-Length: 3", method=b"POST"))
    upstream = backend.accept()
    upstream.read_head()
    upstream.send(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    assert client.read_response().status == 417
