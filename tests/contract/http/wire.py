"""One end of a TCP connection, for scripts: exact bytes out, exact bytes in, a deadline on each wait.

The reader here is small and takes messages as they come; it judges nothing. What a message ought to
look like is said by the cases.
"""

import contextlib
import os
import select
import selectors
import socket
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self, cast

# Far above what any gateway needs on loopback, so that only what never comes is missed.
DEADLINE_S = float(os.environ.get("CONTRACT_DEADLINE_S", "5"))

Fields = tuple[tuple[bytes, bytes], ...]


def readable(sockets: Iterable[socket.socket], within_s: float) -> list[socket.socket]:
    """Return those of *sockets* with something to read, waiting for the first; any number may be open."""
    with selectors.PollSelector() as selector:
        for sock in sockets:
            selector.register(sock, selectors.EVENT_READ)
        return [cast(socket.socket, key.fileobj) for key, _ in selector.select(within_s)]


class Late(AssertionError):
    """What was awaited did not come in time."""


class Cut(AssertionError):
    """The connection ended, or was reset, before the message did."""


@dataclass(frozen=True)
class Message:
    """A request or a response as it arrived. *framing* is `none`, `length`, `chunked` or `close`."""

    line: bytes
    fields: Fields
    content: bytes = b""
    trailers: Fields = ()
    framing: str = "none"
    interim: "tuple[Message, ...]" = ()

    @property
    def method(self) -> bytes:
        return self.line.split(b" ")[0]

    @property
    def target(self) -> bytes:
        return self.line.split(b" ", 1)[1].rpartition(b" ")[0]

    @property
    def version(self) -> bytes:
        return self.line[:8] if self.line.startswith(b"HTTP/") else self.line.rpartition(b" ")[2]

    @property
    def status(self) -> int:
        return int(self.line.split(b" ")[1])

    @property
    def phrase(self) -> bytes:
        return self.line.partition(b" ")[2].partition(b" ")[2]

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of all fields called *name*, whatever their case, in order."""
        return [value for field, value in self.fields if field.lower() == name.lower()]

    def items(self, name: bytes) -> list[bytes]:
        """Return the items of the list field *name*, lower case."""
        return [item.strip().lower() for value in self.values(name) for item in value.split(b",")]

    def names(self) -> list[bytes]:
        """Return the fields' names, lower case, in order."""
        return [name.lower() for name, _ in self.fields]


def parse_head(head: bytes) -> Message:
    """Return the message whose head, with its empty line, is *head*."""
    line, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    return Message(line, tuple(_field(line) for line in lines))


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name, value.strip(b" \t")


