"""A limit for a whole call to Docker, in time and in bytes, where the libraries below its SDK have one for
each read, in time.

A daemon, or what stands before it, may say one byte of an answer every few seconds: no read takes long, and
the call has no end. So the socket of each connection has a limit that counts from when it was set, which
urllib3 does as it begins to read.
"""

import contextlib
import io
import socket
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from requests import Session

LONGEST_ANSWER: Final = 128 << 20
"""In bytes. A list has some thousand for each container."""

_SHORTEST_S: Final = 1e-3  # 0 would be none


class UnendingAnswer(TimeoutError):
    """What came of an answer came in time, and not all of it did."""


class EndlessAnswer(ValueError):
    """More came than any answer has; it is read no further."""


def bound_calls(session: Session) -> None:
    """Have each call of *session* end within its time limit, or raise TimeoutError."""
    adapters: Iterable[Any] = session.adapters.values()
    for adapter in adapters:
        adapter.get_connection_with_tls_context = _bounding(adapter.get_connection_with_tls_context)


def _bounding(get_pool: Callable[..., Any]) -> Callable[..., Any]:
    """Return *get_pool*, whose pools make connections that are bounded."""

    def bounded_pool(*arguments: Any, **named: Any) -> Any:
        pool = get_pool(*arguments, **named)
        if not hasattr(pool, "is_bounded"):
            pool._new_conn, pool.is_bounded = _connecting(pool._new_conn), True
        return pool

    return bounded_pool


def _connecting(make: Callable[[], Any]) -> Callable[[], Any]:
    def made() -> Any:
        connection = make()
        path = getattr(connection, "unix_socket", "")
        connect = partial(_connect_unix, connection, path) if path else connection.connect

        def bounded() -> None:
            connect()
            if isinstance(connection.sock, socket.socket) and connection.sock.family != socket.AF_UNIX:
                _keep_alive(connection.sock)
            connection.sock = BoundedSocket(connection.sock)

        connection.connect = bounded
        return connection

    return made


def _connect_unix(connection: Any, path: str) -> None:
    """Connect as the SDK does, which leaves the socket open where nobody listens at *path*."""
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(connection.timeout)
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    connection.sock = sock


def _keep_alive(sock: socket.socket) -> None:
    """Have the kernel ask whether the other end of *sock* is there (RFC 9293 3.8.4): events may not come for
    hours, what lies between forgets such a connection, and nobody would be told.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):  # seconds, tries
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


class BoundedSocket:
    """A socket, or what stands in for one, whose time limit is for all that is read from when it was set: no
    more than an answer may have, either.
    """

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._ends_s: float | None = None
        self._read = 0  # bytes, since then

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def settimeout(self, timeout_s: float | None) -> None:
        """Let reads from now on take so long together; None: as long as they like."""
        self._ends_s = None if timeout_s is None else time.monotonic() + timeout_s
        self._read = 0
        self._sock.settimeout(timeout_s)

    def read(self, most: int) -> bytes:
        """Return what comes next, at most so many bytes. Raises TimeoutError, and EndlessAnswer."""
        if self._ends_s is not None:
            self._sock.settimeout(max(self._ends_s - time.monotonic(), _SHORTEST_S))
        found = None
        with contextlib.suppress(TimeoutError):
            found = bytes(self._sock.recv(most))
        if found is None:
            raise UnendingAnswer if self._read else TimeoutError
        self._read += len(found)
        if self._ends_s is not None and self._read > LONGEST_ANSWER:
            raise EndlessAnswer
        return found

    def makefile(self, mode: str, *_: Any, **__: Any) -> io.BufferedReader:
        """Return what http.client reads from."""
        return io.BufferedReader(_Reading(self, self._sock, self._sock.makefile(mode, 0)))


class _Reading(io.RawIOBase):
    def __init__(self, bounded: BoundedSocket, sock: Any, held: Any) -> None:
        self._bounded = bounded
        self._sock = sock  # where the SDK looks for it, to end a stream
        self._held = held  # as long as it is open, a socket that is closed is still read from

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        found = self._bounded.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def close(self) -> None:
        self._held.close()
        super().close()
