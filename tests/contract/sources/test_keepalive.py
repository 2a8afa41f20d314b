"""A connection on which nothing comes for long is looked after by the kernel (behaviour 4.docker)."""

import contextlib
import socket
import threading

import pytest

from rgate.discovery import deadlines
from rgate.discovery.daemon import Daemon
from rgate.discovery.docker_source import DockerSource
from rgate.discovery.source import SourceError


@pytest.mark.clause("4.docker.half_open")
def test_a_connection_by_tcp_is_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    class Noted(deadlines.BoundedSocket):
        def __init__(self, sock: socket.socket) -> None:
            made.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE))
            made.append(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
            super().__init__(sock)

    monkeypatch.setattr(deadlines, "BoundedSocket", Noted)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            accepted, _ = server.accept()
            with accepted:
                accepted.recv(65536)

        refusing = threading.Thread(target=refuse)
        refusing.start()
        source = DockerSource(Daemon(f"tcp://127.0.0.1:{server.getsockname()[1]}"))
        with contextlib.suppress(SourceError):
            source.ping()
        source.close()
        refusing.join(10)
    assert made == [30, 1]
