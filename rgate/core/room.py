"""How many connections there is room for (behaviour 2.limits): what was asked for, and what the descriptors
allow.

A client's connection takes one descriptor, and one to a container takes another while a request is under way:
two for each that is active, and all may be. What `reserved` says is kept back for all else.
"""

from dataclasses import dataclass
from typing import Final

_RESERVED: Final = 64
"""Descriptors of a process that no connection takes: a gateway at rest has some 25 open (logs, live files,
the database, Docker, its loop); pages, Docker's answers and the looking up of names need some for a moment.
"""

_OF_A_SOURCE: Final = 4
"""A further source has some 3 open: its events, what was asked last, and who wakes its watcher."""

FEWEST: Final = 8
"""So many connections of clients there may be at least, whatever is left then for all else."""

QUIET_S: Final = 10.0
"""What was told is over when nothing of the kind was noticed for so long."""


_WORTH_TELLING: Final = 0.9


def reserved(workers: int, sources: int) -> int:
    """Return how many descriptors one of *workers* processes that asks *sources* keeps back: pages ask all
    others at once.
    """
    return _RESERVED + _OF_A_SOURCE * max(0, sources - 1) + workers - 1


def most_clients(connections: int, workers: int, descriptors: int, sources: int = 1) -> int:
    """Return how many connections of clients one of *workers* processes may have open, and how many to
    containers: its share of *connections* (`limits.connections`), or fewer.

    *descriptors*: how many each process may have open.
    """
    left = descriptors - reserved(workers, sources)
    return min(-(-connections // workers), max(left // 2, FEWEST))


def told_of_room(connections: int, workers: int, descriptors: int, sources: int = 1) -> str:
    """Return what is to be said at the start of the room that there is: "" where it is what was asked for, or
    so little less that nobody would change anything.
    """
    most = most_clients(connections, workers, descriptors, sources) * workers
    if most >= connections * _WORTH_TELLING:
        return ""
    where = f"{workers} processes" if workers > 1 else "a process"
    return (
        f"room for {most} connections of clients, not for the {connections} of limits.connections: "
        f"{where} may have {descriptors} descriptors{' each' if workers > 1 else ''}; raise the hard limit "
        "(`ulimit -Hn`, LimitNOFILE= of systemd, --ulimit nofile= of Docker), or lower limits.connections"
    )


@dataclass(frozen=True, slots=True)
class Spell:
    """Something that comes and goes, and is told when it begins and when it is over. *last_s*: when it was
    noticed last; None: it is over.
    """

    last_s: float | None = None

    @property
    def is_on(self) -> bool:
        """Whether it goes on."""
        return self.last_s is not None

    def noticed(self, now_s: float) -> "Spell":
        """Return what it is once it was noticed at *now_s*."""
        return Spell(now_s)

    def is_over(self, now_s: float) -> bool:
        """Whether it went on, and was not noticed for long enough before *now_s*."""
        return self.last_s is not None and now_s - self.last_s >= QUIET_S
