"""A Docker of the test's own is one on a machine of its own, and nothing of it is left (dockerds.py)."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.integration.containers import IMAGE, port
from tests.integration.dockerds import Dockerd, running
from tests.integration.gateway import ROOT, wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.docker,
    pytest.mark.daemons,
    pytest.mark.slow,
    pytest.mark.any_engine,
]


def left_of(name: str) -> list[str]:
    """What this machine has of a Docker that has ended."""
    interfaces = json.loads(subprocess.run(["ip", "-json", "link"], capture_output=True, check=True).stdout)
    processes = [path for path in Path("/proc").glob("[0-9]*/cmdline") if name in _text(path)]
    groups = [path for path, _, _ in os.walk("/sys/fs/cgroup") if name in path]
    mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if name in line]
    return [
        *(one["ifname"] for one in interfaces if name in one.get("ifalias", "")),
        *map(str, processes),
        *groups,
        *mounts,
        *map(str, Path("/tmp").glob(f"{name}*")),
    ]


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # it has ended meanwhile
        return ""


def serve(dockerd: Dockerd) -> str:
    """Start a container there; return where it is."""
    with dockerd.client() as client:
        container = client.containers.run(IMAGE, detach=True, ports={"8000/tcp": None})
        return f"http://{dockerd.address}:{port(container)}/"


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_its_containers_are_there_though_it_is_dead_and_nothing_is_left_of_it() -> None:
    with running("--live-restore") as one, running() as other:
        assert one.name != other.name
        assert one.call("hostname").strip() == one.name
        url = serve(one)
        wait_until(lambda: answers(url), bool, within_s=15)
        one.kill()
        assert answers(url)
        one.start()
        assert answers(url)
        one.cut()
        assert not answers(url)
        one.mend()
        wait_until(lambda: answers(url), bool, within_s=15)
        assert left_of(one.name)
        names = [one.name, other.name]
    assert [left_of(name) for name in names] == [[], []]


def test_nothing_is_left_where_the_test_is_killed() -> None:
    program = (
        "from tests.integration.dockerds import running; from tests.integration.test_dockerds import serve\n"
        "with running() as one: serve(one); print(one.name, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as test:
        assert test.stdout is not None
        name = test.stdout.readline().strip()
        assert left_of(name)
        test.kill()
    wait_until(lambda: left_of(name), lambda left: not left, within_s=20)
