"""Dockers of the test's own, each as if it were on a machine of its own.

    with running() as far:                     one that has the demo image
        far.environment, far.client, far.address

Each lives in namespaces of its own: network, mounts, processes and host name. So neither its bridges and
firewall rules nor its mounts and data are this machine's, and all of it goes with one process, whose end is
the end of a pipe: however the test ends, nothing is left. A pair of virtual interfaces joins it to this
machine. `address` is where its containers' ports are; its loopback is another, as that of a far machine.
"""

import contextlib
import ipaddress
import json
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import docker

from tests.integration.containers import IMAGE

_STARTS_WITHIN_S: Final = 60
_NEEDED: Final = ("dockerd", "containerd", "podman", "ip", "unshare", "nsenter", "mount", "iptables")
_POOL: Final = ipaddress.IPv4Network("198.18.0.0/15")  # for tests of networks, by RFC 2544
_NAMESPACES: Final = ("unshare", "--net", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc")
_IN_BACKGROUND: Final = '"$0" "$@" & echo $! >/run/pid'
"""So its parent is the first process, which reaps it, and no `nsenter`, which would be stopped with it."""
_FIRST_PROCESS: Final = """
echo "$0" >/proc/sys/kernel/hostname
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /var/lib
echo "{}" >/run/daemon.json
cat >/run/containers.conf <<END
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
events_logger = "file"
[network]
network_config_dir = "/run/networks"
END
ip link set lo up
echo up
cat >/dev/null
kill -s KILL -- -1
until find /sys/fs/cgroup -depth -type d -path "*/$0*" -exec rmdir {} + 2>/dev/null; do sleep 0.02; done
rm -r "$1"
"""
"""Makes the namespaces a machine; with standard input it ends, and takes away all that is outside of them."""


def why_none_can_be_started() -> str | None:
    """Return why this machine can have no Docker of the test's own; None where it can."""
    if os.geteuid() != 0:
        return "a Docker of the test's own needs root"
    missing = [program for program in _NEEDED if shutil.which(program) is None]
    return f"{', '.join(missing)} not found: scripts/setup-daemons" if missing else None


class Far:
    """A daemon on a machine of its own, which can be killed, frozen, cut off and started again.

    *options*: more of the daemon's; they may be changed until it starts.
    """

    def __init__(self, *options: str) -> None:
        # Short, as the path of a socket has 107 bytes.
        self._directory = Path(tempfile.mkdtemp(prefix="rgate-", dir="/tmp"))
        self.name = self._directory.name.lower().replace("_", "-")
        self._socket = self._directory / "docker.sock"
        self.host = f"unix://{self._socket}"
        self.options = options
        self._machine = subprocess.Popen(
            [*_NAMESPACES, "sh", "-ec", _FIRST_PROCESS, self.name, self._directory],
            start_new_session=True,  # an interrupt is for the test, which ends this
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert self._machine.stdout is not None
            assert self._machine.stdout.readline() == "up\n"
            self._first = int(_children(self._machine.pid).split()[0])
            self._interface = f"rg{self._first}"
            self.address = self._join()
        except BaseException:
            self.close()
            raise

    def _command(self) -> tuple[str, ...]:
        raise NotImplementedError

    @property
    def environment(self) -> Mapping[str, str]:
        """What makes a program use it."""
        return {"DOCKER_HOST": self.host}

    @property
    def log(self) -> str:
        return (self._directory / "log").read_text(errors="replace")

    def _join(self) -> str:
        """Join its machine to this one; return its address there."""
        here, there = _free_network().hosts()
        _call("ip", "link", "add", self._interface, "type", "veth", "peer", "eth0", "netns", str(self._first))
        _call("ip", "link", "set", self._interface, "alias", self.name)
        _call("ip", "address", "add", f"{here}/30", "dev", self._interface)
        _call("ip", "link", "set", self._interface, "up")
        self.call("ip", "address", "add", f"{there}/30", "dev", "eth0")
        self.call("ip", "link", "set", "eth0", "up")
        return str(there)

    def _inside(self, *command: str) -> list[str]:
        return ["nsenter", "--target", str(self._first), "--mount", "--net", "--uts", "--pid", *command]

    def call(self, *command: str) -> str:
        """Run a program on its machine; return what it says."""
        return _call(*self._inside(*command))

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self._directory / "log").open("ab") as log:
            subprocess.run(
                self._inside("sh", "-c", _IN_BACKGROUND, *self._command(), *self.options),
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline_s = time.monotonic() + _STARTS_WITHIN_S
        while not _answers(self._socket):
            assert time.monotonic() < deadline_s, self.log[-4000:]
            assert self._is_there(), self.log[-4000:]
            time.sleep(0.05)

    def _is_there(self) -> bool:
        asked = self._inside("sh", "-c", "kill -s 0 $(cat /run/pid)")
        return subprocess.run(asked, check=False, capture_output=True).returncode == 0

    @contextmanager
    def client(self) -> Iterator[docker.DockerClient]:
        """Return a client for it."""
        with contextlib.closing(docker.DockerClient(self.host, "auto", timeout=30)) as client:
            yield client

    def load(self, image: str = IMAGE) -> None:
        """Give it an *image* that the Docker of this machine has."""
        with contextlib.closing(docker.from_env()) as here, self.client() as there:
            there.images.load(b"".join(here.images.get(image).save(named=True)))

    def _signal(self, name: str) -> None:
        self.call("sh", "-c", f"kill -s {name} $(cat /run/pid)")

    def freeze(self) -> None:
        """From now on it accepts, as the kernel does that for it, and never answers."""
        self._signal("STOP")

    def thaw(self) -> None:
        self._signal("CONT")

    def kill(self) -> None:
        """End it at once. Its containers go on, and it can be started again."""
        self._signal("KILL")
        while self._is_there():
            time.sleep(0.01)

    def cut(self) -> None:
        """Cut its machine off: what is sent to its address is lost. Its socket, a file, is still there."""
        _call("ip", "link", "set", self._interface, "down")

    def mend(self) -> None:
        _call("ip", "link", "set", self._interface, "up")

    def close(self) -> None:
        """End it, its machine, and all that was on it."""
        with self._machine as machine:
            if hasattr(self, "address"):
                _call("ip", "link", "delete", self._interface)  # else the kernel does so, but later
            assert machine.stdin is not None
            machine.stdin.close()
            machine.wait(20)


_PODMAN: Final = (
    "env",
    "CONTAINERS_CONF=/run/containers.conf",
    "podman",
    "--root=/var/lib/containers",  # these are not those of this machine
    "--runroot=/run/containers",
    "--cgroup-manager=cgroupfs",
)


class Dockerd(Far):
    """A Docker. While it is dead its containers go on; when it is started again only by `--live-restore`."""

    def _command(self) -> tuple[str, ...]:
        return (
            "dockerd",
            "--config-file=/run/daemon.json",
            "--data-root=/var/lib/docker",  # these are not those of this machine
            "--exec-root=/run/docker",
            "--pidfile=/run/docker.pid",
            f"--host={self.host}",
            f"--cgroup-parent=/{self.name}",
            "--exec-opt=native.cgroupdriver=cgroupfs",
            "--shutdown-timeout=1",
        )


class Podman(Far):
    """A Podman, which serves Docker's API."""

    def _command(self) -> tuple[str, ...]:
        return (*_PODMAN, "system", "service", "--time=0", self.host)

    def check_health(self, container_id: str) -> None:
        """Do what systemd's timers do for a Podman on a machine that has systemd."""
        subprocess.run(
            self._inside(*_PODMAN, "healthcheck", "run", container_id), check=False, capture_output=True
        )


@contextmanager
def running(*options: str) -> Iterator[Dockerd]:
    """Start a Docker that has the demo image; *options*: more of dockerd's."""
    with contextlib.closing(Dockerd(*options)) as dockerd:
        dockerd.start()
        dockerd.load()
        yield dockerd


@contextmanager
def running_podman() -> Iterator[Podman]:
    """Start a Podman that has the demo image."""
    with contextlib.closing(Podman()) as podman:
        podman.start()
        podman.load()
        yield podman


def _free_network() -> ipaddress.IPv4Network:
    """Return a network of two hosts that this machine has no route to."""
    told = json.loads(_call("ip", "-json", "route"))
    taken = [ipaddress.IPv4Network(route["dst"]) for route in told if route["dst"] != "default"]
    while True:
        found = ipaddress.IPv4Network((int(_POOL[0]) + 4 * random.randrange(_POOL.num_addresses // 4), 30))
        if not any(found.overlaps(other) for other in taken):
            return found


def _answers(path: Path) -> bool:
    """Whether a Docker answers there. The SDK would leave sockets of tries that failed to the collector."""
    with socket.socket(socket.AF_UNIX) as wire, contextlib.suppress(OSError):
        wire.connect(str(path))
        wire.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
        return b" 200 OK" in wire.recv(65536)
    return False


def _children(pid: int) -> str:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text()


def _call(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout
