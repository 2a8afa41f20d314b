"""Each command in the pages for those who run rgate works as it stands there."""

import contextlib
import gzip
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

import pytest
import yaml

from bench.machine import free_port
from tests.integration.backend import Backend
from tests.integration.gateway import ROOT, Gateway, get, running, wait_until

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
            assert (
                len(made) == 8
            )  # three of SQLite's, a live file for each worker and the command, two to meet


NGINX: Final = """
daemon off;
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


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed (make peers)")
def test_behind_nginx_as_the_page_says_clients_are_known_answers_compressed_and_pages_closed(
    gateway: Gateway, tmp_path: Path
) -> None:
    config = yaml.safe_load((tmp_path / "config.yml").read_text())
    [trusted] = blocks("operating.md", "yaml")
    (tmp_path / "config.yml").write_text(yaml.safe_dump({**config, **yaml.safe_load(trusted)}))
    gateway.send_signal(signal.SIGHUP)
    wait_until(lambda: gateway.get("/_rgate/config").body, lambda told: b"127.0.0.2/32" in told, within_s=10)
    [servers] = blocks("operating.md", "nginx")
    port = free_port()
    file = tmp_path / "nginx.conf"
    file.write_text(
        NGINX.format(
            directory=tmp_path,
            servers=servers.replace("8080", str(gateway.port)).replace("8443", str(port)),
        )
    )
    with subprocess.Popen(["nginx", "-c", file, "-p", tmp_path], stderr=subprocess.PIPE) as nginx:
        try:
            wait_until(lambda: answers(port), bool, within_s=10)
            assert get(port, "/_rgate/backends").reason == "forbidden"
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as client:
                client.request("GET", "/stats", headers={"Accept-Encoding": "gzip"})
                response = client.getresponse()
                assert response.headers["Content-Encoding"] == "gzip"
                assert "requests_count" in json.loads(gzip.decompress(response.read()))
        finally:
            nginx.terminate()


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False