class Wire:
    """A connected socket. Every read waits until its deadline, and says what it saw when it fails."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.settimeout(DEADLINE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.address: tuple[str, int] = sock.getsockname()[:2]
        self._buffer = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Writing.

    def send(self, *pieces: bytes) -> None:
        """Send each of *pieces* as a segment of its own."""
        for piece in pieces:
            self.sock.sendall(piece)

    def try_send(self, data: bytes) -> bool:
        """Send *data*; return False where the other end is gone already."""
        try:
            self.sock.sendall(data)
        except OSError:
            return False
        return True

    def end_writing(self) -> None:
        """Send a FIN, and go on reading."""
        with contextlib.suppress(OSError):  # where the other end has reset the connection already
            self.sock.shutdown(socket.SHUT_WR)

    def shut_down(self) -> None:
        """End both ways, and whatever waits for more in another thread."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        """Close with a RST, whatever is under way."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    # Reading.

    def _receive(self, awaited: str, until: float) -> None:
        """Add to the buffer. Raises Cut at the connection's end, Late at the deadline."""
        self.sock.settimeout(max(until - time.monotonic(), 0.001))
        try:
            data = self.sock.recv(1 << 18)
        except TimeoutError:
            raise Late(f"no {awaited} in time; so far {self._so_far()}") from None
        except OSError as error:
            raise Cut(f"{error.strerror} instead of {awaited}; so far {self._so_far()}") from None
        if not data:
            raise Cut(f"the connection ended instead of {awaited}; so far {self._so_far()}")
        self._buffer += data

    def _so_far(self) -> str:
        kept, held = self._buffer[:2000], len(self._buffer)
        return repr(bytes(kept)) + (f" and {held - len(kept)} bytes more" if held > len(kept) else "")

    def read(self, size: int) -> bytes:
        """Return exactly *size* bytes."""
        until = time.monotonic() + DEADLINE_S
        while len(self._buffer) < size:
            self._receive(f"{size} bytes", until)
        return self._take(size)

    def read_until(self, end: bytes, within_s: float = DEADLINE_S) -> bytes:
        """Return everything up to and with *end*."""
        until = time.monotonic() + within_s
        while (found := self._buffer.find(end)) < 0:
            self._receive(repr(end), until)
        return self._take(found + len(end))

    def read_to_end(self, within_s: float = DEADLINE_S) -> bytes:
        """Return everything until the other end closes. Raises Cut where it resets."""
        until = time.monotonic() + within_s
        while True:
            try:
                self._receive("the end", until)
            except Cut as cut:
                if "the connection ended" not in str(cut):
                    raise
                return self._take(len(self._buffer))

    def outlast(self, within_s: float = DEADLINE_S) -> str:
        """Read and forget everything to the end; return "a FIN" or "a RST", whichever that is."""
        until = time.monotonic() + within_s
        while True:
            self._buffer.clear()
            try:
                self._receive("the end", until)
            except Cut as cut:
                return "a FIN" if "the connection ended" in str(cut) else "a RST"

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def is_closed(self, within_s: float = DEADLINE_S) -> bool:
        """Whether the other end closes, or resets, without sending anything more."""
        try:
            return self.read_to_end(within_s) == b""
        except Cut:
            return not self._buffer
        except Late:
            return False

    def received_nothing(self) -> bool:
        """Whether nothing, not even an end, is there to be read now."""
        return not self._buffer and not self.is_readable()

    def is_readable(self) -> bool:
        return bool(readable([self.sock], 0))

    def peek(self) -> bytes:
        """Return what is there to be read, without taking it. To be asked when readable."""
        try:
            return self.sock.recv(1000, socket.MSG_PEEK)
        except OSError as error:
            return repr(error).encode()

    def take_buffered(self) -> bytes:
        """Return what was read from the socket and not yet asked for."""
        return self._take(len(self._buffer))

    def is_reset(self, within_s: float) -> bool:
        """Whether a RST comes, be it behind a FIN."""
        poll = select.poll()
        poll.register(self.sock, 0)  # which tells of errors only
        return bool(poll.poll(within_s * 1000))

    def is_at_end(self) -> bool:
        """Whether the other end's FIN or RST is the next thing to be read. To be asked when readable."""
        try:
            return self.sock.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            return True

    # Messages.

    def read_head(self, within_s: float = DEADLINE_S) -> Message:
        """Return the next message's head."""
        return parse_head(self.read_until(b"\r\n\r\n", within_s))

    def read_request(self) -> Message:
        """Return the next request, with its content."""
        return self._read_content(self.read_head(), otherwise="none")

    def read_response(self, to: bytes = b"GET", within_s: float = DEADLINE_S) -> Message:
        """Return the next final response, with its content, and the interim ones before it."""
        interim = []
        while 100 <= (head := self.read_head(within_s)).status < 200 and head.status != 101:
            interim.append(head)
        if to == b"HEAD" or head.status in (101, 204, 304):
            return replace(head, interim=tuple(interim))
        return replace(self._read_content(head, otherwise="close"), interim=tuple(interim))

    def _read_content(self, head: Message, otherwise: str) -> Message:
        if b"chunked" in head.items(b"transfer-encoding"):
            content, trailers = self.read_chunked()
            return replace(head, content=content, trailers=trailers, framing="chunked")
        if lengths := head.values(b"content-length"):
            return replace(head, content=self.read(int(lengths[0])), framing="length")
        if otherwise == "close":
            return replace(head, content=self.read_to_end(), framing="close")
        return head

    def read_chunk(self) -> bytes:
        """Return the next chunk's content; b"" for the last."""
        size = int(self.read_until(b"\r\n").split(b";")[0], 16)
        if not size:
            return b""
        chunk = self.read(size)
        assert self.read(2) == b"\r\n", "a chunk must end with CR LF"
        return chunk

    def read_chunked(self) -> tuple[bytes, Fields]:
        """Return a whole chunked body's content and trailers."""
        content = bytearray()
        while chunk := self.read_chunk():
            content += chunk
        lines = []
        while (line := self.read_until(b"\r\n")) != b"\r\n":
            lines.append(line.removesuffix(b"\r\n"))
        return bytes(content), tuple(_field(line) for line in lines)


class Listener:
    """A scripted backend's address. Until `listen` it refuses connections."""

    def __init__(self, *, listening: bool = True, backlog: int = 128) -> None:
        self.sock = socket.socket()
        self.sock.bind(("127.0.0.1", 0))
        self.port: int = self.sock.getsockname()[1]
        self.listens = False
        self._accepted: list[Wire] = []
        if listening:
            self.listen(backlog)

    def listen(self, backlog: int = 128) -> None:
        """Accept connections from now on."""
        self.sock.listen(backlog)
        self.listens = True

    def accept(self, within_s: float = DEADLINE_S) -> Wire:
        """Return the next connection."""
        self.sock.settimeout(within_s)
        try:
            sock, _ = self.sock.accept()
        except TimeoutError:
            raise Late("the gateway did not connect to the backend") from None
        wire = Wire(sock)
        self._accepted.append(wire)
        return wire

    def is_unvisited(self) -> bool:
        """Whether no connection waits to be accepted."""
        return not readable([self.sock], 0)

    def close(self) -> None:
        """Refuse connections from now on, and end those that were made."""
        self.listens = False
        for wire in self._accepted:
            wire.close()
        self.sock.close()


def connect(port: int, source: str = "127.0.0.1") -> Wire:
    """Return a connection to 127.0.0.1:*port*."""
    return Wire(socket.create_connection(("127.0.0.1", port), DEADLINE_S, source_address=(source, 0)))
