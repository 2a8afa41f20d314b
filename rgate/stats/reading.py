"""What a database of figures says: what is asked for, what is known, and how the rest is read.

Each change has a revision, and what was read is kept: so only what changed since is read again. Folding
changes FRESH rows alone, summing up once a minute all others.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple

import sqlalchemy as sa

from rgate.stats.figures import Label
from rgate.stats.histogram import Histogram
from rgate.stats.live_file import Counts
from rgate.stats.schema import (
    COUNTS,
    DAY_MINUTES,
    FOLDS,
    HOUR_MINUTES,
    HOURS_KEPT,
    MINUTES,
    MINUTES_KEPT,
    RUNS,
    STATE,
    SUMS,
    SUMS_KEPT,
    Span,
    labels_in,
)
from rgate.stats.sums import SumRow

EVER: Final = -1
"""The first minute of the whole lifetime."""


class State(NamedTuple):
    """Which database it is, and as of when: `schema.STATE`."""

    identity: int
    revision: int
    settled: int


_NO_STATE: Final = State(-1, -1, -1)


@dataclass(frozen=True, slots=True)
class Moment:
    """What a database was like at one moment.

    *fresh*: what is in no other row yet. *folded*: the newest generation of each live file that was in it.
    """

    state: State = _NO_STATE
    fresh: Counts = field(default_factory=dict)
    folded: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Window:
    """What was counted since the minute *first*. *settled*: without what was fresh *at* that moment."""

    first: int
    settled: Mapping[Label, Histogram] = field(default_factory=dict)
    at: Moment = Moment()

    def counts(self) -> dict[Label, Histogram]:
        """Return what was counted, fresh or not."""
        fresh = ((label, part) for (minute, label), part in self.at.fresh.items() if minute >= self.first)
        merged: dict[Label, Histogram] = {}
        for label, latencies in (*self.settled.items(), *fresh):
            merged.setdefault(label, Histogram()).merge(latencies)
        return merged


@dataclass(frozen=True, slots=True)
class History:
    """Figures over time: rows by span and start, as far as they are kept; and when some rgate ran (the first
    and the last minute of each stretch). Without what was fresh *at* that moment.
    """

    rows: Mapping[tuple[int, int], SumRow] = field(default_factory=dict)
    runs: tuple[tuple[int, int], ...] = ()
    at: Moment = Moment()


class Wanted(NamedTuple):
    """What is asked for: a window that begins at *first*, and goes by *name*; and figures over time."""

    name: object = None
    first: int | None = None  # None: no window
    history: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What was read. All that was wanted together is as of one moment."""

    windows: Mapping[object, Window] = field(default_factory=dict)
    history: History | None = None

    def moments(self) -> Iterator[Moment]:
        """Yield of each part as of when it is."""
        yield from (window.at for window in self.windows.values())
        if self.history is not None:
            yield self.history.at


