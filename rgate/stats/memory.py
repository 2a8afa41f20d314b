"""Statistics that keep every record: the plain meaning of the figures, and a stand-in for tests."""

import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping

from rgate.core.lately import Lately
from rgate.core.record import Counter, Record
from rgate.stats.figures import Counted, Label
from rgate.stats.histogram import Histogram
from rgate.stats.lifetime import Lifetime, Part, part_of
from rgate.stats.live_file import Counts
from rgate.stats.reading import first_minute
from rgate.stats.series import (
    ContainerFigures,
    OfMinute,
    RouteSeries,
    Series,
    by_container_of,
    frame_of,
    lately_of,
    series_by_route_of,
    series_of,
)


class MemoryStats:
    """Holds what every `Stats` must hold, but for lasting. Grows without bound."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._since = now()
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

    def series(self, window_s: int) -> Series:
        """Return the figures of the window over time."""
        return series_of(frame_of(window_s, self._now()), self._by_minute(), self._runs())

    def series_by_route(self, window_s: int) -> tuple[Series, dict[str, RouteSeries]]:
        """Return the same, and those of each route."""
        return series_by_route_of(frame_of(window_s, self._now()), self._by_minute(), self._runs())

    def by_container(self, window_s: int) -> dict[tuple[str, str], ContainerFigures]:
        """Return the figures of each container."""
        return by_container_of(self._in_last(window_s))

    def lately(self, seconds: int = 900) -> Lately:
        """Return what was counted lately."""
        return lately_of(self._in_last(seconds), sum(latencies.count for _, latencies in self._counted(None)))

    def lifetime(self) -> Lifetime:
        """Return nothing: all is in `parts`."""
        return Lifetime(1, {}, {})

    def parts(self, folded: Mapping[str, int]) -> list[Part]:
        """Return what was counted ever."""
        del folded
        return [part_of("memory", 1, _merged(self._by_minute()))]

    def parts_of_others(self, but: Container[str]) -> list[Part]:
        """Return nothing: nobody else counts here."""
        del but
        return []

    def _by_minute(self) -> Iterator[OfMinute]:
        for record in list(self._records):
            yield int(record.ended_at_s) // 60, _label(record), Histogram([record.latency_ns])

    def _runs(self) -> list[tuple[int, int]]:
        return [(int(self._since) // 60, int(self._now()) // 60)]

    def _in_last(self, seconds: int) -> Iterator[tuple[Label, Histogram]]:
        first = int(self._now()) // 60 - seconds // 60 + 1
        return ((label, latencies) for minute, label, latencies in self._by_minute() if minute >= first)

    def close(self) -> None:
        """Do nothing."""

    def _counted(self, window_minutes: int | None) -> Iterator[tuple[Label, Histogram]]:
        for record in list(self._records):
            if window_minutes is None or record.ended_at_s // 60 >= first_minute(
                window_minutes, int(self._now()) // 60
            ):
                yield _label(record), Histogram([record.latency_ns])


def _label(record: Record) -> Label:
    names = (record.route, record.backend, record.container)
    return Label(*names, record.status, record.cut, record.reason)


class _Counter:
    """Makes the record of each response."""

    def __init__(self, stats: MemoryStats, names: tuple[str, str, str], now: Callable[[], float]) -> None:
        self._stats = stats
        self._names = names
        self._now = now

    def add(self, status: int, latency_ns: int, now_ns: int) -> None:
        del now_ns
        self._stats.add(Record(self._now(), "", "", "", status, 0, latency_ns, *self._names))


def _merged(counts: Iterable[OfMinute]) -> Counts:
    merged: Counts = {}
    for minute, label, latencies in counts:
        merged.setdefault((minute, label), Histogram()).merge(latencies)
    return merged
