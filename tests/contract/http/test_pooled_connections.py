"""When a connection to a backend serves another request, and when it must not (RFC 9112 9.3)."""

import pytest

from tests.contract.http.clauses import clause
from tests.contract.http.gateways import Gateway
from tests.contract.http.script import OK, answer, exchange, get, post
from tests.contract.http.site import Lane
from tests.contract.http.wire import Cut, Wire


@clause("RFC 9112 9.3", "behaviour 5")
def test_a_connection_is_used_again_for_the_same_client(client: Wire, backend: Lane) -> None:
    upstream = exchange(client, backend, get(backend.path)).upstream
    for _ in range(5):
        client.send(get(backend.path))
        assert answer(client, upstream, b"GET").response.content == b"ok"
    assert backend.is_unvisited()


@clause("RFC 9112 9.3", "behaviour 5")
def test_a_connection_is_used_again_for_another_client(gateway: Gateway, client: Wire, backend: Lane) -> None:
    upstreams = [exchange(client, backend, get(backend.path)).upstream]
    client.close()

    # The pool may get the connection back a moment after the client got the response.
    for _ in range(10):
        with gateway.client() as other:
            other.send(get(backend.path))
            upstream = backend.accept_or(*upstreams)
            assert answer(other, upstream, b"GET").response.content == b"ok"
        if upstream in upstreams:
            return
        upstreams.append(upstream)
    pytest.fail("ten requests made ten connections")


@clause("RFC 9112 9.3", "RFC 9112 9.6")
@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ],
    ids=["close", "close among others", "HTTP/1.0"],
)
def test_a_connection_is_not_used_again_after(client: Wire, backend: Lane, response: bytes) -> None:
    first = exchange(client, backend, get(backend.path), response)
    second = exchange(client, backend, get(backend.path))

    assert (first.response.content, second.response.content) == (b"ok", b"ok")
    assert first.upstream.is_closed()


@clause("RFC 9112 9.3")
def test_an_http_1_0_backend_may_keep_its_connection(client: Wire, backend: Lane) -> None:
    kept = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"
    upstream = exchange(client, backend, get(backend.path), kept).upstream
    client.send(get(backend.path))

    assert answer(client, backend.accept_or(upstream), b"GET").response.content == b"ok"


@clause("RFC 9112 9.3.1", "behaviour 5")
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_client_does_not_notice_that_the_backend_closed_an_idle_connection(
    client: Wire, backend: Lane, method: bytes
) -> None:
    exchange(client, backend, get(backend.path)).upstream.close()

    sent = post(backend.path, b"abc", method=method)

    assert exchange(client, backend, sent).request.content == b"abc"


@clause("RFC 9112 9.3.1", "RFC 9110 9.2.2", "behaviour 5")
@pytest.mark.parametrize("method", [b"GET", b"DELETE", b"PUT", b"HEAD", b"OPTIONS"])
def test_an_idempotent_request_is_sent_anew_where_a_used_connection_closes_on_it(
    client: Wire, backend: Lane, method: bytes
) -> None:
    upstream = exchange(client, backend, get(backend.path)).upstream
    sent = get(backend.path, method=method)
    client.send(sent)
    assert upstream.read_request().method == method
    upstream.close()

    assert answer(client, backend.accept(), sent).response.status == 200


@clause("RFC 9112 9.3.1", "RFC 9110 9.2.2", "behaviour 5")
@pytest.mark.parametrize("method", [b"POST", b"PATCH", b"BREW"])
def test_another_request_is_not_sent_anew(client: Wire, backend: Lane, method: bytes) -> None:
    upstream = exchange(client, backend, get(backend.path)).upstream
    client.send(post(backend.path, b"abc", method=method))
    assert upstream.read_request().content == b"abc"
    upstream.close()

    assert client.read_response().status in (502, 503)
    assert backend.is_unvisited()


@clause("RFC 9112 9.3.2")
def test_two_requests_at_once_use_two_connections(gateway: Gateway, client: Wire, backend: Lane) -> None:
    other = gateway.client()
    client.send(get(backend.path + b"/1"))
    one = backend.accept()
    other.send(get(backend.path + b"/2"))
    two = backend.accept()

    assert answer(other, two, b"GET").request.target.endswith(b"/2")
    assert answer(client, one, b"GET").request.target.endswith(b"/1")


@clause("RFC 9112 9.6")
def test_the_connection_of_a_broken_response_is_not_used_again(client: Wire, backend: Lane) -> None:
    client.send(get(backend.path))
    upstream = backend.accept_for(client)
    upstream.read_request()
    upstream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokX")
    with pytest.raises(Cut):
        client.read_response()

    assert upstream.is_closed()


@clause("RFC 9112 9.5")
def test_the_connection_of_a_client_that_left_is_not_used_again(
    gateway: Gateway, client: Wire, backend: Lane
) -> None:
    client.send(get(backend.path))
    upstream = backend.accept_for(client)
    upstream.read_request()
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
    client.read_head()
    client.close()
    assert upstream.is_closed()
    other = gateway.client()

    assert exchange(other, backend, get(backend.path)).response.content == b"ok"


@clause("RFC 9112 9.3")
def test_what_one_client_sent_does_not_stick_to_the_next(
    gateway: Gateway, client: Wire, backend: Lane
) -> None:
    upstream = exchange(client, backend, get(backend.path, b"Authorization: secret", b"Cookie: a=b")).upstream
    other = gateway.client()
    other.send(get(backend.path))
    request = answer(other, backend.accept_or(upstream), b"GET").request

    assert not {b"authorization", b"cookie"} & set(request.names())


@clause("behaviour 5")
def test_no_cookies_are_kept(client: Wire, backend: Lane) -> None:
    upstream = exchange(
        client, backend, get(backend.path), OK.replace(b"OK\r\n", b"OK\r\nSet-Cookie: a=b\r\n")
    ).upstream
    client.send(get(backend.path))

    assert b"cookie" not in answer(client, backend.accept_or(upstream), b"GET").request.names()
