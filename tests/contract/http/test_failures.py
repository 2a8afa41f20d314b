"""What a client sees when a backend fails, and what is tried elsewhere first."""

import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.contract.http.clauses import clause
from tests.contract.http.conftest import Launch
from tests.contract.http.gateways import Gateway, wait_until
from tests.contract.http.script import OK, Pouring, answer, exchange, get, own_answer, post
from tests.contract.http.site import HASTY, IMPATIENT, Lane, full
from tests.contract.http.wire import DEADLINE_S, Cut, Listener, Wire

TABLE = "the table of section 6; others use 502 or 504"


def _forget_interim(client: Wire) -> None:
    while client.is_readable() and b" 103 " in client.peek().split(b"\r\n")[0]:
        client.read_head()


def _asked(client: Wire, lane: Lane, request: bytes) -> Wire:
    client.send(request)
    upstream = lane.accept_for(client)
    upstream.read_request()
    return upstream


@clause("6.answers.refused", own_choice=TABLE)
def test_a_backend_that_refuses_is_503_connect_failed(gateway: Gateway, client: Wire, alone: Lane) -> None:
    client.send(get(alone.path))

    gateway.check_answer(client.read_response(), 503, "connect_failed")


@clause("6.answers.refused", own_choice=TABLE)
def test_all_that_refuse_are_503_connect_failed(gateway: Gateway, client: Wire, dead: Lane) -> None:
    client.send(post(dead.path, b"abc"))

    gateway.check_answer(client.read_response(), 503, "connect_failed")


@clause("2.timeouts.connect", "6.answers.refused", own_choice=TABLE)
def test_a_backend_that_does_not_accept_in_time_is_503_connect_failed(
    gateway: Gateway, client: Wire, hasty: Lane
) -> None:
    with full(hasty):
        started = time.monotonic()
        client.send(get(hasty.path))
        gateway.check_answer(client.read_response(), 503, "connect_failed")

    assert HASTY.connect * 0.9 < time.monotonic() - started < HASTY.connect + 1


@clause("6.answers.closed_early", own_choice=TABLE)
@pytest.mark.parametrize("how", ["a FIN", "a RST"])
def test_a_backend_that_closes_without_a_byte_is_503_closed_early(
    gateway: Gateway, client: Wire, backend: Lane, how: str
) -> None:
    upstream = _asked(client, backend, post(backend.path, b"abc"))
    upstream.close() if how == "a FIN" else upstream.reset()

    gateway.check_answer(client.read_response(), 503, "closed_early")


@clause("6.tries.idempotent", own_choice=TABLE)
def test_a_single_backend_that_closes_early_is_not_tried_again(
    gateway: Gateway, client: Wire, backend: Lane
) -> None:
    _asked(client, backend, get(backend.path)).close()

    gateway.check_answer(client.read_response(), 503, "closed_early")
    assert backend.is_unvisited()


@clause("RFC 9110 15.6.5", "6.answers.timeout")
def test_no_response_in_time_is_504_timeout(gateway: Gateway, client: Wire, hasty: Lane) -> None:
    started = time.monotonic()
    upstream = _asked(client, hasty, get(hasty.path))

    gateway.check_answer(client.read_response(), 504, "timeout")
    assert HASTY.response * 0.9 < time.monotonic() - started < HASTY.response + 1
    assert upstream.is_closed()


@clause("2.timeouts.response", "6.answers.timeout")
@pytest.mark.parametrize("what", ["a head", "content"])
def test_what_came_in_time_counts_though_the_gateway_stood_still(launch: Launch, what: str) -> None:
    gateway = launch(hasty=1)
    client, hasty = gateway.client(), gateway.lane("hasty")
    upstream = _asked(client, hasty, get(hasty.path))
    begun, rest = (b"", OK) if what == "a head" else (OK[:-1], OK[-1:])
    upstream.send(begun)
    if begun:
        client.read_until(b"\r\n\r\no")
    gateway.signal(signal.SIGSTOP)
    upstream.send(rest)
    time.sleep(HASTY.idle + 0.3)  # time is the subject
    gateway.signal(signal.SIGCONT)

    if what == "a head":
        assert client.read_response().content == b"ok"
    else:
        assert client.read(1) == b"k"


