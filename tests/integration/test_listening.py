"""`--host`: where the command listens, and who comes by which address (behaviour 1). These need no Docker."""

import json
import socket
from pathlib import Path

import pytest

from bench.machine import free_port
from tests.integration.backend import Backend
from tests.integration.gateway import finished, get, running, write_config

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6"),
]
NO_DOCKER = {"DOCKER_HOST": "unix:///nowhere"}
WORKERS = pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one process", "workers"])


@WORKERS
def test_several_hosts_share_one_port(backend: Backend, tmp_path: Path, options: tuple[str, ...]) -> None:
    options = ("--host", "127.0.0.1", "--host", "::1", *options)
    with running(tmp_path, backend.config(), *options, environment=NO_DOCKER) as gateway:
        port = gateway.port
        assert gateway.ready == f"rgate listening on http://127.0.0.1:{port}, http://[::1]:{port}\n"
        assert [get(port, "/api/x", host).body for host in ("127.0.0.1", "::1") * 5] == [b"ok"] * 10
        assert gateway.stop() == 0


@WORKERS
def test_two_colons_are_both_families_and_an_ipv4_client_is_written_as_such(
    backend: Backend, tmp_path: Path, options: tuple[str, ...]
) -> None:
    options = ("--host", "::", "--access-log", "access.log", "--log-format", "json", *options)
    with running(tmp_path, backend.config(), *options, environment=NO_DOCKER) as gateway:
        assert json.loads(gateway.ready)["urls"] == [f"http://[::]:{gateway.port}"]
        for host in ("127.0.0.1", "::1"):
            assert get(gateway.port, "/api/fields", host).json()["X-Forwarded-For"] == host
            assert get(gateway.port, "/_rgate/backends", host).status == 200  # for loopback only
        assert gateway.stop() == 0
    lines = (tmp_path / "access.log").read_text().splitlines()
    assert sorted(json.loads(line)["client"] for line in lines) == ["127.0.0.1", "::1"]


def test_a_host_that_another_one_covers_may_stand_beside_it(backend: Backend, tmp_path: Path) -> None:
    options = ("--host", "127.0.0.1", "--host", "0.0.0.0", "--host", "0.0.0.0")
    with running(tmp_path, backend.config(), *options, environment=NO_DOCKER) as gateway:
        assert gateway.ready == f"rgate listening on http://0.0.0.0:{gateway.port}\n"
        assert gateway.get("/api/x").body == b"ok"


@WORKERS
def test_a_port_that_is_taken_on_one_host_ends_it_with_1(
    backend: Backend, tmp_path: Path, options: tuple[str, ...]
) -> None:
    write_config(tmp_path, backend.config())
    port = free_port()
    with socket.create_server(("::1", port), family=socket.AF_INET6):
        hosts = ("--host", "127.0.0.1", "--host", "::1", "--port", str(port))
        ended = finished(*hosts, *options, cwd=tmp_path, environment=NO_DOCKER)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"rgate: cannot listen on [::1]:{port}: Address already in use; ")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("host", ["192.0.2.1", "not..a.host"])
def test_a_host_that_is_not_of_this_machine_is_told_as_such(
    backend: Backend, tmp_path: Path, host: str
) -> None:
    write_config(tmp_path, backend.config())
    ended = finished("--host", host, "--port", "0", cwd=tmp_path, environment=NO_DOCKER)
    assert ended.returncode == 1
    said = f"cannot listen on {host}:0: {host} is no name or address of this machine; give one with --host"
    assert ended.stderr == f"rgate: {said}\n"
