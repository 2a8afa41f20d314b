"""A worker that hangs is noticed and replaced, and nobody who waits is lost (behaviour 8)."""

import contextlib
import http.client
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from rgate.core.heartbeat import LATE_S, SILENT_S
from tests.integration.backend import Backend
from tests.integration.gateway import ROOT, Gateway, running, wait_until
from tests.integration.test_workers import NO_DOCKER, is_gone, workers_of

pytestmark = [pytest.mark.integration, pytest.mark.both_engines]


@pytest.fixture
def gateway(backend: Backend, tmp_path: Path) -> Iterator[Gateway]:
    with running(tmp_path, backend.config(), "--workers", "2", environment=NO_DOCKER) as gateway:
        yield gateway
        assert gateway.stop() == 0


def answers(gateway: Gateway, number: int) -> Callable[[], list[int]]:
    """Ask for so many at once, each on its own connection; what this returns waits for their statuses."""
    seen: list[int] = []
    asking = [
        threading.Thread(target=lambda: seen.append(gateway.get("/api/x").status)) for _ in range(number)
    ]
    for thread in asking:
        thread.start()

    def all_of_them() -> list[int]:
        for thread in asking:
            thread.join(30)
        return seen

    return all_of_them


def stop(pid: int) -> None:
    """Stop a process, and wait until none of its threads runs any more."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: states_of(pid), lambda states: states == {"T"}, within_s=10)


def states_of(pid: int) -> set[str]:
    """Return the states of a process's threads."""
    states = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        # One that ends meanwhile has none.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            states.add((task / "stat").read_text().rpartition(") ")[2][0])
    return states


def send_all(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, number)


@pytest.mark.clause("8.stop.second")
def test_a_second_signal_ends_a_worker_that_hangs_too(backend: Backend, tmp_path: Path) -> None:
    options = ("--workers", "2", "--drain", "30")
    with running(tmp_path, backend.config(), *options, environment=NO_DOCKER) as gateway:
        stopped, other = workers_of(gateway.process.pid)
        stop(stopped)
        gateway.send_signal(signal.SIGTERM)
        wait_until(lambda: workers_of(gateway.process.pid), lambda left: other not in left, within_s=10)
        gateway.send_signal(signal.SIGTERM)
        assert gateway.exit_status() == 1
        assert is_gone(stopped)


@pytest.mark.clause("8.restart.hangs")
def test_what_waits_for_a_worker_that_hangs_is_served_by_its_successor(gateway: Gateway) -> None:
    stopped, other = workers_of(gateway.process.pid)
    stop(stopped)
    statuses = answers(gateway, 24)  # some 12 of them wait in its queue
    wait_until(gateway.errors, lambda said: f"worker {stopped} hangs" in said, within_s=20)
    assert statuses() == [200] * 24
    assert other in workers_of(gateway.process.pid)
    told = gateway.get("/_rgate/timeline").json()["events"]
    texts = [event["text"] for event in reversed(told) if event["kind"] == "worker"]
    assert texts[0] == f"worker {stopped} hangs: it did nothing for 4 s, and is ended"
    assert texts[1].startswith(f"worker {stopped} ended (SIGKILL); another starts")
    assert gateway.errors().count("hangs") == 1


LOOPING = """
import sys
if "--workers" in sys.argv:
    from rgate.engines.asyncio_engine.engine import Acceptor
    begin = Acceptor.begin
    def loop(self, client, request):
        while b"/loop" in request.line:
            pass
        begin(self, client, request)
    Acceptor.begin = loop
"""


@pytest.mark.slow
def test_an_endless_loop_is_noticed(backend: Backend, tmp_path: Path, engine: str) -> None:
    if engine == "flask":
        pytest.skip("a request has a thread of its own there, and holds up no other")
    (tmp_path / "sitecustomize.py").write_text(LOOPING)
    environment = {**NO_DOCKER, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    with (
        running(tmp_path, backend.config(), "--workers", "2", environment=environment) as gateway,
        gateway.client() as client,
    ):
        before = workers_of(gateway.process.pid)
        with pytest.raises((ConnectionError, http.client.BadStatusLine)):
            client.get("/api/loop")
        wait_until(
            lambda: workers_of(gateway.process.pid),
            lambda pids: len(pids) == 2 and pids != before,
            within_s=10,
        )
        assert gateway.errors().count("hangs") == 1
        assert answers(gateway, 8)() == [200] * 8


@pytest.mark.slow
@pytest.mark.clause("8.restart.hangs")
def test_where_all_were_stopped_for_long_nobody_is_ended(gateway: Gateway) -> None:
    pids = workers_of(gateway.process.pid)
    everybody = [gateway.process.pid, *pids]
    send_all(everybody, signal.SIGSTOP)
    time.sleep(SILENT_S + LATE_S)  # its subject: time passes while nobody looks
    gateway.send_signal(signal.SIGCONT)
    time.sleep(LATE_S)  # the supervisor looks, and the workers come a while later
    send_all(pids, signal.SIGCONT)
    assert answers(gateway, 8)() == [200] * 8
    assert workers_of(gateway.process.pid) == pids
    assert "hangs" not in gateway.errors()
