"""The store: sums survive, windows are covered, and storage is bounded; on every database at hand."""

import itertools
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
from rgate.stats.reading import EVER, Known, Wanted, Window, first_minute, periods
from rgate.stats.schema import (
    DAY_MINUTES,
    HOUR_MINUTES,
    HOURS_KEPT,
    METADATA,
    MINUTES,
    MINUTES_KEPT,
    STATE,
    Span,
)
from rgate.stats.store import Store, open_store

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
        for table in METADATA.sorted_tables:
            if table is not STATE:
                connection.execute(table.delete())


def rows(store: Store) -> int:
    with store._engine.connect() as connection:
        return int(connection.scalar(sa.text("SELECT count(*) FROM rgate_counts")) or 0)


def window(store: Store, first: int = EVER) -> Window:
    return store.read(Wanted("w", first)).windows["w"]


def found(store: Store, first: int = EVER) -> dict[Label, int]:
    return {label: histogram.count for label, histogram in window(store, first).counts().items()}


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
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr("rgate.stats.database.time.sleep", lambda _: other.execute("ROLLBACK"))
    opened, why = open_store(f"sqlite:///{path}")
    opened.close()
    other.close()
    assert why == ""


def test_folding_a_generation_twice_counts_it_once(store: Store) -> None:
    for _ in range(2):
        store.fold("live", 1, {(NOW, A): Histogram([5, 6])}, NOW)
    store.fold("live", 2, {(NOW, A): Histogram([7])}, NOW)
    store.fold("other", 1, {(NOW, A): Histogram([8])}, NOW)
    stored = window(store)
    assert stored.counts() == {A: Histogram([5, 6, 7, 8])}
    assert stored.at.folded == {"live": 2, "other": 1}


def test_what_is_known_is_read_again_once_anybody_folded(store: Store) -> None:
    def read(known: Known) -> tuple[Known, Window, int]:
        signs: list[None] = []
        read = store.read(Wanted("w", EVER, history=True), known, lambda: signs.append(None))
        assert read.history is not None
        assert read.history.at is read.windows["w"].at
        return read, read.windows["w"], len(signs)

    known, _, _ = read(Known())
    assert read(known)[2] == 0
    for _ in range(2):
        store.fold("live", 1, {(NOW, A): Histogram([5])}, NOW)
    known, stored, _ = read(known)
    assert stored.counts() == {A: Histogram([5])}
    assert read(known)[2] == 0
    # A file that a process left behind is folded and forgotten at once: only the revision tells.
    store.fold("left", 1, {(NOW, B): Histogram([6])}, NOW)
    store.forget("left")
    known, stored, _ = read(known)
    assert stored.counts() == {A: Histogram([5]), B: Histogram([6])}
    store.sum_up(NOW + 1)
    known, stored, _ = read(known)
    assert stored.counts() == {A: Histogram([5]), B: Histogram([6])}
    store.sum_up(NOW + 2)  # of nothing
    assert read(known)[2] == 0


