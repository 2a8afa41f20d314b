"""A WSGI server that keeps what a gateway needs: the raw target, fields in order, strict framing.

A thread serves each connection that has a request under way; idle ones wait in one selector. Why
not a server that exists: docs/decisions/002-wsgi-server.md.
"""

import contextlib
import io
import logging
import queue
import select
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from rgate.core.chunked import LAST_CHUNK, ChunkedDecoder, chunk
from rgate.core.config import Limits
from rgate.core.fields import HOP_BY_HOP, ClientConnection, frame_for_client
from rgate.core.message import (
    CHUNKED,
    Fields,
    Refused,
    RequestHead,
    parse_request_head,
    refuse_hopeless_head,
    values_by_name,
)
from rgate.core.problem import OwnResponse
from rgate.core.reasons import Reason
from rgate.engines.upstream import ClientGone
from rgate.engines.wire import date, response_head, status_line

log = logging.getLogger("rgate")

HEAD_TIMEOUT_S: Final = 10.0  # behaviour 6: no whole head in 10 s
IDLE_TIMEOUT_S: Final = 60.0  # nginx's keepalive_timeout is 75 s
_RECEIVE_BYTES: Final = 65536
# What is read and thrown away behind an answer that closes, so that a reset does not overtake it.
_LINGER_S: Final = 1.0
_LINGER_BYTES: Final = 1 << 20
_RESET: Final = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class ServedRequest:
    """A request as the server read it: in the WSGI environ as `rgate.request`."""

    head: RequestHead
    client: ClientConnection
    body: "RequestBody | None"
    started_ns: int  # time.monotonic_ns() at the request's first byte
    descriptor: int  # the client's socket
    client_gone: bool = False  # set when a write to the client failed
    expected_end: bool = True


