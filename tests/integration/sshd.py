"""An SSH server of the test's own, on a port of 127.0.0.1, in front of Docker's socket.

It is one process, with all that it starts, and knows one key: that of `home`. As root it wants /run/sshd,
which is there for it alone.
"""

import contextlib
import getpass
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.machine import free_port

_NEEDED: Final = ("sshd", "ssh-keygen", "unshare", "mount")
_NAMESPACES: Final = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
_CONFIG: Final = """
ListenAddress 127.0.0.1:{port}
HostKey {directory}/host_key
AuthorizedKeysFile {directory}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitUserRC no
MaxStartups 100
MaxSessions 100
SetEnv DOCKER_HOST=unix://{directory}/docker.sock
"""
_START: Final = """
mount --bind "$1" "$0/docker.sock"
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/sshd
"$(command -v sshd)" -D -e -f "$0/sshd_config" &
cat >/dev/null
umount "$0/docker.sock"
rm -r "$0"
"""
"""The first of its processes: all end with it, and it with standard input, however the test ends."""


@dataclass(frozen=True)
class Sshd:
    """*home*: a home directory whose `.ssh` has a key that is let in, and knows the host."""

    port: int
    home: Path

    @property
    def host(self) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}"


def why_none_can_be_started() -> str | None:
    """Return why this machine can have no SSH server of the test's own; None where it can."""
    missing = [program for program in _NEEDED if shutil.which(program) is None]
    return f"{', '.join(missing)} not found: scripts/setup-daemons" if missing else None


@contextmanager
def running(real: str) -> Iterator[Sshd]:
    """Start one in front of the Docker whose socket is *real*."""
    directory = Path(tempfile.mkdtemp(prefix="rgate-"))
    home = _make_home(directory)
    port = free_port()
    known = (directory / "host_key.pub").read_text()
    (home / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{port} {known}")
    (directory / "sshd_config").write_text(_CONFIG.format(port=port, directory=directory))
    (directory / "docker.sock").touch()
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen(
            [*_NAMESPACES, "sh", "-ec", _START, directory, real],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    with server:  # whose standard input ends behind it
        _wait_until_it_listens(port, server, directory / "log")
        yield Sshd(port, home)


def _make_home(directory: Path) -> Path:
    """Make keys, of the host and of a user that is let in."""
    home = directory / "home"
    (home / ".ssh").mkdir(parents=True)
    for key in (directory / "host_key", home / ".ssh/id_ed25519"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    shutil.copy(home / ".ssh/id_ed25519.pub", directory / "authorized_keys")
    return home


def _wait_until_it_listens(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline_s = time.monotonic() + 20
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as wire:
            if wire.recv(4) == b"SSH-":
                return
        assert time.monotonic() < deadline_s, log.read_text()
        assert server.poll() is None, log.read_text()
        time.sleep(0.02)
