"""Responses that come before the request has ended: the client gets them, whatever becomes of the rest."""

import time

import pytest

from tests.contract.http.clauses import Capability, clause
from tests.contract.http.gateways import Gateway
from tests.contract.http.script import OK, Pouring, chunked, exchange, get, post
from tests.contract.http.site import Lane
from tests.contract.http.wire import Wire

FULL_DUPLEX = Capability.FULL_DUPLEX
PIECE = bytes(1 << 16)
UPLOAD = [PIECE] * 48  # 3 MiB
LONG_UPLOAD = [PIECE] * 128  # 8 MiB: more than the kernel keeps for anybody
TOO_LARGE = b"HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 3\r\n\r\nno!"
WHY = "the connections could go on, were the rest of every request read"


def _head(lane: Lane, upload: list[bytes], framing: str, method: bytes = b"POST") -> bytes:
    line = b"Content-Length: %d" % sum(map(len, upload))
    return get(lane.path, b"Transfer-Encoding: chunked" if framing == "chunks" else line, method=method)


def _framed(upload: list[bytes], framing: str) -> list[bytes]:
    if framing != "chunks":
        return upload
    return [*(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in upload), b"0\r\n\r\n"]


@clause("RFC 9112 9.5", "RFC 9112 9.6", "5.early.answer", needs=FULL_DUPLEX)
@pytest.mark.parametrize("how", ["with the upload unread", "with the upload's beginning read"])
@pytest.mark.parametrize("framing", ["a known length", "chunks"])
def test_a_413_reaches_a_client_that_uploads_though_the_backend_closes(
    gateway: Gateway, backend: Lane, framing: str, how: str
) -> None:
    for _ in range(12):  # as it may hang on which byte is underway when the backend closes
        with gateway.client() as client:
            client.send(_head(backend, UPLOAD, framing))
            with Pouring(client, _framed(UPLOAD, framing)), backend.accept_for(client) as upstream:
                upstream.read_head()
                if how != "with the upload unread":
                    upstream.read(1 << 17)
                upstream.send(TOO_LARGE)
                upstream.close()  # which is a reset, as bytes are unread
                response = client.read_response()

                assert (response.status, response.content) == (413, b"no!")


@clause("RFC 9112 9.5", "5.early.answer", needs=FULL_DUPLEX)
@pytest.mark.parametrize("method", [b"POST", b"PUT"])
def test_an_early_response_on_a_used_connection_is_the_answer_too(
    client: Wire, backend: Lane, method: bytes
) -> None:
    upstream = exchange(client, backend, get(backend.path)).upstream
    client.send(_head(backend, UPLOAD, "a known length", method))
    with Pouring(client, UPLOAD):
        upstream.read_head()
        upstream.send(TOO_LARGE)
        upstream.close()

        assert client.read_response().status == 413
    assert backend.is_unvisited()


@clause("RFC 9112 9.6", "5.early.forgotten", needs=FULL_DUPLEX)
@pytest.mark.parametrize("framing", ["a known length", "chunks"])
def test_the_rest_of_the_request_is_read_and_forgotten_whatever_its_length(
    client: Wire, backend: Lane, framing: str
) -> None:
    client.send(_head(backend, LONG_UPLOAD, framing))
    upstream = backend.accept_for(client)
    upstream.read_head()
    upstream.send(TOO_LARGE)
    upstream.close()
    assert client.read_head().status == 413  # the client has the answer before it sends the rest

    with Pouring(client, _framed(LONG_UPLOAD, framing)) as upload:
        assert upload.wait(), f"no more than {upload.taken} bytes were read"
    assert client.read(3) == b"no!"


@clause("RFC 9112 9.6", "5.early.forgotten", needs=FULL_DUPLEX)
def test_a_client_that_sends_on_behind_the_end_of_the_answer_sees_no_reset(
    client: Wire, backend: Lane
) -> None:
    client.send(_head(backend, LONG_UPLOAD, "a known length"))
    upstream = backend.accept_for(client)
    upstream.read_head()
    upstream.send(TOO_LARGE)
    upstream.close()
    assert client.read_to_end().endswith(b"no!")

    with Pouring(client, LONG_UPLOAD[1:]) as upload:
        assert upload.wait(), f"no more than {upload.taken} bytes were read"


@clause("RFC 9112 9.6", "5.early.closes", own_choice=WHY, needs=FULL_DUPLEX)
@pytest.mark.parametrize("keeps", [b"", b"Connection: keep-alive\r\n"])
def test_both_connections_close_when_the_response_is_whole_and_the_request_is_not(
    client: Wire, backend: Lane, keeps: bytes
) -> None:
    client.send(_head(backend, UPLOAD, "a known length") + PIECE)
    upstream = backend.accept_for(client)
    upstream.read_head()
    upstream.send(b"HTTP/1.1 200 OK\r\n%bContent-Length: 2\r\n\r\nok" % keeps)

    assert client.read_response().content == b"ok"
    upstream.outlast()
    assert client.is_closed()


