"""Listeners by LISTEN_FDS, and NOTIFY_SOCKET, as systemd gives them; this test is the parent (8.restart)."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.integration import gateway as gateway_process
from tests.integration.backend import Backend
from tests.integration.gateway import Gateway, command, get, write_config
from tests.integration.test_replacing import replacing
from tests.integration.test_workers import NO_DOCKER

pytestmark = pytest.mark.integration

# What systemd does between fork and exec: descriptors from 3 on, and the process's own id.
PASS_ON = """
import fcntl, os, sys
numbers = list(map(int, sys.argv[1].split(",")))
kept = [fcntl.fcntl(number, fcntl.F_DUPFD, 100) for number in numbers]
for place, number in enumerate(kept, 3):
    os.dup2(number, place)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.executable, sys.argv[2:])
"""


def passing_on(passed: Sequence[socket.socket], *options: str) -> list[str]:
    numbers = ",".join(str(one.fileno()) for one in passed)
    words = command("--port", "1", "--engine", gateway_process.engine, *options)
    return [sys.executable, "-c", PASS_ON, numbers, *words]


def environment(passed: Sequence[socket.socket], **more: str) -> dict[str, str]:
    return {**os.environ, **NO_DOCKER, "PYTHONUNBUFFERED": "1", "LISTEN_FDS": str(len(passed)), **more}


@contextlib.contextmanager
def started_with(
    passed: Sequence[socket.socket], directory: Path, *options: str, **more: str
) -> Iterator[Gateway]:
    errors = directory / "stderr.txt"
    with (
        errors.open("a") as stderr,
        subprocess.Popen(
            passing_on(passed, *options),
            cwd=directory,
            env=environment(passed, **more),
            pass_fds=[one.fileno() for one in passed],
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


@contextlib.contextmanager
def told(name: str) -> Iterator[tuple[str, socket.socket]]:
    """Where systemd would be told, as NOTIFY_SOCKET says it, and the socket."""
    with (
        tempfile.TemporaryDirectory(prefix="rgate-") as directory,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver,
    ):
        address = f"@{directory}" if name == "abstract" else f"{directory}/notify"
        receiver.bind("\0" + address[1:] if name == "abstract" else address)
        receiver.settimeout(20)
        yield address, receiver


def asked(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.sendall(b"GET /api/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    return connection


def whole(connection: socket.socket) -> bytes:
    with connection, connection.makefile("rb") as file:
        return file.read()


@pytest.mark.clause("8.restart.inherited")
@pytest.mark.parametrize(("workers", "name"), [("1", "path"), ("2", "abstract")])
def test_nobody_is_refused_while_no_rgate_runs(
    backend: Backend, tmp_path: Path, workers: str, name: str
) -> None:
    write_config(tmp_path, backend.config())
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as other,
        told(name) as (address, systemd),
    ):
        waiting = [asked(listener.getsockname()[1]) for listener in (one, other)]
        with started_with([one, other], tmp_path, "--workers", workers, NOTIFY_SOCKET=address) as gateway:
            assert gateway.ready.count("http://") == 2
            assert [whole(connection)[-2:] for connection in waiting] == [b"ok", b"ok"]
            assert systemd.recv(4096) == b"READY=1"
            assert gateway.stop() == 0
            assert systemd.recv(4096) == b"STOPPING=1"
        asked(one.getsockname()[1]).close()  # it waits for the next


@pytest.mark.slow
@pytest.mark.any_engine
@pytest.mark.clause("8.restart.inherited", "8.restart.replace")
def test_systemd_is_told_which_process_is_the_main_one(backend: Backend, tmp_path: Path) -> None:
    write_config(tmp_path, backend.config())
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        told("path") as (address, systemd),
        started_with([listener], tmp_path, "--workers", "2", NOTIFY_SOCKET=address) as old,
    ):
        assert systemd.recv(4096) == b"READY=1"
        with replacing(old, tmp_path) as new:
            assert systemd.recv(4096) == f"MAINPID={new.process.pid}".encode()
            assert old.exit_status() == 0
            assert get(old.port, "/api/x").body == b"ok"
            assert new.stop() == 0
        systemd.setblocking(False)
        with pytest.raises(BlockingIOError):
            systemd.recv(4096)


@pytest.mark.any_engine
@pytest.mark.clause("8.restart.inherited")
def test_what_is_no_listener_on_tcp_ends_it_with_1(backend: Backend, tmp_path: Path) -> None:
    write_config(tmp_path, backend.config())
    with (
        tempfile.TemporaryDirectory(prefix="rgate-") as directory,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        unix.bind(f"{directory}/http")
        unix.listen()
        ended = subprocess.run(
            passing_on([unix]),
            cwd=tmp_path,
            env=environment([unix]),
            pass_fds=[unix.fileno()],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr == (
        "rgate: cannot listen: descriptor 3 is a socket of AF_UNIX, and rgate listens on TCP; "
        "give a port, such as ListenStream=8080\n"
    )