@pytest.mark.slow
@clause("2.timeouts.idle")
def test_a_client_that_reads_slowly_is_no_client_that_has_left(client: Wire, hasty: Lane) -> None:
    content = bytes(64 << 20)  # more than the kernel takes
    upstream = _asked(client, hasty, get(hasty.path))
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content))
    client.read_head()
    with Pouring(upstream, [content]):
        until = time.monotonic() + HASTY.idle * 2.5
        while time.monotonic() < until:
            time.sleep(HASTY.idle / 8)  # time is the subject
            client.read(30_000)  # a hundredth of what the kernel holds

        read = 0
        while read < 30 << 20:
            read += len(client.read(1 << 20))


@clause("2.timeouts.response")
def test_a_response_head_that_comes_in_drips_is_a_timeout(
    gateway: Gateway, client: Wire, hasty: Lane
) -> None:
    upstream = _asked(client, hasty, get(hasty.path))
    upstream.send(b"HTTP/1.1 200 OK\r\nX-A")

    gateway.check_answer(client.read_response(), 504, "timeout")


@clause("2.timeouts.response", "6.answers.timeout")
def test_interim_responses_do_not_put_the_timeout_off(gateway: Gateway, client: Wire, hasty: Lane) -> None:
    started = time.monotonic()
    upstream = _asked(client, hasty, get(hasty.path))
    while not client.is_readable() or b" 103 " in client.peek():
        assert time.monotonic() - started < HASTY.response + 1
        if not upstream.try_send(b"HTTP/1.1 103 Early Hints\r\n\r\n"):
            break
        time.sleep(HASTY.response / 5)  # time is the subject
        _forget_interim(client)

    gateway.check_answer(client.read_response(), 504, "timeout")


@clause("2.timeouts.idle", "6.answers.timeout", own_choice="others tell of a time-out in other ways")
@pytest.mark.parametrize("framing", ["a known length", "chunks"])
def test_a_backend_that_does_not_read_an_upload_is_504_timeout_and_told_so(
    gateway: Gateway, client: Wire, hasty: Lane, framing: str
) -> None:
    upload = [bytes(1 << 20)] * 64  # more than the kernel takes
    line = b"Content-Length: %d" % (64 << 20)
    if framing == "chunks":
        line, upload = b"Transfer-Encoding: chunked", [b"100000\r\n%b\r\n" % piece for piece in upload]
    client.send(get(hasty.path, line, method=b"POST", host=b"localhost"))
    with Pouring(client, upload):
        hasty.accept_for(client).read_head()
        started = time.monotonic()
        response = client.read_response()

        gateway.check_answer(response, 504, "timeout")
        assert HASTY.idle * 0.5 < time.monotonic() - started < HASTY.idle + 2
    if gateway.gives_reasons:
        detail = json.loads(response.content)["detail"]
        assert "timeouts.response" not in detail
        assert f"{HASTY.idle:g}" in detail


@clause("RFC 9110 15.5.9", "6.client.content_late", "6.client.closed")
@pytest.mark.parametrize(
    ("framing", "sent"),
    [(b"Content-Length: 10", b""), (b"Transfer-Encoding: chunked", b"2\r\nab\r\n")],
    ids=["nothing of it came", "a part of it came"],
)
def test_content_that_does_not_come_is_408_and_closed(
    gateway: Gateway, client: Wire, hasty: Lane, framing: bytes, sent: bytes
) -> None:
    started = time.monotonic()
    client.send(get(hasty.path, framing, method=b"POST") + sent)
    upstream = hasty.accept_for(client)
    upstream.read_head()

    gateway.check_answer(client.read_response(), 408, "request_timeout")
    assert HASTY.idle * 0.9 < time.monotonic() - started < HASTY.idle + 1
    upstream.outlast()
    assert client.is_closed()


