"""Keeps a registry true to its source: events as they come, full lists against what they miss.

Subscribe before listing: a container that starts in between would be missed until the next list.
Any end of the events is a break; a ping on a second connection finds links that are half open.
"""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from rgate.core.counters import Numbers, nothing, observed
from rgate.core.knowledge import Connection, Events, Knowledge
from rgate.core.timeline import (
    TimelineEvent,
    docker_away,
    docker_there,
    events_back,
    full_list,
    listed,
)
from rgate.discovery.registry import Registry
from rgate.discovery.source import ContainerSource, Event, EventStream, SourceError

log = logging.getLogger("rgate.docker")

RESYNC_S: Final = 30.0
PING_S: Final = 5.0
FIRST_PAUSE_S: Final = 0.5
# Not longer: who starts Docker again expects its containers within seconds.
LONGEST_PAUSE_S: Final = 4.0
LAG_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Of the histogram of `Watcher.lags`."""

_TICK_S: Final = 0.5
_EXPLAINED_S: Final = 1.0
# Network events name containers by their state of a moment later; both come within milliseconds.
_START: Final = "start"
_KILL: Final = "kill"


class Watcher:
    """Runs two threads: one follows events, one applies them, lists, and pings. Neither keeps a
    process from its end.

    *steady_s* is a steady clock, *unix_s* the time of day in Unix seconds. *tell* takes how it goes, an event
    at a time.
    """

    def __init__(
        self,
        source: ContainerSource,
        registry: Registry,
        *,
        steady_s: Callable[[], float] = time.monotonic,
        unix_s: Callable[[], float] = time.time,
        tell: Callable[[TimelineEvent], object] = lambda _: None,
    ) -> None:
        self._source = source
        self._registry = registry
        self._steady_s = steady_s
        self._unix_s = unix_s
        self._tell = tell
        self._stopped = threading.Event()
        self._looked = threading.Event()
        self._events: queue.SimpleQueue[tuple[EventStream, Event | None] | None] = queue.SimpleQueue()
        self._knowledge = Knowledge(since=unix_s())  # replaced whole, as other threads read it
        self._listed_at_s: float | None = None
        self._listed = ""  # what is said of the last full list
        self._last_event: float | None = None
        self._broke_at_s: float | None = None  # the events ended, and are to come again
        self._unexplained: set[str] | None = (
            None  # changes that a list had, and no event has told of; None: told
        )
        self._sure_at_s = 0.0  # from when on no event will tell of them
        self._told_away = False
        self._began = False
        self._lags = nothing(LAG_BOUNDS_S)  # replaced whole, as other threads read it

    @property
    def lags(self) -> Numbers:
        """How long it took from each event until what it tells of was in force: a histogram of seconds."""
        return self._lags

    @property
    def knowledge(self) -> Knowledge:
        """How fresh what is known of containers is now."""
        listed_at_s = self._listed_at_s
        return replace(
            self._knowledge,
            last_list_s=None if listed_at_s is None else round(max(0.0, self._steady_s() - listed_at_s), 3),
            generation=self._registry.generation,
            last_event=self._last_event,
        )

    def start(self) -> None:
        """Begin to look; once, further calls do nothing."""
        if not self._began:
            self._began = True
            threading.Thread(target=self._run, name="rgate-docker", daemon=True).start()

    def stop(self) -> None:
        """End, without waiting for a daemon that does not answer."""
        self._stopped.set()
        self._events.put(None)

    def wait_first_look(self, timeout_s: float) -> bool:
        """Wait until the first look at Docker has ended, either way; whether it has."""
        return self._looked.wait(timeout_s)

    @property
    def has_listed(self) -> bool:
        """Whether Docker answered, at any time."""
        return self._knowledge.docker is not Connection.NEVER

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stopped.is_set():
            try:
                self._follow()
                pause_s = FIRST_PAUSE_S
            except SourceError as error:
                if self._knowledge.docker is Connection.CONNECTED:
                    pause_s = FIRST_PAUSE_S
                self._away(str(error))
                self._source.close()
                self._stopped.wait(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            except Exception:
                # A defect here must not leave the gateway blind for good: the next round starts anew.
                log.exception("watching Docker failed")
                self._stopped.wait(LONGEST_PAUSE_S)

    def _follow(self) -> None:
        """Subscribe, list, and apply events until the stream breaks. Raises SourceError."""
        self._unexplained = None
        version = self._source.ping()
        stream = self._source.subscribe()
        try:
            threading.Thread(target=self._pump, args=(stream,), name="rgate-events", daemon=True).start()
            self._list()
            self._there(version)
            self._apply_until_break(stream)
        finally:
            self._knowledge = replace(self._knowledge, events=Events.BROKEN)
            stream.close()

    def _list(self) -> frozenset[str]:
        """Take a full list; return the ids of containers that were otherwise known, or not at all."""
        began_s = self._steady_s()
        containers = self._source.containers()
        changed = self._registry.replace(containers, self._steady_s())
        self._listed_at_s = began_s  # what happens while it is made may be missing in it
        self._listed = listed(len(containers), self._steady_s() - began_s)
        return changed

    def _pump(self, stream: EventStream) -> None:
        try:
            for event in stream:
                self._events.put((stream, event))
        except SourceError as error:
            log.debug("event stream ended error=%r", str(error))
        finally:
            self._events.put((stream, None))

    def _apply_until_break(self, stream: EventStream) -> None:
        now_s = self._steady_s()
        resync_at_s, ping_at_s = now_s + RESYNC_S, now_s + PING_S
        while not self._stopped.is_set():
            broke = self._apply(stream)
            now_s = self._steady_s()
            self._registry.sweep(now_s)
            self._tell_compared()
            if broke:
                self._broke_at_s = now_s
                return
            if now_s >= resync_at_s:
                self._compare()
                resync_at_s = self._steady_s() + RESYNC_S
            if now_s >= ping_at_s:
                self._source.ping()
                ping_at_s = self._steady_s() + PING_S

    def _compare(self) -> None:
        """Take a full list, and tell whether it has what events missed, once it is sure."""
        generation = self._registry.generation
        changed = self._list()
        # What of that happened just now, events tell in a moment.
        self._unexplained = set(changed) if self._registry.generation != generation else set()
        self._sure_at_s = self._steady_s() + _EXPLAINED_S
        self._tell_compared()

    def _tell_compared(self) -> None:
        """Tell what came of the last comparison, unless events may still explain it, or it was told."""
        if self._unexplained is not None and (not self._unexplained or self._steady_s() >= self._sure_at_s):
            self._tell(full_list(self._unix_s(), self._listed, missed=bool(self._unexplained)))
            self._unexplained = None

    def _apply(self, stream: EventStream) -> bool:
        """Apply the events that are there, waiting a moment for the first; whether the stream broke."""
        changed: dict[str, list[Event]] = {}  # what came several times at once is inspected once
        broke = False
        with contextlib.suppress(queue.Empty):
            item = self._events.get(timeout=_TICK_S)
            while True:
                if item is not None and item[0] is stream:
                    if item[1] is None:
                        broke = True
                    else:
                        self._take(item[1])
                        changed.setdefault(item[1].container_id, []).append(item[1])
                item = self._events.get_nowait()
        if self._unexplained is not None:
            self._unexplained.difference_update(changed)
        for container_id, events in changed.items():
            self._registry.update(container_id, self._source.container(container_id), self._steady_s())
            self._in_force(events)
        return broke

    def _in_force(self, events: Iterable[Event]) -> None:
        """Note how long *events* took until what they tell of was in force."""
        now_s = self._unix_s()
        for event in events:
            if event.at_s is not None:  # two readings of one clock, which may be set in between
                self._lags = observed(self._lags, LAG_BOUNDS_S, max(now_s - event.at_s, 0.0))

    def _take(self, event: Event) -> None:
        """Apply what the event itself says, before Docker is asked for the rest."""
        self._last_event = self._unix_s()
        if event.action == _KILL:
            self._registry.signalled(event.container_id, event.signal, self._steady_s())
        elif event.action == _START:
            self._registry.started(event.container_id)

    def _there(self, version: str) -> None:
        self._tell_there(version)
        self._now(Connection.CONNECTED, events=Events.LIVE, version=version)
        if self._told_away:
            log.warning("Docker answers again version=%s", version)
            self._told_away = False
        self._looked.set()

    def _tell_there(self, version: str) -> None:
        now, known, broke_at_s = self._unix_s(), self._knowledge, self._broke_at_s
        self._broke_at_s = None
        if known.docker is Connection.CONNECTED:
            if broke_at_s is not None:
                self._tell(events_back(now, self._steady_s() - broke_at_s, self._listed))
        else:
            away_s = now - known.since if known.docker is Connection.AWAY else None
            self._tell(docker_there(now, version, away_s, self._listed))

    def _away(self, error: str) -> None:
        reached = self._knowledge.docker is not Connection.NEVER
        self._now(Connection.AWAY if reached else Connection.NEVER, error=error)
        if not self._told_away:
            known = "the last known containers stay in use" if reached else "no container is known yet"
            log.warning("Docker does not answer; %s error=%r", known, error)
            self._tell(docker_away(self._unix_s(), error, is_known=reached))
            self._told_away = True
        self._registry.unavailable(error, self._knowledge.since)
        self._looked.set()

    def _now(
        self, docker: Connection, *, events: Events = Events.BROKEN, version: str = "", error: str = ""
    ) -> None:
        known = self._knowledge
        since = known.since if docker is known.docker else self._unix_s()
        self._knowledge = Knowledge(known.source, docker, since, None, events, 0, version, error)
