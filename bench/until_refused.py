"""Clients that ask a gateway again and again until it refuses them, and count what they lost."""

import select
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

CLIENTS: Final = 16


@dataclass
class Clients:
    """What *number* clients of the gateway on *port* are answered. *kept*: on connections that they keep.

    The request is a GET of *path*.
    """

    port: int
    path: str
    kept: bool
    number: int = CLIENTS
    counts: Counter[str] = field(default_factory=Counter)  # answered, lost new, lost kept
    lost: list[str] = field(default_factory=list)  # how
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: list[threading.Thread] = field(default_factory=list)

    @property
    def answered(self) -> int:
        """How many requests were answered so far."""
        return self.counts["answered"]

    def start(self) -> None:
        """Begin to ask."""
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(self.number)]
        for thread in self._threads:
            thread.start()

    def join(self, within_s: float) -> None:
        """Wait until all were refused. Raises TimeoutError."""
        until_s = time.monotonic() + within_s
        for thread in self._threads:
            thread.join(max(until_s - time.monotonic(), 0))
        if any(thread.is_alive() for thread in self._threads):
            raise TimeoutError(f"a client was not refused in {within_s:g} s")

    def _ask(self) -> None:
        while True:
            try:
                sock = socket.create_connection(("127.0.0.1", self.port), 10)
            except OSError:
                return
            with sock:
                self._ask_on(sock)

    def _ask_on(self, sock: socket.socket) -> None:
        request = f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n".encode()
        kind, goes_on = "lost new", True
        while goes_on and not (kind == "lost kept" and _has_ended(sock)):
            answer, end = _answer(sock, request)
            with self._lock:
                if end:
                    self.counts[kind] += 1
                    self.lost.append(end)
                    return
                self.counts["answered"] += 1
            kind, goes_on = "lost kept", self.kept and b"\r\nconnection: close" not in answer.lower()


def _has_ended(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))  # nothing else may come before the next request


def _answer(sock: socket.socket, request: bytes) -> tuple[bytes, str]:
    """Return the answer to *request*, and how it broke off: "" where it is whole."""
    received = b""
    try:
        sock.sendall(request)
        while not _is_whole(received):
            piece = sock.recv(65536)
            if not piece:
                return received, f"a FIN behind {len(received)} bytes"
            received += piece
    except OSError as error:
        return received, f"{error.strerror or error} behind {len(received)} bytes"
    return received, "" if received.startswith(b"HTTP/1.1 200 ") else received[:60].decode(errors="replace")


def _is_whole(received: bytes) -> bool:
    head, ends, content = received.partition(b"\r\n\r\n")
    if not ends:
        return False
    lower = head.lower()
    at = lower.find(b"\r\ncontent-length:")
    return at >= 0 and len(content) >= int(lower[at + 17 :].split(b"\r\n", 1)[0])
