"""How the database is asked: one query at a time, for no longer than it lives, and not for the same twice."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.stats.figures import Label
from rgate.stats.histogram import Histogram
from rgate.stats.queries import Queries, Read
from rgate.stats.store import Stored, StoreUnavailableError

A, B = Label("/a", "a", "a-1", 200, False), Label("/b", "b", "b-1", 503, True)
NOW = 1000
WAIT_S = 30


class Database:
    """What `Store.read` says, from a list of folds: each a live id, a generation, a minute and a label."""

    def __init__(self) -> None:
        self.folds: list[tuple[str, int, int, Label]] = []
        self.is_away = False
        self.unpacked = 0

    def read(
        self, window_minutes: int | None, now_minute: int, known: Stored | None, alive: Callable[[], None]
    ) -> Stored:
        if self.is_away:
            raise StoreUnavailableError("it is away")
        if known is not None and known.revision == len(self.folds):
            return known
        alive()
        self.unpacked += 1
        folded = {live_id: generation for live_id, generation, _, _ in self.folds}
        return Stored(counted(self.folds, window_minutes, now_minute), folded, len(self.folds))


def counted(
    folds: Sequence[tuple[str, int, int, Label]], window_minutes: int | None, now_minute: int
) -> dict[Label, Histogram]:
    counts: dict[Label, Histogram] = {}
    for _, _, minute, label in folds:
        if window_minutes is None or minute >= now_minute - window_minutes:
            counts.setdefault(label, Histogram()).merge(Histogram([1]))
    return counts


@contextmanager
def queries_of(read: Read, silent_after_s: float = WAIT_S) -> Iterator[Queries]:
    queries = Queries(read, lambda _: None, silent_after_s)
    try:
        yield queries
    finally:
        queries.close()


steps = st.one_of(
    st.tuples(st.sampled_from(["own fold", "another's fold"]), st.integers(-3, 0), st.sampled_from([A, B])),
    st.tuples(st.just("ask"), st.sampled_from([None, 1, 2]), st.just(None)),
    st.tuples(st.just("away"), st.booleans(), st.just(None)),
    st.tuples(st.just("next minute"), st.just(None), st.just(None)),
)


@given(st.lists(steps, max_size=20))
@example([("another's fold", 0, A), ("own fold", 0, A), ("ask", None, None)])
def test_what_is_kept_is_what_the_database_says_and_without_it_what_it_said_and_was_folded_since(
    todo: list[tuple[str, int | None, Label | None]],
) -> None:
    database, now = Database(), NOW
    known: list[tuple[str, int, int, Label]] = []  # of the whole lifetime
    with queries_of(database.read) as queries:
        for step, number, label in todo:
            if label is not None:
                live_id = "own" if step == "own fold" else "other"
                fold = (live_id, len(database.folds) + 1, now + (number or 0), label)
                if live_id == "own" and database.is_away:
                    continue
                database.folds.append(fold)
                if live_id == "own":
                    counts = {fold[2:]: Histogram([1])}
                    queries.folded(live_id, fold[1], counts, len(database.folds))
                    known.append(fold)
            elif step == "away":
                database.is_away = bool(number)
            elif step == "next minute":
                now += 1
            else:
                stored, silent_s = queries.stored(number, now)
                assert (silent_s is None) == (not database.is_away)
                if not database.is_away:
                    assert stored.counts == counted(database.folds, number, now)
                    if number is None:
                        known = list(database.folds)
                elif number is None:
                    assert stored.counts == counted(known, None, now)


def test_nothing_is_unpacked_again_as_long_as_nobody_else_folds() -> None:
    database = Database()
    with queries_of(database.read) as queries:
        for number in range(1, 10):
            for window in (None, 1, 2):
                queries.stored(window, NOW)
            database.folds.append(("own", number, NOW, A))
            queries.folded("own", number, {(NOW, A): Histogram([1])}, number)
    assert database.unpacked == 3


def test_a_generation_that_the_database_had_already_is_not_counted_twice() -> None:
    database = Database()
    database.folds.append(("own", 1, NOW, A))
    with queries_of(database.read) as queries:
        queries.stored(None, NOW)
        queries.folded("own", 1, {(NOW, A): Histogram([1])}, None)
        database.is_away = True
        assert queries.stored(None, NOW).stored.counts == {A: Histogram([1])}


class Hanging:
    """A database that takes a query and says nothing until it is let go."""

    def __init__(self) -> None:
        self.asked: list[tuple[int | None, int]] = []
        self.running = 0
        self.most_running = 0
        self.began = threading.Semaphore(0)
        self.let_go = threading.Event()

    def read(
        self, window_minutes: int | None, now_minute: int, known: Stored | None, alive: Callable[[], None]
    ) -> Stored:
        del known, alive
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        self.asked.append((window_minutes, now_minute))
        self.began.release()
        assert self.let_go.wait(WAIT_S)
        self.running -= 1
        return Stored({A: Histogram([len(self.asked)])}, {}, len(self.asked))


def wait_until(look: Callable[[], int], wanted: int) -> None:
    until_s = time.monotonic() + WAIT_S
    while (seen := look()) != wanted:
        assert time.monotonic() < until_s, f"still {seen}"


def asking(queries: Queries, windows: Sequence[int | None]) -> list[threading.Thread]:
    threads = [threading.Thread(target=queries.stored, args=(window, NOW)) for window in windows]
    for thread in threads:
        thread.start()
    return threads


def test_queries_run_one_by_one_and_those_for_the_same_that_come_meanwhile_are_one() -> None:
    database = Hanging()
    with queries_of(database.read) as queries:
        threads = asking(queries, [None])
        assert database.began.acquire(timeout=WAIT_S)
        threads += asking(queries, [None, 15, None, 15, None])
        wait_until(lambda: sum(query.waiting for query in [*queries._wanted.values()]), 5)
        database.let_go.set()
        for thread in threads:
            thread.join()
    assert sorted(map(str, database.asked)) == sorted(map(str, [(None, NOW), (None, NOW), (15, NOW)]))
    assert database.most_running == 1


def test_one_that_hangs_is_given_up_and_whoever_comes_later_waits_for_nothing() -> None:
    database = Hanging()
    with queries_of(database.read, silent_after_s=0.05) as queries:
        for window in (None, *range(1, 500)):  # some of which would wait for minutes
            stored, silent_s = queries.stored(window, NOW)
            assert stored.counts == {}
            assert silent_s is not None
        assert queries._wanted == {}
        assert len(database.asked) == 1
        database.let_go.set()


def test_one_that_hung_answers_again_once_it_can() -> None:
    database = Hanging()
    with queries_of(database.read, silent_after_s=0.05) as queries:
        assert queries.stored(None, NOW).silent_s is not None
        database.let_go.set()
        while (answer := queries.stored(None, NOW)).silent_s is not None:
            pass
        assert answer.stored.counts.keys() == {A}


def test_one_that_takes_long_but_shows_signs_of_life_is_waited_for() -> None:
    pause = threading.Event()

    def read(
        window_minutes: int | None, now_minute: int, known: Stored | None, alive: Callable[[], None]
    ) -> Stored:
        del window_minutes, now_minute, known
        for _ in range(20):
            pause.wait(0.05)  # time is the subject
            alive()
        return Stored({A: Histogram([1])}, {}, 1)

    with queries_of(read, silent_after_s=0.5) as queries:
        assert queries.stored(None, NOW).silent_s is None


def test_a_defect_is_told_and_the_next_query_is_asked(caplog: pytest.LogCaptureFixture) -> None:
    database = Database()
    failing = iter([True, False])

    def read(
        window_minutes: int | None, now_minute: int, known: Stored | None, alive: Callable[[], None]
    ) -> Stored:
        if next(failing):
            raise RuntimeError("a defect")
        return database.read(window_minutes, now_minute, known, alive)

    with queries_of(read) as queries:
        assert queries.stored(None, NOW).silent_s is not None
        assert queries.stored(None, NOW).silent_s is None
    assert "a defect" in caplog.text
