"""A year of figures, and how long it takes to ask for them.

    python -m bench.year                                  # SQLite, in a directory that is removed
    python -m bench.year postgresql+psycopg://…/empty      # in an empty database

The database is as a busy gateway leaves it: 150 labels of 60 routes, each asked ten times a second, by day
and by night, for a year. Rows are written directly: to count so many would take the year.
"""

import os
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import sqlalchemy as sa

from rgate.core.record import Record
from rgate.stats import LastingStats, open_stats
from rgate.stats.figures import Label
from rgate.stats.histogram import Histogram
from rgate.stats.schema import (
    COUNTS,
    COUNTS_KEPT,
    DAY_MINUTES,
    HOURS_KEPT,
    LABELS,
    MINUTES,
    RUNS,
    SUMS,
    SUMS_KEPT,
    Span,
)
from rgate.stats.store import open_store
from rgate.stats.sums import Sum

ROUTES: Final = 60
CONTAINERS: Final = 120
FAILING: Final = 30  # further labels, of the containers' errors
REQUESTS_A_MINUTE: Final = 600
NOW_S: Final = 1_700_013_570  # half past two, in the afternoon of no special day
NOW: Final = NOW_S // 60
WINDOWS: Final = {
    "15 min": 15,
    "1 h": 60,
    "23 h 59 min": 1439,
    "24 h": 1440,
    "2 d": 2880,
    "7 d": 7 * DAY_MINUTES,
    "30 d 23 h": 31 * DAY_MINUTES - 60,
    "31 d": 31 * DAY_MINUTES,
    "100 d": 100 * DAY_MINUTES,
    "366 d": 366 * DAY_MINUTES,
    "ever": None,
}


def labels() -> list[Label]:
    """Return 150 labels."""
    ok = [
        Label(f"/api/service-{n % ROUTES}", f"service-{n % ROUTES}", f"service-{n}", 200, False)
        for n in range(CONTAINERS)
    ]
    return ok + [label._replace(status=502, reason="closed_early") for label in ok[:FAILING]]


def latencies(requests: int, median_ms: float, chance: random.Random) -> Histogram:
    return Histogram(int(1e6 * median_ms * chance.lognormvariate(0, 0.5)) for _ in range(requests))


def together(parts: list[Histogram], times: int, chance: random.Random) -> Histogram:
    merged = Histogram()
    for _ in range(times):
        merged.merge(chance.choice(parts))
    return merged


class Pools:
    """Of each label and span some histograms to choose from: to make each anew would take hours."""

    def __init__(self, number: int, chance: random.Random) -> None:
        median_ms = 1.1 ** (number % 40)
        requests = REQUESTS_A_MINUTE if number < CONTAINERS else 3
        minutes = [latencies(requests, median_ms, chance) for _ in range(12)]
        hours = [together(minutes, 60, chance) for _ in range(4)]
        days = [together(hours, 24, chance) for _ in range(3)]
        self.of_span = {
            Span.FRESH: minutes,
            Span.MINUTE: minutes,
            Span.HOUR: hours,
            Span.DAY: days,
            Span.FORTNIGHT: [together(days, 14, chance)],
            Span.EVER: [together(days, 366, chance)],
        }
        self.stored = {span: [one.to_bytes() for one in pool] for span, pool in self.of_span.items()}


