"""The container that rgate runs in is found whatever its host name is."""

import socket
from pathlib import Path

import pytest

from rgate.discovery.own_container import own_container_id

ID = "56b31168613f2d62e6bb44ffeef1cfb9fde481438f5000d45db2971946363f13"
OTHER = "0f" * 32
# Docker 20.10, by `cat /proc/self/mountinfo` in a container; those with "overlay" are of its layers.
DOCKER = f"""\
95 70 0:50 / / rw,relatime - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/A,upperdir=/x/{OTHER}/diff
112 95 254:0 /var/lib/docker/containers/{ID}/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/vda rw
113 95 254:0 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw,relatime - ext4 /dev/vda rw
"""
# Podman's, written from its documentation of where a container's files are.
PODMAN = f"""\
600 500 0:24 /containers/storage/overlay-containers/{ID}/userdata/hosts /etc/hosts rw - tmpfs tmpfs rw
"""
# A container's log, mounted into one that reads logs.
READER = f"200 95 254:0 /var/lib/docker/containers/{OTHER}/hostname /logs/hostname ro - ext4 /dev/vda rw\n"


def root(path: Path, *, mountinfo: str = "", cgroup: str = "", mark: str = "") -> Path:
    (path / "proc/self").mkdir(parents=True)
    (path / "proc/self/mountinfo").write_text(mountinfo)
    (path / "proc/self/cgroup").write_text(cgroup)
    if mark:
        (path / mark).parent.mkdir(exist_ok=True)
        (path / mark).touch()
    return path


@pytest.mark.clause("4.address.own_id")
@pytest.mark.parametrize(
    ("mountinfo", "cgroup"),
    [
        (DOCKER, "0::/\n"),
        (PODMAN, "0::/\n"),
        (READER + DOCKER, ""),
        ("", f"9:name=systemd:/docker/{ID}\n0::/docker/{ID}\n"),
        ("", f"0::/system.slice/docker-{ID}.scope\n"),
        ("", f"0::/machine.slice/libpod-{ID}.scope/container\n"),
    ],
)
def test_it_is_told_by_what_is_mounted_or_by_its_control_group(
    tmp_path: Path, mountinfo: str, cgroup: str
) -> None:
    assert own_container_id(root(tmp_path, mountinfo=mountinfo, cgroup=cgroup, mark=".dockerenv")) == ID


@pytest.mark.parametrize("mark", [".dockerenv", "run/.containerenv"])
def test_else_by_its_host_name(tmp_path: Path, mark: str) -> None:
    assert own_container_id(root(tmp_path, cgroup="0::/\n", mark=mark)) == socket.gethostname()


def test_on_the_host_there_is_none(tmp_path: Path) -> None:
    found = root(tmp_path, mountinfo=READER, cgroup="0::/user.slice/user-1000.slice\n")
    assert own_container_id(found) == ""
    assert own_container_id(tmp_path / "nothing") == ""