@clause("2.timeouts.response")
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


@clause("6.broken.cut", own_choice="others may reset what they sent before")
def test_a_response_before_one_that_breaks_off_is_not_lost_with_it(limited: Gateway) -> None:
    client, whole, broken = limited.client(), limited.lane(), limited.lane()
    client.send(get(whole.path) + get(broken.path) + get(whole.path) * 3000)
    content = bytes(3 << 20)
    upstream = whole.accept()
    upstream.read_request()
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content)
    other = broken.accept()
    other.read_request()
    other.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    other.close()
    limited.logged(broken.path)

    assert client.read_response().content == content
    assert client.read_to_end().endswith(b"abc")


@clause("2.timeouts.idle", "6.broken.cut")
def test_a_response_that_stalls_is_cut(client: Wire, hasty: Lane) -> None:
    upstream = _asked(client, hasty, get(hasty.path))
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")

    with pytest.raises(Cut):
        client.read_response()
    assert upstream.is_closed()


@clause("6.tries.next")
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


@clause("RFC 9110 9.2.2", "6.tries.idempotent")
@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"])
def test_an_idempotent_request_goes_to_one_other_backend_after_closed_early(
    client: Wire, pair: Lane, method: bytes
) -> None:
    _asked(client, pair, get(pair.path, method=method)).close()

    assert answer(client, pair.accept(), get(pair.path, method=method)).response.status == 200


@clause("RFC 9110 9.2.2", "6.tries.idempotent")
@pytest.mark.parametrize("method", [b"POST", b"PATCH", b"BREW"])
def test_another_request_goes_to_no_other_backend(client: Wire, pair: Lane, method: bytes) -> None:
    _asked(client, pair, post(pair.path, b"abc", method=method)).close()

    assert client.read_response().status in (502, 503)
    assert pair.is_unvisited()


@contextmanager
def _closing(listener: Listener) -> Iterator[None]:
    """Let *listener* close what it accepts, as Docker does at a published port that nobody listens behind."""
    listener.sock.setblocking(True)

    def close() -> None:
        with suppress(OSError):
            while True:
                listener.sock.accept()[0].close()

    thread = threading.Thread(target=close)
    thread.start()
    try:
        yield
    finally:
        listener.sock.shutdown(socket.SHUT_RDWR)
        thread.join()


@clause("6.tries.unproven", "6.tries.closed", own_choice="others send at once, and lose it")
@pytest.mark.parametrize("method", [b"POST", b"GET"])
def test_what_may_be_sent_once_only_passes_over_two_that_close_what_they_accept(
    client: Wire, trio: Lane, method: bytes
) -> None:
    with _closing(trio.listeners[0]), _closing(trio.listeners[1]):
        client.send(post(trio.path, b"0", method=method))
        upstream = trio.listeners[2].accept()
        for number in range(1, 9):
            seen = answer(client, upstream, method)
            assert (seen.response.status, seen.request.content) == (200, b"%d" % (number - 1))
            client.send(post(trio.path, b"%d" % number, method=method))
        answer(client, upstream, method)


@clause("6.tries.idempotent", own_choice=TABLE)
def test_no_more_than_two_of_three_backends_are_asked(gateway: Gateway, client: Wire, trio: Lane) -> None:
    first = _asked(client, trio, get(trio.path))
    first.close()
    second = trio.accept_for(client)
    second.read_request()
    second.close()

    gateway.check_answer(own_answer(client, trio), 503, "closed_early")
    assert first.address != second.address


