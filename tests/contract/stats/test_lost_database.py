"""Of a database that is lost, damaged or away nothing is lost that is counted since (behaviour 7)."""

import contextlib
import fcntl
import logging
import os
import shutil
import sqlite3
import stat
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from rgate.core.record import Record
from rgate.stats import Grouping, LastingStats, StatsError, open_stats
from rgate.stats.checkup import try_database
from rgate.stats.lasting import rest_s
from rgate.stats.live_file import _LABEL_BYTES_USED, _LABEL_HEAD, FILE_BYTES, Arena, TornError

NOW_S = 1_700_000_040.0
GARBAGE = b"a letter to my aunt\n" * 2000


def opened(url: str, directory: Path) -> LastingStats:
    return open_stats(url, state_dir=directory, now=lambda: NOW_S, fold_every_s=None)


def at(path: Path) -> LastingStats:
    return opened(f"sqlite:///{path}", path.parent)


def count(stats: LastingStats, requests: int) -> None:
    for _ in range(requests):
        stats.add(Record(NOW_S, "", "GET", "/", 200, 0, 1_000_000, "/api", "b", "c"))


def found(path: Path) -> int:
    with contextlib.closing(at(path)) as stats:
        return stats.counted().totals().success


def log_into_file(path: Path) -> None:
    """Write the log of the database at *path* into it, as SQLite does from time to time."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def foreign(path: Path) -> bytes:
    """Make a database of another program's at *path*; return what is in the file."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE letters (to_aunt TEXT)")
        connection.commit()
    return path.read_bytes()


def overwrite(path: Path, content: bytes = GARBAGE, start: int = 0) -> bytes:
    """Write *content* into the file at *path*, not into a new one; return what is in it then."""
    with path.open("r+b") as file:
        file.seek(start)
        file.write(content)
    return path.read_bytes()


def empty(path: Path) -> bytes:
    path.write_bytes(b"")
    return b""


def copy_over(path: Path) -> bytes:
    content = foreign(path.with_name("other"))
    path.write_bytes(content)
    return content


def replace(path: Path, content: bytes = GARBAGE) -> bytes:
    other = path.with_name("new")
    other.write_bytes(content)
    other.replace(path)
    return content


def replace_by_foreign(path: Path) -> bytes:
    return replace(path, foreign(path.with_name("other")))


LOST: dict[str, Callable[[Path], bytes]] = {
    "overwritten": overwrite,
    "emptied": empty,
    "copied over": copy_over,
    "damaged": lambda path: overwrite(path, GARBAGE, 4096),
    "replaced": replace,
    "replaced by another database": replace_by_foreign,
}


@pytest.mark.clause("7.last.lost")
@pytest.mark.parametrize(
    ("lost", "in_log"),
    # Where all of it is in the log still, damage behind the first page is written over.
    [(lost, in_log) for lost in LOST for in_log in (True, False) if not (lost == "damaged" and in_log)],
)
def test_a_file_that_is_overwritten_is_set_aside_and_what_is_counted_since_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, lost: str, in_log: bool
) -> None:
    path = tmp_path / "rgate.db"
    stats, other = at(path), at(path)
    count(stats, 4)
    assert stats.fold()
    if not in_log:
        log_into_file(path)
    written = LOST[lost](path)
    for since in (stats, other, other):
        count(since, 1)
    assert [one.fold() for one in (stats, other, stats)] == [True] * 3
    (aside,) = tmp_path.glob("rgate.db.aside-*")
    assert aside.read_bytes() == written
    assert caplog.text.count("stats_database_set_aside") == 1
    assert "stats_database_unavailable" not in caplog.text
    assert stats.counted().totals().success >= 3
    other.close()
    stats.close()
    assert found(path) >= 3
    assert not any(".live-" in left.name for left in tmp_path.iterdir())


@pytest.mark.clause("7.last.lost")
@pytest.mark.parametrize("what", [["rgate.db"], ["rgate.db", "rgate.db-wal", "rgate.db-shm"]])
def test_a_file_that_is_deleted_is_made_anew_and_what_was_in_its_log_is_not_brought_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, what: list[str]
) -> None:
    path = tmp_path / "rgate.db"
    stats, other = at(path), at(path)
    count(stats, 4)
    assert stats.fold()
    for name in what:
        (tmp_path / name).unlink()
    for since in (stats, other, other):
        count(since, 1)
    assert [one.fold() for one in (stats, other)] == [True] * 2
    assert caplog.text.count(f"stats_database_gone file={path}") == 2  # each of them; workers tell it once
    other.close()
    stats.close()
    assert found(path) == 3


