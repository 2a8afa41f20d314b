"""Which container rgate runs in, if in any."""

import contextlib
import re
import socket
from pathlib import Path
from typing import Final

# A container's runtime mounts files of its own there, out of a directory that has its id for a name: Docker's
# `…/containers/<id>/hostname`, Podman's `…/overlay-containers/<id>/userdata/hostname`. Who shares the network
# of another has that one's, and it is that one's networks that count. Fields: proc_pid_mountinfo(5).
_MOUNTED: Final = re.compile(
    r"^\d+ \d+ \S+ \S*/([0-9a-f]{64})/(?:userdata/)?(?:hostname|hosts|resolv\.conf)"
    r" /(?:etc/hostname|etc/hosts|etc/resolv\.conf) ",
    re.MULTILINE,
)
# Control groups of version 1, or that are seen from outside: `…/docker/<id>`, `…/docker-<id>.scope`.
_GROUPED: Final = re.compile(r"^\d+:\S*:\S*[/-]([0-9a-f]{64})(?:\.scope)?(?:/\S*)?$", re.MULTILINE)
_MARKS: Final = ("/.dockerenv", "/run/.containerenv")


def own_container_id(root: Path = Path("/")) -> str:
    """Return the id of the container that rgate runs in, or its beginning; "" for none.

    Its host name comes last, which is the id's beginning unless it was given one.
    """
    for file, pattern in (("proc/self/mountinfo", _MOUNTED), ("proc/self/cgroup", _GROUPED)):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if found := pattern.search((root / file).read_text()):
                return found[1]
    inside = any((root / mark.lstrip("/")).exists() for mark in _MARKS)
    return socket.gethostname() if inside else ""
