"""The short scripts that most cases are made of."""

import contextlib
import socket
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from tests.contract.http.gateways import Gateway
from tests.contract.http.site import Lane, first_of
from tests.contract.http.wire import DEADLINE_S, Cut, Late, Message, Wire, readable

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def get(
    path: bytes,
    *lines: bytes,
    method: bytes = b"GET",
    version: bytes = b"HTTP/1.1",
    host: bytes = b"example.org",
) -> bytes:
    """Return a request without content; *lines* are its field lines after Host."""
    return b"\r\n".join([b"%b %b %b" % (method, path, version), b"Host: " + host, *lines, b"", b""])


def post(
    path: bytes, content: bytes, *lines: bytes, method: bytes = b"POST", host: bytes = b"example.org"
) -> bytes:
    """Return a request with *content* of known length."""
    return get(path, *lines, b"Content-Length: %d" % len(content), method=method, host=host) + content


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


class Pouring:
    """Data on its way to the other end of a connection, from a thread: to its end, or until none is taken."""

    def __init__(self, wire: Wire, pieces: Iterable[bytes]) -> None:
        self._sock = wire.sock.dup()  # with a time-out of its own
        self._sock.settimeout(DEADLINE_S)
        self._pieces = pieces
        self.taken = 0
        self.is_whole = False
        self._thread = threading.Thread(target=self._pour, daemon=True)

    def _pour(self) -> None:
        with contextlib.suppress(OSError):
            for piece in self._pieces:
                self._sock.sendall(piece)
                self.taken += len(piece)
            self.is_whole = True

    def wait(self) -> bool:
        """Wait until nothing more is sent; return whether all was taken."""
        self._thread.join(DEADLINE_S * 2)
        assert not self._thread.is_alive(), f"still {self.taken} bytes are taken"
        return self.is_whole

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)  # of both, so that what waits comes to an end
            self._thread.join()
        self._sock.close()


class Draining:
    """What arrives on a connection, read and forgotten by a thread, up to and with the bytes *end*."""

    def __init__(self, wire: Wire, end: bytes) -> None:
        self._sock = wire.sock.dup()
        self._sock.settimeout(DEADLINE_S)
        self._end = end
        self._last = wire.take_buffered()
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self.is_whole = False

    def _drain(self) -> None:
        with contextlib.suppress(OSError):
            while not self._last.endswith(self._end):
                received = self._sock.recv(1 << 18)
                if not received:
                    return
                self._last = (self._last + received)[-len(self._end) :]
            self.is_whole = True

    @property
    def is_over(self) -> bool:
        """Whether nothing more is read: the end came, or the connection's end did, or nothing for long."""
        return not self._thread.is_alive()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)
            self._thread.join()
        self._sock.close()


@contextlib.contextmanager
def serving(lane: Lane, response: bytes = OK) -> Iterator[None]:
    """Answer whatever *lane* is asked with *response*, from threads; at the end no thread of them is left."""
    wires: list[Wire] = []
    threads: list[threading.Thread] = []
    ended = threading.Event()

    def answer_all(wire: Wire) -> None:
        with contextlib.suppress(Cut, Late, OSError):
            while True:
                wire.read_request()
                wire.send(response)

    def accept_all() -> None:
        while not ended.is_set():
            if readable(lane.sockets(), 0.05):
                wires.append(lane.accept())
                threads.append(threading.Thread(target=answer_all, args=(wires[-1],), daemon=True))
                threads[-1].start()

    acceptor = threading.Thread(target=accept_all, daemon=True)
    acceptor.start()
    try:
        yield
    finally:
        ended.set()
        acceptor.join()
        for wire, thread in zip(wires, threads, strict=True):
            wire.shut_down()
            thread.join()


def own_answer(client: Wire, lane: Lane) -> Message:
    """Return what the gateway says itself; fails at once where the request goes on to *lane*."""
    assert first_of(client, lane), "neither an answer nor a request to the backend came"
    assert lane.is_unvisited(), "it reached the backend"
    return client.read_response()


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