@pytest.mark.clause("7.last.lost")
def test_a_directory_that_is_gone_is_told_and_nothing_more_is_said_to_be_stored_than_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "rgate")
    directory = tmp_path / "data"
    directory.mkdir()
    with contextlib.closing(at(directory / "rgate.db")) as stats:
        count(stats, 4)
        assert stats.fold()
        shutil.rmtree(directory)
        count(stats, 2)
        assert not stats.fold()
        assert 'unavailable error="its file is gone, and cannot be set aside: ' in caplog.text
        directory.mkdir()
        assert stats.fold()
        assert "stats_database_mended counted_meanwhile=stored" in caplog.text
        assert stats.counted().totals().success == 2


@pytest.mark.clause("7.last.lost")
@pytest.mark.parametrize("lost", ["overwritten", "copied over", "deleted"])
def test_a_file_behind_a_link_is_looked_after_as_any_other(tmp_path: Path, lost: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    path, link = tmp_path / "elsewhere/rgate.db", tmp_path / "link.db"
    link.symlink_to(path)
    with contextlib.closing(at(link)) as stats:
        count(stats, 4)
        assert stats.fold()
        written = None if lost == "deleted" else LOST[lost](path)
        if written is None:
            path.unlink()
        count(stats, 2)
        assert stats.fold()
    assert [aside.read_bytes() for aside in path.parent.glob("rgate.db.aside-*")] == [written] * (
        written is not None
    )
    assert link.is_symlink()
    assert found(link) == found(path) == 2


@pytest.mark.clause("7.last.lost")
@pytest.mark.parametrize("target", ["nowhere", "rgate.db"], ids=["dangling", "a loop"])
def test_a_link_that_leads_nowhere_in_its_place_is_set_aside(tmp_path: Path, target: str) -> None:
    path = tmp_path / "rgate.db"
    with contextlib.closing(at(path)) as stats:
        count(stats, 4)
        assert stats.fold()
        path.unlink()
        path.symlink_to(target)
        count(stats, 2)
        assert stats.fold()
    (aside,) = tmp_path.glob("rgate.db.aside-*")
    assert aside.is_symlink()
    assert found(path) == 2


@pytest.mark.clause("1.exit.database_away")
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("rgate.db", lambda path: replace(path)),
        ("of-mine.sqlite3", lambda path: replace(path, b"x")),
        ("figures", lambda path: (found(path), overwrite(path, GARBAGE, 4096))[1]),
    ],
    ids=["by its name", "in a line", "by its mark"],
)
def test_what_was_rgates_and_is_broken_is_set_aside_as_it_is_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, make: Callable[[Path], bytes]
) -> None:
    path = tmp_path / name
    written = make(path)
    with contextlib.closing(at(path)) as stats:
        count(stats, 2)
    (aside,) = tmp_path.glob(f"{name}.aside-*")
    assert aside.read_bytes() == written
    assert caplog.text.count("stats_database_set_aside") == 1
    assert found(path) == 2


@pytest.mark.clause("1.exit.database_foreign")
@pytest.mark.parametrize(
    ("name", "make", "why"),
    [
        ("rgate.db", foreign, "it is a database of another program's"),
        ("config.yml", lambda path: replace(path), "it is no SQLite database"),
        ("letter", lambda path: replace(path, b"x"), "it is no SQLite database"),
    ],
)
def test_what_is_somebody_elses_is_left_as_it_is_at_the_start(
    tmp_path: Path, name: str, make: Callable[[Path], bytes], why: str
) -> None:
    path = tmp_path / name
    written = make(path)
    with pytest.raises(StatsError, match=f"{name} is not rgate's, and is left as it is: {why}. Name another"):
        at(path)
    assert path.read_bytes() == written
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.clause("1.exit.database_away")
def test_a_damaged_file_with_its_log_is_set_aside_with_it(tmp_path: Path) -> None:
    path = tmp_path / "rgate.db"
    found(path)
    overwrite(path)
    path.with_name("rgate.db-wal").write_bytes(b"its log")
    assert found(path) == 0
    assert len(list(tmp_path.glob("rgate.db.aside-*"))) == 1
    (log,) = tmp_path.glob("rgate.db-wal.aside-*")
    assert log.read_bytes() == b"its log"


@pytest.mark.clause("1.exit.database")
def test_a_pipe_is_no_database_and_hangs_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "rgate.db")
    with pytest.raises(StatsError, match="is no file"):
        at(tmp_path / "rgate.db")


