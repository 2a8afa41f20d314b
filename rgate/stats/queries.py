"""Asks the database what it holds, and waits for it no longer than it shows signs of life (behaviour 7).

One query runs at a time, in a thread of its own: whoever asks meanwhile is answered by one that begins later,
together with all others who ask the same. So a query that hangs costs nobody more than a moment, and the
process nothing when it ends. What the database said is kept, and is asked for again once it has changed:
it says by its revision whether it did.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from rgate.stats.histogram import Histogram
from rgate.stats.live_file import Counts
from rgate.stats.store import UNKNOWN, Stored, StoreUnavailableError, first_minute

log: Final = logging.getLogger("rgate")

# A year of many labels takes longer, but comes bit by bit.
SILENT_S: Final = 1.0
"""A database from which nothing comes for so long does not answer."""

_LONGEST_S: Final = 30.0
_MOST_KEPT: Final = 4
"""Windows, beside the whole lifetime."""


class Read(Protocol):
    """What asks the database: `Store.read`."""

    def __call__(
        self,
        window_minutes: int | None,
        now_minute: int,
        known: Stored | None,
        alive: Callable[[], None],
    ) -> Stored:
        """Return what it says. Raises StoreUnavailableError."""


class Answer(NamedTuple):
    """What the database said. *silent_s*: for so long it has not answered; None: it said so just now."""

    stored: Stored
    silent_s: float | None


class _Asked(NamedTuple):
    window_minutes: int | None
    now_minute: int


@dataclass(slots=True, eq=False)
class _Query:
    done: threading.Event = field(default_factory=threading.Event)
    waiting: int = 0  # how many wait for it
    stored: Stored | None = None  # None, once it is done: the database could not be asked
    error: str = ""


@dataclass(frozen=True, slots=True)
class _Kept:
    now_minute: int
    stored: Stored


class Queries:
    """The queries of one database. *told* takes why it could not be asked. Any thread may call."""

    def __init__(self, read: Read, told: Callable[[str], None], silent_after_s: float = SILENT_S) -> None:
        self._read = read
        self._told = told
        self._silent_after_s = silent_after_s
        # Protects all below; never held while the database is asked.
        self._lock = threading.Condition()
        self._thread: threading.Thread | None = None
        self._wanted: dict[_Asked, _Query] = {}  # that have not begun
        self._is_running = False
        self._alive_s = self._answered_s = time.monotonic()  # the last sign of life, and the last answer
        self._kept: dict[int | None, _Kept] = {None: _Kept(0, Stored())}
        self._folds = 0
        self._is_closed = False

    def stored(self, window_minutes: int | None, now_minute: int) -> Answer:
        """Return what the database says of the window.

        Where it does not answer: what it said before, with all that `folded` told of since. Nothing is known
        of a window that nobody asked for lately.
        """
        asked = _Asked(window_minutes, now_minute)
        with self._lock:
            query = self._want(asked)
        self._wait(query)
        with self._lock:
            query.waiting -= 1
            if not query.waiting and self._wanted.get(asked) is query:
                del self._wanted[asked]  # nobody wants it any more
            if query.stored is not None:
                return Answer(query.stored, None)
            silent_s = time.monotonic() - self._answered_s
            kept = self._kept.get(window_minutes)
            stored = kept.stored if kept else Stored(folded=self._kept[None].stored.folded)
        self._told(query.error or f"it was silent for {self._silent_after_s:g} s")
        return Answer(stored, silent_s)

    def _want(self, asked: _Asked) -> _Query:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="rgate-stats-query", daemon=True)
            self._thread.start()
        if not self._is_running and not self._wanted:
            self._alive_s = time.monotonic()  # it begins now
        query = self._wanted.setdefault(asked, _Query())
        query.waiting += 1
        self._lock.notify()
        return query

    def _wait(self, query: _Query) -> None:
        """Wait until *query* is done, or the database is silent."""
        latest_s = time.monotonic() + _LONGEST_S
        while True:
            left_s = min(self._alive_s + self._silent_after_s, latest_s) - time.monotonic()
            if query.done.wait(max(left_s, 0)) or left_s <= 0:
                return

    def _run(self) -> None:
        while True:
            with self._lock:
                self._is_running = False
                while not self._wanted and not self._is_closed:
                    self._lock.wait()
                if self._is_closed:
                    return
                asked = next(iter(self._wanted))
                query = self._wanted.pop(asked)
                self._is_running = True
                self._alive_s = time.monotonic()
                known, folds = self._kept.get(asked.window_minutes), self._folds
            self._ask(query, asked, known, folds)
            query.done.set()

    def _ask(self, query: _Query, asked: _Asked, known: _Kept | None, folds: int) -> None:
        # Of the whole lifetime, no minute is another's.
        same = known is not None and (asked.window_minutes is None or known.now_minute == asked.now_minute)
        try:
            stored = self._read(*asked, known.stored if known is not None and same else None, self._alive)
        except StoreUnavailableError as error:
            query.error = str(error)
            return
        except Exception as error:  # outermost loop: the next query may go better
            log.exception("stats_read_defect")
            query.error = repr(error)
            return
        query.stored = stored
        with self._lock:
            self._answered_s = self._alive_s = time.monotonic()
            if folds == self._folds:  # else what is kept knows more
                self._kept.pop(asked.window_minutes, None)
                self._kept[asked.window_minutes] = _Kept(asked.now_minute, stored)
                windows = [window for window in self._kept if window is not None]
                for window in windows[:-_MOST_KEPT]:
                    del self._kept[window]

    def _alive(self) -> None:
        """Take a sign of life, and let others go on: what comes is unpacked at length."""
        self._alive_s = time.monotonic()
        time.sleep(0)

    def close(self) -> None:
        """Ask no more, once a query that runs has ended."""
        with self._lock:
            self._is_closed = True
            self._lock.notify()

    def folded(self, live_id: str, generation: int, counts: Counts, revision: int | None) -> None:
        """Take it that *counts* are in the database now, as of *revision*; None: they had been before.

        What is kept stays true that way, without a query.
        """
        with self._lock:
            self._folds += 1
            self._answered_s = time.monotonic()
            self._kept = {
                window: _Kept(
                    kept.now_minute,
                    _with(kept.stored, live_id, generation, _in_window(counts, window, kept), revision),
                )
                for window, kept in self._kept.items()
            }


def _in_window(counts: Counts, window_minutes: int | None, kept: _Kept) -> Counts:
    if window_minutes is None:
        return counts
    first = first_minute(window_minutes, kept.now_minute)
    return {key: histogram for key, histogram in counts.items() if key[0] >= first}


def _with(stored: Stored, live_id: str, generation: int, counts: Counts, revision: int | None) -> Stored:
    """Return what the database says after *counts* were folded, where *stored* is what it said before."""
    if stored.folded.get(live_id, 0) >= generation:
        return stored  # it was asked in between
    together = dict(stored.counts)
    for (_, label), histogram in counts.items():
        merged = Histogram()
        for part in (together.get(label), histogram):
            if part is not None:
                merged.merge(part)
        together[label] = merged
    # Others fold too: what is known is whole only where this fold was the next.
    is_next = revision is not None and stored.revision == revision - 1
    folded = {**stored.folded, live_id: generation}
    return Stored(together, folded, revision if revision is not None and is_next else UNKNOWN)
