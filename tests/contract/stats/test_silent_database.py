"""What the figures are while their database does not answer (behaviour 7)."""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from rgate.core.record import Record
from rgate.stats import Grouping, LastingStats, open_stats
from tests.contract.stats import postgres

NOON_S = 1_700_000_040.0  # a whole minute


@dataclass
class World:
    """Statistics whose database can be made silent."""

    open: Callable[[], LastingStats]
    silence: Callable[[], AbstractContextManager[None]]


# All locks of a database in WAL mode are bytes of its -shm file, and a process's: so another takes them.
LOCK_ALL = """
import fcntl, sys
with open(sys.argv[1], "r+b") as shm:
    fcntl.lockf(shm, fcntl.LOCK_EX, 8, 120)
    print("locked", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep even readers out of the SQLite database at *path*."""
    with subprocess.Popen(
        [sys.executable, "-c", LOCK_ALL, f"{path}-shm"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as locking:
        assert locking.stdout is not None
        assert locking.stdout.readline() == b"locked\n"
        yield
        locking.communicate()


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    def opened(url: str) -> LastingStats:
        return open_stats(url, state_dir=tmp_path, now=lambda: NOON_S, fold_every_s=None)

    if request.param == "sqlite":
        path = tmp_path / "stats.db"
        return World(lambda: opened(f"sqlite:///{path}"), lambda: locked(path))
    if "RGATE_TEST_POSTGRES" in os.environ:
        pytest.skip("the server is another's")
    url = str(request.getfixturevalue("postgres_url"))
    return World(lambda: opened(url), lambda: postgres.frozen(url))


def record(container: str = "c") -> Record:
    return Record(NOON_S, "1.2.3.4", "GET", "/", 200, 0, 2_000_000, "/api", "b", container, 1, "", "id")


@pytest.mark.clause("7.query.stale")
def test_while_the_database_is_silent_the_figures_are_the_last_known_and_what_is_counted_live(
    world: World,
) -> None:
    stats = world.open()
    stats.add(record("old"))
    assert stats.fold()
    known = stats.counted(15)
    assert (known.totals().success, known.silent_s) == (1, None)
    stats.add(record("live"))
    with world.silence():
        for number in range(2, 6):
            for window in (None, 15):
                counted = stats.counted(window)
                assert counted.totals().success == number
                assert counted.silent_s is not None
                assert set(counted.grouped(Grouping.CONTAINER)) == {"old", "live"}
            stats.add(record("live"))
        unknown = stats.counted(30)  # which nobody asked for before: what is live, and was folded lately
        assert unknown.totals().success == 6
    while stats.counted().silent_s is not None:
        pass
    assert stats.counted(30).totals().success == 6
    stats.close()


@pytest.mark.clause("1.exit.database_away")
def test_a_server_that_is_silent_at_the_start_is_told_of_and_waited_for_meanwhile(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if "RGATE_TEST_POSTGRES" in os.environ:
        pytest.skip("the server is another's")
    url = str(request.getfixturevalue("postgres_url"))
    monkeypatch.setattr("rgate.stats.lasting.START_WITHIN_S", 0.1)
    with postgres.frozen(url):
        stats = open_stats(url, state_dir=tmp_path, fold_every_s=None)
    stats.add(record())
    assert stats.fold()
    assert caplog.text.count("stats_database_unavailable") == 1
    stats.close()


@pytest.mark.clause("7.query.delays")
def test_it_ends_though_queries_hang_and_nothing_is_lost(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    stats = world.open()
    stats.add(record())
    with world.silence():
        asking = [threading.Thread(target=stats.counted) for _ in range(6)]
        for thread in asking:
            thread.start()
        stats.close()
        for thread in asking:
            thread.join()
        assert "stats_not_stored" in caplog.text
    again = world.open()
    assert again.counted().totals().success == 1
    again.close()


def test_a_database_that_answers_is_not_said_to_be_silent_at_an_end_in_another_minute(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now_s = [NOON_S]
    url = f"sqlite:///{tmp_path / 'stats.db'}"
    stats = open_stats(url, now=lambda: now_s[0], fold_every_s=None)
    stats.add(record())
    now_s[0] += 60
    stats.close()
    assert "silent" not in caplog.text
    assert "stats_not_stored" not in caplog.text
