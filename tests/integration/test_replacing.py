"""`serve --replace`: one rgate takes the place of another under load, and nobody notices (behaviour 8)."""

import contextlib
import itertools
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rgate.cli.succession import Predecessor
from rgate.engines import ENGINES
from tests.integration import gateway as gateway_process
from tests.integration.asking import Asked, asking
from tests.integration.backend import Backend
from tests.integration.gateway import (
    Gateway,
    backend_config,
    command,
    finished,
    frozen_docker,
    running,
    wait_until,
    write_config,
)
from tests.integration.test_workers import NO_DOCKER, workers_of

pytestmark = pytest.mark.integration


@contextlib.contextmanager
def replacing(old: Gateway, directory: Path, *options: str) -> Iterator[Gateway]:
    """Start an rgate in the place of *old*, and wait until it is ready."""
    errors = directory / f"stderr-of-the-one-behind-{old.process.pid}.txt"
    words = command("--port", str(old.port), "--replace", "--engine", gateway_process.engine, *options)
    with (
        errors.open("w") as stderr,
        subprocess.Popen(
            words,
            cwd=directory,
            env={**os.environ, **NO_DOCKER, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as process,
    ):
        try:
            yield Gateway(process, errors)
        finally:
            process.kill()


def replace_in_turn(
    backend: Backend, directory: Path, workers: list[str], *, each: int, new: int, kept: int
) -> Asked:
    """Let one rgate after the other take over, with so many *workers*, and *each* answer so many requests.

    Returns what came of all requests, of which none was lost.
    """
    with contextlib.ExitStack() as stack:
        present = stack.enter_context(
            running(directory, backend.config(), "--workers", workers[0], environment=NO_DOCKER)
        )
        with asking(present.port, new=new, kept=kept) as asked:
            asked.wait_for(each)
            # The engine changes from each to the next.
            others = itertools.cycle([*(ENGINES.keys() - {gateway_process.engine}), gateway_process.engine])
            for number, other in zip(workers[1:], others, strict=False):
                before, options = present, ("--workers", number, "--engine", other)
                present = stack.enter_context(replacing(before, directory, *options))
                assert before.exit_status() == 0
                assert "replaced by the rgate of process" in before.errors()
                asked.wait_for(asked.answered + each)
        assert asked.lost == []
        # Each that ended has stored what it counted.
        assert present.stats()["requests_count"] == {"success": asked.answered, "error": 0}
        assert present.stop() == 0
    return asked


@pytest.mark.clause("8.restart.replace")
def test_nothing_is_lost_as_one_takes_the_place_of_another(backend: Backend, tmp_path: Path) -> None:
    replace_in_turn(backend, tmp_path, ["1", "2"], each=200, new=1, kept=1)


@pytest.mark.slow
@pytest.mark.any_engine
@pytest.mark.clause("8.restart.checked")
def test_one_that_is_killed_before_it_is_ready_changes_nothing(backend: Backend, tmp_path: Path) -> None:
    with running(tmp_path, backend.config(), environment=NO_DOCKER) as old, frozen_docker() as docker:
        (tmp_path / "asks-docker.yml").write_text("{routes: [], backends: [{name: a, match_labels: [a=b]}]}")
        words = ("--port", str(old.port), "--replace", "--config", "asks-docker.yml", "--workers", "2")
        with subprocess.Popen(
            command(*words), cwd=tmp_path, env={**os.environ, **docker.environment}, stderr=subprocess.DEVNULL
        ) as new:
            with asking(old.port, new=1, kept=1) as asked:
                docker.wait_until_asked()  # it has the listeners, and accepts on none of them yet
                asked.wait_for(asked.answered + 20)
                new.kill()
                new.wait(10)
                asked.wait_for(asked.answered + 20)
            assert asked.lost == []
        assert old.stats()["requests_count"]["success"] == asked.answered
        assert old.stop() == 0


@pytest.mark.any_engine
@pytest.mark.clause("8.restart.replace")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_one_that_ends_while_another_has_its_listeners_leaves_them_open(
    backend: Backend, tmp_path: Path, workers: str
) -> None:
    with running(tmp_path, backend.config(), "--workers", workers, environment=NO_DOCKER) as old:
        other = Predecessor([f"127.0.0.1:{old.port}"])
        assert old.stop() == 0
        for _ in range(8):
            socket.create_connection(("127.0.0.1", old.port), 0.5).close()
        other.leave()  # it has ended already, which is told as success
        other.close()


@pytest.mark.slow
@pytest.mark.any_engine
@pytest.mark.clause("8.restart.checked")
def test_without_docker_the_old_one_goes_on(backend: Backend, tmp_path: Path) -> None:
    with running(tmp_path, backend.config(), environment=NO_DOCKER) as old:
        write_config(tmp_path, backend_config("a=b"))
        words = ("--port", str(old.port), "--replace", "--workers", "2")
        ended = finished(*words, cwd=tmp_path, environment=NO_DOCKER)
        assert ended.returncode == 1
        assert "The rgate that serves was not replaced" in ended.stderr
        assert "Traceback" not in ended.stderr
        assert old.get("/api/x").body == b"ok"
        assert old.stop() == 0


@pytest.mark.any_engine
@pytest.mark.clause("8.restart.checked")
def test_where_somebody_else_listens_it_ends_with_1(backend: Backend, tmp_path: Path) -> None:
    write_config(tmp_path, backend.config())
    ended = finished("--port", str(backend.port), "--replace", cwd=tmp_path, environment=NO_DOCKER)
    assert ended.returncode == 1
    assert ended.stderr.startswith(
        f"rgate: cannot listen on 127.0.0.1:{backend.port}: Address already in use"
    )
    assert "it is no rgate of this user" in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.any_engine
@pytest.mark.clause("8.restart.checked")
def test_where_nobody_listens_it_starts_as_usual(backend: Backend, tmp_path: Path) -> None:
    with running(tmp_path, backend.config(), environment=NO_DOCKER) as dead:
        dead.send_signal(signal.SIGKILL)  # what it leaves where both would meet is no hindrance
        dead.exit_status()
        with replacing(dead, tmp_path) as gateway:
            assert gateway.get("/api/x").body == b"ok"
            assert gateway.stop() == 0


@pytest.mark.slow
@pytest.mark.any_engine
@pytest.mark.clause("8.restart.checked")
def test_one_that_hangs_is_not_replaced(backend: Backend, tmp_path: Path) -> None:
    with running(tmp_path, backend.config(), "--workers", "2", environment=NO_DOCKER) as old:
        old.send_signal(signal.SIGSTOP)
        ended = finished("--port", str(old.port), "--replace", cwd=tmp_path, environment=NO_DOCKER)
        assert ended.returncode == 1
        assert f"(process {old.process.pid}) does not answer; it was not replaced" in ended.stderr
        old.send_signal(signal.SIGCONT)
        assert old.get("/api/x").body == b"ok"
        assert old.stop() == 0


@pytest.mark.slow
@pytest.mark.any_engine
def test_workers_that_die_before_and_behind_are_replaced(backend: Backend, tmp_path: Path) -> None:
    with (
        running(tmp_path, backend.config(), "--workers", "2", environment=NO_DOCKER) as old,
        replacing(old, tmp_path, "--workers", "2") as new,
    ):
        assert old.exit_status() == 0
        killed, _ = workers_of(new.process.pid)
        os.kill(killed, signal.SIGKILL)
        wait_until(
            lambda: workers_of(new.process.pid),
            lambda pids: len(pids) == 2 and killed not in pids,
            within_s=10,
        )
        assert {new.get("/api/x").status for _ in range(8)} == {200}
        with replacing(new, tmp_path) as third:
            assert new.exit_status() == 0
            assert {third.get("/api/x").status for _ in range(8)} == {200}
            assert third.stop() == 0
