"""What was told of the numbers that only grow, by any worker: so that none ever tells less (behaviour 10).

Those of a process end with it, so what a worker counted is kept here when another takes its place. The
figures are kept as they were told: whoever is asked next may not have heard yet what the database was told
since, and what was counted in memory alone is lost with its worker.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from rgate.core.counters import Counters, Labels, as_json, highest, of_json, summed


class Counted(NamedTuple):
    """What a worker says that it counted since it started. *place*: which of the workers; *process*: what
    tells it from those that had the place before.
    """

    place: str
    process: str
    counters: Counters


class Figures(NamedTuple):
    """What was counted ever. *database*: which one holds it; one that was made anew is another."""

    database: int
    counters: Counters


@dataclass(frozen=True, slots=True)
class Ledger:
    """All that was told. *gone*: what workers counted that have ended."""

    workers: Mapping[str, Counted] = field(default_factory=dict)  # by their places
    gone: Counters = field(default_factory=dict)
    figures: Figures | None = None

    def with_workers(self, counted: Iterable[Counted]) -> "Ledger":
        """Return what is told after these workers said what they counted; others may not have answered."""
        workers, gone = dict(self.workers), [self.gone]
        for one in counted:
            known = workers.get(one.place)
            if known is not None and known.process != one.process:
                gone.append(known.counters)
                known = None
            before = [known.counters] if known is not None else []
            workers[one.place] = one._replace(counters=highest([*before, one.counters]))
        return replace(self, workers=workers, gone=summed(gone))

    def with_figures(self, figures: Figures | None) -> "Ledger":
        """Return what is told after somebody knew *figures*. None: nobody does."""
        known = self.figures
        if figures is None:
            return self
        if known is not None and known.database == figures.database:
            figures = figures._replace(counters=highest([known.counters, figures.counters]))
        return replace(self, figures=figures)

    def with_only(self, is_kept: Callable[[str, Labels], bool]) -> "Ledger":
        """Return it with no other figures than those that *is_kept* says, by metric and labels."""
        if self.figures is None:
            return self
        counters = {
            name: {labels: numbers for labels, numbers in series.items() if is_kept(name, labels)}
            for name, series in self.figures.counters.items()
        }
        return replace(self, figures=self.figures._replace(counters=counters))

    def since_start(self) -> Counters:
        """Return what all workers counted, those that have ended too."""
        return summed([self.gone, *(one.counters for one in self.workers.values())])

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        figures = self.figures
        return {
            "workers": [[one.place, one.process, as_json(one.counters)] for one in self.workers.values()],
            "gone": as_json(self.gone),
            "figures": None if figures is None else [figures.database, as_json(figures.counters)],
        }

    @classmethod
    def of_json(cls, value: Any) -> "Ledger":
        """Return the one that `as_json` made *value* of. Raises ValueError and its like where it is none."""
        workers = [Counted(place, process, of_json(rows)) for place, process, rows in value["workers"]]
        figures = value["figures"]
        return cls(
            {one.place: one for one in workers},
            of_json(value["gone"]),
            None if figures is None else Figures(figures[0], of_json(figures[1])),
        )
