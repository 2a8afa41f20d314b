"""Keeps a registry true to its source: carries out what `core/watching.py` decides, and tells it what came.

One thread decides. What it asks for runs in threads of its own, as each may wait for long: lists, inspects
and pings, and one that follows the events.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar

from rgate.core.address import HostView, own_networks
from rgate.core.config import ENVIRONMENT, Source
from rgate.core.containers import Event
from rgate.core.counters import Numbers, nothing, observed
from rgate.core.knowledge import Knowledge
from rgate.core.seen import Seen
from rgate.core.timeline import TimelineEvent, of_source
from rgate.core.watching import (
    Close,
    Command,
    InForce,
    Inspect,
    List,
    Now,
    Ping,
    Subscribe,
    Tell,
    Unsubscribe,
    Warn,
    Watching,
)
from rgate.discovery.registry import Registry
from rgate.discovery.source import ContainerSource, EventStream, SourceError

log = logging.getLogger("rgate.docker")

LAG_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Of the histogram of `Watcher.lags`."""

# Not longer at once, so that a clock that was set is noticed.
_TICK_S: Final = 0.5
_DEFECT: Final = "rgate itself failed, and its log says how: it tries again"

_Heard = Callable[[Now], object]
_T = TypeVar("_T")


class Watcher:
    """Follows a source, in threads that keep no process from its end.

    *of*: what the configuration says of it. *published_host*: where it publishes ports, "" for this machine.
    *own_id*: the (short) id of the container that rgate itself runs in, "" where it runs in none. *steady_s*
    is a steady clock, *unix_s* the time of day in Unix seconds. *tell* takes how it goes, an event at a time.
    """

    def __init__(
        self,
        source: ContainerSource,
        registry: Registry,
        *,
        of: Source = ENVIRONMENT,
        published_host: str = "",
        own_id: str = "",
        steady_s: Callable[[], float] = time.monotonic,
        unix_s: Callable[[], float] = time.time,
        tell: Callable[[TimelineEvent], object] = lambda _: None,
    ) -> None:
        self._source = source
        self._registry = registry
        self._of = of
        self._published_host = published_host
        self._own_id = own_id
        self.is_named = False  # whether it is one of several, which are told apart by their names
        self._steady_s = steady_s
        self._unix_s = unix_s
        self._tell = tell
        self._stopped = threading.Event()
        self._looked = threading.Event()
        self._heard: queue.SimpleQueue[_Heard] = queue.SimpleQueue()
        self._watching = Watching(partial(registry.wants, source=of.name), self._now())
        self._told = self._knowledge_now()  # replaced whole, once what it tells of is in force
        self._stream_lock = threading.Lock()
        self._stream: tuple[int, EventStream | None] = 0, None  # which is to be followed, and by what
        self._shown: object = None
        self._began = False
        self._lags = nothing(LAG_BOUNDS_S)  # replaced whole, as other threads read it

    @property
    def lags(self) -> Numbers:
        """How long it took from each event until what it tells of was in force: a histogram of seconds."""
        return self._lags

    @property
    def knowledge(self) -> Knowledge:
        """How fresh what is known of containers is now."""
        knowledge, listed_at_s = self._told
        return replace(
            knowledge,
            last_list_s=None if listed_at_s is None else round(max(0.0, self._steady_s() - listed_at_s), 3),
            generation=self._registry.generation,
        )

    def _knowledge_now(self) -> tuple[Knowledge, float | None]:
        return replace(self._watching.knowledge, source=self._of.name), self._watching.listed_at_s

    def start(self) -> None:
        """Begin to look; once, further calls do nothing."""
        if not self._began:
            threading.Thread(target=self._run, name="rgate-docker", daemon=True).start()
            self._heard.put(lambda _: self._watching.begin())
            self._began = True  # only now: where the system gives no thread, the next reload tries again

    def look_again(self) -> None:
        """Look for what the registry wants now, as its backends are others."""
        self._heard.put(lambda _: self._watching.look_again())

    def stop(self) -> None:
        """End, without waiting for a daemon that does not answer."""
        self._stopped.set()
        self._heard.put(lambda _: None)

    def wait_first_look(self, timeout_s: float) -> bool:
        """Wait until the first look at Docker has ended, either way; whether it has."""
        return self._looked.wait(timeout_s)

    @property
    def has_listed(self) -> bool:
        """Whether Docker answered, at any time."""
        return self._watching.has_listed

    def _now(self) -> Now:
        return Now(self._steady_s(), self._unix_s())

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._safely(self._step)
        self._unsubscribe(self._stream[0])
        self._source.close()

    def _safely(self, work: Callable[[], object]) -> None:
        """Do *work*. A defect in it must not leave the gateway blind for good: it begins anew."""
        try:
            work()
        except Exception:
            log.exception("watching Docker failed")
            self._watching.away(_DEFECT, self._now())

    def _step(self) -> None:
        """Put in what was heard until something is due; show what is known; do what follows."""
        heard = self._wait(self._watching.next_s - self._steady_s())
        now = self._now()
        for tell in heard:
            self._safely(partial(tell, now))
        self._watching.tick(now)
        self._show()
        for command in self._watching.take():
            self._safely(partial(self._carry_out, command))  # one that fails takes no other along
        if self._watching.has_looked:
            self._looked.set()

    def _wait(self, within_s: float) -> list[_Heard]:
        heard = []
        try:
            heard.append(self._heard.get(timeout=min(max(within_s, 0.0), _TICK_S)))
            while True:
                heard.append(self._heard.get_nowait())
        except queue.Empty:
            return heard

    def _show(self) -> None:
        """Put what is known in force, if anything is; and then tell how fresh that is."""
        watching = self._watching
        standing = watching.has_listed, watching.error, watching.away_since
        is_other = watching.known.take_changed() or standing != self._shown
        if is_other and (watching.has_listed or watching.error):
            self._shown = standing
            containers = watching.known.containers if watching.has_listed else None
            host = HostView(self._published_host, own_networks(self._own_id, containers or ()))
            seen = Seen(containers, host, self._of.name, watching.error, watching.away_since)
            self._registry.show(seen, self._of)
        self._told = self._knowledge_now()

    def _carry_out(self, command: Command) -> None:
        source, watching = self._source, self._watching
        match command:
            case Ping(number):
                took, failed = partial(watching.pinged, number), partial(watching.ping_failed, number)
                self._ask("ping", source.ping, took, failed)
            case List(number):
                self._ask(
                    "list",
                    source.containers,
                    partial(watching.listed, number),
                    partial(watching.list_failed, number),
                )
            case Inspect(identity):
                self._ask(
                    "inspect",
                    partial(source.container, identity),
                    partial(watching.inspected, identity),
                    partial(watching.inspect_failed, identity),
                )
            case Subscribe(number):
                with self._stream_lock:
                    self._stream = number, None
                self._begin("events", partial(self._follow, number))
            case Unsubscribe(number):
                self._unsubscribe(number)
            case Close():
                source.close()
            case Warn(text, fields):
                # What stands as `name=%r` is a field of its own where the log is JSON.
                whose = f"{self._of.name}: " if self.is_named else ""
                named = [(whose + text).replace("%", "%%"), *(f"{name}=%r" for name, _ in fields)]
                log.warning(" ".join(named), *(value for _, value in fields))
            case Tell(event):
                self._tell(of_source(event, self._of.name) if self.is_named else event)
            case InForce(events):
                self._note_lags(events)

    def _ask(
        self,
        name: str,
        call: Callable[[], _T],
        took: Callable[[_T, Now], object],
        failed: Callable[[str, Now], object],
    ) -> None:
        """Make a *call* in a thread, and put in what came of it."""

        def asking() -> None:
            heard: _Heard
            try:
                answer = call()
                heard = partial(_with, took, answer)
            except SourceError as error:
                heard = partial(_with, failed, str(error))
            except Exception:
                log.exception("asking Docker failed")
                heard = partial(_with, failed, _DEFECT)
            self._heard.put(heard)

        try:
            self._begin(name, asking)
        except RuntimeError as error:  # there are too many threads already
            self._heard.put(partial(_with, failed, f"rgate cannot ask: {error}"))

    def _begin(self, name: str, work: Callable[[], None]) -> None:
        threading.Thread(target=work, name=f"rgate-{name}", daemon=True).start()

    def _follow(self, number: int) -> None:
        """Put in the events of that subscription until they end."""
        error = ""
        try:
            stream = self._source.subscribe()
            with self._stream_lock:
                is_wanted = self._stream == (number, None)
                if is_wanted:
                    self._stream = number, stream
            if not is_wanted:
                stream.close()
                return
            self._heard.put(partial(self._watching.subscribed, number))
            for event in stream:
                self._heard.put(partial(self._watching.event, number, event))
        except SourceError as broke:
            error = str(broke)
        except Exception:
            log.exception("following Docker's events failed")
            error = _DEFECT
        self._heard.put(partial(self._watching.ended, number, error))

    def _unsubscribe(self, number: int) -> None:
        with self._stream_lock:
            known, stream = self._stream
            if known == number:
                self._stream = 0, None
        if known == number and stream is not None:
            stream.close()

    def _note_lags(self, events: tuple[Event, ...]) -> None:
        now_s = self._unix_s()
        for event in events:
            if event.at_s is not None:  # two readings of one clock, which may be set in between
                self._lags = observed(self._lags, LAG_BOUNDS_S, max(now_s - event.at_s, 0.0))


def _with(take: Callable[[_T, Now], object], answer: _T, now: Now) -> None:
    take(answer, now)
