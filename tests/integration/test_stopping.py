"""SIGTERM and SIGINT: what is under way has its time, and the end comes when that is over (behaviour 8).
These need no Docker.
"""

import contextlib
import json
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.backend import Backend
from tests.integration.gateway import Gateway, running, wait_until
from tests.refusing import refuses
from tests.threadless import THREADLESS

pytestmark = pytest.mark.integration
NO_DOCKER = {"DOCKER_HOST": "unix:///nowhere"}
# Beside the drain: to cut what is left, to store the figures, and for Python to end. Less than the default.
SLACK_S = 5

workers = pytest.mark.parametrize(
    "options",
    [(), pytest.param(("--workers", "2"), marks=pytest.mark.slow)],
    ids=["one process", "workers"],
)


@dataclass(frozen=True)
class Endless:
    """A request that the backend never ends."""

    gateway: Gateway
    client: socket.socket

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Send *number*; return the exit status, and the seconds that it took."""
        began_s = time.monotonic()
        self.gateway.send_signal(number)
        status = self.gateway.exit_status()
        return status, time.monotonic() - began_s

    def received(self) -> bytes:
        """All that came since, up to the connection's end."""
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := self.client.recv(65536):
                received += piece
        return received


@contextlib.contextmanager
def endless(backend: Backend, directory: Path, target: str, *options: str) -> Iterator[Endless]:
    options = ("--access-log", "access.log", "--log-format", "json", *options)
    with (
        running(directory, backend.config(), *options, environment=NO_DOCKER) as gateway,
        socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as client,
    ):
        upgrade = "Connection: Upgrade\r\nUpgrade: x\r\n" if target == "/api/tunnel" else ""
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: a\r\n{upgrade}\r\n".encode())
        assert backend.entered.wait(10)
        received = b""
        while target != "/api/slow" and b"first" not in received:
            received += client.recv(65536)
        yield Endless(gateway, client)


@workers
@pytest.mark.both_engines
@pytest.mark.parametrize(
    "target", [pytest.param("/api/slow", marks=pytest.mark.slow), "/api/events", "/api/tunnel"]
)
def test_what_never_ends_is_cut_when_the_drain_is_over(
    backend: Backend, tmp_path: Path, engine: str, target: str, options: tuple[str, ...]
) -> None:
    if engine == "flask" and target == "/api/tunnel":
        pytest.skip("the flask engine makes no tunnels")
    with endless(backend, tmp_path, target, "--drain", "1", *options) as request:
        status, seconds = request.stop()
        assert status == 0
        assert 1 <= seconds < 1 + SLACK_S
        assert not request.received().endswith(b"0\r\n\r\n")  # nothing that looks whole
        assert "Traceback" not in request.gateway.errors()


@workers
def test_without_a_drain_it_is_cut_at_once(
    backend: Backend, tmp_path: Path, options: tuple[str, ...]
) -> None:
    with endless(backend, tmp_path, "/api/events", "--drain", "0", *options) as request:
        status, seconds = request.stop(signal.SIGINT)
        assert status == 0
        assert seconds < SLACK_S


@workers
@pytest.mark.parametrize("target", ["/api/slow", "/api/events"])
def test_what_was_cut_at_the_end_is_logged_as_stopped(
    backend: Backend, tmp_path: Path, target: str, options: tuple[str, ...]
) -> None:
    with endless(backend, tmp_path, target, "--drain", "0.1", *options) as request:
        assert request.stop()[0] == 0
    (line,) = (tmp_path / "access.log").read_text().splitlines()
    assert json.loads(line)["reason"] == "stopped"


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one process", "workers"])
def test_what_ends_within_the_drain_ends_well(
    backend: Backend, tmp_path: Path, options: tuple[str, ...]
) -> None:
    with endless(backend, tmp_path, "/api/slow", *options) as request:
        request.gateway.send_signal(signal.SIGTERM)
        backend.let_go.set()
        assert request.received().endswith(b"ok")
        assert request.gateway.exit_status() == 0
    (line,) = (tmp_path / "access.log").read_text().splitlines()
    assert (json.loads(line)["status"], json.loads(line)["reason"]) == (200, "")


@pytest.mark.clause("8.stop.drain", "1.exit.signal")
@pytest.mark.both_engines
@workers
def test_what_is_under_way_is_finished_though_the_system_gives_no_more_threads(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    (tmp_path / "sitecustomize.py").write_text(THREADLESS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with endless(backend, tmp_path, "/api/slow", *options) as request:
        (tmp_path / "threadless").touch()
        request.gateway.send_signal(signal.SIGTERM)
        wait_until(lambda: refuses(request.gateway.port), bool, within_s=5)
        backend.let_go.set()
        assert request.received().endswith(b"ok")
        assert request.gateway.exit_status() == 0
        assert "Traceback" not in request.gateway.errors()
    (tmp_path / "threadless").unlink()
    with running(tmp_path, backend.config(), environment=NO_DOCKER) as gateway:
        assert gateway.stats()["requests_count"] == {"success": 1, "error": 0}
