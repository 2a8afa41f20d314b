"""Counts requests as they end, in a microsecond or two, from any thread."""

import threading
from dataclasses import dataclass
from typing import Final

from rgate.core.record import Record
from rgate.stats.figures import OTHER, Label
from rgate.stats.histogram import LONGEST_NS, SUB_BUCKET_BITS, bucket_of
from rgate.stats.live_file import Arena, Counts, Key

MOST_LABELS_A_MINUTE: Final = 512
"""More than that in one minute are counted without the names of route, backend and container."""

MOST_SPILT: Final = 65536
"""Cells kept in memory while the database is away; then names go, and minutes become hours."""

_LONGEST_NAME: Final = 1000


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
        ended_at_s, _, _, _, status, _, latency_ns, route, backend, container, _, _, _, cut = record
        # bucket_of, spelt out: a call costs as much as the rest of the arithmetic.
        shift = latency_ns.bit_length() - 7
        if shift > 0 and 0 < latency_ns <= LONGEST_NS:
            bucket = (shift << SUB_BUCKET_BITS) + (latency_ns >> shift)
        else:
            latency_ns = max(latency_ns, 0)
            bucket = bucket_of(latency_ns)
        key = (int(ended_at_s) // 60, route, backend, container, status, cut, bucket)
        with self._lock:
            arena = self._active
            cell = arena.cells.get(key)
            if cell is None:
                self._add_new(Key(*key), latency_ns)
                return
            sum_ns = arena.sums[cell] + latency_ns
            if sum_ns >> 64:
                arena.add_spill(Key(*key), latency_ns)
                return
            arena.sums[cell] = sum_ns
            arena.counts[cell] += 1

    def _add_new(self, key: Key, latency_ns: int) -> None:
        key = self._bounded(key)
        arena = self._active
        cell = arena.cells.get(key)
        if cell is not None and not (arena.sums[cell] + latency_ns) >> 64:
            arena.sums[cell] += latency_ns
            arena.counts[cell] += 1
        elif latency_ns >> 64 or cell is not None or key in arena.spill:
            arena.add_spill(key, latency_ns)
        elif not arena.add_cell(key, latency_ns):
            if len(arena.spill) >= MOST_SPILT:
                key = key._replace(minute=key.minute - key.minute % 60, route=OTHER, backend=OTHER)
                key = key._replace(container=OTHER)
            arena.add_spill(key, latency_ns)

    def _bounded(self, key: Key) -> Key:
        """Return *key* with names that can be stored, and not too many of them a minute."""
        if key.minute != self._minute:
            self._minute = key.minute
            self._labels_of_minute = set()
        names = (_storable(key.route), _storable(key.backend), _storable(key.container))
        label = Label(*names, key.status, key.cut)
        if label not in self._labels_of_minute:
            if len(self._labels_of_minute) >= MOST_LABELS_A_MINUTE:
                label = Label(OTHER, OTHER, OTHER, key.status, key.cut)
            self._labels_of_minute.add(label)
        return Key(key.minute, *label, key.bucket)

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

    def unfolded(self) -> list[Unfolded]:
        """Return what may not be in the database yet, oldest first."""
        with self._lock:
            arenas = [arena for arena in (self._sealed, self._active) if arena is not None]
            return [Unfolded(arena.live_id, arena.generation, arena.histograms()) for arena in arenas]


def _storable(name: str) -> str:
    """Return *name* as every database can store it: no NUL, no lone surrogate, not too long."""
    if name.isascii() and len(name) <= _LONGEST_NAME and "\0" not in name:
        return name
    return name[:_LONGEST_NAME].encode(errors="replace").decode().replace("\0", "?")
