"""How the command starts, complains and ends. These need no Docker."""

import http.client
import json
import os
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bench.machine import free_port
from rgate.discovery.docker_client import CALL_TIMEOUT_S
from tests.integration.backend import Backend
from tests.integration.gateway import (
    NO_SERVICE_URLS,
    Gateway,
    alone_or_with_workers,
    backend_config,
    command,
    finished,
    frozen_docker,
    get,
    running,
    started,
    wait_until,
    write_config,
)
from tests.threadless import THREADLESS

pytestmark = pytest.mark.integration

NO_DOCKER = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}
CONFIG = backend_config("app_name=rgate-nothing")


@pytest.mark.clause("1.command.help")
@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_work_without_docker(tmp_path: Path, option: str) -> None:
    result = finished(option, cwd=tmp_path, environment=NO_DOCKER)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout


@pytest.mark.clause("1.exit.wrong", "1.exit.message", "2.errors.before")
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


@pytest.mark.clause("1.exit.wrong", "2.errors.file")
def test_a_config_that_is_missing_ends_it_with_2(tmp_path: Path) -> None:
    result = finished("--config", "missing.yml", cwd=tmp_path, environment=NO_DOCKER)
    assert result.returncode == 2
    assert "missing.yml" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.clause("1.exit.wrong")
def test_an_unknown_option_ends_it_with_2(tmp_path: Path) -> None:
    result = finished("--prot", "8080", cwd=tmp_path, environment=NO_DOCKER)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


@pytest.mark.clause("1.exit.else")
def test_a_port_that_is_taken_ends_it_with_1(tmp_path: Path) -> None:
    write_config(tmp_path, CONFIG)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = finished("--port", port, "--config", "config.yml", cwd=tmp_path, environment=NO_DOCKER)
    assert result.returncode == 1
    assert port in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.clause("1.ready.meaning", "1.docker.starts", "1.docker.answers")
@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one process", "workers"])
def test_without_docker_it_starts_says_so_once_and_answers_docker_unavailable(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    with running(tmp_path, CONFIG, *options, environment=NO_DOCKER) as gateway:
        response = gateway.get("/api")
        assert (response.status, response.reason) == (503, "docker_unavailable")
        assert response.json()["title"] == NO_SERVICE_URLS
        assert gateway.get("/elsewhere").status == 403
        (told,) = gateway.errors().splitlines()
        assert told.startswith("rgate: Docker does not answer; no container is known yet error=")


@pytest.mark.clause("1.exit.signal")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_stop_ends_it_with_0(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path, CONFIG, environment=NO_DOCKER) as gateway:
        gateway.send_signal(number)
        assert gateway.exit_status() == 0
        assert "Traceback" not in gateway.errors()


@pytest.mark.any_engine
@pytest.mark.clause("1.exit.signal")
@alone_or_with_workers
def test_a_signal_ends_it_though_who_started_it_had_blocked_them(
    backend: Backend, tmp_path: Path, options: tuple[str, ...]
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())"
    )
    environment = {**NO_DOCKER, "PYTHONPATH": str(tmp_path)}
    with running(tmp_path, backend.config(), *options, environment=environment) as gateway:
        assert gateway.stop() == 0


@pytest.mark.any_engine
@pytest.mark.clause("8.reload.whole")
@alone_or_with_workers
def test_a_reload_for_which_no_thread_is_to_be_had_is_told_and_can_be_asked_for_again(
    backend: Backend, tmp_path: Path, options: tuple[str, ...]
) -> None:
    (tmp_path / "sitecustomize.py").write_text(THREADLESS)
    environment = {**NO_DOCKER, "PYTHONPATH": str(tmp_path)}
    with running(tmp_path, backend.config(), *options, environment=environment) as gateway:
        (tmp_path / "threadless").touch()
        config = backend.config()
        config["backends"].append({"name": "found", "match_labels": ["a=b"]})
        write_config(tmp_path, config)
        gateway.send_signal(signal.SIGHUP)
        wait_until(
            gateway.errors, lambda said: "not in force as a whole; send SIGHUP again" in said, within_s=10
        )
        assert gateway.get("/api/x").status == 200
        (tmp_path / "threadless").unlink()
        gateway.send_signal(signal.SIGHUP)
        wait_until(gateway.errors, lambda said: "Docker does not answer" in said, within_s=10)  # it is asked
        assert gateway.stop() == 0


