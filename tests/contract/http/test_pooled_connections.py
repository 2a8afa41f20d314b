"""When a connection to a backend serves another request, and when it must not (RFC 9112 9.3)."""

import time
from contextlib import closing

import pytest

from tests.contract.http.clauses import clause
from tests.contract.http.gateways import Gateway
from tests.contract.http.script import OK, answer, exchange, get, post
from tests.contract.http.site import Lane
from tests.contract.http.wire import DEADLINE_S, Cut, Wire


@clause("RFC 9112 9.3", "5.pool.reused")
def test_a_connection_is_used_again_for_the_same_client(client: Wire, backend: Lane) -> None:
    upstream = exchange(client, backend, get(backend.path)).upstream
    for _ in range(5):
        client.send(get(backend.path))
        assert answer(client, upstream, b"GET").response.content == b"ok"
    assert backend.is_unvisited()


@clause("RFC 9112 9.3", "5.pool.reused")
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


@clause("RFC 9112 9.3.1", "5.pool.replaced")
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_client_does_not_notice_that_the_backend_closed_an_idle_connection(
    client: Wire, backend: Lane, method: bytes
) -> None:
    exchange(client, backend, get(backend.path)).upstream.close()

    sent = post(backend.path, b"abc", method=method)

    assert exchange(client, backend, sent).request.content == b"abc"


@clause("5.pool.closed")
def test_what_a_backend_closed_is_closed_though_it_is_never_asked_again(
    gateway: Gateway, client: Wire, backend: Lane
) -> None:
    upstream = exchange(client, backend, get(backend.path)).upstream
    upstream.end_writing()
    other = gateway.lane()
    exchange(client, other, get(other.path))

    assert upstream.is_closed()


@clause("RFC 9112 9.3.1", "RFC 9110 9.2.2", "5.pool.replaced")
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


@clause("RFC 9112 9.3.1", "RFC 9110 9.2.2", "5.pool.replaced")
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


@clause("5.messages.cookies")
def test_no_cookies_are_kept(client: Wire, backend: Lane) -> None:
    upstream = exchange(
        client, backend, get(backend.path), OK.replace(b"OK\r\n", b"OK\r\nSet-Cookie: a=b\r\n")
    ).upstream
    client.send(get(backend.path))

    assert b"cookie" not in answer(client, backend.accept_or(upstream), b"GET").request.names()


