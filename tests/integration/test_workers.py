"""`--workers N`: several processes behave as one gateway (behaviour 1, 7 and 8)."""

import contextlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.integration.backend import Backend
from tests.integration.gateway import (
    Gateway,
    finished,
    frozen_docker,
    get,
    running,
    started,
    wait_until,
    write_config,
)
from tests.refusing import refuses
from tests.threadless import THREADLESS

pytestmark = pytest.mark.integration
NO_DOCKER = {"DOCKER_HOST": "unix:///nowhere"}


@pytest.fixture
def gateway(backend: Backend, tmp_path: Path) -> Iterator[Gateway]:
    with running(tmp_path, backend.config(), "--workers", "2", environment=NO_DOCKER) as gateway:
        yield gateway
        if gateway.process.poll() is None:
            gateway.stop()


def workers_of(pid: int) -> list[int]:
    return sorted(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except OSError:
        return True


def open_sockets(pid: int) -> int:
    found = 0
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found += "socket:" in os.readlink(file)
    return found


@pytest.mark.clause("1.options.workers")
def test_requests_are_spread_and_the_figures_add_up_whoever_is_asked(gateway: Gateway) -> None:
    before = {pid: open_sockets(pid) for pid in workers_of(gateway.process.pid)}
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
    killed, other = workers_of(gateway.process.pid)
    os.kill(killed, signal.SIGKILL)
    wait_until(
        lambda: workers_of(gateway.process.pid),
        lambda pids: len(pids) == 2 and killed not in pids,
        within_s=10,
    )
    assert other in workers_of(gateway.process.pid)
    for _ in range(20):  # what comes to the place of the killed one waits for the new one
        assert gateway.get("/api/x").status == 200
    assert gateway.stats()["requests_count"] == {"success": 40, "error": 0}
    assert gateway.errors().count("ended (SIGKILL); another starts in") == 1
    assert gateway.stop() == 0


def test_the_figures_of_all_are_found_after_a_restart(backend: Backend, tmp_path: Path) -> None:
    config = backend.config()
    for asked in (10, 20):
        with running(tmp_path, config, "--workers", "3", environment=NO_DOCKER) as gateway:
            for _ in range(10):
                assert gateway.get("/api/x").status == 200
            assert gateway.stats()["requests_count"]["success"] == asked
            assert gateway.stop() == 0


@pytest.mark.clause("8.reload.whole", "8.reload.wrong")
def test_a_reload_reaches_all_and_a_wrong_file_none(
    gateway: Gateway, backend: Backend, tmp_path: Path
) -> None:
    config = {**backend.config(), "default_response": {"body": "new", "status_code": 418}}
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
def test_what_is_under_way_is_finished_after_a_signal_to(
    gateway: Gateway, backend: Backend, everyone: bool
) -> None:
    seen: list[int] = []
    asking = threading.Thread(target=lambda: seen.append(gateway.get("/api/slow").status))
    asking.start()
    assert backend.entered.wait(10)
    for pid in workers_of(gateway.process.pid) if everyone else []:
        os.kill(pid, signal.SIGINT)
    gateway.send_signal(signal.SIGINT)
    wait_until(lambda: refuses(gateway.port), bool, within_s=5)
    backend.let_go.set()
    asking.join(10)
    assert seen == [200]
    assert gateway.exit_status() == 0


def test_a_second_signal_ends_all_at_once(gateway: Gateway, backend: Backend) -> None:
    pids = workers_of(gateway.process.pid)
    with socket.create_connection(("127.0.0.1", gateway.port)) as connection:
        connection.sendall(b"GET /api/slow HTTP/1.1\r\nHost: a\r\n\r\n")
        assert backend.entered.wait(10)
        gateway.send_signal(signal.SIGTERM)
        wait_until(lambda: refuses(gateway.port), bool, within_s=5)
        gateway.send_signal(signal.SIGTERM)
        assert gateway.exit_status(7) == 1
    assert all(map(is_gone, pids))


def test_workers_end_with_a_supervisor_that_is_killed(gateway: Gateway) -> None:
    pids = workers_of(gateway.process.pid)
    gateway.send_signal(signal.SIGKILL)
    gateway.exit_status()
    wait_until(lambda: [is_gone(pid) for pid in pids], all, within_s=10)


def kill_workers(gateway: Gateway) -> None:
    """Kill all workers, and wait until they are gone."""
    killed = workers_of(gateway.process.pid)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: [is_gone(pid) for pid in killed], all, within_s=10)


