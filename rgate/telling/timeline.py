"""What rgate did and saw, as it happens: the last thousand lines of it (behaviour 10)."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from rgate.core.balance import FIRST_PAUSE_S
from rgate.core.candidates import BackendView, Candidate
from rgate.core.timeline import (
    MOST,
    Kind,
    Life,
    TimelineEvent,
    accepts_again,
    folded,
    refused,
)
from rgate.core.view_changes import Pasts, Views, changes, with_past

log = logging.getLogger("rgate")

Callback = Callable[[TimelineEvent], None]
"""Takes an event as it happens, in whatever thread that is, and does not wait."""


class Timeline:
    """The newest events, with what repeats folded. Any thread may call.

    *past*: those before it began, at *began*, in Unix seconds. Where there are too many, the oldest of the
    kind goes that there is most of: many containers that come and go push out no reload.
    """

    def __init__(self, past: Iterable[TimelineEvent] = (), *, began: float = 0.0) -> None:
        self.began: Final = began
        self._lock = threading.Lock()  # protects all below
        self._lines: dict[int, TimelineEvent] = {}  # by a number that grows; oldest first
        self._last: dict[object, int] = {}  # of each key that may be folded, its line
        self._kinds: Counter[Kind] = Counter()
        self._number = 0
        self._life = Life()
        self._subscribers: list[Callback] = []
        for event in past:
            self.add(event)

    @property
    def life(self) -> Life:
        """When rgate started, and what became of its configuration."""
        return self._life

    def add(self, event: TimelineEvent) -> None:
        """Take *event*, which is the newest. Who subscribed gets it with what it is folded with."""
        with self._lock:
            event = event.shortened()
            self._life = self._life.after(event)
            event = self._kept(event)
            subscribers = tuple(self._subscribers)
        for callback in subscribers:
            try:
                callback(event)
            except Exception:  # whoever listens must not harm what is told of
                log.exception("an event was not told")

    def newest(self, limit: int = MOST) -> tuple[TimelineEvent, ...]:
        """Return the last *limit* events, newest first."""
        with self._lock:
            events = list(self._lines.values())
        return tuple(events[: -limit - 1 : -1])

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """Call *callback* with each event from now on, until what this returns is called."""
        with self._lock:
            self._subscribers.append(callback)

        def unsubscribe() -> None:
            with self._lock:
                if callback in self._subscribers:
                    self._subscribers.remove(callback)

        return unsubscribe

    def _kept(self, event: TimelineEvent) -> TimelineEvent:
        before = self._lines.get(self._last.get(event.key, -1))
        both = folded(before, event) if before is not None else None
        if both is not None:
            self._drop(self._last[event.key])
            event = both
        self._number += 1
        self._lines[self._number] = event
        self._kinds[event.kind] += 1
        if event.about:
            self._last[event.key] = self._number
        if len(self._lines) > MOST:
            [(most, _)] = self._kinds.most_common(1)
            self._drop(next(number for number, one in self._lines.items() if one.kind is most))
        return event

    def _drop(self, number: int) -> None:
        event = self._lines.pop(number)
        self._kinds[event.kind] -= 1
        if self._last.get(event.key) == number:
            del self._last[event.key]


class Comings:
    """Tells a timeline what came, went and nearly came, between one look at *views* and the next."""

    def __init__(
        self, timeline: Timeline, views: Callable[[], Views], unix_s: Callable[[], float] = time.time
    ) -> None:
        self._timeline = timeline
        self._views = views
        self._unix_s = unix_s
        self._lock = threading.Lock()  # a reload and the watcher may look at once
        self._seen: Mapping[str, BackendView] = views()
        self._past: Pasts = {}

    def look(self) -> None:
        """Tell what changed since the last look. Never raises."""
        try:
            with self._lock:
                before, after = self._seen, self._views()
                self._seen = after
                events = changes(before, after, self._unix_s(), self._past)
                self._past = with_past(self._past, before, after)
                for event in events:
                    self._timeline.add(event)
        except Exception:  # what is told must not harm what is done
            log.exception("what changed was not told")


class Refusals:
    """Tells a timeline of candidates that refuse, and accept again: it is what a `Balancer` tells.

    *steady_s*: the clock of those who told the balancer of refusals.
    """

    def __init__(
        self,
        timeline: Timeline,
        views: Callable[[], Views],
        *,
        unix_s: Callable[[], float] = time.time,
        steady_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timeline = timeline
        self._views = views
        self._unix_s = unix_s
        self._steady_s = steady_s
        self._looked_at: Views = {}
        self._backends: dict[Candidate, list[str]] = {}

    def __call__(self, candidate: Candidate, closed: bool, since_s: float | None) -> None:
        """Tell that *candidate* refused, or *closed* without an answer; or that this is over: it did so from
        *since_s* on.
        """
        at, backends = self._unix_s(), self._backends_of(candidate)
        if since_s is None:
            event = refused(at, backends, candidate.name, FIRST_PAUSE_S, closed=closed)
        else:
            out_s = self._steady_s() - since_s
            event = accepts_again(at, backends, candidate.name, out_s, closed=closed)
        self._timeline.add(event)

    def _backends_of(self, candidate: Candidate) -> list[str]:
        """Return whose candidate it is. Many may refuse at once: all are looked through only once."""
        views = self._views()
        if views is not self._looked_at:
            backends: dict[Candidate, list[str]] = {}
            for name, view in views.items():
                for one in view.candidates:
                    backends.setdefault(one, []).append(name)
            self._backends, self._looked_at = backends, views
        return self._backends.get(candidate, [])
