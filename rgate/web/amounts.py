"""Amounts and times as people read them: short, and a dash where nothing was counted, never a nought.

`page.js` writes them alike.
"""

from datetime import datetime, tzinfo
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

NARROW: Final = "\u202f"
"""Stands between a number and its unit: a space that ends no line."""

DASH: Final = "\u2013"

_DAY_S: Final = 86400
_WITHOUT_A_DAY_S: Final = 18 * 3600  # a time that is no longer ago is told without its day
_SPANS: Final = ((90, 1, "s"), (5400, 60, "min"), (129600, 3600, "h"))


def count(number: float) -> str:
    """Return a whole number with commas."""
    return f"{int(_rounded(number, 0)):,}"


def amount(number: float | None) -> str:
    """Return *number* with as many digits as it needs."""
    if number is None:
        return DASH
    if not number or number >= 10:
        return count(number)
    return "<0.01" if number < 0.005 else str(_rounded(number, 2 if number < 1 else 1))


def share(part: float | None) -> str:
    """Return *part*, of 1, in percent."""
    if part is None:
        return DASH
    if part and part < 1e-4:
        return f"<0.01{NARROW}%"
    digits = 2 if part and part < 0.01 else 1 if part < 0.1 else 0
    return f"{_rounded(100 * part, digits)}{NARROW}%"


def milliseconds(number: float | None) -> str:
    """Return *number* of milliseconds, in seconds where there are many."""
    if number is None:
        return DASH
    if number < 999.5:
        return f"{_rounded(number, 1 if number < 10 else 0)}{NARROW}ms"
    return f"{_rounded(number / 1000, 2 if number < 9950 else 1)}{NARROW}s"


def span(seconds: float) -> str:
    """Return how long *seconds* are, in the largest unit that says enough."""
    size, unit = next(((size, unit) for most, size, unit in _SPANS if seconds < most), (_DAY_S, "d"))
    return f"{max(0, int(_rounded(seconds / size, 0)))}{NARROW}{unit}"


def time_of_day(at: float, now: float, zone: tzinfo | None) -> str:
    """Return the time *at* (Unix seconds) in *zone*, with its day if it is long ago."""
    if now - at < _WITHOUT_A_DAY_S:
        return moment(at, zone).strftime("%H:%M:%S")
    return moment(at, zone).strftime("%m-%d %H:%M")


def moment(at: float, zone: tzinfo | None) -> datetime:
    """Return *at*, of Unix seconds, in *zone*; None: this machine's."""
    return datetime.fromtimestamp(at, zone).astimezone(zone)


def _rounded(number: float, digits: int) -> Decimal:
    """Return *number* with so many *digits*; halves away from 0, as browsers round them."""
    return Decimal(number).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
