"""A backend to try rgate with: answers JSON that names itself and echoes the request.

    python3 server.py [--port 8000] [--host 0.0.0.0]    serve
    python3 server.py --check [--port 8000]             exit 0 if it answers (the HEALTHCHECK)

What a request may ask for, as query parameters:

    ?delay=SECONDS    wait before the response
    ?status=NUMBER    answer with this status
    ?stream=COUNT     COUNT Server-Sent Events, one each INTERVAL seconds (?interval=, default 0.2)
    ?close=1          close the connection without a response

POST /_demo/health?ok=0 makes the health check fail from then on, ok=1 mends it.
Standard library only: the image is this file on any Python.
"""

import argparse
import json
import os
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NoReturn
from urllib.parse import parse_qsl, urlsplit


class Handler(BaseHTTPRequestHandler):
    """One connection of one client."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave in one write
    path = ""  # until a request line is read
    server: "Server"

    def handle_expect_100(self) -> bool:
        """Send the 100 now: its client waits for it, and nothing is written behind it meanwhile."""
        goes_on = super().handle_expect_100()
        self.wfile.flush()
        return goes_on

    def answer(self) -> None:
        """Answer any method."""
        url = urlsplit(self.path)
        asked = dict(parse_qsl(url.query))
        body = b"".join(self.body_pieces())
        if url.path == "/_demo/health":
            self.answer_health(asked)
            return
        time.sleep(float(asked.get("delay", "0")))
        if "close" in asked:
            self.close_connection = True
        elif "stream" in asked:
            self.send_events(int(asked["stream"]), float(asked.get("interval", "0.2")))
        else:
            self.send_json(int(asked.get("status", "200")), self.echo(body))

    def answer_health(self, asked: dict[str, str]) -> None:
        """Tell, or with POST set, whether this backend calls itself healthy."""
        if self.command == "POST":
            self.server.healthy = asked.get("ok") == "1"
        self.send_json(200 if self.server.healthy else 503, {"healthy": self.server.healthy})

    def echo(self, body: bytes) -> dict[str, object]:
        """Return what is told of this request, and of who answers it."""
        return {
            "container": self.server.identity,
            "service": os.environ.get("SERVICE", "demo"),
            "method": self.command,
            "target": self.path,
            "fields": [[name, value] for name, value in self.headers.items()],
            "body": body.decode("utf-8", "backslashreplace"),
        }

    def body_pieces(self) -> Iterator[bytes]:
        """Yield the request's body, with a length or chunked."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            yield self.rfile.read(int(self.headers.get("Content-Length", "0")))
            return
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers are read, and not told of

    def send_json(self, status: int, value: object) -> None:
        """Answer with *value* as JSON."""
        body = json.dumps(value, indent=1).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if status >= 200 and status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status >= 200 and status not in (204, 304):
            self.wfile.write(body)

    def send_events(self, count: int, interval_s: float) -> None:
        """Answer with *count* Server-Sent Events, each sent when it is made."""
        chunked = self.request_version != "HTTP/1.0"
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding" if chunked else "Connection", "chunked" if chunked else "close")
        self.end_headers()
        self.wfile.flush()
        if self.command == "HEAD":
            return
        for number in range(1, count + 1):
            self.send_piece(f"id: {number}\ndata: {self.server.identity}\n\n".encode(), chunked)
            if number < count:
                time.sleep(interval_s)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def send_piece(self, piece: bytes, chunked: bool) -> None:
        """Send *piece* at once."""
        self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Log to stdout, but not the health checks."""
        if not self.path.startswith("/_demo/"):
            print(f"{self.address_string()} {format % args}", flush=True)

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Give `answer` for whatever method is asked for."""
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)


class Server(ThreadingHTTPServer):
    """Listens, and remembers who it is and whether it calls itself healthy."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], identity: str) -> None:
        super().__init__(address, Handler)
        self.identity = identity
        self.healthy = True


def check(port: int) -> int:
    """Return the exit status of the health check: 0 if the server on *port* calls itself healthy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/_demo/health", timeout=2):
            return 0
    except OSError as error:
        print(error, file=sys.stderr)
        return 1


def stop(_signal: int, _frame: object) -> NoReturn:
    """End at once: PID 1 of a container has no default action for SIGTERM."""
    os._exit(0)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="a demo backend")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--name", default=socket.gethostname(), help="what it calls itself")
    parser.add_argument("--check", action="store_true", help="check a running server's health")
    options = parser.parse_args()
    if options.check:
        return check(options.port)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    Server((options.host, options.port), options.name).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
