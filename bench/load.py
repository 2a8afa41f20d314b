"""What is asked for, how it is written, and what a right answer is."""

import http.client
import socket
from dataclasses import dataclass


class LoadFailed(Exception):
    """A request was not answered as it ought to be: a figure would mean nothing."""


@dataclass(frozen=True)
class Load:
    """A request that is sent again and again, each time that *answer*, its content, has come.

    Its own content are *content_bytes* bytes, with a length or *chunked*. In *segments*: the head is sent
    by itself, as most clients do. With a *message*, it opens a tunnel, through which that is sent instead.
    *traced*: each request brings a trace id of its own, so that no head is like the one before.
    """

    path: str
    answer: bytes
    method: str = "GET"
    fields: tuple[tuple[str, str], ...] = ()
    content_bytes: int = 0
    chunked: bool = False
    segments: bool = False
    message: bytes = b""
    traced: bool = False
    connections: int = 32

    @property
    def by_wrk(self) -> bool:
        """Whether wrk can send it: it writes a request at once, and waits for content after HEAD."""
        return not (self.segments or self.chunked or self.message or self.method == "HEAD")

    def opening(self, port: int) -> list[bytes]:
        """Return the request to the gateway on *port*, a piece for each write."""
        content = b"x" * self.content_bytes
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
        lines += [f"{name}: {value}" for name, value in self.fields]
        if self.chunked:
            lines.append("Transfer-Encoding: chunked")
            content = b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)
        elif content:
            lines.append(f"Content-Length: {len(content)}")
        head = "\r\n".join([*lines, "", ""]).encode()
        return [head, content] if self.segments else [head + content]

    def repeated(self, port: int) -> list[bytes]:
        """Return what is sent again and again."""
        return [self.message] if self.message else self.opening(port)

    def is_answered(self, received: bytes) -> bool:
        """Whether *received* is all of an answer, of those that have no content behind it."""
        return received.endswith(b"\r\n\r\n" if self.method == "HEAD" else self.answer)

    def is_right(self, received: bytes) -> bool:
        """Whether *received*, an answer, is the right one."""
        return received == self.answer if self.message else received.startswith(b"HTTP/1.1 200 ")


@dataclass(frozen=True)
class Answered:
    """What a run of load came to."""

    requests: int
    seconds: float
    p99_ms: float


def check(load: Load, port: int) -> None:
    """Ask once, and look at the whole answer. Raises LoadFailed."""
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        for piece in load.opening(port):
            sock.sendall(piece)
        response = http.client.HTTPResponse(sock, method=load.method)
        response.begin()
        if load.message:
            sock.sendall(load.message)
            got, wanted = response.fp.read(len(load.answer)), (101, {"upgrade"})
        else:
            got, wanted = response.read(), (200, {"via", "x-request-id"})
        names = {name.lower() for name in response.headers}
        content = b"" if load.method == "HEAD" else load.answer
        if response.status != wanted[0] or got != content or not wanted[1] <= names:
            raise LoadFailed(f"{response.status}, {len(got)} bytes, fields {sorted(names)}")
