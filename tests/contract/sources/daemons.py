"""The daemons that the contract of sources is held against: each as rgate is to ask it, and a client for it.

What is done to containers is done past what is tested, by the daemon's own socket.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import docker

from tests.certificates import Authority
from tests.integration import socket_proxy, sshd
from tests.integration.daemon import real_socket
from tests.integration.dockerds import Dockerd, running_podman


@dataclass(frozen=True)
class Served:
    """*environment*: names it to rgate. *check_health*: has a container's health looked at; None: the daemon
    does so by itself.
    """

    environment: Mapping[str, str]
    client: Any  # types know no `None` for a free port
    check_health: Callable[[str], object] | None = None


def socket_of_this_machine() -> str:
    real = real_socket()
    assert real is not None, "DOCKER_HOST names no socket that something could stand before"
    return real


@contextmanager
def of_this_machine() -> Iterator[Served]:
    with contextlib.closing(docker.from_env(timeout=30)) as client:
        names = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
        yield Served({name: os.environ[name] for name in names if name in os.environ}, client)


@contextmanager
def by_tls() -> Iterator[Served]:
    """Docker's own TLS, on another machine."""
    with tempfile.TemporaryDirectory(prefix="rgate-") as directory, contextlib.closing(Dockerd()) as far:
        authority, home = Authority(), Path(directory)
        address = serve_tls(far, authority.issue(home / "server", far.address))
        far.load()
        client_files = authority.issue(home / "client")
        with far.client() as client:
            yield Served(asked_by_tls(address, client_files), client)


def serve_tls(far: Dockerd, files: Path) -> str:
    """Start a Docker that asks for certificates, and has that of *files*; return where."""
    address = f"{far.address}:2376"
    certificates = (f"--tlscacert={files}/ca.pem", f"--tlscert={files}/cert.pem", f"--tlskey={files}/key.pem")
    far.options += ("--tlsverify", *certificates, f"--host=tcp://{address}")
    far.start()
    return address


@contextmanager
def by_ssh() -> Iterator[Served]:
    with of_this_machine() as here, sshd.running(socket_of_this_machine()) as server:
        yield Served({"DOCKER_HOST": server.host, "HOME": str(server.home)}, here.client)


@contextmanager
def podman() -> Iterator[Served]:
    with running_podman() as far, far.client() as client:
        yield Served(far.environment, client, far.check_health)


@contextmanager
def behind_a_proxy_that_reads() -> Iterator[Served]:
    """The one of examples/socket-proxy."""
    with of_this_machine() as here, socket_proxy.running(socket_of_this_machine()) as path:
        yield Served({"DOCKER_HOST": f"unix://{path}"}, here.client)


def asked_by_tls(address: str, files: Path) -> Mapping[str, str]:
    """Return what names a Docker by TLS."""
    return {"DOCKER_HOST": f"tcp://{address}", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(files)}


DAEMONS: Final[Mapping[str, Callable[[], AbstractContextManager[Served]]]] = {
    "docker": of_this_machine,
    "docker by TLS": by_tls,
    "docker by ssh": by_ssh,
    "docker behind a proxy": behind_a_proxy_that_reads,
    "podman": podman,
}
