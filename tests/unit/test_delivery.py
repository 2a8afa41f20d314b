"""What is delivered: the client reads what the backend sent, and knows where it ends (RFC 9112 6.3, 9.3)."""

from itertools import product

import h11
import pytest

from rgate.core.content import content_of
from rgate.core.delivery import deliver, own_response, own_stream, phrase_of, response_bytes
from rgate.core.message import UNTIL_CLOSE, Fields, parse_response_head
from rgate.core.onward import CLOSING, ORDINARY, Manner, Request, Response
from rgate.core.problem import OwnResponse, OwnStream
from tests.unit.messages import fields_of, request, response

TRAILERS: Fields = ((b"T", b"u"),)
CLIENTS = {
    "1.1": (b"HTTP/1.1", ()),
    "1.1 that closes": (b"HTTP/1.1", (b"Connection: close",)),
    "1.1 that says keep-alive": (b"HTTP/1.1", (b"Connection: keep-alive",)),
    "1.1 out of the ordinary": (b"HTTP/1.1", (b"TE: trailers",)),
    "1.0": (b"HTTP/1.0", ()),
    "1.0 that keeps": (b"HTTP/1.0", (b"Connection: Keep-Alive",)),
    "1.0 that closes": (b"HTTP/1.0", (b"Connection: close",)),
}
KEEPING = {"1.1", "1.1 that says keep-alive", "1.1 out of the ordinary", "1.0 that keeps"}
# Method, first line and lines of the response, and the content that it has.
RESPONSES: dict[str, tuple[bytes, bytes, tuple[bytes, ...], bytes]] = {
    "counted": (b"GET", b"HTTP/1.1 200 OK", (b"Content-Length: 3",), b"abc"),
    "counted, of 1.0": (b"GET", b"HTTP/1.0 200 OK", (b"Content-Length: 3",), b"abc"),
    "none": (b"POST", b"HTTP/1.1 200 OK", (b"Content-Length: 0",), b""),
    "chunked": (b"GET", b"HTTP/1.1 200 OK", (b"Transfer-Encoding: chunked",), b"abc"),
    "until the end": (b"GET", b"HTTP/1.1 200 OK", (), b"abc"),
    "until the end, of 1.0": (b"GET", b"HTTP/1.0 200 OK", (b"A: b",), b"abc"),
    "to HEAD, counted": (b"HEAD", b"HTTP/1.1 200 OK", (b"Content-Length: 3",), b""),
    "to HEAD, chunked": (b"HEAD", b"HTTP/1.1 200 OK", (b"Transfer-Encoding: chunked",), b""),
    "to HEAD, until the end": (b"HEAD", b"HTTP/1.1 200 OK", (), b""),
    "204": (b"GET", b"HTTP/1.1 204 No Content", (), b""),
    "204 with a length": (b"GET", b"HTTP/1.1 204 No Content", (b"Content-Length: 3",), b""),
    "304": (b"GET", b"HTTP/1.1 304 Not Modified", (b"Content-Length: 3",), b""),
    "304, chunked": (b"GET", b"HTTP/1.1 304 Not Modified", (b"Transfer-Encoding: chunked",), b""),
}


def exchange(client: str, kind: str) -> tuple[Request, Response]:
    version, lines = CLIENTS[client]
    method, first, answer_lines, _ = RESPONSES[kind]
    asked = request(b"%b /a %b" % (method, version), *lines)
    return asked, response(first, *answer_lines, to=asked)


@pytest.mark.parametrize(("client", "kind"), list(product(CLIENTS, RESPONSES)))
@pytest.mark.parametrize("closing", [False, True])
def test_a_client_reads_the_content_and_knows_where_it_ends(client: str, kind: str, closing: bool) -> None:
    asked, answer = exchange(client, kind)
    content = RESPONSES[kind][3]
    delivery = deliver(asked, answer, closing=closing)
    is_old = client.startswith("1.0")
    ends_by_closing = is_old and kind.startswith(("chunked", "until"))
    closes = closing or client not in KEEPING or ends_by_closing
    trailers = TRAILERS if kind == "chunked" and not is_old else ()

    assert delivery.framed is not ends_by_closing
    assert delivery.closes is closes
    raw = response_bytes(answer, delivery)
    connection = b"close" if closes else b"keep-alive" if is_old else None
    assert [value for name, value in fields_of(raw) if name == b"Connection"] == [connection] * (
        connection is not None
    )

    read = parse_response_head(raw, asked.method)
    assert (read.framing is UNTIL_CLOSE) is ends_by_closing
    assert read.keep_alive is not closes
    sent = b"".join(map(delivery.content, [content[:1], b"", content[1:]])) + delivery.end(trailers)
    taken = content_of(read.framing)
    assert taken.complete or taken.take(sent, 0) == (content, len(sent))
    assert taken.complete is not ends_by_closing
    assert taken.trailers == trailers
    assert bool(sent) is bool(content or trailers or kind == "chunked")


