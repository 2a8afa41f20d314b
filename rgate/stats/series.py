"""Figures over time: how a window is cut into buckets, and the numbers of each (behaviour 10)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

from rgate.core.lately import Cause, Lately
from rgate.core.reasons import Reason
from rgate.core.stats_query import Grouping
from rgate.stats.figures import Figures, Label, grouped_figures
from rgate.stats.histogram import Histogram
from rgate.stats.sums import Routes, Sum

STEPS_S: Final[Mapping[int, int]] = MappingProxyType({900: 60, 3600: 60, 21600: 60, 86400: 300, 604800: 3600})
"""The windows that there are, and how long a bucket of each is, in seconds."""

OfMinute = tuple[int, Label, Histogram]
"""A minute (since the epoch), and what was counted in it."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Which buckets a window has: whole ones up to *now*, the last of them running. In seconds."""

    now: float
    window_s: int
    step_s: int
    start: int  # Unix seconds, of the first bucket

    @property
    def length(self) -> int:
        """How many buckets there are."""
        return self.window_s // self.step_s

    @property
    def end(self) -> int:
        """When the last bucket ends."""
        return self.start + self.window_s

    def number(self, minute: int) -> int:
        """Return the number of the bucket that *minute* is in; none of ours where it is not in `length`."""
        return (60 * minute - self.start) // self.step_s

    def before(self) -> "Frame":
        """Return the window before."""
        return Frame(self.now, self.window_s, self.step_s, self.start - self.window_s)


def frame_of(window_s: int, now: float) -> Frame:
    """Return the frame of a window. Raises KeyError where it is none of `STEPS_S`."""
    step_s = STEPS_S[window_s]
    running = int(now) // step_s * step_s
    return Frame(now, window_s, step_s, running + step_s - window_s)


@dataclass(frozen=True, slots=True)
class Series:
    """Figures over time, oldest first; the last bucket is running. Percentiles are in milliseconds.

    None: rgate did not run in that bucket; for percentiles also: nothing was counted in it.
    """

    now: float
    window_s: int
    step_s: int
    start: int  # Unix seconds, of the first bucket
    requests: tuple[int | None, ...]
    errors: tuple[int | None, ...]
    own: tuple[int | None, ...]  # of the errors: answered by rgate itself
    p50: tuple[float | None, ...]
    p95: tuple[float | None, ...]
    p99: tuple[float | None, ...]
    total: Figures  # of all buckets together
    before: "Series | None" = None  # the window before, without its own before
    silent_s: float | None = None  # for so long the database has not answered, and this is as of then


@dataclass(frozen=True, slots=True)
class RouteSeries:
    """The figures of one route in the buckets of a `Series`."""

    requests: tuple[int | None, ...]
    errors: tuple[int | None, ...]
    total: Figures


@dataclass(frozen=True, slots=True)
class ContainerFigures:
    """The figures of one container of a backend. *p95*: in milliseconds; None: nothing was counted."""

    requests: int
    errors: int
    p95: float | None


class Numbers(NamedTuple):
    """What a series says of one bucket. Percentiles are in milliseconds; None: nothing was counted."""

    requests: int
    errors: int
    own: int
    p50: float | None
    p95: float | None
    p99: float | None


Runs = Iterable[tuple[int, int]]
"""When some rgate ran: the first and the last minute of each stretch."""


def numbers_of(summed: Sum) -> Numbers:
    """Return the numbers of a bucket in which *summed* was counted."""
    percentiles: tuple[float | None, ...] = (None, None, None)
    if summed.requests:
        percentiles = tuple(ns / 1e6 for ns in summed.latencies.percentiles_ns(50, 95, 99))
    return Numbers(summed.requests, summed.errors, summed.own, *percentiles)


def figures_of(summed: Sum) -> Figures:
    """Return the figures of all that was *summed*."""
    p95_ns, p99_ns = summed.latencies.percentiles_ns(95, 99)
    return Figures(
        summed.requests - summed.errors,
        summed.errors,
        summed.latencies.average_ns() / 1e6,
        p95_ns / 1e6,
        p99_ns / 1e6,
    )


def ran_in(frame: Frame, runs: Runs) -> list[bool]:
    """Return of each bucket whether some rgate ran in it, if only for a part of it."""
    ran = [False] * frame.length
    for first, last in runs:
        for number in range(max(frame.number(first), 0), min(frame.number(last) + 1, frame.length)):
            ran[number] = True
    return ran


