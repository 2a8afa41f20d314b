"""What rgate says while it runs, and that nobody waits for who reads it (behaviour 10)."""

import contextlib
import json
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.backend import Backend
from tests.integration.gateway import (
    alone_or_with_workers,
    backend_config,
    finished,
    running,
    wait_until,
    write_config,
)

pytestmark = [pytest.mark.integration, pytest.mark.any_engine]

NO_DOCKER = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
CONFIG = backend_config("app_name=rgate-nothing")
JSON = ("--log-format", "json")


def fill(pipe: int) -> None:
    """Write to *pipe* until it takes no more."""
    os.set_blocking(pipe, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(pipe, b"x" * 4096)


@pytest.mark.clause("10.logs.line")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_with_json_every_line_is_an_object(tmp_path: Path, workers: str) -> None:
    with running(tmp_path, CONFIG, *JSON, "--workers", workers, environment=NO_DOCKER) as gateway:
        assert json.loads(gateway.ready)["routes"] == [
            {"route": "/api", "backend": "api", "containers": [], "reason": "docker_unavailable"}
        ]
        (tmp_path / "config.yml").write_text("routes: 5\n")
        gateway.send_signal(signal.SIGHUP)
        wait_until(gateway.errors, lambda text: "not reloaded" in text, within_s=5)
        assert gateway.stop() == 0
    told = [json.loads(line) for line in gateway.errors().splitlines()]
    assert {one["level"] for one in told} == {"warning", "error"}
    (docker,) = [one for one in told if one["logger"] == "rgate.docker"]
    assert docker["message"].startswith("Docker does not answer")
    assert docker["error"]


@pytest.mark.clause("10.logs.line")
def test_what_ends_rgate_at_its_start_is_an_object_too(tmp_path: Path) -> None:
    write_config(tmp_path, {"routes": 5, "backends": []})
    result = finished("--port", "0", *JSON, cwd=tmp_path, environment=NO_DOCKER)
    assert result.returncode == 2
    (told,) = [json.loads(line) for line in result.stderr.splitlines()]
    assert told["message"].startswith("config.yml:")
    write_config(tmp_path, CONFIG)
    result = finished("--db", "nonsense", "--port", "0", *JSON, cwd=tmp_path, environment=NO_DOCKER)
    assert result.returncode == 1
    (told,) = [json.loads(line) for line in result.stderr.splitlines()]
    assert "stats.database" in told["message"]


@pytest.mark.clause("10.logs.escaped")
def test_names_in_the_configuration_steer_no_terminal(tmp_path: Path) -> None:
    config: dict[str, Any] = {
        "routes": [{"path_prefix": "/", "backend": "a\x1b[2Jb"}],
        "backends": [
            {"name": "a\x1b[2Jb", "match_labels": ["x=\u202e1"]},
            {"name": "unused\x07", "urls": ["http://127.0.0.1:9"]},
        ],
    }
    with running(tmp_path, config, environment=NO_DOCKER) as gateway:
        lines = [gateway.line(), gateway.line()]
        assert lines[1].split() == ["/", "a\\x1b[2Jb", "none", "(docker_unavailable)"]
        assert gateway.stop() == 0
    checked = finished("check", cwd=tmp_path, environment=NO_DOCKER)
    assert all(line.isprintable() for line in checked.stdout.splitlines())
    assert "unused\\x07" in checked.stdout


@pytest.mark.clause("10.logs.lost")
@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_a_fifo_that_nobody_reads_holds_up_neither_the_start_nor_requests_nor_the_end(
    tmp_path: Path, workers: str
) -> None:
    os.mkfifo(tmp_path / "access.log")
    options = ("--access-log", "access.log", "--workers", workers)
    with running(tmp_path, CONFIG, *options, environment=NO_DOCKER) as gateway:
        with gateway.client() as client:
            assert {client.get("/elsewhere").status for _ in range(500)} == {403}
        assert gateway.stop() == 0


@pytest.mark.clause("10.logs.lost")
def test_a_full_disk_under_the_access_log_is_told_of_once_and_requests_go_on(tmp_path: Path) -> None:
    (tmp_path / "access.log").symlink_to("/dev/full")
    with running(tmp_path, CONFIG, "--access-log", "access.log", environment=NO_DOCKER) as gateway:
        with gateway.client() as client:
            assert {client.get("/elsewhere").status for _ in range(50)} == {403}
        wait_until(gateway.errors, lambda text: "access log cannot be written" in text, within_s=5)
        (tmp_path / "access.log").unlink()
        gateway.send_signal(signal.SIGUSR1)

        def errors_after_a_request() -> str:
            gateway.get("/x")
            return gateway.errors()

        wait_until(errors_after_a_request, lambda text: "lines_lost=" in text, within_s=5)
        assert gateway.stop() == 0
    assert gateway.errors().count("cannot be written") == 1
    assert " GET /x 403 " in (tmp_path / "access.log").read_text()


@pytest.mark.clause("10.logs.lost", "1.options.drain")
@alone_or_with_workers
def test_a_reader_of_the_access_log_that_stalls_holds_up_no_end(
    backend: Backend, tmp_path: Path, options: tuple[str, ...]
) -> None:
    fifo = tmp_path / "access.log"
    os.mkfifo(fifo)
    keeper = os.open(fifo, os.O_RDWR)  # somebody who could read, and does not
    fill(keeper)
    options = ("--access-log", "access.log", "--drain", "1", *options)
    with running(tmp_path, backend.config(), *options, environment=NO_DOCKER) as gateway:
        assert gateway.get("/api/x").status == 200
        with socket.create_connection(("127.0.0.1", gateway.port)) as client:
            client.sendall(b"GET /api/slow HTTP/1.1\r\nHost: a\r\n\r\n")  # for longer than the drain
            assert backend.entered.wait(10)
            began_s = time.monotonic()
            gateway.send_signal(signal.SIGTERM)
            assert gateway.exit_status() == 0
            assert time.monotonic() - began_s < 1 + 5
    os.close(keeper)


@pytest.mark.slow
@pytest.mark.clause("10.logs.lost")
def test_standard_error_that_nobody_reads_holds_up_nothing(tmp_path: Path) -> None:
    write_config(tmp_path, CONFIG)
    fifo = tmp_path / "stderr.txt"
    os.mkfifo(fifo)
    keeper = os.open(fifo, os.O_RDWR)  # somebody who could read, and does not
    fill(keeper)
    with running(tmp_path, CONFIG, environment=NO_DOCKER) as gateway:
        for _ in range(20):
            gateway.send_signal(signal.SIGHUP)
            assert gateway.get("/elsewhere").status == 403
        gateway.send_signal(signal.SIGTERM)
        assert gateway.exit_status() == 0
    os.close(keeper)