class WsgiServer:
    """Serves *app* on a listener. *refuse* answers, and counts, what is no request."""

    def __init__(
        self,
        app: Callable[..., Iterable[bytes]],
        *,
        limits: Callable[[], Limits],
        client: Callable[[str, int], ClientConnection],
        refuse: Callable[[Refused, ClientConnection, int], OwnResponse],
    ) -> None:
        self._app = app
        self._limits = limits
        self._client = client
        self._refuse = refuse
        self._selector = selectors.DefaultSelector()
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._wake_receiver.setblocking(False)
        self._returned: queue.SimpleQueue[_Connection] = queue.SimpleQueue()
        self._changed = threading.Condition()  # protects the four below
        self._open: set[_Connection] = set()
        self._busy = 0
        self._draining = False
        self._stopped = False
        self._spare = _Threads()
        self._accepting: socket.socket | None = None

    def start(self, listener: socket.socket) -> None:
        """Begin to accept on *listener*, and return."""
        listener.setblocking(False)
        self._accepting = listener
        self._selector.register(listener, selectors.EVENT_READ)
        self._selector.register(self._wake_receiver, selectors.EVENT_READ)
        threading.Thread(target=self._watch, name="rgate-accept", daemon=True).start()

    def drain(self, within_s: float) -> bool:
        """Stop accepting, close idle connections, and wait for the rest; whether all ended in time."""
        with self._changed:
            self._draining = True
        self._wake()
        with self._changed:
            return self._changed.wait_for(lambda: not self._busy, within_s)

    def stop(self) -> None:
        """End at once: every connection is closed."""
        with self._changed:
            self._draining = self._stopped = True
            for connection in self._open:
                connection.shut_down()
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._wake_sender.send(b"w")

    def _watch(self) -> None:
        """Accept, and hand each connection that has something to read to a thread."""
        idle: dict[_Connection, float] = {}  # and when its time is over
        while True:
            with self._changed:
                draining, stopped = self._draining, self._stopped
                full = len(self._open) >= self._limits().connections
            if draining:
                self._stop_accepting()
                for connection in list(idle):
                    self._drop(connection, idle)
            if stopped:
                return
            self._accept_unless(full or draining)
            for key, _ in self._selector.select(timeout=1.0):
                if key.fileobj is self._wake_receiver:
                    with contextlib.suppress(BlockingIOError):
                        self._wake_receiver.recv(4096)
                elif key.fileobj is self._accepting:
                    self._accept(idle)
                else:
                    connection = key.data
                    self._selector.unregister(connection.socket)
                    del idle[connection]
                    self._serve(connection)
            self._take_returned(idle)
            now_s = time.monotonic()
            for connection in [connection for connection, until_s in idle.items() if until_s < now_s]:
                self._drop(connection, idle)

    def _accept_unless(self, paused: bool) -> None:
        """Listen for new connections, or leave them in the kernel's queue while there are too many."""
        if self._accepting is None:
            return
        registered = self._accepting.fileno() in self._selector.get_map()
        if paused and registered:
            self._selector.unregister(self._accepting)
        elif not paused and not registered:
            self._selector.register(self._accepting, selectors.EVENT_READ)

    def _stop_accepting(self) -> None:
        if self._accepting is not None:
            with contextlib.suppress(KeyError):
                self._selector.unregister(self._accepting)
            self._accepting.close()
            self._accepting = None

    def _accept(self, idle: "dict[_Connection, float]") -> None:
        assert self._accepting is not None
        try:
            accepted, address = self._accepting.accept()
        except OSError as error:
            # Out of descriptors, or the client is gone already: the next round tries again.
            log.warning("accept failed error=%r", str(error))
            return
        accepted.setblocking(True)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(accepted, self._client(address[0], accepted.getsockname()[1]))
        with self._changed:
            self._open.add(connection)
        self._wait_for_request(connection, idle)

    def _wait_for_request(self, connection: "_Connection", idle: "dict[_Connection, float]") -> None:
        # A new connection has as long for its first request as a kept one has for its next.
        idle[connection] = time.monotonic() + IDLE_TIMEOUT_S
        self._selector.register(connection.socket, selectors.EVENT_READ, connection)

    def _take_returned(self, idle: "dict[_Connection, float]") -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                connection = self._returned.get_nowait()
                self._wait_for_request(connection, idle)

    def _drop(self, connection: "_Connection", idle: "dict[_Connection, float]") -> None:
        self._selector.unregister(connection.socket)
        del idle[connection]
        self._forget(connection)

    def _forget(self, connection: "_Connection") -> None:
        with self._changed:
            self._open.discard(connection)
            full = len(self._open) + 1 >= self._limits().connections
        connection.socket.close()
        if full:
            self._wake()

    def _serve(self, connection: "_Connection") -> None:
        with self._changed:
            self._busy += 1
        self._spare.run(lambda: self._serve_requests(connection))

    def _serve_requests(self, connection: "_Connection") -> None:
        """Serve requests as long as one is there, then give the connection back or close it."""
        keep = False
        try:
            keep = self._serve_request(connection)
            while keep and connection.received and not self._draining:
                keep = self._serve_request(connection)
        except (OSError, ClientGone):
            keep = False
        except Exception:
            log.exception("request failed")  # a defect of ours ends one connection, not the server
            keep = False
        finally:
            if keep and not self._draining:
                self._returned.put(connection)
                self._wake()
            else:
                self._forget(connection)
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()

    def _serve_request(self, connection: "_Connection") -> bool:
        """Read and answer one request; whether the connection can carry another."""
        try:
            served = connection.read_request(self._limits())
        except Refused as refused:
            own = self._refuse(refused, connection.client, connection.began_ns)
            connection.write_refusal(own)
            connection.linger()
            return False
        if served is None:
            return False
        return _Answering(connection, served, lambda: self._draining).run(self._app)


