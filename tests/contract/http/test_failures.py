"""What a client sees when a backend fails, and what is tried elsewhere first."""

import time

import pytest

from tests.contract.http.clauses import clause
from tests.contract.http.gateways import Gateway
from tests.contract.http.script import OK, answer, exchange, get, post
from tests.contract.http.site import HASTY, FullListener, Lane
from tests.contract.http.wire import Cut, Wire

TABLE = "the table of section 6; others use 502 or 504"


def _asked(client: Wire, lane: Lane, request: bytes) -> Wire:
    client.send(request)
    upstream = lane.accept_for(client)
    upstream.read_request()
    return upstream


@clause("behaviour 6", own_choice=TABLE)
def test_a_backend_that_refuses_is_503_connect_failed(gateway: Gateway, client: Wire, alone: Lane) -> None:
    client.send(get(alone.path))

    gateway.check_answer(client.read_response(), 503, "connect_failed")


@clause("behaviour 6", own_choice=TABLE)
def test_all_that_refuse_are_503_connect_failed(gateway: Gateway, client: Wire, dead: Lane) -> None:
    client.send(post(dead.path, b"abc"))

    gateway.check_answer(client.read_response(), 503, "connect_failed")


@clause("behaviour 6", own_choice=TABLE)
def test_a_backend_that_does_not_accept_in_time_is_503_connect_failed(
    gateway: Gateway, client: Wire, hasty: Lane
) -> None:
    with FullListener(hasty.listeners[0]):
        started = time.monotonic()
        client.send(get(hasty.path))
        gateway.check_answer(client.read_response(), 503, "connect_failed")

    assert HASTY.connect * 0.9 < time.monotonic() - started < HASTY.connect + 1


@clause("behaviour 6", own_choice=TABLE)
@pytest.mark.parametrize("how", ["a FIN", "a RST"])
def test_a_backend_that_closes_without_a_byte_is_503_closed_early(
    gateway: Gateway, client: Wire, backend: Lane, how: str
) -> None:
    upstream = _asked(client, backend, post(backend.path, b"abc"))
    upstream.close() if how == "a FIN" else upstream.reset()

    gateway.check_answer(client.read_response(), 503, "closed_early")


@clause("behaviour 6", own_choice=TABLE)
def test_a_single_backend_that_closes_early_is_not_tried_again(
    gateway: Gateway, client: Wire, backend: Lane
) -> None:
    _asked(client, backend, get(backend.path)).close()

    gateway.check_answer(client.read_response(), 503, "closed_early")
    assert backend.is_unvisited()


@clause("RFC 9110 15.6.5", "behaviour 6")
def test_no_response_in_time_is_504_timeout(gateway: Gateway, client: Wire, hasty: Lane) -> None:
    started = time.monotonic()
    upstream = _asked(client, hasty, get(hasty.path))

    gateway.check_answer(client.read_response(), 504, "timeout")
    assert HASTY.response * 0.9 < time.monotonic() - started < HASTY.response + 1
    assert upstream.is_closed()


@clause("behaviour 2")
def test_a_response_head_that_comes_in_drips_is_a_timeout(
    gateway: Gateway, client: Wire, hasty: Lane
) -> None:
    upstream = _asked(client, hasty, get(hasty.path))
    upstream.send(b"HTTP/1.1 200 OK\r\nX-A")

    gateway.check_answer(client.read_response(), 504, "timeout")


@clause("behaviour 2")
def test_a_long_upload_is_no_timeout(client: Wire, hasty: Lane) -> None:
    client.send(get(hasty.path, b"Content-Length: 10", method=b"POST"))
    for _ in range(9):
        time.sleep(HASTY.response / 6)  # time is the subject: half as long again as `response` in all
        client.send(b"x")
    upstream = hasty.accept_for(client)
    client.send(b"x")
    assert upstream.read_request().content == b"x" * 10
    upstream.send(OK)

    assert client.read_response().content == b"ok"


@clause("behaviour 2", "behaviour 6")
def test_a_response_that_stalls_is_cut(client: Wire, hasty: Lane) -> None:
    upstream = _asked(client, hasty, get(hasty.path))
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")

    with pytest.raises(Cut):
        client.read_response()
    assert upstream.is_closed()


@clause("behaviour 6")
@pytest.mark.parametrize("method", [b"GET", b"POST", b"PATCH"])
def test_a_backend_that_refuses_is_passed_over_for_any_method(
    client: Wire, half: Lane, method: bytes
) -> None:
    upstream = exchange(client, half, post(half.path, b"abc", method=method)).upstream
    for _ in range(8):
        client.send(post(half.path, b"abc", method=method))
        upstream = half.accept_or(upstream)
        seen = answer(client, upstream, method)
        assert (seen.response.status, seen.request.content) == (200, b"abc")


@clause("RFC 9110 9.2.2", "behaviour 6")
@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"])
def test_an_idempotent_request_goes_to_one_other_backend_after_closed_early(
    client: Wire, pair: Lane, method: bytes
) -> None:
    _asked(client, pair, get(pair.path, method=method)).close()

    assert answer(client, pair.accept(), get(pair.path, method=method)).response.status == 200


