"""Tells open pages what happens, each second and at once: made once for all of them, by one thread that runs
only while there is one (behaviour 10.live).

The thread carries no request, and no request waits for it: whoever writes to a page is given bytes, and takes
them when it can. A page that reads slowly misses ticks, and is told all anew once it reads again.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from rgate.core.live import (
    RETRY,
    TURN_S,
    Burst,
    Event,
    Made,
    Moment,
    due,
    events_between,
    framed,
    full,
    is_same_verdict,
    more,
    one_line,
)
from rgate.core.problem import OwnStream

log = logging.getLogger("rgate")

MOST_PAGES: Final = 20
"""So many a process serves; others have to ask by themselves."""

Document = dict[str, Any]


class Happened(NamedTuple):
    """What happened in a stretch of time: how much, and the first of it, oldest first."""

    number: int
    entries: Sequence[Document]


class Heard(NamedTuple):
    """Up to when each worker was heard of what happened, of `time.monotonic_ns`, by its place.

    All that are not among them were up to *since_ns*.
    """

    since_ns: int
    by_place: Mapping[str, int] = {}


class Source(Protocol):
    """Knows what there is to tell, as documents of JSON's types. Any thread may ask."""

    @property
    def generation(self) -> int:
        """A number that changes with what discovery knows. To be read at any time, at no cost."""

    def tick(self, window_s: int, verdict: Document) -> Document:
        """Return what is told each second: the figures, and how fresh all is, as *verdict* says."""

    def verdict(self) -> Document:
        """Return the verdict, with its `freshness`."""

    def backends(self, window_s: int) -> Document:
        """Return all backends."""

    def routes(self, window_s: int) -> Document:
        """Return the figures of each route."""

    def happened(self, heard: Heard, until_ns: int) -> tuple[dict[str, Happened], Heard]:
        """Return what came behind what was *heard* and up to *until_ns*, by its event; and what is heard now.

        Of a worker that does not answer in time nothing more is heard, and all of it the next time.
        """


class Viewer(Protocol):
    """Writes to one open page."""

    @property
    def is_ready(self) -> bool:
        """Whether it takes more: it has written what it was given, and the page reads."""

    def take(self, data: bytes) -> None:
        """Take something to write. It is asked in a foreign thread, and does not wait for the page."""

    def end(self) -> None:
        """Take it that nothing more comes. In a foreign thread, as `take`."""


class Opened(NamedTuple):
    """What a page is sent first, and whether more follows."""

    first: bytes
    goes_on: bool


@dataclass(slots=True, eq=False)
class Page:
    """An open page, and what it was told."""

    viewer: Viewer
    window_s: int
    is_allowed: Callable[[], bool] = lambda: True
    seen: Moment | None = None  # None: nothing, or not all
    bursts: dict[str, Burst] = field(default_factory=dict)  # by the event of what happened

    def news(self, second: int, happened: Mapping[str, Happened]) -> tuple[tuple[str, int, int], ...]:
        """Return what to tell of *happened*: of each event how many before it were not, and how many now."""
        told = []
        for name, (number, _) in happened.items():
            self.bursts[name], may, before = self.bursts.get(name, Burst()).take(second, number)
            if may or before:
                told.append((name, before, may))
        return tuple(told)

    def miss(self, now: Moment, happened: Mapping[str, Happened]) -> None:
        """Take it that it does not read for now, and is told neither *now* nor what *happened*."""
        if self.seen is not now:
            self.seen = None
        for name, (number, _) in happened.items():
            self.bursts[name] = self.bursts.get(name, Burst()).miss(number)


