"""`--workers N`: several processes behave as one gateway (behaviour 1, 7 and 8)."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.integration.gateway import Gateway, finished, get, running, wait_until, write_config

pytestmark = pytest.mark.integration
NO_DOCKER = {"DOCKER_HOST": "unix:///nowhere"}


class Backend(BaseHTTPRequestHandler):
    """Answers "ok"; to /api/slow only once it is let go."""

    entered = threading.Event()
    let_go = threading.Event()

    def do_GET(self) -> None:
        if self.path == "/api/slow":
            Backend.entered.set()
            Backend.let_go.wait(20)
        with contextlib.suppress(OSError):  # the gateway may be gone
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def backend_port() -> Iterator[int]:
    Backend.entered.clear()
    Backend.let_go.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Backend) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        Backend.let_go.set()
        server.shutdown()


def config_for(port: int) -> dict[str, Any]:
    return {
        "routes": [{"path_prefix": "/api", "backend": "api"}],
        "backends": [{"name": "api", "urls": [f"http://127.0.0.1:{port}"]}],
    }


@pytest.fixture
def gateway(backend_port: int, tmp_path: Path) -> Iterator[Gateway]:
    with running(tmp_path, config_for(backend_port), "--workers", "2", environment=NO_DOCKER) as gateway:
        yield gateway
        if gateway.process.poll() is None:
            gateway.stop()


def workers_of(gateway: Gateway) -> list[int]:
    pid = gateway.process.pid
    return sorted(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except OSError:
        return True


def open_sockets(pid: int) -> int:
    files = Path(f"/proc/{pid}/fd")
    return sum("socket:" in os.readlink(file) for file in files.iterdir())


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return True
    return False


def test_requests_are_spread_and_the_figures_add_up_whoever_is_asked(gateway: Gateway) -> None:
    before = {pid: open_sockets(pid) for pid in workers_of(gateway)}
    assert len(before) == 2
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(gateway.client()) for _ in range(40)]
        for number, client in enumerate(clients, 1):
            assert client.get("/api/x").body == b"ok"
            asked = clients[number * 7 % len(clients)]
            assert asked.get("/stats").json()["requests_count"] == {"success": number, "error": 0}
        assert all(open_sockets(pid) > count for pid, count in before.items())


def test_a_worker_that_is_killed_is_replaced_and_nothing_counted_is_lost(gateway: Gateway) -> None:
    for _ in range(20):
        assert gateway.get("/api/x").status == 200
    killed, other = workers_of(gateway)
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: workers_of(gateway), lambda pids: len(pids) == 2 and killed not in pids, within_s=10)
    assert other in workers_of(gateway)
    for _ in range(20):  # what comes to the place of the killed one waits for the new one
        assert gateway.get("/api/x").status == 200
    assert gateway.stats()["requests_count"] == {"success": 40, "error": 0}
    assert gateway.errors().count("ended (SIGKILL); another starts in") == 1
    assert gateway.stop() == 0


def test_the_figures_of_all_are_found_after_a_restart(backend_port: int, tmp_path: Path) -> None:
    config = config_for(backend_port)
    for asked in (10, 20):
        with running(tmp_path, config, "--workers", "3", environment=NO_DOCKER) as gateway:
            for _ in range(10):
                assert gateway.get("/api/x").status == 200
            assert gateway.stats()["requests_count"]["success"] == asked
            assert gateway.stop() == 0


def test_a_reload_reaches_all_and_a_wrong_file_none(
    gateway: Gateway, backend_port: int, tmp_path: Path
) -> None:
    config = {**config_for(backend_port), "default_response": {"body": "new", "status_code": 418}}
    write_config(tmp_path, config)
    gateway.send_signal(signal.SIGHUP)
    wait_until(
        lambda: [gateway.get("/elsewhere").status for _ in range(20)],
        lambda seen: seen == [418] * 20,
        within_s=5,
    )
    assert gateway.errors().count("reloaded config.yml") == 1
    (tmp_path / "config.yml").write_text("routes: 7")
    gateway.send_signal(signal.SIGHUP)
    wait_until(gateway.errors, lambda said: said.count("not reloaded") == 1, within_s=5)
    assert [gateway.get("/elsewhere").status for _ in range(20)] == [418] * 20


@pytest.mark.parametrize("everyone", [False, True], ids=["the supervisor", "all, as a terminal does"])
def test_what_is_under_way_is_finished_after_a_signal_to(gateway: Gateway, everyone: bool) -> None:
    seen: list[int] = []
    asking = threading.Thread(target=lambda: seen.append(gateway.get("/api/slow").status))
    asking.start()
    assert Backend.entered.wait(10)
    for pid in workers_of(gateway) if everyone else []:
        os.kill(pid, signal.SIGINT)
    gateway.send_signal(signal.SIGINT)
    wait_until(lambda: refuses(gateway.port), bool, within_s=5)
    Backend.let_go.set()
    asking.join(10)
    assert seen == [200]
    assert gateway.exit_status() == 0


def test_a_second_signal_ends_all_at_once(gateway: Gateway) -> None:
    pids = workers_of(gateway)
    with socket.create_connection(("127.0.0.1", gateway.port)) as connection:
        connection.sendall(b"GET /api/slow HTTP/1.1\r\nHost: a\r\n\r\n")
        assert Backend.entered.wait(10)
        gateway.send_signal(signal.SIGTERM)
        wait_until(lambda: refuses(gateway.port), bool, within_s=5)
        gateway.send_signal(signal.SIGTERM)
        assert gateway.exit_status(5) == 1
    assert all(map(is_gone, pids))


def test_workers_end_with_a_supervisor_that_is_killed(gateway: Gateway) -> None:
    pids = workers_of(gateway)
    gateway.send_signal(signal.SIGKILL)
    gateway.exit_status()
    wait_until(lambda: [is_gone(pid) for pid in pids], all, within_s=10)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_rgate_does_not_share_the_port_of_the_first(
    gateway: Gateway, tmp_path: Path, workers: str
) -> None:
    ended = finished("--port", str(gateway.port), "--workers", workers, cwd=tmp_path)
    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1:{gateway.port}" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert get(gateway.port, "/api/x").status == 200


def test_a_database_that_cannot_be_used_is_told_of_once(backend_port: int, tmp_path: Path) -> None:
    write_config(tmp_path, config_for(backend_port))
    ended = finished("--port", "0", "--workers", "2", "--db", "sqlite:////nowhere/at/all.db", cwd=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.count("rgate:") == 1


@pytest.mark.parametrize("workers", ["0", "-1", "many", "2.5", "257"])
def test_a_wrong_number_of_workers_is_a_wrong_command_line(tmp_path: Path, workers: str) -> None:
    ended = finished("--workers", workers, cwd=tmp_path)
    assert ended.returncode == 2
    assert "allowed: 1 to 256, or auto" in ended.stderr
