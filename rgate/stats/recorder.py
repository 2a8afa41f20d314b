"""Counts requests as they end, in a microsecond or less, from any thread."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from rgate.core.escape import storable
from rgate.core.record import Record
from rgate.stats.figures import OTHER, Label
from rgate.stats.histogram import SUB_BUCKET_BITS, Histogram, bucket_of
from rgate.stats.live_file import Arena, Counts, Key, Row

MOST_LABELS_A_MINUTE: Final = 512
"""More than that in one minute are counted without the names of route, backend and container."""

MOST_SPILT: Final = 2048
"""Rows kept in memory while the database is away; then names go, and minutes become hours."""

# 18 minutes: 16 million of them fit into a row's sum, which are more than one process ends in a minute.
_ORDINARY_NS: Final = 1 << 40


@dataclass(frozen=True, slots=True)
class Unfolded:
    """What one generation of a live file counted up to now."""

    live_id: str
    generation: int
    counts: Counts


class Recorder:
    """Counts into one of two arenas, while the other waits to be folded.

    The folding thread goes `seal`, then writes to the database, then `clear`. If writing fails it
    asks `seal` again, later, and gets the same arena: no count is ever in two generations.
    """

    def __init__(self, active: Arena, spare: Arena) -> None:
        # Protects everything below. Held for a few operations on dictionaries, never for I/O.
        self._lock = threading.Lock()
        self._active = active
        self._spare: Arena | None = spare
        self._sealed: Arena | None = None
        self._adopted: Arena | None = None
        self._minute = 0
        self._labels_of_minute: set[Label] = set()

    def add(self, record: Record) -> None:
        """Count *record*. Never raises."""
        minute = int(record.ended_at_s) // 60
        key = (
            minute,
            record.route,
            record.backend,
            record.container,
            record.status,
            record.cut,
            record.reason,
        )
        with self._lock:
            self._count(key, max(record.latency_ns, 0))

    def counter(self, route: str, backend: str, container: str, now: Callable[[], float]) -> "Counter":
        """Return what counts the responses of *container* to requests of *route*.

        *now* gives seconds since the epoch.
        """
        return Counter(self, (route, backend, container), now)

    def _count(self, key: tuple[int, str, str, str, int, bool, str], latency_ns: int) -> Row | None:
        """Count a latency; return the row where it is, or None where it is in memory only."""
        arena, bucket = self._active, bucket_of(latency_ns)
        row = arena.rows.get(key)
        if row is None:
            row = arena.rows.get(key := self._bounded(Key(*key)))
        if row is not None and not (row.sum[0] + latency_ns) >> 64:
            row.sum[0] += latency_ns
            row.counts[bucket] += 1
            return row
        known = Key(*key)
        if row is None and known not in arena.spill and arena.add_row(known, bucket, latency_ns):
            return arena.rows[known]
        if known not in arena.spill and len(arena.spill) >= MOST_SPILT:
            hour = known.minute - known.minute % 60
            known = known._replace(minute=hour, route=OTHER, backend=OTHER, container=OTHER)
        arena.add_spill(known, bucket, latency_ns)
        return None

    def _bounded(self, key: Key) -> Key:
        """Return *key* with names that can be stored, and not too many of them a minute."""
        if key.minute != self._minute:
            self._minute = key.minute
            self._labels_of_minute = set()
        names = (storable(key.route), storable(key.backend), storable(key.container))
        label = Label(*names, key.status, key.cut, storable(key.reason))
        if label not in self._labels_of_minute:
            if len(self._labels_of_minute) >= MOST_LABELS_A_MINUTE:
                label = Label(OTHER, OTHER, OTHER, key.status, key.cut, label.reason)
            self._labels_of_minute.add(label)
        return Key(key.minute, *label)

    def seal(self) -> Arena | None:
        """Return the arena to fold next, into which nothing is counted any more; None: nothing was."""
        with self._lock:
            if self._sealed is None and not self._active.is_empty and self._spare is not None:
                if self._spare.live_id == self._active.live_id:
                    self._spare.begin(self._active.generation + 1)
                self._sealed, self._active, self._spare = self._active, self._spare, None
            return self._sealed

    def clear(self, arena: Arena) -> None:
        """Forget *arena*, as `seal` returned it: it is in the database."""
        with self._lock:
            self._sealed = None
            if self._adopted is not None:
                self._spare, self._adopted = self._adopted, None
            else:
                arena.begin(arena.generation)
                self._spare = arena

    def adopt(self, arenas: tuple[Arena, Arena]) -> bool:
        """Go over to the new *arenas* with the next two folds; False while one is being folded."""
        with self._lock:
            if self._sealed is not None or self._adopted is not None:
                return False
            self._spare, self._adopted = arenas
            return True

    def abandon(self, arenas: tuple[Arena, Arena]) -> None:
        """Go over to the new *arenas* at once, and touch the old ones never again: what is in them is lost,
        but for what was kept in memory.
        """
        with self._lock:
            old = [arena for arena in (self._sealed, self._active) if arena is not None]
            self._active, self._spare = arenas
            self._sealed = self._adopted = None
            for arena in old:
                for key, latencies in arena.spill.items():
                    self._active.spill.setdefault(key, Histogram()).merge(latencies)

    def unfolded(self) -> list[Unfolded]:
        """Return what may not be in the database yet, oldest first."""
        with self._lock:
            arenas = [arena for arena in (self._sealed, self._active) if arena is not None]
            return [Unfolded(arena.live_id, arena.generation, arena.histograms()) for arena in arenas]


class Counter:
    """Counts the whole responses of one container to requests of one route, which go on as they came.

    It is `Recorder.add` for those who have no record: it remembers the row of each status.
    """

    __slots__ = ("_filling", "_minute", "_names", "_now", "_recorder", "_rows", "_until_ns")

    def __init__(self, recorder: Recorder, names: tuple[str, str, str], now: Callable[[], float]) -> None:
        self._recorder = recorder
        self._names = names
        self._now = now
        # The arena's rows that ours are among. Not the arena: that may be in use again, emptied.
        self._filling: object = None
        self._minute = 0  # the one that they count, until *_until_ns*
        self._until_ns = 0
        self._rows: dict[int, Row] = {}

    def add(self, status: int, latency_ns: int, now_ns: int) -> None:
        """Count a response that ends at *now_ns*, of `time.monotonic_ns`. Never raises."""
        recorder = self._recorder
        with recorder._lock:
            if self._filling is not recorder._active.rows or now_ns >= self._until_ns:
                self._begin(now_ns)
            row = self._rows.get(status)
            if row is None or not 127 < latency_ns < _ORDINARY_NS:
                self._add_unusual(status, latency_ns)
                return
            row.sum[0] += latency_ns
            # bucket_of, spelt out: a call costs as much as the rest of the arithmetic.
            shift = latency_ns.bit_length() - 7
            row.counts[(shift << SUB_BUCKET_BITS) + (latency_ns >> shift)] += 1

    def _begin(self, now_ns: int) -> None:
        """Go over to the present minute and arena."""
        now_s = self._now()
        self._filling = self._recorder._active.rows
        self._minute = int(now_s) // 60
        self._until_ns = now_ns + int((60 - now_s % 60) * 1e9)
        self._rows = {}

    def _add_unusual(self, status: int, latency_ns: int) -> None:
        row = self._recorder._count((self._minute, *self._names, status, False, ""), max(latency_ns, 0))
        if row is not None:
            self._rows[status] = row