class Reader:
    """One transaction that reads. *alive* is called with each row that comes."""

    def __init__(self, connection: sa.Connection, known: Known, alive: Callable[[], None]) -> None:
        self._connection = connection
        self._known = known
        self._alive = alive
        state = sa.select(STATE.c.identity, STATE.c.revision, STATE.c.settled)
        self._state = State(*connection.execute(state).one())

    def read(self, wanted: Wanted) -> Known:
        """Return what was known, with what is wanted."""
        windows, history = dict(self._known.windows), self._known.history
        if wanted.first is not None:
            windows[wanted.name] = self._window(wanted.first, windows.pop(wanted.name, None))
        if wanted.history:
            history = self._history(history)
        return Known(windows, history)

    @cached_property
    def _labels(self) -> dict[int, Label]:
        return {number: label for number, (label, _) in labels_in(self._connection).items()}

    @cached_property
    def _moment(self) -> Moment:
        for moment in self._known.moments():
            if moment.state == self._state:
                return moment
        self._alive()
        fresh: Counts = {}
        rows = sa.select(COUNTS.c.start, COUNTS.c.label, COUNTS.c.histogram)
        for start, number, histogram in self._connection.execute(rows.where(COUNTS.c.span == Span.FRESH)):
            fresh[start, self._labels[number]] = Histogram.from_bytes(histogram)
            self._alive()
        folds = self._connection.execute(sa.select(FOLDS.c.live_id, FOLDS.c.generation))
        return Moment(self._state, fresh, {row.live_id: row.generation for row in folds})

    def _was_settled_at(self, before: Moment) -> bool:
        """Return whether only fresh rows changed since."""
        then = before.state
        return (then.identity, then.settled) == (self._state.identity, self._state.settled)

    def _window(self, first: int, known: Window | None) -> Window:
        if known is not None and known.first == first and self._was_settled_at(known.at):
            return Window(first, known.settled, self._moment)
        settled: dict[int, Histogram] = {}
        rows = sa.select(COUNTS.c.label, COUNTS.c.histogram).where(_in_window(first))
        for number, histogram in self._connection.execute(rows):
            settled.setdefault(number, Histogram()).merge(Histogram.from_bytes(histogram))
            self._alive()
        by_label = {self._labels[number]: latencies for number, latencies in settled.items()}
        return Window(first, by_label, self._moment)

    def _history(self, known: History | None) -> History:
        runs = tuple((first, last) for first, last in self._connection.execute(_ALL_RUNS))
        now, then = self._state, known.at.state if known is not None else _NO_STATE
        # What is older than what is known is an earlier copy of the same database.
        if known is None or then.identity != now.identity or then.settled > now.settled:
            known = History()
        if self._was_settled_at(known.at):
            return History(known.rows, runs, self._moment)
        rows = dict(known.rows)
        changed = sa.select(SUMS).where(SUMS.c.revision > known.at.state.settled)
        for span, start, _, *values in self._connection.execute(changed):
            rows[span, start] = SumRow(*values)
            self._alive()
        return History(_still_kept(rows), runs, self._moment)


_ALL_RUNS: Final = sa.select(RUNS.c.first, RUNS.c.last).order_by(RUNS.c.first)


def _still_kept(rows: dict[tuple[int, int], SumRow]) -> dict[tuple[int, int], SumRow]:
    """Return *rows* without the oldest of more than the database keeps.

    By their number, not by the newest: a clock may have been days ahead for a moment.
    """
    kept: dict[tuple[int, int], SumRow] = {}
    for span, minutes in SUMS_KEPT.items():
        starts = sorted((start for of, start in rows if of == span), reverse=True)
        kept |= {(span, start): rows[span, start] for start in starts[: minutes // MINUTES[span] + 1]}
    return kept


def first_minute(window_minutes: int | None, now_minute: int) -> int:
    """Return the first minute of the window: whole minutes before the present one, and that one.

    So a window holds at least what was asked for. One longer than minutes are kept begins at a full
    hour, one longer than hours are kept at a full day (UTC). None: EVER.
    """
    if window_minutes is None:
        return EVER
    first = now_minute - window_minutes
    if window_minutes > HOURS_KEPT:
        return first - first % DAY_MINUTES
    if window_minutes > MINUTES_KEPT:
        return first - first % HOUR_MINUTES
    return first


def periods(first: int) -> list[tuple[Span, int, int]]:
    """Return which rows cover all from the minute *first* on, but for FRESH ones: a span, where the first of
    its rows begins, and before which start they end.
    """
    if first == EVER:
        return [(Span.EVER, 0, 1)]
    spans = [Span.MINUTE, Span.HOUR, Span.DAY, Span.FORTNIGHT]
    begins = [-(-first // MINUTES[span]) * MINUTES[span] for span in spans]
    return list(zip(spans, begins, [*begins[1:], _NEVER], strict=True))


_NEVER: Final = 1 << 62


def _in_window(first: int) -> sa.ColumnElement[bool]:
    span, start = COUNTS.c.span, COUNTS.c.start
    return sa.or_(*(sa.and_(span == of, start >= begin, start < end) for of, begin, end in periods(first)))