@pytest.mark.any_engine
@pytest.mark.clause("8.reload.whole")
def test_workers_in_the_place_of_others_do_as_they_are_told_however_long_the_table(
    backend: Backend, tmp_path: Path
) -> None:
    config = backend.config()
    config["routes"] += [{"path_prefix": f"/{number}{'x' * 6000}", "backend": "api"} for number in range(60)]
    options = ("--workers", "2", "--log-format", "json")  # which cuts nothing
    with running(tmp_path, config, *options, environment=NO_DOCKER) as gateway:
        kill_workers(gateway)
        assert gateway.get("/api/x").status == 200  # by one that came later
        write_config(tmp_path, {**backend.config(), "default_response": {"body": "new", "status_code": 418}})
        gateway.send_signal(signal.SIGHUP)
        wait_until(
            lambda: [gateway.get("/elsewhere").status for _ in range(20)],
            lambda seen: seen == [418] * 20,
            within_s=5,
        )
        pids = workers_of(gateway.process.pid)
        gateway.send_signal(signal.SIGKILL)
        gateway.exit_status()
        wait_until(lambda: [is_gone(pid) for pid in pids], all, within_s=10)
        assert "worker failed" not in gateway.errors()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_rgate_does_not_share_the_port_of_the_first(
    gateway: Gateway, tmp_path: Path, workers: str
) -> None:
    ended = finished("--port", str(gateway.port), "--workers", workers, cwd=tmp_path)
    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1:{gateway.port}" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert get(gateway.port, "/api/x").status == 200


