"""Asks the database what it holds, and waits for it no longer than it shows signs of life (behaviour 7).

One query runs at a time, in a thread of its own: whoever asks meanwhile is answered by one that begins later,
together with all others who ask the same. So a query that hangs costs nobody more than a moment, and the
process nothing when it ends. What the database said is kept, and what changed since is asked for again.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from rgate.stats.figures import Label
from rgate.stats.histogram import Histogram
from rgate.stats.live_file import Counts
from rgate.stats.reading import Known, Moment, Wanted, Window
from rgate.stats.store import StoreUnavailableError

log: Final = logging.getLogger("rgate")

# A year of many labels takes longer, but comes bit by bit.
SILENT_S: Final = 1.0
"""A database from which nothing comes for so long does not answer."""

_LONGEST_S: Final = 30.0
_WORK_S: Final = 0.001  # and then others may go on: to yield costs them and us more than a row does
_KEPT_S: Final = 120.0
_MOST_KEPT: Final = 8
_MOST_FOLDS: Final = 500


class Read(Protocol):
    """What asks the database: `Store.read`."""

    def __call__(self, wanted: Wanted, known: Known, alive: Callable[[], None]) -> Known:
        """Return what it says. Raises StoreUnavailableError."""


class Folded(NamedTuple):
    """What this process folded, in few bytes: each histogram as it is stored."""

    live_id: str
    generation: int
    counts: Mapping[tuple[int, Label], bytes]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the database said. *silent_s*: for so long it has not answered; None: it said so just now.

    What was asked for may be missing from *known* where it is silent.
    """

    known: Known
    silent_s: float | None
    folds: tuple[Folded, ...] = ()

    def folded_since(self, moment: Moment) -> Iterator[tuple[tuple[str, int], Counts]]:
        """Yield what this process folded after *moment*, by live id and generation."""
        for fold in self.folds:
            if fold.generation > moment.folded.get(fold.live_id, 0):
                counts = {key: Histogram.from_bytes(histogram) for key, histogram in fold.counts.items()}
                yield (fold.live_id, fold.generation), counts


@dataclass(slots=True, eq=False)
class _Query:
    done: threading.Event = field(default_factory=threading.Event)
    waiting: int = 0  # how many wait for it
    answer: Answer | None = None  # None, once it is done: the database could not be asked
    error: str = ""


class Queries:
    """The queries of one database. *told* takes why it could not be asked. Any thread may call."""

    def __init__(self, read: Read, told: Callable[[str], None], silent_after_s: float = SILENT_S) -> None:
        self._read = read
        self._told = told
        self._silent_after_s = silent_after_s
        # Protects all below; never held while the database is asked.
        self._lock = threading.Condition()
        self._thread: threading.Thread | None = None
        self._wanted: dict[Wanted, _Query] = {}  # that have not begun
        self._is_running = False
        self._alive_s = self._answered_s = time.monotonic()  # the last sign of life, and the last answer
        self._pause_s = 0.0
        self._known = Known()
        self._asked_s: dict[object, float] = {}  # when each window was asked for last
        self._folds: tuple[Folded, ...] = ()
        self._is_closed = False

    @property
    def has_history(self) -> bool:
        """Whether somebody asked for figures over time."""
        return self._known.history is not None

    def known(self, wanted: Wanted) -> Window | None:
        """Return the window that is wanted, as the database said last; None: it has not said yet.

        It is asked again meanwhile, and not waited for.
        """
        with self._lock:
            self._want(wanted).waiting -= 1
            return self._known.windows.get(wanted.name)

    def ask(self, wanted: Wanted) -> Answer:
        """Return what the database says of what is wanted.

        Where it does not answer: what it said before. Nothing is known of a window that nobody asked for
        lately.
        """
        with self._lock:
            query = self._want(wanted)
        self._wait(query)
        with self._lock:
            query.waiting -= 1
            if not query.waiting and self._wanted.get(wanted) is query:
                del self._wanted[wanted]  # nobody wants it any more
            if query.answer is not None:
                return query.answer
            answer = Answer(self._known, time.monotonic() - self._answered_s, self._folds)
        self._told(query.error or f"it was silent for {self._silent_after_s:g} s")
        return answer

    def _want(self, wanted: Wanted) -> _Query:
        if not self._is_running and not self._wanted:
            self._alive_s = time.monotonic()  # it begins now
        query = self._wanted.setdefault(wanted, _Query())
        query.waiting += 1
        if self._thread is None:
            asking = threading.Thread(target=self._run, name="rgate-stats-query", daemon=True)
            try:
                asking.start()
                self._thread = asking
            except RuntimeError as error:  # the system gives no thread just now
                query.error = str(error)
                query.done.set()
                del self._wanted[wanted]
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
                wanted = next(iter(self._wanted))
                query = self._wanted.pop(wanted)
                self._is_running = True
                self._alive_s = time.monotonic()
            self._ask(query, wanted)
            query.done.set()

    def _ask(self, query: _Query, wanted: Wanted) -> None:
        try:
            known = self._read(wanted, self._known, self._alive)
        except StoreUnavailableError as error:
            query.error = str(error)
            return
        except Exception as error:  # outermost loop: the next query may go better
            log.exception("stats_read_defect")
            query.error = repr(error)
            return
        with self._lock:
            self._answered_s = self._alive_s = time.monotonic()
            query.answer = Answer(known, None, self._folds)
            self._known = known
            if wanted.first is not None:
                self._asked_s.pop(wanted.name, None)
                self._asked_s[wanted.name] = self._answered_s
                self._forget([*self._asked_s][:-_MOST_KEPT])

    def _alive(self) -> None:
        """Take a sign of life, and let others go on: what comes is unpacked at length."""
        self._alive_s = now_s = time.monotonic()
        if now_s >= self._pause_s:
            time.sleep(0)
            self._pause_s = time.monotonic() + _WORK_S

    def close(self) -> None:
        """Ask no more, once a query that runs has ended."""
        with self._lock:
            self._is_closed = True
            self._lock.notify()

    def folded(self, live_id: str, generation: int, counts: Counts) -> None:
        """Take it that *counts* are in the database now: what is kept stays true without a query."""
        stored = {key: histogram.to_bytes() for key, histogram in counts.items()}
        with self._lock:
            self._answered_s = now_s = time.monotonic()
            self._forget([name for name, asked_s in self._asked_s.items() if now_s - asked_s > _KEPT_S])
            moments = list(self._known.moments())
            self._folds = tuple(
                fold
                for fold in (*self._folds, Folded(live_id, generation, stored))[-_MOST_FOLDS:]
                if any(fold.generation > moment.folded.get(fold.live_id, 0) for moment in moments)
            )

    def _forget(self, names: Iterable[object]) -> None:
        """Keep the windows of these *names* no longer; the whole lifetime always is."""
        gone = set(names) - {None}
        windows = {name: window for name, window in self._known.windows.items() if name not in gone}
        self._known = Known(windows, self._known.history)
        for name in gone:
            del self._asked_s[name]
