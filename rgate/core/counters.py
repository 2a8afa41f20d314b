"""Numbers that only grow, by name and labels: how those of several processes are put together, so that what
is told of them never falls (behaviour 10).
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

Labels = tuple[str, ...]

Numbers = tuple[float, ...]
"""One number, or those of a histogram: the sum, how many are no greater than each bound, and how many."""

Series = Mapping[Labels, Numbers]
"""One metric: its numbers by the values of its labels. All have as many."""

Counters = Mapping[str, Series]
"""Metrics by their names."""

ZERO: Final[Numbers] = (0,)


def highest(many: Iterable[Counters]) -> dict[str, dict[Labels, Numbers]]:
    """Return of each number the highest."""
    return _together(many, max)


def summed(many: Iterable[Counters]) -> dict[str, dict[Labels, Numbers]]:
    """Return the sum of each number."""
    return _together(many, _add)


def _add(one: float, other: float) -> float:
    return one + other


def _together(
    many: Iterable[Counters], of_two: Callable[[float, float], float]
) -> dict[str, dict[Labels, Numbers]]:
    together: dict[str, dict[Labels, Numbers]] = {}
    for counters in many:
        for name, series in counters.items():
            found = together.setdefault(name, {})
            for labels, numbers in series.items():
                known = found.get(labels)
                found[labels] = numbers if known is None else tuple(map(of_two, known, numbers))
    return together


def added(one: Numbers, other: Numbers) -> Numbers:
    """Return both numbers, or histograms of the same bounds, as one."""
    return tuple(map(_add, one, other))


def nothing(bounds: Sequence[float]) -> Numbers:
    """Return the histogram of nothing."""
    return (0,) * (len(bounds) + 2)


def observed(histogram: Numbers, bounds: Sequence[float], value: float) -> Numbers:
    """Return *histogram* with one *value* more."""
    first = 1 + bisect_left(bounds, value)
    more = (number + 1 for number in histogram[first:])
    return (histogram[0] + value, *histogram[1:first], *more)


def as_json(counters: Counters) -> dict[str, list[Any]]:
    """Return *counters* as JSON values."""
    return {
        name: [[*labels, *numbers] for labels, numbers in series.items()] for name, series in counters.items()
    }


def of_json(value: Any) -> dict[str, dict[Labels, Numbers]]:
    """Return the counters that `as_json` made *value* of. Raises ValueError, TypeError and AttributeError."""
    return {name: dict(map(_split, rows)) for name, rows in value.items()}


def _split(row: list[Any]) -> tuple[Labels, Numbers]:
    labels = tuple(one for one in row if isinstance(one, str))
    return labels, tuple(row[len(labels) :])