def series_from(
    frame: Frame, numbers: Sequence[Numbers], runs: Runs, total: Figures, before: Series | None = None
) -> Series:
    """Return the series of buckets with these *numbers*."""
    ran = ran_in(frame, runs)
    # What was counted is told, whatever is known of when rgate ran.
    told = [n if n.requests or r else _UNKNOWN for n, r in zip(numbers, ran, strict=True)]
    requests, errors, own, p50, p95, p99 = zip(*told, strict=True)
    return Series(
        frame.now,
        frame.window_s,
        frame.step_s,
        frame.start,
        requests,
        errors,
        own,
        p50,
        p95,
        p99,
        total,
        before,
    )


_UNKNOWN: Final = (None,) * 6


def routes_from(
    whole: Series, routes: Sequence[Routes], totals: Mapping[str, Figures]
) -> dict[str, RouteSeries]:
    """Return the series of each route that *totals* has; *routes*: what each bucket counted of them."""
    empty = [None if n is None else 0 for n in whole.requests]
    requests = {name: empty.copy() for name in totals}
    errors = {name: empty.copy() for name in totals}
    for number, of_bucket in enumerate(routes):
        for name, (asked, failed) in of_bucket.items():
            if name in totals:
                requests[name][number], errors[name][number] = asked, failed
    return {
        name: RouteSeries(tuple(requests[name]), tuple(errors[name]), totals[name]) for name in sorted(totals)
    }


# From a plain list of what was counted.


def series_of(frame: Frame, counts: Iterable[OfMinute], runs: Runs) -> Series:
    """Return the series of *counts*, and the window before."""
    counts, runs = list(counts), list(runs)
    before = frame.before()
    return _series(frame, counts, runs, _series(before, counts, runs))


def _series(frame: Frame, counts: list[OfMinute], runs: Runs, before: Series | None = None) -> Series:
    buckets, total = _buckets(frame, counts)
    return series_from(frame, [numbers_of(bucket) for bucket in buckets], runs, figures_of(total), before)


def _buckets(frame: Frame, counts: Iterable[OfMinute]) -> tuple[list[Sum], Sum]:
    buckets, total = [Sum() for _ in range(frame.length)], Sum()
    for minute, label, latencies in counts:
        if 0 <= frame.number(minute) < frame.length:
            buckets[frame.number(minute)].add(label, latencies)
            total.add(label, latencies)
    return buckets, total


def series_by_route_of(
    frame: Frame, counts: Iterable[OfMinute], runs: Runs
) -> tuple[Series, dict[str, RouteSeries]]:
    """Return the series of all *counts*, and of each route by its name; "" is the default response."""
    counts = list(counts)
    within = ((label, latencies) for minute, label, latencies in counts if minute >= frame.start // 60)
    routes = [bucket.routes for bucket in _buckets(frame, counts)[0]]
    whole = series_of(frame, counts, runs)
    return whole, routes_from(whole, routes, grouped_figures(within, Grouping.ROUTE))


def by_container_of(counts: Iterable[tuple[Label, Histogram]]) -> dict[tuple[str, str], ContainerFigures]:
    """Return the figures of each (backend, container) that was asked."""
    sums: dict[tuple[str, str], Sum] = {}
    for label, latencies in counts:
        if label.container:
            sums.setdefault((label.backend, label.container), Sum()).add(label, latencies)
    return {
        names: ContainerFigures(numbers.requests, numbers.errors, numbers.p95)
        for names, summed in sorted(sums.items())
        if (numbers := numbers_of(summed)).requests
    }


_REASONS: Final = {reason.value: reason for reason in Reason}


def lately_of(counts: Iterable[tuple[Label, Histogram]], ever: int) -> Lately:
    """Return what a verdict needs to know of *counts*; *ever*: how many requests there were in all."""
    summed, causes = Sum(), dict[Cause, int]()
    for label, latencies in counts:
        summed.add(label, latencies)
        if label.is_own and (reason := _REASONS.get(label.reason)) is not None:
            cause = Cause(reason, label.container)
            causes[cause] = causes.get(cause, 0) + latencies.count
    return Lately(summed.requests, summed.errors, causes, ever)
