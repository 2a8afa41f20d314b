"""Figures over time from the rows that a database keeps of each minute and hour, and what is newer.

Rows that did not change are the same objects, so what was made of them is kept, and made anew only where one
of them is another.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeVar

from rgate.stats.figures import Figures
from rgate.stats.reading import History
from rgate.stats.schema import HOUR_MINUTES, MINUTES, Span
from rgate.stats.series import (
    Frame,
    Numbers,
    OfMinute,
    RouteSeries,
    Runs,
    Series,
    figures_of,
    numbers_of,
    routes_from,
    series_from,
)
from rgate.stats.sums import Routes, Sum, SumRow

Rows = tuple[SumRow, ...]
_T = TypeVar("_T")

_MOST_KEPT: Final = 5000
_MOST_TOTALS: Final = 20  # two for each window


class OverTime:
    """What was made of rows, to be used again. Any thread may call."""

    def __init__(self) -> None:
        # By step and start of a bucket, and by the start of a frame: the rows, and what was made of them.
        # No lock: what two threads make at once is the same.
        self._numbers: dict[tuple[int, int], tuple[Rows, Numbers]] = {}
        self._routes: dict[tuple[int, int], tuple[Rows, Routes]] = {}
        self._totals: dict[tuple[int, int], tuple[Rows, Sum]] = {}

    def series(self, frame: Frame, history: History, newer: Iterable[OfMinute], runs: Runs) -> Series:
        """Return the series of what *history* has and what is *newer*, and of the window before."""
        newer, runs = list(newer), [*history.runs, *runs]
        return self._series(frame, history, newer, runs, self._series(frame.before(), history, newer, runs))

    def _series(
        self,
        frame: Frame,
        history: History,
        newer: Sequence[OfMinute],
        runs: Runs,
        before: Series | None = None,
    ) -> Series:
        rows, live = _rows(frame, history), _by_bucket(frame, newer)
        numbers = [
            numbers_of(_together(of_bucket, live[number]))
            if number in live
            else self._numbers_of((frame.step_s, frame.start + number * frame.step_s), of_bucket)
            for number, of_bucket in enumerate(rows)
        ]
        return series_from(frame, numbers, runs, self._total(frame, rows, live.values()), before)

    def by_route(
        self,
        frame: Frame,
        history: History,
        newer: Iterable[OfMinute],
        whole: Series,
        totals: Mapping[str, Figures],
    ) -> dict[str, RouteSeries]:
        """Return the series of each route; *whole* is that of all, *totals* are those of each."""
        rows, live = _rows(frame, history), _by_bucket(frame, newer)
        routes = [
            _together(of_bucket, live[number]).routes
            if number in live
            else self._routes_of((frame.step_s, frame.start + number * frame.step_s), of_bucket)
            for number, of_bucket in enumerate(rows)
        ]
        return routes_from(whole, routes, totals)

    def _numbers_of(self, key: tuple[int, int], rows: Rows) -> Numbers:
        known = self._numbers.get(key)
        if known is None or known[0] != rows:
            known = (rows, numbers_of(_summed(rows)))
            _keep(self._numbers, key, known)
        return known[1]

    def _routes_of(self, key: tuple[int, int], rows: Rows) -> Routes:
        known = self._routes.get(key)
        if known is None or known[0] != rows:
            known = (rows, _routes(rows))
            _keep(self._routes, key, known)
        return known[1]

    def _total(self, frame: Frame, rows: Sequence[Rows], live: Iterable[Sum]) -> Figures:
        all_rows = tuple(row for of_bucket in rows for row in of_bucket)
        key = (frame.window_s, frame.start)
        known = self._totals.get(key)
        if known is None or known[0] != all_rows:
            known = (all_rows, _summed(all_rows))
            _keep(self._totals, key, known, _MOST_TOTALS)
        total = Sum()
        total.merge(known[1])
        for summed in live:
            total.merge(summed)
        return figures_of(total)


def _keep(kept: dict[tuple[int, int], _T], key: tuple[int, int], value: _T, most: int = _MOST_KEPT) -> None:
    if len(kept) >= most:
        kept.clear()
    kept[key] = value


def _rows(frame: Frame, history: History) -> list[Rows]:
    """Return the rows of each bucket."""
    span = Span.HOUR if frame.step_s % (60 * HOUR_MINUTES) == 0 else Span.MINUTE
    step = frame.step_s // 60
    starts = range(frame.start // 60, frame.end // 60, step)
    get = history.rows.get
    return [
        tuple(row for minute in range(start, start + step, MINUTES[span]) if (row := get((span, minute))))
        for start in starts
    ]


def _by_bucket(frame: Frame, newer: Iterable[OfMinute]) -> dict[int, Sum]:
    buckets: dict[int, Sum] = {}
    for minute, label, latencies in newer:
        if 0 <= frame.number(minute) < frame.length:
            buckets.setdefault(frame.number(minute), Sum()).add(label, latencies)
    return buckets


def _summed(rows: Rows) -> Sum:
    """Return the sum of *rows*, but for the routes."""
    summed = Sum()
    for row in rows:
        summed.add_row(row)
    return summed


def _routes(rows: Rows) -> Routes:
    summed = Sum()
    for row in rows:
        summed.add_routes(row.by_route())
    return summed.routes


def _together(rows: Rows, live: Sum) -> Sum:
    summed = _summed(rows)
    summed.add_routes(_routes(rows))
    summed.merge(live)
    return summed
