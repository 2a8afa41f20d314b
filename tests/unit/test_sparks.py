"""Figures beside those of the window before, and the drawings of both."""

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rgate.stats import Figures
from rgate.stats.series import Series
from rgate.web.page import Inside
from rgate.web.sparks import figures, rates, spark, ticked
from tests.page_states import NOW, data

LINE = st.lists(st.none() | st.integers(0, 9), max_size=6)


def series_of(state: str) -> Series:
    whose = data(state).whose
    assert isinstance(whose, Inside)
    return whose.series


def before(series: Series, total: Figures) -> Series:
    """*series* with *total* in the window before it."""
    assert series.before is not None
    return replace(series, before=replace(series.before, total=total))


def paths(drawing: str) -> list[str]:
    return re.findall(r'<path d="([^"]*)"/>', drawing)


@given(LINE, LINE)
@example([], [])
@example([None], [0])
@example([1, None, 1], [])
def test_a_drawing_has_a_gap_where_nothing_is_known_and_stays_within_its_height(
    line: Sequence[int | None], second: Sequence[int | None]
) -> None:
    for path, values in zip(paths(spark("req", line, second)), (line, second), strict=True):
        assert len(re.findall("[ML]", path)) == sum(value is not None for value in values)
        begins = [
            n for n, value in enumerate(values) if value is not None and (not n or values[n - 1] is None)
        ]
        assert path.count("M") == path.count("h0") == len(begins)
        for x, y in re.findall(r"([\d.]+) ([\d.-]+)", path):
            assert 0 <= float(x) <= 100
            assert 1 <= float(y) <= 23


@given(LINE)
def test_there_is_a_tick_wherever_something_was_counted(line: Sequence[int | None]) -> None:
    _, ticks = paths(ticked([1], line))
    assert ticks.count("V") == sum(bool(value) for value in line)
    assert all(8 <= float(top) <= 20 for top in re.findall(r"V([\d.-]+)", ticks))


def test_the_running_bucket_is_divided_by_the_seconds_it_has_had() -> None:
    series = series_of("well")
    first, last = series.requests[0], series.requests[-1]
    assert first is not None
    assert last is not None
    assert rates(series)[-1] == pytest.approx(last / (NOW - series.start - 59 * 60))
    assert rates(series)[0] == pytest.approx(first / 60)


@pytest.mark.clause("10.page.dash")
def test_nothing_counted_is_a_dash_and_stands_beside_nothing() -> None:
    told = figures(Figures(), None, 3600)
    assert [(one.value, one.unit, one.was) for one in told] == [("\u2013", "", "")] * 4


@pytest.mark.parametrize(
    ("now_ms", "then_ms", "was", "worse"),
    [
        (10.0, 10.1, "as 10 ms", False),
        (12.0, 10.0, "up from 10 ms", False),
        (13.0, 10.0, "up from 10 ms", True),
        (5.0, 10.0, "down from 10 ms", False),
    ],
)
def test_only_what_is_a_quarter_worse_is_marked(now_ms: float, then_ms: float, was: str, worse: bool) -> None:
    series = before(series_of("well"), Figures(10, 0, 1.0, then_ms, 1.0))
    p95 = figures(Figures(10, 0, 1.0, now_ms, 1.0), series, 3600)[2]
    assert (p95.was.replace("\u202f", " "), p95.is_worse) == (was, worse)


def test_a_few_errors_more_are_not_marked() -> None:
    series = before(series_of("well"), Figures(99_999, 1, 1.0, 1.0, 1.0))
    for errors, worse in ((50, False), (500, True)):
        told = figures(Figures(100_000, errors, 1, 1, 1), series, 3600)
        assert told[1].is_worse is worse
