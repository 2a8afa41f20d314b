"""What was counted lasts, whatever happens to the process, the disk and the database (behaviour 7)."""

import itertools
import logging
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rgate.core.record import Record
from rgate.stats import LastingStats, StatsError, open_stats
from rgate.stats.checkup import place_of, try_database
from rgate.stats.live_file import FILE_BYTES

NOW_S = 1_700_000_040.0


def record(container: str = "c") -> Record:
    return Record(NOW_S, "", "GET", "/", 200, 0, 1_000_000, "/api", "b", container)


def url_in(directory: Path) -> str:
    return f"sqlite:///{directory}/rgate.db"


def opened(directory: Path) -> LastingStats:
    return open_stats(url_in(directory), now=lambda: NOW_S, fold_every_s=None)


def live_files(directory: Path) -> list[Path]:
    return [path for path in directory.iterdir() if ".live-" in path.name]


ADD_AND_DIE = """
import os, signal
from rgate.core.record import Record
from rgate.stats import open_stats
stats = open_stats({url!r}, now=lambda: {now}, fold_every_s=None)
for _ in range({requests}):
    stats.add(Record({now}, "", "GET", "/", 200, 0, 1_000_000, "/api", "b", "c"))
{step}
os.kill(os.getpid(), signal.SIGKILL)
"""


def add_beside_and_die(directory: Path, requests: int, step: str = "") -> None:
    program = ADD_AND_DIE.format(url=url_in(directory), now=NOW_S, requests=requests, step=step)
    ended = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


@contextmanager
def killed_after_adding(directory: Path, requests: int, *, step: str = "") -> Iterator[Path]:
    """Give the live file of a process that added *requests*, did *step*, and was killed."""
    add_beside_and_die(directory, requests, step)
    (left,) = live_files(directory)
    yield left


def found_in(directory: Path) -> int:
    stats = opened(directory)
    try:
        return stats.counted().totals().success
    finally:
        stats.close()


def test_what_a_killed_process_counted_is_found_by_the_next_and_only_once(tmp_path: Path) -> None:
    with killed_after_adding(tmp_path, 7):
        assert [found_in(tmp_path) for _ in range(3)] == [7, 7, 7]
    assert live_files(tmp_path) == []


def test_being_killed_between_folding_and_clearing_counts_nothing_twice(tmp_path: Path) -> None:
    step = (
        "arena = stats._recorder.seal()\n"
        "stats._store.fold(arena.live_id, arena.generation, arena.histograms(), 0)\n"
        "stats.add(Record(0.0, '', 'GET', '/', 200, 0, 1, '/api', 'b', 'c'))"
    )
    with killed_after_adding(tmp_path, 7, step=step):
        assert [found_in(tmp_path) for _ in range(2)] == [8, 8]


