"""What is told of all that was counted ever, by any of several workers, over random histories of them and of
the database (behaviour 10).
"""

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import gt
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rgate.core.candidates import Address, BackendView, Candidate
from rgate.core.config import Backend, Config
from rgate.core.counters import Counters, Series
from rgate.core.gateway import Gateway
from rgate.core.record import Record
from rgate.stats.database import engine_of
from rgate.stats.figures import OTHER
from rgate.stats.lasting import LastingStats
from rgate.stats.lifetime import CONTAINER_REQUESTS, DURATION, PROBLEMS, REQUESTS, counters_of
from rgate.stats.memory import MemoryStats
from rgate.stats.store import Store, StoreUnavailableError
from rgate.telling.siblings import Answers, Function
from rgate.web.metrics_page import MetricsPage
from rgate.web.worker_metrics import WorkerMetrics

NOON_S = 1_700_000_040.0  # a whole minute
PLACES = 2
OF_FIGURES = (REQUESTS, CONTAINER_REQUESTS, DURATION, PROBLEMS)
NAMES = ("x", "y")


class LeavingStore(Store):
    """A store whose database may be away."""

    def __init__(self, engine: sa.Engine, is_away: Callable[[], bool]) -> None:
        super().__init__(engine)
        self._is_away = is_away

    @contextlib.contextmanager
    def _writing(self, *, prepared: bool = True) -> Iterator[sa.Connection]:
        self._look()
        with super()._writing(prepared=prepared) as connection:
            yield connection

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        self._look()
        with super()._reading() as connection:
            yield connection

    def _look(self) -> None:
        if self._is_away():
            raise StoreUnavailableError("away")


class Meeting:
    """The `Siblings` of one place, in this process; what is asked goes through JSON, as between processes."""

    def __init__(self, world: "World", place: int, directory: Path) -> None:
        self.place = str(place)
        self.directory: Path | None = directory
        self.functions: dict[str, Function] = {}
        self._world = world

    def answer(self, question: str, function: Function) -> None:
        self.functions[question] = function

    def ask(self, question: str, arguments: Mapping[str, Any], within_s: float = 1.0) -> Answers:
        del within_s
        asked = json.loads(json.dumps(arguments))
        there = [one.siblings for one in self._world.workers.values()]
        told = [one.functions[question](asked) for one in there if one is self or self._world.all_answer]
        return Answers(json.loads(json.dumps(told)), len(there) - len(told))


@dataclass
class Worker:
    stats: LastingStats
    siblings: Meeting
    page: MetricsPage


@dataclass
class World:
    """One rgate of several workers, over and over, on one database; and what was counted."""

    directory: Path
    minute: int = 0
    away: bool = False
    all_answer: bool = True
    runs: int = 0
    workers: dict[int, Worker] = field(default_factory=dict)
    counted: list[Record] = field(default_factory=list)

    def now_s(self) -> float:
        return NOON_S + 60 * self.minute

    def start_all(self) -> None:
        self.runs += 1
        (self.directory / f"run-{self.runs}").mkdir()
        for place in range(PLACES):
            self.start(place)

    def start(self, place: int) -> None:
        store = LeavingStore(engine_of(f"sqlite:///{self.directory}/rgate.db"), lambda: self.away)
        stats = LastingStats(store, self.directory / "rgate.db", self.now_s)
        stats.begin(lambda: "", None)
        siblings = Meeting(self, place, self.directory / f"run-{self.runs}")
        candidates = tuple(Candidate(name, name, Address("127.0.0.1", 1)) for name in NAMES)
        config = Config((), (Backend("b", urls=("http://127.0.0.1:1",)),))
        gateway = Gateway(config, {"b": BackendView("b", candidates)}, lambda: 0.0)
        # One process stands for all: what tells them apart is how often a place was taken.
        worker = WorkerMetrics(gateway, tuple, str(place))
        self.workers[place] = Worker(stats, siblings, MetricsPage(gateway, worker, stats, siblings))

    def kill(self, place: int) -> None:
        """End a worker as SIGKILL does: its live file stays."""
        stats = self.workers.pop(place).stats
        stats._queries.close()
        stats._store.close()
        if stats._live_file is not None:
            stats._live_file.close()

    def count(self, place: int, record: Record) -> None:
        self.workers[place].stats.add(record._replace(ended_at_s=self.now_s()))
        self.counted.append(record)

    def told(self, place: int) -> dict[str, Series]:
        values = self.workers[place].page.values()
        return {name: series for name, series in values.items() if name in OF_FIGURES}

    def truth(self) -> Counters:
        memory = MemoryStats()
        for record in self.counted:
            memory.add(record)
        return counters_of(memory.parts({})[0].tallies)

    def close(self) -> None:
        for place in [*self.workers]:
            self.kill(place)