class Live:
    """All open pages of a process. Any thread may call."""

    def __init__(
        self,
        source: Source,
        *,
        turn_s: float = TURN_S,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._source = source
        self._turn_s = turn_s
        self._now_ns = now_ns
        self._lock = threading.Lock()  # protects all below
        self._pages: dict[Viewer, Page] = {}
        self._wake: threading.Event | None = None  # of the thread that runs
        self._has_ended = False

    def open(self, viewer: Viewer, own: OwnStream) -> Opened:
        """Let *viewer* be given what *own* is to tell, from now on until it leaves."""
        with self._lock:
            if self._has_ended:
                return Opened(RETRY, goes_on=False)
            if len(self._pages) >= MOST_PAGES or not self._has_thread():
                return Opened(RETRY + framed([full(MOST_PAGES)]), goes_on=False)
            self._pages[viewer] = Page(viewer, own.window_s, own.is_allowed)
            return Opened(RETRY, goes_on=True)

    def _has_thread(self) -> bool:
        """Whether there is a thread that tells, be it a new one."""
        if self._wake is None:
            wake, rounds = threading.Event(), Rounds(self._source, self._now_ns)
            try:
                threading.Thread(
                    target=self._run, args=(wake, rounds), name="rgate-live", daemon=True
                ).start()
            except RuntimeError:  # the system gives no more threads
                return False
            self._wake = wake
        return True

    def leave(self, viewer: Viewer) -> None:
        """Forget *viewer*, whose page is gone; it need not be there. It may still be given something once."""
        with self._lock:
            self._pages.pop(viewer, None)
            if not self._pages:
                self._rest()

    def end(self) -> None:
        """End all pages: rgate ends."""
        with self._lock:
            self._has_ended = True
            viewers = list(self._pages)
            self._pages.clear()
            self._rest()
        for viewer in viewers:
            viewer.end()

    def _rest(self) -> None:
        """Let the thread end at once; the next page starts another."""
        if self._wake is not None:
            self._wake.set()
            self._wake = None

    def _run(self, wake: threading.Event, rounds: "Rounds") -> None:
        next_s = time.monotonic()
        generation, has_failed = self._source.generation, False
        while not wake.is_set():
            with self._lock:
                pages = list(self._pages.values())
            try:
                before, generation = generation, self._source.generation
                if generation != before:
                    pages = self._still_allowed(pages)
                rounds.turn(pages)
            except Exception:  # outermost loop: the next turn may go better
                if not has_failed:
                    log.exception("live pages were not told")
                has_failed = True
            next_s = max(next_s + self._turn_s, time.monotonic())
            wake.wait(next_s - time.monotonic())

    def _still_allowed(self, pages: Sequence[Page]) -> list[Page]:
        """Return those of *pages* that may still be told, and end the others: a reload may change that."""
        allowed = [page for page in pages if page.is_allowed()]
        for page in pages:
            if page not in allowed:
                self.leave(page.viewer)
                page.viewer.end()
        return allowed


class Rounds:
    """One turn after the other: what there is to tell is looked for once, and given to all pages."""

    def __init__(self, source: Source, now_ns: Callable[[], int]) -> None:
        self._source = source
        self._now_ns = now_ns
        self._turn = 0
        self._heard = Heard(now_ns())
        self._generation = source.generation
        self._verdict: Document = {}
        self._verdict_made = Made(0, "")
        self._moments: dict[int, Moment] = {}  # by window

    def turn(self, pages: Sequence[Page]) -> None:
        """Give the viewers of *pages* what there is to tell."""
        try:
            self._give(pages)
        finally:
            self._turn += 1

    def _give(self, pages: Sequence[Page]) -> None:
        until_ns = self._now_ns()
        self._moments = self._made({page.window_s for page in pages})
        happened, self._heard = self._source.happened(self._heard, until_ns)
        sent: dict[object, bytes] = {}  # most pages are told the same
        for page in pages:
            now = self._moments[page.window_s]
            if not page.viewer.is_ready:
                page.miss(now, happened)
                continue
            news = page.news(until_ns // 10**9, happened)
            key = (page.window_s, id(page.seen), news)
            if key not in sent:
                sent[key] = framed((*events_between(page.seen, now), *_events(news, happened)))
            page.seen = now
            if sent[key]:
                page.viewer.take(sent[key])

    def _made(self, windows: set[int]) -> dict[int, Moment]:
        """Return what is true now for each of *windows*."""
        generation = self._source.generation
        has_changed, self._generation = generation != self._generation, generation
        names = {
            window_s: due(
                self._turn, is_first=window_s not in self._moments, has_discovery_changed=has_changed
            )
            for window_s in windows
        }
        if any("verdict" in some for some in names.values()):
            self._look_at_verdict()
        return {window_s: self._moment(window_s, some) for window_s, some in names.items()}

    def _look_at_verdict(self) -> None:
        before, self._verdict = self._verdict, self._source.verdict()
        if not is_same_verdict(before, self._verdict) or not before:
            self._verdict_made = Made(self._turn, one_line(self._verdict))

    def _moment(self, window_s: int, names: frozenset[str]) -> Moment:
        """Return what is true now for pages of that window, of which *names* are due."""
        before = self._moments.get(window_s)
        if before is not None and not names:
            return before
        source = self._source
        make: dict[str, Callable[[], Document]] = {
            "tick": lambda: source.tick(window_s, self._verdict),
            "backends": lambda: source.backends(window_s),
            "routes": lambda: source.routes(window_s),
        }
        made = {name: Made(self._turn, one_line(make[name]())) for name in sorted(names & make.keys())}
        if before is None:
            return Moment(verdict=self._verdict_made, **made)
        return before._replace(verdict=self._verdict_made, **made)


def _events(news: tuple[tuple[str, int, int], ...], happened: Mapping[str, Happened]) -> Iterator[Event]:
    for name, before, number in news:
        if before:
            yield more(name, before)
        for entry in happened[name].entries[:number]:
            yield Event(name, one_line(entry))
