"""A proxy before Docker's socket that only reads, as examples/socket-proxy has it, before the real daemon."""

import http.client
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.containers import Containers, short_id
from tests.integration.daemon import real_socket
from tests.integration.gateway import ROOT, backend_config, running, wait_until
from tests.integration.socket_proxy import running as running_proxy

pytestmark = [
    pytest.mark.integration,
    pytest.mark.docker,
    pytest.mark.any_engine,
    pytest.mark.skipif(shutil.which("haproxy") is None, reason="HAProxy is not installed: make peers"),
]
COMPOSE_FILES = ("--file", "compose.yml", "--file", "../socket-proxy/compose.yml")


@pytest.fixture
def reading() -> Iterator[Path]:
    """The proxy's socket."""
    real = real_socket()
    if real is None:
        pytest.skip("DOCKER_HOST names no socket that a proxy could stand before")
    with running_proxy(real) as path:
        yield path


def status(reading: Path, method: str, target: str, *fields: str) -> int:
    """Send the target as it is written here, and return how it is answered."""
    with socket.socket(socket.AF_UNIX) as wire:
        wire.settimeout(20)
        wire.connect(str(reading))
        lines = (f"{method} {target} HTTP/1.1", "Host: docker", "Connection: close", *fields, "", "")
        wire.sendall("\r\n".join(lines).encode())
        with http.client.HTTPResponse(wire, method=method) as answer:
            answer.begin()
            return answer.status


@pytest.mark.parametrize(
    "target", ["/_ping", "/version", "/v1.41/version", "/containers/json?all=1", "/v1.41/containers/json"]
)
def test_what_is_asked_of_docker_is_let_through(reading: Path, target: str) -> None:
    assert status(reading, "GET", target) == 200


def test_a_container_can_be_looked_at_and_no_file_or_line_of_it(
    reading: Path, containers: Containers
) -> None:
    one = containers.start(wait=False)
    assert status(reading, "GET", f"/containers/{one.id}/json") == 200
    for what in (
        "archive?path=/etc/shadow",
        "export",
        "logs?stdout=1",
        "top",
        "stats",
        "changes",
        "attach/ws",
    ):
        assert status(reading, "GET", f"/v1.41/containers/{one.id}/{what}") == 403
    for method, what in (("POST", "stop"), ("POST", "kill"), ("POST", "exec"), ("DELETE", "")):
        assert status(reading, method, f"/containers/{one.id}/{what}".rstrip("/")) == 403
    assert status(reading, "POST", "/containers/json") == 403
    one.reload()
    assert one.status == "running"


@pytest.mark.parametrize(
    ("method", "target", "fields"),
    [
        ("POST", "/containers/create", ()),
        ("POST", "/build", ()),
        ("POST", "/session", ("Upgrade: h2c", "Connection: upgrade")),
        ("PUT", "/containers/json", ()),
        ("HEAD", "/_ping", ()),
        ("get", "/_ping", ()),
        ("GET", "/info", ()),
        ("GET", "/images/json", ()),
        ("GET", "/secrets", ()),
        ("GET", "/containers/../images/json", ()),
        ("GET", "/containers/..%2f..%2fimages/json", ()),
        ("GET", "/v1.41/../images/json", ()),
        ("GET", "//images/json", ()),
        ("GET", "/_ping/", ()),
        ("GET", "/_pingx", ()),
        ("GET", "/_ping", ("Content-Length: 0",)),
        ("GET", "/_ping", ("Transfer-Encoding: chunked",)),
    ],
)
def test_all_else_is_refused(reading: Path, method: str, target: str, fields: tuple[str, ...]) -> None:
    assert status(reading, method, target, *fields) in (400, 403)


def test_the_gateway_needs_no_more(reading: Path, containers: Containers, tmp_path: Path) -> None:
    config = backend_config(containers.app, containers.env)
    one = containers.start()
    with running(tmp_path, config, environment={"DOCKER_HOST": f"unix://{reading}"}) as gateway:
        assert gateway.get("/api").container == short_id(one)
        other = containers.start()  # told of by events
        one.remove(force=True)
        wait_until(
            lambda: {gateway.get("/api").container for _ in range(10)},
            lambda seen: seen == {short_id(other)},
            within_s=10,
        )
        assert gateway.get("/_rgate/backends").json()["docker"]["connected"]


def test_the_compose_file_is_one() -> None:
    environment = {**os.environ, "DOCKER_GID": "1"}
    told = subprocess.run(
        [ROOT / "scripts" / "compose", *COMPOSE_FILES, "config", "--quiet"],
        cwd=ROOT / "examples" / "compose",
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stderr
