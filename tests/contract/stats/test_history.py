"""Figures over time are those of a plain list, whoever counts, folds, restarts and is killed when."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rgate.core.record import Record
from rgate.stats import LastingStats, open_stats
from rgate.stats.figures import Label
from rgate.stats.histogram import Histogram
from rgate.stats.schema import METADATA, STATE
from rgate.stats.series import (
    OfMinute,
    RouteSeries,
    Series,
    by_container_of,
    frame_of,
    lately_of,
    series_by_route_of,
)
from tests.contract.stats.test_series import kill

NOON_S = 1_700_006_400  # a whole hour
MS = 1_000_000
ROUTES = ("", "/a")
CONTAINERS = ("", "c-1", "c-2")

Step = tuple[str, int, int]


class World:
    """Two workers, a clock, and the list of all that was counted."""

    def __init__(self, make: Callable[[Callable[[], float]], LastingStats]) -> None:
        self.now_s = float(NOON_S)
        self.make = make
        self.workers = [make(self.now), make(self.now)]
        self.counted: list[OfMinute] = []

    def now(self) -> float:
        return self.now_s

    def do(self, step: Step) -> None:
        what, number, amount = step
        worker = self.workers[number % 2]
        match what:
            case "count":
                self.count(worker, number, amount)
            case "fold":
                assert worker.fold()
            case "restart":
                worker.close()
                self.workers[number % 2] = self.make(self.now)
            case "kill":
                kill(worker)
                self.workers[number % 2] = self.make(self.now)
            case "minutes" | "hours":
                self.now_s += amount * (60 if what == "minutes" else 3600)
                if number % 4:
                    assert worker.fold()
            case "check":
                self.check()

    def count(self, worker: LastingStats, number: int, amount: int) -> None:
        """Count a request that ended up to some minutes ago."""
        label = Label(
            ROUTES[number % 2],
            "b",
            CONTAINERS[number % 3],
            (200, 404, 503)[amount % 3],
            number % 7 == 0,
            ("", "closed_early", "client_closed")[number % 3],
        )
        at_s, latency_ns = self.now_s - 60 * (amount % 4), (1 + amount) * MS
        names = (label.route, label.backend, label.container)
        record = Record(at_s, "", "GET", "/", label.status, 0, latency_ns, *names)
        worker.add(record._replace(reason=label.reason, cut=label.cut))
        self.counted.append((int(at_s) // 60, label, Histogram([latency_ns])))

    def check(self) -> None:
        for worker in self.workers:
            for window_s in (900, 21600, 86400, 604800):
                frame = frame_of(window_s, self.now_s)
                expected, routes = series_by_route_of(frame, self.counted, [(0, 1 << 40)])
                found = worker.series_by_route(window_s)
                assert known(found[0]) == expected
                assert known(worker.series(window_s)) == expected
                assert {name: known_of(route) for name, route in found[1].items()} == routes
                assert found[0].requests[-1] is not None
                within = [(label, part) for minute, label, part in self.counted if 60 * minute >= frame.start]
                assert worker.by_container(window_s) == by_container_of(within)
                if window_s == 900:
                    assert worker.lately() == lately_of(within, len(self.counted))


def known(series: Series) -> Series:
    """Return *series* as if rgate had always run."""
    return replace(
        series,
        requests=zeros(series.requests),
        errors=zeros(series.errors),
        own=zeros(series.own),
        before=known(series.before) if series.before is not None else None,
    )


def known_of(route: RouteSeries) -> RouteSeries:
    return RouteSeries(zeros(route.requests), zeros(route.errors), route.total)


def zeros(numbers: tuple[int | None, ...]) -> tuple[int, ...]:
    return tuple(number or 0 for number in numbers)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database; "" for SQLite's, which is a file of each example."""
    return str(request.getfixturevalue("postgres_url")) if request.param == "postgresql" else ""


@contextmanager
def world_on(database: str) -> Iterator[World]:
    with TemporaryDirectory(prefix="rgate-history-") as directory:
        url = database or f"sqlite:///{directory}/rgate.db"

        def make(now: Callable[[], float]) -> LastingStats:
            return open_stats(url, state_dir=Path(directory), now=now, fold_every_s=None)

        world = World(make)
        yield world
        for worker in world.workers:
            worker.close()
        if database:
            empty(database)


def empty(url: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for table in METADATA.sorted_tables:
            if table is not STATE:
                connection.execute(table.delete())
        connection.execute(STATE.update().values(identity=STATE.c.identity + 1))
    engine.dispose()


small = st.integers(0, 7)
steps = st.tuples(
    st.sampled_from(
        ["count", "count", "count", "fold", "restart", "kill", "minutes", "minutes", "hours", "check"]
    ),
    small,
    small,
)
LATE: Final = [
    *(("count", 1, 0), ("fold", 1, 0), ("minutes", 1, 1), ("minutes", 1, 1), ("check", 0, 0)),
    *(("count", 1, 2), ("fold", 1, 0), ("minutes", 1, 1), ("check", 0, 0)),
]
"""A minute that was over, summed up and looked at is counted in once more."""


@pytest.mark.clause("10.history.minutes", "10.history.running", "10.history.total")
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps, max_size=20))
@example(LATE)
@example(
    [("count", 0, 3), ("kill", 0, 0), ("minutes", 0, 7), ("fold", 1, 0), ("check", 0, 0), ("kill", 1, 0)]
)
@example([*LATE[:5], ("hours", 0, 7)])  # what left the window since, with nothing changed
@example([("count", 1, 3), ("check", 0, 0), ("fold", 1, 0), ("hours", 0, 7), ("fold", 0, 0), ("hours", 0, 7)])
def test_it_is_as_a_plain_list_says(database: str, todo: list[Step]) -> None:
    with world_on(database) as world:
        for step in [*todo, ("check", 0, 0)]:
            world.do(step)
