"""All requests of a stretch of time, summed up."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from rgate.core.record import Outcome, outcome
from rgate.stats.figures import Label
from rgate.stats.histogram import Histogram

Routes = Mapping[str, tuple[int, int]]
"""By the name of each route its requests and errors."""


@dataclass(frozen=True, slots=True, eq=False)
class SumRow:
    """A sum as it is stored. *routes*: JSON, `{route: [requests, errors]}`. Another one once it changed."""

    requests: int
    errors: int
    own: int  # of the errors: answered by rgate itself
    histogram: bytes
    routes: str

    def by_route(self) -> Routes:
        """Return the routes."""
        return {route: (requests, errors) for route, (requests, errors) in json.loads(self.routes).items()}


class Sum:
    """How many requests there were, how they ended, and how long they took; and how many of each route."""

    __slots__ = ("errors", "latencies", "own", "requests", "routes")

    def __init__(self) -> None:
        self.requests = self.errors = self.own = 0
        self.latencies = Histogram()
        self.routes: dict[str, tuple[int, int]] = {}

    def add(self, label: Label, latencies: Histogram) -> None:
        """Count *latencies* of *label*; not those of what was no final response."""
        counted_as = outcome(label.status, cut=label.cut)
        if counted_as is None:
            return
        number = latencies.count
        errors = number if counted_as is Outcome.ERROR else 0
        self.requests += number
        self.errors += errors
        self.own += number if label.is_own else 0
        self.latencies.merge(latencies)
        self._add_route(label.route, number, errors)

    def merge(self, other: "Sum") -> None:
        """Count all of *other* too."""
        self.requests += other.requests
        self.errors += other.errors
        self.own += other.own
        self.latencies.merge(other.latencies)
        self.add_routes(other.routes)

    def add_routes(self, routes: Routes) -> None:
        """Count these requests and errors of routes."""
        for route, (requests, errors) in routes.items():
            self._add_route(route, requests, errors)

    def _add_route(self, route: str, requests: int, errors: int) -> None:
        before = self.routes.get(route, (0, 0))
        self.routes[route] = (before[0] + requests, before[1] + errors)

    def add_row(self, row: SumRow) -> None:
        """Count all of *row*, but for its routes."""
        self.requests += row.requests
        self.errors += row.errors
        self.own += row.own
        self.latencies.merge(Histogram.from_bytes(row.histogram))

    def row(self) -> SumRow:
        """Return this as it is stored."""
        routes = json.dumps(self.routes, ensure_ascii=False, separators=(",", ":"))
        return SumRow(self.requests, self.errors, self.own, self.latencies.to_bytes(), routes)
