"""A Docker that answers over HTTP as it is told to: through the SDK, as the real one is asked."""

import http.server
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

VERSION = {"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12"}


def row(identity: str, **changes: object) -> dict[str, Any]:
    """Return a container as `GET /containers/json` has it (API 1.41)."""
    port = 40000 + int(identity, 16) % 20000
    return {
        "Id": identity,
        "Names": [f"/c{identity}"],
        "Labels": {"app": "a"},
        "State": "running",
        "Status": "Up 2 minutes (healthy)",
        "Ports": [{"IP": "127.0.0.1", "PrivatePort": 8000, "PublicPort": port, "Type": "tcp"}],
        "HostConfig": {"NetworkMode": "default"},
        "NetworkSettings": {"Networks": {"bridge": {"NetworkID": "n", "IPAddress": "172.17.0.9"}}},
        **changes,
    }


def inspected(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same as `GET /containers/{id}/json` has it."""
    ports = {
        f"{port['PrivatePort']}/{port['Type']}": [{"HostIp": port["IP"], "HostPort": str(port["PublicPort"])}]
        for port in row["Ports"] or ()
    }
    health = "healthy" if "(healthy)" in row["Status"] else "none"
    return {
        "Id": row["Id"],
        "Name": row["Names"][0],
        "Config": {
            "Labels": row["Labels"],
            "ExposedPorts": {key: {} for key in ports},
            "StopSignal": "SIGTERM",
        },
        "State": {"Status": row["State"], "Paused": row["State"] == "paused", "Health": {"Status": health}},
        "NetworkSettings": {"Ports": ports, "Networks": row["NetworkSettings"]["Networks"]},
        "HostConfig": row["HostConfig"],
    }


class FakeDocker:
    """*inspects*: what is answered of a container in place of what is so: a status, None for nothing at all,
    or JSON. *lists_s*: how long a list takes. *events*: "live", "forbidden", or "end" as soon as they begin.

    What is not needed is refused, as a socket proxy does that lets containers, events, ping and version by.
    """

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.inspects: dict[str, object] = {}
        self.lists_s = 0.0
        self.list_began = threading.Event()
        self.go_on = threading.Event()  # whoever hangs waits for it
        self.events = "live"
        self.is_cut = False  # it accepts, and closes without an answer
        self.asked = Counter[str]()
        self.host = ""
        self._changed = threading.Condition()
        self._events: list[dict[str, Any]] = []

    def add(self, identity: str, **changes: object) -> None:
        self.rows[identity] = row(identity, **changes)

    def tell(self, identity: str, action: str, kind: str = "container", **attributes: str) -> None:
        """Send an event of a container or a network."""
        actor = {"ID": identity, "Attributes": attributes}
        with self._changed:
            self._events.append({"Type": kind, "Action": action, "Actor": actor, "timeNano": time.time_ns()})
            self._changed.notify_all()

    def cut(self) -> None:
        """Let it be away, and end what is followed."""
        with self._changed:
            self.is_cut = True
            self._changed.notify_all()

    def end(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self.go_on.set()
            self._changed.notify_all()

    def answer(self, path: str) -> tuple[int, object]:
        """Return the status and JSON for *path*, without its version."""
        if path in ("/version", "/_ping"):
            return 200, VERSION
        if path == "/containers/json":
            found = list(self.rows.values())
            if self.lists_s:
                self.list_began.set()
                self.go_on.wait(self.lists_s)
            return 200, found
        identity = path.removeprefix("/containers/").removesuffix("/json")
        if path == f"/containers/{identity}/json":
            if identity in self.inspects:
                told = self.inspects[identity]
                if told is None:
                    self.go_on.wait(60)
                return (told, {"message": "no"}) if isinstance(told, int) else (200, told)
            if identity in self.rows:
                return 200, inspected(self.rows[identity])
            return 404, {"message": f"No such container: {identity}"}
        return 403, {"message": "Forbidden"}

    @property
    def _is_over(self) -> bool:
        return self.is_cut or self.go_on.is_set()

    def stream(self) -> Iterator[bytes]:
        """Yield the events that are told from this call on, as they come."""
        return self._events_from(len(self._events))

    def _events_from(self, number: int) -> Iterator[bytes]:
        while True:
            with self._changed:
                while len(self._events) <= number and not self._is_over:
                    self._changed.wait()
                if self._is_over:
                    return
                event = self._events[number]
            number += 1
            yield json.dumps(event).encode() + b"\n"


@contextmanager
def serving(docker: FakeDocker) -> Iterator[FakeDocker]:
    """Serve it on a port of 127.0.0.1: `docker.host`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            if docker.is_cut:
                self.close_connection = True
                return
            path = urlsplit(self.path).path
            version, _, rest = path[1:].partition("/")
            path = f"/{rest}" if version[:2] == "v1" else path
            docker.asked[path] += 1
            if path == "/events" and docker.events != "forbidden":
                self._stream()
                return
            status, told = (403, {"message": "Forbidden"}) if path == "/events" else docker.answer(path)
            content = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _stream(self) -> None:
            events = docker.stream()  # before the head, at which whoever asked may go on
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            if docker.events == "live" and "until=" not in self.path:
                for piece in events:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *_: object) -> None: ...

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None: ...

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        docker.host = f"tcp://127.0.0.1:{server.server_port}"
        try:
            yield docker
        finally:
            docker.end()
            server.shutdown()
            thread.join()