EARLY = """
import os, signal, sys
class Early:
    def find_spec(name, path, target=None):
        if name == "rgate.cli.serve":
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGUSR1)
sys.meta_path.insert(0, Early)
"""
"""Signals that come as rgate has only begun to load."""


@pytest.mark.any_engine
@pytest.mark.clause("8.reload.whole", "8.reload.logs")
@alone_or_with_workers
def test_what_is_asked_for_while_it_starts_is_done_once_it_has(
    backend: Backend, tmp_path: Path, options: tuple[str, ...]
) -> None:
    (tmp_path / "sitecustomize.py").write_text(EARLY)
    environment = {**NO_DOCKER, "PYTHONPATH": str(tmp_path)}
    with running(tmp_path, backend.config(), *options, environment=environment) as gateway:
        wait_until(gateway.errors, lambda said: said.count("reloaded config.yml") == 1, within_s=10)
        assert gateway.get("/api/x").status == 200
        assert gateway.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("options", [[], ["--workers", "2"]], ids=["one process", "workers"])
def test_a_signal_ends_it_while_it_still_waits_for_docker(
    tmp_path: Path, engine: str, number: signal.Signals, options: list[str]
) -> None:
    write_config(tmp_path, CONFIG)
    with (
        frozen_docker() as docker,
        started("--engine", engine, *options, cwd=tmp_path, environment=docker.environment) as process,
    ):
        docker.wait_until_asked()
        process.send_signal(number)
        _, errors = process.communicate(timeout=CALL_TIMEOUT_S - 0.5)  # before the call ends
    assert process.returncode == 0
    assert "Traceback" not in errors


