"""A collector of spans: OTLP over HTTP, as a test's own."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

WITHIN_S = 20.0


class Collector:
    """Keeps the spans that came. *status* is what it answers; it may be changed. While *goes_on* is not set,
    it takes spans and answers nothing.
    """

    def __init__(self, port: int = 0) -> None:
        self.status = 200
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.resources: list[dict[str, Any]] = []
        self._spans: list[Span] = []
        self._came = threading.Condition()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                collector._take(self.path, content)
                collector.goes_on.wait(WITHIN_S)
                self.send_response(collector.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def _take(self, path: str, content: bytes) -> None:
        asked = ExportTraceServiceRequest.FromString(content)
        with self._came:
            if self.status == 200 and path == "/v1/traces":
                for one in asked.resource_spans:
                    self.resources.append(attributes(one.resource.attributes))
                    self._spans += [span for scope in one.scope_spans for span in scope.spans]
            self._came.notify_all()

    def wait(self, wanted: Callable[[Span], bool], number: int = 1) -> list[Span]:
        """Return the spans that are *wanted*, as soon as there are so many; more come out too."""
        with self._came:

            def found() -> list[Span]:
                return [span for span in self._spans if wanted(span)]

            assert self._came.wait_for(lambda: len(found()) >= number, WITHIN_S), (
                f"{number} spans did not come; there are {self._spans}"
            )
            return found()

    def span(self, request_id: str) -> Span:
        """Return the span of the request with that id; it is the only one."""
        (span,) = self.wait(lambda span: attributes(span.attributes).get("rgate.request_id") == request_id)
        return span

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def collecting(port: int = 0) -> Iterator[Collector]:
    collector = Collector(port)
    collector.start()
    try:
        yield collector
    finally:
        collector.close()


@contextmanager
def frozen() -> Iterator[socket.socket]:
    """A collector that takes connections, as the kernel does by itself, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def attributes(given: Any) -> dict[str, Any]:
    """Return attributes as Python's values."""
    pairs: list[KeyValue] = list(given)
    return {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in pairs}
