"""A Docker daemon that can be lost: a socket in front of the real one, which is never touched.

    python daemon.py SOCKET REAL_SOCKET    serve it, until killed

A process of its own, so that a signal can end or freeze it. The socket's path stays when it is killed, as
a daemon's does.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit


def real_socket() -> str | None:
    """Return the path of the daemon's socket; None where it is reached otherwise."""
    parts = urlsplit(os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
    return parts.path if parts.scheme == "unix" else None


class Daemon:
    """Started, killed, frozen and thawed at will. *directory*: a short path, as a socket's has 107 bytes."""

    def __init__(self, directory: Path, real: str) -> None:
        self._socket = directory / "docker.sock"
        self._real = real
        self._process: subprocess.Popen[str] | None = None

    @property
    def environment(self) -> Mapping[str, str]:
        """What makes a program use it."""
        return {"DOCKER_HOST": f"unix://{self._socket}"}

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(self._socket), self._real], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "listening\n"

    def freeze(self) -> None:
        """From now on it accepts, as the kernel does that for it, and never answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it, where it runs, and every connection with it."""
        if self._process is not None:
            with self._process as process:
                process.kill()
        self._process = None


async def _serve(path: str, real: str) -> None:
    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        daemon_reader, daemon_writer = await asyncio.open_unix_connection(real)
        await asyncio.gather(_copy(reader, daemon_writer), _copy(daemon_reader, writer))

    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    server = await asyncio.start_unix_server(join, path)
    print("listening", flush=True)
    await server.serve_forever()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:]))