@clause("RFC 9112 9.6", "5.early.closes", needs=FULL_DUPLEX)
def test_what_follows_a_request_that_was_answered_early_is_no_request(client: Wire, backend: Lane) -> None:
    client.send(post(backend.path, b"abc" + get(backend.path + b"/inner"))[:-1])
    upstream = backend.accept_for(client)
    upstream.read_head()
    upstream.send(OK)
    assert client.read_response().content == b"ok"
    client.try_send(b"\n" + get(backend.path + b"/behind"))

    assert client.is_closed()
    assert backend.is_unvisited()


@clause("5.early.goes_on", needs=FULL_DUPLEX)
@pytest.mark.parametrize("framing", ["a known length", "chunks"])
def test_the_rest_of_the_request_goes_on_as_long_as_the_backend_takes_it(
    client: Wire, backend: Lane, framing: str
) -> None:
    client.send(_head(backend, UPLOAD, framing))
    upstream = backend.accept_for(client)
    head = upstream.read_head()
    upstream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n")
    assert client.read_head().status == 200
    assert client.read_chunk() == b"begun"

    with Pouring(client, _framed(UPLOAD, framing)) as upload:
        if head.values(b"transfer-encoding"):
            assert len(upstream.read_chunked()[0]) == len(UPLOAD) * len(PIECE)
        else:
            upstream.read(len(UPLOAD) * len(PIECE))
        assert upload.wait()
    upstream.send(b"5\r\nended\r\n0\r\n\r\n")
    assert client.read_chunked()[0] == b"ended"


@clause("5.early.answer", needs=FULL_DUPLEX)
def test_a_long_response_goes_on_while_the_backend_takes_nothing_of_the_request(
    client: Wire, backend: Lane
) -> None:
    content = bytes(4 << 20)
    client.send(_head(backend, LONG_UPLOAD, "a known length"))
    with Pouring(client, LONG_UPLOAD) as upload:
        upstream = backend.accept_for(client)
        upstream.read_head()
        head = b"HTTP/1.1 413 No\r\nContent-Length: %d\r\n\r\n" % len(content)
        with Pouring(upstream, [head, content]):
            response = client.read_response()

            assert (response.status, response.content) == (413, content)
        upstream.close()
        assert upload.wait(), f"no more than {upload.taken} bytes were read"


@clause("RFC 9112 9.3", "5.early.closes", needs=FULL_DUPLEX)
def test_a_small_request_that_was_answered_early_and_ended_in_time_leaves_its_connection_open(
    client: Wire, backend: Lane
) -> None:
    client.send(get(backend.path, b"Transfer-Encoding: chunked", method=b"POST"))
    upstream = backend.accept_for(client)
    upstream.read_head()
    upstream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n")
    head = client.read_head()
    client.read_chunk()
    client.send(chunked(b"abc"))
    assert upstream.read_chunked()[0] == b"abc"
    upstream.send(b"0\r\n\r\n")
    assert client.read_chunked()[0] == b""

    if b"close" in head.items(b"connection"):
        assert client.is_closed()
    else:
        client.send(get(backend.path))
        upstream = backend.accept_or(upstream)
        upstream.read_request()
        upstream.send(OK)
        assert client.read_response().content == b"ok"


@pytest.mark.slow
@clause("5.early.between", own_choice="how long the rest is waited for")
def test_the_rest_of_a_request_is_waited_for_five_seconds_and_no_longer(client: Wire, backend: Lane) -> None:
    client.send(_head(backend, UPLOAD, "a known length"))
    upstream = backend.accept_for(client)
    upstream.read_head()
    upstream.send(TOO_LARGE)
    upstream.close()
    assert client.read_to_end().endswith(b"no!")
    time.sleep(4)  # time is the subject
    client.send(PIECE)
    assert not client.is_reset(within_s=0.1)

    time.sleep(7)
    assert client.is_reset(within_s=0) or (client.try_send(PIECE) and client.is_reset(within_s=1))


@pytest.mark.slow
@pytest.mark.timeout(90)
@clause("5.early.in_all", own_choice="how long the rest is waited for")
def test_the_rest_of_a_request_is_waited_for_thirty_seconds_in_all(client: Wire, backend: Lane) -> None:
    client.send(_head(backend, UPLOAD, "a known length"))
    upstream = backend.accept_for(client)
    upstream.read_head()
    upstream.send(TOO_LARGE)
    upstream.close()
    assert client.read_to_end().endswith(b"no!")
    for _ in range(9):
        time.sleep(3)  # time is the subject
        client.send(b"x")
        assert not client.is_reset(within_s=0)

    time.sleep(3)
    client.try_send(b"x")
    time.sleep(3)
    assert client.is_reset(within_s=0) or (client.try_send(b"x") and client.is_reset(within_s=1))