ANEW = "what is sent anew where; others say 502, or pass it on"
# What announces content that the response may not have; a server may send it all the same.
ANNOUNCING = {
    "HEAD and a length": (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"),
    "HEAD and chunks": (b"HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "304 and a length": (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: %d\r\n\r\n"),
    "304 and chunks": (b"GET", b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "204 and a length": (b"GET", b"HTTP/1.1 204 No Content\r\nContent-Length: %d\r\n\r\n"),
    "204 and chunks": (b"DELETE", b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"),
}
POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
UNASKED = {"content": b"hello", "a response": POISON, "a chunk": b"5\r\nhello\r\n0\r\n\r\n"}

REST_S = 0.1  # a connection that may have such content to come is not used for so long


def _announced(client: Wire, backend: Lane, kind: str, unasked: bytes) -> Wire:
    """Get a response that announces *unasked* as its content; return the backend's end."""
    method, response = ANNOUNCING[kind]
    sent = response % len(unasked) if b"%d" in response else response
    return exchange(client, backend, get(backend.path, method=method), sent).upstream


@clause("RFC 9112 6.3", "RFC 9112 9.2", "5.pool.rests")
@pytest.mark.parametrize("unasked", UNASKED.values(), ids=UNASKED)
@pytest.mark.parametrize("kind", ANNOUNCING)
def test_the_next_request_is_not_answered_by_content_that_comes_late_after(
    gateway: Gateway, kind: str, unasked: bytes
) -> None:
    for _ in range(10):  # a busy machine may hold this up until the connection has rested
        with gateway.client() as client, closing(gateway.lane()) as lane:
            began_s = time.monotonic()
            upstream = _announced(client, lane, kind, unasked)
            client.send(get(lane.path + b"/next"))
            upstream.try_send(unasked)  # crosses the request, if that is on its way there
            if time.monotonic() - began_s < REST_S:
                assert answer(client, lane.accept_for(client), b"GET").response.content == b"ok"
                return
    pytest.fail("the test was held up each time")


@clause("RFC 9112 6.3", "RFC 9112 9.2", "5.pool.unasked")
@pytest.mark.parametrize("unasked", UNASKED.values(), ids=UNASKED)
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_connection_on_which_something_came_unasked_is_not_used_again(
    client: Wire, backend: Lane, method: bytes, unasked: bytes
) -> None:
    upstream = exchange(client, backend, get(backend.path)).upstream
    upstream.send(unasked)
    client.send(post(backend.path, b"abc", method=method))

    assert answer(client, backend.accept_for(client), method).response.content == b"ok"
    assert upstream.is_closed()


@clause("5.pool.rests", own_choice="how long such a connection rests; others use it at once, or never again")
def test_a_connection_that_rested_is_used_again(client: Wire, backend: Lane) -> None:
    rested = _announced(client, backend, "HEAD and a length", b"hello")
    closing = OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n")
    until = time.monotonic() + DEADLINE_S
    while time.monotonic() < until:
        client.send(get(backend.path))
        upstream = backend.accept_or(rested)
        if upstream is rested:
            assert answer(client, upstream, b"GET").response.content == b"ok"
            return
        assert answer(client, upstream, b"GET", closing).response.content == b"ok"
        time.sleep(0.02)  # time is the subject: it rests
    pytest.fail("it was not used again")


# What a server sends behind a response, and no reader would take for the beginning of another.
NO_STATUS_LINE = {
    "content": b"hello",
    "a page": b"<html>late</html>",
    "the end of chunks": b"0\r\n\r\n",
    "an empty line": b"\r\n",
    "an empty line before a response": b"\r\n" + POISON,
    "TLS": b"\x15\x03\x03\x00\x02\x01\x00",
}


@clause("RFC 9112 9.3.1", "RFC 9110 9.2.2", "5.pool.noise", own_choice=ANEW)
@pytest.mark.parametrize("then", ["stays open", "closes"])
@pytest.mark.parametrize("unasked", NO_STATUS_LINE.values(), ids=NO_STATUS_LINE)
def test_an_idempotent_request_is_sent_anew_where_no_status_line_comes_on_a_used_connection(
    client: Wire, backend: Lane, unasked: bytes, then: str
) -> None:
    upstream = exchange(client, backend, get(backend.path)).upstream
    client.send(get(backend.path + b"/next"))
    upstream.read_request()
    upstream.send(unasked)
    if then == "closes":
        upstream.close()

    seen = answer(client, backend.accept_for(client), b"GET")
    assert seen.request.target == backend.path + b"/next"
    assert seen.response.content == b"ok"


@clause("RFC 9112 9.3.1", "RFC 9110 9.2.2", "5.pool.noise", own_choice=ANEW)
@pytest.mark.parametrize("unasked", NO_STATUS_LINE.values(), ids=NO_STATUS_LINE)
def test_another_request_is_502_where_no_status_line_comes_on_a_used_connection(
    gateway: Gateway, client: Wire, backend: Lane, unasked: bytes
) -> None:
    upstream = exchange(client, backend, get(backend.path)).upstream
    client.send(post(backend.path, b"abc"))
    assert upstream.read_request().content == b"abc"
    upstream.send(unasked)

    gateway.check_answer(client.read_response(), 502, "bad_response")
    assert backend.is_unvisited()


UNASKED_408 = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 4\r\n\r\nlate"


@clause("RFC 9110 15.5.9", "RFC 9110 9.2.2", "5.pool.timeout", own_choice=ANEW)
@pytest.mark.parametrize("method", [b"GET", b"PUT", b"DELETE"])
def test_an_idempotent_request_is_sent_anew_where_a_used_connection_says_408_and_closes(
    client: Wire, backend: Lane, method: bytes
) -> None:
    upstream = exchange(client, backend, get(backend.path)).upstream
    sent = post(backend.path, b"abc", method=method)
    client.send(sent)
    assert upstream.read_request().content == b"abc"
    upstream.send(UNASKED_408)
    upstream.close()

    seen = answer(client, backend.accept_for(client), sent)
    assert (seen.request.content, seen.response.content) == (b"abc", b"ok")


@clause("RFC 9110 15.5.9", "RFC 9110 9.2.2", "5.pool.timeout")
def test_another_request_is_answered_by_the_408_of_a_used_connection(client: Wire, backend: Lane) -> None:
    upstream = exchange(client, backend, get(backend.path)).upstream
    client.send(post(backend.path, b"abc"))
    assert upstream.read_request().content == b"abc"
    upstream.send(UNASKED_408)
    upstream.close()

    response = client.read_response()
    assert (response.status, response.content) == (408, b"late")
    assert backend.is_unvisited()


@clause("RFC 9110 15.5.9", "5.pool.unasked")
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_client_does_not_notice_a_408_that_came_while_its_connection_was_idle(
    client: Wire, backend: Lane, method: bytes
) -> None:
    upstream = exchange(client, backend, get(backend.path)).upstream
    upstream.send(UNASKED_408)
    upstream.close()
    client.send(post(backend.path, b"abc", method=method))

    assert answer(client, backend.accept_for(client), method).response.content == b"ok"


@clause("RFC 9110 15.5.9", "5.pool.timeout")
def test_a_408_on_a_new_connection_is_the_answer(client: Wire, backend: Lane) -> None:
    assert exchange(client, backend, get(backend.path), UNASKED_408).response.status == 408
    assert backend.is_unvisited()


@clause("RFC 9110 15.5.9", "5.pool.timeout")
def test_a_408_on_a_used_connection_that_stays_open_is_the_answer(client: Wire, backend: Lane) -> None:
    upstream = exchange(client, backend, get(backend.path)).upstream
    client.send(get(backend.path))

    kept = UNASKED_408.replace(b"Connection: close\r\n", b"")
    assert answer(client, upstream, b"GET", kept).response.status == 408
    assert backend.is_unvisited()


@clause("RFC 9112 9.3.1", "5.pool.no_try", own_choice=ANEW)
@pytest.mark.parametrize("stale", [b"", b"hello", UNASKED_408], ids=["the end", "content", "a 408"])
def test_replacing_a_used_connection_is_not_one_of_the_tries(client: Wire, pair: Lane, stale: bytes) -> None:
    used = exchange(client, pair, get(pair.path)).upstream
    while True:  # whichever is picked, its connection was used before
        client.send(get(pair.path))
        upstream = pair.accept_or(used)
        if upstream is used:
            break
        answer(client, upstream, b"GET", OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"))
    used.read_request()
    used.try_send(stale)
    address = used.address
    used.close()
    replacing = pair.accept_for(client)
    replacing.read_request()
    replacing.close()  # too early, which is tried once more, elsewhere
    other = pair.accept_for(client)

    assert replacing.address == address != other.address
    assert answer(client, other, b"GET").response.content == b"ok"
