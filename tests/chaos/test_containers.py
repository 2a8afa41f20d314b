"""Containers come and go under a constant load whose client checks each answer: what is lost, and why.

`pytest -m chaos tests/chaos/test_containers.py -s` prints the table of docs/reliability.md. Where addresses
that stay are enough, nginx and HAProxy are put to the same, as far as they are installed (`make peers`).
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import docker
import pytest
from docker.models.containers import Container

from bench.gateways import PEERS, program
from bench.gateways import Site as Carried
from bench.machine import free_port
from bench.scenarios import started
from tests.chaos.steady import Seen, Steady
from tests.integration import gateway as gateway_process
from tests.integration.containers import IMAGE, Containers, ask, pause, port, short_id, wait_until_it_answers
from tests.integration.gateway import backend_config, running

pytestmark = [pytest.mark.chaos, pytest.mark.docker, pytest.mark.integration, pytest.mark.timeout(600)]

RATE = 100
WAYS = {"asyncio": (), "asyncio, 2 workers": ("--workers", "2"), "flask": ()}
OTHERS = ("nginx", "haproxy")
and_by_others = pytest.mark.parametrize("way", [*WAYS, *OTHERS], indirect=True)
RESPONSE_S = 3
CAN_NOT_BE_REPEATED = {"503 closed_early"}
"""Why a POST may be lost: its container got it, and went without an answer (behaviour 6.tries.idempotent)."""

BROKEN = "cut"
"""An answer that begins, and ends too early."""

# Listens on port 8000 of the container, and does there what its name says.
LATE = "import time, os; time.sleep(3); os.execvp('python3', ['python3', '/server.py', '--host', '0.0.0.0'])"
LISTENING = (
    "import socket, struct, threading, signal, os\n"
    "signal.signal(signal.SIGTERM, lambda *_: os._exit(0))\n"
    "listener = socket.create_server(('0.0.0.0', 8000), backlog=100)\n"
)
SILENT = LISTENING + "kept = []\nwhile True: kept.append(listener.accept())\n"
RESETTING = LISTENING + (
    "while True:\n"
    "    sock, _ = listener.accept()\n"
    "    sock.recv(65536)\n"
    "    sock.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 100\\r\\n\\r\\nhalf')\n"
    "    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))\n"
    "    sock.close()\n"
)


@dataclass
class Scene:
    """Three replicas, a gateway before them, and a client that asks all the time."""

    client: docker.DockerClient
    containers: Containers
    replicas: list[Container]
    steady: Steady
    odd_port: int = 0
    """Where an odd one is published; 0: at any port. Whoever knows addresses only has to know it before."""

    def settled(self) -> None:
        """Wait until what was done shows, if it ever does."""
        self.steady.wait_for(RATE)

    def odd(self, script: str) -> Container:
        """Start one that behaves as *script* has it, with the labels of the others."""
        labels = dict(label.split("=", 1) for label in (self.containers.app, self.containers.env))
        made = self.client.containers.run(
            IMAGE,
            ["python3", "-c", script],
            detach=True,
            labels=labels,
            ports={"8000/tcp": ("127.0.0.1", self.odd_port)},
            healthcheck={"test": ["NONE"]},
        )
        return self.containers.add(made)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param in WAYS:
        monkeypatch.setattr(gateway_process, "engine", request.param.partition(",")[0])
    elif program(request.param) is None:
        pytest.skip("it is not installed: make peers")
    return str(request.param)


@pytest.fixture
def told(way: str, request: pytest.FixtureRequest) -> Iterator[Callable[[Seen], None]]:
    """Print what was seen, for the table."""
    title = f"{request.node.originalname.removeprefix('test_').replace('_', ' ')} ({way})"
    rows: list[str] = []
    yield lambda seen: rows.append(seen.row(title))
    print("\n" + "\n".join(rows))


@contextlib.contextmanager
def scene(
    way: str, containers: Containers, client: docker.DockerClient, place: Path, *, health_check: bool = False
) -> Iterator[Scene]:
    replicas = [containers.start(health_check=health_check) for _ in range(3)]
    odd_port = 0 if way in WAYS else free_port()
    with before(way, containers, [*map(port, replicas), odd_port], place) as gateway_port:
        steady = Steady(gateway_port, RATE)
        with steady.asking():
            for one in replicas:
                steady.wait_until_answered_by(short_id(one))
            yield Scene(client, containers, replicas, steady, odd_port)


@contextlib.contextmanager
def before(way: str, containers: Containers, ports: Sequence[int], place: Path) -> Iterator[int]:
    """Run a gateway before *containers*, which are published at *ports*; yield where it listens."""
    if way in OTHERS:
        with started(PEERS[way], Carried(tuple(ports)), place) as other:
            yield other.port
        return
    config = backend_config(containers.app, containers.env, timeouts={"response": RESPONSE_S})
    with running(place, config, *WAYS[way]) as gateway:
        yield gateway.port


def nothing_is_lost(
    way: str, seen: Seen, *, posts_lost: Callable[[str], bool] = CAN_NOT_BE_REPEATED.__contains__
) -> None:
    """No GET is lost, and a POST only for one of these reasons. What others lose is told, and no failure."""
    if way in OTHERS:
        return
    assert not seen.lost_of("GET"), (seen.lost, seen.examples[:3])
    assert all(map(posts_lost, seen.reasons("POST"))), (seen.lost, seen.examples[:3])
    assert seen.asked["GET"] > RATE / 2


Told = Callable[[Seen], None]
Site = tuple[Containers, docker.DockerClient, Path]


@pytest.fixture
def site(containers: Containers, docker_client: docker.DockerClient, tmp_path: Path) -> Site:
    return containers, docker_client, tmp_path


def test_rolling_replacement(way: str, site: Site, told: Told) -> None:
    with scene(way, *site) as it:
        for old in it.replicas:
            new = it.containers.start()
            it.steady.wait_until_answered_by(short_id(new))
            old.stop(timeout=5)
            old.remove()
            it.settled()
    told(it.steady.seen)
    nothing_is_lost(way, it.steady.seen)


@and_by_others
def test_stop(way: str, site: Site, told: Told) -> None:
    with scene(way, *site) as it:
        it.replicas[0].stop(timeout=5)
        it.settled()
    told(it.steady.seen)
    nothing_is_lost(way, it.steady.seen)


@and_by_others
def test_kill(way: str, site: Site, told: Told) -> None:
    with scene(way, *site) as it:
        it.replicas[0].kill()
        it.settled()
    told(it.steady.seen)
    nothing_is_lost(way, it.steady.seen)


def test_restart_onto_another_port(way: str, site: Site, told: Told) -> None:
    with scene(way, *site) as it:
        it.replicas[0].restart(timeout=5)
        wait_until_it_answers(it.replicas[0])
        it.steady.wait_until_answered_by(short_id(it.replicas[0]))
    told(it.steady.seen)
    nothing_is_lost(way, it.steady.seen)


@and_by_others
def test_pause(way: str, site: Site, told: Told) -> None:
    with scene(way, *site) as it:
        pause(it.replicas[0])
        it.steady.wait_until_left(short_id(it.replicas[0]))
        it.replicas[0].unpause()
        it.steady.wait_until_answered_by(short_id(it.replicas[0]))
    told(it.steady.seen)
    nothing_is_lost(way, it.steady.seen)


def test_flapping_health(way: str, site: Site, told: Told) -> None:
    with scene(way, *site, health_check=True) as it:
        flapping = it.replicas[0]
        for _ in range(2):
            with pytest.raises(HTTPError, match="503"):
                ask(flapping, "POST", "/_demo/health?ok=0")
            it.steady.wait_until_left(short_id(flapping))
            ask(flapping, "POST", "/_demo/health?ok=1")
            it.steady.wait_until_answered_by(short_id(flapping))
    told(it.steady.seen)
    nothing_is_lost(way, it.steady.seen)


def test_network_disconnected_and_connected(way: str, site: Site, told: Told) -> None:
    with scene(way, *site) as it:
        network = it.client.networks.get("bridge")
        one: Any = it.replicas[0]
        network.disconnect(one)
        it.steady.wait_until_left(short_id(one))
        network.connect(one)
        it.steady.wait_until_answered_by(short_id(one))
    told(it.steady.seen)
    nothing_is_lost(way, it.steady.seen)


@and_by_others
def test_one_that_listens_seconds_after_its_start(way: str, site: Site, told: Told) -> None:
    with scene(way, *site) as it:
        late = it.odd(LATE)
        wait_until_it_answers(late)
        it.steady.wait_until_answered_by(short_id(late))
    told(it.steady.seen)
    nothing_is_lost(way, it.steady.seen)


def test_one_that_accepts_and_never_answers(way: str, site: Site, told: Told) -> None:
    with scene(way, *site) as it:
        silent = it.odd(SILENT)
        it.steady.wait_until_lost("504 timeout")
        silent.kill()
        it.settled()
    told(it.steady.seen)
    # A time-out is not tried again, of any method; what it was told of when it was killed may be.
    assert it.steady.seen.reasons("GET") <= {"504 timeout"}
    assert it.steady.seen.reasons("POST") <= {"504 timeout", *CAN_NOT_BE_REPEATED}


def test_one_that_resets_in_the_middle(way: str, site: Site, told: Told) -> None:
    with scene(way, *site) as it:
        resetting = it.odd(RESETTING)
        it.steady.wait_until_lost(BROKEN)
        resetting.kill()
        it.settled()
    told(it.steady.seen)
    # What has begun cannot be tried again: the client sees that it is broken.
    assert it.steady.seen.reasons("GET") <= {BROKEN}
    assert it.steady.seen.reasons("POST") <= {BROKEN, *CAN_NOT_BE_REPEATED}
