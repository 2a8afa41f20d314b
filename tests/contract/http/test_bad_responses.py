"""Responses whose meaning is in doubt: 502, and nothing of them is taken for the next response."""

import pytest
from _pytest.mark import ParameterSet  # pytest has no public name for what pytest.param returns

from tests.contract.http.clauses import clause
from tests.contract.http.gateways import Gateway
from tests.contract.http.script import OK, exchange, get
from tests.contract.http.site import Lane
from tests.contract.http.wire import Cut, Wire

SHAPES = {
    "something that is no HTTP": b"220 mail.example ESMTP\r\n\r\n",
    "TLS": b"\x15\x03\x01\x00\x02\x02\x0a",
    "an empty line first": b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a version in small letters": b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "a status that is no number": b"HTTP/1.1 2xx OK\r\nContent-Length: 0\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n",
    "a status with a sign": b"HTTP/1.1 +20 OK\r\nContent-Length: 0\r\n\r\n",
    "a status below 100": b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
    "a NUL in the phrase": b"HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n",
    "two blanks before the status": b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n",
    "Content-Length beside Transfer-Encoding": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "two Content-Length that differ": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n",
    "a list of Content-Length that differ": b"HTTP/1.1 200 OK\r\nContent-Length: 0, 5\r\n\r\n",
    "two Content-Length with other digits": b"HTTP/1.1 200 OK\r\nContent-Length: 5, 05\r\n\r\nhello",
    "two Content-Length of which one is a list that differs": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0, 5\r\n\r\n"
    ),
    "a Content-Length twice that is no number": b"HTTP/1.1 200 OK\r\nContent-Length: x, x\r\n\r\n",
    "a Content-Length twice beside Transfer-Encoding": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "a Content-Length below zero": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "a Content-Length with a plus sign": b"HTTP/1.1 200 OK\r\nContent-Length: +0\r\n\r\n",
    "a hexadecimal Content-Length": b"HTTP/1.1 200 OK\r\nContent-Length: 0x0\r\n\r\n",
    "a Content-Length that overflows": b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n",
    "a transfer coding that nobody knows": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: cow\r\n\r\n0\r\n\r\n",
    "an obfuscated chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked twice": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "a blank before a colon": b"HTTP/1.1 200 OK\r\nX-A : 1\r\nContent-Length: 0\r\n\r\n",
    "a folded line": b"HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\nContent-Length: 0\r\n\r\n",
    "a folded line behind a bare LF": b"HTTP/1.1 200 OK\nX-A: 1\n 2\nContent-Length: 0\n\n",
    "an empty line that a bare LF ends first": b"\nHTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "a doubled CR at a line's end": b"HTTP/1.1 200 OK\r\nX-A: 1\r\r\nContent-Length: 0\r\n\r\n",
    "a bare CR in a value": b"HTTP/1.1 200 OK\r\nX-A: 1\rX-B: 2\r\nContent-Length: 0\r\n\r\n",
    "a NUL in a value": b"HTTP/1.1 200 OK\r\nX-A: \x00\r\nContent-Length: 0\r\n\r\n",
    "a control character in a name": b"HTTP/1.1 200 OK\r\nX\x01: 1\r\nContent-Length: 0\r\n\r\n",
    "a control character in Content-Length": b"HTTP/1.1 200 OK\r\nContent-Length: 0\x0b\r\n\r\n",
    "a control character in Transfer-Encoding": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"
    ),
    "a line without a colon": b"HTTP/1.1 200 OK\r\nX-A\r\nContent-Length: 0\r\n\r\n",
    "an empty name": b"HTTP/1.1 200 OK\r\n: 1\r\nContent-Length: 0\r\n\r\n",
    "a 101 that nobody asked for": (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
    ),
    "a head that ends early": b"HTTP/1.1 200 OK\r\nContent-Le",
    "a status line that ends early": b"HTTP/1.1 2",
    "an interim response and nothing more": b"HTTP/1.1 103 Early Hints\r\n\r\n",
}
# After their head has gone on, the only truth left is a broken message.
CHUNKS = {
    "a chunk size with 0x": b"0x2\r\nab\r\n0\r\n\r\n",
    "a chunk size below zero": b"-2\r\nab\r\n0\r\n\r\n",
    "a chunk size that is no number": b"ok\r\nab\r\n0\r\n\r\n",
    "a chunk size that overflows": b"10000000000000002\r\nab\r\n0\r\n\r\n",
    "a chunk size that ends with a bare LF": b"2\nab\r\n0\r\n\r\n",
    "a chunk longer than its size": b"2\r\nabc\r\n0\r\n\r\n",
    "a chunk that ends with a bare LF": b"2\r\nab\n0\r\n\r\n",
    "a trailer without a colon": b"2\r\nab\r\n0\r\nX-T\r\n\r\n",
    "a trailer that is folded behind a bare LF": b"2\r\nab\r\n0\r\nX-T: 1\n 2\n\n",
    "a trailer with a NUL": b"2\r\nab\r\n0\r\nX-T: \x00\r\n\r\n",
    "a last chunk that ends with a bare LF": b"2\r\nab\r\n0\n\r\n",
    "a chunk size behind a blank": b" 2\r\nab\r\n0\r\n\r\n",
    "a chunk size with a blank inside": b"0 2\r\nab\r\n0\r\n\r\n",
}
LENIENT = {
    "a folded line": "folded lines may be unfolded (RFC 9112 5.2)",
    "a folded line behind a bare LF": "folded lines may be unfolded (RFC 9112 5.2)",
    "a trailer that is folded behind a bare LF": "folded lines may be unfolded (RFC 9112 5.2)",
    "two Content-Length with other digits": "a list of equal lengths may be accepted (RFC 9110 8.6)",
    "an interim response and nothing more": "the status for a response that never came",
    "a blank before a colon": "the blank may be removed instead (RFC 9112 5.1)",
    "a head that ends early": "the status for a response that never came",
    "a status line that ends early": "the status for a response that never came",
}
POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"


