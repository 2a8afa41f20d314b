"""Figures over time: what every `Stats` holds, in memory, on SQLite and on PostgreSQL (behaviour 10)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rgate.core.lately import Cause
from rgate.core.reasons import Reason
from rgate.core.record import Record
from rgate.stats import STEPS_S, LastingStats, MemoryStats, Series, Stats, open_stats
from rgate.stats.figures import Figures

NOON_S = 1_700_006_400  # a whole hour
MS = 1_000_000
DAY_S = 86400


class World:
    """Statistics on a clock that the test moves."""

    def __init__(self, make: Callable[[Callable[[], float]], Stats]) -> None:
        self._make = make
        self.now_s = float(NOON_S)
        self.stats = make(self.now)

    def now(self) -> float:
        return self.now_s

    def another(self) -> Stats:
        """Another worker of the same gateway; in memory there is but one."""
        return self.stats if isinstance(self.stats, MemoryStats) else self._make(self.now)

    def another_life(self) -> Stats:
        """What it is after a restart."""
        return self._make(self.now)

    def pass_by(self, minutes: int) -> None:
        """Let time go by, as rgate sees it that runs."""
        for _ in range(minutes):
            self.now_s += 60
            if isinstance(self.stats, LastingStats):
                assert self.stats.fold()

    def add(self, status: int = 200, *, ms: float = 2, **values: Any) -> None:
        self.stats.add(record(self.now_s, status, ms=ms)._replace(**values))


def record(at_s: float, status: int = 200, *, ms: float = 2, **values: Any) -> Record:
    plain = Record(at_s, "192.0.2.7", "GET", "/", status, 0, int(ms * MS), "/api", "b", "c")
    return plain._replace(**values)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    url = f"sqlite:///{tmp_path}/stats.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")

    def make(now: Callable[[], float]) -> Stats:
        if request.param == "memory":
            return MemoryStats(now=now)
        return open_stats(url, state_dir=tmp_path, now=now, fold_every_s=None)

    made = World(make)
    yield made
    made.stats.close()


def kill(stats: LastingStats) -> None:
    """Let its process end without a word, as far as others can see."""
    stats._stop.set()
    stats._queries.close()
    stats._store.close()
    if stats._live_file is not None:
        stats._live_file.close()


def requests(figures: Figures) -> int:
    return figures.success + figures.error


def check(series: Series) -> None:
    """What holds of any series."""
    parts = (series.requests, series.errors, series.own, series.p50, series.p95, series.p99)
    assert {len(part) for part in parts} == {series.window_s // series.step_s}
    assert series.start % series.step_s == 0
    assert series.start + series.window_s - series.step_s <= series.now < series.start + series.window_s
    assert requests(series.total) == sum(filter(None, series.requests))
    assert series.total.error == sum(filter(None, series.errors))
    for asked, failed, own, *percentiles in zip(*parts, strict=True):
        if not asked:
            assert percentiles == [None] * 3
            assert (failed, own) in ((0, 0), (None, None))
        else:
            assert 0 <= own <= failed <= asked
            assert percentiles == sorted(percentiles)


@pytest.mark.clause("10.history.buckets")
@pytest.mark.parametrize("window_s", STEPS_S)
def test_each_window_has_whole_buckets_and_the_last_is_running(world: World, window_s: int) -> None:
    world.now_s += 61 * 60 + 7
    world.add()
    series = world.stats.series(window_s)
    check(series)
    assert series.requests[-1] == 1
    assert series.before is not None
    assert series.before.start + window_s == series.start
    assert series.before.before is None
    check(replace(series.before, now=series.start - 1))


@pytest.mark.clause("10.history.minutes", "10.history.total")
def test_what_was_counted_is_in_the_bucket_of_its_minute_and_in_the_total(world: World) -> None:
    for minute in range(5):
        for number in range(minute):
            world.add(200 if number else 503, ms=10 * minute)
        world.pass_by(1)
    series = world.stats.series(900)
    check(series)
    assert series.requests[-6:] == (0, 1, 2, 3, 4, 0)
    assert series.errors[-6:] == (0, 1, 1, 1, 1, 0)
    assert series.p95[-5:-1] == pytest.approx((10, 20, 30, 40), rel=0.01)
    assert series.total.error == 4
    assert series.total.p99_ms == pytest.approx(40, rel=0.01)
    assert series.total.average_ms == pytest.approx((10 + 2 * 20 + 3 * 30 + 4 * 40) / 10)


@pytest.mark.clause("10.history.minutes", "10.history.hours")
def test_buckets_go_by_and_the_window_before_shows_them(world: World) -> None:
    world.add(ms=5)
    for window_s, step_s in STEPS_S.items():
        world.now_s = NOON_S + window_s - step_s
        series = world.stats.series(window_s)
        assert (series.requests[0], sum(filter(None, series.requests))) == (1, 1)
        world.now_s = NOON_S + window_s
        series = world.stats.series(window_s)
        assert sum(filter(None, series.requests)) == 0
        assert series.before is not None
        assert series.before.requests[-1] == 1
        assert series.before.total.p95_ms == pytest.approx(5, rel=0.01)
        world.now_s = NOON_S + 2 * window_s - step_s
        before = world.stats.series(window_s).before
        assert before is not None
        assert before.requests[0] == 1
        if isinstance(world.stats, LastingStats):
            assert (
                world.stats.fold()
            )  # late: it was counted hours or days ago, and is in its place all the same
            before = world.stats.series(window_s).before
            assert before is not None
            assert before.requests[0] == 1


@pytest.mark.clause("10.history.own", "10.history.reasons")
def test_own_errors_are_those_that_no_container_and_no_client_is_the_cause_of(world: World) -> None:
    world.add(500)  # the container's
    world.add(499, reason="client_closed")
    world.add(200, cut=True)  # the container broke off
    world.add(503, container="", reason="no_container")
    world.add(502, reason="closed_early")
    world.add(200, cut=True, reason="stopped")
    world.add(404, route="", container="")  # the default response
    for _ in range(2):
        series = world.stats.series(900)
        check(series)
        assert (series.requests[-1], series.errors[-1], series.own[-1]) == (7, 7, 4)
        world.pass_by(0)
    world.pass_by(2)
    assert world.stats.series(900).own[-3] == 4


@pytest.mark.clause("10.history.ran")
def test_a_bucket_in_which_rgate_did_not_run_is_told_from_one_in_which_nobody_asked(world: World) -> None:
    world.pass_by(3)
    series = world.stats.series(900)
    assert series.requests == (None,) * 11 + (0,) * 4
    assert series.before is not None
    assert series.before.requests == (None,) * 15
    assert world.stats.series(604800).requests == (None,) * 167 + (0,)


@pytest.mark.clause("10.history.ran")
@pytest.mark.parametrize("end", ["closed", "killed"])
def test_a_restart_makes_no_gap_and_a_stop_does(world: World, end: str) -> None:
    if isinstance(world.stats, MemoryStats):
        pytest.skip("it does not last")
    for minutes_away in (0, 1, 3):
        world.pass_by(2)
        assert isinstance(world.stats, LastingStats)
        kill(world.stats) if end == "killed" else world.stats.close()
        world.now_s += 60 * minutes_away
        world.stats = world.another_life()
    assert world.stats.series(900).requests == (None,) * 4 + (0,) * 8 + (None,) * 2 + (0,)
    world.pass_by(1)
    assert world.stats.series(900).requests == (None,) * 3 + (0,) * 8 + (None,) * 2 + (0,) * 2


@pytest.mark.clause("10.history.routes", "10.history.total")
def test_each_route_has_its_own_numbers_and_the_default_response_has_too(world: World) -> None:
    world.add(route="/a", ms=3)
    world.pass_by(2)
    for status in (200, 503):
        world.add(status, route="/a", ms=7)
    world.add(404, route="", container="")
    for _ in range(2):
        whole, routes = world.stats.series_by_route(900)
        assert whole == world.stats.series(900)
        assert list(routes) == ["", "/a"]
        assert routes["/a"].requests[-4:] == (None, 1, 0, 2)
        assert routes["/a"].errors[-4:] == (None, 0, 0, 1)
        assert routes[""].requests[-4:] == (None, 0, 0, 1)
        assert routes["/a"].total.p99_ms == pytest.approx(7, rel=0.01)
        assert requests(routes["/a"].total) == 3
        world.pass_by(0)
    world.pass_by(15)
    whole, routes = world.stats.series_by_route(900)
    assert routes == {}
    assert whole.before is not None
    assert requests(whole.before.total) == 4


@pytest.mark.clause("10.history.containers")
def test_each_container_has_its_figures(world: World) -> None:
    for name, status, ms in (("one", 200, 4), ("one", 502, 4), ("two", 200, 9)):
        world.add(status, container=name, ms=ms)
    world.add(503, container="", reason="no_container")
    world.pass_by(1)
    figures = world.stats.by_container(900)
    assert list(figures) == [("b", "one"), ("b", "two")]
    assert (figures["b", "one"].requests, figures["b", "one"].errors) == (2, 1)
    assert figures["b", "two"].p95 == pytest.approx(9, rel=0.01)
    world.pass_by(15)
    assert world.stats.by_container(900) == {}


@pytest.mark.clause("10.history.reasons")
def test_why_rgate_itself_answered_is_known_for_a_quarter_of_an_hour(world: World) -> None:
    for _ in range(3):
        world.add(502, container="c-1", reason="closed_early")
    world.add(503, container="", reason="no_container")
    world.add(499, reason="client_closed")
    world.add(500)
    world.add(502, reason="as_a_later_rgate_says")
    world.pass_by(1)
    world.add(502, container="c-1", reason="closed_early")
    lately = world.stats.lately()
    causes = {Cause(Reason.CLOSED_EARLY, "c-1"): 4, Cause(Reason.NO_CONTAINER, ""): 1}
    assert (lately.requests, lately.errors, lately.causes, lately.ever) == (8, 8, causes, 8)
    world.pass_by(14)
    lately = world.stats.lately()
    assert (lately.causes, lately.ever) == ({Cause(Reason.CLOSED_EARLY, "c-1"): 1}, 8)


@pytest.mark.clause("10.history.running")
def test_the_running_bucket_is_exact_whatever_worker_counted_and_has_folded(world: World) -> None:
    other = world.another()
    for number in range(1, 13):
        world.add()
        other.add(record(world.now_s, 503, container="", reason="no_container"))
        series = world.stats.series(900)
        assert (series.requests[-1], series.errors[-1], series.own[-1]) == (2 * number, number, number)
        for folding, every in ((world.stats, 3), (other, 4)):
            if isinstance(folding, LastingStats) and number % every == 0:
                assert folding.fold()
        assert world.stats.series(900).requests[-1] == 2 * number
        assert requests(world.stats.series_by_route(86400)[1]["/api"].total) == 2 * number
    other.close()
    assert world.stats.series(900).requests[-1] == 24


@pytest.mark.clause("10.history.running")
def test_what_another_worker_folds_late_is_seen_in_buckets_that_were_over(world: World) -> None:
    other = world.another()
    other.add(record(NOON_S, ms=5))
    for _ in range(3):
        world.pass_by(1)
        world.stats.series_by_route(900)
    other.add(record(NOON_S, 503, ms=5))
    assert world.stats.series(900).requests[-4] == 2
    other.add(record(NOON_S, ms=5))
    other.close()
    world.pass_by(1)
    whole, routes = world.stats.series_by_route(900)
    assert (whole.requests[-5], whole.errors[-5]) == (3, 1)
    assert routes["/api"].requests[-5] == 3
    assert whole.p50[-5] == pytest.approx(5, rel=0.01)