@pytest.mark.clause("1.exit.signal")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("options", [[], ["--workers", "2"]], ids=["one process", "workers"])
def test_a_signal_ends_it_with_0_before_it_has_read_its_configuration(
    tmp_path: Path, number: signal.Signals, options: list[str]
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with (
        started("--config", str(fifo), *options, cwd=tmp_path, environment=NO_DOCKER) as process,
        open(fifo, "wb"),  # which waits until it is opened
    ):
        # A signal right before it begins to read would be noticed behind that.
        asleep = Path(f"/proc/{process.pid}/wchan")
        wait_until(asleep.read_text, lambda where: "poll" in where, within_s=10)
        process.send_signal(number)
        _, errors = process.communicate(timeout=CALL_TIMEOUT_S)
    assert process.returncode == 0
    assert "Traceback" not in errors


def default_body(gateway: Gateway) -> bytes:
    return gateway.get("/elsewhere").body


@pytest.mark.clause("8.reload.whole")
def test_sighup_reads_the_config_again(tmp_path: Path) -> None:
    with running(tmp_path, CONFIG, environment=NO_DOCKER) as gateway:
        write_config(tmp_path, {**CONFIG, "default_response": {"body": "new", "status_code": 404}})
        gateway.send_signal(signal.SIGHUP)
        wait_until(lambda: default_body(gateway), lambda body: body == b"new", within_s=5)


@pytest.mark.clause("8.reload.wrong")
def test_sighup_with_a_wrong_config_reports_it_and_keeps_the_old_one(tmp_path: Path) -> None:
    with running(tmp_path, CONFIG, environment=NO_DOCKER) as gateway:
        write_config(tmp_path, {**CONFIG, "rotues": []})
        gateway.send_signal(signal.SIGHUP)
        wait_until(gateway.errors, lambda errors: "rotues" in errors, within_s=5)
        assert default_body(gateway) == b"This is not reachable"


@pytest.mark.clause("8.reload.wrong", "8.check.soon", "8.stop.drain")
@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one process", "workers"])
def test_a_config_that_is_a_silent_pipe_holds_up_no_signal(tmp_path: Path, options: tuple[str, ...]) -> None:
    with running(tmp_path, CONFIG, *options, environment=NO_DOCKER) as gateway:
        config = tmp_path / "config.yml"
        config.unlink()
        os.mkfifo(config)
        writer = os.open(config, os.O_RDWR)
        gateway.send_signal(signal.SIGHUP)
        wait_until(gateway.errors, lambda errors: "not reloaded" in errors, within_s=5)
        assert "its end did not come within 1 s" in gateway.errors()
        assert default_body(gateway) == b"This is not reachable"
        assert gateway.stop() == 0
        os.close(writer)


@pytest.mark.clause("8.reload.whole")
@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one process", "workers"])
def test_a_config_that_comes_through_a_pipe_is_in_force_in_all_workers(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    # Each worker read it by itself, and a pipe says it once.
    with running(tmp_path, CONFIG, *options, environment=NO_DOCKER) as gateway:
        config = tmp_path / "config.yml"
        write_config(tmp_path, {**CONFIG, "default_response": {"body": "new", "status_code": 404}})
        text = config.read_bytes()
        config.unlink()
        os.mkfifo(config)
        writer = os.open(config, os.O_RDWR)
        os.write(writer, text)
        gateway.send_signal(signal.SIGHUP)
        wait_until(lambda: _is_opened(gateway.process.pid, config), bool, within_s=5)
        os.close(writer)
        wait_until(gateway.errors, lambda errors: "reloaded" in errors, within_s=5)
        wait_until(
            lambda: {default_body(gateway) for _ in range(20)}, lambda told: told == {b"new"}, within_s=5
        )


def _is_opened(pid: int, path: Path) -> bool:
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it was closed meanwhile
            if descriptor.samefile(path):
                return True
    return False


@pytest.mark.clause("1.options.db", "1.exit.database")
def test_a_database_that_cannot_be_used_ends_it_with_1(tmp_path: Path) -> None:
    write_config(tmp_path, CONFIG)
    result = finished(
        "--port", "0", "--db", "sqlite:///missing/rgate.db", cwd=tmp_path, environment=NO_DOCKER
    )
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "missing" in result.stderr


def test_an_access_log_that_cannot_be_written_ends_it_with_1(tmp_path: Path) -> None:
    write_config(tmp_path, CONFIG)
    result = finished("--port", "0", "--access-log", "missing/log", cwd=tmp_path, environment=NO_DOCKER)
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "missing/log" in result.stderr


def test_it_runs_where_standard_output_is_closed(backend: Backend, tmp_path: Path, engine: str) -> None:
    write_config(tmp_path, backend.config())
    port = free_port()
    words = command("--port", str(port), "--engine", engine, "--access-log", "-")
    with subprocess.Popen(
        ["sh", "-c", 'exec "$@" >&-', "sh", *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_until(lambda: is_healthy(port) or process.poll() is not None, bool, within_s=20)
        assert process.poll() is None, process.communicate()
        assert get(port, "/api/x").body == b"ok"
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")


@pytest.mark.clause("1.options.log_level")
@pytest.mark.parametrize(("level", "told"), [("info", True), ("warning", False)])
@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one process", "workers"])
def test_the_level_says_what_is_told(
    backend: Backend, tmp_path: Path, level: str, told: bool, options: tuple[str, ...]
) -> None:
    with running(tmp_path, backend.config(), "--log-level", level, *options) as gateway:
        write_config(tmp_path, {**backend.config(), "default_response": {"body": "new"}})
        gateway.send_signal(signal.SIGHUP)
        wait_until(lambda: default_body(gateway), lambda body: body == b"new", within_s=5)
        (tmp_path / "config.yml").write_text("routes: 7\nbackends: 7")
        gateway.send_signal(signal.SIGHUP)
        wait_until(gateway.errors, lambda said: "not reloaded" in said, within_s=5)
        said = gateway.errors().splitlines()
    assert [line.partition(" found ")[0] for line in said] == [
        *(["rgate: reloaded config.yml"] if told else []),
        "rgate: config.yml:1: routes:",
        "rgate: config.yml:2: backends:",
        "rgate: not reloaded; the old configuration stays in force",
    ]


@pytest.mark.clause("1.options.port", "1.ready.said")
def test_when_it_is_ready_it_tells_its_routes_and_what_was_found(tmp_path: Path) -> None:
    with running(tmp_path, CONFIG, environment=NO_DOCKER) as gateway:
        lines = [gateway.line(), gateway.line()]
        assert [line.split() for line in lines] == [
            ["ROUTE", "BACKEND", "CONTAINERS"],
            ["/api", "api", "none", "(docker_unavailable)"],
        ]


@pytest.mark.clause("1.options.access_log", "1.log.line", "1.log.json")
def test_the_access_log_has_a_line_for_each_request_as_json(tmp_path: Path) -> None:
    options = ("--access-log", "access.log", "--log-format", "json")
    with running(tmp_path, CONFIG, *options, environment=NO_DOCKER) as gateway:
        gateway.get("/api/1?x=%0A")
        gateway.get("/elsewhere")
        assert gateway.stop() == 0
    first, second = (json.loads(line) for line in (tmp_path / "access.log").read_text().splitlines())
    assert list(first) == [
        "time", "client", "method", "target", "status", "bytes", "seconds", "route", "container", "attempts",
        "reason", "request_id",
    ]  # fmt: skip
    assert (first["target"], first["status"], first["route"]) == ("/api/1?x=%0A", 503, "/api")
    assert (first["reason"], first["client"]) == ("docker_unavailable", "127.0.0.1")
    assert (second["status"], second["route"], second["reason"]) == (403, "", "")


def test_the_access_log_tells_of_a_response_that_broke_off(backend: Backend, tmp_path: Path) -> None:
    options = ("--access-log", "access.log", "--log-format", "json")
    with running(tmp_path, backend.config(), *options, environment=NO_DOCKER) as gateway:
        with pytest.raises(http.client.IncompleteRead):
            gateway.get("/api/broken")
        assert gateway.stop() == 0
    (line,) = (tmp_path / "access.log").read_text().splitlines()
    assert (json.loads(line)["status"], json.loads(line)["reason"]) == (200, "cut")


@pytest.mark.clause("1.options.access_log")
def test_a_dash_writes_the_access_log_to_standard_output(tmp_path: Path) -> None:
    with running(tmp_path, CONFIG, "--access-log", "-", environment=NO_DOCKER) as gateway:
        assert "ROUTE" in gateway.line()
        assert "/api" in gateway.line()
        gateway.get("/elsewhere")
        assert " GET /elsewhere 403 " in gateway.line()


def picks(directory: Path, *options: str) -> list[str]:
    """The addresses that twelve requests are sent to first: all refuse, and are named in the log."""
    urls = [f"http://127.0.0.{number}:9" for number in range(1, 9)]
    config = {
        "routes": [{"path_prefix": "/", "backend": "api"}],
        "backends": [{"name": "api", "urls": urls}],
    }
    log = directory / "access.log"
    log.unlink(missing_ok=True)
    options = ("--access-log", "access.log", "--log-format", "json", *options)
    with running(directory, config, *options, environment=NO_DOCKER) as gateway:
        for _ in range(12):
            gateway.get("/")
        assert gateway.stop() == 0
    return [json.loads(line)["container"] for line in log.read_text().splitlines()]


@pytest.mark.clause("8.reload.logs", "10.logs.reopened")
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGHUP])
def test_a_signal_opens_the_access_log_again(tmp_path: Path, number: signal.Signals) -> None:
    log = tmp_path / "access.log"
    with running(tmp_path, CONFIG, "--access-log", "access.log", environment=NO_DOCKER) as gateway:
        log.rename(tmp_path / "rotated")
        gateway.send_signal(number)
        wait_until(lambda: bool(gateway.get("/elsewhere")) and log.exists(), bool, within_s=5)
        assert gateway.stop() == 0
    assert " GET /elsewhere 403 " in log.read_text()


@pytest.mark.clause("5.messages.environment")
def test_what_the_users_environment_says_of_proxies_and_passwords_is_not_used(
    backend: Backend, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    proxies = {f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "HTTP", "all", "ALL")}
    environment = {**NO_DOCKER, **proxies, "NO_PROXY": "", "no_proxy": "", "NETRC": str(netrc)}
    with running(tmp_path, backend.config(), environment=environment) as gateway:
        response = gateway.get("/api/fields")
    assert response.status == 200
    assert "authorization" not in {name.lower() for name in response.json()}


@pytest.mark.slow
@pytest.mark.clause("1.options.seed")
def test_a_seed_makes_the_picks_repeatable(tmp_path: Path) -> None:
    assert picks(tmp_path, "--seed", "1") == picks(tmp_path, "--seed", "1")
    assert picks(tmp_path, "--seed", "1") != picks(tmp_path, "--seed", "2")


def test_a_second_signal_ends_it_at_once_with_1(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        running(tmp_path, fixed(silent), "--drain", "60", environment=NO_DOCKER) as gateway,
        socket.create_connection(("127.0.0.1", gateway.port)) as client,
    ):
        client.sendall(b"GET /api HTTP/1.1\r\nHost: a\r\n\r\n")
        silent.settimeout(10)
        with silent.accept()[0] as connection:
            assert connection.recv(100)  # the request is under way
            gateway.send_signal(signal.SIGTERM)
            wait_until(lambda: accepts(gateway.port), lambda accepted: not accepted, within_s=5)
            gateway.send_signal(signal.SIGTERM)
            assert gateway.exit_status() == 1


def fixed(listener: socket.socket) -> dict[str, Any]:
    return {
        "routes": [{"path_prefix": "/api", "backend": "api"}],
        "backends": [{"name": "api", "urls": [f"http://127.0.0.1:{listener.getsockname()[1]}"]}],
    }


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def is_healthy(port: int) -> bool:
    """Whether rgate answers there: somebody else may have taken the port in between."""
    try:
        return get(port, "/_rgate/healthz").status == 200
    except (OSError, http.client.HTTPException):
        return False


@pytest.mark.clause("8.check.exit", "8.check.unused")
def test_check_says_ok_and_warns(tmp_path: Path) -> None:
    write_config(tmp_path, {**CONFIG, "routes": []})
    result = finished("check", "--config", "config.yml", cwd=tmp_path, environment=NO_DOCKER)
    assert (result.returncode, result.stderr) == (0, "")
    assert "no route uses the backend api" in result.stdout
    assert not (tmp_path / "rgate.db").exists()


@pytest.mark.clause("8.check.exit")
def test_check_ends_with_2_and_a_line_for_each_error(tmp_path: Path) -> None:
    write_config(tmp_path, {"rotues": [], "backends": []})
    result = finished("check", "--config", "config.yml", cwd=tmp_path, environment=NO_DOCKER)
    assert (result.returncode, result.stdout) == (2, "")
    assert [line.split(": ")[1] for line in result.stderr.splitlines()] == ["rotues", "routes"]


@pytest.mark.any_engine
@pytest.mark.clause("1.exit.wrong", "1.exit.else")
@pytest.mark.parametrize(("words", "status"), [("serve --port 0", 2), ("health --port 1", 1)])
def test_a_message_that_a_full_disk_does_not_take_changes_no_exit_status(
    tmp_path: Path, words: str, status: int
) -> None:
    write_config(tmp_path, {"rotues": [], "backends": []})
    with open("/dev/full", "w") as full:
        assert subprocess.call(command(*words.split()), cwd=tmp_path, stderr=full, timeout=30) == status