@clause("RFC 9110 9.2.2", "behaviour 6")
@pytest.mark.parametrize("method", [b"POST", b"PATCH", b"BREW"])
def test_another_request_goes_to_no_other_backend(client: Wire, pair: Lane, method: bytes) -> None:
    _asked(client, pair, post(pair.path, b"abc", method=method)).close()

    assert client.read_response().status in (502, 503)
    assert pair.is_unvisited()


@clause("behaviour 6", own_choice=TABLE)
def test_no_more_than_two_backends_are_asked(gateway: Gateway, client: Wire, pair: Lane) -> None:
    _asked(client, pair, get(pair.path)).close()
    second = pair.accept()
    second.read_request()
    second.close()

    gateway.check_answer(client.read_response(), 503, "closed_early")
    assert pair.is_unvisited()


@clause("behaviour 6", own_choice="others may ask another after a time-out")
def test_a_timeout_is_not_tried_again(gateway: Gateway, client: Wire, hasty_pair: Lane) -> None:
    client.send(get(hasty_pair.path))
    hasty_pair.accept().read_request()

    gateway.check_answer(client.read_response(), 504, "timeout")
    assert hasty_pair.is_unvisited()


@clause("behaviour 6")
def test_a_bad_response_is_not_tried_again(gateway: Gateway, client: Wire, pair: Lane) -> None:
    upstream = _asked(client, pair, get(pair.path))
    upstream.send(b"nonsense\r\n\r\n")
    upstream.close()

    gateway.check_answer(client.read_response(), 502, "bad_response")
    assert pair.is_unvisited()


@clause("RFC 9112 8", "behaviour 6")
@pytest.mark.parametrize("how", ["a FIN", "a RST"])
@pytest.mark.parametrize(
    "begun",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
    ],
    ids=["a known length", "chunks", "chunks but for the last line"],
)
def test_a_broken_response_arrives_broken_after(client: Wire, backend: Lane, begun: bytes, how: str) -> None:
    upstream = _asked(client, backend, get(backend.path))
    upstream.send(begun)
    client.read_until(b"abc")
    upstream.close() if how == "a FIN" else upstream.reset()

    try:
        rest = client.read_to_end()
    except Cut:
        return
    assert b"0\r\n\r\n" not in rest


@clause("RFC 9112 8", "behaviour 6")
def test_a_reset_does_not_make_content_until_the_end_look_complete(client: Wire, backend: Lane) -> None:
    upstream = _asked(client, backend, get(backend.path))
    upstream.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
    client.read_head()
    assert client.read_chunk() == b"abc"
    upstream.reset()

    with pytest.raises(Cut):
        client.read_chunked()


@clause("RFC 9112 8", "behaviour 6", own_choice="only a reset can tell an HTTP/1.0 client")
def test_an_http_1_0_client_sees_a_reset_where_chunks_break_off(client: Wire, backend: Lane) -> None:
    upstream = _asked(client, backend, get(backend.path, version=b"HTTP/1.0"))
    upstream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    client.read_until(b"abc")
    upstream.close()

    with pytest.raises(Cut):
        client.read_to_end()


@clause("behaviour 6")
def test_a_backend_that_comes_back_is_used_again(client: Wire, dead: Lane) -> None:
    client.send(get(dead.path))
    assert client.read_response().status in (502, 503)
    for listener in dead.listeners:
        listener.listen()

    assert exchange(client, dead, get(dead.path)).response.content == b"ok"


@clause("RFC 9112 9.3")
def test_the_clients_connection_outlives_a_failure(client: Wire, alone: Lane, backend: Lane) -> None:
    client.send(get(alone.path))
    assert client.read_response().status in (502, 503)

    assert exchange(client, backend, get(backend.path)).response.content == b"ok"


@clause("RFC 9112 9.3")
def test_the_content_of_a_failed_request_is_not_taken_for_the_next(
    client: Wire, alone: Lane, backend: Lane
) -> None:
    client.try_send(post(alone.path, get(backend.path + b"/smuggled")))
    assert client.read_response().status in (502, 503)
    client.try_send(get(backend.path + b"/next"))

    # The gateway may have closed the connection; else the next request is the next one sent.
    if not backend.is_closed_or_visited(client):
        pytest.fail("neither the end nor the next request")
    if not backend.is_unvisited():
        assert backend.accept().read_request().target.endswith(b"/next")


@clause("RFC 9112 9.5", "behaviour 6")
def test_a_backend_that_dies_during_the_upload_is_an_error(client: Wire, backend: Lane) -> None:
    client.send(get(backend.path, b"Content-Length: 100", method=b"POST") + b"abc")
    upstream = backend.accept_for(client)
    upstream.read_head()
    upstream.reset()
    client.try_send(b"x" * 97)

    assert client.read_response().status in (502, 503)


@clause("behaviour 6")
@pytest.mark.parametrize("status", [b"500 No", b"502 No", b"503 No", b"504 No"])
def test_a_backends_own_error_is_no_failure(client: Wire, pair: Lane, status: bytes) -> None:
    response = b"HTTP/1.1 %b\r\nContent-Length: 2\r\nRetry-After: 7\r\n\r\nno" % status

    seen = exchange(client, pair, get(pair.path), response).response

    assert (seen.status, seen.content, seen.values(b"retry-after")) == (int(status[:3]), b"no", [b"7"])
    assert pair.is_unvisited()
