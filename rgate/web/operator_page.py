"""Gathers what the page at `stats.path` shows, for whoever asks (behaviour 10)."""

import time

from rgate.core.admission import Stranger
from rgate.core.commands import looking_after
from rgate.core.story_query import StoryQuery
from rgate.stats import Figures, Grouping, Stats
from rgate.telling.process import Started
from rgate.web.backends_page import BackendsPage
from rgate.web.page import MOST_ROWS, WINDOWS, Inside, PageData, Window, stats_page
from rgate.web.requests_page import RequestsPage
from rgate.web.timeline_page import TimelinePage
from rgate.web.verdict_page import VerdictPage


class OperatorPage:
    """Shows in words and rows what the other pages tell."""

    def __init__(
        self,
        stats: Stats,
        requests: RequestsPage,
        backends: BackendsPage,
        timeline: TimelinePage,
        verdict: VerdictPage,
        started: Started,
    ) -> None:
        self._stats = stats
        self._requests = requests
        self._backends = backends
        self._timeline = timeline
        self._verdict = verdict
        self._doctor = looking_after(started.program, started.config_path, started.url)

    def answer(self, window_s: int, host: str, stranger: Stranger | None) -> tuple[bytes, float | None]:
        """Return the page of a window, and for how long the database has not answered; None: it does.

        *host*: by which name it was asked for. *stranger*: why who asks gets the figures only; None: it is
        one of us.
        """
        window = next(window for window in WINDOWS if window.seconds == window_s)
        data = self._for_stranger(window, host, stranger) if stranger else self._for_insider(window, host)
        return stats_page(data), data.silent_s

    def _for_stranger(self, window: Window, host: str, stranger: Stranger) -> PageData:
        counted = self._stats.counted(window.seconds // 60)
        routes = counted.grouped(Grouping.ROUTE)
        return PageData(time.time(), window, host, counted.totals(), routes, stranger, counted.silent_s)

    def _for_insider(self, window: Window, host: str) -> PageData:
        verdict = self._verdict.document()
        series, over_time = self._stats.series_by_route(window.seconds)
        backends = self._backends.document(window.seconds)
        failures = self._requests.requests(StoryQuery(failed=True, limit=MOST_ROWS)).requests
        events = self._timeline.document().events
        inside = Inside(verdict, series, over_time, backends, failures, events, self._doctor)
        # Those too that nobody asked for yet.
        routes = {name: Figures() for one in backends.backends.values() for name in one.routes} | {
            "": Figures()
        }
        routes |= {name: one.total for name, one in over_time.items()}
        silent_s = self._stats.counted().silent_s
        return PageData(time.time(), window, host, series.total, routes, inside, silent_s)
