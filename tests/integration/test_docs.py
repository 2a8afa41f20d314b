"""Each command in the pages for those who run rgate works as it stands there."""

import contextlib
import gzip
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

import pytest
import yaml

from bench.machine import free_port
from tests.integration.backend import Backend
from tests.integration.gateway import ROOT, Gateway, running, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.any_engine]

PAGES: Final = ("operating.md", "troubleshooting.md")


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def gateway(tmp_path: Path, backend: Backend) -> Iterator[Gateway]:
    """The gateway of the pages: payment answers, and orders has no container."""
    config = yaml.safe_load((ROOT / "config.yml").read_text())
    config["backends"][0] = {"name": "payment", "urls": [f"http://127.0.0.1:{backend.port}"]}
    (tmp_path / "rgate.py").symlink_to(ROOT / "rgate.py")
    with running(tmp_path, config, "--access-log", "access.log") as gateway:
        assert gateway.get("/api/payment/7").status == 200
        assert gateway.get("/api/orders/7").status == 503
        yield gateway


@pytest.mark.slow
@pytest.mark.docker
@pytest.mark.parametrize("page", PAGES)
def test_each_command_of_a_page_says_something_and_knows_what_to_do(
    gateway: Gateway, tmp_path: Path, page: str
) -> None:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "rgate": str(gateway.process.pid),
    }
    commands = [line for block in blocks(page, "sh") for line in block.splitlines()]
    assert len(commands) > 8
    for command in commands:
        here = command.replace("8080", str(gateway.port))
        # The port that `why` asks where none is named.
        here = here.replace("rgate.py why", f"rgate.py why --gateway http://127.0.0.1:{gateway.port}")
        done = subprocess.run(
            ["bash", "-c", here],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
        )
        # 1 is `no`: orders has no container.
        assert done.returncode in ((0, 1) if "explain" in command else (0,)), (command, done.stderr)
        assert "Traceback" not in done.stderr
    assert gateway.process.poll() is None


def test_each_file_on_disk_has_a_row(tmp_path: Path, backend: Backend) -> None:
    section = (
        (ROOT / "docs" / "operating.md")
        .read_text()
        .partition("\n## Files on disk\n")[2]
        .partition("\n## ")[0]
    )
    cells = re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}
    patterns = {name.replace("UID", str(os.geteuid())).replace("…", "*") for name in named}
    before = {"config.yml", "access.log", "stderr.txt"}
    with tempfile.TemporaryDirectory(prefix="rgate-") as temporary:
        environment = {"TMPDIR": temporary, "XDG_STATE_HOME": str(tmp_path), "DOCKER_HOST": "unix:///nowhere"}
        options = ("--workers", "2", "--access-log", "access.log")
        with running(tmp_path, backend.config(), *options, environment=environment) as gateway:
            assert gateway.get("/api").status == 200
            made = {path.name for place in (tmp_path, Path(temporary)) for path in place.iterdir()} - before
            assert [name for name in made if not any(fnmatch(name, one) for one in patterns)] == []
            # Three of SQLite's, a live file for each worker, and two places to meet.
            assert len(made) == 7


SELF_SIGNED: Final = (
    *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
    *("-nodes", "-subj", "/CN=localhost"),
)

NGINX: Final = """
daemon off;
user root; # its workers write to the test's directory
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}; proxy_temp_path {directory};
    fastcgi_temp_path {directory}; uwsgi_temp_path {directory}; scgi_temp_path {directory};
    {servers}
}}
"""


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Callable[[int], int]]:
    """Start nginx as the page says before the rgate at a port; gives where it listens, with TLS."""
    if shutil.which("nginx") is None or shutil.which("openssl") is None:
        pytest.skip("nginx or openssl is not installed (make peers)")
    [servers] = blocks("operating.md", "nginx")
    port = free_port()
    with contextlib.ExitStack() as opened:

        def start(behind: int) -> int:
            key, certificate = tmp_path / "gateway.key", tmp_path / "gateway.crt"
            subprocess.run(
                [*SELF_SIGNED, "-keyout", key, "-out", certificate],
                check=True,
                capture_output=True,
            )
            file = tmp_path / "nginx.conf"
            here = servers.replace("8080", str(behind)).replace("8443", str(port))
            here = here.replace("/etc/ssl/private/gateway.key", str(key))
            here = here.replace("/etc/ssl/certs/gateway.crt", str(certificate))
            file.write_text(NGINX.format(directory=tmp_path, servers=here))
            process = opened.enter_context(subprocess.Popen(["nginx", "-c", file, "-p", tmp_path]))
            opened.callback(process.terminate)
            wait_until(lambda: answers(port), bool, within_s=10)
            return port

        yield start


def test_behind_nginx_as_the_page_says_clients_are_known_and_all_goes_through(
    nginx: Callable[[int], int], backend: Backend, tmp_path: Path
) -> None:
    [trusted] = blocks("operating.md", "yaml")
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    with running(tmp_path, {**backend.config(), **yaml.safe_load(trusted)}) as gateway:
        port = nginx(gateway.port)
        with contextlib.closing(
            http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=tls)
        ) as client:

            def ask(target: str, body: bytes | None = None) -> tuple[http.client.HTTPResponse, bytes]:
                fields = {"Accept-Encoding": "gzip", "Host": "shop.example"}
                client.request("GET" if body is None else "POST", target, body, fields)
                response = client.getresponse()
                return response, response.read()

            assert ask("/_rgate/backends")[0].headers["X-Rgate-Reason"] == "forbidden"
            response, content = ask("/stats")
            assert response.headers["Content-Encoding"] == "gzip"
            assert "requests_count" in json.loads(gzip.decompress(content))
            client.putrequest("GET", "/api/fields", skip_host=True)
            client.putheader("Host", "shop.example")
            for name in ("For", "Host", "Port", "Prefix", "Proto"):
                client.putheader(f"X-Forwarded-{name}", "false")
            for name in ("Forwarded", "X-Real-IP"):
                client.putheader(name, "for=false")
            client.endheaders()
            told = json.loads(client.getresponse().read())
            assert "false" not in str(told)
            assert told["Host"] == told["X-Forwarded-Host"] == "shop.example"
            assert told["X-Forwarded-Proto"] == "https"
            assert told["X-Forwarded-For"] == "127.0.0.1, 127.0.0.2"
            assert told["X-Real-IP"] == "127.0.0.1"
            # nginx by itself takes no more than 1 MiB.
            assert ask("/elsewhere", bytes(2 << 20))[0].status == 404
        with tls.wrap_socket(socket.create_connection(("127.0.0.1", port), 10)) as wire:
            wire.sendall(
                b"GET /api/tunnel HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
            )
            received = b""
            while not received.endswith(b"first"):
                received += wire.recv(65536)
            assert received.startswith(b"HTTP/1.1 101 ")
            backend.let_go.set()


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False
