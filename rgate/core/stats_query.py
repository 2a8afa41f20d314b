"""What the query of `/stats` may ask for (behaviour 7). Text in, values out."""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from rgate.core.query import BadQuery, asked

LONGEST_WINDOW_MINUTES: Final = 366 * 24 * 60
"""Counts are kept by day for so long; older ones are in the figures without a window only."""

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION: Final = re.compile(r"([0-9]{1,9})([smhd])")


class Grouping(Enum):
    """What the figures may be grouped by; the value is what `?by=` says."""

    ROUTE = "route"
    BACKEND = "backend"
    CONTAINER = "container"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class StatsQuery:
    """What was asked for; None stands for the whole lifetime, and for no grouping."""

    window_minutes: int | None = None
    by: Grouping | None = None


def parse_stats_query(query: str) -> StatsQuery:
    """Return what *query*, the part of the target behind `?`, asks for. Raises BadQuery."""
    said = asked(query, ("window", "by"))
    return StatsQuery(
        window_minutes=_window_minutes(said["window"]) if "window" in said else None,
        by=_grouping(said["by"]) if "by" in said else None,
    )


def _window_minutes(text: str) -> int:
    duration = _DURATION.fullmatch(text)
    minutes = -(-int(duration[1]) * _SECONDS[duration[2]] // 60) if duration else 0
    if not 1 <= minutes <= LONGEST_WINDOW_MINUTES:
        raise BadQuery(f"`window` is a number and s, m, h or d, such as 15m, up to 366d, and not {text!r}.")
    return minutes


def _grouping(text: str) -> Grouping:
    try:
        return Grouping(text)
    except ValueError:
        allowed = ", ".join(grouping.value for grouping in Grouping)
        raise BadQuery(f"`by` is one of {allowed}, and not {text!r}.") from None