@clause("6.tries.next", "6.tries.idempotent", own_choice=TABLE)
def test_those_that_refuse_are_no_tries_of_those_that_closed_early(
    gateway: Gateway, client: Wire, trio: Lane
) -> None:
    trio.listeners[0].close()
    client.send(get(trio.path))
    for _ in range(2):
        upstream = trio.accept_for(client)
        upstream.read_request()
        upstream.close()

    gateway.check_answer(own_answer(client, trio), 503, "closed_early")


@clause("2.timeouts.together", own_choice="others try for as long as there are backends, or once")
def test_all_tries_together_wait_three_times_connect_at_most(
    gateway: Gateway, client: Wire, ten_dead: Lane
) -> None:
    with full(ten_dead):
        started = time.monotonic()
        client.send(get(ten_dead.path))
        gateway.check_answer(client.read_response(), 503, "connect_failed")

    assert IMPATIENT.connect * 0.9 < time.monotonic() - started < IMPATIENT.connect * 3 + 0.6


@clause("6.tries.next")
def test_a_backend_is_found_behind_two_that_do_not_accept_in_time(client: Wire, trio: Lane) -> None:
    with full(trio, but=1):
        client.send(get(trio.path))

        assert answer(client, trio.listeners[-1].accept(), b"GET").response.content == b"ok"


@clause("6.tries.next")
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_backend_is_found_behind_nine_that_refuse(client: Wire, ten_dead: Lane, method: bytes) -> None:
    ten_dead.listeners[4].listen()

    seen = exchange(client, ten_dead, post(ten_dead.path, b"abc", method=method))

    assert (seen.request.content, seen.response.content) == (b"abc", b"ok")


@clause("6.tries.final", own_choice="others may ask another after a time-out")
def test_a_timeout_is_not_tried_again(gateway: Gateway, client: Wire, hasty_pair: Lane) -> None:
    client.send(get(hasty_pair.path))
    hasty_pair.accept().read_request()

    gateway.check_answer(client.read_response(), 504, "timeout")
    assert hasty_pair.is_unvisited()


@clause("6.tries.final")
def test_a_bad_response_is_not_tried_again(gateway: Gateway, client: Wire, pair: Lane) -> None:
    upstream = _asked(client, pair, get(pair.path))
    upstream.send(b"nonsense\r\n\r\n")
    upstream.close()

    gateway.check_answer(client.read_response(), 502, "bad_response")
    assert pair.is_unvisited()


@clause("RFC 9112 8", "6.broken.cut")
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


@clause("RFC 9112 8", "6.broken.cut", "6.broken.reset")
def test_a_reset_does_not_make_content_until_the_end_look_complete(client: Wire, backend: Lane) -> None:
    upstream = _asked(client, backend, get(backend.path))
    upstream.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
    client.read_head()
    assert client.read_chunk() == b"abc"
    upstream.reset()

    with pytest.raises(Cut):
        client.read_chunked()


