"""An HTTP backend in a thread, that answers as a test wants it to (behaviour 11)."""

import contextlib
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

_NO_CONTENT: Final = (204, 304)


@dataclass(frozen=True)
class Received:
    """A request as the backend got it. `headers` are looked up by name, whatever its case."""

    method: str
    target: str
    headers: Message
    body: bytes


class HttpBackend:
    """A backend at `url`; `requests` are those that it got, the newest last.

    It answers with *status*, *body* and *headers*, or with *stream*, each piece as it is made, after *delay*
    seconds. *close_early*: it closes the connection in place of its response, or in the middle of its stream.
    *refuse*: nothing listens there, and what was connected is cut.
    """

    def __init__(
        self,
        status: int = 200,
        body: bytes | str = b"",
        headers: Mapping[str, str] | None = None,
        delay: float = 0,
        stream: Iterable[bytes] | None = None,
        close_early: bool = False,
        refuse: bool = False,
    ) -> None:
        self.status = status
        self.body = body
        self.headers = headers
        self.delay = delay
        self.stream = stream
        self.close_early = close_early
        self.requests: list[Received] = []
        self.ended = threading.Event()
        # It keeps the port while nobody listens there.
        self._port = socket.socket()
        self._port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._port.bind(("127.0.0.1", 0))
        self.url = "http://{}:{}".format(*self._port.getsockname())
        self._server: _Server | None = None
        self.refuse = refuse

    @property
    def refuse(self) -> bool:
        """Whether nothing listens at its port."""
        return self._server is None

    @refuse.setter
    def refuse(self, refuse: bool) -> None:
        if self._server is not None and refuse:
            self._server.stop()
            self._server = None
        elif self._server is None and not refuse:
            self._server = _Server(self._port.getsockname(), self)
            threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it; what waits for its delay is let go."""
        self.ended.set()
        self.refuse = True
        self._port.close()


StartBackend = Callable[..., HttpBackend]
"""What `rgate_backend` is: it takes what `HttpBackend` does."""


class _Server(ThreadingHTTPServer):
    allow_reuse_port = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], backend: HttpBackend) -> None:
        self.backend = backend
        self._connections = set[socket.socket]()
        super().__init__(address, _Handler)

    def stop(self) -> None:
        """Listen no more, and cut what is connected."""
        self.shutdown()
        self.server_close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):  # it ended by itself
                connection.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell what is wrong with the test's own arguments, and nothing of clients that went away."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def answer(self) -> None:
        """Answer any method."""
        backend = self.server.backend
        body = b"".join(self._content())
        backend.requests.append(Received(self.command, self.path, self.headers, body))
        if backend.delay:
            backend.ended.wait(backend.delay)
        if backend.stream is not None:
            self._stream(backend, backend.stream)
        elif backend.close_early:
            self.close_connection = True
        else:
            content = backend.body.encode() if isinstance(backend.body, str) else backend.body
            self._head(backend, {"Content-Length": str(len(content))})
            self._write(content)

    def _content(self) -> Iterator[bytes]:
        """Yield the request's content, by its length or chunked."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            yield self.rfile.read(int(self.headers.get("Content-Length", "0")))
            return
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers

    def _stream(self, backend: HttpBackend, pieces: Iterable[bytes]) -> None:
        chunked = self.request_version != "HTTP/1.0"
        self._head(backend, {"Transfer-Encoding": "chunked"} if chunked else {"Connection": "close"})
        for piece in filter(None, pieces):
            self._write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if backend.close_early:
            self.close_connection = True
        elif chunked:
            self._write(b"0\r\n\r\n")

    def _head(self, backend: HttpBackend, framing: Mapping[str, str]) -> None:
        self.send_response(backend.status)
        given = backend.headers or {}
        has_content = backend.status not in _NO_CONTENT
        for name, value in {**(framing if has_content else {}), **given}.items():
            self.send_header(name, value)
        self.end_headers()

    def _write(self, piece: bytes) -> None:
        if self.command != "HEAD" and self.server.backend.status not in _NO_CONTENT:
            self.wfile.write(piece)
            self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Give `answer` for whatever method is asked for."""
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)