@pytest.mark.clause("7.query.quick")
def test_only_what_changed_is_read_again(store: Store) -> None:
    for minute in range(300):
        store.fold("live", minute + 1, {(NOW + minute, A): Histogram([5]), (NOW, B): Histogram([5])}, NOW)
    store.sum_up(NOW + 300)
    wanted, signs = Wanted("w", NOW, history=True), list[None]()
    known = store.read(wanted)
    store.fold("late", 1, {(NOW + 7, A): Histogram([5])}, NOW)
    known = store.read(wanted, known, lambda: signs.append(None))
    assert len(signs) <= 2
    store.sum_up(NOW + 301)
    again = store.read(Wanted(history=True), known, lambda: signs.append(None))
    assert len(signs) <= 5  # that minute and its hour
    assert known.history is not None
    assert again.history is not None
    changed = {key for key, row in again.history.rows.items() if row is not known.history.rows[key]}
    assert changed == {(Span.MINUTE, NOW + 7), (Span.HOUR, (NOW + 7) // 60 * 60)}


def test_a_clock_that_was_days_ahead_for_a_moment_hides_nothing(store: Store) -> None:
    store.fold("live", 1, {(NOW, A): Histogram([5]), (NOW + 20 * DAY_MINUTES, A): Histogram([6])}, NOW)
    store.sum_up(NOW + 1)
    history = store.read(Wanted(history=True)).history
    assert history is not None
    assert (Span.MINUTE, NOW) in history.rows
    assert (Span.HOUR, NOW // 60 * 60) in history.rows


@pytest.mark.clause("7.query.quick")
def test_as_much_is_kept_in_memory_as_in_the_database(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rgate.stats.reading.SUMS_KEPT", {Span.MINUTE: 5, Span.HOUR: 120})
    known = Known()
    for minute in range(200):
        store.fold("live", minute + 1, {(NOW + minute, A): Histogram([5])}, NOW + minute)
        store.sum_up(NOW + minute + 1)
        known = store.read(Wanted(history=True), known)
    assert known.history is not None
    spans = [span for span, _ in known.history.rows]
    assert (spans.count(Span.MINUTE), spans.count(Span.HOUR)) == (6, 3)
    assert (Span.MINUTE, NOW + 199) in known.history.rows


def test_a_database_that_was_made_anew_is_another(store: Store) -> None:
    store.fold("live", 1, {(NOW, A): Histogram([5])}, NOW)
    store.sum_up(NOW + 1)
    wanted = Wanted("w", EVER, history=True)
    known = store.read(wanted)
    with store._engine.begin() as connection:
        METADATA.drop_all(connection)
    store.prepare()
    store.fold("live", 1, {(NOW, B): Histogram([6])}, NOW)
    store.sum_up(NOW + 1)
    again = store.read(wanted, known)
    assert again.windows["w"].counts() == {B: Histogram([6])}
    assert again.history is not None
    assert [row.requests for row in again.history.rows.values()] == [1, 1]


def test_each_row_that_is_read_is_a_sign_of_life(store: Store) -> None:
    store.fold("live", 1, {(NOW, A): Histogram([5]), (NOW, B): Histogram([5])}, NOW)
    signs: list[None] = []
    store.read(Wanted("w", EVER), alive=lambda: signs.append(None))
    assert len(signs) >= 2


stretches = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 8)), max_size=8)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stretches)
@example([(0, 0), (2, 0), (1, 0)])
def test_when_rgate_ran_is_kept_in_stretches_that_do_not_touch(
    store: Store, stretches: list[tuple[int, int]]
) -> None:
    empty(store)
    for first, length in stretches:
        store.sum_up(NOW + 100, [(NOW + first, NOW + first + length)])
    history = store.read(Wanted(history=True)).history
    assert history is not None
    ran = {NOW + first + minute for first, length in stretches for minute in range(length + 1)}
    assert {minute for first, last in history.runs for minute in range(first, last + 1)} == ran
    assert all(last + 1 < first for (_, last), (first, _) in itertools.pairwise(history.runs))


@pytest.mark.clause("7.last.bounded")
def test_only_so_many_stretches_are_kept_and_none_for_ever(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rgate.stats.store.MOST_RUNS", 3)
    store.sum_up(NOW, [(NOW + 10 * number, NOW + 10 * number) for number in range(5)])
    history = store.read(Wanted(history=True)).history
    assert history is not None
    assert history.runs == tuple((NOW + 10 * number, NOW + 10 * number) for number in (2, 3, 4))
    store.sum_up(NOW + HOURS_KEPT + 41)
    history = store.read(Wanted(history=True)).history
    assert history is not None
    assert history.runs == ()


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
    asked=st.none() | ages.filter(lambda age: 0 < age <= 366 * DAY_MINUTES),
    sums=st.integers(0, 2),
)
@example(counted=[(800 * DAY_MINUTES, A)], asked=None, sums=2)
def test_a_window_holds_what_a_naive_count_does_however_often_it_was_summed_up(
    store: Store, counted: list[tuple[int, Label]], asked: int | None, sums: int
) -> None:
    empty(store)
    for generation, (age, label) in enumerate(counted, 1):
        store.fold("live", generation, {(NOW - age, label): Histogram([age])}, NOW)
        if sums:
            store.sum_up(NOW)
    for _ in range(sums):
        store.sum_up(NOW)
    first = first_minute(asked, NOW)
    naive: dict[Label, Histogram] = {}
    for age, label in counted:
        if NOW - age >= first:
            naive.setdefault(label, Histogram()).merge(Histogram([age]))
    assert window(store, first).counts() == naive


