"""What the query of `/stats` may ask for (behaviour 7). Text in, values out."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from rgate.stats.figures import Grouping

LONGEST_WINDOW_MINUTES: Final = 366 * 24 * 60
"""Counts are kept by day for so long; older ones are in the figures without a window only."""

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION: Final = re.compile(r"([0-9]{1,9})([smhd])")


class BadQuery(Exception):  # the field's word, as in the reason `bad_query`
    """The query asks for what is not there. *detail* is one sentence a person can act on."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


@dataclass(frozen=True, slots=True)
class StatsQuery:
    """What was asked for; None stands for the whole lifetime, and for no grouping."""

    window_minutes: int | None = None
    by: Grouping | None = None


def parse_stats_query(query: str) -> StatsQuery:
    """Return what *query*, the part of the target behind `?`, asks for. Raises BadQuery."""
    asked: dict[str, str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in ("window", "by"):
            raise BadQuery(f"The query may have `window` and `by`, and not {key!r}.")
        if key in asked:
            raise BadQuery(f"The query says `{key}` more than once.")
        asked[key] = value
    return StatsQuery(
        window_minutes=_window_minutes(asked["window"]) if "window" in asked else None,
        by=_grouping(asked["by"]) if "by" in asked else None,
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
