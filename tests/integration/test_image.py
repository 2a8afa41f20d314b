"""rgate's own image, as the examples run it: what it needs, what it may, and whom it lets in."""

import json
import os
import re
import shutil
import socket
import subprocess
import tarfile
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import docker
import pytest
import requests
import yaml
from docker.models.containers import Container

from tests.integration.gateway import ROOT

pytestmark = [
    pytest.mark.integration,
    pytest.mark.docker,
    pytest.mark.any_engine,
    pytest.mark.slow,
    pytest.mark.timeout(300),
]

SOCKET: Final = Path("/var/run/docker.sock")
HAPROXY: Final = f"rgate/haproxy:{uuid.uuid4().hex[:12]}"

SWITCHES: Final = """
import socket
listener, kept = socket.create_server(("", 8000)), []
while True:
    connection, _ = listener.accept()
    while b"\\r\\n\\r\\n" not in connection.recv(65536): pass
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n\\r\\nhello"
    )
    kept.append(connection)
"""
"""A backend that switches protocols, and then keeps the connection."""


class Shop:
    """The compose project of some files in *directory*, as somebody there would start it."""

    def __init__(self, directory: Path, files: Sequence[str]) -> None:
        self.name = f"rgate-{uuid.uuid4().hex[:12]}"
        self.directory = directory
        self.files = [word for file in files for word in ("--file", file)]
        self.client = docker.from_env()

    def compose(self, *arguments: str) -> str:
        """Return what it prints.

        Docker may give a new network the addresses of one that it is just removing (seen with 20.10), and
        fails then; such a command is given again.
        """
        for _ in range(3):
            done = self._composed(*arguments)
            if "overlapping IPv4" not in done.stderr:
                break
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _composed(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [ROOT / "scripts" / "compose", "-p", self.name, *self.files, *arguments],
            cwd=self.directory,
            env={
                **os.environ,
                "DOCKER_GID": str(SOCKET.stat().st_gid),
                "PORT": "0",
                "HAPROXY_IMAGE": HAPROXY,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def container(self, service: str) -> Container:
        container = self.client.containers.get(f"{self.name}-{service}-1")
        assert isinstance(container, Container)
        return container

    @property
    def port(self) -> int:
        """Where rgate's port is published on this machine, on loopback."""
        published = self.container("rgate").ports["8080/tcp"]
        assert published
        return int(published[0]["HostPort"])

    def get(self, target: str) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            return session.get(f"http://127.0.0.1:{self.port}{target}", timeout=10)

    def ask_from(self, target: str, address: str) -> int:
        """Return the status that a container at an address of the network gets from rgate."""
        script = (
            "import http.client as h; c = h.HTTPConnection('rgate', 8080, timeout=5);"
            f"c.request('GET', {target!r}); print(c.getresponse().status)"
        )
        network = self.client.networks.get(f"{self.name}_shop")
        asking = self.client.containers.create("rgate/demo:local", ["python3", "-c", script])
        try:
            self.client.networks.get("bridge").disconnect(asking)
            network.connect(asking, ipv4_address=address)
            asking.start()
            asking.wait(timeout=30)
            return int(asking.logs())
        finally:
            asking.remove(force=True)


@pytest.fixture(scope="module")
def image() -> None:
    subprocess.run([ROOT / "scripts" / "build-image"], check=True, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def haproxy() -> Iterator[None]:
    """An image with this machine's HAProxy, as that of the example may not be had here."""
    program = shutil.which("haproxy")
    if program is None:
        pytest.skip("HAProxy is not installed: make peers")
    linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    files = {program, *re.findall(r"(/\S+) \(0x", linked)}
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w", dereference=True) as archive:
            for path in files:
                archive.add(path)
        file.seek(0)
        subprocess.run(["docker", "import", "-", HAPROXY], stdin=file, check=True, stdout=subprocess.DEVNULL)
    yield
    subprocess.run(["docker", "image", "rm", HAPROXY], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module", params=["socket", "socket-proxy"])
def shop(
    image: None,  # noqa: ARG001
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shop]:
    files = ["compose.yml"]
    if request.param == "socket-proxy":
        request.getfixturevalue("haproxy")
        files.append("../socket-proxy/compose.yml")
    examples = tmp_path_factory.mktemp("compose") / "examples"
    for name in ("compose", "socket-proxy"):
        shutil.copytree(ROOT / "examples" / name, examples / name)
    with_switching(examples / "compose")
    shop = Shop(examples / "compose", files)
    try:
        shop.compose("up", "--detach", "--wait")
        yield shop
    finally:
        shop.compose("down", "--volumes", "--timeout", "3")
        shop.client.close()


def with_switching(directory: Path) -> None:
    """Add a service that switches protocols, and a route to it."""
    compose: dict[str, Any] = yaml.safe_load((directory / "compose.yml").read_text())
    compose["services"]["switch"] = {
        "image": "rgate/demo:local",
        "command": ["python3", "-c", SWITCHES],
        "labels": {"app_name": "switch", "env": "example"},
        "networks": ["shop"],
        "healthcheck": {"test": ["CMD", "python3", "-c", ""]},
        "expose": ["8000"],
    }
    (directory / "compose.yml").write_text(yaml.safe_dump(compose))
    config = yaml.safe_load((directory / "config.yml").read_text())
    config["routes"].append({"path_prefix": "/switch", "backend": "switch"})
    config["backends"].append({"name": "switch", "match_labels": ["app_name=switch", "env=example"]})
    (directory / "config.yml").write_text(yaml.safe_dump(config))


def test_it_comes_out_the_same_from_the_same_files(image: None) -> None:  # noqa: ARG001
    before = docker_says("image", "inspect", "--format", "{{.Id}}", "rgate:local")
    subprocess.run([ROOT / "scripts" / "build-image"], check=True, stdin=subprocess.DEVNULL)
    assert docker_says("image", "inspect", "--format", "{{.Id}}", "rgate:local") == before


def docker_says(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout


def test_services_are_found_at_their_own_addresses(shop: Shop) -> None:
    assert shop.get("/api/orders/7").json()["service"] == "orders"
    assert shop.get("/api/payment/7").json()["service"] == "payment"
    told = shop.get("/_rgate/explain?target=/api/orders/7").json()
    assert [one["name"] for one in told["candidates"]] == [f"{shop.name}-orders-1"]
    assert told["candidates"][0]["address"].startswith("172.30.7.")


def test_behind_the_proxy_it_has_no_socket_of_dockers_own(shop: Shop) -> None:
    mounted = {one["Destination"] for one in shop.container("rgate").attrs["Mounts"]}
    behind_proxy = "--file" in shop.files[2:]
    assert ("/var/run/docker.sock" in mounted) is not behind_proxy
    assert bool(shop.container("rgate").attrs["HostConfig"]["GroupAdd"]) is not behind_proxy
    assert shop.get("/_rgate/backends").json()["docker"]["events"] == "live"


def test_it_is_small_names_itself_and_has_no_rights(shop: Shop) -> None:
    image, base = (shop.client.images.get(name) for name in ("rgate:local", "rgate/demo:local"))
    assert image.attrs["Size"] - base.attrs["Size"] < 90_000_000
    assert image.labels["org.opencontainers.image.title"] == "rgate"
    told = docker_says("run", "--rm", "--network", "none", "rgate:local", "--version")
    assert told == f"rgate {image.labels['org.opencontainers.image.version']}\n"
    assert "XDG_STATE_HOME=/data" in image.attrs["Config"]["Env"]  # else a server's live files had no place
    container = shop.container("rgate")
    assert container.attrs["Config"]["User"] == "65532:65532"
    assert container.attrs["HostConfig"]["ReadonlyRootfs"]
    assert container.attrs["HostConfig"]["CapDrop"] == ["ALL"]
    status = container.exec_run(["python3", "-c", "print(open('/proc/1/status').read())"]).output
    assert b"CapEff:\t0000000000000000" in status
    assert container.attrs["State"]["Health"]["Status"] == "healthy"


def test_its_owner_and_a_prometheus_beside_it_get_in_and_others_do_not(shop: Shop) -> None:
    assert shop.get("/_rgate/backends").status_code == 200
    assert shop.ask_from("/_rgate/metrics", "172.30.7.9") == 200
    assert shop.ask_from("/_rgate/metrics", "172.30.7.10") == 403
    assert shop.ask_from("/_rgate/healthz", "172.30.7.10") == 200
    assert shop.ask_from("/api/orders/1", "172.30.7.10") == 200


def test_it_ends_in_time_with_a_websocket_open_and_knows_its_figures_again(shop: Shop) -> None:
    before = shop.get("/stats").json()["requests_count"]["success"]
    with socket.create_connection(("127.0.0.1", shop.port), timeout=10) as client:
        client.sendall(
            b"GET /switch HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        received = b""
        while not received.endswith(b"hello"):
            received += client.recv(65536)
        assert received.startswith(b"HTTP/1.1 101 ")
        container = shop.container("rgate")
        container.stop(timeout=10)
    container.reload()
    # What Docker has to kill, as it has not ended after 10 s, ends with 137.
    assert container.attrs["State"]["ExitCode"] == 0
    shop.compose("up", "--detach", "--wait")
    after = shop.get("/stats").json()["requests_count"]
    assert after["success"] + after["error"] > before
    assert json.loads(shop.get("/_rgate/readyz").text)["status"] == "ready"