def test_a_database_that_cannot_be_used_is_told_of_once(backend: Backend, tmp_path: Path) -> None:
    write_config(tmp_path, backend.config())
    ended = finished("--port", "0", "--workers", "2", "--db", "sqlite:////nowhere/at/all.db", cwd=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.count("rgate:") == 1


@contextlib.contextmanager
def starting(backend: Backend, directory: Path, engine: str) -> Iterator[subprocess.Popen[str]]:
    """Start two workers for a Docker that never answers; the first has asked it, the second is started when
    that is ready.
    """
    config = backend.config()
    config["backends"] = [{"name": "api", "match_labels": ["app_name=none"]}]
    write_config(directory, config)
    options = ("--engine", engine, "--workers", "2")
    with (
        frozen_docker() as docker,
        started(*options, cwd=directory, environment=docker.environment) as process,
    ):
        docker.wait_until_asked()
        yield process


def test_a_worker_that_is_killed_before_it_is_ready_ends_all_with_1(
    backend: Backend, tmp_path: Path, engine: str
) -> None:
    with starting(backend, tmp_path, engine) as process:
        (worker,) = workers_of(process.pid)
        os.kill(worker, signal.SIGKILL)
        _, errors = process.communicate(timeout=10)
    assert process.returncode == 1
    assert errors == "rgate: a worker was ended by SIGKILL before it was ready; see what did that\n"


@pytest.mark.slow
def test_where_one_cannot_start_and_another_hangs_all_end(
    backend: Backend, tmp_path: Path, engine: str
) -> None:
    with starting(backend, tmp_path, engine) as process:
        first, second = wait_until(
            lambda: workers_of(process.pid), lambda workers: len(workers) == 2, within_s=20
        )
        os.kill(first, signal.SIGSTOP)
        os.kill(second, signal.SIGKILL)
        _, errors = process.communicate(timeout=10)
    assert process.returncode == 1
    assert errors.endswith("rgate: a worker was ended by SIGKILL before it was ready; see what did that\n")


@pytest.mark.slow
@pytest.mark.clause("8.reload.whole")
def test_a_reload_that_is_asked_for_as_workers_start_is_done_once_they_have(
    backend: Backend, tmp_path: Path, engine: str
) -> None:
    with starting(backend, tmp_path, engine) as process:
        process.send_signal(signal.SIGHUP)
        assert process.stderr is not None
        assert any("reloaded config.yml" in line for line in process.stderr)  # as far as it has come
        process.terminate()
        process.communicate(timeout=20)
    assert process.returncode == 0


def few_processes(directory: Path, error_at: int) -> dict[str, str]:
    """Return the environment of a command to which the system gives no process when it asks for that one."""
    (directory / "sitecustomize.py").write_text(
        f"""
import errno, itertools, os
fork, numbers = os.fork, itertools.count(1)
def few():
    if next(numbers) == {error_at}:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return fork()
os.fork = few
"""
    )
    return {**NO_DOCKER, "PYTHONPATH": str(directory)}


@pytest.mark.parametrize("directory", ["nowhere", "x" * 100])
def test_where_the_workers_cannot_meet_it_ends_with_1(
    backend: Backend, tmp_path: Path, directory: str
) -> None:
    write_config(tmp_path, backend.config())
    (tmp_path / ("x" * 100)).mkdir()
    # Python takes another directory where TMPDIR's is not there: so all others are closed to it too.
    (tmp_path / "sitecustomize.py").write_text(
        "import tempfile\ntempfile.tempdir = __import__('os').environ['TMPDIR']"
    )
    environment = {**NO_DOCKER, "PYTHONPATH": str(tmp_path), "TMPDIR": str(tmp_path / directory)}
    ended = finished("--port", "0", "--workers", "2", cwd=tmp_path, environment=environment)
    assert ended.returncode == 1
    assert ended.stderr.startswith("rgate: cannot make the sockets of the workers: ")
    assert ended.stderr.count("\n") == 1


def is_answered(path: Path) -> bool:
    """Whether a worker looks at a question that is asked at *path*; this one none answers."""
    question = b'{"question":"","arguments":{}}'
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        # A worker that is killed meanwhile resets it.
        with contextlib.suppress(TimeoutError, ConnectionError):
            connection.connect(str(path))
            connection.sendall(struct.pack(">I", len(question)) + question)
            return connection.recv(1) == b""
        return False


def test_a_worker_in_the_place_of_one_that_was_killed_is_asked_at_the_same_place(
    backend: Backend, tmp_path: Path
) -> None:
    environment = {**NO_DOCKER, "TMPDIR": str(tmp_path)}
    with running(tmp_path, backend.config(), "--workers", "2", environment=environment) as gateway:
        places = sorted(tmp_path.glob("rgate-*/*"))
        assert [is_answered(place) for place in places] == [True, True]
        for pid in workers_of(gateway.process.pid):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: [is_answered(place) for place in places], all, within_s=15)
        assert gateway.stop() == 0


def test_no_trace_of_where_the_workers_met_is_left(backend: Backend, tmp_path: Path) -> None:
    environment = {**NO_DOCKER, "TMPDIR": str(tmp_path)}
    with running(tmp_path, backend.config(), "--workers", "2", environment=environment) as gateway:
        assert len(list(tmp_path.glob("rgate-*/*"))) == 2
        assert gateway.stop() == 0
    assert list(tmp_path.glob("rgate-*")) == []


def test_where_no_process_can_be_had_it_ends_with_1(backend: Backend, tmp_path: Path) -> None:
    write_config(tmp_path, backend.config())
    environment = few_processes(tmp_path, error_at=2)
    ended = finished("--port", "0", "--workers", "2", cwd=tmp_path, environment=environment)
    assert ended.returncode == 1
    assert ended.stderr.startswith("rgate: cannot start a worker: Resource temporarily unavailable; allow ")
    assert ended.stderr.count("\n") == 1


INTERRUPTED = """
import os, signal
fork = os.fork
def interrupted():
    process = fork()
    if not process:
        for each in (os.getppid(), os.getpid()):
            os.kill(each, signal.SIGINT)
    return process
os.fork = interrupted
"""
"""A terminal's Ctrl-C, which goes to all, just as a worker is born."""


