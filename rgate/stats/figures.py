"""What people see of the counts: which requests are told apart, and the numbers of a group of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from rgate.core.problem import CLIENT_CLOSED_REQUEST
from rgate.core.reasons import Reason
from rgate.core.record import Outcome, outcome
from rgate.core.stats_query import Grouping
from rgate.stats.histogram import Histogram

OTHER: Final = "(other)"
"""Stands for the names of containers that are too many to be kept apart."""


_CLIENT_CLOSED: Final = Reason.CLIENT_CLOSED.value


class Label(NamedTuple):
    """What tells one count from another, the time apart."""

    route: str
    backend: str
    container: str
    status: int
    cut: bool
    reason: str = ""  # a Reason's value where rgate answered by itself, or ended it

    @property
    def is_own(self) -> bool:
        """Whether this is an error that rgate itself answered: no container did, and the client waited."""
        if self.status == CLIENT_CLOSED_REQUEST or self.reason == _CLIENT_CLOSED:
            return False
        return outcome(self.status, cut=self.cut) is Outcome.ERROR and bool(self.reason or not self.container)

    def named(self, by: Grouping | None) -> str:
        """Return the name of the group that this belongs to; "" for none."""
        match by:
            case None:
                return ""
            case Grouping.ROUTE:
                return self.route
            case Grouping.BACKEND:
                return self.backend
            case Grouping.CONTAINER:
                return self.container
            case Grouping.STATUS:
                return str(self.status)


@dataclass(frozen=True, slots=True)
class Figures:
    """The numbers of behaviour 7; all 0 where nothing was counted."""

    success: int = 0
    error: int = 0
    average_ms: float = 0.0
    p95_ms: float = 0.0
    p99_ms: float = 0.0

    def as_json(self) -> dict[str, dict[str, int | float]]:
        """Return the object that `/stats` answers with, numbers with at most 3 decimals."""
        return {
            "requests_count": {"success": self.success, "error": self.error},
            "latency_ms": {
                "average": _shown(self.average_ms),
                "p95": _shown(self.p95_ms),
                "p99": _shown(self.p99_ms),
            },
        }


def _shown(milliseconds: float) -> int | float:
    rounded = round(milliseconds, 3)
    return int(rounded) if rounded == int(rounded) else rounded


def figures(counts: Iterable[tuple[Label, Histogram]]) -> Figures:
    """Return the numbers of all *counts* together."""
    requests = dict.fromkeys(Outcome, 0)
    latencies = Histogram()
    for label, histogram in counts:
        counted_as = outcome(label.status, cut=label.cut)
        if counted_as is not None:
            requests[counted_as] += histogram.count
            latencies.merge(histogram)
    return Figures(
        success=requests[Outcome.SUCCESS],
        error=requests[Outcome.ERROR],
        average_ms=latencies.average_ns() / 1e6,
        p95_ms=latencies.percentile_ns(95) / 1e6,
        p99_ms=latencies.percentile_ns(99) / 1e6,
    )


def grouped_figures(counts: Iterable[tuple[Label, Histogram]], by: Grouping) -> dict[str, Figures]:
    """Return the numbers of each group, by name."""
    groups: dict[str, list[tuple[Label, Histogram]]] = {}
    for label, histogram in counts:
        if outcome(label.status, cut=label.cut) is not None:
            groups.setdefault(label.named(by), []).append((label, histogram))
    return {name: figures(groups[name]) for name in sorted(groups)}


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted in a window.

    *silent_s*: for so long the database has not answered, and what it holds is as it was then. None: it did.
    """

    counts: Sequence[tuple[Label, Histogram]]
    silent_s: float | None = None

    def totals(self) -> Figures:
        """Return the figures of all."""
        return figures(self.counts)

    def grouped(self, by: Grouping) -> dict[str, Figures]:
        """Return the figures of each group by name, "" for requests that have none."""
        return grouped_figures(self.counts, by)