@pytest.mark.clause("7.last.mode")
@pytest.mark.parametrize(("umask", "mode"), [(0, 0o640), (0o022, 0o640), (0o077, 0o600)])
def test_all_files_of_the_figures_are_for_their_owner_and_group_at_most(
    tmp_path: Path, umask: int, mode: int
) -> None:
    before = os.umask(umask)
    try:
        with contextlib.closing(at(tmp_path / "rgate.db")) as stats:
            count(stats, 1)
            assert stats.fold()
            modes = {path.name[:13]: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"rgate.db": mode, "rgate.db-wal": mode, "rgate.db-shm": mode, "rgate.db.live": 0o600}


@contextlib.contextmanager
def locked_directory(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield
    os.close(descriptor)


# A server.

ONE_PREPARES = f"SELECT pg_advisory_lock({0x7267617465})"


@contextlib.contextmanager
def locked(url: str, statement: str) -> Iterator[None]:
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
        yield
    engine.dispose()


@pytest.mark.clause("1.exit.database_away")
def test_a_server_that_is_locked_at_the_start_is_told_of_once_and_catches_up(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rgate.stats.lasting.START_WITHIN_S", 0.1)
    monkeypatch.setattr("rgate.stats.lasting.SILENT_S", 0.1)
    with locked(postgres_url, ONE_PREPARES):
        stats = opened(postgres_url, tmp_path)
        count(stats, 3)
        assert stats.counted().totals().success == 3
        assert stats.counted().silent_s is not None
    monkeypatch.setattr("rgate.stats.lasting.SILENT_S", 60.0)
    assert stats.fold()
    assert caplog.text.count("stats_database_unavailable") == 1
    stats.close()
    with contextlib.closing(opened(postgres_url, tmp_path)) as again:
        assert again.counted().totals().success == 3


@pytest.mark.clause("1.exit.database_away", "1.exit.secrets")
@pytest.mark.parametrize("secret", ["u:hush@127.0.0.1:1/d", "u@127.0.0.1:1/d?password=hush"])
def test_a_server_that_is_away_at_the_start_is_told_of_once_without_its_password(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, secret: str
) -> None:
    with contextlib.closing(opened(f"postgresql+psycopg://{secret}", tmp_path)) as stats:
        count(stats, 3)
        assert not stats.fold()
        assert stats.counted().totals().success == 3
    assert caplog.text.count("stats_database_unavailable") == 1
    assert "hush" not in caplog.text
    assert len(list(tmp_path.glob("*.live-*"))) == 1  # what was counted waits here


@pytest.mark.clause("1.exit.database", "9.doctor.faults")
def test_a_database_that_cannot_hold_every_name_is_refused(latin1_url: str, tmp_path: Path) -> None:
    with pytest.raises(StatsError, match="has the encoding LATIN1, which has no"):
        opened(latin1_url, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert "encoding LATIN1" in try_database(latin1_url).error


@pytest.mark.clause("7.last.restart")
def test_a_database_without_an_encoding_holds_every_name(ascii_url: str, tmp_path: Path) -> None:
    for number in (1, 2):
        with contextlib.closing(opened(ascii_url, tmp_path)) as stats:
            stats.add(Record(NOW_S, "", "GET", "/", 200, 0, 1_000_000, "/api", "支付", "c"))
            assert stats.fold()
            assert stats.counted().grouped(Grouping.BACKEND)["支付"].success == number


@pytest.mark.clause("1.exit.database", "1.exit.secrets")
@pytest.mark.parametrize("password", ["u:hush@", "u@"])
def test_a_url_with_an_option_that_there_is_not_is_wrong_and_told_without_its_password(
    tmp_path: Path, password: str
) -> None:
    with pytest.raises(StatsError, match="cannot be used") as error:
        opened(f"postgresql+psycopg://{password}127.0.0.1:1/d?password=hush&nosuch=1", tmp_path)
    assert "hush" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


# Live files.


def live_file(path: Path) -> Path:
    (only,) = path.parent.glob("rgate.db.live-" + "[0-9a-f]" * 16)
    return only


@pytest.mark.clause("7.last.disk")
def test_a_directory_that_another_program_keeps_locked_keeps_rgate_from_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rgate.stats.locking.WITHIN_S", 0.0)
    path = tmp_path / "rgate.db"
    with locked_directory(tmp_path), contextlib.closing(at(path)) as stats:
        count(stats, 3)
        assert stats.fold()
    assert "stats_live_file_failed" in caplog.text
    assert "another process keeps its directory locked" in caplog.text
    assert found(path) == 3


@pytest.mark.clause("7.last.shortened")
@given(took_s=st.floats(0, 100))
def test_folds_begin_each_second_but_for_a_slow_database_which_has_a_rest(took_s: float) -> None:
    waited_s = rest_s(1.0, took_s)
    assert waited_s >= 0.25
    assert took_s > 0.75 or waited_s + took_s == pytest.approx(1.0)


@pytest.mark.clause("7.last.shortened")
@pytest.mark.parametrize("size", [0, 5000])
def test_a_live_file_that_another_process_shortens_is_set_aside_at_the_next_look(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, size: int
) -> None:
    path = tmp_path / "rgate.db"
    with contextlib.closing(at(path)) as stats:
        count(stats, 3)
        counter = stats.counter("/api", "b", "c")
        counter.add(200, 1_000_000, 1)
        assert stats.fold()
        os.truncate(live_file(path), size)
        assert stats.fold()
        assert "live_file_torn" in caplog.text
        count(stats, 2)
        counter.add(200, 1_000_000, 2)
        assert stats.counted().totals().success == 7
    assert found(path) == 7
    assert len(list(tmp_path.glob("*.torn"))) == 1


def test_a_live_file_that_is_removed_is_made_anew_and_nothing_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "rgate.db"
    with contextlib.closing(at(path)) as stats:
        count(stats, 3)
        live_file(path).unlink()
        assert stats.fold()
        count(stats, 2)
        assert live_file(path)
        assert "stats_live_file_gone" in caplog.text
    assert found(path) == 5


@pytest.mark.clause("7.last.odd")
def test_what_is_no_live_file_hides_no_good_one_and_is_waited_for_by_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "rgate.db"
    killed = at(path)
    count(killed, 3)
    assert killed._live_file is not None
    killed._live_file.close()
    killed._live_file = None
    live_file(path).rename(tmp_path / "rgate.db.live-8888888888888888x")

    def odd(name: str) -> Path:
        return tmp_path / f"rgate.db.live-{name * 16}"

    odd("0").mkdir()
    os.mkfifo(odd("1"))
    odd("2").write_bytes(b"")
    odd("3").write_bytes(GARBAGE)
    odd("4").symlink_to("/nowhere")
    odd("5").symlink_to("/dev/zero")
    odd("9").write_bytes(GARBAGE)
    (tmp_path / f"rgate.db.live-{'9' * 16}.torn").mkdir()  # so that it cannot be set aside
    (tmp_path / f"rgate.db.live-{'9' * 16}.torn" / "x").touch()
    good = tmp_path / "rgate.db.live-8888888888888888x"
    content = bytearray(good.read_bytes())
    good.unlink()
    start = content.index(killed._recorder._active.live_id.encode())
    content[start : start + 16] = b"8" * 16
    odd("8").write_bytes(content)
    with contextlib.closing(at(path)) as stats:
        assert stats.counted().totals().success == 3
    assert caplog.text.count("stats_leftover_odd") == 4
    assert found(path) == 3
    assert sorted(left.name[14:] for left in tmp_path.iterdir() if ".live-" in left.name) == [
        *("0" * 16, "1" * 16, "3" * 16 + ".torn", "4" * 16, "5" * 16, "9" * 16, "9" * 16 + ".torn")
    ]


@pytest.mark.clause("7.last.odd")
@pytest.mark.parametrize(
    "label",
    [
        *("5", "{}", '["a"]', "[[], 1, 2, 3, 4]", '["a", "b", "c", "200", false]', "null", "nonsense"),
        '["a", "b", "c", 200, false, "d", "e"]',
        "[" * 200_000,
    ],
)
def test_a_label_that_is_none_is_no_more_than_a_torn_file(label: str) -> None:
    text = label.encode()
    buffer = memoryview(bytearray(FILE_BYTES))
    written = Arena("a" * 16, buffer, 1)
    end = _LABEL_HEAD.size + len(text)
    written._labels[:end] = _LABEL_HEAD.pack(len(text), zlib.crc32(text)) + text
    written._head[_LABEL_BYTES_USED] = end
    with pytest.raises(TornError, match="a label"):
        Arena("a" * 16, buffer)


@pytest.mark.clause("7.last.lost")
def test_one_that_need_not_work_yet_takes_what_was_counted_once_it_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "figures" / "rgate.db"
    with contextlib.closing(
        open_stats(f"sqlite:///{path}", now=lambda: NOW_S, fold_every_s=None, must_work=False)
    ) as stats:
        count(stats, 3)
        assert not stats.fold()
        assert caplog.text.count("stats_database_unavailable") == 1
        assert stats.counted().totals().success == 3
        path.parent.mkdir()
        assert stats.fold()
        count(stats, 4)
    assert found(path) == 7