def _cases(shapes: dict[str, bytes]) -> list[ParameterSet]:
    return [
        pytest.param(shape, id=name, marks=[clause(own_choice=LENIENT[name])] if name in LENIENT else [])
        for name, shape in shapes.items()
    ]


def _next_is_its_own(gateway: Gateway, backend: Lane) -> None:
    """Assert that the next request gets a connection of its own, and the response sent there."""
    client = gateway.client()
    client.send(get(backend.path))
    upstream = backend.accept_for(client)
    upstream.read_request()
    upstream.send(OK)
    assert client.read_response().content == b"ok"


@clause("RFC 9110 15.6.3", "RFC 9112 4", "RFC 9112 6.3", "5.lenient.doubt", "6.answers.bad_response")
@pytest.mark.parametrize("shape", _cases(SHAPES))
def test_answered_with_502_and_nothing_of_it_is_taken_for_the_next_response(
    gateway: Gateway, client: Wire, backend: Lane, shape: bytes
) -> None:
    client.send(get(backend.path))
    upstream = backend.accept_for(client)
    upstream.read_request()
    cut_short = "early" in shape.decode("latin-1") or not shape.endswith(b"\r\n\r\n") or b" 103 " in shape
    upstream.try_send(shape if cut_short else shape + POISON)
    upstream.end_writing()

    response = client.read_response()

    gateway.check_answer(response, 502, "bad_response")
    assert b"poison" not in response.content
    _next_is_its_own(gateway, backend)


@clause("RFC 9112 7.1", "RFC 9112 8", "5.lenient.doubt", "6.broken.cut")
@pytest.mark.parametrize("body", _cases(CHUNKS))
def test_a_body_breaks_the_response_and_nothing_is_taken_for_the_next(
    gateway: Gateway, client: Wire, backend: Lane, body: bytes
) -> None:
    client.send(get(backend.path))
    upstream = backend.accept_for(client)
    upstream.read_request()
    upstream.try_send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + POISON)

    try:
        response = client.read_response()
    except Cut:
        pass  # the head went on already
    else:
        gateway.check_answer(response, 502, "bad_response")
    _next_is_its_own(gateway, backend)


@clause("RFC 9112 9.2", "RFC 9112 6.3")
@pytest.mark.parametrize(
    ("method", "response"),
    [
        (b"GET", OK),
        (b"GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\n\r\n"),
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"),
    ],
    ids=["a known length", "the last chunk", "a 204", "a 304", "a response to HEAD"],
)
def test_bytes_behind_a_response_are_never_taken_for_the_next_after(
    gateway: Gateway, client: Wire, backend: Lane, method: bytes, response: bytes
) -> None:
    client.send(get(backend.path, method=method))
    upstream = backend.accept_for(client)
    upstream.read_request()
    upstream.send(response + POISON)

    assert b"poison" not in client.read_response(to=method).content
    _next_is_its_own(gateway, backend)


@clause("RFC 9112 9.2", "5.pool.unasked")
def test_what_an_idle_backend_connection_sends_is_never_taken_for_the_next_response(
    gateway: Gateway, client: Wire, backend: Lane
) -> None:
    seen = exchange(client, backend, get(backend.path))
    seen.upstream.send(POISON)

    _next_is_its_own(gateway, backend)


@clause("RFC 9112 6.3")
def test_content_that_204_may_not_have_reaches_no_client(client: Wire, backend: Lane) -> None:
    client.send(get(backend.path))
    upstream = backend.accept_for(client)
    upstream.read_request()
    upstream.send(b"HTTP/1.1 204 No Content\r\n\r\nunasked")
    upstream.end_writing()

    assert client.read_response().status == 204
    assert client.received_nothing()