@pytest.mark.parametrize(("kind", "closing"), list(product(RESPONSES, [False, True])))
def test_a_client_of_somebody_elses_reads_it_too(kind: str, closing: bool) -> None:
    asked, answer = exchange("1.1", kind)
    content = RESPONSES[kind][3]
    delivery = deliver(asked, answer, closing=closing)
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=asked.method, target=b"/a", headers=[("Host", "h")]))
    client.send(h11.EndOfMessage())
    client.receive_data(response_bytes(answer, delivery) + delivery.content(content) + delivery.end(()))
    head, data = client.next_event(), b""
    assert isinstance(head, h11.Response)
    assert head.status_code == answer.status
    while isinstance(event := client.next_event(), h11.Data):
        data += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert data == content
    assert client.their_state is (h11.MUST_CLOSE if delivery.closes else h11.DONE)


@pytest.mark.parametrize("closing", [False, True])
def test_a_switch_of_protocols_ends_no_connection(closing: bool) -> None:
    asked = request(b"GET / HTTP/1.1", b"Connection: upgrade", b"Upgrade: x")
    answer = response(b"HTTP/1.1 101 S", b"Upgrade: x", b"Connection: upgrade", to=asked)
    delivery = deliver(asked, answer, closing=closing)
    assert (delivery.lines, delivery.chunks, delivery.closes) == (b"", False, False)
    assert response_bytes(answer, delivery) == answer.onward


def test_an_ordinary_response_goes_on_as_it_is() -> None:
    for kind in ("counted", "chunked", "204", "to HEAD, counted"):
        asked, answer = exchange("1.1", kind)
        assert asked.manner is ORDINARY
        assert response_bytes(answer, deliver(asked, answer, closing=False)) is answer.onward


OLD = Manner(minor_version=0, keep_alive=False)
OLD_KEEPING = Manner(minor_version=0)


@pytest.mark.parametrize("manner", [ORDINARY, CLOSING, OLD, OLD_KEEPING])
@pytest.mark.parametrize(("own_closes", "closing"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize(
    ("status", "method"),
    [(200, b"GET"), (200, b"HEAD"), (204, b"GET"), (304, b"GET"), (503, b"POST"), (299, b"GET")],
)
def test_an_answer_of_rgates_own_is_whole(
    manner: Manner, own_closes: bool, closing: bool, status: int, method: bytes
) -> None:
    own = OwnResponse(status, ((b"A", b"b"),), b"abc", closes=own_closes)
    whole = own_response(own, method, manner, b"now", closing=closing)
    end = whole.message.index(b"\r\n\r\n") + 4
    read = parse_response_head(whole.message[:end], method)
    has_content = status not in (204, 304)
    assert (read.status, read.phrase) == (status, phrase_of(status))
    assert whole.message[end:] == (b"abc" if has_content and method != b"HEAD" else b"")
    assert whole.content_bytes == len(whole.message) - end
    assert read.values(b"content-length") == ((b"3",) if has_content else ())
    assert [read.values(name) for name in (b"a", b"date")] == [(b"b",), (b"now",)]
    assert whole.closes is (own_closes or closing or not manner.keep_alive)
    assert read.keep_alive is not whole.closes
    told = b"close" if whole.closes else b"keep-alive" if manner is OLD_KEEPING else None
    assert read.values(b"connection") == (() if told is None else (told,))


def test_a_status_that_nobody_registered_has_no_phrase() -> None:
    assert (phrase_of(404), phrase_of(299)) == (b"Not Found", b"")


@pytest.mark.clause("10.live.framing")
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize("closing", [False, True])
def test_a_stream_of_its_own_is_read_piece_by_piece_up_to_its_end(
    client: str, method: bytes, closing: bool
) -> None:
    version, lines = CLIENTS[client]
    asked = request(b"%b /a %b" % (method, version), *lines)
    own = OwnStream(((b"Content-Type", b"text/event-stream"),), 900)
    head, delivery = own_stream(own, method, asked.manner, b"Thu, 01 Jan 1970 00:00:00 GMT", closing=closing)
    ends_by_closing = client.startswith("1.0") and method == b"GET"
    assert delivery.closes == (closing or client not in KEEPING or ends_by_closing)
    assert delivery.framed != ends_by_closing

    reading = h11.Connection(h11.CLIENT)
    reading.send(h11.Request(method=method, target="/a", headers=[("Host", "a")]))
    reading.send(h11.EndOfMessage())
    reading.receive_data(head)
    answer = reading.next_event()
    assert isinstance(answer, h11.Response)
    assert (b"content-type", b"text/event-stream") in answer.headers
    if method == b"HEAD":
        assert isinstance(reading.next_event(), h11.EndOfMessage)
        return
    for piece in (b"retry: 2000\n\n", b"event: tick\ndata: 1\n\n"):
        reading.receive_data(delivery.content(piece))
        data = reading.next_event()
        assert isinstance(data, h11.Data)
        assert bytes(data.data) == piece, "nothing waits for what comes later"
    reading.receive_data(delivery.end(()) or b"")
    assert isinstance(reading.next_event(), h11.EndOfMessage)