def test_two_processes_on_one_database_do_not_take_each_others_counts(tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    for _ in range(5):
        one.add(record())
        two.add(record())
        assert one.fold()
        assert two.fold()
    one.close()
    assert two.counted().totals().success == 10
    two.close()
    assert found_in(tmp_path) == 10


def test_what_another_process_counted_shows_before_it_is_folded_and_once_after(tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    for number in range(1, 9):
        one.add(record())
        assert (one.counted().totals().success, two.counted().totals().success) == (number, number)
        assert two.counted(5).totals().success == number
        if number % 3 == 0:
            assert one.fold()
            assert two.counted().totals().success == number
    one.close()
    assert two.counted().totals().success == 8
    two.close()


def test_what_a_killed_process_counted_shows_in_another_that_runs(tmp_path: Path) -> None:
    stats = opened(tmp_path)
    add_beside_and_die(tmp_path, 7)
    assert len(live_files(tmp_path)) == 2
    assert stats.counted().totals().success == 7
    stats.close()
    assert found_in(tmp_path) == 7


@pytest.mark.parametrize(
    ("at", "damage"),
    [
        (0, b"junk"),
        (4096 + 8, b"\xff" * 8),
        (4096 + 16, b"\xff" * 8),
        (4096 + 64 + 8, b"junk"),
        (FILE_BYTES, b"x"),
    ],
    ids=["magic", "cells used", "label bytes", "label", "length"],
)
def test_a_damaged_live_file_is_set_aside_and_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, at: int, damage: bytes
) -> None:
    with killed_after_adding(tmp_path, 7) as left:
        with left.open("r+b") as file:
            file.seek(at)
            file.write(damage)
        assert found_in(tmp_path) == 0
        assert "live_file_torn" in caplog.text
        assert left.with_name(left.name + ".torn").exists()
        assert found_in(tmp_path) == 0


def test_a_live_file_that_was_just_being_made_is_removed(tmp_path: Path) -> None:
    found_in(tmp_path)
    for number, size in enumerate((0, 10, FILE_BYTES)):
        (tmp_path / f"rgate.db.live-{number:016x}").write_bytes(bytes(size))
    assert found_in(tmp_path) == 0
    assert live_files(tmp_path) == []


def test_a_locked_database_stops_nothing_and_is_mended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stats = opened(tmp_path)
    stats.add(record())
    blocker = sqlite3.connect(tmp_path / "rgate.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    for number in range(2, 4):
        assert not stats.fold()
        stats.add(record())
        assert stats.counted().totals().success == number
    assert caplog.text.count("stats_database_unavailable") == 1
    blocker.execute("COMMIT")
    blocker.close()
    assert stats.fold()
    stats.close()
    assert found_in(tmp_path) == 3


def test_what_cannot_be_stored_at_the_end_waits_for_the_next_start(tmp_path: Path) -> None:
    stats = opened(tmp_path)
    stats.add(record())
    blocker = sqlite3.connect(tmp_path / "rgate.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    stats.close()
    blocker.close()
    assert len(live_files(tmp_path)) == 1
    assert found_in(tmp_path) == 1


def test_a_database_that_was_deleted_is_made_anew(tmp_path: Path) -> None:
    stats = opened(tmp_path)
    for path in tmp_path.glob("rgate.db*"):
        if ".live-" not in path.name:
            path.unlink()
    stats.add(record())
    assert stats.counted().totals().success == 1
    assert stats.fold()
    assert stats.counted().totals().success == 1
    stats.close()
    assert found_in(tmp_path) == 1


def test_the_whole_directory_may_go_and_counting_goes_on(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    directory.mkdir()
    stats = opened(directory)
    stats.add(record())
    directory.rename(tmp_path / "gone")
    for number in range(2, 5):
        stats.add(record())
        stats.fold()
        assert stats.counted().totals().success >= number
    (tmp_path / "gone").rename(directory)
    assert stats.fold()
    stats.close()
    assert found_in(directory) == 4


FULL_DISK = """
import logging, resource, sys
from rgate.core.record import Record
from rgate.stats import open_stats
logging.basicConfig(stream=sys.stderr)
def record(number):
    return Record(1.7e9, "", "GET", "/", 200, 0, 1_000_000, "/api", "b", f"container-{number}")
def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
if sys.argv[2] == "before":
    limit(1 << 20)  # the database fits in, the live file does not
now = 1.7e9
stats = open_stats(sys.argv[1], now=lambda: now, fold_every_s=None)
stats.add(record(0))
assert stats.fold()
limit(100)
for number in range(1, 400):
    stats.add(record(number))
    if number % 100 == 0:
        assert not stats.fold(), "the disk is not full"
    assert stats.counted().totals().success == number + 1, (number, stats.counted().totals())
limit(resource.RLIM_INFINITY)
now += 60
assert stats.fold() and stats.fold()
assert stats.counted().totals().success == 400
stats.add(record(1))
stats.close()
"""


@pytest.mark.clause("7.last.disk")
@pytest.mark.parametrize("when", ["before", "later"])
def test_a_full_disk_stops_nothing_is_told_once_and_is_mended(tmp_path: Path, when: str) -> None:
    # A limit on the size of files fails writes as a full disk does, without being root.
    ended = subprocess.run(
        [sys.executable, "-c", FULL_DISK, url_in(tmp_path), when], check=False, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("stats_database_unavailable") == 1
    assert ended.stderr.count("stats_live_file_failed") == (1 if when == "before" else 0)
    assert found_in(tmp_path) == 401


FULL_AFTER_A_KILL = """
import logging, os, resource, sys
from rgate.core.record import Record
from rgate.stats import open_stats
logging.basicConfig(stream=sys.stderr)
size = os.stat(sys.argv[2]).st_size  # what its log holds has no room in it
resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
stats = open_stats(sys.argv[1], now=lambda: 1.7e9, fold_every_s=None)
stats.add(Record(1.7e9, "", "GET", "/", 200, 0, 1_000_000, "/api", "b", "c"))
for _ in range(2):
    stats.fold()
assert stats.counted().totals().success == 401, stats.counted().totals()
stats.close()
"""


@pytest.mark.clause("7.last.disk")
def test_a_log_left_by_a_kill_that_a_full_disk_has_no_room_for_is_waited_with(tmp_path: Path) -> None:
    fill = (
        "for number in range(400):\n"
        "    stats.add(Record(0.0, '', 'GET', '/', 200, 0, 1, '/api', 'b', f'container-{number}'))\n"
        "stats.fold()"
    )
    add_beside_and_die(tmp_path, 0, fill)
    ended = subprocess.run(
        [sys.executable, "-c", FULL_AFTER_A_KILL, url_in(tmp_path), str(tmp_path / "rgate.db")],
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stderr.count("stats_database_unavailable") == 1
    assert ended.stderr.count("stats_lost") == 1
    assert found_in(tmp_path) == 400


@pytest.mark.clause("1.exit.database")
def test_a_file_left_by_a_kill_that_is_for_reading_alone_is_refused(tmp_path: Path) -> None:
    add_beside_and_die(tmp_path, 1, "stats.fold()")
    for path in tmp_path.iterdir():
        path.chmod(0o400)
    drop = ["setpriv", "--bounding-set=-dac_override"] if os.getuid() == 0 else []
    program = "import sys; from rgate.stats import open_stats; open_stats(sys.argv[1], fold_every_s=None)"
    ended = subprocess.run(
        [*drop, sys.executable, "-c", program, url_in(tmp_path)], check=False, capture_output=True, text=True
    )
    assert "StatsError" in ended.stderr
    assert "cannot be used: attempt to write a readonly database. Let rgate write" in ended.stderr


def test_the_live_file_takes_its_room_before_it_is_used(tmp_path: Path) -> None:
    # A hole in a mapped file is SIGBUS once the disk is full.
    stats = opened(tmp_path)
    (file,) = live_files(tmp_path)
    assert file.stat().st_blocks * 512 >= FILE_BYTES
    stats.close()


@pytest.mark.clause("1.exit.database")
def test_a_newer_schema_is_left_alone_and_told_of(tmp_path: Path) -> None:
    found_in(tmp_path)
    with sqlite3.connect(tmp_path / "rgate.db") as connection:
        connection.execute("UPDATE rgate_schema SET version = 99")
    connection.close()
    with pytest.raises(StatsError, match="newer rgate"):
        opened(tmp_path)


@pytest.mark.clause("1.exit.database", "1.exit.message")
@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("rgate.db", "sqlite:///rgate.db"),
        ("", "sqlite:///rgate.db"),
        ("sqlite://", "needs a file"),
        ("mysql+nosuch://h/d", "no database URL"),
        ("postgresql+psycopg://u:hush@h:99999/d", "write one from 1 to 65535"),
        ("postgresql+psycopg://u:hush@/d?host=a,b&port=5432,0", "write one from 1 to 65535"),
        ("postgresql+psycopg://u:hush@h/d?sslmode=ful", "write one of disable, allow"),
        ("sqlite:////nowhere/at/all/x.db", "make it"),
        ("sqlite:////proc", "is a directory"),
        ("sqlite:////dev/null/x.db", "make it"),
    ],
)
def test_a_database_that_cannot_be_used_says_what_to_do(url: str, says: str) -> None:
    with pytest.raises(StatsError) as error:
        open_stats(url)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert "hush" not in str(error.value)


@pytest.mark.clause("1.exit.database", "1.exit.message", "9.doctor.faults")
def test_a_directory_to_start_in_that_is_gone_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(StatsError, match="start it in another, or name the database by its whole path"):
        open_stats("sqlite:///rgate.db")
    assert place_of("sqlite:///rgate.db").directory is None
    assert "is not there any more" in try_database("sqlite:///rgate.db").error


@pytest.mark.clause("1.exit.database", "1.exit.message")
def test_a_user_without_a_home_is_told_to_name_a_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)  # as for an id that no file of the system knows
    with pytest.raises(StatsError, match="set XDG_STATE_HOME to one"):
        open_stats("postgresql+psycopg://u@127.0.0.1:9/x", fold_every_s=None)


def test_the_thread_folds_by_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "rgate")
    stats = open_stats(url_in(tmp_path), fold_every_s=0.001)
    with sqlite3.connect(tmp_path / "rgate.db") as connection:
        stats.add(record())
        for _ in itertools.count():
            if connection.execute("SELECT count(*) FROM rgate_labels_2").fetchone()[0]:
                break
            os.sched_yield()
    connection.close()
    stats.close()