@given(asked=st.integers(1, 366 * DAY_MINUTES), now=st.integers(366 * DAY_MINUTES, 10**9))
def test_a_window_is_never_shorter_than_asked_and_a_period_longer_at_most(asked: int, now: int) -> None:
    longer = now - asked - first_minute(asked, now)
    most = 1 if asked <= MINUTES_KEPT else HOUR_MINUTES if asked <= HOURS_KEPT else DAY_MINUTES
    assert 0 <= longer < most


@pytest.mark.clause("7.query.quick")
@given(asked=st.integers(1, 366 * DAY_MINUTES), now=st.integers(366 * DAY_MINUTES, 10**9))
@example(asked=DAY_MINUTES, now=DAY_MINUTES * 14 * 2000 + DAY_MINUTES - 1)
@example(asked=366 * DAY_MINUTES, now=DAY_MINUTES * 14 * 2000)
def test_no_window_needs_more_than_a_few_rows_of_a_label(asked: int, now: int) -> None:
    # What a row costs to read, and so the whole, `python -m bench.year` tells.
    rows = sum(
        max(-(-(min(end, now + 1) - begin) // MINUTES[span]), 0)
        for span, begin, end in periods(first_minute(asked, now))
    )
    assert rows <= 59 + 24 + 1


@pytest.mark.clause("7.last.bounded")
def test_old_minutes_and_hours_go_and_the_lifetime_stays(store: Store) -> None:
    for generation in range(1, 201):
        store.fold("live", generation, {(NOW + generation, A): Histogram([generation])}, NOW)
    store.sum_up(NOW + 201)
    assert rows(store) > 200
    later = NOW + 500 * DAY_MINUTES
    store.sum_up(later)
    assert rows(store) == 1
    assert window(store).counts() == {A: Histogram(range(1, 201))}


@pytest.mark.clause("7.last.bounded")
def test_too_many_containers_are_counted_together_the_oldest_first(store: Store) -> None:
    for number in range(30):
        store.fold(
            "live", number + 1, {(NOW + number, A._replace(container=f"c{number}")): Histogram([1])}, NOW
        )
    store.sum_up(NOW + 40, most_labels=20)
    counted = found(store)
    assert len(counted) <= 20
    assert sum(counted.values()) == 30
    assert counted[A._replace(container=OTHER)] >= 10
    assert counted[A._replace(container="c29")] == 1
    assert "c0" not in {label.container for label in counted}


@pytest.mark.clause("7.last.bounded")
def test_too_many_routes_are_counted_together_the_oldest_first(store: Store) -> None:
    for number in range(30):
        label = Label(f"/preview-{number}", f"b{number}", "", 503, cut=False, reason="no_container")
        store.fold("live", number + 1, {(NOW + number, label): Histogram([1])}, NOW)
    store.fold("live", 31, {(NOW + 30, A): Histogram([1])}, NOW)
    for minute in (40, 41):
        store.sum_up(NOW + minute, most_labels=20)
    counted = found(store)
    assert len(counted) <= 20
    assert sum(counted.values()) == 31
    together = Label(OTHER, OTHER, "", 503, cut=False, reason="no_container")
    assert counted[together] >= 10
    assert counted[together._replace(route="/preview-29", backend="b29")] == 1
    store.fold("live", 32, {(NOW + 42, A): Histogram([1])}, NOW)
    store.sum_up(NOW + 43, most_labels=20)
    assert found(store)[A] == 2, "what is asked now has room"


def test_names_are_kept_as_they_are(store: Store) -> None:
    label = Label("/ü'\"%", "", "🐳", 299, False)
    store.fold("live", 1, {(NOW, label): Histogram([2**60])}, NOW)
    assert window(store).counts() == {label: Histogram([2**60])}
