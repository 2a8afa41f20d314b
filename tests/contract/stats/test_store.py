"""The store: sums survive, windows are covered, and storage is bounded; on every database at hand."""

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rgate.stats.figures import OTHER, Label
from rgate.stats.histogram import Histogram
from rgate.stats.store import DAY_MINUTES, HOURS_KEPT, MINUTES_KEPT, Store, first_minute, open_store

NOW = 28_333_334  # a minute, at no full hour
A, B = Label("/a", "a", "a-1", 200, False), Label("/b", "b", "b-1", 503, True)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/s.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened, why = open_store(url)
    assert why == ""
    yield opened
    opened.close()


def empty(store: Store) -> None:
    with store._engine.begin() as connection:
        for table in ("rgate_counts", "rgate_labels", "rgate_folds"):
            connection.execute(sa.text(f"DELETE FROM {table}"))


def rows(store: Store) -> int:
    with store._engine.connect() as connection:
        return int(connection.scalar(sa.text("SELECT count(*) FROM rgate_counts")) or 0)


def found(store: Store, window: int | None = None, now: int = NOW) -> dict[Label, int]:
    return {label: histogram.count for label, histogram in store.read(window, now).counts.items()}


def test_several_may_open_a_new_database_at_once(url: str) -> None:
    # Several gateways that start together on one PostgreSQL: making the tables is no atomic step there.
    all_there = threading.Barrier(6)

    def open_and_close() -> str:
        all_there.wait()
        opened, why = open_store(url)
        opened.close()
        return why

    with ThreadPoolExecutor(all_there.parties) as pool:
        opening = [pool.submit(open_and_close) for _ in range(all_there.parties)]
    assert [one.result() for one in opening] == [""] * all_there.parties


def test_a_new_sqlite_database_that_another_prepares_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # To switch to WAL while another holds the lock to write fails at once, whatever the busy time-out.
    path = tmp_path / "new.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("CREATE TABLE other (x)")
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr("rgate.stats.store.time.sleep", lambda _: other.execute("ROLLBACK"))
    opened, why = open_store(f"sqlite:///{path}")
    opened.close()
    other.close()
    assert why == ""


def test_folding_a_generation_twice_counts_it_once(store: Store) -> None:
    for _ in range(2):
        store.fold("live", 1, {(NOW, A): Histogram([5, 6])}, NOW)
    store.fold("live", 2, {(NOW, A): Histogram([7])}, NOW)
    store.fold("other", 1, {(NOW, A): Histogram([8])}, NOW)
    stored = store.read(None, NOW)
    assert stored.counts == {A: Histogram([5, 6, 7, 8])}
    assert stored.folded == {"live": 2, "other": 1}


def test_what_is_known_is_read_again_once_anybody_folded(store: Store) -> None:
    known = store.read(None, NOW)
    assert store.read(None, NOW, known) is known
    made = store.fold("live", 1, {(NOW, A): Histogram([5])}, NOW)
    assert made == known.revision + 1
    assert store.fold("live", 1, {(NOW, A): Histogram([5])}, NOW) is None
    known = store.read(None, NOW, known)
    assert known.counts == {A: Histogram([5])}
    assert known.revision == made
    store.sum_up(NOW + 1)
    assert store.read(None, NOW + 1, known) is known
    # A file that a process left behind is folded and forgotten at once: only the revision tells.
    store.fold("left", 1, {(NOW, B): Histogram([6])}, NOW)
    store.forget("left")
    assert store.read(None, NOW + 1, known).counts == {A: Histogram([5]), B: Histogram([6])}


def test_each_row_that_is_read_is_a_sign_of_life(store: Store) -> None:
    store.fold("live", 1, {(NOW, A): Histogram([5]), (NOW, B): Histogram([5])}, NOW)
    signs: list[None] = []
    store.read(None, NOW, alive=lambda: signs.append(None))
    assert len(signs) >= 2


ages = st.sampled_from(
    [
        *(0, 1, 14, 15, 16, 59, 60, 61, MINUTES_KEPT - 1, MINUTES_KEPT, MINUTES_KEPT + 1),
        *(2 * DAY_MINUTES, HOURS_KEPT - 1, HOURS_KEPT + 1),
        *(100 * DAY_MINUTES, 366 * DAY_MINUTES, 800 * DAY_MINUTES),
    ]
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    counted=st.lists(st.tuples(ages, st.sampled_from([A, B])), max_size=12),
    window=st.none() | ages.filter(lambda age: 0 < age <= 366 * DAY_MINUTES),
    sums=st.integers(0, 2),
)
@example(counted=[(800 * DAY_MINUTES, A)], window=None, sums=2)
def test_a_window_holds_what_a_naive_count_does_however_often_it_was_summed_up(
    store: Store, counted: list[tuple[int, Label]], window: int | None, sums: int
) -> None:
    empty(store)
    for generation, (age, label) in enumerate(counted, 1):
        store.fold("live", generation, {(NOW - age, label): Histogram([age])}, NOW)
        if sums:
            store.sum_up(NOW)
    for _ in range(sums):
        store.sum_up(NOW)
    first = 0 if window is None else first_minute(window, NOW)
    naive: dict[Label, Histogram] = {}
    for age, label in counted:
        if NOW - age >= first:
            naive.setdefault(label, Histogram()).merge(Histogram([age]))
    assert store.read(window, NOW).counts == naive


@given(window=st.integers(1, 366 * DAY_MINUTES), now=st.integers(366 * DAY_MINUTES, 10**9))
def test_a_window_is_never_shorter_than_asked_and_a_period_longer_at_most(window: int, now: int) -> None:
    longer = now - window - first_minute(window, now)
    assert 0 <= longer < (1 if window <= MINUTES_KEPT else 60 if window <= HOURS_KEPT else DAY_MINUTES)


@pytest.mark.clause("7.last.bounded")
def test_old_minutes_and_hours_go_and_the_lifetime_stays(store: Store) -> None:
    for generation in range(1, 201):
        store.fold("live", generation, {(NOW + generation, A): Histogram([generation])}, NOW)
    store.sum_up(NOW + 201)
    assert rows(store) > 200
    later = NOW + 500 * DAY_MINUTES
    store.sum_up(later)
    assert rows(store) == 1
    assert store.read(None, later).counts == {A: Histogram(range(1, 201))}


@pytest.mark.clause("7.last.bounded")
def test_too_many_containers_are_counted_together_the_oldest_first(store: Store) -> None:
    for number in range(30):
        store.fold(
            "live", number + 1, {(NOW + number, A._replace(container=f"c{number}")): Histogram([1])}, NOW
        )
    store.sum_up(NOW + 40, most_labels=20)
    counted = found(store, now=NOW + 40)
    assert len(counted) <= 20
    assert sum(counted.values()) == 30
    assert counted[A._replace(container=OTHER)] >= 10
    assert counted[A._replace(container="c29")] == 1
    assert "c0" not in {label.container for label in counted}


def test_names_are_kept_as_they_are(store: Store) -> None:
    label = Label("/ü'\"%", "", "🐳", 299, False)
    store.fold("live", 1, {(NOW, label): Histogram([2**60])}, NOW)
    assert store.read(None, NOW).counts == {label: Histogram([2**60])}
