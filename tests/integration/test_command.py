"""How the command starts, complains and ends. These need no Docker."""

import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.integration.gateway import (
    NO_SERVICE_URLS,
    Gateway,
    backend_config,
    finished,
    running,
    wait_until,
    write_config,
)

pytestmark = pytest.mark.integration

NO_DOCKER = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
CONFIG = backend_config("app_name=rgate-nothing")


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_work_without_docker(tmp_path: Path, option: str) -> None:
    result = finished(option, cwd=tmp_path, environment=NO_DOCKER)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout


def test_every_error_of_the_config_is_told_before_anything_listens(tmp_path: Path) -> None:
    config: dict[str, Any] = {
        "routes": [{"path_prefix": "api", "backend": "paymnt"}],
        "backends": [{"name": "payment", "match_labels": ["app_name"], "polcy": "random"}],
    }
    write_config(tmp_path, config)
    result = finished("--port", "0", "--config", "config.yml", cwd=tmp_path, environment=NO_DOCKER)
    assert result.returncode == 2
    assert "listening" not in result.stdout
    for key in (
        "routes[0].path_prefix",
        "routes[0].backend",
        "backends[0].match_labels",
        "backends[0].polcy",
    ):
        assert key in result.stderr
    assert "Traceback" not in result.stderr


def test_a_config_that_is_missing_ends_it_with_2(tmp_path: Path) -> None:
    result = finished("--config", "missing.yml", cwd=tmp_path, environment=NO_DOCKER)
    assert result.returncode == 2
    assert "missing.yml" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_unknown_option_ends_it_with_2(tmp_path: Path) -> None:
    result = finished("--prot", "8080", cwd=tmp_path, environment=NO_DOCKER)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


def test_a_port_that_is_taken_ends_it_with_1(tmp_path: Path) -> None:
    write_config(tmp_path, CONFIG)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = finished("--port", port, "--config", "config.yml", cwd=tmp_path, environment=NO_DOCKER)
    assert result.returncode == 1
    assert port in result.stderr
    assert "Traceback" not in result.stderr


def test_without_docker_it_starts_says_so_and_answers_docker_unavailable(tmp_path: Path) -> None:
    with running(tmp_path, CONFIG, environment=NO_DOCKER) as gateway:
        response = gateway.get("/api")
        assert (response.status, response.reason) == (503, "docker_unavailable")
        assert response.json()["title"] == NO_SERVICE_URLS
        assert gateway.get("/elsewhere").status == 403
        assert "docker" in gateway.errors().lower()
        assert "Traceback" not in gateway.errors()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_stop_ends_it_with_0(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path, CONFIG, environment=NO_DOCKER) as gateway:
        gateway.send_signal(number)
        assert gateway.exit_status() == 0
        assert "Traceback" not in gateway.errors()


def default_body(gateway: Gateway) -> bytes:
    return gateway.get("/elsewhere").body


def test_sighup_reads_the_config_again(tmp_path: Path) -> None:
    with running(tmp_path, CONFIG, environment=NO_DOCKER) as gateway:
        write_config(tmp_path, {**CONFIG, "default_response": {"body": "new", "status_code": 404}})
        gateway.send_signal(signal.SIGHUP)
        wait_until(lambda: default_body(gateway), lambda body: body == b"new", within_s=5)


def test_sighup_with_a_wrong_config_reports_it_and_keeps_the_old_one(tmp_path: Path) -> None:
    with running(tmp_path, CONFIG, environment=NO_DOCKER) as gateway:
        write_config(tmp_path, {**CONFIG, "rotues": []})
        gateway.send_signal(signal.SIGHUP)
        wait_until(gateway.errors, lambda errors: "rotues" in errors, within_s=5)
        assert default_body(gateway) == b"This is not reachable"