@pytest.mark.any_engine
@pytest.mark.clause("8.stop.drain")
def test_one_interrupt_as_a_worker_is_born_is_no_second_one(backend: Backend, tmp_path: Path) -> None:
    write_config(tmp_path, backend.config())
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTED)
    environment = {**NO_DOCKER, "PYTHONPATH": str(tmp_path)}
    ended = finished("--port", "0", "--workers", "2", cwd=tmp_path, environment=environment)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_where_no_process_can_be_had_in_place_of_a_dead_one_it_is_tried_again(
    backend: Backend, tmp_path: Path
) -> None:
    environment = few_processes(tmp_path, error_at=3)
    with running(tmp_path, backend.config(), "--workers", "2", environment=environment) as gateway:
        killed, other = workers_of(gateway.process.pid)
        os.kill(killed, signal.SIGKILL)
        wait_until(
            lambda: workers_of(gateway.process.pid),
            lambda pids: len(pids) == 2 and killed not in pids,
            within_s=10,
        )
        assert other in workers_of(gateway.process.pid)
        assert gateway.errors().count("cannot start a worker: Resource temporarily unavailable; ") == 1
        assert gateway.stop() == 0


@pytest.mark.any_engine
def test_a_worker_that_gets_no_thread_at_its_birth_ends_alone(backend: Backend, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(THREADLESS)
    environment = {**NO_DOCKER, "PYTHONPATH": str(tmp_path), "TMPDIR": str(tmp_path)}
    with running(tmp_path, backend.config(), "--workers", "2", environment=environment) as gateway:
        places = sorted(tmp_path.glob("rgate-*/*"))
        (tmp_path / "threadless").touch()
        os.kill(workers_of(gateway.process.pid)[0], signal.SIGKILL)
        wait_until(gateway.errors, lambda said: "ended (exit status 1)" in said, within_s=10)
        assert sorted(tmp_path.glob("rgate-*/*")) == places  # where all workers meet still
        assert len(places) == 2
        assert gateway.stop() == 0


@pytest.mark.any_engine
def test_a_worker_is_replaced_though_the_access_log_has_gone_meanwhile(
    backend: Backend, tmp_path: Path
) -> None:
    directory = tmp_path / "logs"
    directory.mkdir()
    options = ("--workers", "2", "--access-log", "logs/access.log")
    with running(tmp_path, backend.config(), *options, environment=NO_DOCKER) as gateway:
        shutil.rmtree(directory)
        kill_workers(gateway)
        assert gateway.get("/api/x").status == 200
        wait_until(gateway.errors, lambda said: "access log cannot be written" in said, within_s=10)
        directory.mkdir()
        assert gateway.get("/api/x").status == 200
        wait_until((directory / "access.log").exists, bool, within_s=10)
        assert gateway.stop() == 0


@pytest.mark.slow
@pytest.mark.any_engine
def test_workers_are_replaced_though_the_database_has_gone_meanwhile_and_lose_nothing(
    backend: Backend, tmp_path: Path
) -> None:
    directory = tmp_path / "figures"
    directory.mkdir()
    options = ("--workers", "2", "--db", "sqlite:///figures/rgate.db")
    with running(tmp_path, backend.config(), *options, environment=NO_DOCKER) as gateway:
        shutil.rmtree(directory)
        kill_workers(gateway)
        for _ in range(10):
            assert gateway.get("/api/x").status == 200
        wait_until(gateway.errors, lambda said: "stats_database_unavailable" in said, within_s=10)
        directory.mkdir()
        wait_until(
            lambda: gateway.stats()["requests_count"],
            lambda counted: counted == {"success": 10, "error": 0},
            within_s=10,
        )
        assert gateway.stop() == 0
    with running(tmp_path, backend.config(), *options, environment=NO_DOCKER) as gateway:
        assert gateway.stats()["requests_count"] == {"success": 10, "error": 0}
        assert gateway.stop() == 0


@pytest.mark.clause("9.http.config")
def test_each_worker_tells_the_whole_limit_on_connections(gateway: Gateway, tmp_path: Path) -> None:
    """Each has a share of it, which is no part of the configuration."""

    def told() -> set[int]:
        asked = (gateway.get("/_rgate/config") for _ in range(8))  # each on its own connection
        return {response.json()["limits"]["connections"] for response in asked}

    assert told() == {10000}
    config = yaml.safe_load((tmp_path / "config.yml").read_text())
    write_config(tmp_path, {**config, "limits": {"connections": 501}})
    gateway.send_signal(signal.SIGHUP)
    wait_until(told, lambda seen: seen == {501}, within_s=10)
