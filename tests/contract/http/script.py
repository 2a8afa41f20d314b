"""The short scripts that most cases are made of."""

from dataclasses import dataclass

from tests.contract.http.gateways import Gateway
from tests.contract.http.site import Lane
from tests.contract.http.wire import Cut, Message, Wire

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def get(path: bytes, *lines: bytes, method: bytes = b"GET", version: bytes = b"HTTP/1.1") -> bytes:
    """Return a request without content; *lines* are its field lines after Host."""
    return b"\r\n".join([b"%b %b %b" % (method, path, version), b"Host: example.org", *lines, b"", b""])


def post(path: bytes, content: bytes, *lines: bytes, method: bytes = b"POST") -> bytes:
    """Return a request with *content* of known length."""
    return get(path, *lines, b"Content-Length: %d" % len(content), method=method) + content


def chunked(*pieces: bytes) -> bytes:
    """Return *pieces* as a chunked body."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@dataclass(frozen=True)
class Seen:
    """What arrived at either end of one exchange."""

    request: Message
    response: Message
    upstream: Wire


def exchange(client: Wire, lane: Lane, request: bytes, response: bytes = OK) -> Seen:
    """Send *request*, answer it with *response* on a new connection, and return what arrived."""
    client.send(request)
    return answer(client, lane.accept_for(client), request, response)


def answer(client: Wire, upstream: Wire, request: bytes, response: bytes = OK) -> Seen:
    """Answer *request*, sent by *client* already, on the connection *upstream*."""
    seen = upstream.read_request()
    upstream.send(response)
    return Seen(seen, client.read_response(to=request.split(b" ")[0]), upstream)


def check_nothing_reached(gateway: Gateway, lane: Lane) -> None:
    """Assert that the gateway sent the backend nothing: a request sent now is the first to arrive.

    Every connection that the gateway made before must hold nothing but this request.
    """
    sentinel = lane.path + b"/sentinel"
    with gateway.client() as client:
        client.send(get(sentinel))
        while True:
            upstream = lane.accept()
            try:
                request = upstream.read_request()
            except Cut as cut:
                if "so far b''" in str(cut):
                    continue  # made and given up without a byte
                raise
            assert request.target.endswith(b"/sentinel"), f"{request.line!r} reached the backend"
            upstream.send(OK)
            assert client.read_response().status == 200
            assert lane.is_unvisited()
            assert upstream.received_nothing()
            return