def starts() -> Iterator[tuple[Span, int]]:
    """Yield the periods that a database of a year has rows of."""
    yield Span.FRESH, NOW
    yield Span.EVER, 0
    for span, kept in COUNTS_KEPT.items():
        length = MINUTES[span]
        yield from ((span, start) for start in range((NOW - kept) // length * length, NOW, length))


def fill(engine: sa.Engine) -> None:
    """Write the rows of a year."""
    chance = random.Random(1)
    named = labels()
    pools = [Pools(number, chance) for number in range(len(named))]
    rows: Iterator[dict[str, Any]] = (
        {"span": span, "start": start, "label": number, "histogram": chance.choice(pool.stored[span])}
        for span, start in starts()
        for number, pool in enumerate(pools, 1)
    )
    with engine.begin() as connection:
        numbered = [{"id": n, **label._asdict(), "last_minute": NOW} for n, label in enumerate(named, 1)]
        connection.execute(LABELS.insert(), numbered)
        while some := list(islice(rows, 5000)):
            connection.execute(COUNTS.insert(), some)
        sums = []
        for span, kept in SUMS_KEPT.items():
            variants = []
            for _ in range(5):
                summed = Sum()
                for label, pool in zip(named, pools, strict=True):
                    summed.add(label, chance.choice(pool.of_span[span]))
                variants.append(asdict(summed.row()))
            length = MINUTES[span]
            sums += [
                {"span": span, "start": start, "revision": 0, **chance.choice(variants)}
                for start in range((NOW - kept) // length * length, NOW, length)
            ]
        connection.execute(SUMS.insert(), sums)
        connection.execute(RUNS.insert().values(first=NOW - HOURS_KEPT, last=NOW))


def timed(work: Callable[[], object], times: int = 1) -> str:
    """Return how long *work* took, the least of several times: by the clock, and of the processor."""
    taken = []
    for _ in range(times):
        began, cpu_began = time.perf_counter(), time.process_time()
        work()
        taken.append((1000 * (time.perf_counter() - began), 1000 * (time.process_time() - cpu_began)))
    return "{:8.1f} ms ({:6.1f})".format(*(min(column) for column in zip(*taken, strict=True)))


def count(stats: LastingStats, at_s: float) -> None:
    for number, label in enumerate(labels()):
        record = Record(at_s, "", "GET", "/", label.status, 0, 1_000_000 * (1 + number), *label[:3])
        for _ in range(20):
            stats.add(record._replace(reason=label.reason))


def measure(url: str, directory: Path) -> None:
    store, why = open_store(url)
    assert not why, why
    tell("filling it", lambda: fill(store._engine))
    store.close()
    now = [float(NOW_S)]
    made: list[LastingStats] = []
    tell("opening it", lambda: made.append(opened(url, directory, now)))
    stats = made[0]
    for name, window in WINDOWS.items():
        tell(f"/stats?window={name}", partial(stats.counted, window), again=True)
    for window_s in (900, 86400, 604800):
        tell(f"series({window_s})", partial(stats.series, window_s), again=True)
        tell(f"series_by_route({window_s})", partial(stats.series_by_route, window_s), again=True)
        tell(f"by_container({window_s})", partial(stats.by_container, window_s), again=True)
    tell("lately()", stats.lately, again=True)
    day, routes = partial(stats.series, 86400), partial(stats.series_by_route, 86400)
    count(stats, now[0])
    tell("150 labels live: series(86400)", day, again=True)
    tell("150 labels live: series_by_route(86400)", routes, again=True)
    tell("a fold of 150 labels", stats.fold)
    tell("series(86400), after it", day)
    tell("series_by_route(86400), after it", routes)
    now[0] += 60
    count(stats, now[0])
    tell("a fold in a new minute, summing up", stats.fold)
    tell("series(86400), after it", day)
    tell("series_by_route(86400), after it", routes)
    stats.close()
    print(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def tell(what: str, work: Callable[[], object], *, again: bool = False) -> None:
    first = timed(work)
    print(f"{what:42}{first}" + (f", again {timed(work, 5)}" if again else ""), flush=True)


def opened(url: str, directory: Path, now: list[float]) -> LastingStats:
    return open_stats(url, state_dir=directory, now=lambda: now[0], fold_every_s=None)


def size_of(url: str) -> int:
    """Return how many bytes the database takes."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            return os.stat(engine.url.database or "").st_size
        return int(connection.scalar(sa.text("SELECT pg_database_size(current_database())")) or 0)


@contextmanager
def database() -> Iterator[tuple[str, Path]]:
    with TemporaryDirectory(prefix="rgate-year-") as directory:
        url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{directory}/rgate.db"
        yield url, Path(directory)


if __name__ == "__main__":
    with database() as (url, directory):
        measure(url, directory)
        print(f"the database takes {size_of(url) / 1e6:.0f} MB")