@contextlib.contextmanager
def world() -> Iterator[World]:
    with tempfile.TemporaryDirectory() as directory:
        made = World(Path(directory))
        made.start_all()
        try:
            yield made
        finally:
            made.close()


def more(one: Counters, other: Counters) -> list[object]:
    """Return the series of *one* that are more than in *other*, or are not there."""
    return [
        (name, labels, numbers)
        for name, series in one.items()
        for labels, numbers in series.items()
        if any(map(gt, numbers, other.get(name, {}).get(labels, (0,) * len(numbers))))
    ]


def without_zeros(counters: Counters) -> Counters:
    """Return *counters* without reasons that did not happen."""
    return {
        name: {labels: numbers for labels, numbers in series.items() if numbers[-1]}
        for name, series in counters.items()
    }


RECORDS = st.builds(
    lambda container, status, reason, ms: Record(
        0.0, "1.2.3.4", "GET", "/", status, 0, ms * 10**6, f"/{container}", "b", container, reason=reason
    ),
    st.sampled_from(NAMES),
    st.sampled_from([200, 503]),
    st.sampled_from(["", "timeout"]),
    st.integers(0, 3000),
)
PLACE = st.integers(0, PLACES - 1)
STEPS = st.one_of(
    st.tuples(st.just("count"), PLACE, RECORDS),
    st.tuples(st.just("fold"), PLACE),
    st.tuples(st.just("ask"), PLACE),
    st.tuples(st.just("die"), PLACE),
    st.tuples(st.just("restart")),
    st.tuples(st.just("minute")),
    st.tuples(st.just("away"), st.booleans()),
    st.tuples(st.just("all_answer"), st.booleans()),
)
ONE = Record(0.0, "1.2.3.4", "GET", "/", 200, 0, 10**6, "/x", "b", "x")


@pytest.mark.clause("10.metrics.never_less", "10.metrics.requests", "10.metrics.workers")
@settings(max_examples=20)
@given(st.lists(STEPS, max_size=20))
@example([("count", 0, ONE), ("ask", 1), ("fold", 0), ("ask", 1)])
@example([("count", 0, ONE), ("ask", 1), ("die", 0), ("ask", 1)])
@example([("count", 0, ONE), ("ask", 1), ("all_answer", False), ("fold", 0), ("ask", 1)])
@example([("count", 0, ONE), ("fold", 0), ("ask", 1), ("die", 0), ("minute",), ("fold", 1), ("ask", 1)])
@example(
    [("count", 0, ONE), ("ask", 0), ("away", True), ("restart",), ("ask", 0), ("away", False), ("ask", 0)]
)
def test_no_figure_falls_and_none_is_more_than_was_counted(steps: list[tuple[Any, ...]]) -> None:
    highest: Counters = {}
    with world() as here:
        for step in steps:
            match step:
                case "count", place, record:
                    here.count(place, record)
                case "fold", place:
                    here.workers[place].stats.fold()
                case "die", place:
                    here.kill(place)
                    here.start(place)
                case ["restart"]:
                    here.close()
                    here.start_all()
                case ["minute"]:
                    here.minute += 1
                case "away", bool(away):
                    here.away = away
                case "all_answer", bool(all_answer):
                    here.all_answer = all_answer
                case "ask", place:
                    told = here.told(place)
                    if not told:  # rather nothing than less
                        continue
                    assert more(without_zeros(highest), told) == []
                    assert more(without_zeros(told), here.truth()) == []
                    highest = {n: {**highest.get(n, {}), **told.get(n, {})} for n in OF_FIGURES}
        here.away, here.all_answer = False, True
        for one in here.workers.values():
            one.stats.fold()
            one.stats.counted()  # so that it has heard what the others folded
        for place in here.workers:
            assert without_zeros(here.told(place)) == without_zeros(here.truth())


