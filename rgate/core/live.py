"""What open pages are told as it happens: which events follow from two moments (behaviour 10).

Pure: what is true at a moment comes in as documents that were made already. The format is that of
Server-Sent Events (WHATWG HTML 9.2.5).
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

TURN_S: Final = 0.25
"""So often is looked for what happened."""

_TICKS: Final = 4
_ALL: Final = 12
"""The figures are told each so many turns, a second; backends and routes each so many, three seconds."""

MOST_A_SECOND: Final = 20
"""Of failures, and of events of the timeline. How many more there were is told behind that."""

RETRY: Final = b"retry: 2000\n\n"
"""After so many milliseconds a page whose stream ended asks anew."""


class Event(NamedTuple):
    """Something to tell. *data*: JSON in one line."""

    name: str
    data: str


class Made(NamedTuple):
    """A document as JSON in one line, and the turn in which it was made."""

    turn: int
    data: str


class Moment(NamedTuple):
    """What is true for the pages of one window. Each was made in this turn or in an earlier one."""

    tick: Made
    verdict: Made
    backends: Made
    routes: Made


DOCUMENTS: Final = frozenset(Moment._fields)


def due(turn: int, *, is_first: bool, has_discovery_changed: bool) -> frozenset[str]:
    """Return which documents of a `Moment` are to be made anew in *turn*. *is_first*: there are none yet."""
    if is_first or turn % _ALL == 0:
        return DOCUMENTS
    names = {"tick", "verdict"} if turn % _TICKS == 0 else set[str]()
    return frozenset(names | ({"backends"} if has_discovery_changed else set()))


def is_same_verdict(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two documents of verdicts tell people the same: what is fresh is in each tick."""
    return all(one.get(key) == other.get(key) for key in ("level", "headline", "findings"))


def events_between(before: Moment | None, now: Moment) -> list[Event]:
    """Return what to tell a page that knows of *before*; None: of nothing yet."""
    return [
        Event(name, made.data)
        for name, made, known in zip(Moment._fields, now, before or (None,) * len(now), strict=True)
        if known is None or made.turn != known.turn
    ]


@dataclass(frozen=True, slots=True)
class Burst:
    """How many entries of one kind a page was told of in a second, and how many not: there were too many, or
    it did not read.
    """

    second: int = 0
    told: int = 0
    withheld: int = 0

    def take(self, second: int, number: int) -> tuple["Burst", int, int]:
        """Take *number* new entries in *second*.

        Return what comes of it, how many of them may be told, and how many of earlier ones were not, which is
        to be told first.
        """
        is_new = second != self.second
        told, withheld = (0, 0) if is_new else (self.told, self.withheld)
        may = min(number, MOST_A_SECOND - told)
        return (
            Burst(second, told + may, withheld + number - may),
            may,
            self.withheld if is_new else 0,
        )

    def miss(self, number: int) -> "Burst":
        """Take *number* new entries that cannot be told."""
        return Burst(self.second, self.told, self.withheld + number)


def more(name: str, number: int) -> Event:
    """Return what tells that there were *number* more of the kind *name*: the page looks itself."""
    return Event(name, one_line({"more": number}))


def full(most: int) -> Event:
    """Return what tells a page that it is one too many."""
    detail = f"{most} pages are open, and more are not kept up to date: this one has to ask by itself."
    return Event("full", one_line({"most": most, "detail": detail}))


def one_line(document: object) -> str:
    """Return *document* as JSON in one line."""
    return json.dumps(document, separators=(",", ":"))


def framed(events: Iterable[Event]) -> bytes:
    """Return *events* as they are sent; b"" where there is none."""
    return "".join(f"event: {name}\ndata: {data}\n\n" for name, data in events).encode()
