"""Statistics that keep every record: the plain meaning of the figures, and a stand-in for tests."""

import time
from collections.abc import Callable, Iterator

from rgate.core.record import Counter, Record
from rgate.stats.figures import Counted, Label
from rgate.stats.histogram import Histogram
from rgate.stats.store import first_minute


class MemoryStats:
    """Holds what every `Stats` must hold, but for lasting. Grows without bound."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._records: list[Record] = []

    def add(self, record: Record) -> None:
        """Count *record*."""
        self._records.append(record)

    def counter(self, route: str, backend: str, container: str) -> Counter:
        """Return what counts whole responses of *container* to requests of *route*."""
        return _Counter(self, (route, backend, container), self._now)

    def counted(self, window_minutes: int | None = None) -> Counted:
        """Return what was counted in the window, or ever."""
        return Counted(list(self._counted(window_minutes)))

    def close(self) -> None:
        """Do nothing."""

    def _counted(self, window_minutes: int | None) -> Iterator[tuple[Label, Histogram]]:
        for record in list(self._records):
            if window_minutes is None or record.ended_at_s // 60 >= first_minute(
                window_minutes, int(self._now()) // 60
            ):
                label = Label(record.route, record.backend, record.container, record.status, record.cut)
                yield label, Histogram([record.latency_ns])


class _Counter:
    """Makes the record of each response."""

    def __init__(self, stats: MemoryStats, names: tuple[str, str, str], now: Callable[[], float]) -> None:
        self._stats = stats
        self._names = names
        self._now = now

    def add(self, status: int, latency_ns: int, now_ns: int) -> None:
        del now_ns
        self._stats.add(Record(self._now(), "", "", "", status, 0, latency_ns, *self._names))
