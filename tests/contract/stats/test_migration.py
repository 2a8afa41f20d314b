"""A database of version 1 becomes one of version 2, whatever happens meanwhile (behaviour 10).

version_1/ holds what the last code of version 1 left behind when it was killed, and `figures.json` what it
said of it itself. Those files are never made anew.
"""

import gzip
import json
import logging
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy as sa

from rgate.core.record import Record
from rgate.stats import LastingStats, open_stats
from rgate.stats.histogram import Histogram
from rgate.stats.lasting import live_prefix
from rgate.stats.reading import Wanted, first_minute
from rgate.stats.schema import VERSION, Span
from rgate.stats.store import open_store

KEPT: Final = Path(__file__).parent / "version_1"
FIGURES: Final[dict[str, Any]] = json.loads((KEPT / "figures.json").read_text())
NOW_S: Final[float] = FIGURES["now"]
NOW: Final = int(NOW_S) // 60
LIVE: Final = "live-c1f3a4291164ff7c"


@dataclass
class Old:
    """What an rgate of version 1 left behind."""

    url: str
    directory: Path

    def open(self) -> LastingStats:
        return open_stats(self.url, state_dir=self.directory, now=lambda: NOW_S, fold_every_s=None)

    def scalar(self, statement: str) -> Any:
        engine = sa.create_engine(self.url)
        try:
            with engine.connect() as connection:
                return connection.scalar(sa.text(statement))
        finally:
            engine.dispose()

    def figures(self) -> dict[str, list[list[Any]]]:
        """Return of each window what is said of each label: how many, and their latencies together."""
        store, why = open_store(self.url)
        assert why == ""
        figures = {}
        for name in FIGURES["windows"]:
            first = first_minute(None if name == "None" else int(name), NOW)
            counts = store.read(Wanted(name, first)).windows[name].counts()
            figures[name] = sorted([*label[:5], part.count, part.sum_ns] for label, part in counts.items())
        store.close()
        return figures


@pytest.fixture(params=["sqlite", "postgresql"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Old:
    if request.param == "sqlite":
        (tmp_path / "rgate.db").write_bytes(gzip.decompress((KEPT / "rgate.db.gz").read_bytes()))
        made = Old(f"sqlite:///{tmp_path}/rgate.db", tmp_path)
    else:
        made = Old(request.getfixturevalue("postgres_url"), tmp_path)
        engine = sa.create_engine(made.url)
        with engine.begin() as connection:
            connection.exec_driver_sql((KEPT / "postgresql.sql").read_text().replace("%", "%%"))
        engine.dispose()
    prefix = live_prefix(sa.make_url(made.url), tmp_path)
    live = gzip.decompress((KEPT / f"rgate.db.{LIVE}.gz").read_bytes())
    Path(f"{prefix}.{LIVE}").write_bytes(live)
    return made


@pytest.mark.clause("10.history.migrated")
def test_the_figures_of_version_1_are_the_same_in_version_2(
    old: Old, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "rgate")
    old.open().close()
    assert old.figures() == FIGURES["windows"]
    assert old.scalar("SELECT version FROM rgate_schema") == VERSION
    # What the killed process had not folded was folded, and once: no file is set aside.
    assert [path.name for path in old.directory.iterdir() if "live" in path.name] == []
    assert "torn" not in caplog.text
    assert caplog.text.count("stats_schema_upgraded") == 1


@pytest.mark.clause("10.history.migrated")
def test_it_goes_on_counting_with_old_labels_and_new_ones(old: Old) -> None:
    stats = old.open()
    for number in range(3):
        stats.add(Record(NOW_S, "", "GET", "/", 200, 0, 5, "/api", "orders", f"orders-{number}"))
        stats.add(Record(NOW_S, "", "GET", "/", 503, 0, 5, "/api", "orders", "", reason="no_container"))
        assert stats.fold()
    stats.close()
    counted = {tuple(label): number for *label, number, _ in old.figures()["None"]}
    before = {tuple(label): number for *label, number, _ in FIGURES["windows"]["None"]}
    assert counted["/api", "orders", "orders-0", 200, False] == 1
    known = ("/api", "orders", "orders-1", 200, False)
    assert counted[known] == before[known] + 1


@pytest.mark.clause("10.history.migrated")
def test_figures_over_time_reach_back_as_far_as_version_1_kept_minutes_and_hours(old: Old) -> None:
    stats = old.open()
    day, week = stats.series(86400), stats.series(604800)
    stats.close()
    by_window = {name: sum(row[5] for row in rows) for name, rows in FIGURES["windows"].items()}
    assert sum(filter(None, day.requests)) == by_window["1440"]
    assert day.total.success + day.total.error == by_window["1440"]
    assert sum(filter(None, week.requests)) == by_window["2880"]
    # Nobody knows when version 1 ran: only that it did where something was counted.
    assert day.requests.count(None) > 200
    assert 0 not in day.requests


def test_a_fortnight_is_the_sum_of_its_days(old: Old) -> None:
    store, _ = open_store(old.url)
    with store._engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT span, start, label, histogram FROM rgate_counts")).all()
    store.close()
    sums: dict[tuple[int, int], Histogram] = {}
    for span, start, label, histogram in rows:
        if span == Span.DAY:
            fortnight = sums.setdefault((start // 20160 * 20160, label), Histogram())
            fortnight.merge(Histogram.from_bytes(histogram))
    fortnights = {
        (start, label): Histogram.from_bytes(histogram)
        for span, start, label, histogram in rows
        if span == Span.FORTNIGHT
    }
    assert fortnights == sums


@pytest.mark.clause("10.history.migrated")
def test_several_that_start_at_once_migrate_once(old: Old) -> None:
    all_there = threading.Barrier(4)

    def start() -> None:
        all_there.wait()
        old.open().close()

    with ThreadPoolExecutor(all_there.parties) as pool:
        for starting in [pool.submit(start) for _ in range(all_there.parties)]:
            starting.result()
    assert old.figures() == FIGURES["windows"]


KILLED: Final = """
import itertools, os, signal, sys
import sqlalchemy as sa
from rgate.stats.store import open_store

url = sys.argv[1]
for left in itertools.count():
    process = os.fork()
    if process == 0:
        def count(*_):
            global left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        sa.event.listen(sa.Engine, "before_cursor_execute", count)
        open_store(url)
        os._exit(0)
    _, status = os.waitpid(process, 0)
    if status == 0:
        break
    assert status == signal.SIGKILL, status
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT version FROM rgate_schema")) == 1
        assert connection.scalar(sa.text("SELECT count(*) FROM rgate_labels")) == 8
    engine.dispose()
print(left)
"""


@pytest.mark.clause("10.history.migrated")
def test_one_that_is_killed_half_way_is_done_again_by_the_next(old: Old) -> None:
    # At each statement in turn, until none is left.
    program = [sys.executable, "-c", KILLED, old.url]
    ended = subprocess.run(program, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) > 20
    old.open().close()
    assert old.figures() == FIGURES["windows"]


def test_an_rgate_of_version_1_that_still_runs_can_write_nothing(old: Old) -> None:
    # It keeps what it counts in its live file then, and tells that it cannot store it.
    old.open().close()
    with pytest.raises(sa.exc.DBAPIError, match="rgate_labels"):
        old.scalar("SELECT count(*) FROM rgate_labels")
