"""What every `Stats` holds: in memory, on SQLite, and on PostgreSQL (behaviour 7)."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rgate.core.record import Record
from rgate.stats import Figures, Grouping, MemoryStats, Stats, StatsError, open_stats

NOON_S = 1_700_000_040.0  # a whole minute
MS = 1_000_000


class Clock:
    def __init__(self) -> None:
        self.now_s = NOON_S

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def stats(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Stats]:
    made: Stats
    match request.param:
        case "memory":
            made = MemoryStats(now=clock)
        case "sqlite":
            made = lasting(tmp_path, clock)
        case _:
            url = request.getfixturevalue("postgres_url")
            made = open_stats(url, state_dir=tmp_path, now=clock, fold_every_s=None)
    yield made
    made.close()


def lasting(directory: Path, clock: Callable[[], float]) -> Stats:
    return open_stats(f"sqlite:///{directory}/stats.db", now=clock, fold_every_s=None)


def record(
    status: int = 200, *, at_s: float = NOON_S, ms: int = 2, cut: bool = False, container: str = "c"
) -> Record:
    return Record(at_s, "1.2.3.4", "GET", "/", status, 0, ms * MS, "/api", "b", container, 1, "", "id", cut)


def counts(figures: Figures) -> tuple[int, int]:
    return figures.success, figures.error


@pytest.mark.clause("7.counts.keys", "7.latency.zero")
def test_nothing_counted_is_all_zero(stats: Stats) -> None:
    assert stats.counted().totals().as_json() == {
        "requests_count": {"success": 0, "error": 0},
        "latency_ms": {"average": 0, "p95": 0, "p99": 0},
    }


@pytest.mark.clause("7.counts.success", "7.counts.cut")
@pytest.mark.parametrize(
    ("status", "cut", "success"),
    [
        (101, False, 1),
        (200, False, 1),
        (399, False, 1),
        (200, True, 0),
        (400, False, 0),
        (499, False, 0),
        (599, False, 0),
    ],
)
def test_what_counts_as_success_and_as_error(stats: Stats, status: int, cut: bool, success: int) -> None:
    stats.add(record(status, cut=cut))
    assert counts(stats.counted().totals()) == (success, 1 - success)


@pytest.mark.clause("7.counts.next")
def test_a_record_is_in_the_very_next_figures(stats: Stats) -> None:
    for number in range(1, 50):
        stats.add(record())
        assert counts(stats.counted().totals()) == (number, 0)


def test_what_a_counter_counts_is_in_the_very_next_figures_as_a_record_is(stats: Stats) -> None:
    counter = stats.counter("/api", "b", "c")
    assert counter is not None
    for number in range(1, 50):
        counter.add(200, 2 * MS, number)
        stats.add(record())
        assert counts(stats.counted().totals()) == (2 * number, 0)
    assert (
        stats.counted().grouped(Grouping.CONTAINER)["c"]
        == stats.counted(1).totals()
        == stats.counted().totals()
    )
    assert stats.counted().totals().average_ms == 2


def test_a_counter_goes_over_to_the_next_minute(stats: Stats, clock: Clock) -> None:
    counter = stats.counter("/api", "b", "c")
    assert counter is not None
    for minutes in range(3):
        counter.add(200, 2 * MS, 60 * minutes * 1000 * MS)
        clock.now_s += 60
    assert counts(stats.counted(2).totals()) == (2, 0)
    assert counts(stats.counted().totals()) == (3, 0)


@pytest.mark.clause("7.latency.numbers")
def test_latencies_are_milliseconds_with_three_decimals_at_most(stats: Stats) -> None:
    for ms in range(1, 101):
        stats.add(record(ms=ms))
    latency = stats.counted().totals().as_json()["latency_ms"]
    assert latency["average"] == 50.5
    assert latency["p95"] == pytest.approx(95, rel=0.01)
    assert latency["p99"] == pytest.approx(99, rel=0.01)
    assert all(round(value, 3) == value for value in latency.values())


@pytest.mark.clause("7.query.by")
@pytest.mark.parametrize(
    ("by", "names"),
    [
        (Grouping.ROUTE, {"/api"}),
        (Grouping.BACKEND, {"b"}),
        (Grouping.CONTAINER, {"one", "two", ""}),
        (Grouping.STATUS, {"200", "503"}),
    ],
)
def test_groups_add_up_to_the_totals(stats: Stats, by: Grouping, names: set[str]) -> None:
    for status, container in ((200, "one"), (200, "two"), (503, "")):
        stats.add(record(status, container=container))
    groups = stats.counted().grouped(by)
    assert set(groups) == names
    assert sum(group.success + group.error for group in groups.values()) == 3


@pytest.mark.clause("7.query.window")
def test_a_window_gives_the_last_stretch_only(stats: Stats, clock: Clock) -> None:
    for minutes_ago in (0, 5, 120):
        stats.add(record(at_s=NOON_S - 60 * minutes_ago))
    assert counts(stats.counted(2).totals()) == (1, 0)
    assert counts(stats.counted(15).totals()) == (2, 0)
    clock.now_s += 3600
    assert counts(stats.counted(15).totals()) == (0, 0)
    assert counts(stats.counted().totals()) == (3, 0)


@pytest.mark.clause("7.last.restart")
def test_figures_last_beyond_a_restart(tmp_path: Path, clock: Clock) -> None:
    for number in range(1, 4):
        stats = lasting(tmp_path, clock)
        stats.add(record())
        stats.add(record(500))
        assert counts(stats.counted().totals()) == (number, number)
        stats.close()


KILLED = """
import sys
from rgate.core.record import Record
from rgate.stats import open_stats
stats = open_stats(sys.argv[1])
while True:
    stats.add(Record(1.7e9, "", "GET", "/", 200, 0, 1, "", "", "", 0, "", ""))
    sys.stdout.write(".")
    sys.stdout.flush()
"""


@pytest.mark.clause("7.last.killed")
def test_sigkill_loses_nothing_that_was_counted(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/stats.db"
    with subprocess.Popen([sys.executable, "-c", KILLED, url], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        seen = len(process.stdout.read(5000))
        os.kill(process.pid, signal.SIGKILL)
        seen += len(process.stdout.read())
    stats = open_stats(url, fold_every_s=None)
    found = stats.counted().totals().success
    stats.close()
    assert seen <= found <= seen + 1  # the last may have been counted and not been told


def test_a_database_that_goes_away_stops_nothing_and_loses_nothing(tmp_path: Path, clock: Clock) -> None:
    stats = open_stats(f"sqlite:///{tmp_path}/stats.db", now=clock, fold_every_s=None)
    stats.add(record())
    (tmp_path / "stats.db").write_bytes(b"no database")
    stats.add(record())
    stats.fold()
    stats.add(record())
    assert stats.counted().totals().success >= 2
    stats.close()


@pytest.mark.parametrize("url", ["sqlite:////nowhere/at/all/x.db", "nosuch://x", "sqlite:////proc/x.db"])
def test_a_database_that_cannot_be_used_is_told_in_one_line(url: str) -> None:
    with pytest.raises(StatsError) as error:
        open_stats(url)
    assert "\n" not in str(error.value)
