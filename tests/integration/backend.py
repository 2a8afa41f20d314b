"""A backend in this process, for gateways with fixed `urls`: it needs no Docker."""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WAIT_S = 20


class Backend:
    """Answers "ok"; what lasts (`/api/slow`, `/api/events`, `/api/tunnel`) does so until it is let go."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.entered = threading.Event()
        self.let_go = threading.Event()

    def config(self) -> dict[str, Any]:
        """One route, /api, to this backend."""
        return {
            "routes": [{"path_prefix": "/api", "backend": "api"}],
            "backends": [{"name": "api", "urls": [f"http://127.0.0.1:{self.port}"]}],
        }


@contextlib.contextmanager
def running_backend() -> Iterator[Backend]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        backend = _Handler.backends[server] = Backend(server.server_address[1])
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield backend
        backend.let_go.set()
        server.shutdown()
        del _Handler.backends[server]


class _Handler(BaseHTTPRequestHandler):
    backends: dict[object, Backend] = {}  # noqa: RUF012 # one for each server, for all its handlers

    def do_GET(self) -> None:
        backend = self.backends[self.server]
        with contextlib.suppress(OSError):  # the gateway may be gone
            if self.path == "/api/tunnel":
                self._tunnel(backend)
            elif self.path == "/api/events":
                self._events(backend)
            elif self.path == "/api/broken":
                self.send_response(200)
                self.send_header("Content-Length", "100")
                self.end_headers()
                self.wfile.write(b"ok")
                self.close_connection = True
            elif self.path == "/api/fields":
                self._answer(json.dumps(dict(self.headers.items())).encode())
            else:
                if self.path == "/api/slow":
                    self._wait(backend)
                self._answer(b"ok")

    def _answer(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _events(self, backend: Backend) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(b"data: first\n\n")
        self._wait(backend)

    def _tunnel(self, backend: Backend) -> None:
        self.close_connection = True
        self.send_response(101)
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", self.headers["Upgrade"])
        self.end_headers()
        self.wfile.write(b"first")
        self._wait(backend)

    @staticmethod
    def _wait(backend: Backend) -> None:
        backend.entered.set()
        backend.let_go.wait(WAIT_S)

    def log_message(self, *_: object) -> None:
        pass