@clause("1.log.cut", own_choice="the log is rgate's")
@pytest.mark.parametrize(
    ("head", "how"),
    [(b"Content-Length: 10", "FIN"), (b"Transfer-Encoding: chunked", "FIN"), (b"X-A: 1", "RST")],
    ids=["a known length", "chunks", "the end of the connection"],
)
def test_the_log_tells_of_a_response_that_broke_off(limited: Gateway, head: bytes, how: str) -> None:
    lane = limited.lane()
    with limited.client() as client:
        client.send(get(lane.path))
        with lane.accept_for(client) as upstream:
            upstream.read_request()
            upstream.send(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n3\r\nabc\r\n" % head)
            client.read_until(b"abc")
            if how == "RST":
                upstream.reset()
        client.outlast()

    told = limited.logged(lane.path)
    assert (told["status"], told["reason"]) == (200, "cut")


@clause("RFC 9112 8", "6.broken.reset", own_choice="only a reset can tell an HTTP/1.0 client")
def test_an_http_1_0_client_sees_a_reset_where_chunks_break_off(client: Wire, backend: Lane) -> None:
    upstream = _asked(client, backend, get(backend.path, version=b"HTTP/1.0"))
    upstream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    client.read_until(b"abc")
    upstream.close()

    with pytest.raises(Cut):
        client.read_to_end()


@clause("6.tries.back")
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


@clause("RFC 9112 9.5")
def test_a_backend_that_dies_during_the_upload_is_an_error(client: Wire, backend: Lane) -> None:
    client.send(get(backend.path, b"Content-Length: 100", method=b"POST") + b"abc")
    upstream = backend.accept_for(client)
    upstream.read_head()
    upstream.reset()
    client.try_send(b"x" * 97)

    assert client.read_response().status in (502, 503)


@clause("6.own.backends")
@pytest.mark.parametrize("status", [b"500 No", b"502 No", b"503 No", b"504 No"])
def test_a_backends_own_error_is_no_failure(client: Wire, pair: Lane, status: bytes) -> None:
    response = b"HTTP/1.1 %b\r\nContent-Length: 2\r\nRetry-After: 7\r\n\r\nno" % status

    seen = exchange(client, pair, get(pair.path), response).response

    assert (seen.status, seen.content, seen.values(b"retry-after")) == (int(status[:3]), b"no", [b"7"])
    assert pair.is_unvisited()


def _figures(gateway: Gateway, lane: Lane) -> dict[str, int]:
    return gateway.figures("route").get(lane.path.decode(), {"success": 0, "error": 0})


def _errors(gateway: Gateway, lane: Lane) -> int:
    return _figures(gateway, lane)["error"]


@clause(
    "6.gone.counts", "7.counts.success", own_choice="499 is nginx's number for it; the figures are rgate's"
)
@pytest.mark.parametrize("how", ["a FIN", "a RST"])
@pytest.mark.parametrize("content", [b"", b"abc"], ids=["GET", "POST"])
def test_a_client_that_goes_away_counts_as_499(counted: Gateway, how: str, content: bytes) -> None:
    client, backend = counted.client(), counted.lane()
    before = counted.figures("status").get("499", {"error": 0})["error"]
    upstream = _asked(client, backend, post(backend.path, content) if content else get(backend.path))
    client.end_writing() if how == "a FIN" else client.reset()
    upstream.outlast()

    assert wait_until(lambda: _errors(counted, backend), DEADLINE_S, "the request in the figures") == 1
    assert counted.figures("status")["499"] == {"success": 0, "error": before + 1}


@clause("6.gone.ends", "6.gone.counts", own_choice="the figures are rgate's")
def test_a_client_that_breaks_off_an_upload_that_nobody_reads_ends_it_at_once(counted: Gateway) -> None:
    client, backend = counted.client(), counted.lane()
    client.send(get(backend.path, b"Content-Length: %d" % (64 << 20), method=b"POST"))
    upstream = backend.accept_for(client)
    upstream.read_head()
    with suppress(TimeoutError):  # once nothing more is taken
        client.sock.settimeout(0.3)
        client.sock.sendall(bytes(64 << 20))
    before = counted.figures("status").get("499", {"error": 0})["error"]
    client.reset()

    assert wait_until(lambda: _errors(counted, backend), DEADLINE_S, "the request in the figures") == 1
    assert counted.figures("status")["499"] == {"success": 0, "error": before + 1}
    upstream.outlast()


@clause("6.gone.pipelined", own_choice="the figures are rgate's")
def test_requests_behind_the_one_that_a_client_left_are_not_counted(counted: Gateway) -> None:
    client, backend = counted.client(), counted.lane()
    upstream = _asked(client, backend, get(backend.path) * 5)
    client.close()
    upstream.outlast()

    assert wait_until(lambda: _errors(counted, backend), DEADLINE_S, "the request in the figures") == 1
    exchange(counted.client(), backend, get(backend.path))
    wait_until(lambda: _figures(counted, backend)["success"], DEADLINE_S, "the next one in the figures")
    assert _figures(counted, backend) == {"success": 1, "error": 1}
