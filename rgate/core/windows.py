"""Which windows the pages over time have, and what their queries may ask for (behaviour 10). Text in, values
out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from rgate.core.query import BadQuery, asked, shown

WINDOWS_S: Final[Mapping[str, int]] = MappingProxyType(
    {"15m": 900, "1h": 3600, "6h": 21600, "24h": 86400, "7d": 604800}
)
"""Their names, and how long they are."""

_USUAL: Final = "1h"


@dataclass(frozen=True, slots=True)
class SeriesQuery:
    """What was asked for: a window in seconds, and the figures of each route too or not."""

    window_s: int = WINDOWS_S[_USUAL]
    by_route: bool = False


def parse_series_query(query: str) -> SeriesQuery:
    """Return what *query*, the part of the target behind `?`, asks for. Raises BadQuery."""
    said = asked(query, ("window", "by"))
    if said.get("by", "route") != "route":
        raise BadQuery(f"`by` is `route`, and not {shown(said['by'])}.")
    return SeriesQuery(_window_s(said), "by" in said)


def parse_window(query: str) -> int:
    """Return the window in seconds that *query* asks for, and nothing else. Raises BadQuery."""
    return _window_s(asked(query, ("window",)))


def _window_s(said: Mapping[str, str]) -> int:
    name = said.get("window", _USUAL)
    if name not in WINDOWS_S:
        raise BadQuery(f"`window` is one of {', '.join(WINDOWS_S)}, and not {shown(name)}.")
    return WINDOWS_S[name]
