"""What was counted ever, without asking the database now: as it said last, and what processes counted since
(behaviour 10).

A process keeps for a while what it folded lately, so that others who have not asked the database since find
it there. For whoever asks, each generation of a live file is either in what the database said to it, or in a
part: never in both, and in neither only where its process has died since.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final, Generic, NamedTuple, TypeVar

from rgate.core.counters import Labels, Numbers
from rgate.core.record import outcome
from rgate.stats.figures import OTHER, Label
from rgate.stats.histogram import Histogram, bucket_of, most_of
from rgate.stats.live_file import Counts

Key = TypeVar("Key")

_ABOUT_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_BUCKETS: Final = tuple(bucket_of(int(about_s * 1e9)) for about_s in _ABOUT_S)

BOUNDS_S: Final = tuple(most_of(bucket) / 1e9 for bucket in _BUCKETS)
"""The bounds of what is told of latencies: each the greatest latency of one of our own buckets, so that it is
known exactly how many are no greater.
"""

REQUESTS: Final = "rgate_requests_total"
CONTAINER_REQUESTS: Final = "rgate_container_requests_total"
DURATION: Final = "rgate_request_duration_seconds"
PROBLEMS: Final = "rgate_problems_total"

KEPT_S: Final = 180.0
"""For so long others may not have heard what the database was told; they ask it once a minute."""

Tallies = Mapping[Label, Numbers]
"""A histogram of BOUNDS_S for each label, but for its sum: that is in nanoseconds."""

Fresh = Mapping[tuple[int, Label], Numbers]
"""The same for each minute and label."""


class Part(NamedTuple):
    """What one generation of a live file counted."""

    live_id: str
    generation: int
    tallies: Tallies

    def as_json(self) -> list[Any]:
        """Return it as JSON values."""
        rows = [[*label, *numbers] for label, numbers in self.tallies.items()]
        return [self.live_id, self.generation, rows]

    @classmethod
    def of_json(cls, value: Any) -> "Part":
        """Return the one that `as_json` made *value* of. Raises ValueError and its like where it is none."""
        live_id, generation, rows = value
        width = len(Label._fields)
        return cls(live_id, generation, {Label(*row[:width]): tuple(row[width:]) for row in rows})


class Lifetime(NamedTuple):
    """What the database said of all that was counted ever. *database*: which it is. *folded*: the newest
    generation of each live file that is in it.
    """

    database: int
    folded: Mapping[str, int]
    tallies: Tallies


def tally_of(latencies: Histogram) -> Numbers:
    """Return what is told of *latencies*."""
    return (latencies.sum_ns, *latencies.up_to(_BUCKETS), latencies.count)


def part_of(live_id: str, generation: int, counts: Counts) -> Part:
    """Return the part with these *counts*."""
    merged: dict[Label, Histogram] = {}
    for (_, label), latencies in counts.items():
        merged.setdefault(label, Histogram()).merge(latencies)
    return Part(live_id, generation, {label: tally_of(latencies) for label, latencies in merged.items()})


def lifetime_of(database: int, folded: Mapping[str, int], settled: Tallies, fresh: Fresh) -> Lifetime:
    """Return the lifetime of which a *database* has *settled* one part, and *fresh*ly got the other."""
    together = dict(settled)
    for (_, label), numbers in fresh.items():
        _add(together, label, numbers)
    return Lifetime(database, folded, together)


def ever(lifetime: Lifetime, parts: Iterable[Part]) -> dict[Label, Numbers]:
    """Return all that was counted. Of a generation that comes in several *parts*, the last one counts."""
    newer = {
        (part.live_id, part.generation): part.tallies
        for part in parts
        if part.generation > lifetime.folded.get(part.live_id, 0)
    }
    together = dict(lifetime.tallies)
    for tallies in newer.values():
        for label, numbers in tallies.items():
            _add(together, label, numbers)
    return together


def counters_of(tallies: Tallies) -> dict[str, dict[Labels, Numbers]]:
    """Return the metrics that are made of the figures."""
    requests: dict[Labels, Numbers] = {}
    containers: dict[Labels, Numbers] = {}
    durations: dict[Labels, Numbers] = {}
    problems: dict[Labels, Numbers] = {}
    for label, numbers in tallies.items():
        route, backend, container, status, cut, reason = label
        if reason:
            _add(problems, (reason,), numbers[-1:])
        if outcome(status, cut=cut) is None:
            continue
        _add(requests, (route, backend, str(status)), numbers[-1:])
        _add(durations, (route, backend), numbers)
        if container not in ("", OTHER):
            _add(containers, (backend, container, str(status)), numbers[-1:])
    return {REQUESTS: requests, CONTAINER_REQUESTS: containers, DURATION: durations, PROBLEMS: problems}


def _add(together: dict[Any, Numbers], key: Any, numbers: Numbers) -> None:
    known = together.get(key)
    together[key] = numbers if known is None else tuple(map(sum, zip(known, numbers, strict=True)))


class Journal:
    """What a process folded lately. Times are seconds of any one steady clock.

    One thread at a time adds; any may ask.
    """

    def __init__(self) -> None:
        self._parts: deque[tuple[float, Part]] = deque()

    def add(self, part: Part, now_s: float) -> None:
        """Keep *part* for a while: it is in the database now."""
        while self._parts and self._parts[0][0] < now_s - KEPT_S:
            self._parts.popleft()
        self._parts.append((now_s, part))

    def since(self, folded: Mapping[str, int]) -> list[Part]:
        """Return what who asks cannot know, whose database said that *folded* is in it."""
        return [part for _, part in self._parts.copy() if part.generation > folded.get(part.live_id, 0)]


class Told(Generic[Key]):
    """Remembers what is told of histograms: they are many, and few of them change between two times."""

    def __init__(self) -> None:
        self._known: Mapping[Key, tuple[Histogram, Numbers]] = {}  # replaced whole

    def tallies(self, counts: Mapping[Key, Histogram]) -> dict[Key, Numbers]:
        """Return what is told of *counts*, which do not change."""
        known = self._known
        self._known = now = {key: _told(known.get(key), latencies) for key, latencies in counts.items()}
        return {key: numbers for key, (_, numbers) in now.items()}


def _told(known: tuple[Histogram, Numbers] | None, latencies: Histogram) -> tuple[Histogram, Numbers]:
    if known is not None and (known[0] is latencies or known[0] == latencies):
        return latencies, known[1]
    return latencies, tally_of(latencies)