class _Threads:
    """Threads that are reused, and made when all are busy: a slow request never holds up another."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._spare = threading.Semaphore(0)

    def run(self, work: Callable[[], None]) -> None:
        self._work.put(work)
        if not self._spare.acquire(blocking=False):
            threading.Thread(target=self._run, name="rgate-request", daemon=True).start()

    def _run(self) -> None:
        while True:
            self._work.get()()
            self._spare.release()


class _Connection:
    """A client's connection, and what was received of it and not used yet."""

    def __init__(self, sock: socket.socket, client: ClientConnection) -> None:
        self.socket = sock
        self.client = client
        self.received = b""
        self.began_ns = 0

    def shut_down(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def receive(self, timeout_s: float) -> bytes:
        """Return the next bytes, b"" at their end. Raises TimeoutError, OSError."""
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        if not poll.poll(max(timeout_s, 0) * 1000):
            raise TimeoutError
        return self.socket.recv(_RECEIVE_BYTES)

    def send(self, data: bytes) -> None:
        """Send all of *data*. Raises ClientGone where the client takes no more, or nothing for too long."""
        view = memoryview(data)
        while view:
            try:
                view = view[self.socket.send(view, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                poll = select.poll()
                poll.register(self.socket, select.POLLOUT)
                if not poll.poll(IDLE_TIMEOUT_S * 1000):
                    raise ClientGone from None
            except OSError as error:
                raise ClientGone from error

    def read_request(self, limits: Limits) -> ServedRequest | None:
        """Return the next request; None where the client closed before it began one. Raises Refused."""
        self.began_ns = time.monotonic_ns() if self.received else 0
        deadline_s = time.monotonic() + HEAD_TIMEOUT_S
        looked_at = 0
        while True:
            # One empty line before a request is forgiven (RFC 9112 2.2).
            if looked_at == 0 and self.received.startswith(b"\r\n"):
                self.received = self.received[2:]
            end = self.received.find(b"\r\n\r\n", max(looked_at - 3, 0))
            head_bytes = end + 4 if end >= 0 else len(self.received)
            refuse_hopeless_head(self.received[:head_bytes], looked_at)
            if head_bytes > limits.header_bytes:
                raise _too_large(self.received, limits.header_bytes)
            if end >= 0:
                break
            looked_at = len(self.received)
            try:
                received = self.receive(deadline_s - time.monotonic())
            except TimeoutError:
                if not self.received:
                    return None
                raise Refused(
                    Reason.REQUEST_TIMEOUT, f"The request's head did not come within {HEAD_TIMEOUT_S:g} s."
                ) from None
            if not received:
                return None
            self.began_ns = self.began_ns or time.monotonic_ns()
            self.received += received
        head_block, self.received = self.received[:head_bytes], self.received[head_bytes:]
        head = parse_request_head(head_block, most_fields=limits.header_fields)
        body = RequestBody(self, head, limits.body_bytes) if head.framing != 0 else None
        return ServedRequest(head, self.client, body, self.began_ns, self.socket.fileno())

    def write_refusal(self, own: OwnResponse) -> None:
        fields = (*own.fields, (b"Content-Length", b"%d" % len(own.body)), (b"Connection", b"close"))
        with contextlib.suppress(ClientGone):
            self.send(response_head(status_line(own.status), (*fields, (b"Date", date()))) + own.body)

    def linger(self) -> None:
        """Close the sending side, and read on for a moment: else a reset may overtake the answer."""
        until_s, left = time.monotonic() + _LINGER_S, _LINGER_BYTES
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
            while left > 0 and (received := self.receive(until_s - time.monotonic())):
                left -= len(received)

    def reset(self) -> None:
        """Make the end a reset: where the framing cannot show that the response is broken."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def _too_large(received: bytes, limit: int) -> Refused:
    if b"\r\n" not in received[:limit]:
        return Refused(Reason.URI_TOO_LONG, f"The request line is longer than {limit} bytes.")
    return Refused(Reason.FIELDS_TOO_LARGE, f"The head is larger than {limit} bytes.")


class RequestBody:
    """A request's content, read from the connection as it is asked for."""

    def __init__(self, connection: _Connection, head: RequestHead, most_bytes: int | None) -> None:
        self._connection = connection
        self._most_bytes = most_bytes
        self._expects_continue = head.expects_continue
        self._decoder = ChunkedDecoder() if head.framing is CHUNKED else None
        self._remaining = head.framing if isinstance(head.framing, int) else 0
        self._taken = 0
        self.complete = False

    @property
    def untouched(self) -> bool:
        """Whether the client still waits for a 100 before it sends."""
        return self._expects_continue

    def pieces(self) -> Iterator[bytes]:
        """Yield the content. Raises ClientGone, and Refused where it is malformed or too large."""
        if self._expects_continue:
            self._expects_continue = False
            if not self._connection.received:
                self._connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        while not self.complete:
            for piece in self._decode(self._receive()):
                self._taken += len(piece)
                if self._most_bytes is not None and self._taken > self._most_bytes:
                    raise Refused(
                        Reason.BODY_TOO_LARGE,
                        f"The body is larger than `limits.body_bytes`, {self._most_bytes} bytes.",
                    )
                yield piece

    def _receive(self) -> bytes:
        received, self._connection.received = self._connection.received, b""
        if received:
            return received
        try:
            received = self._connection.receive(IDLE_TIMEOUT_S)
        except TimeoutError:
            raise Refused(
                Reason.REQUEST_TIMEOUT, f"Nothing of the body came for {IDLE_TIMEOUT_S:g} s."
            ) from None
        except OSError as error:
            raise ClientGone from error
        if not received:
            raise ClientGone
        return received

    def _decode(self, received: bytes) -> list[bytes]:
        if self._decoder is None:
            piece, rest = received[: self._remaining], received[self._remaining :]
            self._remaining -= len(piece)
            self.complete = not self._remaining
            pieces = [piece]
        else:
            pieces = [b"".join(self._decoder.content(received))]
            self.complete = self._decoder.ended
            rest = self._decoder.rest if self.complete else b""
        self._connection.received = rest
        return [piece for piece in pieces if piece]


class _Input(io.RawIOBase):
    """`wsgi.input` over a RequestBody, for applications that know no more than WSGI."""

    def __init__(self, body: RequestBody) -> None:
        self._pieces = body.pieces()
        self._buffer = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._buffer:
            self._buffer = next(self._pieces, b"")
        piece, self._buffer = self._buffer[: len(buffer)], self._buffer[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)


class _Answering:
    """One call of the application, and its response on the wire (PEP 3333)."""

    def __init__(self, connection: _Connection, served: ServedRequest, draining: Callable[[], bool]) -> None:
        self._connection = connection
        self._served = served
        self._draining = draining
        self._status_line = b""
        self._fields: Fields = ()
        self._begun = False
        self._chunks = False
        self._closes = True
        self._framed = True  # False: only the connection's end ends the response

    def run(self, app: Callable[..., Iterable[bytes]]) -> bool:
        """Answer; whether the connection can carry another request."""
        whole = False
        pieces = app(environ(self._served), self._start_response)
        try:
            for piece in pieces:
                self._write(piece)
            self._end()
            whole = True
        except ClientGone:
            self._served.client_gone = True
        except Exception as error:
            # The application tells so that the response cannot be completed; it knows and told why.
            log.debug("response cut error=%r", str(error))
            if self._begun and not self._framed:
                self._connection.reset()
        finally:
            if close := getattr(pieces, "close", None):
                close()
        if not whole:
            return False
        if self._closes:
            self._connection.linger()
        return not self._closes

    def _start_response(
        self, status: str, fields: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        del exc_info  # nothing was sent yet: the head goes out with the first piece
        self._status_line = b"HTTP/1.1 " + status.encode("latin-1")
        self._fields = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in fields)
        return self._write

    def _begin(self) -> bytes:
        """Return the response's head, and decide its framing."""
        head = self._served.head
        status = int(self._status_line[9:12])
        bodiless = head.method == b"HEAD" or status in (204, 304)
        named = values_by_name(self._fields)
        length_known = bodiless or b"content-length" in named
        body = self._served.body
        # What is left of the request would be read as the next one: the connection ends instead.
        unread = body is not None and not body.complete
        asked = b"close" in [value.lower() for value in named.get(b"connection", ())]
        framing = frame_for_client(
            head, length_known=length_known, closing=unread or asked or self._draining()
        )
        self._chunks, self._closes, self._begun = framing.chunks, framing.closes, True
        self._framed = length_known or framing.chunks
        fields = tuple(field for field in self._fields if field[0].lower() != b"connection")
        return response_head(self._status_line, (*fields, *framing.fields))

    def _write(self, piece: bytes) -> None:
        head = b"" if self._begun else self._begin()
        body = (chunk(piece) if self._chunks else piece) if piece else b""
        if head or body:
            self._connection.send(head + body)

    def _end(self) -> None:
        head = b"" if self._begun else self._begin()
        self._connection.send(head + (LAST_CHUNK if self._chunks else b""))


def environ(served: ServedRequest) -> dict[str, Any]:
    """Return the WSGI environ of a request; `rgate.request` holds what WSGI has no name for."""
    head = served.head
    path = head.path if head.path.startswith(b"/") else b"/"
    variables: dict[str, Any] = {
        "REQUEST_METHOD": head.method.decode("ascii"),
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": head.query[1:].decode("latin-1"),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": str(served.client.local_port),
        "SERVER_PROTOCOL": f"HTTP/1.{head.minor_version}",
        "REMOTE_ADDR": served.client.peer,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BufferedReader(_Input(served.body)) if served.body else io.BytesIO(),
        "wsgi.input_terminated": True,
        "wsgi.errors": None,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "rgate.request": served,
        "rgate.path": head.path.decode("latin-1"),
    }
    for name, value in head.fields:
        key = "HTTP_" + name.decode("ascii").upper().replace("-", "_")
        # Two names would fall on one key; and what is meant for this hop is the server's (PEP 3333).
        if b"_" not in name and name.lower() not in HOP_BY_HOP:
            text = value.decode("latin-1")
            variables[key] = f"{variables[key]},{text}" if key in variables else text
    for key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if f"HTTP_{key}" in variables:
            variables[key] = variables.pop(f"HTTP_{key}")
    return variables
