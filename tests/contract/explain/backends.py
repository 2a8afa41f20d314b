"""Backends that keep what they are asked."""

import contextlib
import socket
import threading
from typing import NamedTuple, Self

from tests.contract.http.wire import Cut, Late, Message, Wire

# It is small, as `limits.header_bytes` bounds responses too.
ANSWER = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Taken(NamedTuple):
    """A request, and the port that it came to."""

    request: Message
    port: int


class Backends:
    """Listen on so many ports of 127.0.0.1; each request gets a connection of its own."""

    def __init__(self, number: int) -> None:
        self._listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
        self.ports: list[int] = [one.getsockname()[1] for one in self._listeners]
        self._taken: list[Taken] = []
        self._threads = [
            threading.Thread(target=self._serve, args=(one,), daemon=True) for one in self._listeners
        ]

    def taken(self) -> list[Taken]:
        """Return what was asked since this was called last."""
        taken, self._taken = self._taken, []
        return taken

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for listener, thread in zip(self._listeners, self._threads, strict=True):
            listener.shutdown(socket.SHUT_RDWR)  # else accept would go on waiting
            thread.join()
            listener.close()

    def _serve(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = listener.accept()
                with Wire(accepted) as wire, contextlib.suppress(Cut, Late, OSError):
                    self._taken.append(Taken(wire.read_request(), listener.getsockname()[1]))
                    wire.send(ANSWER)


def closed_port() -> tuple[socket.socket, int]:
    """Return a port at which nobody listens as long as the socket, which holds it, is open."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock, sock.getsockname()[1]
