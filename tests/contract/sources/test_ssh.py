"""Docker by SSH: what keeps us out is told, with what to do. An SSH server of the test's own says no."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

from rgate.discovery.docker_source import DockerSource
from rgate.discovery.source import SourceError
from tests.contract.sources.test_docker_errors import INSIDES

pytestmark = pytest.mark.clause("4.docker.ssh")


class NoKeyGetsIn(paramiko.ServerInterface):
    def get_allowed_auths(self, _username: str) -> str:
        return "publickey"


@pytest.fixture(scope="module")
def host_key() -> paramiko.PKey:
    return paramiko.ECDSAKey.generate()


@pytest.fixture
def port(host_key: paramiko.PKey) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            transports = []
            try:
                while True:
                    transports.append(paramiko.Transport(listener.accept()[0]))
                    transports[-1].add_server_key(host_key)
                    transports[-1].start_server(server=NoKeyGetsIn(), event=threading.Event())
            except OSError:
                for transport in transports:
                    transport.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def told(monkeypatch: pytest.MonkeyPatch, home: Path, port: int, known: paramiko.PKey | None) -> str:
    """Why Docker cannot be asked by SSH at *port*, whose host key is *known* as that."""
    (home / ".ssh").mkdir(exist_ok=True)
    if known is not None:
        line = f"[127.0.0.1]:{port} {known.get_name()} {known.get_base64()}\n"
        (home / ".ssh/known_hosts").write_text(line)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("DOCKER_HOST", f"ssh://me@127.0.0.1:{port}")
    with pytest.raises(SourceError) as raised:
        DockerSource().ping()
    assert not INSIDES.search(str(raised.value))
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_host_key_that_is_not_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, port: int) -> None:
    assert told(monkeypatch, tmp_path, port, None) == (
        f"the host key of 127.0.0.1 is not known: `ssh -p {port} 127.0.0.1`, as rgate's user, asks to add it"
    )


def test_a_host_key_that_is_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, port: int) -> None:
    sentence = told(monkeypatch, tmp_path, port, paramiko.ECDSAKey.generate())
    assert sentence.startswith(
        "the host key of 127.0.0.1 is another than ~/.ssh/known_hosts has: find out why"
    )


@pytest.mark.parametrize("has_key", [True, False])
def test_no_key_that_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, port: int, host_key: paramiko.PKey, *, has_key: bool
) -> None:
    (tmp_path / ".ssh").mkdir()
    if has_key:
        paramiko.ECDSAKey.generate().write_private_key_file(str(tmp_path / ".ssh/id_ecdsa"))
    sentence = told(monkeypatch, tmp_path, port, host_key)
    why = (
        f"ssh://127.0.0.1:{port} takes none of the keys"
        if has_key
        else f"there is no key for ssh://127.0.0.1:{port}"
    )
    assert sentence == f"{why}: see if `ssh -p {port} 127.0.0.1`, as rgate's user, asks for no password"


def test_nobody_who_listens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        assert told(monkeypatch, tmp_path, port, None).startswith(
            f"nobody listens at ssh://127.0.0.1:{port}: "
        )


def test_a_name_that_cannot_be_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert told(monkeypatch, tmp_path, 22, None) == (
        "the name in ssh://127.0.0.1:22 is not known: check DOCKER_HOST, and the DNS of this machine"
    )
