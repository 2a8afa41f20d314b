"""The proxy of examples/socket-proxy, before a Docker's socket."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.integration.gateway import ROOT, wait_until

EXAMPLE: Final = ROOT / "examples" / "socket-proxy"


@contextmanager
def running(real: str) -> Iterator[Path]:
    """Start it before the Docker whose socket is *real*; its own socket."""
    with tempfile.TemporaryDirectory(prefix="rgate-") as directory:
        path = Path(directory) / "docker.sock"
        environment = {**os.environ, "DOCKER_SOCKET": real, "READING_SOCKET": str(path)}
        with subprocess.Popen(["haproxy", "-db", "-f", EXAMPLE / "haproxy.cfg"], env=environment) as proxy:
            try:
                wait_until(path.exists, bool, within_s=10)
                yield path
            finally:
                proxy.kill()
