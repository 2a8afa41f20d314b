"""Figures of a window beside those of the window before, and small drawings of both (behaviour 10)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from markupsafe import Markup

from rgate.stats import Figures
from rgate.stats.series import Series
from rgate.web import amounts
from rgate.web.amounts import NARROW

_SAME: Final = 0.02  # a change that is smaller is none
_WORSE: Final = 0.25  # one that is larger is marked, where more is worse
_NOTABLE_SHARE: Final = 0.001  # of errors; below, more is not marked
_HEIGHT: Final = 24

Line = Sequence[float | None]


class Kind(Enum):
    """What a figure is of. The value is the class that its drawing has."""

    REQUESTS = "req"
    ERRORS = "err"
    LATENCY = "lat"


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with its unit; what it *was* in the window before, and whether it is much worse than that."""

    title: str
    value: str
    unit: str
    was: str
    is_worse: bool
    drawing: Markup


def figures(total: Figures, series: Series | None, window_s: int) -> list[Figure]:
    """Return the four figures of *total*. *series*: the same over time; None: only the numbers are known."""
    past_s = window_s if series is None else window_s - series.step_s + running_s(series)
    before = series.before if series is not None and series.before is not None else None

    def one(
        title: str,
        kind: Kind,
        shown: Callable[[float | None], str],
        of: Callable[[Figures, float], float],
        line: Callable[[Series], Line],
    ) -> Figure:
        now = of(total, past_s) if _count(total) else None
        then = of(before.total, window_s) if before is not None and _count(before.total) else None
        value, _, unit = shown(now).partition(NARROW)
        drawing = Markup()
        if series is not None:
            drawing = spark(kind.value, line(series), line(before) if before is not None else ())
        was = _was(now, then, shown) if series is not None and now is not None else ""
        return Figure(title, value, unit, was, _is_worse(kind, now, then), drawing)

    return [
        one("Requests a second", Kind.REQUESTS, amounts.amount, lambda t, s: _count(t) / s, rates),
        one("Error share", Kind.ERRORS, amounts.share, lambda t, _: t.error / _count(t), _shares),
        one(
            "95 % answered within", Kind.LATENCY, amounts.milliseconds, lambda t, _: t.p95_ms, lambda s: s.p95
        ),
        one(
            "99 % answered within", Kind.LATENCY, amounts.milliseconds, lambda t, _: t.p99_ms, lambda s: s.p99
        ),
    ]


def _count(total: Figures) -> int:
    return total.success + total.error


def _was(now: float, then: float | None, shown: Callable[[float | None], str]) -> str:
    if then is None:
        return "nothing before"
    change = now / then - 1 if then else 0.0
    word = "as" if abs(change) < _SAME else "up from" if change > 0 else "down from"
    return f"{word} {shown(then)}"


def _is_worse(kind: Kind, now: float | None, then: float | None) -> bool:
    if kind is Kind.REQUESTS or now is None or not then:
        return False
    return now / then - 1 > _WORSE and (kind is not Kind.ERRORS or now > _NOTABLE_SHARE)


# Over time.


def running_s(series: Series) -> float:
    """Return for how long the last bucket has been running, of its length."""
    began = series.start + (len(series.requests) - 1) * series.step_s
    return min(series.step_s, max(1.0, series.now - began))


def rates(series: Series) -> Line:
    """Return the requests a second in each bucket."""
    return rates_of(series.requests, series)


def rates_of(requests: Sequence[int | None], series: Series) -> Line:
    """Return how many of *requests* there were a second, in each bucket of *series*: the last is shorter."""
    lengths = [float(series.step_s)] * (len(requests) - 1) + [running_s(series)]
    return [None if n is None else n / s for n, s in zip(requests, lengths, strict=True)]


def _shares(series: Series) -> Line:
    pairs = zip(series.requests, series.errors, strict=True)
    return [(errors or 0) / requests if requests else None for requests, errors in pairs]


# Drawings: of attributes alone, as no style may stand in the page.


def spark(kind: str, line: Line, second: Line) -> Markup:
    """Return *line*, and another one behind it, to one scale. Where there is nothing, there is a gap."""
    highest = _highest(*line, *second)
    return _svg(kind, _path(line, highest), _path(second, highest))


def ticked(line: Line, ticks: Line) -> Markup:
    """Return *line*, and a tick below it wherever *ticks* has any."""
    return _svg("ticks", _path(line, _highest(*line)), _ticks(ticks))


def _highest(*values: float | None) -> float:
    return max((value for value in values if value), default=1e-9)


def _path(line: Line, highest: float) -> str:
    parts, gap = [], True
    for number, value in enumerate(line):
        if value is not None:
            place = f"{_across(number, line)} {23 - 22 * value / highest:.1f}"
            parts.append(f"M{place}h0" if gap else f"L{place}")  # so that one alone is a dot
        gap = value is None
    return "".join(parts)


def _ticks(line: Line) -> str:
    highest = _highest(*line)
    return "".join(
        f"M{_across(number, line)} {_HEIGHT}V{20 - 12 * value / highest:.1f}"
        for number, value in enumerate(line)
        if value
    )


def _across(number: int, line: Line) -> str:
    return f"{100 * number / max(1, len(line) - 1):.1f}"


def _svg(kind: str, *paths: str) -> Markup:
    drawn = Markup("").join(Markup('<path d="{}"/>').format(path) for path in paths)
    return Markup(
        '<svg class="spark {}" viewBox="0 0 100 {}" preserveAspectRatio="none" aria-hidden="true">{}</svg>'
    ).format(kind, _HEIGHT, drawn)
