"""The page at `stats.path` (behaviour 10): what is known, as words and rows. A value in, HTML out.

Nothing of the gateway is decided here: what is amiss, why, and what to do comes in as the JSON has it. What a
reader needs marked, and in which order, is; `page.js` has the same rules, as it writes the same rows anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from rgate.core.admission import Stranger
from rgate.core.windows import WINDOWS_S
from rgate.stats import Figures
from rgate.stats.series import RouteSeries, Series
from rgate.web import amounts
from rgate.web.documents import (
    BackendsDocument,
    FactDocument,
    RequestDocument,
    TimelineEventDocument,
    VerdictDocument,
)
from rgate.web.markup import page
from rgate.web.rows import backend_rows, in_words, route_rows
from rgate.web.sparks import figures

RELOADED_AFTER_S: Final = 15
"""So often a browser without JavaScript loads the page anew."""

_FINDINGS: Final = 3
_AT_FIRST: Final = 12  # rows of a list; the rest is there without JavaScript only, which has a button for it
MOST_ROWS: Final = 200
_EVENTS: Final = 40


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time up to now. *key*: what a URL calls it."""

    key: str
    seconds: int

    @property
    def label(self) -> str:
        """What people read."""
        number, unit = self.key[:-1], self.key[-1]
        return f"{number} {'min' if unit == 'm' else unit}"


WINDOWS: Final = tuple(Window(key, seconds) for key, seconds in WINDOWS_S.items())


@dataclass(frozen=True, slots=True)
class Inside:
    """What is for those in `admin.allow` alone. *failures* and *events*: newest first.

    *doctor*: the command for when the gateway does not answer any more.
    """

    verdict: VerdictDocument
    series: Series
    routes: Mapping[str, RouteSeries]
    backends: BackendsDocument
    failures: Sequence[RequestDocument]
    events: Sequence[TimelineEventDocument]
    doctor: str


@dataclass(frozen=True, slots=True)
class PageData:
    """All that a page is made of. *routes*: the figures of each by its name; "" is the default response.

    *host*: by which name the page was asked for. *silent_s*: for so long the database has not answered.
    *zone*: of the times; None: this machine's.
    """

    now: float
    window: Window
    host: str
    total: Figures
    routes: Mapping[str, Figures]
    whose: Inside | Stranger
    silent_s: float | None = None
    zone: tzinfo | None = None

    def time(self, at: float) -> str:
        """Return the time *at* as people read it."""
        return amounts.time_of_day(at, self.now, self.zone)


def stats_page(data: PageData) -> bytes:
    """Return the page."""
    said = {
        "data": data,
        "windows": WINDOWS,
        "as_of": f"{data.time(data.now)} {amounts.moment(data.now, data.zone).tzname()}",
        "reloaded_after_s": RELOADED_AFTER_S,
        "number": data.total.success + data.total.error,
    }
    if isinstance(data.whose, Stranger):
        return page("stranger.html", **said, **_for_all(data, None), stranger=data.whose)
    return page("stats.html", **said, **_for_all(data, data.whose), **_for_insiders(data, data.whose))


def _for_all(data: PageData, inside: Inside | None) -> dict[str, object]:
    owners, over_time, series = {}, {}, None
    if inside is not None:
        owners = {route: name for name, one in inside.backends.backends.items() for route in one.routes}
        over_time, series = dict(inside.routes), inside.series
    rows = route_rows(data.routes, data.window.seconds, owners, over_time, series)
    return {
        "figures": figures(data.total, series, data.window.seconds),
        "routes": rows[:_AT_FIRST],
        "more_routes": rows[_AT_FIRST:MOST_ROWS],
        "routes_left": max(0, len(rows) - MOST_ROWS),
    }


def _for_insiders(data: PageData, inside: Inside) -> dict[str, object]:
    failures = [(one, data.time(one.at)) for one in inside.failures[:MOST_ROWS]]
    docker = inside.backends.docker
    as_of = f", as of {data.time(docker.last_list)}" if not docker.connected and docker.last_list else ""
    return {
        "verdict": inside.verdict,
        "findings": inside.verdict.findings[:_FINDINGS],
        "more_findings": max(0, len(inside.verdict.findings) - _FINDINGS),
        "freshness": [(fact, _with_age(fact, data.now)) for fact in inside.verdict.freshness],
        "backends": backend_rows(inside.backends),
        "backends_note": in_words(inside.backends) + as_of,
        "gateway": inside.backends.gateway,
        "doctor": inside.doctor,
        "failures": failures[:_AT_FIRST],
        "more_failures": failures[_AT_FIRST:],
        "events": [(one, data.time(one.at)) for one in inside.events[:_EVENTS]],
        "example": next((route for route in data.routes if route.startswith("/")), "/"),
    }


def _with_age(fact: FactDocument, now: float) -> str:
    """Return the text of *fact* with the age that it leaves open."""
    return fact.text.replace("{ago}", amounts.span(now - fact.at)) if fact.at is not None else fact.text
