"""How many connections there is room for, with few descriptors (behaviour 2.limits)."""

import contextlib
import os
import resource
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from tests.contract.http.clauses import clause
from tests.contract.http.gateways import Gateway, Rgate, wait_until
from tests.contract.http.script import OK, get, serving
from tests.contract.http.site import KINDS, Site
from tests.contract.http.test_draining import LONG
from tests.contract.http.wire import DEADLINE_S
from tests.refusing import refuses

CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
ROOM = "how many connections there is room for is a gateway's own choice"
SOON_S = 1.0
ROOM_FOR = {128: 32, 256: 96, 1024: 480, 4096: 2016}  # clients' connections, by descriptors


class Narrow(Rgate):
    """rgate with few descriptors: *soft* and *hard* are its limits at the start."""

    soft = hard = 256

    def _run(self, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        limited = f'ulimit -Sn {self.soft} && ulimit -Hn {self.hard} && exec "$@"'
        return super()._run("sh", "-c", limited, "sh", *command, **environment)

    @property
    def pid(self) -> int:
        """The process that serves."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return int(children[0]) if children else self._process.pid

    def told(self, words: str) -> list[str]:
        """Return the lines of its log that hold *words*."""
        return [line for line in (self.directory / "err").read_text().splitlines() if words in line]


class LaunchNarrow(Protocol):
    """Starts a gateway like the one under test, with *options* and so few descriptors."""

    def __call__(self, *options: str, soft: int = 256, hard: int = 256) -> Narrow: ...


@pytest.fixture
def narrow(gateway: Gateway, tmp_path: Path) -> Iterator[LaunchNarrow]:
    """Return a way to start a gateway with few descriptors."""
    with contextlib.ExitStack() as launched:

        def start(*options: str, soft: int = 256, hard: int = 256) -> Narrow:
            if not isinstance(gateway, Rgate):
                pytest.skip("its command line is another")
            site = Site({"single": replace(KINDS["single"], number=4)})
            one = Narrow(site, tmp_path, gateway.name, *options)
            one.soft, one.hard = soft, hard
            launched.callback(one.stop)
            one.start()
            return one

        yield start


def _is_served(gateway: Gateway, path: bytes) -> None:
    client = gateway.client()
    client.send(get(path))
    assert client.read_response(within_s=SOON_S).content == b"ok"


@clause("2.limits.descriptors", "2.limits.idle", own_choice=ROOM)
@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="idle", marks=pytest.mark.slow),
        pytest.param(b"GET / HTTP/1.1\r\nHost:", id="half a head"),
    ],
)
def test_more_clients_than_there_are_descriptors_lock_nobody_out(narrow: LaunchNarrow, sent: bytes) -> None:
    gateway = narrow()
    lane = gateway.lane()
    assert len(gateway.told(f"room for {ROOM_FOR[256]} connections")) == 1
    clients = [gateway.client() for _ in range(300)]
    for client in clients:
        client.try_send(sent)

    with serving(lane):
        for _ in range(20):
            _is_served(gateway, lane.path)
        for page in (b"healthz", b"readyz"):
            client = gateway.client()
            client.send(get(b"/_rgate/" + page))
            assert client.read_response(within_s=SOON_S).status == 200
    assert len(gateway.told("idle longest")) == 1
    assert not gateway.told("gives no descriptor")
    assert len(list(Path(f"/proc/{gateway.pid}/fd").iterdir())) < 256


@clause("2.limits.descriptors", own_choice=ROOM)
@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_the_soft_limit_is_raised(narrow: LaunchNarrow, workers: str) -> None:
    gateway = narrow("--workers", workers, soft=64, hard=4096)
    assert resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE) == (4096, 4096)
    most = {"1": ROOM_FOR[4096], "2": 4030}[workers]  # a descriptor is kept back to ask the other
    assert len(gateway.told(f"room for {most} connections")) == 1


@pytest.mark.slow
@clause("2.limits.descriptors", "2.limits.idle", own_choice=ROOM)
def test_1100_idle_connections_at_1024_descriptors_cost_no_request_its_answer(narrow: LaunchNarrow) -> None:
    gateway = narrow(soft=1024, hard=1024)
    lane = gateway.lane()
    clients = [gateway.client() for _ in range(1100)]
    with serving(lane):
        for _ in range(20):
            _is_served(gateway, lane.path)
    assert sum(client.is_closed(within_s=0.001) for client in clients) >= 1100 - ROOM_FOR[1024]


@pytest.mark.slow
@clause("2.limits.descriptors", "2.limits.told", own_choice=ROOM)
def test_as_many_requests_as_find_room_are_under_way_and_no_more_is_accepted(narrow: LaunchNarrow) -> None:
    gateway = narrow(soft=128, hard=128)
    lane = gateway.lane()
    active = [gateway.client() for _ in range(ROOM_FOR[128])]
    for client in active:
        client.send(get(lane.path))
    upstreams = [lane.accept() for _ in active]
    waiting = [gateway.client() for _ in range(8)]
    for client in waiting:
        client.send(get(lane.path))
    wait_until(lambda: gateway.told("every connection has a request under way"), DEADLINE_S, "the notice")
    assert lane.is_unvisited()
    for upstream in upstreams:
        upstream.read_request()
        upstream.send(CLOSING)
    with serving(lane):
        assert {client.read_response().content for client in (*active, *waiting)} == {b"ok"}
    assert len(gateway.told("every connection has a request under way")) == 1
    assert not gateway.told("gives no descriptor")


@clause("8.stop.accepted", own_choice=ROOM)
def test_who_waits_for_room_when_the_signal_comes_is_served(narrow: LaunchNarrow) -> None:
    gateway = narrow(*LONG, soft=80, hard=80)
    lane = gateway.lane()
    active = [gateway.client() for _ in range(8)]
    for client in active:
        client.send(get(lane.path))
    upstreams = [lane.accept() for _ in active]
    waiting = gateway.client()
    waiting.send(get(lane.path))
    gateway.terminate()
    wait_until(lambda: refuses(gateway.port), DEADLINE_S, "the end of accepting")
    for upstream in upstreams:
        upstream.read_request()
        upstream.send(CLOSING)
    with serving(lane):
        assert [client.read_response().content for client in (*active, waiting)] == [b"ok"] * 9
    assert gateway.exit_status() == 0


@clause("2.limits.overloaded", "6.answers.overloaded", own_choice=ROOM)
def test_a_lack_of_descriptors_is_put_down_to_no_container(narrow: LaunchNarrow) -> None:
    gateway = narrow()
    lane = gateway.lane()
    client, other = gateway.client(), gateway.client()
    for one in (client, other):
        one.send(get(b"/nowhere"))
        one.read_response()
    with _no_descriptor_left(gateway):
        for one in (client, other):
            one.send(get(lane.path))
            gateway.check_answer(one.read_response(), 503, "overloaded")
        assert lane.is_unvisited()
        late = gateway.client()
        late.send(get(lane.path))
        wait_until(lambda: gateway.told("gives no descriptor"), DEADLINE_S, "the notice")
    with serving(lane):  # at once: nobody was left out
        assert late.read_response().content == b"ok"
    assert len(gateway.told("gives no descriptor")) == 1


@clause("2.limits.told", own_choice=ROOM)
def test_where_nothing_can_be_accepted_that_is_told_once_and_nothing_spins(narrow: LaunchNarrow) -> None:
    gateway = narrow()
    lane = gateway.lane()
    client = gateway.client()
    client.send(get(lane.path))
    upstream = lane.accept()
    upstream.read_request()
    with _no_descriptor_left(gateway):
        late = [gateway.client() for _ in range(5)]
        wait_until(lambda: gateway.told("gives no descriptor"), DEADLINE_S, "the notice")
        before_s = gateway.cpu_s()
        assert not late[0].is_closed(within_s=1.5)
        assert gateway.cpu_s() - before_s < 0.75
        assert len((gateway.directory / "err").read_text().splitlines()) < 10
        upstream.send(OK)
        assert client.read_response().content == b"ok"
    for one in late:
        one.send(get(b"/nowhere"))
        assert one.read_response().content


@contextlib.contextmanager
def _no_descriptor_left(gateway: Narrow) -> Iterator[None]:
    """Let *gateway* get no descriptor but those that it has."""
    limit = resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir(f"/proc/{gateway.pid}/fd")))
    resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (_lowest_free(gateway), limit[1]))
    assert highest < 256
    try:
        yield
    finally:
        resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, limit)


def _lowest_free(gateway: Narrow) -> int:
    """Return the number that its next descriptor would have: the limit is on numbers (getrlimit(2))."""
    taken = set(map(int, os.listdir(f"/proc/{gateway.pid}/fd")))
    return min(set(range(1 << 12)) - taken)
