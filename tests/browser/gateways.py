"""What the tests of the page put in front of a browser: gateways, traffic, and a Docker that lies."""

import contextlib
import json
import socket
import socketserver
import tempfile
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from tests.integration.gateway import Client, Gateway

NOBODY: Final = "http://127.0.0.1:9"
"""An address where nothing listens: requests to it fail with `connect_failed`."""


def stats_page(gateway: Gateway, window: str = "15m") -> str:
    return f"http://127.0.0.1:{gateway.port}/stats?window={window}"


def two_backends(port: int) -> dict[str, Any]:
    """Two routes: /api to a backend at *port* of this machine, /dead to one that nobody answers for."""
    return {
        "routes": [{"path_prefix": "/api", "backend": "shop"}, {"path_prefix": "/dead", "backend": "ghost"}],
        "backends": [
            {"name": "shop", "urls": [f"http://127.0.0.1:{port}"]},
            {"name": "ghost", "urls": [NOBODY]},
        ],
    }


def many_routes(port: int, count: int) -> dict[str, Any]:
    """*count* routes, /v1/name-00 and on, to one backend."""
    return {
        "routes": [{"path_prefix": f"/v1/name-{n:02}", "backend": "shop"} for n in range(count)],
        "backends": [{"name": "shop", "urls": [f"http://127.0.0.1:{port}"]}],
    }


@contextlib.contextmanager
def busy(gateway: Gateway, *targets: str, pause_s: float = 0.1) -> Iterator[None]:
    """Ask for *targets* in turn, again and again, until the end."""
    end = threading.Event()

    def ask() -> None:
        with contextlib.closing(Client(gateway.port)) as client:
            while not end.wait(pause_s):
                for target in targets:
                    client.get(target)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        end.set()
        asking.join()


def ask_raw(gateway: Gateway, target: str) -> bytes:
    """GET *target* as it is, with what no client library would send; return the head of the answer."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as client:
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: client.recv(65536), b"")).partition(b"\r\n\r\n")[0]


class LyingDocker(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A daemon that knows one container, by a name that the real one would not give.

    It answers as much of the Docker Engine API (v1.44) as rgate asks for.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, path: Path, name: str, labels: Mapping[str, str], port: int) -> None:
        self.environment = {"DOCKER_HOST": f"unix://{path}"}
        self.end = threading.Event()
        identity = "a1" * 32
        ports = {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]}
        self.told: Mapping[str, Any] = {
            "/version": {"ApiVersion": "1.44", "MinAPIVersion": "1.24", "Version": "27.3.1"},
            "/info": {"SystemTime": "2025-01-01T00:00:00.000000000Z"},
            "/containers/json": [
                {"Id": identity, "Names": [f"/{name}"], "Labels": labels, "State": "running"}
            ],
            f"/containers/{identity}/json": {
                "Id": identity,
                "Name": f"/{name}",
                "Config": {"Labels": labels, "ExposedPorts": {"8000/tcp": {}}},
                "State": {"Status": "running"},
                "NetworkSettings": {"Ports": ports, "Networks": {"bridge": {"IPAddress": "172.17.0.9"}}},
                "HostConfig": {"NetworkMode": "default"},
            },
        }
        super().__init__(str(path), DockerApi)


class DockerApi(BaseHTTPRequestHandler):
    server: LyingDocker

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        path = path[path.index("/", 1) :] if path.startswith("/v1.") else path
        self.send_response(200 if path in self.server.told or path == "/events" else 404)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        if path == "/events":
            self.wfile.flush()
            self.server.end.wait()  # nothing ever happens
        else:
            self.wfile.write(json.dumps(self.server.told.get(path, {"message": "not here"})).encode())

    def address_string(self) -> str:
        return "rgate"

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def lying_docker(name: str, labels: Mapping[str, str], port: int) -> Iterator[LyingDocker]:
    """Tell of one container, *name*, whose port 8000 is *port* of this machine."""
    with (
        tempfile.TemporaryDirectory(prefix="rgate-") as directory,
        LyingDocker(Path(directory) / "docker.sock", name, labels, port) as docker,
    ):
        serving = threading.Thread(target=docker.serve_forever)
        serving.start()
        try:
            yield docker
        finally:
            docker.end.set()
            docker.shutdown()
            serving.join()
