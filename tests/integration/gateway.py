"""The real command as a process of its own, and what a client sees of it."""

import contextlib
import http.client
import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

import pytest
import yaml

ROOT = Path(__file__).parents[2]
NO_SERVICE_URLS = "Backend available but no Service URLs discovered"
_READY = ("rgate listening on http://", '{"message": "listening", ')

T = TypeVar("T")

alone_or_with_workers = pytest.mark.parametrize(
    "options",
    [(), pytest.param(("--workers", "2"), marks=pytest.mark.slow)],
    ids=["one process", "workers"],
)

engine = "asyncio"
"""What `running` starts; set for each test by the fixture that runs it with every engine."""


def wait_until(ask: Callable[[], T], wanted: Callable[[T], bool], *, within_s: float) -> T:
    """Return the first answer of *ask* that is *wanted*; fails with the last one seen."""
    deadline_s = time.monotonic() + within_s
    while True:
        seen = ask()
        if wanted(seen):
            return seen
        assert time.monotonic() < deadline_s, f"still {seen} after {within_s} s"
        time.sleep(0.02)


@dataclass(frozen=True)
class Response:
    status: int
    fields: http.client.HTTPMessage
    body: bytes

    @property
    def reason(self) -> str | None:
        return self.fields["X-Rgate-Reason"]

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def container(self) -> str:
        """The short id of the container that answered."""
        return str(self.json()["container"])

    def __repr__(self) -> str:
        return f"<{self.status} {self.reason or ''} {self.body[:200]!r}>"


class Client:
    """One keep-alive connection."""

    def __init__(self, port: int, timeout_s: float = 20, host: str = "127.0.0.1") -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=timeout_s)

    def request(
        self, method: str, target: str, body: bytes | None = None, fields: Mapping[str, str] | None = None
    ) -> Response:
        self._connection.request(method, target, body, fields or {})
        with self._connection.getresponse() as response:
            return Response(response.status, response.headers, response.read())

    def get(self, target: str) -> Response:
        return self.request("GET", target)

    def open(self, target: str) -> http.client.HTTPResponse:
        """Send GET *target*, and return the response with its body unread."""
        self._connection.request("GET", target)
        return self._connection.getresponse()

    def close(self) -> None:
        self._connection.close()


def get(port: int, target: str, host: str = "127.0.0.1") -> Response:
    """GET on a connection of its own."""
    with contextlib.closing(Client(port, host=host)) as client:
        return client.get(target)


class Gateway:
    """A running `python rgate.py`; ready once it says so."""

    def __init__(self, process: subprocess.Popen[str], errors: Path) -> None:
        self.process = process
        self._errors = errors
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.ready = self._wait_until_ready()
        first = re.search(r"http://\S+?:(\d+)", self.ready)
        assert first is not None
        self.port = int(first[1])

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _wait_until_ready(self, within_s: float = 20) -> str:
        """Return the line that says so."""
        deadline_s = time.monotonic() + within_s
        printed = ""
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline_s - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"not ready in {within_s} s: {printed}{self.errors()}") from None
            assert line is not None, f"it ended: {printed}{self.errors()}"
            printed += line
            if line.startswith(_READY):
                return line

    def line(self, within_s: float = 10) -> str:
        """The next line that it prints, behind the one that says it is ready."""
        line = self._lines.get(timeout=within_s)
        assert line is not None, f"it ended: {self.errors()}"
        return line

    def errors(self) -> str:
        """What it wrote to stderr so far."""
        return self._errors.read_text()

    def get(self, target: str) -> Response:
        return get(self.port, target)

    def client(self) -> contextlib.closing[Client]:
        return contextlib.closing(Client(self.port))

    def stats(self, query: str = "") -> Any:
        return self.get(f"/stats{query}").json()

    def send_signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def exit_status(self, within_s: float = 15) -> int:
        return self.process.wait(within_s)

    def stop(self) -> int:
        self.send_signal(signal.SIGTERM)
        return self.exit_status()


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "rgate.py"), *arguments]


def finished(
    *arguments: str, cwd: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    return subprocess.run(
        command(*arguments),
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@contextlib.contextmanager
def started(*arguments: str, cwd: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Start the command on a free port, and do not wait until it is ready; kill it at the end if need be."""
    with subprocess.Popen(
        command("--port", "0", *arguments),
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def running(
    directory: Path, config: Mapping[str, Any], *options: str, environment: Mapping[str, str] | None = None
) -> Iterator[Gateway]:
    """Run the gateway on a free port, in *directory*, with *config*; kill it at the end if need be."""
    write_config(directory, config)
    errors = directory / "stderr.txt"
    with errors.open("a") as stderr, _process(directory, options, environment, stderr) as process:
        try:
            yield Gateway(process, errors)
        finally:
            process.kill()


def _process(
    directory: Path, options: tuple[str, ...], environment: Mapping[str, str] | None, stderr: IO[str]
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command("--port", "0", "--config", "config.yml", "--engine", engine, *options),
        cwd=directory,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


class FrozenDocker:
    """A daemon that takes connections and never answers."""

    def __init__(self, path: Path) -> None:
        self.environment = {"DOCKER_HOST": f"unix://{path}"}
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        self._socket.settimeout(20)
        self._asked: list[socket.socket] = []

    def wait_until_asked(self) -> None:
        self._asked.append(self._socket.accept()[0])

    def close(self) -> None:
        for one in (self._socket, *self._asked):
            one.close()


@contextlib.contextmanager
def frozen_docker() -> Iterator[FrozenDocker]:
    # Not in the test's own directory, whose path may be too long for a socket.
    with (
        tempfile.TemporaryDirectory(prefix="rgate-") as directory,
        contextlib.closing(FrozenDocker(Path(directory) / "docker.sock")) as docker,
    ):
        yield docker


def write_config(directory: Path, config: Mapping[str, Any]) -> None:
    (directory / "config.yml").write_text(yaml.safe_dump(dict(config), sort_keys=False))


def backend_config(*labels: str, **more: Any) -> dict[str, Any]:
    """One route, /api, to one backend, `api`, with these *labels*."""
    return {
        "routes": [{"path_prefix": "/api", "backend": "api"}],
        "default_response": {"body": "This is not reachable", "status_code": 403},
        "backends": [{"name": "api", "match_labels": list(labels), **more}],
    }