@pytest.mark.clause("10.metrics.same", "10.metrics.workers")
@settings(max_examples=20)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("count"), PLACE, RECORDS),
            st.tuples(st.just("fold"), PLACE),
            st.tuples(st.just("minute"), PLACE),
            st.tuples(st.just("ask"), PLACE),
        ),
        max_size=15,
    )
)
@example([("count", 0, ONE), ("fold", 0), ("count", 0, ONE), ("ask", 1), ("fold", 0), ("ask", 1), ("ask", 0)])
def test_all_that_was_counted_is_told_at_once_whoever_folds_and_whoever_is_asked(
    steps: list[tuple[Any, ...]],
) -> None:
    with world() as here:
        for step in steps:
            match step:
                case "count", place, record:
                    here.count(place, record)
                case "fold", place:
                    here.workers[place].stats.fold()
                case "minute", _:
                    here.minute += 1
                case "ask", place:
                    assert without_zeros(here.told(place)) == without_zeros(here.truth())


@pytest.mark.clause("10.metrics.workers", "10.metrics.never_less")
@pytest.mark.parametrize("dies", [True, False])
def test_what_a_worker_counted_that_does_not_answer_is_read_from_its_file(dies: bool) -> None:
    with world() as here:
        here.count(0, ONE)
        here.count(1, ONE)
        here.all_answer = False
        if dies:
            here.kill(0)
        assert without_zeros(here.told(1)) == without_zeros(here.truth())


@pytest.mark.clause("10.metrics.unknown", "10.metrics.memory")
def test_while_the_database_has_not_answered_since_the_start_nothing_is_told_and_then_all() -> None:
    with world() as here:
        here.count(0, ONE)
        here.workers[0].stats.fold()
        here.close()
        here.away = True
        here.start_all()
        here.count(0, ONE)
        assert here.told(0) == here.told(1) == {}
        here.away = False
        here.workers[0].stats.fold()
        assert without_zeros(here.told(0)) == without_zeros(here.truth())
        here.away = True
        here.kill(1)
        here.start(1)  # one that never heard of the database tells what was told
        assert without_zeros(here.told(1)) == without_zeros(here.truth())


@pytest.mark.clause("10.metrics.never_less")
def test_a_database_that_was_made_anew_begins_anew() -> None:
    with world() as here:
        here.count(0, ONE)
        here.count(0, ONE)
        here.workers[0].stats.fold()
        assert here.told(0)[REQUESTS] == {("/x", "b", "200"): (2,)}
        for file in here.directory.glob("rgate.db*"):
            if ".live" not in file.name:
                file.unlink()
        here.count(0, ONE)
        here.workers[0].stats.fold()
        here.workers[0].stats.counted()
        assert here.told(0)[REQUESTS] == {("/x", "b", "200"): (1,)}


@pytest.mark.clause("10.metrics.never_less", "10.metrics.gone")
def test_nothing_falls_and_no_other_grows_when_the_database_folds_a_container_into_others() -> None:
    with world() as here:
        for _ in range(3):
            here.count(0, ONE)
        here.workers[0].stats.fold()
        before = here.told(1)
        here.minute += 1
        here.workers[0].stats._store.sum_up(int(here.now_s()) // 60, most_labels=0)
        for worker in here.workers.values():
            (label,) = (label for label, _ in worker.stats.counted().counts)
            assert label.container == OTHER
        assert here.told(0) == here.told(1) == before
