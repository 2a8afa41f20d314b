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
from rgate.stats.live_file import Counts
from rgate.stats.queries import Answer, Queries, Read
from rgate.stats.reading import EVER, Known, Moment, State, Wanted, Window
from rgate.stats.store import StoreUnavailableError
from tests.threadless import gives_none

A, B = Label("/a", "a", "a-1", 200, False), Label("/b", "b", "b-1", 503, True)
NOW = 1000
WAIT_S = 30
EVER_WANTED = Wanted(None, EVER)

Fold = tuple[str, int, int, Label]
"""A live id, a generation, a minute and a label."""


class Database:
    """What `Store.read` says, from a list of folds, none of which is ever settled."""

    def __init__(self) -> None:
        self.folds: list[Fold] = []
        self.is_away = False

    def read(self, wanted: Wanted, known: Known, alive: Callable[[], None]) -> Known:
        if self.is_away:
            raise StoreUnavailableError("it is away")
        alive()
        folded = {live_id: generation for live_id, generation, _, _ in self.folds}
        moment = Moment(State(0, len(self.folds), 0), counted(self.folds), folded)
        assert wanted.first is not None
        return Known({**known.windows, wanted.name: Window(wanted.first, {}, moment)})


def counted(folds: Sequence[Fold]) -> Counts:
    counts: Counts = {}
    for _, _, minute, label in folds:
        counts.setdefault((minute, label), Histogram()).merge(Histogram([1]))
    return counts


def told(answer: Answer, name: object) -> Counts:
    """What the answer says was counted, with what was folded since."""
    window = answer.known.windows.get(name) or Window(EVER)
    counts = {key: Histogram.from_bytes(latencies.to_bytes()) for key, latencies in window.at.fresh.items()}
    for _, folded in answer.folded_since(window.at):
        for key, latencies in folded.items():
            counts.setdefault(key, Histogram()).merge(latencies)
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
)


@given(st.lists(steps, max_size=20))
@example([("another's fold", 0, A), ("own fold", 0, A), ("ask", None, None)])
@example([("ask", 1, None), ("own fold", 0, A), ("ask", None, None), ("away", 1, None), ("ask", 1, None)])
def test_what_is_kept_is_what_the_database_says_and_without_it_what_it_said_and_was_folded_since(
    todo: list[tuple[str, int | None, Label | None]],
) -> None:
    database = Database()
    known: dict[int | None, list[Fold]] = {}
    with queries_of(database.read) as queries:
        for step, number, label in todo:
            if label is not None:
                live_id = "own" if step == "own fold" else "other"
                fold = (live_id, len(database.folds) + 1, NOW + (number or 0), label)
                if live_id == "own" and database.is_away:
                    continue
                database.folds.append(fold)
                if live_id == "own":
                    queries.folded(live_id, fold[1], {fold[2:]: Histogram([1])})
                    for folds in known.values():
                        folds.append(fold)
            elif step == "away":
                database.is_away = bool(number)
            else:
                answer = queries.ask(Wanted(number, EVER))
                assert (answer.silent_s is None) == (not database.is_away)
                if not database.is_away:
                    known[number] = list(database.folds)
                if number in known:
                    assert told(answer, number) == counted(known[number])


def test_only_folds_that_are_not_in_what_is_kept_are_remembered() -> None:
    database = Database()
    with queries_of(database.read) as queries:
        for generation in range(1, 100):
            database.folds.append(("own", generation, NOW, A))
            queries.folded("own", generation, {(NOW, A): Histogram([1])})
            assert len(queries.ask(Wanted(None, EVER)).folds) <= 1


def test_no_more_windows_are_kept_than_people_look_at_and_the_lifetime_always() -> None:
    database = Database()
    with queries_of(database.read) as queries:
        for name in (None, *range(1, 100)):
            known = queries.ask(Wanted(name, EVER)).known
            assert name in known.windows
        assert len(queries._known.windows) < 12
        assert queries._asked_s.keys() == queries._known.windows.keys()
        assert None in queries._known.windows


class Hanging:
    """A database that takes a query and says nothing until it is let go."""

    def __init__(self) -> None:
        self.asked: list[Wanted] = []
        self.running = 0
        self.most_running = 0
        self.began = threading.Semaphore(0)
        self.let_go = threading.Event()

    def read(self, wanted: Wanted, known: Known, alive: Callable[[], None]) -> Known:
        del known, alive
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        self.asked.append(wanted)
        self.began.release()
        assert self.let_go.wait(WAIT_S)
        self.running -= 1
        return Known({wanted.name: Window(EVER, {A: Histogram([len(self.asked)])})})


def wait_until(look: Callable[[], int], wanted: int) -> None:
    until_s = time.monotonic() + WAIT_S
    while (seen := look()) != wanted:
        assert time.monotonic() < until_s, f"still {seen}"


def asking(queries: Queries, windows: Sequence[int | None]) -> list[threading.Thread]:
    threads = [threading.Thread(target=queries.ask, args=(Wanted(name, EVER),)) for name in windows]
    for thread in threads:
        thread.start()
    return threads


@pytest.mark.clause("7.query.quick")
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
    assert [wanted.name for wanted in database.asked] == [None, None, 15]
    assert database.most_running == 1


def test_one_that_hangs_is_given_up_and_whoever_comes_later_waits_for_nothing() -> None:
    database = Hanging()
    with queries_of(database.read, silent_after_s=0.05) as queries:
        for name in (None, *range(1, 500)):  # some of which would wait for minutes
            answer = queries.ask(Wanted(name, EVER))
            assert answer.known == Known()
            assert answer.silent_s is not None
        assert queries._wanted == {}
        assert len(database.asked) == 1
        database.let_go.set()


def test_one_that_hung_answers_again_once_it_can() -> None:
    database = Hanging()
    with queries_of(database.read, silent_after_s=0.05) as queries:
        assert queries.ask(EVER_WANTED).silent_s is not None
        database.let_go.set()
        while (answer := queries.ask(EVER_WANTED)).silent_s is not None:
            pass
        assert answer.known.windows[None].settled.keys() == {A}


def test_one_that_takes_long_but_shows_signs_of_life_is_waited_for() -> None:
    pause = threading.Event()

    def read(wanted: Wanted, known: Known, alive: Callable[[], None]) -> Known:
        del wanted
        for _ in range(20):
            pause.wait(0.05)  # time is the subject
            alive()
        return known

    with queries_of(read, silent_after_s=0.5) as queries:
        assert queries.ask(EVER_WANTED).silent_s is None


def test_one_that_the_system_gave_no_thread_for_is_asked_once_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database = Database()
    database.folds = [("live", 1, NOW, A)]
    with queries_of(database.read) as queries:
        with monkeypatch.context() as threadless:
            threadless.setattr(threading.Thread, "start", gives_none)
            assert queries.ask(EVER_WANTED).silent_s is not None
            assert queries.known(EVER_WANTED) is None
        answer = queries.ask(EVER_WANTED)
        assert answer.silent_s is None
        assert told(answer, None).keys() == {(NOW, A)}


def test_a_defect_is_told_and_the_next_query_is_asked(caplog: pytest.LogCaptureFixture) -> None:
    database = Database()
    failing = iter([True, False])

    def read(wanted: Wanted, known: Known, alive: Callable[[], None]) -> Known:
        if next(failing):
            raise RuntimeError("a defect")
        return database.read(wanted, known, alive)

    with queries_of(read) as queries:
        assert queries.ask(EVER_WANTED).silent_s is not None
        assert queries.ask(EVER_WANTED).silent_s is None
    assert "a defect" in caplog.text
